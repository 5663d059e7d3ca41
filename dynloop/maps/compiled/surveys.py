"""The compiled loop that watches orbits over a window and keeps one line of numbers a row, not a series.

What it reads off the series is what `dynloop.orbits.recurrence` reads off arrays; the two are compared in the tests.
"""

from __future__ import annotations

from functools import lru_cache

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
    n, square = returns.shape[0], tolerance * tolerance
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
    ratio = _middle(steps, n - tail, n, spare) / _middle(steps, 0, head, spare)
    return float(ratio ** (4 / (3 * n)))


@lru_cache(_KEPT)
def survey_loop(steps: tuple[Compiled, ...], dim: int, angles: bool) -> Compiled:
    """Return ``survey(states, params, periods, repeat, loops, largest, floor, ceiling, returns, trend, found)``.

    `largest` ``(rows,)`` is the largest norm seen before; `returns` the two distances that count as a return; decay is
    measured if `trend`, of steps that are small. `found` ``(rows, 11)`` receives what `NUMBERS` names, `states`
    the last states. `angles` says whether any coordinate is one.
    """
    once = composed(steps)
    _, vector, _, _ = memory(1, dim)

    @jit
    def survey(
        first: int, last: int, work: Array, states: Array, params: Array, periods: Array, repeat: int, loops: int,
        largest: Array, floor: float, ceiling: float, returns: Array, trend: bool, found: Array,
    ) -> None:  # fmt: skip
        x, y = vector(work, 0, dim), vector(work, dim, dim)
        z, spare = vector(work, 2 * dim, dim), vector(work, 3 * dim, dim)
        home, series = vector(work, 4 * dim, dim), work[5 * dim : 5 * dim + 4 * loops]
        step, scale, back = series[:loops], series[loops : 2 * loops], series[2 * loops : 3 * loops]
        other, narrow, wide = series[3 * loops :], returns[0] * returns[0], returns[1] * returns[1]
        for b in range(first, last):
            own = params[b % params.shape[0]]
            for j in range(dim):
                x[j] = states[b, j]
                home[j] = x[j]
            total = path = late = 0.0
            most = most_first = most_before = least_before = 0.0
            smallest, steady, hits, hits_near = np.inf, loops >= 4, 0, 0
            begun = 0
            for quarter in range(4):
                high, low, until = 0.0, np.inf, begun + loops // 4 + (1 if quarter < loops % 4 else 0)
                for t in range(begun, until):
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
                    length = sqrt(step2)
                    step[t], scale[t], back[t] = length, norm2, return2
                    path += length
                    total += norm2
                    high = norm2 if norm2 > high else high
                    low = norm2 if norm2 < low else low
                    hits += return2 <= narrow * norm2
                    hits_near += return2 <= wide * norm2
                steady = steady and (quarter == 0 or (high > most_before and low > least_before))
                most_first = high if quarter == 0 else most_first
                most, smallest = max(most, high), min(smallest, low)
                most_before, least_before, begun = high, low, until
            for j in range(dim):
                states[b, j] = x[j]
            line = found[b]
            line[0], line[2], line[6], line[8] = max(largest[b], sqrt(most)), sqrt(scale[loops - 1]), path, 1.0
            line[1] = line[3] = line[4] = line[5] = np.nan
            line[7], line[9], line[10] = 0.0, -1.0, -1.0
            if not total + path < np.inf:
                line[8] = 0.0
                continue
            if steady:
                line[4] = (most_before / most_first) ** (2 / (3 * loops))  # 4 / 3n of the root
            least = max((floor * line[0] + _TINY) ** 2, 1e-300)
            if smallest < least:
                for t in range(loops):
                    scale[t] = max(scale[t], least)
                hits = hits_near = -1
            line[1] = step[loops - 1] / sqrt(scale[loops - 1])
            quarter = max(1, loops // 4)
            for t in range(loops - quarter, loops):
                late += step[t]
            line[3] = late / quarter
            line[7] = _settled(step, scale, floor, ceiling, other)
            if hits_near:
                line[10] = 1.0 if hits_near == loops > 1 else _period(back, scale, returns[1])
            if hits:
                line[9] = 1.0 if hits == loops > 1 else _period(back, scale, returns[0])
            if trend and line[3] <= _SMALL * line[0]:
                line[5] = _decay(step, other)

    return explained(keep(survey, steps, dim, angles), 5 * dim, 4)
