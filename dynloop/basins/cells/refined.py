"""Recurrent sets without a recurrent orbit: their cells are halved until nothing in them recurs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from dynloop.maps.base import Array

__all__ = ["Bound", "holds_nothing"]

Bound = Callable[[Array, Array], list[tuple[list[float], list[float]]] | None]
_KEPT = 64  # cells of a set that recur, beyond which it is taken to be real
_ROUNDING = 8 * float(np.finfo(float).eps)


def holds_nothing(bound: Bound, low: Array, high: Array, turns: Array, halvings: int) -> bool:
    """Say whether it is proved that no recurrent orbit lies in a set of cells.

    Parameters
    ----------
    bound : callable
        ``bound(low, high)``: boxes that hold the image of a box; None where it is not known.
    low, high : ndarray, (cells, n)
        The cells of one strongly connected component.
    turns : ndarray, (n,)
        The lengths of angles; nan where a coordinate is none.
    halvings : int
        How often the cells are halved along every side, at most.

    Notes
    -----
    An orbit that recurs stays in one component. So if its cells are cut and those parts that are on no closed path
    within the set are dropped, it is in those that are left.
    """
    for _ in range(halvings):
        if len(low) > _KEPT:
            return False
        low, high = _halved(low, high)
        images = [bound(a, b) for a, b in zip(low, high, strict=True)]
        if any(image is None for image in images):
            return False
        recurs = _on_a_closed_path(images, low, high, turns)  # type: ignore[arg-type] # None returned above
        low, high = low[recurs], high[recurs]
        if not len(low):
            return True
    return False


def _halved(low: Array, high: Array) -> tuple[Array, Array]:
    middle, parts = (low + high) / 2, []
    for corner in product((False, True), repeat=low.shape[1]):
        upper = np.array(corner)
        parts.append((np.where(upper, middle, low), np.where(upper, high, middle)))
    return np.concatenate([a for a, _ in parts]), np.concatenate([b for _, b in parts])


def _on_a_closed_path(
    images: list[list[tuple[list[float], list[float]]]], low: Array, high: Array, turns: Array
) -> Array:
    """Say which boxes lead back to themselves within the set."""
    n = len(low)
    meets = np.zeros((n, n), dtype=bool)
    for i, parts in enumerate(images):
        for a, b in parts:
            meets[i] |= _meet(np.array(a), np.array(b), low, high, turns)
    _, part = connected_components(csr_matrix(meets), directed=True, connection="strong")
    return np.asarray((np.bincount(part)[part] > 1) | np.diag(meets))


def _meet(a: Array, b: Array, low: Array, high: Array, turns: Array) -> Array:
    """Say which closed boxes the closed box [a, b] meets, angles turned."""
    found = np.ones(len(low), dtype=bool)
    for j, turn in enumerate(turns):
        if not np.isfinite(turn):
            found &= (low[:, j] <= b[j]) & (high[:, j] >= a[j])
            continue
        nearest = np.round(((low[:, j] + high[:, j]) / 2 - (a[j] + b[j]) / 2) / turn)
        own = np.full(len(low), b[j] - a[j] >= turn)
        for sheet in (nearest - 1, nearest, nearest + 1):
            slack = _ROUNDING * (abs(a[j]) + abs(b[j]) + np.abs(sheet) * turn + np.abs(low[:, j]) + np.abs(high[:, j]))
            own |= (low[:, j] <= b[j] + sheet * turn + slack) & (high[:, j] >= a[j] + sheet * turn - slack)
        found &= own
    return found
