"""A family of maps over one parameter: what a caller may pass for one, and the map that belongs to a value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import LoopMap
from dynloop.maps.kernel import KernelMap

__all__ = ["FamilyLike", "checked_map", "checked_parameter"]

FamilyLike = KernelMap | Callable[[Any], LoopMap]


def checked_parameter(family: KernelMap, parameter: int) -> int:
    """Return `parameter` if it numbers a parameter of a compiled map; raise otherwise."""
    count = family.params.size
    if isinstance(parameter, bool) or not isinstance(parameter, int | np.integer) or not 0 <= parameter < count:
        raise InvalidArgumentError(
            f"parameter must be the number of one of the {count} parameters of {family.name}, counted from 0; "
            f"got {parameter!r}"
        )
    return int(parameter)


def checked_map(m: Any, value: Any) -> LoopMap:
    """Return what a family gave for a value, if it is a map; raise otherwise."""
    if not isinstance(m, LoopMap):
        raise InvalidArgumentError(f"family({value!r}) must return a map; got {type(m).__name__}")
    return m
