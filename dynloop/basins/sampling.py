"""Where starts are drawn from: a sampler of one's own, a box or a grid's extent, or the starts that a map knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dynloop.basins.distances import norms
from dynloop.basins.slices import Slice, grid_of
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap

__all__ = ["Sampler", "checked_axes", "extent_of", "sampler_of", "unit_directions"]

Sampler = Callable[[np.random.Generator, int], Any]


def checked_axes(m: LoopMap, grid: Any) -> tuple[Array, ...]:
    """Return the axes of a grid over all coordinates of a map, increasing 1-D arrays, one a coordinate."""
    if not isinstance(grid, tuple | list) or isinstance(grid, str):
        raise InvalidArgumentError(
            f"grid must be a tuple of 1-D arrays, one a coordinate of {m.name}; got {type(grid).__name__}"
        )
    if len(grid) != m.dimension:
        raise ShapeError(f"grid has {len(grid)} axes, and a state of {m.name} {m.dimension} coordinates; give one each")
    axes = []
    for i, axis in enumerate(grid):
        try:
            values = np.asarray(axis, dtype=np.float64)
        except (TypeError, ValueError):
            raise InvalidArgumentError(f"grid[{i}] must be a 1-D array of numbers; got {axis!r}") from None
        if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all() or not (np.diff(values) > 0).all():
            raise InvalidArgumentError(
                f"grid[{i}] must be 1-D, finite and increasing, of 2 values or more; got shape {values.shape}"
            )
        axes.append(values)
    return tuple(axes)


def extent_of(m: LoopMap, grid: Any) -> Array:
    """Return the box ``(n, 2)`` that the axes of a grid, or pairs (low, high), span."""
    axes = checked_axes(m, grid)
    return np.array([[axis[0], axis[-1]] for axis in axes])


def sampler_of(m: LoopMap, source: Any) -> Sampler:
    """Return a sampler of starts ``(n, *state_shape)``.

    `source` is a callable ``(generator, n)``; a grid, a slice, or pairs (low, high), one a coordinate, whose extent is
    sampled uniformly; or None for the starts of the map itself.
    """
    if source is None:
        return lambda rng, n: m.start(rng, n)
    if callable(source):
        return lambda rng, n: _checked(m, source(rng, n), n)
    if isinstance(source, Slice):
        return _within(m, source)
    box = extent_of(m, source)
    return lambda rng, n: m.native(rng.uniform(box[:, 0], box[:, 1], (n, len(box))).reshape(n, *m.state_shape))


def _within(m: LoopMap, source: Slice) -> Sampler:
    """Return a sampler of the parallelogram, or its like, that a slice spans."""
    grid_of(m, source)
    low, high = (np.array([end(axis) for axis in source.axes]) for end in (np.min, np.max))

    def draw(rng: np.random.Generator, n: int) -> Any:
        weights = rng.uniform(low, high, (n, len(low)))
        return m.native(source.origin + np.tensordot(weights, source.directions, axes=1))

    return draw


def _checked(m: LoopMap, drawn: Any, n: int) -> Any:
    states = m.native(drawn, "the sampler's draw")
    if len(states) != n:
        raise ShapeError(f"the sampler gave {len(states)} starts when asked for {n}; return shape (n, *state_shape)")
    return states


def unit_directions(rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> Array:
    """Return `n` directions ``(n, *shape)``, uniform on the unit sphere."""
    drawn = rng.standard_normal((n, *shape))
    return np.asarray(drawn / norms(drawn).reshape(-1, *(1,) * len(shape)))
