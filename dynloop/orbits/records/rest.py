"""A record that came to rest: steps that fell geometrically and then stay at the floor, without order in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.records.approach import Approach, approach, stopped_power
from dynloop.orbits.records.series import Series, excursion, net_per_loop, shape_of_noise

__all__ = ["Rest", "at_rest"]

_SHORTEST = 8  # steps at the floor
_LONGEST = 512  # states whose noise is looked at
_FLICKER = 2.0  # units in the last place within which a coordinate is at rest whatever it does
_MANY = 16  # directions from which on noise is told from motion on a line or a plane


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rest:
    """Whether the last steps of a record are the floor, and how the floor was reached.

    Attributes
    ----------
    objection : str
        Why the record does not show that it settled; empty if it does.
    level : float
        Median relative step at the floor.
    start : int
        Index of the first state from which on the steps are at the floor.
    drift : float
        Net displacement per loop at the floor, relative.
    approach : Approach
        How the steps came down.
    """

    objection: str
    level: float
    start: int
    drift: float
    approach: Approach


def at_rest(record: Series, eps: float, ceiling: float) -> Rest | None:
    """Ask whether a record settled at the floor of its dtype.

    Parameters
    ----------
    record : Series
        One state.
    eps, ceiling : float
        Machine epsilon, and the largest relative step that rounding explains.

    Returns
    -------
    Rest or None
        None if the last steps are larger than rounding.
    """
    steps = record.steps
    tail = steps[-max(_SHORTEST, len(steps) // 4) :]
    if np.median(tail) > ceiling or tail.max() > 2 * ceiling:
        return None
    usual = float(np.median(tail))
    spread = 1.48 * float(np.median(np.abs(tail - usual)))
    bar = max(1.25 * usual, usual + 5 * spread, float(tail.max()), 0.5 * eps)
    above = np.flatnonzero(steps > bar)
    start = int(above[-1]) + 1 if len(above) else 0
    stretch = record.states[start:]
    level = float(np.median(steps[start:]))
    drift = net_per_loop(stretch) / float(record.scale[-1])
    # noise at the floor shows whether a drift goes on below it (`_order`); a state that rounding has stopped does not
    power = stopped_power(eps) if level <= 0.5 * eps else 1.1
    came = approach(steps, start, max(level, 0.5 * eps), eps, power=power)
    objection = came.objection or _growth(record, start) or _order(stretch, steps[start:], eps, drift, level)
    return Rest(objection=objection, level=level, start=start, drift=drift, approach=came)


def _growth(record: Series, start: int) -> str:
    """Object where the norm grew all the way to the floor: rounding stops a ray, or a slow drift, in low precision.

    Geometric convergence to the floor leaves at most a third of the way for the last three quarters of the time.
    """
    before, now = float(record.norms[: start // 4 + 1].max()), float(record.norms[start])
    if now > 2 * before:
        return f"the norm still grew {now / max(before, 1e-300):.2g}-fold on the way: rounding stops even a ray"
    return ""


def _order(stretch: Array, steps: Array, eps: float, drift: float, level: float) -> str:
    """Object where the steps at the floor are more than rounding noise around a point."""
    if len(steps) < _SHORTEST:
        return f"only {len(steps)} steps at this level are on record"
    half = len(steps) // 2
    resolved = level > 0.5 * eps  # a state moves by as much when it is stored
    if (not resolved or stretch.shape[1] < _MANY) and excursion(stretch, eps) <= _FLICKER:
        return ""
    first, last = float(np.median(steps[:half])), float(np.median(steps[half:]))
    if last > 2 * max(first, 0.25 * eps) or first > 2 * max(last, 0.25 * eps):
        return f"the steps at this level still change, from {first:.1e} to {last:.1e}"
    end = max(int(np.flatnonzero(steps)[-1]) + 2, _SHORTEST + 1)  # states that no longer move at all show no noise
    cosine, nearest, share = shape_of_noise(stretch[max(0, end - _LONGEST) : end])
    if cosine > -0.05 and drift * len(steps) > eps:
        return f"successive steps at this level do not undo each other (correlation {cosine:+.2f}): motion, not noise"
    if resolved and nearest < 0.6:
        return f"the states at this level return (to {nearest:.2g} of a step, squared): a small cycle or rotation"
    if resolved and min(len(steps), stretch.shape[1]) >= _MANY and share > 0.5:
        return f"{100 * share:.0f} % of the steps at this level lie in one direction: motion, not noise"
    if drift > max(0.25 * level, 0.5 * eps):
        return f"the state still moves by {drift:.1e} a loop in one direction"
    return ""
