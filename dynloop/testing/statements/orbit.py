"""`Orbit`: one start with its classification and its limit, made once and shared by all statements."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.errors import DynloopError, NoTwinError
from dynloop.maps.base import Array, LoopMap, as_map, as_rng
from dynloop.maps.measured import Watch
from dynloop.orbits.floor import row_norms
from dynloop.orbits.regime import classify
from dynloop.orbits.verdict import Classification, Regime
from dynloop.testing.statements.limit import Limit, solved_limit

__all__ = ["Orbit", "orbits_of"]

_LONGEST = 4096  # loops of the approach that are followed


class Orbit:
    """One start of a map, and what is known of the orbit from there.

    Parameters
    ----------
    m : LoopMap
        The map, its dtype fixed.
    start : native array, (1, *state_shape)
        Where the orbit begins.
    found : Classification or None
        Of a batch of starts; None where there is none.
    row : int
        Which row of `found` is this start.
    trouble : str
        Why there is no classification.

    Attributes
    ----------
    map : LoopMap
        The map, its dtype fixed.
    exact : LoopMap
        Its float64 twin, in which limits are solved for; the map itself where there is none.
    start : native array, (1, *state_shape)
        Where the orbit begins.
    regimes : tuple of Regime
        The verdict of `dynloop.classify`, one a token of a causal map.
    periods, rates, loops : ndarray, (groups,)
        Beside it.
    reasons : tuple of str
        Its reasons.
    state : ndarray, state_shape
        Where the classification ended: the solved point, or the last state.
    group : int or None
        The token that is spoken of; None for all.
    trouble : str
        Why there is no classification; empty where there is one.

    Examples
    --------
    >>> import dynloop as dl
    >>> from dynloop.testing.statements import orbits_of
    >>> [orbit] = orbits_of(dl.zoo.logistic(3.2), [[0.3]])
    >>> orbit.regime_text, orbit.limit.period, orbit.sections.shape
    ('PERIODIC(2)', 2, (2, 1))
    """

    def __init__(self, m: LoopMap, start: Any, found: Classification | None, row: int, trouble: str = "") -> None:
        self.map, self.start, self.trouble = m, start, trouble
        self.group: int | None = None
        groups = m.state_shape[0] if m.causal else 1
        try:
            self.exact, self.has_twin = m.twin(), True
        except NoTwinError:
            self.exact, self.has_twin = m, False
        self.regimes: tuple[Regime, ...] = (Regime.UNDECIDED,) * groups
        self.reasons: tuple[str, ...] = (trouble,) * groups
        self.periods, self.rates = np.full(groups, -1), np.full(groups, np.nan)
        self.loops = np.full(groups, 64)
        self.solved = self.attracted = np.zeros(groups, dtype=bool)
        self.state: Array = m.numpy(start)[0]
        if found is not None:
            self.regimes, self.reasons = (tuple(np.ravel(a[row])) for a in (found.regime, found.reason))
            self.periods, self.rates = np.ravel(found.period[row]), np.ravel(found.rate[row])
            self.loops = np.ravel(found.evidence.loops[row]).astype(int)
            self.solved = np.isfinite(np.ravel(found.evidence.residual[row]))
            # solved, near and attracting, but neither vanishing nor cyclic: what exactly one active layer looks like
            attracted = np.ravel(found.evidence.spectral_radius[row]) < 1 - 1e-7
            self.attracted = attracted & self.solved & [r is Regime.UNDECIDED for r in self.regimes]
            self.state = m.numpy(found.states[row : row + 1])[0]

    def token(self, i: int) -> Orbit:
        """Return the same orbit, token `i` of it being spoken of."""
        _ = self.limit  # solved once, for all tokens
        one = copy.copy(self)
        one.group = i
        return one

    def tokens(self) -> Iterator[Orbit]:
        """Return the orbit of every token of a causal map."""
        return (self.token(i) for i in range(len(self.regimes)))

    @property
    def upto(self) -> int:
        """How many leading groups decide: a token with all tokens before it, which are a map of their own."""
        return len(self.regimes) if self.group is None else self.group + 1

    @property
    def rows(self) -> slice:
        """The rows that are spoken of."""
        return slice(None) if self.group is None else slice(self.group, self.group + 1)

    @property
    def regime_text(self) -> str:
        """The verdicts in short, such as ``"CYCLIC"`` or ``"CHAOTIC, PERIODIC(2)"``."""
        names = [
            f"PERIODIC({p})" if r is Regime.PERIODIC else r.name
            for r, p in zip(self.regimes, self.periods, strict=True)
        ]
        return ", ".join(dict.fromkeys(names))

    def first(self, *wanted: Regime) -> tuple[int, Regime] | None:
        """Return the first group up to the one that is spoken of whose regime is `wanted`, one of those named.

        A group without a verdict that was solved for and is attracted converges: it is passed over.
        """
        for i, regime in enumerate(self.regimes[: self.upto]):
            if regime in wanted and not self.attracted[i]:
                return i, regime
        return None

    def said_of(self, i: int) -> str:
        """Say what the verdict on group `i` is, with its token where there are several."""
        where = f"token {i}" if len(self.regimes) > 1 else "the orbit"
        said = f"PERIODIC({self.periods[i]})" if self.regimes[i] is Regime.PERIODIC else self.regimes[i].name
        return f"{where} is {said}: {self.reasons[i]}"

    @cached_property
    def limit(self) -> Limit | None:
        """The fixed point or cycle that the orbit comes to, solved for again in float64; None where there is none."""
        return solved_limit(self) if self.has_twin else None

    @cached_property
    def sections(self) -> Array:
        """The states before every layer and after the last, ``(k + 1, *state_shape)``, at the limit or last state."""
        x = self.point
        return self.exact.numpy(self.exact.sections(self.exact.native(x[None])))[:, 0]

    @property
    def point(self) -> Array:
        """The solved point where there is one, else the last state."""
        return self.state if self.limit is None else self.limit.point

    @cached_property
    def repeats(self) -> float:
        """Largest relative difference between two evaluations of the map at one state, others being taken between."""
        m, gap = self.map, 0.0
        for state in (self.start, m.native(self.state[None])):
            with np.errstate(all="ignore"):
                first = m.numpy(m(state))
                m(m.native(0.5 * m.numpy(state)))
                again = m.numpy(m(state))
            if np.isfinite(first).all():
                gap = max(gap, float(np.abs(again - first).max() / max(np.abs(first).max(), 1e-300)))
        return gap

    @cached_property
    def approach(self) -> Watch | None:
        """Steps of the orbit from its start, and its distances to the limit, loop by loop; None without a limit."""
        if self.limit is None:
            return None
        loops = int(np.clip(2 * self.loops.max(), 64, _LONGEST))
        with np.errstate(all="ignore"):
            return self.map.watch(self.start, loops, self.map.native(self.limit.point[None]))

    def sizes(self, states: Array) -> Array:
        """Return the norm of every row of `states`, one state ``(*state_shape)``: ``(rows,)``."""
        sizes: Array = row_norms(self.exact, self.exact.displacement(states, np.zeros_like(states))[None])[0]
        return sizes


def orbits_of(
    m: LoopMap, starts: Any = None, *, loops: int | None = None, rng: int | np.random.Generator | None = 0
) -> list[Orbit]:
    """Classify the starts of a map, once for all statements.

    Parameters
    ----------
    m : LoopMap
        The map.
    starts : array, (batch, *state_shape) or state_shape, optional
        Where the orbits begin; ``m.start(rng)`` if left out.
    loops : int, optional
        Budget of loops per start, at least 8, as in `dynloop.classify`.
    rng : int, Generator or None
        For starts and the classification.

    Returns
    -------
    list of Orbit
        One a start. Where the map does not let itself be classified (it gives two answers for one state, or its
        derivative is silently zero) `Orbit.trouble` says so.

    Raises
    ------
    InvalidArgumentError
        If a start is not finite or `loops` is out of range.
    ShapeError
        If `starts` does not fit the map.

    Examples
    --------
    >>> import dynloop as dl
    >>> from dynloop.testing.statements import orbits_of
    >>> [orbit.regime_text for orbit in orbits_of(dl.zoo.logistic(3.2), [[0.3]])]
    ['PERIODIC(2)']
    """
    if loops is not None:
        loops = checked_int(loops, "loops", 8, meaning="the budget per start", remedy="Leave it out to have one chosen")
    generator = as_rng(rng)
    states, _ = as_map(m).batch(starts, generator)
    m = m.in_dtype_of(states)
    try:
        found, trouble = classify(m, states, loops=loops, rng=generator), ""
    except DynloopError as error:  # the starts are sound: the map is not one that can be classified
        found, trouble = None, f"it cannot be classified: {error}"
    return [Orbit(m, states[b : b + 1], found, b, trouble) for b in range(len(states))]
