"""What counts as a destination in an array of labels, and what is unknown."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array

__all__ = ["UNKNOWN", "checked_labels", "known", "sizes"]

UNKNOWN = (-2, -3)  # undecided within the budget, and settled on something that was matched to no attractor


def checked_labels(labels: Any) -> Array:
    """Return an array of labels, of any dimension; take them out of a result that holds them."""
    array = np.asarray(getattr(labels, "labels", labels))
    if array.dtype.kind not in "iu":
        raise InvalidArgumentError(
            f"labels must be an array of integers, one a cell; got dtype {array.dtype}. Convert it with astype(int)"
        )
    if array.ndim == 0 or array.size == 0:
        raise ShapeError(f"labels must have one axis or more and no empty one; got shape {array.shape}")
    return array


def known(labels: Array) -> Array:
    """Say which cells have a destination; divergence (−1) is one."""
    found: Array = (labels != UNKNOWN[0]) & (labels != UNKNOWN[1])
    return found


def sizes(argument: str, value: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return one size of a box an axis, in cells, given as one int or one an axis."""
    given = (value,) * len(shape) if np.ndim(value) == 0 else tuple(value)
    whole = all(isinstance(s, int | np.integer) and not isinstance(s, bool) for s in given)
    if len(given) != len(shape) or not whole or min(given) < 1 or max(given) < 2:
        raise InvalidArgumentError(
            f"{argument} must be an int of 2 cells or more, or one an axis of {len(shape)}; got {value!r}"
        )
    if any(s > n for s, n in zip(given, shape, strict=True)):
        raise InvalidArgumentError(
            f"{argument} {value!r} is larger than the grid of {shape} cells; take a smaller one, or a finer grid"
        )
    return tuple(int(s) for s in given)
