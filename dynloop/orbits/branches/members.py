"""The float64 maps of a family, each made once for its value."""

from __future__ import annotations

import numpy as np

from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import LoopMap
from dynloop.maps.family import FamilyLike, checked_map, checked_parameter
from dynloop.maps.kernel import KernelMap

__all__ = ["Members"]

_KEPT = 64  # maps: those of a step and of the differences around it


class Members:
    """The maps of a family by value; maps of one compiled loop share it.

    Parameters
    ----------
    family : KernelMap, or callable
        A compiled map, whose parameter number `parameter` takes the value; or ``family(value) -> LoopMap``.
    parameter : int
        See `family`; counted from 0.
    """

    def __init__(self, family: FamilyLike, parameter: int) -> None:
        if isinstance(family, KernelMap):
            parameter = checked_parameter(family, parameter)
        elif not callable(family):
            raise InvalidArgumentError(
                f"family must be a KernelMap or a function of one value that returns a map; got {type(family).__name__}"
            )
        self._family, self._parameter = family, parameter
        self._first: LoopMap | None = None
        self._made: dict[float, LoopMap] = {}

    def at(self, value: float) -> LoopMap:
        """Return the map of a value, in float64."""
        found = self._made.get(value)
        if found is None:
            if len(self._made) >= _KEPT:
                del self._made[next(iter(self._made))]
            found = self._made[value] = self._make(value)
        return found

    def _make(self, value: float) -> LoopMap:
        if isinstance(self._family, KernelMap):
            row = self._family.params.copy()
            row[self._parameter] = value
            return self._family.with_table(row[None])
        m = checked_map(self._family(value), value)
        if self._first is None:
            self._first = m
        first = self._first
        if m.state_shape != first.state_shape:
            raise ShapeError(
                f"all maps of a family need states of one shape; got {first.state_shape} and, at {value!r}, "
                f"{m.state_shape}"
            )
        if isinstance(m, KernelMap):
            same = isinstance(first, KernelMap) and m is not first and first.same_loop(m)
            return first.with_table(m.params[None]) if isinstance(first, KernelMap) and same else m
        return m.in_dtype_of(m.native(np.zeros((1, *m.state_shape)))).twin()
