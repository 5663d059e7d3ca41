"""`by_features`: a mapper that tells attractors apart by features of orbits, clustered by HDBSCAN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from dynloop.arguments import checked_int
from dynloop.basins.attractors import DIVERGED, UNDECIDED, UNMATCHED, Attractor, Mapper, Progress, numbered, one_map
from dynloop.basins.cloud import sample
from dynloop.basins.clusters import LEAST, clusters, reach, scale
from dynloop.basins.finding import chosen
from dynloop.basins.refining import distinct, refined
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap, as_map

__all__ = ["FeatureMapper", "Features", "by_features", "moments"]

Features = Callable[[Array], Array]
_LEARNT = 1024  # starts that are clustered
_HUGE = 1e150  # beyond this an orbit has diverged
_NUMBERS = 2**22  # coordinates that are held at a time


class FeatureMapper(Mapper):
    """A mapper by features: see `by_features`."""

    def __init__(self, m: LoopMap, states: Array, features: Features, transient: int, loops: int) -> None:
        self.map, self._features, self._transient, self._loops = one_map(m), features, transient, loops
        self.attractors, self._tree = (), None
        values, ends, code = self._measured(states)
        values, ends = values[code == 0], ends[code == 0]
        if not len(values):
            return
        self._middle, self._spread = np.median(values, axis=0), scale(values, m.precision)
        known = self._scaled(values)
        cluster, records = refined(m, values, ends, clusters(known))
        which, found = distinct(m, records)
        self.attractors = numbered(m, found)
        label = np.zeros(len(found), dtype=np.int64)
        for one in self.attractors:  # which record is which cluster: the order of records is that of positions
            label[_index(m, found, one, label)] = one.label
        self._clusters = label[which]
        member = cluster >= 0
        self._tree = cKDTree(known[member]) if member.any() else None
        self._member = cluster[member]
        self._reach = np.array([reach(known, cluster == c) for c in range(len(records))])

    def label(self, starts: Any, *, progress: Progress | None = None) -> tuple[Array, Array]:
        """Label starts by the nearest cluster: see `Mapper.label`; `loops` are those spent on all."""
        states = self.map.numpy(self.map.native(starts, "starts"))
        labels = np.full(len(states), UNMATCHED, dtype=np.int64)
        piece = max(1, _NUMBERS // (self._loops * self.map.dimension))
        for first in range(0, len(states), piece):
            values, _, code = self._measured(states[first : first + piece])
            rows, known = labels[first : first + piece], code == 0
            rows[~known] = code[~known]
            if self._tree is not None and known.any():
                gap, nearest = self._tree.query(self._scaled(values[known]))
                cluster = self._member[nearest]
                rows[known] = np.where(gap <= self._reach[cluster], self._clusters[cluster], UNMATCHED)
            if progress is not None:
                progress(min(first + piece, len(states)), len(states))
        return labels, np.full(len(states), self._transient + self._loops, dtype=np.int64)

    def _measured(self, states: Array) -> tuple[Array, Array, Array]:
        """Return features, last states, and 0 or the label of a start that has none: −1 diverged, −2 no feature."""
        m = self.map
        native = m.native(states)
        with np.errstate(all="ignore"):
            begun = m.numpy(m.watch(native, self._transient, native).states).reshape(len(states), -1)
        lost = ~(np.abs(begun) < _HUGE).all(axis=1)
        begun[lost] = 0.0
        orbits = sample(m, begun, self._loops)
        lost |= ~(np.abs(orbits) < _HUGE).all(axis=(1, 2))
        orbits[lost] = 0.0
        shaped = orbits.reshape(len(states), self._loops, *m.state_shape)
        values = np.asarray(self._features(shaped), dtype=np.float64)
        if values.ndim != 2 or len(values) != len(states):
            raise ShapeError(
                f"features must return shape (batch, features) of orbits {shaped.shape}; got {values.shape}"
            )
        code = np.where(np.isfinite(values).all(axis=1), 0, UNDECIDED)
        code[lost] = DIVERGED
        return values, shaped[:, -1], code

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
        cluster are from each other, and −2 if a feature of it is not finite though its orbit is.

    Raises
    ------
    InvalidArgumentError
        If a number is out of range, or there are fewer than five starts.
    ShapeError
        If `starts` does not fit the map, or `features` returns another shape.

    Notes
    -----
    Clusters are those of HDBSCAN (Campello, Moulavi and Sander, PAKDD 2013), of five starts at least; an attractor that
    fewer lead to is noise, −3. A cluster is cut where its starts lie more than three times farther from each other than
    nine of ten of them do. As in Attractors.jl this is for maps whose attractors are told apart by what orbits do on
    them; no stability is looked at, so that every cluster is called an attractor. Clusters that end on one fixed point
    or cycle are one attractor. Of every cluster eight starts are followed, those farthest from each other: if they end
    on different cycles, or on sets whose ranges are disjoint along a line, it is clustered again in units of its own
    spread, since attractors far away make the unit large; what that does not part is noise. Attractors on which the
    features are equal to within rounding are one.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.zoo.newton()
    >>> mapper = dl.by_features(m, m.start(0, 200))
    >>> mapper([[0.9, 0.1], [-0.5, 0.8], [-0.5, -0.8]])
    array([3, 2, 1])
    """
    m = as_map(m)
    transient = checked_int(transient, "transient", 1, remedy="Leave it out for 1024")
    loops = checked_int(loops, "loops", 2, remedy="Leave it out for 256")
    states, _ = m.batch(starts)
    if len(states) < LEAST:
        raise InvalidArgumentError(
            f"starts must be {LEAST} or more, since a cluster is of so many; got {len(states)}. Draw some hundreds."
        )
    m = m.in_dtype_of(states)
    few = chosen(m.numpy(states), _LEARNT)
    return FeatureMapper(m, few, features or moments(m), transient, loops)


def _index(m: LoopMap, found: list[Attractor], one: Attractor, label: Array) -> int:
    """Return which of the records without a label was numbered as one."""
    return next(
        i
        for i, other in enumerate(found)
        if not label[i] and np.array_equal(numbered(m, [other])[0].points, one.points)
    )
