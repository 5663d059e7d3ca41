"""The mapper and the labels of an analysis: those that were given, or made for the map."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dynloop.basins.attractors import Mapper
from dynloop.basins.finding import chosen, extents
from dynloop.basins.grid import basins
from dynloop.basins.mappers import default_mapper
from dynloop.basins.slices import grid_of
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap

__all__ = ["labels_on", "mapper_of"]

AnyMapper = Callable[[Any], Array]


def mapper_of(m: LoopMap, mapper: AnyMapper | None, starts: Any) -> AnyMapper:
    """Return the mapper that was given; otherwise one that knows the attractors which `starts` lead to."""
    if mapper is None:
        states = m.numpy(m.batch(starts)[0])
        return default_mapper(m, chosen(states), extents(states))
    if not callable(mapper):
        raise InvalidArgumentError(f"mapper must be callable, labels = mapper(starts); got {mapper!r}")
    return mapper


def labels_on(m: LoopMap, grid: Any, mapper: AnyMapper | None) -> Array:
    """Return the labels of a map on a grid, by `basins`, or by any function from starts to labels."""
    if mapper is None or isinstance(mapper, Mapper):
        return basins(m, grid, mapper=mapper).labels
    on = grid_of(m, grid)
    labels = np.asarray(mapper_of(m, mapper, None)(m.native(on.states(np.arange(math.prod(on.shape))))))
    return labels.reshape(on.shape)
