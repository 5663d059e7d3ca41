"""The states between layers of a record that settled: the polygon that its increments form."""

from __future__ import annotations

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.polygon import Polygon

__all__ = ["mean_polygon"]


def mean_polygon(sections: Array) -> Polygon:
    """Measure the polygon of the increments of one token, averaged over loops.

    Parameters
    ----------
    sections : ndarray, (loops, k + 1, n)
        States before every layer and after the last, of loops at the floor.

    Returns
    -------
    Polygon
        With one group.
    """
    mean = np.mean(np.asarray(sections, dtype=np.float64), axis=0)
    increments = np.diff(mean, axis=0)
    scale = max(float(np.linalg.norm(mean, axis=1).max()), float(np.finfo(np.float64).tiny))
    lengths = np.linalg.norm(increments, axis=1)
    perimeter = float(lengths.sum())
    total = float(np.linalg.norm(increments.sum(axis=0)))
    between = mean[:-1]
    apart = [float(np.linalg.norm(between[i] - between[j])) for i in range(len(between)) for j in range(i)]
    return Polygon(
        increments=lengths[None] / scale,
        perimeter=np.array([perimeter / scale]),
        closure=np.array([total / perimeter if perimeter > 0 else 0.0]),
        section_distance=np.array([min(apart, default=0.0) / scale]),
    )
