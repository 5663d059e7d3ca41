"""Grids of starts: products of axes, and slices of a large state space, `plane` and `box`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.arguments import checked_list, checked_numbers
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap
from dynloop.result import Result

__all__ = ["Axes", "Grid", "Slice", "as_numbers", "box", "grid_of", "plane"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Slice(Result):
    """A grid of states ``origin + a₁ u₁ + a₂ u₂ + …`` in a state space of any dimension.

    Attributes
    ----------
    origin : ndarray, state_shape
        The state at a = 0.
    directions : ndarray, (k, *state_shape)
        u₁ … u_k, as they were given.
    axes : tuple of ndarray
        The values of a₁ … a_k.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> found = dl.plane(np.zeros(3), [1.0, 0.0, 0.0], [0.0, 0.0, 1.0], 2.0, 5)
    >>> found.shape, found.states(np.array([0, 24])).tolist()
    ((5, 5), [[-2.0, 0.0, -2.0], [2.0, 0.0, 2.0]])
    """

    origin: Array
    directions: Array
    axes: tuple[Array, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many states along every axis."""
        return tuple(len(axis) for axis in self.axes)

    def states(self, flat: Array) -> Array:
        """Return states by their flat indices in C order, ``(len(flat), *state_shape)``."""
        index = np.unravel_index(flat, self.shape)
        weights = np.stack([axis[i] for axis, i in zip(self.axes, index, strict=True)], axis=1)
        return np.asarray(self.origin + np.tensordot(weights, self.directions, axes=1))

    def coordinates(self, states: Array) -> Array:
        """Return the coordinates a of the nearest states of the slice, ``(batch, k)``, by least squares."""
        k = len(self.directions)
        flat = np.asarray(states, dtype=np.float64).reshape(len(states), -1) - self.origin.reshape(-1)
        return np.asarray(np.linalg.lstsq(self.directions.reshape(k, -1).T, flat.T, rcond=None)[0].T)


