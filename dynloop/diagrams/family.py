"""A family of maps over one parameter, and where each of its orbits begins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap, as_rng
from dynloop.maps.family import FamilyLike, checked_map, checked_parameter
from dynloop.maps.kernel import KernelMap
from dynloop.result import Status

__all__ = ["FamilyLike", "Member", "members", "statuses"]


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """Maps that are iterated together.

    Attributes
    ----------
    rows : slice
        Which of the values they belong to.
    map : LoopMap
        One map, or one with a table of parameters, a row for each value.
    states : native array, (rows, *state_shape)
        Where the orbits begin.
    """

    rows: slice
    map: LoopMap
    states: Any


def members(
    family: FamilyLike, values: Any, *, parameter: int, starts: Any, rng: int | np.random.Generator | None
) -> tuple[Array, Iterator[Member]]:
    """Make the maps of a family.

    Parameters
    ----------
    family : KernelMap, or callable
        A compiled map, whose parameter number `parameter` takes the values; or ``family(value) -> LoopMap``, called
        once for each value. Maps that differ in their parameters alone are iterated together.
    values : sequence, (rows,)
        The values of the parameter.
    parameter : int
        See `family`; counted from 0.
    starts : array, state_shape or (rows, *state_shape), optional
        One start for all or one for each; each map's own ``start(rng)`` if left out.
    rng : int or Generator
        For starts.

    Returns
    -------
    values : ndarray, (rows,)
        The values; of objects if they are no numbers.
    members : iterator of Member
        In the order of the values.

    Raises
    ------
    InvalidArgumentError
        If `family` is neither a compiled map nor a callable that returns maps, or `parameter` or `values` is out of
        range.
    ShapeError
        If `starts` does not fit, or the maps have states of different shapes.
    """
    values = _checked_values(values)
    if isinstance(family, KernelMap):
        parameter = checked_parameter(family, parameter)
        table = np.tile(family.params, (len(values), 1))
        try:
            table[:, parameter] = values
        except (TypeError, ValueError):
            raise InvalidArgumentError(f"values must be numbers for a compiled map; got {values[0]!r}") from None
        begun = _starts(family, starts, len(values), rng)
        return values, iter([Member(slice(0, len(values)), family.with_table(table), begun)])
    if not callable(family):
        raise InvalidArgumentError(
            f"family must be a KernelMap or a function of one value that returns a map; got {type(family).__name__}"
        )
    return values, _made(family, values, starts, rng)


def _made(family: Callable[[Any], LoopMap], values: Array, starts: Any, rng: Any) -> Iterator[Member]:
    first = checked_map(family(values[0]), values[0])
    if isinstance(first, KernelMap):
        maps = [first, *(checked_map(family(value), value) for value in values[1:])]
        if all(isinstance(m, KernelMap) and first.same_loop(m) for m in maps):
            table = np.stack([m.params for m in maps if isinstance(m, KernelMap)])
            if starts is None:
                begun = np.concatenate([m.start(as_rng(rng), 1) for m in maps])
            else:
                begun = _starts(first, starts, len(maps), rng)
            yield Member(slice(0, len(values)), first.with_table(table), begun)
            return
    else:
        maps = [first]
    for row, value in enumerate(values):
        m = maps[row] if row < len(maps) else checked_map(family(value), value)
        if m.state_shape != first.state_shape:
            raise ShapeError(
                f"all maps of a family need states of one shape; got {first.state_shape} at {values[0]!r} and "
                f"{m.state_shape} at {value!r}"
            )
        states = m.start(as_rng(rng), 1) if starts is None else _starts(m, starts, len(values), rng)[row : row + 1]
        yield Member(slice(row, row + 1), m, states)


def _checked_values(values: Any) -> Array:
    found = np.asarray(values)
    if found.ndim != 1 or not len(found):
        raise InvalidArgumentError(
            f"values must be a sequence of one or more values; got shape {found.shape}. Pass [value, …]"
        )
    if found.dtype.kind in "biuf":
        found = found.astype(np.float64)
        if not np.isfinite(found).all():
            raise InvalidArgumentError("values holds NaN or infinity; every value must be finite")
    return found


def _starts(m: LoopMap, starts: Any, rows: int, rng: Any) -> Any:
    """Return a start for each row."""
    if starts is None:
        return m.native(np.repeat(m.numpy(m.start(rng, 1)), rows, axis=0))
    states, _ = m.batch(starts)
    if len(states) == 1:
        return m.native(np.repeat(m.numpy(states), rows, axis=0))
    if len(states) != rows:
        raise ShapeError(f"starts must be one state, or one for each of the {rows} values; got {len(states)}")
    return states


def statuses(otherwise: Status, *cases: tuple[Any, Status]) -> Array:
    """Return the status of every row: that of the first case, a mask ``(rows,)``, which holds."""
    found = np.full(len(cases[0][0]), otherwise, dtype=object)
    for mask, status in reversed(cases):
        found[mask] = status
    return found
