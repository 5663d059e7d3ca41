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
def _period(returns: Array, scale: Array, tolerance: float) -> float:
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
def _growth(norms: Array) -> float:
    """Return the factor per loop by which norms grew, nan where they did not grow steadily; the array holds squares."""
    n, at = norms.shape[0], 0
    most_before = least_before = most_first = most = 0.0
    for quarter in range(4):
        length = n // 4 + (1 if quarter < n % 4 else 0)
        if length == 0:
            return float("nan")
        most = least = norms[at]
        for t in range(at + 1, at + length):
            most, least = max(most, norms[t]), min(least, norms[t])
        if quarter and not (most > most_before and least > least_before):
            return np.nan
        if quarter == 0:
            most_first = most
        most_before, least_before = most, least
        at += length
    return (most / most_first) ** (2 / (3 * n))  # type: ignore[no-any-return] # 4 / 3n of the root


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
    half = length // 2
    for t in range(length):
        spare[t] = steps[n - length + t] / sqrt(scale[n - length + t])
    before, after = _median(spare[:half]), _median(spare[half:length])
    return 1.0 if after >= 0.5 * before else 0.0


@lru_cache(_KEPT)
def survey_loop(steps: tuple[Compiled, ...], dim: int) -> Compiled:
    """Return ``survey(states, params, periods, repeat, loops, largest, floor, ceiling, returns, trend, found)``.

    `largest` ``(rows,)`` is the largest norm seen before; `returns` the two distances that count as a return; decay is
    measured if `trend`. `found` ``(11, rows)`` receives what `NUMBERS` names, `states` the last states.
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
        step, norm = work[4 * dim : 4 * dim + loops], work[4 * dim + loops : 4 * dim + 2 * loops]
        back, other = work[4 * dim + 2 * loops : 4 * dim + 3 * loops], work[4 * dim + 3 * loops : 4 * dim + 4 * loops]
        for b in range(first, last):
            own = params[b % params.shape[0]]
            for j in range(dim):
                x[j] = states[b, j]
            for t in range(loops):
                once(x, own, y, spare)
                for _ in range(repeat - 1):
                    for j in range(dim):
                        z[j] = y[j]
                    once(z, own, y, spare)
                step2 = norm2 = return2 = 0.0
                for j in range(dim):
                    d, n, r = y[j] - x[j], y[j], y[j] - states[b, j]
                    if periods[j] == periods[j]:
                        d -= np.floor(d / periods[j] + 0.5) * periods[j]
                        n -= np.floor(n / periods[j] + 0.5) * periods[j]
                        r -= np.floor(r / periods[j] + 0.5) * periods[j]
                    step2 += d * d
                    norm2 += n * n
                    return2 += r * r
                step[t], norm[t], back[t] = step2, norm2, return2
                for j in range(dim):
                    x[j] = y[j]
            most, sound = largest[b] * largest[b], True
            for t in range(loops):
                sound = sound and norm[t] < np.inf and step[t] < np.inf
                if norm[t] > most:
                    most = norm[t]
            growth = _growth(norm)
            found[2, b] = sqrt(norm[loops - 1])
            least = (floor * sqrt(most) + _TINY) ** 2
            for t in range(loops):
                norm[t] = max(norm[t], least)
                step[t] = sqrt(step[t])
            path = mean = 0.0
            for t in range(loops):
                path += step[t]
            quarter = max(1, loops // 4)
            for t in range(loops - quarter, loops):
                mean += step[t]
            found[0, b] = max(largest[b], sqrt(most))
            found[1, b] = step[loops - 1] / sqrt(norm[loops - 1])
            found[3, b] = mean / quarter
            found[4, b] = growth
            found[6, b] = path
            found[7, b] = _settled(step, norm, floor, ceiling, other)
            found[8, b] = 1.0 if sound else 0.0
            found[9, b] = _period(back, norm, returns[0])
            found[10, b] = found[9, b] if found[9, b] > 0 else _period(back, norm, returns[1])
            found[5, b] = np.nan
            if trend and sound:
                head = loops // 4 + (1 if loops % 4 else 0)
                tail = loops // 4 if loops >= 4 else 0
                before, after = _middle(step, 0, head, other), _middle(step, loops - tail, loops, other)
                found[5, b] = (after / before) ** (4 / (3 * loops))
            for j in range(dim):
                states[b, j] = x[j]

    return explained(keep(survey, steps, dim), 4 * dim, 4)
