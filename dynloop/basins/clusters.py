"""Clusters of features by HDBSCAN: how large, how far apart, and what belongs to none."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from dynloop.maps.base import Array

__all__ = ["LEAST", "clusters", "medoid", "reach", "scale", "varies"]

LEAST = 5  # starts that make a cluster
_FINE = 1e-3  # of the spread of a feature: clusters nearer than this are one
_REACH = 3.0  # times the largest gap of a cluster
_USUAL = 0.9  # of the gaps of a cluster; what is farther than a few of these is no part of it


def scale(values: Array, precision: float) -> Array:
    """Return the unit of every feature: its spread; a thousandth of its size where it does not vary but by rounding.

    So a start that goes elsewhere differs, though the starts that are learnt from all agree.
    """
    spread, size = values.std(axis=0), np.abs(values).max(axis=0)
    rounding = _rounding(values, precision)
    return np.asarray(np.where(spread > rounding, spread, np.maximum(_FINE * size, rounding / _FINE)))


def varies(values: Array, precision: float) -> bool:
    """Say whether a feature varies by more than rounding."""
    return bool(values.std(axis=0).max() > _rounding(values, precision))


def _rounding(values: Array, precision: float) -> float:
    return max(1e-9, 16 * precision) * float(np.abs(values).max(initial=0.0)) + 1e-300


def clusters(values: Array) -> Array:
    """Return the cluster of every row, −1 for noise."""
    if len(values) < LEAST:
        return np.full(len(values), -1, dtype=np.int64)
    if float(np.ptp(values, axis=0).max(initial=0.0)) <= _FINE:
        return np.zeros(len(values), dtype=np.int64)
    from sklearn.cluster import HDBSCAN

    # no finer than a thousandth: rounding is no structure (and cluster_selection_epsilon fails in scikit-learn 1.9)
    coarse = np.round(values / _FINE) * _FINE
    found = HDBSCAN(min_cluster_size=LEAST, copy=True).fit_predict(coarse)
    if found.max() < 0:
        found = HDBSCAN(min_cluster_size=LEAST, copy=True, allow_single_cluster=True).fit_predict(coarse)
    return _joined(values, _pieces(values, np.asarray(found, dtype=np.int64)))


def _pieces(values: Array, cluster: Array) -> Array:
    """Return clusters cut where members lie farther apart than they do usually; pieces of fewer than five are noise.

    HDBSCAN counts a handful of starts that go elsewhere to the cluster beside them.
    """
    found, count = np.full(len(values), -1, dtype=np.int64), 0
    for c in range(cluster.max() + 1):
        rows = np.flatnonzero(cluster == c)
        tree = cKDTree(values[rows])
        usual = float(np.quantile(tree.query(values[rows], k=2)[0][:, 1], _USUAL))
        near = tree.query_pairs(_REACH * max(usual, _FINE), output_type="ndarray")
        joined = coo_array((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(len(rows), len(rows)))
        piece = connected_components(joined, directed=False)[1]
        for p in np.flatnonzero(np.bincount(piece) >= LEAST):
            found[rows[piece == p]] = count
            count += 1
    return found


def _joined(values: Array, cluster: Array) -> Array:
    """Return clusters, those joined that are no farther from each other than a few gaps between their own members."""
    trees = [cKDTree(values[cluster == c]) for c in range(cluster.max() + 1)]
    reaches = [_REACH * max(float(tree.query(tree.data, k=2)[0][:, 1].max()), _FINE) for tree in trees]
    names = list(range(len(trees)))
    for c, tree in enumerate(trees):
        for d in range(c):
            gap = float(tree.query(trees[d].data)[0].min())
            if gap <= max(reaches[c], reaches[d]):
                names = [names[d] if name == names[c] else name for name in names]
    kept = {name: i for i, name in enumerate(sorted(set(names)))}
    return np.array([-1 if c < 0 else kept[names[c]] for c in cluster.tolist()], dtype=np.int64)


def medoid(values: Array, members: Array) -> int:
    """Return the row of the member nearest to the median of all."""
    rows = np.flatnonzero(members)
    centre = np.median(values[rows], axis=0)
    return int(rows[np.linalg.norm(values[rows] - centre, axis=1).argmin()])


def reach(values: Array, members: Array) -> float:
    """Return how far from a member of a cluster a start may lie.

    Where the members lie nearer to each other than a thousandth of the spread, it is at most half way to any other row.
    """
    own, rest = values[members], values[~members]
    tree = cKDTree(own)
    gap = _REACH * float(tree.query(own, k=min(2, len(own)))[0].reshape(len(own), -1)[:, -1].max())
    half = float(tree.query(rest)[0].min()) / 2 if len(rest) else np.inf
    return max(gap, min(_REACH * _FINE, half))
