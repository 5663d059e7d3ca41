"""How a series of distances came down to a floor: geometrically, with which factor per loop, or like a power."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynloop.maps.base import Array

__all__ = ["Approach", "approach", "factor_per_loop", "stopped_power"]

_FALL = 8.0  # the factor by which distances must come down before a floor counts as approached
_CLEAR = 3.0  # times the floor: noise, which adds in squares, changes larger distances by less than 6 %
_OFFSETS = np.geomspace(1.0, 1e4, 41)  # loops before the record in which a power law may have begun


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Approach:
    """The stretch of a series in which it fell to its floor.

    Attributes
    ----------
    objection : str
        Why the fall is no geometric approach; empty if it is one.
    rate, error : float
        Factor per loop and its standard error; nan where there are too few loops.
    first : int
        Where the fall begins.
    """

    objection: str
    rate: float = float("nan")
    error: float = float("nan")
    first: int = 0


def approach(distances: Array, end: int, floor: float, eps: float, *, power: float = 2.0) -> Approach:
    """Read how a series fell before index `end`, from where on it is at the floor.

    Parameters
    ----------
    distances : ndarray, (loops,)
        Relative steps, or distances after p loops.
    end : int
        First index at the floor.
    floor : float
        Level of the floor, positive.
    eps : float
        Machine epsilon: a law is read from distances above twice that, where they are no few units in the last place.
    power : float
        A law t^−a that fits better than a geometric one with `a` up to this is objected to. Drifts have a ≤ 1,
        x − x³ has 3/2.

    Returns
    -------
    Approach
    """
    before = distances[:end]
    if end == 0:
        return Approach(objection="at this level from the first recorded loop: no approach to it is on record")
    if before.max() < _FALL * floor:
        return Approach(objection=f"the steps came down by less than a factor {_FALL:g}: no approach is on record")
    first = int(np.flatnonzero(before >= 0.5 * before.max())[-1])
    rate, error = factor_per_loop(before[first:], floor)
    found = Approach(objection="", rate=rate, error=error, first=first)
    fall = before[int(np.flatnonzero(before >= 0.9 * before.max())[-1]) :]
    if np.count_nonzero(fall > 2 * floor) < 3:
        return _but(found, "the steps came down within two loops: a jump, or rounding, can do that")
    clear = np.flatnonzero(fall > 2 * max(floor, eps))
    clear = clear if len(clear) >= 4 else np.flatnonzero(fall > 0)
    times, logs = clear.astype(float), np.log(fall[clear])
    line = np.polynomial.Polynomial.fit(times, logs, 1)
    left = float(np.sum((logs - line(times)) ** 2))
    spread = float(np.sum((logs - logs.mean()) ** 2))
    if np.any(fall[2:] >= fall[:-2]) and left > 0.3 * spread:
        return _but(found, "the steps did not come down steadily")
    exponent, left_power = _power_law(times, logs)
    if exponent <= power and left_power <= left:
        return _but(found, f"the steps came down like a power of the loop (about t^−{exponent:.2g}), not geometrically")
    return found


def stopped_power(eps: float) -> float:
    """Return the `power` of `approach` for a state that rounding has stopped: in few digits, powers are read badly."""
    return 3.5 if eps > 1e-4 else 2.0


def factor_per_loop(fall: Array, floor: float) -> tuple[float, float]:
    """Fit a factor per loop to the part of a falling series that stands clear of its floor.

    Parameters
    ----------
    fall : ndarray, (loops,)
        Distances, positive where they stand clear.
    floor : float
        Level of noise.

    Returns
    -------
    rate, error : float
        The standard error allows for residuals that are correlated from loop to loop; nan with fewer than four loops.
    """
    clear = np.flatnonzero(fall > _CLEAR * floor)
    if len(clear) < 4:
        clear = np.flatnonzero(fall > 1.2 * floor)
    if len(clear) < 2:
        return float("nan"), float("nan")
    times, logs = clear.astype(float), np.log(fall[clear])
    away = times - times.mean()
    slope = float(away @ logs / (away @ away))
    rate = float(np.exp(slope))
    if len(clear) < 4:
        return rate, float("nan")
    left = logs - logs.mean() - slope * away
    variance = float(left @ left) / (len(left) - 2)
    memory = min(0.9, max(0.0, float(left[1:] @ left[:-1]) / max(float(left @ left), 1e-300)))
    return rate, rate * float(np.sqrt(variance / (away @ away) * (1 + memory) / (1 - memory)))


def _power_law(times: Array, logs: Array) -> tuple[float, float]:
    """Return the exponent and the squared residuals of the power law (t + t0)^−a that fits best."""
    best = (np.inf, np.inf)
    for offset in _OFFSETS:
        log_times = np.log(times + offset)
        away = log_times - log_times.mean()
        slope = float(away @ logs / (away @ away))
        left = float(np.sum((logs - logs.mean() - slope * away) ** 2))
        if left < best[1]:
            best = (-slope, left)
    return best


def _but(found: Approach, objection: str) -> Approach:
    return Approach(objection=objection, rate=found.rate, error=found.error, first=found.first)
