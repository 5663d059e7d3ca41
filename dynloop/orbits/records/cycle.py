"""A record that returns: the least number of loops after which every late state comes back, and how it got there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynloop.orbits.records.approach import Approach, approach, stopped_power
from dynloop.orbits.records.series import Series

__all__ = ["Cycle", "returning"]

_TIMES = 3  # periods that must be on record
_SHORTEST = 8  # returns that must be on record
_LONGEST = 512  # loops
_MANY = 16  # coordinates from which on rounding alone does not make motion return soon
_PINNED = 4.0  # times eps^⅓: where a period doubles, u ← −u + κu³ (relative to ‖x‖) stops at steps of 1.6 (eps / κ)^⅓
_CLEAR = 10.0  # how far a cycle's own steps, and returns after fewer loops, must exceed its returns


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Cycle:
    """Returns after `period` loops.

    Attributes
    ----------
    objection : str
        Why the record does not show a cycle although it returns; empty if it does.
    period : int
        Least number of loops.
    level : float
        Median relative distance of the returns.
    start : int
        Index of the first state that returns.
    approach : Approach
        How the distances came down.
    """

    objection: str
    period: int
    level: float
    start: int
    approach: Approach


def returning(record: Series, eps: float, ceiling: float) -> Cycle | None:
    """Look for the least period p ≥ 2 of a record.

    Parameters
    ----------
    record : Series
        One state.
    eps, ceiling : float
        Machine epsilon, and the largest relative distance that counts as a return.

    Returns
    -------
    Cycle or None
        None if nothing returns.
    """
    loops = len(record.states)
    late = {p: _late(record, p) for p in range(2, min(loops // _TIMES, loops - _SHORTEST, _LONGEST) + 1)}
    near = [p for p, returns in late.items() if returns.max() <= ceiling]
    if not near:
        return None
    period = near[0]
    worst = float(late[period].max())
    apart = _apart(record, period)
    finer = [p for p in near if p % period == 0 and p > period and late[p].max() < 0.5 * worst]
    distances = record.returns(period)
    bar = max(1.25 * float(np.median(late[period])), worst, 0.5 * eps)
    above = np.flatnonzero(distances > bar)
    start = int(above[-1]) + 1 if len(above) else 0
    level = float(np.median(distances[start:]))
    came = approach(distances, start, max(level, 0.5 * eps), eps, power=stopped_power(eps))
    objection = ""
    if finer and worst > (ceiling / 4 if ceiling < 1e-4 else 0):
        objection = f"it returns to {worst:.1e} only, after {finer[0]} loops more closely: either may be the period"
    elif (far := _after_all(record, period, start)) > 1.5 * max(_rms(distances[start:]), ceiling / 16):
        objection = (
            f"the longer it goes on the farther it is off ({far:.1e}): a slow turn, or an approach, not a return"
        )
    elif apart < _CLEAR * max(worst, ceiling / 4):
        objection = f"its states, {apart:.1e} apart, are too near the floor of its dtype to tell it from rounding"
    elif start > 0 and came.objection:
        objection = came.objection
    elif apart < _PINNED * eps ** (1 / 3):
        objection = (
            f"its states are so little apart ({apart:.1e}) that rounding may have stopped a slow approach to a point, "
            "or to a cycle of fewer loops"
        )
    elif period > _longest(record.states.shape[1], eps, approached=start > 0):
        objection = "in the few digits of its dtype rounding makes any motion return about as soon"
    return Cycle(objection=objection, period=period, level=level, start=start, approach=came)


def _late(record: Series, p: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the distances of the last returns after p loops: two more periods, or as many as make them believable."""
    count = max((_TIMES - 1) * p, _SHORTEST)
    states, scale = record.states[-(count + p) :], record.scale[-count:]
    return np.asarray(np.linalg.norm(states[p:] - states[:-p], axis=1) / scale[-len(states[p:]) :])


def _longest(coordinates: int, eps: float, *, approached: bool) -> float:
    """Return the longest period that is believed: rounding makes motion return after some √(number of states) loops."""
    few: float = 0.3 * eps**-0.5 if coordinates < _MANY else 0.22 * eps**-0.75
    return few if approached else few / 6


def _apart(record: Series, period: int) -> float:
    """Return how far the states of a cycle are from one of fewer loops: the least distance over divisors of p."""
    late = max((_TIMES - 1) * period, _SHORTEST)
    return min(float(record.returns(q)[-late:].max()) for q in range(1, period) if period % q == 0)


def _rms(distances: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(np.sqrt(np.mean(distances**2)))


def _after_all(record: Series, p: int, start: int) -> float:
    """Return the distance after the most periods that leave one period of states to compare."""
    most = max(1, (len(record.states) - start - p) // p)
    return _rms(record.returns(most * p)[start:])