@dataclass(frozen=True, slots=True, eq=False)
class Axes:
    """The product of one axis a coordinate."""

    axes: tuple[Array, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """How many states along every axis."""
        return tuple(len(axis) for axis in self.axes)

    def states(self, flat: Array) -> Array:
        """Return states by their flat indices in C order, ``(len(flat), k)``."""
        index = np.unravel_index(flat, self.shape)
        found = np.empty((len(flat), len(self.axes)))
        for j, (axis, i) in enumerate(zip(self.axes, index, strict=True)):
            found[:, j] = axis[i]
        return found


Grid = Axes | Slice


def plane(origin: Any, u: Any, v: Any, extent: Any = 1.0, n: int | Sequence[int] = 200) -> Slice:
    """Make a grid of states on a plane through a state space, ``origin + a·u + b·v``.

    Parameters
    ----------
    origin : array, state_shape
        The state at a = b = 0.
    u, v : array, state_shape
        Directions, used as they are: a and b count lengths of u and v.
    extent : float, (float, float), or ((float, float), (float, float))
        The range of a and b: from −extent to extent for both, for each, or from and to for each.
    n : int or (int, int)
        How many values of a and b.

    Returns
    -------
    Slice
        For `basins`: ``labels[i, j]`` belongs to ``origin + axes[0][i]·u + axes[1][j]·v``.

    Raises
    ------
    InvalidArgumentError
        If a number is out of range, or u and v are parallel.
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np, dynloop as dl
    >>> square = dl.plane(np.zeros(5), np.eye(5)[0], np.eye(5)[3], extent=2, n=3)
    >>> square.states(np.array([0, 5]))
    array([[-2.,  0.,  0., -2.,  0.],
           [ 0.,  0.,  0.,  2.,  0.]])
    """
    return box(origin, (u, v), extent, n)


def box(origin: Any, directions: Sequence[Any], extent: Any = 1.0, n: int | Sequence[int] = 50) -> Slice:
    """Make a grid of states on a box through a state space, ``origin + Σ a_i·u_i``.

    Parameters
    ----------
    origin : array, state_shape
        The state at a = 0.
    directions : sequence of arrays, each state_shape
        u₁ … u_k, linearly independent.
    extent : float, k floats, or k pairs
        The range of each a: from −extent to extent, or from and to.
    n : int or k ints
        How many values of each.

    Returns
    -------
    Slice
        For `basins`.

    Raises
    ------
    InvalidArgumentError
        If a number is out of range, or the directions are dependent.
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np, dynloop as dl
    >>> dl.box(np.zeros(4), np.eye(4)[:3], n=5).shape
    (5, 5, 5)
    """
    start = as_numbers(origin, "origin")
    given = checked_list(directions, "directions", "arrays, each a direction of state space", "Pass [u, v]")
    lines = [as_numbers(one, f"direction {i}") for i, one in enumerate(given)]
    for i, one in enumerate(lines):
        if one.shape != start.shape:
            raise ShapeError(
                f"direction {i} has shape {one.shape}, the origin {start.shape}; directions are of the shape of a state"
            )
    k = len(lines)
    flat = np.array([one.ravel() / (np.linalg.norm(one) or 1.0) for one in lines]).reshape(k, start.size)
    if k == 0 or np.linalg.matrix_rank(flat, tol=1e-8) < k:
        raise InvalidArgumentError(
            f"the {k} directions are linearly dependent or zero; give directions that span a plane or a box"
        )
    counts: list[Any] = list(n) if isinstance(n, Sequence | np.ndarray) and np.ndim(n) else [n] * k
    if len(counts) != k or not all(
        isinstance(c, int | np.integer) and not isinstance(c, bool) and c >= 2 for c in counts
    ):
        raise InvalidArgumentError(f"n must be an int of at least 2, or {k} of them, one a direction; got {n!r}")
    ranges = _ranges(extent, k)
    axes = tuple(np.linspace(low, high, int(c)) for (low, high), c in zip(ranges, counts, strict=True))
    return Slice(origin=start, directions=np.stack(lines), axes=axes)


def grid_of(m: LoopMap, grid: Any) -> Grid:
    """Return a grid that fits a map; raise otherwise."""
    if isinstance(grid, Slice):
        if grid.origin.shape != m.state_shape:
            raise ShapeError(
                f"{m.name} has states of shape {m.state_shape}; the grid is a slice of states {grid.origin.shape}"
            )
        return grid
    if not isinstance(grid, tuple | list) or len(m.state_shape) != 1:
        raise InvalidArgumentError(
            f"grid must be a tuple of 1-D arrays, one a coordinate of a state vector, or dl.plane(…); {m.name} has "
            f"states of shape {m.state_shape} and got {type(grid).__name__}. "
            + ("Pass (xs, ys), an axis each" if len(m.state_shape) == 1 else "Pass dl.plane(…), or dl.box(…)")
        )
    axes = tuple(as_numbers(axis, f"grid[{i}]") for i, axis in enumerate(grid))
    if len(axes) != m.state_shape[0]:
        raise ShapeError(
            f"grid has {len(axes)} axes; {m.name} has {m.state_shape[0]} coordinates. Give one 1-D array for each, or "
            "dl.plane(…) for a slice."
        )
    for i, axis in enumerate(axes):
        if axis.ndim != 1 or not len(axis):
            raise ShapeError(f"grid[{i}] must be a 1-D array of one or more values; got shape {axis.shape}")
    return Axes(axes)


def as_numbers(values: Any, argument: str) -> Array:
    """Return finite float64 numbers; raise otherwise."""
    found = checked_numbers(values, argument)
    if not np.isfinite(found).all():
        raise InvalidArgumentError(f"{argument} holds NaN or infinity; every number must be finite")
    return found


def _ranges(extent: Any, k: int) -> list[tuple[float, float]]:
    try:
        given = np.array(extent, dtype=np.float64)
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.shape in ((), (k,)):
        sides = np.broadcast_to(given, (k,))
        found = np.stack([-sides, sides], axis=1)
    else:
        found = given
    if found.shape != (k, 2) or not (np.isfinite(found).all() and (found[:, 0] < found[:, 1]).all()):
        raise InvalidArgumentError(
            f"extent must be a positive number, {k} of them, or {k} pairs (from, to); got {extent!r}"
        )
    return [(float(low), float(high)) for low, high in found]
