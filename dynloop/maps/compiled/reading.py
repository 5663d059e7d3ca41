"""What is read off the series of one orbit over a window: one line of numbers, compiled.

It is what `dynloop.orbits.recurrence` reads off arrays; the two are compared in the tests.
"""

from __future__ import annotations

import numba
import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.compiled.jit import jit, sqrt

__all__ = ["NUMBERS", "read"]

NUMBERS = ("largest", "step", "norm", "mean_step", "growth", "decay", "path", "settled", "finite", "period", "near")
_SMALL = 0.06  # share of the largest norm, below which the decay of steps is measured
_TINY = float(np.finfo(np.float64).tiny)


# Series are read in vector registers: in any order where that does no harm. A sum still shows infinity and NaN. What is
# done at one go saves calls: a window of one orbit is read in some hundred nanoseconds.
@numba.njit(fastmath={"reassoc"}, nogil=True)  # type: ignore[untyped-decorator] # numba has no types
def _lengths(step: Array, scale: Array, late: int) -> tuple[float, float, float]:
    """Take the roots of squared steps; return their sums before loop `late` and from it on, and that of `scale`."""
    before = after = size = 0.0
    for t in range(step.shape[0]):
        step[t] = sqrt(step[t])
    for t in range(late):
        before += step[t]
    for t in range(max(late, 0), step.shape[0]):
        after += step[t]
    for t in range(scale.shape[0]):
        size += scale[t]
    return before, after, size


@numba.njit(fastmath={"nnan", "nsz", "reassoc"}, nogil=True)  # type: ignore[untyped-decorator] # as above
def _range(values: Array, first: int, last: int) -> tuple[float, float]:
    """Return the least and the largest of ``values[first:last]``, none of them NaN."""
    low, high = np.inf, 0.0
    for t in range(first, last):
        low, high = min(low, values[t]), max(high, values[t])
    return low, high


@jit
def _growth(squares: Array, least: float, most: float) -> float:
    """Return by what factor the largest grew, from the first quarter to the last; 0 where it did not grow throughout.

    Every quarter must lie above the one before, by its least and its largest; `least` and `most` are those of all.
    """
    n, begun, first, low_before, high_before = squares.shape[0], 0, 0.0, 0.0, 0.0
    if n < 4:
        return 0.0
    for quarter in range(4):
        until = begun + n // 4 + (1 if quarter < n % 4 else 0)
        low, high = _range(squares, begun, until)
        if quarter == 0:
            if low > least or high >= most:  # most orbits end here
                return 0.0
            first = high
        elif not (high > high_before and low > low_before):
            return 0.0
        low_before, high_before, begun = low, high, until
    return high_before / first


@jit
def _most_finite(squares: Array) -> float:
    """Return the largest of numbers that are not NaN, up to infinity; 0 of none."""
    most = 0.0
    for t in range(squares.shape[0]):
        most = squares[t] if squares[t] > most else most
    return most


@jit
def _median(values: Array) -> float:
    """Return the median of positive numbers, which are put in another order; nan of none."""
    n = values.shape[0]
    if n == 0:
        return np.nan
    low, high, k = 0, n - 1, n // 2
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            break
    upper: float = values[k]
    if n % 2:
        return upper
    lower: float = values[0]
    for i in range(1, k):
        lower = max(lower, values[i])
    return (lower + upper) / 2


@jit
def _middle(values: Array, first: int, last: int, spare: Array) -> float:
    """Return the median of ``values[first:last]``, left as they are."""
    for i in range(first, last):
        spare[i - first] = values[i]
    return float(_median(spare[: last - first]))


@jit
def _hits(returns: Array, scale: Array, tight: float, loose: float) -> tuple[int, int]:
    """Count the returns within two squared relative distances: in vector registers, at one go."""
    inside = around = 0
    for t in range(returns.shape[0]):
        inside += returns[t] <= tight * scale[t]
        around += returns[t] <= loose * scale[t]
    return inside, around


