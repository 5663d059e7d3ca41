"""The compiled loops behind `KernelMap`: batches of steps, tangents, and the frame that is carried along.

Every builder takes compiled steps and returns a compiled function. Builders are memoised by the steps they are given,
so maps that share compiled steps (one family, many parameters) are compiled once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba
import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array

__all__ = [
    "analytic_tangent",
    "apply_loop",
    "central_tangent",
    "complex_tangent",
    "composed_tangents",
    "dot",
    "jit",
    "push_loop",
    "stretch_loop",
    "watch_loop",
]

Compiled = Callable[..., Any]
_KEPT = 512  # compiled loops that are remembered


def jit(function: Any) -> Any:
    """Compile a function with IEEE division (x / 0 is infinite, no error); what is compiled already stays as it is."""
    if hasattr(function, "py_func") or numba.config.DISABLE_JIT:
        return function
    try:
        return numba.njit(error_model="numpy")(function)
    except TypeError as error:
        raise InvalidArgumentError(
            f"numba compiles plain Python functions only; got {type(function).__name__} ({error}). Wrap it in a def."
        ) from error


@jit
def _copy(source: Array, target: Array) -> None:
    """Copy a vector; a loop compiles several times faster than a slice."""
    for j in range(source.shape[0]):
        target[j] = source[j]


@numba.njit(fastmath={"reassoc"})  # type: ignore[untyped-decorator] # numba has no types
def dot(a: Array, b: Array) -> float:
    """Return the inner product of two vectors, summed in any order, so that it runs in vector registers."""
    total = 0.0
    for j in range(a.shape[0]):
        total += a[j] * b[j]
    return total


@lru_cache(_KEPT)
def apply_loop(step: Compiled) -> Compiled:
    """Return ``apply(states, params, out)``: one step on every row."""

    @jit
    def apply(states: Array, params: Array, out: Array) -> None:
        for i in range(states.shape[0]):
            step(states[i], params, out[i])

    return _explained(apply)


@lru_cache(_KEPT)
def watch_loop(steps: tuple[Compiled, ...], dim: int) -> Compiled:
    """Return ``watch(states, reference, params, periods, repeat, found)``; a loop is the steps, `repeat` times.

    `found` ``(3, loops, batch, 1)`` receives the step, the norm and the distance to the reference, angles wrapped.
    """
    once = _composed(steps)

    @jit
    def watch(states: Array, reference: Array, params: Array, periods: Array, repeat: int, found: Array) -> None:
        x, y, z, spare = np.empty(dim), np.empty(dim), np.empty(dim), np.empty(dim)
        for b in range(states.shape[0]):
            _copy(states[b], x)
            for t in range(found.shape[1]):
                once(x, params, y, spare)
                for _ in range(repeat - 1):
                    _copy(y, z)
                    once(z, params, y, spare)
                step2 = norm2 = return2 = 0.0
                for j in range(dim):
                    d, n, r = y[j] - x[j], y[j], y[j] - reference[b, j]
                    if periods[j] == periods[j]:
                        d -= np.round(d / periods[j]) * periods[j]
                        n -= np.round(n / periods[j]) * periods[j]
                        r -= np.round(r / periods[j]) * periods[j]
                    step2 += d * d
                    norm2 += n * n
                    return2 += r * r
                found[0, t, b, 0] = np.sqrt(step2)
                found[1, t, b, 0] = np.sqrt(norm2)
                found[2, t, b, 0] = np.sqrt(return2)
                _copy(y, x)
            _copy(x, states[b])

    return _explained(watch)


def _composed(steps: tuple[Compiled, ...]) -> Compiled:
    """Return ``loop(x, params, out, spare)``, the composition of the steps; `x` is left as it was."""
    if len(steps) == 1:
        only = steps[0]

        @jit
        def loop(x: Array, params: Array, out: Array, spare: Array) -> None:  # noqa: ARG001 - as below
            only(x, params, out)

        return loop  # type: ignore[no-any-return]
    before, last = _composed(steps[:-1]), steps[-1]

    @jit
    def loop_and_one(x: Array, params: Array, out: Array, spare: Array) -> None:
        before(x, params, spare, out)
        last(spare, params, out)

    return loop_and_one  # type: ignore[no-any-return]


@lru_cache(_KEPT)
def analytic_tangent(step: Compiled, jacobian: Compiled, dim: int) -> Compiled:
    """Return ``tangent(x, V, params, y, W)``: y = step(x), rows of W = J·(rows of V), with a given Jacobian."""

    @jit
    def tangent(x: Array, V: Array, params: Array, y: Array, W: Array) -> None:
        J = np.empty((dim, dim))
        jacobian(x, params, J)
        step(x, params, y)
        for a in range(V.shape[0]):
            for i in range(dim):
                total = 0.0
                for j in range(dim):
                    total += J[i, j] * V[a, j]
                W[a, i] = total

    return tangent  # type: ignore[no-any-return]


@lru_cache(_KEPT)
def complex_tangent(step: Compiled, dim: int) -> Compiled:
    """Return the tangent of an analytic step: Im F(x + i h v) / h, exact to rounding (Squire & Trapp 1998)."""
    h = 1e-30

    @jit
    def tangent(x: Array, V: Array, params: Array, y: Array, W: Array) -> None:
        z = np.empty(dim, dtype=np.complex128)
        out = np.empty(dim, dtype=np.complex128)
        step(x, params, y)
        for a in range(V.shape[0]):
            for j in range(dim):
                z[j] = complex(x[j], h * V[a, j])
            step(z, params, out)
            for j in range(dim):
                W[a, j] = out[j].imag / h

    return tangent  # type: ignore[no-any-return]


@lru_cache(_KEPT)
def central_tangent(step: Compiled, dim: int, periods: tuple[float, ...]) -> Compiled:
    """Return the tangent of a step that has no complex form, by central differences along v, angles wrapped.

    `periods` gives 0.0 for a coordinate that is no angle.
    """
    wrap = np.array(periods)

    @jit
    def tangent(x: Array, V: Array, params: Array, y: Array, W: Array) -> None:
        up, down, moved = np.empty(dim), np.empty(dim), np.empty(dim)
        step(x, params, y)
        size = 1.0
        for j in range(dim):
            size = max(size, abs(x[j]))
        for a in range(V.shape[0]):
            length = 0.0
            for j in range(dim):
                length = max(length, abs(V[a, j]))
            h = 6e-6 * size / length if length > 0 else 1.0
            for j in range(dim):
                moved[j] = x[j] + h * V[a, j]
            step(moved, params, up)
            for j in range(dim):
                moved[j] = x[j] - h * V[a, j]
            step(moved, params, down)
            for j in range(dim):
                difference = up[j] - down[j]
                if wrap[j] > 0:
                    difference -= np.round(difference / wrap[j]) * wrap[j]
                W[a, j] = difference / (2 * h)

    return tangent  # type: ignore[no-any-return]


def composed_tangents(parts: tuple[Compiled, ...], dim: int) -> Compiled:
    """Return the tangent of a composition by the chain rule."""
    if len(parts) == 1:
        return parts[0]
    before, last = composed_tangents(parts[:-1], dim), parts[-1]

    @jit
    def tangent(x: Array, V: Array, params: Array, y: Array, W: Array) -> None:
        middle, carried = np.empty(dim), np.empty_like(V)
        before(x, V, params, middle, carried)
        last(middle, carried, params, y, W)

    return tangent  # type: ignore[no-any-return]


@lru_cache(_KEPT)
def push_loop(parts: tuple[Compiled, ...], dim: int) -> Compiled:
    """Return ``push(states, frames, params, repeat, new, pushed)``: F(x) and J·V of the steps, `repeat` times."""
    tangent = composed_tangents(parts, dim)

    @jit
    def push(states: Array, frames: Array, params: Array, repeat: int, new: Array, pushed: Array) -> None:
        x, V = np.empty(dim), np.empty((frames.shape[1], dim))
        for b in range(states.shape[0]):
            tangent(states[b], frames[b], params, new[b], pushed[b])
            for _ in range(repeat - 1):
                _copy(new[b], x)
                for a in range(V.shape[0]):
                    _copy(pushed[b, a], V[a])
                tangent(x, V, params, new[b], pushed[b])

    return _explained(push)


@lru_cache(_KEPT)
def stretch_loop(parts: tuple[Compiled, ...], dim: int) -> Compiled:
    """Return ``stretch(states, frames, params, mask, repeat, every, logs)``: carry a frame, record log R_jj."""
    tangent = composed_tangents(parts, dim)

    @jit
    def stretch(states: Array, frames: Array, params: Array, mask: Array, repeat: int, every: int, logs: Array) -> None:
        k = frames.shape[1]
        y, W = np.empty(dim), np.empty((k, dim))
        for b in range(states.shape[0]):
            x, V = states[b], frames[b]
            for t in range(logs.shape[0]):
                for _ in range(every):
                    for _ in range(repeat):
                        tangent(x, V, params, y, W)
                        _copy(y, x)
                        for a in range(k):
                            _copy(W[a], V[a])
                    for a in range(k):
                        for j in range(dim):
                            V[a, j] *= mask[b, j]
                longest = 0.0
                for a in range(k):
                    longest = max(longest, np.sqrt(dot(V[a], V[a])))
                for a in range(k):  # modified Gram–Schmidt, twice for safety where directions nearly coincide
                    for _ in range(2):
                        for c in range(a):
                            along = dot(V[c], V[a])
                            for j in range(dim):
                                V[a, j] -= along * V[c, j]
                    length = np.sqrt(dot(V[a], V[a]))
                    # below rank tolerance nothing but rounding is left of the direction
                    if length <= dim * 2.3e-16 * longest or length == 0.0:
                        logs[t, b, a] = -np.inf
                        for j in range(dim):
                            V[a, j] = 0.0
                    else:
                        logs[t, b, a] = np.log(length)
                        for j in range(dim):
                            V[a, j] /= length

    return _explained(stretch)


def _explained(kernel: Compiled) -> Compiled:
    """Wrap a compiled function so that a numba traceback becomes one sentence, and division by zero stays silent."""

    def call(*arguments: Any) -> None:
        try:
            with np.errstate(all="ignore"):
                kernel(*arguments)
        except numba.core.errors.NumbaError as error:
            first = next((line.strip() for line in str(error).splitlines() if line.strip()), "unknown reason")
            raise InvalidArgumentError(
                f"numba cannot compile the step: {first}. Use numbers, NumPy functions and indexing only."
            ) from error

    return call
