"""Which attractor is which: those of one map matched to those of another by the distance of their points."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from dynloop.basins.distances import gaps
from dynloop.maps.base import Array, LoopMap

__all__ = ["METRICS", "matched"]

METRICS = ("hausdorff", "centroid")
_POINTS = 1024  # of a set, that are compared


def matched(
    m: LoopMap, old: list[Array], new: list[Array], metric: str, threshold: float, share: float = 0.0
) -> tuple[Array, Array]:
    """Match sets of points, each at most once, so that the sum of their distances is least.

    Parameters
    ----------
    m : LoopMap
        The map; it knows the angles.
    old, new : list of ndarray, (rows, *state_shape)
        The sets.
    metric : str
        One of `METRICS`.
    threshold : float
        Sets farther apart are not matched,
    share : float
        unless it is by less than this share of the diameter of the smaller set.

    Returns
    -------
    match : ndarray of int, (new,)
        Which of the old sets each new one is; −1 if none.
    distance : ndarray, (new,)
        How far it is from it; nan if none.
    """
    match, distance = np.full(len(new), -1), np.full(len(new), np.nan)
    if not old or not new:
        return match, distance
    apart = np.array([[_distance(m, a, b, metric) for b in new] for a in old])
    reach = np.minimum.outer(*(np.array([share * _diameter(m, one) for one in some]) for some in (old, new)))
    reach = np.maximum(reach, threshold)
    far = 1 + 2 * min(apart.shape) * reach.max()  # so that no far pair is bought by a near one
    cost = np.where(apart <= reach, apart, far if np.isfinite(far) else apart)
    for i, j in zip(*linear_sum_assignment(cost), strict=True):
        if apart[i, j] <= reach[i, j]:
            match[j], distance[j] = i, apart[i, j]
    return match, distance


def _distance(m: LoopMap, a: Array, b: Array, metric: str) -> float:
    if metric == "centroid":
        return float(np.linalg.norm(m.displacement(_centroid(m, a), _centroid(m, b))))
    a, b = a[:: -(-len(a) // _POINTS)], b[:: -(-len(b) // _POINTS)]
    to_b = np.array([gaps(m, b, one).min() for one in a])
    to_a = np.array([gaps(m, a, one).min() for one in b])
    return float(max(to_b.max(), to_a.max()))


def _diameter(m: LoopMap, points: Array) -> float:
    """Return the diagonal of the box of a set, angles by way of its first point."""
    return float(np.linalg.norm(np.ptp(m.displacement(points, np.broadcast_to(points[0], points.shape)), axis=0)))


def _centroid(m: LoopMap, points: Array) -> Array:
    """Return the mean of points, angles by way of the first."""
    return np.asarray(points[0] + m.displacement(points, np.broadcast_to(points[0], points.shape)).mean(axis=0))
