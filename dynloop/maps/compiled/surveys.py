"""The compiled loops that watch orbits over a window and keep one line of numbers a row, not a series."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.compiled.jit import Compiled, explained, jit
from dynloop.maps.compiled.kept import keep
from dynloop.maps.compiled.loops import composed
from dynloop.maps.compiled.memory import memory
from dynloop.maps.compiled.reading import read

__all__ = ["survey_loop"]

_FEW = 8  # coordinates of states whose paths are kept over a window
_KEPT = 512  # compiled loops that are remembered


@jit
def _series(work: Array, at: int, loops: int) -> tuple[Array, Array, Array, Array]:
    """Return scratch for squares of steps, norms and returns, and a spare."""
    a, b, c, d = at + loops, at + 2 * loops, at + 3 * loops, at + 4 * loops
    return work[at:a], work[a:b], work[b:c], work[c:d]


@lru_cache(_KEPT)
def survey_loop(steps: tuple[Compiled, ...], dim: int, angles: bool) -> Compiled:
    """Return ``survey(states, params, periods, repeat, loops, largest, floor, ceiling, returns, trend, found)``.

    `largest` ``(rows,)`` is the largest norm seen before; `returns` the two distances that count as a return; decay is
    measured if `trend`, of steps that are small. `found` ``(11, rows)`` receives what `reading.NUMBERS` names, `states`
    the last states. `angles` says whether any coordinate is one.
    """
    return (_side_by_side if dim <= _FEW else _as_it_goes)(steps, dim, angles)


def _side_by_side(steps: tuple[Compiled, ...], dim: int, angles: bool) -> Compiled:
    """Survey states of few coordinates: four rows are iterated side by side, and their paths are measured after it.

    A processor waits for one step of an orbit before it can begin the next, and has time for other orbits; a path that
    is kept is measured in vector registers. The lines that repeat a loop stand here and below, as in `watch_loop`: a
    function of their own is not inlined, and made a window twelve times as dear.
    """
    once = composed(steps)
    _, vector, _, _ = memory(1, dim)

    @jit
    def advance(
        x: Array, own: Array, y: Array, z: Array, spare: Array, repeat: int, paths: Array, row: int, t: int
    ) -> None:
        once(x, own, y, spare)
        for _ in range(repeat - 1):
            for j in range(dim):
                z[j] = y[j]
            once(z, own, y, spare)
        for j in range(dim):
            paths[row + j, t] = x[j] = y[j]

    @jit
    def measure(paths: Array, row: int, periods: Array, step: Array, norm: Array, back: Array) -> None:
        for t in range(step.shape[0]):
            step2 = norm2 = return2 = 0.0
            for j in range(dim):
                d, n = paths[row + j, t + 1] - paths[row + j, t], paths[row + j, t + 1]
                r, turn = n - paths[row + j, 0], periods[j]
                if angles and turn == turn:
                    d -= np.floor(d / turn + 0.5) * turn
                    n -= np.floor(n / turn + 0.5) * turn
                    r -= np.floor(r / turn + 0.5) * turn
                step2 += d * d
                norm2 += n * n
                return2 += r * r
            step[t], norm[t], back[t] = step2, norm2, return2

    @jit
    def survey(
        first: int, last: int, work: Array, states: Array, params: Array, periods: Array, repeat: int, loops: int,
        largest: Array, floor: float, ceiling: float, returns: Array, trend: bool, found: Array,
    ) -> None:  # fmt: skip
        w, x, u = vector(work, 0, dim), vector(work, dim, dim), vector(work, 2 * dim, dim)
        v, y, z = vector(work, 3 * dim, dim), vector(work, 4 * dim, dim), vector(work, 5 * dim, dim)
        spare, (step, norm, back, other) = vector(work, 6 * dim, dim), _series(work, 7 * dim, loops)
        paths = work[7 * dim + 4 * loops : 11 * dim + 4 * (dim + 1) * loops].reshape(4 * dim, loops + 1)
        for b in range(first, last, 4):
            c, d, e = min(b + 1, last - 1), min(b + 2, last - 1), min(b + 3, last - 1)
            for j in range(dim):
                w[j] = paths[j, 0] = states[b, j]
                x[j] = paths[dim + j, 0] = states[c, j]
                u[j] = paths[2 * dim + j, 0] = states[d, j]
                v[j] = paths[3 * dim + j, 0] = states[e, j]
            n = params.shape[0]
            own, two, three, four = params[b % n], params[c % n], params[d % n], params[e % n]
            for t in range(1, loops + 1):
                advance(w, own, y, z, spare, repeat, paths, 0, t)
                advance(x, two, y, z, spare, repeat, paths, dim, t)
                advance(u, three, y, z, spare, repeat, paths, 2 * dim, t)
                advance(v, four, y, z, spare, repeat, paths, 3 * dim, t)
            for i in range(min(4, last - b)):
                for j in range(dim):
                    states[b + i, j] = paths[i * dim + j, loops]
                measure(paths, i * dim, periods, step, norm, back)
                read(step, norm, back, other, largest[b + i], floor, ceiling, returns, trend, found, b + i)

    return explained(keep(survey, steps, dim, angles), 11 * dim, 4 + 4 * dim)


def _as_it_goes(steps: tuple[Compiled, ...], dim: int, angles: bool) -> Compiled:
    """Survey states of many coordinates, whose paths are not kept: each loop is measured as it is done."""
    once = composed(steps)
    _, vector, _, _ = memory(1, dim)

    @jit
    def survey(
        first: int, last: int, work: Array, states: Array, params: Array, periods: Array, repeat: int, loops: int,
        largest: Array, floor: float, ceiling: float, returns: Array, trend: bool, found: Array,
    ) -> None:  # fmt: skip
        x, home, y = vector(work, 0, dim), vector(work, dim, dim), vector(work, 2 * dim, dim)
        z, spare = vector(work, 3 * dim, dim), vector(work, 4 * dim, dim)
        step, norm, back, other = _series(work, 5 * dim, loops)
        for b in range(first, last):
            own = params[b % params.shape[0]]
            for j in range(dim):
                x[j] = home[j] = states[b, j]
            for t in range(loops):
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
                step[t], norm[t], back[t] = step2, norm2, return2
            for j in range(dim):
                states[b, j] = x[j]
            read(step, norm, back, other, largest[b], floor, ceiling, returns, trend, found, b)

    return explained(keep(survey, steps, dim, angles), 5 * dim, 4)
