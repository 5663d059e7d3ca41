"""`by_classification`: a mapper of blocks, whose attractors are what `classify` finds that orbits settle on."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from dynloop.basins.attractors import Attractor, Mapper, Progress, numbered, one_map
from dynloop.basins.batches import capture
from dynloop.basins.cloud import attracts, same, sample, stationary
from dynloop.basins.distances import gaps, norms
from dynloop.basins.finding import CYCLES, chosen
from dynloop.basins.ranges import Range, cycle_range
from dynloop.basins.recurrence import LOOPS, checked_loops
from dynloop.basins.set_ranges import set_range
from dynloop.basins.volumes import keeps_volume, set_record, volume_changes
from dynloop.maps.base import Array, LoopMap, as_map
from dynloop.orbits.floor import precision_floor
from dynloop.orbits.regime import classify
from dynloop.orbits.verdict import Classification, Regime

__all__ = ["ClassifiedMapper", "by_classification"]

_FEW = 16  # starts that are classified at a time
_SETS = {Regime.CHAOTIC, Regime.QUASIPERIODIC}
_STATES = 2048  # of a set
_REFUSED = 4  # orbits that drift, or sets that do not attract, after which no more are looked at
_NUMBERS = 2**20  # coordinates iterated together on a processor; on an accelerator sixteen times as many


class ClassifiedMapper(Mapper):
    """A mapper of any map: an orbit belongs to the attractor in whose range it was seen to come nearer.

    Parameters
    ----------
    m : LoopMap
        The map, of a fixed dtype.
    attractors : iterable of Attractor
        Numbered anew; cycles that were not seen to attract are left out.
    starts : ndarray, (batch, *state_shape)
        Some starts, which say from where orbits come.
    loops : int
        Budget of loops of each start.
    finds : bool
        Whether `extended` looks for more attractors.
    """

    def __init__(
        self, m: LoopMap, attractors: Iterable[Attractor], starts: Array, loops: int, *, finds: bool = True
    ) -> None:
        self.map, self.loops, self._starts, self.finds = one_map(m), loops, starts, finds
        given = numbered(m, attractors)
        kept: list[Attractor] = []
        self._ranges: list[Range] = []
        for one in given:
            named = replace(one, label=len(kept) + 1)
            rest = [other.points for other in given if other is not one]
            others = np.concatenate([np.empty((0, *m.state_shape)), *rest])
            reach = (cycle_range if one.period > 0 else set_range)(m, named, others, starts)
            if reach is not None:
                kept.append(named)
                self._ranges.append(reach)
        self.attractors = tuple(kept)

    def label(self, starts: Any, *, progress: Progress | None = None) -> tuple[Array, Array]:
        """Label starts, and say how long each took: see `Mapper.label`."""
        states = self.map.native(starts, "starts")
        count = len(states)
        labels, loops = np.empty((2, count), dtype=np.int64)
        device = getattr(states, "device", None)
        numbers = _NUMBERS if getattr(device, "type", "cpu") == "cpu" else 16 * _NUMBERS
        piece = max(64, numbers // self.map.dimension)
        for first in range(0, count, piece):
            rows = slice(first, first + piece)

            def left(done: int, first: int = first) -> None:
                if progress is not None:
                    progress(first + done, count)

            labels[rows], loops[rows] = capture(self.map, states[rows], self._ranges, self.loops, left)
        return labels, loops

    def settings(self) -> tuple[Any, ...]:
        """Return what decides labels: see `Mapper.settings`."""
        return self.loops, self.finds, self._starts

    def extended(self, starts: Any) -> ClassifiedMapper:
        """Return a mapper that also knows the attractors which up to 16 of these starts lead to."""
        if not self.finds:
            return self
        few = chosen(self.map.numpy(self.map.native(starts, "starts")), _FEW)
        new = _found(self.map, few, self.attractors)
        if not new:
            return self
        larger = ClassifiedMapper(self.map, (*self.attractors, *new), self._starts, self.loops)
        return larger if len(larger.attractors) > len(self.attractors) else self


def by_classification(m: LoopMap, starts: Any, *, loops: int | None = None) -> Mapper:
    """Make a mapper whose attractors are what `classify` says that a few of the starts settle on.

    Parameters
    ----------
    m : LoopMap
        The map: a block, or any other.
    starts : array, (batch, *state_shape)
        Up to 16 of them are classified.
    loops : int, optional
        Budget of loops of each start that is labelled; 4096 if left out.

    Returns
    -------
    Mapper
        ``mapper(starts)`` labels any starts of the map; ``mapper.extended(starts)`` learns more attractors.

    Raises
    ------
    InvalidArgumentError
        If `m` is no map, `loops` is out of range or a start is not finite.
    ShapeError
        If `starts` does not fit the map.

    Notes
    -----
    Settled states and cycles are attractors where ρ < 1; two are one if they are nearer than their errors, which rest
    on the measured precision floor. Starts are iterated in batches and leave when they are captured: within a quarter
    of the distance to the nearest other attractor, a range that shrinks as far as some tens of directions can tell, and
    coming nearer twice in a row by at least half of what the multipliers ask for. That is evidence by sampling. Chaotic
    and quasi-periodic orbits are attractors if pushed ones come back to them and F does not keep volumes there, which
    is looked at up to 256 coordinates; a start belongs to one where it stays as near to a sample as those on it, and is
    −2 where a sample is too thin to tell. Of a causal map all tokens must settle.
    In a dtype below float64 a start near a boundary may be labelled otherwise in another batch, as rounding differs.

    Examples
    --------
    >>> import numpy as np, dynloop as dl
    >>> block = dl.TorchMap([lambda x: (2 * x).tanh()], (2,))
    >>> starts = np.random.default_rng(0).standard_normal((20, 2))
    >>> mapper = dl.by_classification(block, starts)
    >>> len(mapper.attractors), bool((mapper(starts) == mapper(starts[::-1])[::-1]).all())
    (4, True)
    """
    as_map(m)
    budget = LOOPS if loops is None else checked_loops(loops)
    states, _ = m.batch(starts)
    m = m.in_dtype_of(states)
    few = chosen(m.numpy(states), _FEW)
    return ClassifiedMapper(m, (), few, budget).extended(m.numpy(states))


def _found(m: LoopMap, starts: Array, known: tuple[Attractor, ...]) -> list[Attractor]:
    """Return the attractors that starts settle on, without those known."""
    verdict = classify(m, starts)
    found: list[Attractor] = []
    refused: list[Array] = []
    ends, size = m.numpy(verdict.states), float(norms(starts).max())
    for b in range(len(starts)):
        regimes = set(np.ravel(verdict.regime[b]).tolist())
        if regimes <= CYCLES:
            one = _cycle(m, verdict, b)
            if one is not None and all(_apart(m, one, other, size) for other in (*known, *found)):
                found.append(one)
        elif regimes & _SETS and regimes <= _SETS | CYCLES:
            _add_set(m, ends[b : b + 1], (regimes & _SETS).pop(), known, found, refused)
    return found


def _cycle(m: LoopMap, verdict: Classification, b: int) -> Attractor | None:
    """Return the cycle that start b settles on, all tokens of it; None unless it attracts."""
    periods = np.ravel(verdict.period[b])
    rates = np.ravel(verdict.rate[b])
    if (periods < 1).any() or not (rates < 1).all():
        return None
    p = math.lcm(*periods.tolist())
    states, points = m.native(verdict.states[b : b + 1]), []
    for _ in range(p):
        points.append(m.numpy(states)[0])
        states = m.watch(states, 1, states).states
    cycle = np.stack(points)
    size = float(norms(cycle).max())
    rate = float(rates.max())
    floor = float(precision_floor(m, m.native(cycle[:1])).max())
    regimes = set(np.ravel(verdict.regime[b]).tolist())
    regime = next(one for one in (Regime.PERIODIC, Regime.CYCLIC, Regime.VANISHING) if one in regimes)
    error = 4 * floor * size / max(1 - rate, 1e-6)
    return Attractor(
        label=0, period=p, points=cycle, regime=regime, spectral_radius=rate**p, error=error
    )  # fmt: skip


def _apart(m: LoopMap, one: Attractor, other: Attractor, size: float) -> bool:
    """Say whether two attractors are not the same: farther than their errors, and than a billionth of the starts."""
    if (one.period > 0) != (other.period > 0):
        return True
    least = float(gaps(m, other.points, one.points[0]).min())
    return bool(least > 2 * (one.error + other.error) + 1e-9 * max(size, float(norms(one.points).max())))


def _add_set(
    m: LoopMap, end: Array, regime: Regime, known: tuple[Attractor, ...], found: list[Attractor], refused: list[Array]
) -> None:
    """Add the set that an orbit fills, unless it is known, drifts, keeps volumes, or does not attract."""
    if len(refused) > _REFUSED:
        return
    points = sample(m, end, _STATES)[0]
    sets = [one.points.reshape(len(one.points), -1) for one in (*known, *found) if one.period < 0]
    if not np.isfinite(points).all() or any(same(m, points, old) for old in (*sets, *refused)):
        return
    logs, errors = volume_changes(m, points)
    if stationary(m, points) and not keeps_volume(logs, errors) and attracts(m, points, np.ones(m.dimension)):
        found.append(set_record(m, points, regime, logs))
    else:
        refused.append(points)
