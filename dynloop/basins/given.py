"""The mapper and the labels of an analysis: those that were given, or made for the map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dynloop.basins.recurrence import MOST, by_recurrence
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap
from dynloop.maps.kernel import KernelMap

__all__ = ["labels_on", "mapper_of"]


def mapper_of(m: LoopMap, mapper: Callable[[Any], Array] | None, starts: Any) -> Callable[[Any], Array]:
    """Return the mapper that was given; otherwise one that knows the attractors which `starts` lead to."""
    if mapper is not None:
        if not callable(mapper):
            raise InvalidArgumentError(f"mapper must be callable, labels = mapper(starts); got {mapper!r}")
        return mapper
    if isinstance(m, KernelMap) and m.dimension <= MOST:
        return by_recurrence(m, starts)
    raise NotImplementedError(m, starts)


def labels_on(m: LoopMap, grid: Any, mapper: Callable[[Any], Array] | None) -> Array:
    """Return the labels of a map on a grid."""
    raise NotImplementedError(m, grid, mapper)