@jit
def _period(returns: Array, scale: Array, square: float, hits: int) -> int:
    """Return the smallest p whose every multiple in the window returns, or −1; arrays hold squares.

    `hits` says how many return: most orbits return nowhere or everywhere.
    """
    n = returns.shape[0]
    if hits == 0:
        return -1
    if hits == n > 1:
        return 1
    for p in range(1, n // 2 + 1):
        if returns[p - 1] <= square * scale[p - 1]:
            holds = True
            for t in range(2 * p - 1, n, p):
                if not returns[t] <= square * scale[t]:
                    holds = False
                    break
            if holds:
                return p
    return -1


@jit
def _settled(steps: Array, scale: Array, floor: float, ceiling: float, spare: Array) -> float:
    """Say whether relative steps have reached the floor, 1 or 0: small and no longer falling, or all below it."""
    n = steps.shape[0]
    length = min(n, max(8, min(32, n // 2)))
    below = True
    for t in range(n - 1, n - length - 1, -1):
        relative = steps[t] / sqrt(scale[t])
        if not relative <= ceiling * floor:
            return 0.0
        below = below and relative <= floor
    if below:
        return 1.0
    if n == 1:
        return 1.0
    half = length // 2
    for t in range(length):
        spare[t] = steps[n - length + t] / sqrt(scale[n - length + t])
    before, after = _median(spare[:half]), _median(spare[half:length])
    return 1.0 if after >= 0.5 * before else 0.0


@jit
def _decay(steps: Array, spare: Array) -> float:
    """Return the factor per loop by which steps fell, from medians of the first and the last quarter."""
    n = steps.shape[0]
    if n < 4:
        return float("nan")
    head, tail = n // 4 + (1 if n % 4 else 0), n // 4
    ratio = np.float64(_middle(steps, n - tail, n, spare)) / _middle(steps, 0, head, spare)  # 1 / 0 is inf
    return float(ratio ** (4 / (3 * n)))


@jit
def read(
    step: Array, scale: Array, back: Array, spare: Array, seen: float, floor: float, ceiling: float, returns: Array,
    trend: bool, found: Array, b: int,
) -> None:  # fmt: skip
    """Read off a row's series what `NUMBERS` names, into column `b` of `found`; the series are spoiled.

    The series hold squares of the steps, norms and returns; `seen` is the largest norm seen before.
    """
    loops = step.shape[0]
    late = loops - max(1, loops // 4)
    before, after, size = _lengths(step, scale, late)
    path = before + after
    found[2, b], found[6, b], found[8, b] = sqrt(scale[loops - 1]), path, 1.0
    found[1, b] = found[3, b] = found[4, b] = found[5, b] = np.nan
    found[7, b], found[9, b], found[10, b] = 0.0, -1.0, -1.0
    if not size + path < np.inf:
        found[0, b], found[8, b] = max(seen, sqrt(_most_finite(scale))), 0.0
        return
    smallest, most = _range(scale, 0, loops)
    largest, grown = max(seen, sqrt(most)), _growth(scale, smallest, most)
    found[0, b] = largest
    if grown > 0:
        found[4, b] = grown ** (2 / (3 * loops))  # 4 / 3n of the root
    least = max((floor * largest + _TINY) ** 2, 1e-300)
    if smallest < least:
        for t in range(loops):
            scale[t] = max(scale[t], least)
    last = step[loops - 1] / sqrt(scale[loops - 1])
    mean = after / (loops - late)
    found[1, b], found[3, b] = last, mean
    if last <= ceiling * floor:
        found[7, b] = _settled(step, scale, floor, ceiling, spare)
    tight, loose = returns[0] * returns[0], returns[1] * returns[1]
    inside, around = _hits(back, scale, tight, loose)
    if around > 0:
        found[9, b], found[10, b] = _period(back, scale, tight, inside), _period(back, scale, loose, around)
    if trend and mean <= _SMALL * largest:
        found[5, b] = _decay(step, spare)
