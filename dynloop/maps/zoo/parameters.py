"""What every zoo map does with its arguments: parameters are finite numbers, starts are drawn from a box."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, Starter

__all__ = ["box", "finite"]


def finite(name: str, **values: float) -> tuple[float, ...]:
    """Return the parameters of map `name` as floats, in the order given.

    Raises
    ------
    InvalidArgumentError
        If one is not a finite real number.
    """
    for argument, value in values.items():
        if isinstance(value, bool | complex | str) or not isinstance(value, int | float | np.number):
            raise InvalidArgumentError(
                f"{argument} of {name} must be a real number; got {value!r}. Leave it out for the usual one"
            )
        if not math.isfinite(value):
            raise InvalidArgumentError(
                f"{argument} of {name} must be finite; got {value!r}. Leave it out for the usual one"
            )
    return tuple(float(value) for value in values.values())


def box(low: Sequence[float], high: Sequence[float]) -> Starter:
    """Return a start function that draws uniformly from the box between the corners `low` and `high`."""
    corners = np.array([low, high], dtype=np.float64)

    def draw(rng: np.random.Generator, n: int) -> Array:
        return rng.uniform(corners[0], corners[1], (n, corners.shape[1]))

    return draw
