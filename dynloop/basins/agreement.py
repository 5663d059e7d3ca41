"""Whether a mapper is one of a map: by what it was made for, and by what that makes of some states."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dynloop.basins.attractors import Mapper
from dynloop.basins.slices import Grid
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap
from dynloop.maps.kernel import KernelMap

__all__ = ["checked_mapper", "images", "probes"]

_LOOPS = 8
_PROBES, _NUMBERS = 256, 2**20  # states of a grid, and their coordinates, at most
_EQUAL, _LOW = 8, 1 / 64  # epsilons, relative to a state, and at most: two maps of one dtype are the same map
_NEAR, _MOST = 1024, 0.05  # epsilons, and relative: a map in a lower precision is the same map
_OVERFLOWN = {"float16": 6e2}  # a hundredth of the largest number of the lower precision
_LARGE = 3e36  # of every other


def probes(m: LoopMap, on: Grid) -> Array:
    """Return up to 256 states spread over a grid, ``(batch, *state_shape)``; eight at least, if it has as many."""
    count = math.prod(on.shape)
    few = min(count, _PROBES, max(8, _NUMBERS // m.dimension))
    return on.states(np.unique(np.linspace(0, count - 1, few).astype(int)))


def images(m: LoopMap, states: Array) -> Array:
    """Return where some states ``(batch, *state_shape)`` are after each of eight loops, ``(8, batch, …)``."""
    now, found = m.native(states), []
    with np.errstate(all="ignore"):
        for _ in range(_LOOPS):
            now = m.watch(now, 1, now).states
            found.append(m.numpy(now))
    return np.stack(found)


def checked_mapper(m: LoopMap, mapper: Mapper, states: Array) -> Mapper:
    """Return a mapper if it was made for a map; raise otherwise.

    Compiled maps of one step must have the same parameters; others must agree, one loop from each of some `states`
    ``(batch, *state_shape)`` and of the points of the attractors, to within eight epsilons of that state or its image,
    at most a 64th, and overflow at the same ones. Of two dtypes that are fixed it is 1024 epsilons of the lower, at
    most a twentieth. Maps that differ by less at all of these states are not told apart.
    """
    own = mapper.map
    if own.state_shape == m.state_shape and (own is m or _agree(m, own, mapper, states)):
        return mapper
    raise InvalidArgumentError(
        f"mapper must be a mapper of {m.name}, and this one was made for another map, {own.name} of states "
        f"{own.state_shape}; make it by by_recurrence({m.name}, …) or its like"
    )


def _agree(m: LoopMap, own: LoopMap, mapper: Mapper, states: Array) -> bool:
    if isinstance(m, KernelMap) and isinstance(own, KernelMap) and m.same_loop(own):
        return np.array_equal(m.table, own.table)
    some: list[Any] = [states, *(one.points[:64] for one in mapper.attractors)]
    begun = np.concatenate([np.asarray(one, dtype=np.float64).reshape(-1, *m.state_shape) for one in some])
    if not len(begun):
        return True
    theirs = own.native(begun)
    m = m.in_dtype_of(theirs)
    with np.errstate(all="ignore"):
        a, b = (m.numpy(one.detached(one(one.native(begun)))) for one in (m, own))
        known, other = (np.isfinite(one.reshape(len(begun), -1)).all(axis=1) for one in (a, b))
        if m.dtype_name == own.dtype_name:
            near, overflown = min(_LOW, _EQUAL * m.precision), np.inf
        else:
            near = min(_MOST, _NEAR * max(m.precision, own.precision))
            overflown = min(_OVERFLOWN.get(one.dtype_name, _LARGE) for one in (m, own))
        sizes = np.max([_largest(one) for one in (begun, a, b)], axis=0)
        apart = _largest(m.displacement(a[known & other], b[known & other]))
        large = np.maximum(np.where(known, _largest(a), 0.0), np.where(other, _largest(b), 0.0))
    return bool((apart <= near * sizes[known & other]).all() and (large[known != other] > overflown).all())


def _largest(states: Array) -> Array:
    """Return the largest coordinate of every state, ``(batch,)``."""
    return np.asarray(np.abs(states.reshape(len(states), -1)).max(axis=1, initial=0.0))
