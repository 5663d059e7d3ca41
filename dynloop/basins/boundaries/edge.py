"""Edge tracking: an orbit that stays between two basins, and the state on the boundary that it comes to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.basins.boundaries.labels import UNKNOWN
from dynloop.basins.given import AnyMapper, Learner
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap, as_map
from dynloop.orbits.paths.apart import apart
from dynloop.result import Result, Status

__all__ = ["EdgeOrbit", "track_edge"]

Progress = Callable[[int, int], None]
_CUTS = 15  # points that a segment is cut by, at once
_AGAIN = 8  # returns in a row beyond the first p: an orbit may linger at a state that it leaves
_FIRST = 62  # states of the first segment, from which attractors are found
_FLOOR, _RATIO = 16, 100  # units of roundoff, to which a segment can be cut; and wide over narrow, at least
_RETURNS = 32  # loops after which a return is looked for


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class EdgeOrbit(Result):
    """An orbit between two basins.

    Attributes
    ----------
    states : ndarray, (loops + 1, *state_shape)
        One state a loop, on the boundary to within `gap`: the middle of two states that go different ways.
    gap : ndarray, (loops + 1,)
        The distance of these two.
    labels : (int, int)
        Where the two go. The second may change on the way, where a third basin lies between: these are the last.
    period : int
        Loops after which the orbit was seen to return to within `tolerance`: 1 at a fixed point; −1 if it does not.
    residual : float
        Relative distance of the last state from the one `period` loops before; from the nearest of the last 32 where
        there is no period.
    status : Status
        CONVERGED if the orbit returns; OUT_OF_LOOPS if it did not within the budget; NOT_CONVERGED if a segment could
        not be cut to `narrow`, because states on it have no known destination: the orbit ends there.
    evaluations : int
        Starts that were labelled.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> m = dl.TorchMap([lambda x: x + 0.25 * x * (1 - x * x)], (1,))
    >>> sides = lambda starts: np.where(m.numpy(starts)[:, 0] > 0, 1, 2)
    >>> found = dl.track_edge(m, [0.7], [-1.1], mapper=sides)
    >>> found.labels, found.states.shape == (len(found.gap), 1), found.residual < 1e-6
    ((1, 2), True, True)
    """

    states: Array
    gap: Array
    labels: tuple[int, int]
    period: int
    residual: float
    status: Status
    evaluations: int


def track_edge(
    m: LoopMap,
    one: Any,
    other: Any,
    *,
    mapper: Callable[[Any], Array] | None = None,
    loops: int = 500,
    narrow: float = 1e-9,
    wide: float = 1e-6,
    tolerance: float = 1e-6,
    progress: Progress | None = None,
) -> EdgeOrbit:
    """Follow the boundary between two basins to what attracts on it.

    Parameters
    ----------
    m : LoopMap
        The map.
    one, other : array, state_shape
        Two starts that go to different attractors, or one of them to infinity.
    mapper : callable, optional
        ``labels = mapper(starts)``; made for the map if left out.
    loops : int
        Loops at most.
    narrow, wide : float
        Distances of the pair, relative to the larger state: to what it is cut, and from where on it is cut again. Both
        are raised to what the dtype of the map resolves: 16 units of roundoff, and 100 times that.
    tolerance : float
        Relative distance of a return; a cycle of p loops must return p + 8 times in a row. No less than `wide`.
    progress : callable, optional
        ``progress(loops done, loops)``.

    Returns
    -------
    EdgeOrbit
        The states between, and whether they settle: on a saddle, where that has one unstable direction.

    Raises
    ------
    InvalidArgumentError
        If both starts go to the same attractor or one of them to none that is known, or an argument is out of range.
    ShapeError
        If a start is not one state.

    Notes
    -----
    Skufca, Yorke and Eckhardt, Phys. Rev. Lett. 96 (2006) 174101. The segment between the two is cut until its ends,
    which go different ways, are `narrow` apart; both are iterated until they are `wide` apart, and the segment between
    them is cut again. Labels stay along orbits, so the ends go on to go different ways. What an edge state is stable
    to is the boundary alone: `find_fixed_points` polishes it and gives its multipliers, and it decides: an orbit that
    creeps along the boundary by less than `tolerance` a loop is taken for one that returns.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> m = dl.TorchMap([lambda x: x + 0.25 * x * (1 - x * x)], (1,))
    >>> sides = lambda starts: np.where(m.numpy(starts)[:, 0] > 0, 1, 2)
    >>> found = dl.track_edge(m, [0.7], [-1.1], mapper=sides)
    >>> found.status.name, found.period, bool(abs(found.states[-1, 0]) < 1e-6)
    ('CONVERGED', 1, True)
    """
    m = as_map(m).in_dtype_of(as_map(m).batch(one)[0])
    _check_options(loops, narrow, wide, tolerance)
    narrow = max(narrow, _FLOOR * m.precision)
    wide = max(wide, _RATIO * narrow)
    tolerance = max(tolerance, wide)
    pair = np.stack([_one_state(m, one, "one"), _one_state(m, other, "other")])
    scale = float(np.linalg.norm(pair.reshape(2, -1), axis=1).max())
    cut = _Cutter(m, mapper, pair, narrow, scale)
    pair, done = cut.narrowed(pair)
    states, gaps = [_middle(m, pair)], [_gap(m, pair)]
    period, residual, status = -1, np.inf, Status.OUT_OF_LOOPS
    hits: dict[int, int] = {}
    for t in range(1, loops + 1):
        if not done:
            status = Status.NOT_CONVERGED
            break
        pair = m.numpy(m(m.native(pair)))
        if not np.isfinite(pair).all():
            status = Status.DIVERGED
            break
        if _gap(m, pair) > wide * max(_size(pair), 1e-8 * scale):
            pair, done = cut.narrowed(pair)
        states.append(_middle(m, pair))
        gaps.append(_gap(m, pair))
        period, residual, hits = _returned(m, states, hits, tolerance, 1e-8 * scale)
        if progress is not None:
            progress(t, loops)
        if period > 0:
            status = Status.CONVERGED
            break
    return EdgeOrbit(
        states=np.stack(states), gap=np.array(gaps), labels=cut.labels, period=period, residual=residual,
        status=status, evaluations=cut.ask.spent,
    )  # fmt: skip


class _Cutter:
    """Cuts segments whose ends go different ways."""

    def __init__(self, m: LoopMap, mapper: AnyMapper | None, pair: Array, narrow: float, scale: float) -> None:
        self.m, self.narrow, self.scale = m, narrow, scale
        self.ask = Learner(m, mapper, self._between(pair, _FIRST))
        a, b = (int(label) for label in self.ask(pair))
        for name, label in (("one", a), ("other", b)):
            if label in UNKNOWN:
                raise InvalidArgumentError(
                    f"{name} has no known destination (label {label}); give a start that has, or a mapper with more "
                    "loops"
                )
        if a == b:
            raise InvalidArgumentError(f"both starts go to {a}, so no boundary need lie between them; give two labels")
        self.labels = (a, b)

    def _between(self, pair: Array, count: int) -> Array:
        """Return the ends and `count` states between them, evenly."""
        steps = np.linspace(0, 1, count + 2)[1:-1].reshape(-1, *(1,) * (pair.ndim - 1))
        inner = pair[0] + steps * self.m.displacement(pair[1], pair[0])
        return np.concatenate([pair[:1], inner, pair[1:]])

    def narrowed(self, pair: Array) -> tuple[Array, bool]:
        """Cut a segment, and say whether it came to be narrow: not if states without a destination are in the way."""
        m = self.m
        while _gap(m, pair) > self.narrow * max(_size(pair), 1e-8 * self.scale):
            points = self._between(pair, _CUTS)
            labels = self.ask(points)
            if labels[0] in UNKNOWN or labels[-1] in UNKNOWN or labels[0] == labels[-1]:
                return pair, False  # rounding has moved an end into another basin
            at = np.flatnonzero(~np.isin(labels, UNKNOWN))
            changes = np.flatnonzero((labels[at[:-1]] == labels[0]) & (labels[at[1:]] != labels[0]))
            widths = at[changes + 1] - at[changes]
            k = changes[np.argmin(widths)]
            if at[k + 1] - at[k] > (_CUTS + 1) // 2:
                return pair, False  # most of the segment has no known destination
            before = _gap(m, pair)
            pair = np.stack([points[at[k]], points[at[k + 1]]])
            self.labels = (int(labels[0]), int(labels[at[k + 1]]))
            if not 0 < _gap(m, pair) < before:
                return pair, False  # two neighbouring floats
        return pair, True


def _returned(
    m: LoopMap, states: list[Array], hits: dict[int, int], tolerance: float, least: float
) -> tuple[int, float, dict[int, int]]:
    """Return the least period with returns enough in a row, or −1, the residual, and the returns of this loop."""
    last, before = states[-1], states[-_RETURNS - 1 : -1]
    away = apart(m, np.broadcast_to(last, (len(before), *last.shape)), np.stack(before), least)[::-1]
    now = {p + 1: hits.get(p + 1, 0) + 1 for p in np.flatnonzero(away <= tolerance).tolist()}
    for p, count in sorted(now.items()):
        if count >= p + _AGAIN:  # all around the cycle, and on
            return int(p), float(away[p - 1]), now
    return -1, float(away.min()), now


def _gap(m: LoopMap, pair: Array) -> float:
    return float(np.linalg.norm(m.displacement(pair[1], pair[0])))


def _size(pair: Array) -> float:
    return float(np.linalg.norm(pair.reshape(2, -1), axis=1).max())


def _middle(m: LoopMap, pair: Array) -> Array:
    return np.asarray(pair[0] + 0.5 * m.displacement(pair[1], pair[0]))


def _one_state(m: LoopMap, state: Any, name: str) -> Array:
    states, single = m.batch(state)
    if not single:
        raise ShapeError(f"{name} must be one state of shape {m.state_shape}; got shape {np.shape(state)}")
    return np.asarray(m.numpy(states)[0])


def _check_options(loops: int, narrow: float, wide: float, tolerance: float) -> None:
    checked_int(loops, "loops", 1, remedy="Leave it out for 500")
    for name, value in (("narrow", narrow), ("wide", wide), ("tolerance", tolerance)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
            raise InvalidArgumentError(f"{name} must be a relative distance between 0 and 1; got {value!r}")
    if narrow >= wide:
        raise InvalidArgumentError(f"narrow must be less than wide; got {narrow!r} and {wide!r}")
