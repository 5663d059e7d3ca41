"""The mapper and the labels of an analysis: those that were given, or made for the map."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dynloop.basins.agreement import checked_mapper
from dynloop.basins.attractors import UNDECIDED, UNMATCHED, Mapper
from dynloop.basins.finding import chosen, extents
from dynloop.basins.grid import basins
from dynloop.basins.mappers import default_mapper
from dynloop.basins.slices import grid_of
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap

__all__ = ["AnyMapper", "Learner", "labels_on", "mapper_of"]

AnyMapper = Callable[[Any], Array]
_COMPARED = 64  # starts, from which the map of a mapper is compared
_TRIES = 8  # to learn from what was not matched that come to nothing, after which it is taken for not to be known


def mapper_of(m: LoopMap, mapper: AnyMapper | None, starts: Any) -> AnyMapper:
    """Return the mapper that was given; otherwise one that knows the attractors which `starts` lead to."""
    if mapper is None:
        states = m.numpy(m.batch(starts)[0])
        return default_mapper(m, chosen(states), extents(states))
    if not callable(mapper):
        raise InvalidArgumentError(f"mapper must be callable, labels = mapper(starts); got {mapper!r}")
    if isinstance(mapper, Mapper):
        checked_mapper(m, mapper, np.empty((0, *m.state_shape)) if starts is None else m.numpy(starts[:_COMPARED]))
    return mapper


class Learner:
    """Labels of states by a mapper that learns on the way; by the one that was given, which does not.

    Parameters
    ----------
    m : LoopMap
        The map.
    mapper : callable, optional
        Made from `states` if left out.
    states : ndarray, (batch, *state_shape)
        Those that are followed first.

    Attributes
    ----------
    mapper : callable
        What labels.
    version : int
        How often it has learnt: attractors may have other numbers then.
    spent : int
        States that were labelled.
    """

    def __init__(self, m: LoopMap, mapper: AnyMapper | None, states: Array) -> None:
        self.m, self.version, self.spent = m, 0, 0
        self.mapper = mapper_of(m, mapper, states)
        self._tries = _TRIES if mapper is None and isinstance(self.mapper, Mapper) else 0
        self(states)

    def __call__(self, states: Array) -> Array:
        """Label states ``(batch, *state_shape)``; where some are not matched, learn from them and label all again."""
        while True:
            labels = np.asarray(self.mapper(self.m.native(states)))
            self.spent += len(states)
            lost = np.isin(labels, (UNDECIDED, UNMATCHED))
            if not (self._tries and lost.any() and isinstance(self.mapper, Mapper)):
                return labels
            larger = self.mapper.extended(self.m.native(states[lost]))
            if larger is self.mapper:
                self._tries -= 1
                return labels
            self.mapper, self.version = larger, self.version + 1


def labels_on(m: LoopMap, grid: Any, mapper: AnyMapper | None) -> Array:
    """Return the labels of a map on a grid, by `basins`, or by any function from starts to labels."""
    if mapper is None or isinstance(mapper, Mapper):
        return basins(m, grid, mapper=mapper).labels
    on = grid_of(m, grid)
    labels = np.asarray(mapper_of(m, mapper, None)(m.native(on.states(np.arange(math.prod(on.shape))))))
    return labels.reshape(on.shape)
