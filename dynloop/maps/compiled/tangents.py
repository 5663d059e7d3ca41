"""Tangents of compiled steps, ``tangent(x, V, params, y, W, work)``: y = F(x), rows of W = DF(x)·(rows of V)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.compiled.jit import Compiled, jit
from dynloop.maps.compiled.memory import memory

__all__ = [
    "Tangent",
    "analytic_tangent",
    "central_tangent",
    "complex_tangent",
    "composed_tangents",
    "dual_tangent",
    "given_tangent",
]

_KEPT = 512  # compiled tangents that are remembered


@dataclass(frozen=True)
class Tangent:
    """A compiled tangent.

    Attributes
    ----------
    call : compiled callable
        ``call(x, V, params, y, W, work)`` with V, W ``(k, dim)``.
    fixed, each : int
        It needs ``fixed + each · k`` numbers of scratch.
    parts : tuple
        What it is made of: the user's functions, and how.
    """

    call: Compiled
    fixed: int
    each: int
    parts: tuple[Any, ...]


@lru_cache(_KEPT)
def analytic_tangent(step: Compiled, jacobian: Compiled, dim: int) -> Tangent:
    """Return the tangent of a step with a given Jacobian."""
    _, _, _, matrix = memory(dim, dim)

    @jit
    def tangent(x: Array, V: Array, params: Array, y: Array, W: Array, work: Array) -> None:
        J = matrix(work, 0, dim, dim, dim)
        jacobian(x, params, J)
        step(x, params, y)
        for a in range(V.shape[0]):
            for i in range(dim):
                total = 0.0
                for j in range(dim):
                    total += J[i, j] * V[a, j]
                W[a, i] = total

    return Tangent(tangent, dim * dim, 0, ("analytic", step, jacobian, dim))


@lru_cache(_KEPT)
def given_tangent(push: Compiled) -> Tangent:
    """Return a tangent that the user wrote, ``push(x, V, params, y, W)``."""

    @jit
    def tangent(x: Array, V: Array, params: Array, y: Array, W: Array, work: Array) -> None:  # noqa: ARG001 - as all have
        push(x, V, params, y, W)

    return Tangent(tangent, 0, 0, ("given", push))


@lru_cache(_KEPT)
def complex_tangent(step: Compiled, dim: int) -> Tangent:
    """Return the tangent of an analytic step: Im F(x + i h v) / h, exact to rounding (Squire & Trapp 1998)."""
    h = 1e-100  # h² F''' / 6 is nothing, even of states as small as 1e-30
    _, _, complex_vector, _ = memory(1, dim)

    @jit
    def tangent(x: Array, V: Array, params: Array, y: Array, W: Array, work: Array) -> None:
        z, out = complex_vector(work, 0, dim), complex_vector(work, 2 * dim, dim)
        step(x, params, y)
        for a in range(V.shape[0]):
            for j in range(dim):
                z[j] = complex(x[j], h * V[a, j])
            step(z, params, out)
            for j in range(dim):
                W[a, j] = out[j].imag / h

    return Tangent(tangent, 4 * dim, 0, ("complex", step, dim))


@lru_cache(_KEPT)
def dual_tangent(step: Compiled, dim: int) -> Tangent:
    """Return the tangent of a step by dual numbers, exact to rounding on either side of a kink."""
    from dynloop.maps.compiled.duals import as_duals, dual  # some 40 overloads, for steps that need them

    @jit
    def tangent(x: Array, V: Array, params: Array, y: Array, W: Array, work: Array) -> None:
        z, out = as_duals(work, 0, dim), as_duals(work, 2 * dim, dim)
        step(x, params, y)
        for a in range(V.shape[0]):
            for j in range(dim):
                z[j] = dual(x[j], V[a, j])
            step(z, params, out)
            for j in range(dim):
                W[a, j] = out[j].slope

    return Tangent(tangent, 4 * dim, 0, ("dual", step, dim))


@lru_cache(_KEPT)
def central_tangent(step: Compiled, dim: int, periods: tuple[float, ...]) -> Tangent:
    """Return the tangent of a step that has no complex form, by central differences along v, angles wrapped.

    `periods` gives 0.0 for a coordinate that is no angle.
    """
    wrap = np.array(periods)
    _, vector, _, _ = memory(1, dim)

    @jit
    def tangent(x: Array, V: Array, params: Array, y: Array, W: Array, work: Array) -> None:
        up, down, moved = vector(work, 0, dim), vector(work, dim, dim), vector(work, 2 * dim, dim)
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
                    difference -= np.floor(difference / wrap[j] + 0.5) * wrap[j]
                W[a, j] = difference / (2 * h)

    return Tangent(tangent, 3 * dim, 0, ("central", step, dim, periods))


def composed_tangents(tangents: tuple[Tangent, ...], dim: int, k: int) -> Tangent:
    """Return the tangent of a composition by the chain rule, for frames of k vectors (0: any number)."""
    if len(tangents) == 1:
        return tangents[0]
    one, two = composed_tangents(tangents[:-1], dim, k), tangents[-1]
    before: Callable[..., None] = one.call
    last: Callable[..., None] = two.call
    _, vector, _, matrix = memory(k, dim)

    @jit
    def tangent(x: Array, V: Array, params: Array, y: Array, W: Array, work: Array) -> None:
        count = V.shape[0]
        middle, carried = vector(work, 0, dim), matrix(work, dim, k, count, dim)
        rest = work[dim * (1 + count) :]
        before(x, V, params, middle, carried, rest)
        last(middle, carried, params, y, W, rest)

    fixed, each = max(one.fixed, two.fixed), max(one.each, two.each)
    return Tangent(tangent, dim + fixed, dim + each, (one.parts, two.parts))
