"""`by_features`: a mapper that tells attractors apart by features of orbits, clustered by HDBSCAN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from dynloop.basins.attractors import DIVERGED, UNMATCHED, Attractor, Mapper, Progress, numbered, one_map
from dynloop.basins.cloud import sample, typical_gap
from dynloop.basins.finding import CYCLES, chosen
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap, as_map
from dynloop.orbits.regime import classify
from dynloop.orbits.verdict import Regime

__all__ = ["FeatureMapper", "Features", "by_features", "moments"]

Features = Callable[[Array], Array]
_LEARNT = 1024  # starts that are clustered
_LEAST = 5  # starts that make a cluster
_FINE = 1e-3  # of the spread of a feature: clusters nearer than this are one
_REACH = 3.0  # times the largest gap of a cluster
_NUMBERS = 2**22  # coordinates that are held at a time


class FeatureMapper(Mapper):
    """A mapper by features: see `by_features`."""

    def __init__(self, m: LoopMap, states: Array, features: Features, transient: int, loops: int) -> None:
        self.map, self._features, self._transient, self._loops = one_map(m), features, transient, loops
        values, ends, lost = self._measured(states)
        if lost.all():
            self.attractors, self._tree = (), None
            return
        values, ends = values[~lost], ends[~lost]
        self._middle = np.median(values, axis=0)
        spread = values.std(axis=0)
        self._spread = np.where(spread > 1e-9 * (np.abs(values).max() + 1e-300), spread, np.inf)
        known = self._scaled(values)
        cluster = _clusters(known)
        found = [_attractor(m, ends[_medoid(known, cluster == c)]) for c in range(cluster.max() + 1)]
        self.attractors = numbered(m, found)
        self._clusters = np.full(len(found), UNMATCHED)
        for one in self.attractors:  # which record is which cluster: the order of records is that of positions
            self._clusters[_index(m, found, one)] = one.label
        member = cluster >= 0
        self._tree = cKDTree(known[member]) if member.any() else None
        self._member = cluster[member]
        self._reach = np.array([_reach(known[cluster == c]) for c in range(len(found))])

    def label(self, starts: Any, *, progress: Progress | None = None) -> tuple[Array, Array]:
        """Label starts by the nearest cluster: see `Mapper.label`; `loops` are those spent on all."""
        states = self.map.numpy(self.map.native(starts, "starts"))
        labels = np.full(len(states), UNMATCHED, dtype=np.int64)
        piece = max(1, _NUMBERS // (self._loops * self.map.dimension))
        for first in range(0, len(states), piece):
            values, _, lost = self._measured(states[first : first + piece])
            rows = labels[first : first + piece]
            rows[lost] = DIVERGED
            if self._tree is not None and not lost.all():
                gap, nearest = self._tree.query(self._scaled(values[~lost]))
                cluster = self._member[nearest]
                rows[~lost] = np.where(gap <= self._reach[cluster], self._clusters[cluster], UNMATCHED)
            if progress is not None:
                progress(min(first + piece, len(states)), len(states))
        return labels, np.full(len(states), self._transient + self._loops, dtype=np.int64)

    def _measured(self, states: Array) -> tuple[Array, Array, Array]:
        """Return features, last states, and which orbits are lost."""
        m = self.map
        native = m.native(states)
        with np.errstate(all="ignore"):
            begun = m.numpy(m.watch(native, self._transient, native).states).reshape(len(states), -1)
        lost = ~(np.abs(begun) < 1e150).all(axis=1)
        begun[lost] = 0.0
        orbits = sample(m, begun, self._loops)
        lost |= ~np.isfinite(orbits).all(axis=(1, 2))
        orbits[lost] = 0.0
        shaped = orbits.reshape(len(states), self._loops, *m.state_shape)
        values = np.asarray(self._features(shaped), dtype=np.float64)
        if values.ndim != 2 or len(values) != len(states):
            raise ShapeError(
                f"features must return shape (batch, features) of orbits {shaped.shape}; got {values.shape}"
            )
        lost |= ~np.isfinite(values).all(axis=1)
        return values, shaped[:, -1], np.asarray(lost)

    def _scaled(self, values: Array) -> Array:
        return np.asarray((values - self._middle) / self._spread)


def moments(m: LoopMap) -> Features:
    """Return the features that are taken when none are given: mean and standard deviation of every coordinate.

    An angle counts as its cosine and sine.
    """
    lengths = None if m.periods is None else m.periods.reshape(-1)

    def features(orbits: Array) -> Array:
        flat = orbits.reshape(*orbits.shape[:2], -1)
        if lengths is not None:
            angle = np.isfinite(lengths)
            turns = 2 * np.pi * flat[..., angle] / lengths[angle]
            flat = np.concatenate([flat[..., ~angle], np.cos(turns), np.sin(turns)], axis=-1)
        return np.concatenate([flat.mean(axis=1), flat.std(axis=1)], axis=1)

    return features


def by_features(
    m: LoopMap, starts: Any, features: Features | None = None, *, transient: int = 1024, loops: int = 256
) -> Mapper:
    """Make a mapper that tells attractors apart by features of orbits.

    Parameters
    ----------
    m : LoopMap
        The map.
    starts : array, (batch, *state_shape)
        Up to 1024 of them are iterated, and their features clustered.
    features : callable, optional
        ``features(orbits (batch, loops, *state_shape)) -> (batch, k)``; mean and standard deviation of every coordinate
        if left out.
    transient, loops : int
        Loops that are dropped, and those whose states make the features.

    Returns
    -------
    Mapper
        A start belongs to the cluster of the nearest learnt start; it is −3 if that is farther than the starts of the
        cluster are from each other.

    Raises
    ------
    InvalidArgumentError
        If a number is out of range.
    ShapeError
        If `starts` does not fit the map, or `features` returns another shape.

    Notes
    -----
    Clusters are those of HDBSCAN (Campello, Moulavi and Sander, PAKDD 2013), of five starts at least; an attractor that
    fewer lead to is noise, −3. As in Attractors.jl this is for maps whose attractors are told apart by what orbits do
    on them; no stability is looked at, so that every cluster is called an attractor.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.zoo.newton()
    >>> mapper = dl.by_features(m, m.start(0, 200))
    >>> mapper([[0.9, 0.1], [-0.5, 0.8], [-0.5, -0.8]])
    array([3, 2, 1])
    """
    m = as_map(m)
    for name, value, least in (("transient", transient, 1), ("loops", loops, 2)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise InvalidArgumentError(f"{name} must be an int of at least {least}; got {value!r}")
    states, _ = m.batch(starts)
    m = m.in_dtype_of(states)
    few = chosen(m.numpy(states), _LEARNT)
    return FeatureMapper(m, few, features or moments(m), int(transient), int(loops))


def _clusters(values: Array) -> Array:
    """Return the cluster of every row, −1 for noise."""
    if len(values) < 2 * _LEAST or float(np.ptp(values, axis=0).max(initial=0.0)) <= _FINE:
        return np.zeros(len(values), dtype=np.int64)
    from sklearn.cluster import HDBSCAN

    # no finer than a thousandth: rounding is no structure (and cluster_selection_epsilon fails in scikit-learn 1.9)
    coarse = np.round(values / _FINE) * _FINE
    found = HDBSCAN(min_cluster_size=_LEAST, copy=True).fit_predict(coarse)
    if found.max() < 0:
        found = HDBSCAN(min_cluster_size=_LEAST, copy=True, allow_single_cluster=True).fit_predict(coarse)
    return _joined(values, np.asarray(found, dtype=np.int64))


def _joined(values: Array, cluster: Array) -> Array:
    """Return clusters, those joined that are no farther from each other than a few gaps between their own members."""
    trees = [cKDTree(values[cluster == c]) for c in range(cluster.max() + 1)]
    reach = [_reach(values[cluster == c]) for c in range(len(trees))]
    names = list(range(len(trees)))
    for c, tree in enumerate(trees):
        for d in range(c):
            gap = float(tree.query(trees[d].data)[0].min())
            if gap <= max(reach[c], reach[d]):
                names = [names[d] if name == names[c] else name for name in names]
    kept = {name: i for i, name in enumerate(sorted(set(names)))}
    return np.array([-1 if c < 0 else kept[names[c]] for c in cluster.tolist()], dtype=np.int64)


def _medoid(values: Array, members: Array) -> int:
    rows = np.flatnonzero(members)
    centre = np.median(values[rows], axis=0)
    return int(rows[np.linalg.norm(values[rows] - centre, axis=1).argmin()])


def _reach(values: Array) -> float:
    """Return how far from a member of a cluster a start may lie."""
    gaps = cKDTree(values).query(values, k=min(2, len(values)))[0].reshape(len(values), -1)[:, -1]
    return _REACH * max(float(gaps.max()), _FINE)


def _attractor(m: LoopMap, state: Array) -> Attractor:
    """Return the record of what an orbit ends on."""
    verdict = classify(m, state[None])
    regime, period = np.ravel(verdict.regime), np.ravel(verdict.period)
    if set(regime.tolist()) <= CYCLES:
        p = int(np.lcm.reduce(period))
        points = sample(m, m.numpy(m.native(verdict.states)), p)[0]
        radius = float(np.ravel(verdict.rate).max()) ** p
        error = 4 * m.precision * float(np.abs(points).max())
        kind = Regime.PERIODIC if p > 1 else regime[0]
    else:
        points = sample(m, state[None].reshape(1, -1), 1024)[0]
        p, radius, error = -1, float("nan"), typical_gap(m, points)
        kind = next((one for one in regime.tolist() if one not in CYCLES), Regime.UNDECIDED)
    whole = points.reshape(len(points), *m.state_shape)
    return Attractor(label=0, period=p, points=whole, regime=kind, spectral_radius=radius, error=error)


def _index(m: LoopMap, found: list[Attractor], one: Attractor) -> int:
    """Return which of some records was numbered as one."""
    return next(i for i, other in enumerate(found) if np.array_equal(numbered(m, [other])[0].points, one.points))
