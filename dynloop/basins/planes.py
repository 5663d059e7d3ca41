"""Planes worth looking at: through starts and an attractor, along what orbits do, along leading eigenvectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.basins.slices import Slice, as_numbers, box
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap, as_map

__all__ = ["plane_along_eigenvectors", "plane_along_orbits", "plane_through"]

_MARGIN = 0.25  # of the distances, that a plane goes on beyond what it holds


def plane_through(first: Any, second: Any, attractor: Any, *, n: Any = 200, margin: float = _MARGIN) -> Slice:
    """Make a plane through two starts and an attractor.

    Parameters
    ----------
    first, second, attractor : array, state_shape
        Three states that are not on one line.
    n : int or (int, int)
        How many values along each axis.
    margin : float
        How far the plane goes on beyond the three, in parts of their distances.

    Returns
    -------
    Slice
        Its origin is the attractor; `first` is at (1, 0), `second` at (0, 1).

    Raises
    ------
    InvalidArgumentError, ShapeError
        If the three are on one line, or an argument does not fit.

    Examples
    --------
    >>> import numpy as np, dynloop as dl
    >>> found = dl.plane_through(np.eye(4)[0], np.eye(4)[1], np.zeros(4), n=7)
    >>> found.coordinates(np.eye(4)[:2]).round(12) + 0.0
    array([[1., 0.],
           [0., 1.]])
    """
    centre, one, two = (
        as_numbers(state, name) for state, name in ((attractor, "attractor"), (first, "first"), (second, "second"))
    )
    if not one.shape == two.shape == centre.shape:
        raise ShapeError(
            f"first, second and attractor have shapes {one.shape}, {two.shape}, {centre.shape}; give states"
        )
    ends = (-_positive(margin), 1 + _positive(margin))
    return box(centre, (one - centre, two - centre), (ends, ends), n)


def plane_along_orbits(states: Any, *, n: Any = 200, margin: float = _MARGIN) -> Slice:
    """Make the plane of the principal directions of states of some orbits, wide enough to hold their projections.

    Parameters
    ----------
    states : array, (…, *state_shape) with one or more axes in front
        States of orbits, such as ``trajectory(…).states``; all axes but those of a state are taken together. A state
        of more axes than one needs two axes in front: (records, batch, *state_shape).
    n : int or (int, int)
        How many values along each axis.
    margin : float
        How far the plane goes on beyond the states, in parts of their range.

    Returns
    -------
    Slice
        Its origin is the mean of the states; u and v are the unit vectors of largest variance.

    Raises
    ------
    InvalidArgumentError
        If the states vary along one line alone.

    Examples
    --------
    >>> import numpy as np, dynloop as dl
    >>> orbits = dl.trajectory(dl.zoo.henon(), [[0.1, 0.1]], 500).states
    >>> dl.plane_along_orbits(orbits, n=5).directions.shape
    (2, 2)
    """
    found = as_numbers(states, "states")
    if found.ndim < 2:
        raise ShapeError(f"states must have shape (states, *state_shape); got {found.shape}")
    shape = found.shape[1:] if found.ndim == 2 else found.shape[2:]
    flat = found.reshape(-1, int(np.prod(shape)))
    centre = flat.mean(axis=0)
    lines = np.linalg.svd(flat - centre, full_matrices=False)[2][:2]
    if len(lines) < 2:
        raise InvalidArgumentError("states vary along one line alone, which spans no plane; give more orbits")
    lines = lines * np.where(lines[np.arange(2), np.abs(lines).argmax(axis=1)] < 0, -1.0, 1.0)[:, None]
    along = (flat - centre) @ lines.T
    low, high = along.min(axis=0), along.max(axis=0)
    if not (high - low > 1e-9 * (high - low).max()).all():
        raise InvalidArgumentError("states vary along one line alone, which spans no plane; give more orbits")
    more = _positive(margin) * (high - low)
    ranges = np.stack([low - more, high + more], axis=1)
    return box(centre.reshape(shape), [line.reshape(shape) for line in lines], ranges, n)


def plane_along_eigenvectors(m: LoopMap, state: Any, *, extent: Any = 1.0, n: Any = 200) -> Slice:
    """Make the plane of the two leading eigenvectors of DF at a state, such as a saddle or an attractor.

    Parameters
    ----------
    m : LoopMap
        The map.
    state : array, state_shape
        Where; the origin of the plane.
    extent : float, (float, float), or ((float, float), (float, float))
        The range along each, as in `plane`.
    n : int or (int, int)
        How many values along each axis.

    Returns
    -------
    Slice
        u and v are unit vectors: two real eigenvectors, or real and imaginary part of a complex one.

    Raises
    ------
    InvalidArgumentError
        If the map has one coordinate, or an argument is out of range.
    DerivativeError
        If the map has no usable derivative.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.zoo.henon()
    >>> dl.plane_along_eigenvectors(m, m.facts["fixed_points"][0], n=3).directions.shape
    (2, 2)
    """
    m = as_map(m)
    if m.dimension < 2:
        raise InvalidArgumentError(f"{m.name} has one coordinate, in which there is no plane")
    values, vectors = _leading(m, state)
    lines: list[Array] = []
    for value, vector in zip(values, vectors.T, strict=True):
        parts = (vector.real, vector.imag) if abs(value.imag) > 1e-12 * abs(value) else (_real(vector),)
        for part in parts:
            rest = part - sum((part @ line) * line for line in lines)
            if np.linalg.norm(rest) > 1e-6 * np.linalg.norm(part) and len(lines) < 2:
                lines.append(part / np.linalg.norm(part))
    centre = as_numbers(m.numpy(m.batch(state)[0])[0], "state")
    return box(centre, [line.reshape(m.state_shape) for line in lines], extent, n)


def _leading(m: LoopMap, state: Any) -> tuple[Array, Array]:
    """Return leading eigenvalues and eigenvectors of DF: from a dense Jacobian, or by products alone."""
    from scipy.sparse.linalg import eigs

    from dynloop.calculus.jacobian import DENSE, jacobian, jacobian_operator

    if m.dimension <= DENSE:
        values, vectors = np.linalg.eig(jacobian(m, state))
        order = np.argsort(-np.abs(values), kind="stable")[:3]
        return values[order], vectors[:, order]
    start = np.random.default_rng(0).standard_normal(m.dimension)
    values, vectors = eigs(jacobian_operator(m, state), k=3, v0=start)
    order = np.argsort(-np.abs(values), kind="stable")
    return values[order], vectors[:, order]


def _real(vector: Array) -> Array:
    """Return a real eigenvector, turned to where its largest entry is positive."""
    turned = vector * np.conj(vector[np.abs(vector).argmax()])
    return np.asarray(turned.real)


def _positive(margin: Any) -> float:
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin < np.inf:
        raise InvalidArgumentError(f"margin must be a number of at least 0; got {margin!r}")
    return float(margin)
