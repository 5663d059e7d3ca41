"""The compiled loops behind `KernelMap`: batches of steps, tangents, and the frame that is carried along.

Every builder takes compiled steps, or tangents of them, and returns ``run(rows, work, count, *arrays)`` (see
`explained`); the arrays are named in its first line. Builders are memoised by the steps given, so maps that share them
(one family, many parameters) are compiled once. `params` is ``(rows, parameters)``, one row for all states or one for
each. A loop is the steps, `repeat` times.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.compiled.jit import Compiled, dot, explained, jit, log, sqrt
from dynloop.maps.compiled.kept import keep
from dynloop.maps.compiled.memory import memory
from dynloop.maps.compiled.tangents import Tangent, composed_tangents

__all__ = ["apply_loop", "push_loop", "stretch_loop", "watch_loop"]

_KEPT = 512  # compiled loops that are remembered


@lru_cache(_KEPT)
def apply_loop(step: Compiled) -> Compiled:
    """Return ``apply(states, params, out)``: one step on every row."""

    @jit
    def apply(first: int, last: int, scratch: Array, states: Array, params: Array, out: Array) -> None:  # noqa: ARG001 - as all have
        for b in range(first, last):
            step(states[b], params[b % params.shape[0]], out[b])

    return explained(keep(apply, step))


def composed(steps: tuple[Compiled, ...]) -> Compiled:
    """Return ``loop(x, params, out, spare)``, the composition of the steps; `x` is left as it was."""
    if len(steps) == 1:
        only = steps[0]

        @jit
        def loop(x: Array, params: Array, out: Array, spare: Array) -> None:  # noqa: ARG001 - as below
            only(x, params, out)

        return loop  # type: ignore[no-any-return] # numba has no types
    before, last = composed(steps[:-1]), steps[-1]

    @jit
    def loop_and_one(x: Array, params: Array, out: Array, spare: Array) -> None:
        before(x, params, spare, out)
        last(spare, params, out)

    return loop_and_one  # type: ignore[no-any-return] # numba has no types


@lru_cache(_KEPT)
def watch_loop(steps: tuple[Compiled, ...], dim: int) -> Compiled:
    """Return ``watch(states, reference, params, periods, repeat, found)``.

    `found` ``(3, loops, batch, 1)`` receives the step, the norm and the distance to the reference, angles wrapped.
    """
    once = composed(steps)
    _, vector, _, _ = memory(1, dim)

    @jit
    def watch(
        first: int, last: int, work: Array, states: Array, reference: Array, params: Array, periods: Array,
        repeat: int, found: Array,
    ) -> None:  # fmt: skip
        x, y = vector(work, 0, dim), vector(work, dim, dim)
        z, spare = vector(work, 2 * dim, dim), vector(work, 3 * dim, dim)
        for b in range(first, last):
            own = params[b % params.shape[0]]
            for j in range(dim):
                x[j] = states[b, j]
            for t in range(found.shape[1]):
                once(x, own, y, spare)
                for _ in range(repeat - 1):
                    for j in range(dim):
                        z[j] = y[j]
                    once(z, own, y, spare)
                step2 = norm2 = return2 = 0.0
                for j in range(dim):
                    d, n, r = y[j] - x[j], y[j], y[j] - reference[b, j]
                    if periods[j] == periods[j]:
                        d -= np.floor(d / periods[j] + 0.5) * periods[j]
                        n -= np.floor(n / periods[j] + 0.5) * periods[j]
                        r -= np.floor(r / periods[j] + 0.5) * periods[j]
                    step2 += d * d
                    norm2 += n * n
                    return2 += r * r
                found[0, t, b, 0] = sqrt(step2)
                found[1, t, b, 0] = sqrt(norm2)
                found[2, t, b, 0] = sqrt(return2)
                for j in range(dim):
                    x[j] = y[j]
            for j in range(dim):
                states[b, j] = x[j]

    return explained(keep(watch, steps, dim), 4 * dim)


@lru_cache(_KEPT)
def push_loop(tangents: tuple[Tangent, ...], dim: int) -> Compiled:
    """Return ``push(states, frames, params, repeat, new, pushed)``: F(x) and J·V of the steps, `repeat` times."""
    whole = composed_tangents(tangents, dim, 0)
    tangent, fixed, each = whole.call, whole.fixed, whole.each
    _, vector, _, matrix = memory(0, dim)

    @jit
    def push(
        first: int, last: int, scratch: Array, states: Array, frames: Array, params: Array, repeat: int,
        new: Array, pushed: Array,
    ) -> None:  # fmt: skip
        count = frames.shape[1]
        x, V = vector(scratch, 0, dim), matrix(scratch, dim, 0, count, dim)
        work = scratch[dim * (1 + count) :]
        for b in range(first, last):
            own = params[b % params.shape[0]]
            tangent(states[b], frames[b], own, new[b], pushed[b], work)
            for _ in range(repeat - 1):
                for j in range(dim):
                    x[j] = new[b, j]
                for a in range(V.shape[0]):
                    for j in range(dim):
                        V[a, j] = pushed[b, a, j]
                tangent(x, V, own, new[b], pushed[b], work)

    return explained(keep(push, whole.parts, dim), dim + fixed, dim + each)


@jit
def _orthonormalise(V: Array, lengths: Array) -> None:
    """Orthonormalise the rows of V by modified Gram–Schmidt, twice for safety where directions nearly coincide.

    `lengths` receives R_jj, 0 where nothing but rounding is left of a direction (theory note T8). Such a row is put
    anew, of unit length, for the next loop to stretch and to orthogonalise. All is nan where a row is not finite.
    """
    k, dim = V.shape
    longest = total = 0.0
    for a in range(k):
        lengths[a, 0] = dot(V[a], V[a])
        longest = max(longest, lengths[a, 0])
        total += lengths[a, 0]
    if not total < np.inf:
        for a in range(k):
            lengths[a, 0] = np.nan
            for j in range(dim):
                V[a, j] = np.nan
        return
    gone, lost = dim * 2.3e-16 * sqrt(longest), False
    for a in range(k):
        square = lengths[a, 0]
        for _ in range(2):  # again only where little is left, and rounding with it
            for c in range(a):
                along = dot(V[c], V[a])
                for j in range(dim):
                    V[a, j] -= along * V[c, j]
            before, square = square, dot(V[a], V[a])
            if square > 1e-4 * before:
                break
        length = sqrt(square)
        kept = length > gone
        scale = 1 / length if kept else 0.0
        lost = lost or not kept
        lengths[a, 0] = length if kept else 0.0
        for j in range(dim):
            V[a, j] *= scale
    if lost:
        side = 1 / sqrt(dim)
        for a in range(k):
            if lengths[a, 0] == 0.0:
                for j in range(dim):
                    V[a, j] = side if (7 * j * j + 3 * j + a) % 5 < 2 else -side


@lru_cache(_KEPT)
def stretch_loop(tangents: tuple[Tangent, ...], dim: int, k: int, masked: bool = False) -> Compiled:
    """Return ``stretch(states, frames, params, mask, repeat, every, gather, logs)``: carry a frame, record log R_jj.

    A record sums `gather` of them: the logarithm of a product, taken as seldom as its range allows.
    `k` is the number of tangents where ``memory(k, dim)`` is small; larger frames share one function, of k = 0. A
    single tangent is not normalised before its length nears the end of its range, or the end of a record. `mask`
    ``(batch, dim)`` multiplies the tangents after every loop if `masked`.
    """
    whole = composed_tangents(tangents, dim, k)
    tangent, fixed, each = whole.call, whole.fixed, whole.each
    _, vector, _, matrix = memory(k, dim)

    @jit
    def stretch(
        first: int, last: int, scratch: Array, states: Array, frames: Array, params: Array, mask: Array,
        repeat: int, every: int, gather: int, logs: Array,
    ) -> None:  # fmt: skip
        count = frames.shape[1]
        x, y = vector(scratch, 0, dim), vector(scratch, dim, dim)
        V, W = matrix(scratch, 2 * dim, k, count, dim), matrix(scratch, (2 + count) * dim, k, count, dim)
        lengths = matrix(scratch, (2 + 2 * count) * dim, k, count, 1)
        grown = matrix(scratch, (2 + 2 * count) * dim + count, k, count, 1)
        work = scratch[(2 + 2 * count) * dim + 2 * count :]
        for b in range(first, last):
            own = params[b % params.shape[0]]
            for j in range(dim):
                x[j] = states[b, j]
            for a in range(V.shape[0]):
                for j in range(dim):
                    V[a, j] = frames[b, a, j]
            for t in range(logs.shape[0]):
                for a in range(V.shape[0]):
                    logs[t, b, a] = 0.0
                    grown[a, 0] = 1.0
                for g in range(gather):
                    for _ in range(every):
                        for _ in range(repeat):
                            tangent(x, V, own, y, W, work)
                            for j in range(dim):
                                x[j] = y[j]
                            for a in range(V.shape[0]):
                                for j in range(dim):
                                    V[a, j] = W[a, j]
                        if masked:
                            for a in range(V.shape[0]):
                                for j in range(dim):
                                    V[a, j] *= mask[b, j]
                    if V.shape[0] == 1 and g + 1 < gather and 1e-100 < dot(V[0], V[0]) < 1e100:
                        continue
                    _orthonormalise(V, lengths)
                    for a in range(V.shape[0]):
                        product = grown[a, 0] * lengths[a, 0]
                        if 1e-200 < product < 1e200:
                            grown[a, 0] = product
                        else:
                            logs[t, b, a] += log(grown[a, 0]) + log(lengths[a, 0])
                            grown[a, 0] = 1.0
                for a in range(V.shape[0]):
                    logs[t, b, a] += log(grown[a, 0])
                for j in range(dim):
                    if not abs(x[j]) < np.inf:
                        for a in range(V.shape[0]):
                            logs[t, b, a] = np.nan
            for j in range(dim):
                states[b, j] = x[j]
            for a in range(V.shape[0]):
                for j in range(dim):
                    frames[b, a, j] = V[a, j]

    return explained(keep(stretch, whole.parts, dim, k, masked), 2 * dim + fixed, 2 * dim + 2 + each)
