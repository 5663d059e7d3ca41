"""Which mapper a map gets when none is given."""

from __future__ import annotations

from dynloop.basins.attractors import Mapper
from dynloop.basins.recurrence import LOOPS, MOST, CompiledMapper
from dynloop.maps.base import Array, LoopMap
from dynloop.maps.kernel import KernelMap

__all__ = ["default_mapper"]


def default_mapper(m: LoopMap, starts: Array, scale: Array, loops: int | None = None) -> Mapper:
    """Return a mapper that knows the attractors of a few starts: by recurrence where compiled, else by `classify`.

    Parameters
    ----------
    m : LoopMap
        The map.
    starts : ndarray, (batch, *state_shape)
        Those that are followed, some tens.
    scale : ndarray, (n,)
        Sizes of the coordinates of the region.
    loops : int, optional
        Budget of loops of each start that is labelled.
    """
    if isinstance(m, KernelMap) and m.dimension <= MOST:
        return CompiledMapper(m, (), scale, loops or LOOPS).extended(starts)
    from dynloop.basins.classification import by_classification  # imports torch

    return by_classification(m, starts, loops=loops)
