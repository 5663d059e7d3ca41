"""Compiled loops of sweeps over many states and parameters: the period of every orbit, and its states one by one."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.compiled.jit import Compiled, explained, jit
from dynloop.maps.compiled.kept import keep
from dynloop.maps.compiled.loops import composed
from dynloop.maps.compiled.memory import memory

__all__ = ["period_loop", "record_loop"]

_KEPT = 512  # compiled loops that are remembered


@jit
def _size(x: Array) -> float:
    """Return the largest coordinate in modulus; nan if one is nan. Orbits beyond 1e150 are lost."""
    most = 0.0
    for j in range(x.shape[0]):
        if not abs(x[j]) <= most and most == most:
            most = abs(x[j])
    return most


@jit
def _apart(x: Array, y: Array, periods: Array) -> float:
    """Return the largest difference between two states, angles wrapped."""
    most = 0.0
    for j in range(x.shape[0]):
        d = x[j] - y[j]
        if periods[j] == periods[j]:
            d -= np.floor(d / periods[j] + 0.5) * periods[j]
        most = max(most, abs(d))
    return most


@lru_cache(_KEPT)
def record_loop(steps: tuple[Compiled, ...], dim: int) -> Compiled:
    """Record ``record(states, params, repeat, transient, found)``: the states after the transient.

    `found` is ``(rows, loops, dim)``; nan from where an orbit is lost, in the transient or later.
    """
    once = composed(steps)
    _, vector, _, _ = memory(1, dim)

    @jit
    def record(
        first: int, last: int, work: Array, states: Array, params: Array, repeat: int, transient: int, found: Array
    ) -> None:
        x, y, spare = vector(work, 0, dim), vector(work, dim, dim), vector(work, 2 * dim, dim)
        for b in range(first, last):
            own = params[b % params.shape[0]]
            for j in range(dim):
                x[j] = states[b, j]
            lost = False
            for t in range(transient + found.shape[1]):
                if not lost:
                    for _ in range(repeat):
                        once(x, own, y, spare)
                        for j in range(dim):
                            x[j] = y[j]
                    if not _size(x) < 1e150:
                        lost = True
                        for j in range(dim):
                            x[j] = np.nan
                if t >= transient:
                    for j in range(dim):
                        found[b, t - transient, j] = x[j]
            for j in range(dim):
                states[b, j] = x[j]

    return explained(keep(record, steps, dim), 3 * dim)


@lru_cache(_KEPT)
def period_loop(steps: tuple[Compiled, ...], dim: int) -> Compiled:
    """Find ``period(states, params, periods, repeat, transient, longest, tolerance, found)``: the period of each orbit.

    `found` ``(rows,)`` receives the least p up to `longest` after which the orbit is back within tolerance·max|x|
    twice, the second time no farther than the first, or than rounding; 0 where there is none; −1 where the orbit
    is lost. Nothing is found either where a proper divisor of p brings the orbit back within a thousand tolerances: it
    may still be settling on a shorter cycle.
    """
    once = composed(steps)
    _, vector, _, _ = memory(1, dim)

    @jit
    def period(
        first: int, last: int, work: Array, states: Array, params: Array, periods: Array,
        repeat: int, transient: int, longest: int, tolerance: float, found: Array,
    ) -> None:  # fmt: skip
        gaps = np.empty(longest + 1)
        x, y = vector(work, 0, dim), vector(work, dim, dim)
        reference, spare = vector(work, 2 * dim, dim), vector(work, 3 * dim, dim)
        for b in range(first, last):
            own = params[b % params.shape[0]]
            for j in range(dim):
                x[j] = states[b, j]
            found[b] = 0
            largest = _size(x)
            for _ in range(transient):
                for _ in range(repeat):
                    once(x, own, y, spare)
                    for j in range(dim):
                        x[j] = y[j]
                largest = max(largest, _size(x))
                if not largest < 1e150:
                    found[b] = -1
                    break
            if found[b] < 0:
                continue
            for j in range(dim):
                reference[j] = x[j]
            size = max(_size(x), 2.2e-16 * largest)  # an orbit that falls to the origin rests there
            p, t = 0, 0
            while t < (2 * p if p else longest):
                t += 1
                for _ in range(repeat):
                    once(x, own, y, spare)
                    for j in range(dim):
                        x[j] = y[j]
                if not _size(x) < 1e150:
                    found[b] = -1
                    break
                gap = _apart(x, reference, periods)
                if t <= longest:
                    gaps[t] = gap
                if p == 0 and gap <= tolerance * size:
                    p = t
            if p == 0 or found[b] < 0:
                continue
            if gap > max(1.5 * gaps[p], 1e-15 * size):
                continue
            found[b] = p
            for d in range(1, p // 2 + 1):
                if p % d == 0 and gaps[d] <= 1e3 * tolerance * size:
                    found[b] = 0

    return explained(keep(period, steps, dim), 4 * dim)
