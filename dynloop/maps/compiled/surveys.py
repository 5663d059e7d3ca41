"""The compiled loop that watches orbits over a window and keeps one line of numbers a row, not a series.

What it reads off the series is what `dynloop.orbits.recurrence` reads off arrays; the two are compared in the tests.
"""

from __future__ import annotations

from functools import lru_cache

import numba
import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.compiled.jit import Compiled, explained, jit, sqrt
from dynloop.maps.compiled.kept import keep
from dynloop.maps.compiled.loops import composed
from dynloop.maps.compiled.memory import memory

__all__ = ["NUMBERS", "survey_loop"]

NUMBERS = ("largest", "step", "norm", "mean_step", "growth", "decay", "path", "settled", "finite", "period", "near")
_SMALL = 0.06  # share of the largest norm, below which the decay of steps is measured
_KEPT = 512  # compiled loops that are remembered
_TINY = float(np.finfo(np.float64).tiny)


# Series are read in vector registers: in any order where that does no harm. A sum still shows infinity and NaN.
@numba.njit(fastmath={"reassoc"}, nogil=True)  # type: ignore[untyped-decorator] # numba has no types
def _sum(values: Array) -> float:
    total = 0.0
    for t in range(values.shape[0]):
        total += values[t]
    return total


@numba.njit(fastmath={"nnan", "nsz", "reassoc"}, nogil=True)  # type: ignore[untyped-decorator] # as above
def _range(values: Array) -> tuple[float, float]:
    """Return the least and the largest of numbers without NaN."""
    low, high = np.inf, 0.0
    for t in range(values.shape[0]):
        low, high = min(low, values[t]), max(high, values[t])
    return low, high


@jit
def _extremes(squares: Array) -> tuple[float, float, float]:
    """Return the least, the largest, and by what factor the largest grew, from the first quarter to the last.

    The factor is 0 where not every quarter lies above the one before, by its least and its largest. Squares are finite.
    """
    n, begun = squares.shape[0], 0
    least, most, first, low_before, high_before, steady = np.inf, 0.0, 0.0, 0.0, 0.0, n >= 4
    for quarter in range(4):
        until = begun + n // 4 + (1 if quarter < n % 4 else 0)
        low, high = _range(squares[begun:until])
        steady = steady and (quarter == 0 or (high > high_before and low > low_before))
        first = high if quarter == 0 else first
        least, most, low_before, high_before, begun = min(least, low), max(most, high), low, high, until
    return least, most, high_before / first if steady else 0.0


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
def _period(returns: Array, scale: Array, tolerance: float) -> int:
    """Return the smallest p whose every multiple in the window returns, or −1; arrays hold squares."""
    n, square, hits = returns.shape[0], tolerance * tolerance, 0
    for t in range(n):  # counted first: it runs in vector registers, and most orbits return nowhere or everywhere
        hits += returns[t] <= square * scale[t]
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
def _read(
    series: Array, seen: float, floor: float, ceiling: float, returns: Array, trend: bool, line: Array
) -> None:  # fmt: skip
    """Read off a row's series what `NUMBERS` names; `series` holds squares of steps, norms and returns, and a spare.

    `seen` is the largest norm seen before.
    """
    step, scale, back, other = series[0], series[1], series[2], series[3]
    loops = step.shape[0]
    for t in range(loops):
        step[t] = sqrt(step[t])
    path = _sum(step)
    line[2], line[6], line[8] = sqrt(scale[loops - 1]), path, 1.0
    line[1] = line[3] = line[4] = line[5] = np.nan
    line[7], line[9], line[10] = 0.0, -1.0, -1.0
    if not _sum(scale) + path < np.inf:
        line[0], line[8] = max(seen, sqrt(_most_finite(scale))), 0.0
        return
    smallest, most, grown = _extremes(scale)
    line[0] = max(seen, sqrt(most))
    if grown > 0:
        line[4] = grown ** (2 / (3 * loops))  # 4 / 3n of the root
    least = max((floor * line[0] + _TINY) ** 2, 1e-300)
    if smallest < least:
        for t in range(loops):
            scale[t] = max(scale[t], least)
    line[1] = step[loops - 1] / sqrt(scale[loops - 1])
    quarter = max(1, loops // 4)
    line[3] = _sum(step[loops - quarter :]) / quarter
    line[7] = _settled(step, scale, floor, ceiling, other)
    line[9], line[10] = _period(back, scale, returns[0]), _period(back, scale, returns[1])
    if trend and line[3] <= _SMALL * line[0]:
        line[5] = _decay(step, other)


@lru_cache(_KEPT)
def survey_loop(steps: tuple[Compiled, ...], dim: int, angles: bool) -> Compiled:
    """Return ``survey(states, params, periods, repeat, loops, largest, floor, ceiling, returns, trend, found)``.

    `largest` ``(rows,)`` is the largest norm seen before; `returns` the two distances that count as a return; decay is
    measured if `trend`, of steps that are small. `found` ``(11, rows)`` receives what `NUMBERS` names, `states`
    the last states. `angles` says whether any coordinate is one. Two rows are iterated side by side: a processor waits
    for one step of an orbit before it can begin the next, and has time for another orbit.
    """
    once = composed(steps)
    _, vector, _, _ = memory(1, dim)

    @jit
    def advance(
        x: Array, own: Array, y: Array, z: Array, spare: Array, home: Array, periods: Array, repeat: int, series: Array,
        t: int,
    ) -> None:  # fmt: skip
        once(x, own, y, spare)
        for _ in range(repeat - 1):
            for j in range(dim):
                z[j] = y[j]
            once(z, own, y, spare)
        step2 = norm2 = return2 = 0.0
        for j in range(dim):
            d, n, r = y[j] - x[j], y[j], y[j] - home[j]
            if angles and periods[j] == periods[j]:
                d -= np.floor(d / periods[j] + 0.5) * periods[j]
                n -= np.floor(n / periods[j] + 0.5) * periods[j]
                r -= np.floor(r / periods[j] + 0.5) * periods[j]
            step2 += d * d
            norm2 += n * n
            return2 += r * r
            x[j] = y[j]
        series[0, t], series[1, t], series[2, t] = step2, norm2, return2

    @jit
    def survey(
        first: int, last: int, work: Array, states: Array, params: Array, periods: Array, repeat: int, loops: int,
        largest: Array, floor: float, ceiling: float, returns: Array, trend: bool, found: Array,
    ) -> None:  # fmt: skip
        x, home, u, there = (
            vector(work, 0, dim),
            vector(work, dim, dim),
            vector(work, 2 * dim, dim),
            vector(work, 3 * dim, dim),
        )
        y, z, spare = vector(work, 4 * dim, dim), vector(work, 5 * dim, dim), vector(work, 6 * dim, dim)
        series = work[7 * dim : 7 * dim + 8 * loops].reshape(2, 4, loops)
        for b in range(first, last, 2):
            c = min(b + 1, last - 1)
            own, other = params[b % params.shape[0]], params[c % params.shape[0]]
            for j in range(dim):
                x[j] = home[j] = states[b, j]
                u[j] = there[j] = states[c, j]
            for t in range(loops):
                advance(x, own, y, z, spare, home, periods, repeat, series[0], t)
                advance(u, other, y, z, spare, there, periods, repeat, series[1], t)
            for j in range(dim):
                states[b, j], states[c, j] = x[j], u[j]
            _read(series[0], largest[b], floor, ceiling, returns, trend, found[:, b])
            if c > b:
                _read(series[1], largest[c], floor, ceiling, returns, trend, found[:, c])

    return explained(keep(survey, steps, dim, angles), 7 * dim, 8)
