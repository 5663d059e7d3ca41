"""Reading a window of norms: has it settled, does it return, does it grow, do its steps sum? Candidates only.

Every function takes series over loops as NumPy arrays, axis 0 = loops, and says what the window looks like. What an
orbit does is decided elsewhere, by evaluating the map where a claim would show.
"""

from __future__ import annotations

import numpy as np

from dynloop.maps.base import Array

__all__ = ["decay", "divides", "growth", "octave_law", "return_period", "settled"]


def settled(steps: Array, floor: Array, *, ceiling: float) -> Array:
    """Say whether relative steps have reached a floor: small, and no longer falling.

    Parameters
    ----------
    steps : ndarray, (loops, …)
        Relative steps.
    floor : ndarray, (…)
        Precision floor; steps at or below it count as settled whatever their trend.
    ceiling : float
        Steps above ``ceiling × floor`` are never called settled.

    Returns
    -------
    ndarray of bool, (…)
    """
    window = steps[-max(8, min(32, len(steps) // 2)) :]
    half = len(window) // 2
    with np.errstate(invalid="ignore"):
        small = np.all(window <= ceiling * floor, axis=0)
        stalled = np.median(window[half:], axis=0) >= 0.5 * np.median(window[: max(1, half)], axis=0)
        at_floor = np.all(window <= floor, axis=0)
    return np.asarray(small & (stalled | at_floor))


def return_period(returns: Array, tolerance: float) -> int:
    """Return the smallest p whose every multiple in the window returns, or −1.

    Parameters
    ----------
    returns : ndarray, (loops,)
        ``returns[t − 1]`` is the relative distance to the state t loops before.
    tolerance : float
        Relative distance that counts as a return.

    Returns
    -------
    int
        The period, at least 1, or −1 if fewer than two returns were seen.
    """
    hits = np.flatnonzero(returns <= tolerance) + 1
    for p in hits:
        if 2 * p > len(returns):
            break
        if np.all(returns[p - 1 :: p] <= tolerance):
            return int(p)
    return -1


def growth(norms: Array) -> Array:
    """Return the factor per loop by which norms grew over a window; nan where they did not grow steadily.

    Parameters
    ----------
    norms : ndarray, (loops, …)
        Norms of the state.
    """
    if len(norms) < 4:
        return np.full(norms.shape[1:], np.nan)
    quarters = np.stack([part.max(axis=0) for part in np.array_split(norms, 4)])
    lows = np.stack([part.min(axis=0) for part in np.array_split(norms, 4)])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        factor = (quarters[-1] / quarters[0]) ** (4 / (3 * len(norms)))
        steady = np.all(quarters[1:] > quarters[:-1], axis=0) & np.all(lows[1:] > lows[:-1], axis=0)
    return np.where(steady, factor, np.nan)


def decay(steps: Array) -> Array:
    """Return the factor per loop by which steps fell over a window, from medians of its first and last quarter."""
    if len(steps) < 4:
        return np.full(steps.shape[1:], np.nan)
    quarters = np.array_split(steps, 4)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.median(quarters[-1], axis=0) / np.median(quarters[0], axis=0)
    return np.asarray(ratio ** (4 / (3 * len(steps))))


def octave_law(lengths: Array, tolerance: float = 5e-3) -> str:
    """Read the lengths (of the path, or of the net displacement) of successive octaves ``[2^j, 2^(j+1))`` of an orbit.

    Steps that fall to zero and sum give lengths that fall by a steady factor. A spiral that closes in slowly has a path
    that does not sum but displacements that do, so both must be read.

    Parameters
    ----------
    lengths : ndarray, (octaves,)
        Path length of each octave, oldest first.
    tolerance : float
        How far the last ratio may stay below 1 to count as constant.

    Returns
    -------
    {"drift", "summable", "unclear"}
        "drift" if the lengths are constant or grow, and approach that from wherever they come; "summable" if they fall
        by a steady factor well below 1. Ratios that fall are continued to their limit: every slow decay to a point has
        ratios from 2 down through 1 before it shows.
    """
    if len(lengths) < 4 or np.any(lengths[-4:] <= 0):
        return "unclear"
    ratios = lengths[1:] / lengths[:-1]
    last = ratios[-3:]
    closing = np.abs(last[-1] - 1) <= np.abs(last[0] - 1) * 1.01
    if (
        np.all(last >= 1 - 4 * tolerance)
        and last[-1] >= 1 - tolerance
        and (closing or np.all(last >= 1))
        and _tends_to(last) >= 1 - tolerance
    ):
        return "drift"
    if np.all(last <= 0.95) and np.ptp(last) <= 0.1:
        return "summable"
    return "unclear"


def _tends_to(ratios: Array) -> float:
    """Return what three ratios tend to if falls go on by the factor seen, at least 1/2; −inf if that is near 1."""
    first, second = ratios[0] - ratios[1], ratios[1] - ratios[2]
    if second <= 0:
        return float(ratios[2])
    factor = max(0.5, second / first) if first > 0 else np.inf
    return float(ratios[2] - second * factor / (1 - factor)) if factor <= 0.8 else -np.inf


def divides(p: int) -> list[int]:
    """Return the proper divisors of p, ascending."""
    return [q for q in range(1, p) if p % q == 0]
