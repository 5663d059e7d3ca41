"""Which tangents compiled steps get: those given, or the first of several ways that agrees with differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.compiled.jit import COMPILING
from dynloop.maps.compiled.tangents import (
    Tangent,
    analytic_tangent,
    central_tangent,
    complex_tangent,
    dual_tangent,
    given_tangent,
)

__all__ = ["tangents_of"]


def tangents_of(
    steps: tuple[Any, ...], dim: int, *, jacobians: tuple[Any, ...] | None, pushes: tuple[Any, ...] | None,
    periods: tuple[float, ...], params: Array,
) -> tuple[Tangent, ...]:  # fmt: skip
    """Return the compiled tangents of steps: as given, by complex steps, dual numbers or differences.

    Parameters
    ----------
    steps : tuple of callables
        ``step(x, params, out)``, compiled.
    dim : int
        Number of coordinates.
    jacobians, pushes : tuple of callables or None
        What was given, one a step.
    periods : tuple of float
        Length of each angle coordinate, 0 where it is none.
    params : ndarray
        The parameters at which ways are compared.
    """
    if pushes is not None:
        return tuple(given_tangent(f) for f in pushes)
    if jacobians is not None:
        return tuple(analytic_tangent(f, J, dim) for f, J in zip(steps, jacobians, strict=True))
    central = tuple(central_tangent(f, dim, periods) for f in steps)
    ways = (complex_tangent, dual_tangent) if COMPILING else (complex_tangent,)
    return next((found for way in ways if (found := _agreeing(way, steps, dim, params, central))), central)


def _agreeing(
    way: Callable[[Any, int], Tangent], steps: tuple[Any, ...], dim: int, params: Array, central: tuple[Tangent, ...]
) -> tuple[Tangent, ...] | None:
    """Return tangents by complex steps or dual numbers, where every step allows them; None where one does not.

    They must agree with differences at all but one of six points, of both signs; at one there may be a kink or a jump.
    """
    parts = tuple(way(f, dim) for f in steps)
    x = np.random.default_rng(0).uniform(0.05, 0.95, (6, dim))
    x[3:] *= -1  # powers of negative numbers have other branches among complex ones
    V = np.eye(dim)
    y, exact, near = np.empty(dim), np.empty_like(V), np.empty_like(V)
    work = np.empty(4 * dim)
    with np.errstate(all="ignore"):
        for part, difference in zip(parts, central, strict=True):
            agree = 0
            for probe in x:
                try:
                    part.call(probe, V, params, y, exact, work)
                except Exception:  # numba raises many kinds here
                    return None  # the step does what these numbers cannot, such as comparing complex ones
                difference.call(probe, V, params, y, near, work)
                size = np.nan_to_num(np.abs(near)).max() + 1e-3  # differences err, more so where a step is steep
                agree += np.allclose(exact, near, rtol=1e-2, atol=1e-3 * size, equal_nan=True)
            if agree < len(x) - 1:
                return None
    return parts
