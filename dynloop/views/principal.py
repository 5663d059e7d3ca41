"""The plane in which recorded states are drawn: their two leading principal components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynloop.maps.base import Array

__all__ = ["Plane", "principal_plane"]

_NOTHING = 1e-7  # of the first component's spread: what a Gram matrix leaves of a second one


@dataclass(frozen=True, slots=True)
class Plane:
    """Points seen in their principal plane.

    Attributes
    ----------
    points : ndarray, (n, 2)
        Coordinates, in the order of the rows.
    share : ndarray, (2,)
        Share of the variance that each axis shows.
    """

    points: Array
    share: Array

    def label(self, axis: int) -> str:
        """Name an axis with the share of the variance that it shows."""
        return f"principal component {axis + 1} ({100 * self.share[axis]:.3g} % of variance)"


def principal_plane(rows: Array) -> Plane:
    """Project finite rows ``(n, d)`` on their two leading principal components.

    The larger of the two products of the centred rows with themselves is never formed. Signs are chosen so that the
    first row lies to the left and below, which makes a picture the same whatever the linear algebra library.
    """
    centred = rows - rows.mean(axis=0)
    scale = float(np.abs(centred).max(initial=0.0))
    if scale == 0:
        return Plane(np.zeros((len(rows), 2)), np.array([np.nan, np.nan]))
    centred = centred / scale
    n, d = centred.shape
    values, vectors = np.linalg.eigh(centred @ centred.T if n <= d else centred.T @ centred)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    kept = min(2, len(values))
    points = np.zeros((n, 2))
    points[:, :kept] = vectors[:, :kept] * np.sqrt(values[:kept]) if n <= d else centred @ vectors[:, :kept]
    share = np.zeros(2)
    share[:kept] = values[:kept] / values.sum()
    if share[1] < _NOTHING**2 * share[0]:
        points[:, 1] = 0.0
    points *= np.where(points[0] > 0, -scale, scale)
    return Plane(points, share)
