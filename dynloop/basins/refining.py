"""Clusters of features looked at again: whether several of their starts end on one attractor, and its record."""

from __future__ import annotations

import numpy as np

from dynloop.basins.attractors import Attractor
from dynloop.basins.cloud import sample, typical_gap
from dynloop.basins.clusters import clusters, medoid, scale, varies
from dynloop.basins.finding import CYCLES
from dynloop.basins.separation import clear
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.regime import classify
from dynloop.orbits.verdict import Regime

__all__ = ["distinct", "refined"]

_LOOKED = 8  # starts of a cluster that are followed
_STATES = 1024  # of a set that is no cycle
_SAME = 1e-6  # of its size: cycles nearer than this are one


def refined(m: LoopMap, values: Array, ends: Array, cluster: Array) -> tuple[Array, list[Attractor]]:
    """Return the cluster of every row, −1 for noise, and the record of each: clusters of several attractors are cut.

    Parameters
    ----------
    m : LoopMap
        The map.
    values : ndarray, (rows, features)
        Features, in units of their own.
    ends : ndarray, (rows, *state_shape)
        The last states.
    cluster : ndarray of int64, (rows,)
        Clusters, −1 for noise.
    """
    found, records = np.full(len(values), -1, dtype=np.int64), list[Attractor]()
    pending = [np.flatnonzero(cluster == c) for c in range(cluster.max() + 1)][::-1]
    while pending:
        rows = pending.pop()
        own = (values[rows] - np.median(values[rows], axis=0)) / scale(values[rows], m.precision)
        seen = _attractors(m, ends[rows[_spread(own)]])
        if varies(values[rows], m.precision) and not all(_alike(m, seen[0], one) for one in seen[1:]):
            parts = clusters(own)
            if parts.max() > 0 or (parts < 0).any():
                pending += [rows[parts == c] for c in range(parts.max(), -1, -1)]
            continue
        found[rows] = len(records)
        records.append(seen[0])
    return found, records


def _spread(values: Array) -> Array:
    """Return up to eight rows: the one nearest to the median, and then the farthest from those chosen."""
    rows = [medoid(values, np.ones(len(values), dtype=bool))]
    gaps = np.linalg.norm(values - values[rows[0]], axis=1)
    while len(rows) < min(_LOOKED, len(values)):
        rows.append(int(gaps.argmax()))
        gaps = np.minimum(gaps, np.linalg.norm(values - values[rows[-1]], axis=1))
    return np.array(rows)


def _attractors(m: LoopMap, states: Array) -> list[Attractor]:
    """Return the records of what orbits end on."""
    verdict = classify(m, states)
    found = []
    for b in range(len(states)):
        regime, period = np.ravel(verdict.regime[b]), np.ravel(verdict.period[b])
        if set(regime.tolist()) <= CYCLES:
            p = int(np.lcm.reduce(period))
            points = sample(m, m.numpy(m.native(verdict.states[b : b + 1])), p)[0]
            radius = float(np.ravel(verdict.rate[b]).max()) ** p
            error = 4 * m.precision * float(np.abs(points).max())
            kind = Regime.PERIODIC if p > 1 else regime[0]
        else:
            points = sample(m, states[b : b + 1].reshape(1, -1), _STATES)[0]
            p, radius, error = -1, float("nan"), typical_gap(m, points)
            kind = next((one for one in regime.tolist() if one not in CYCLES), Regime.UNDECIDED)
        whole = points.reshape(len(points), *m.state_shape)
        found.append(
            Attractor(label=0, period=p, points=whole, regime=kind, spectral_radius=radius, error=error)
        )  # fmt: skip
    return found


def distinct(m: LoopMap, records: list[Attractor]) -> tuple[Array, list[Attractor]]:
    """Return which attractor each record is, and the attractors: several clusters may lie on one cycle."""
    which, found = np.zeros(len(records), dtype=np.int64), list[Attractor]()
    for i, one in enumerate(records):
        which[i] = next((k for k, other in enumerate(found) if _same(m, one, other)), len(found))
        if which[i] == len(found):
            found.append(one)
    return which, found


def _alike(m: LoopMap, a: Attractor, b: Attractor) -> bool:
    """Say whether two records may be of one attractor: of one cycle, or of sets that no line parts."""
    if a.period < 0 and b.period < 0:
        return not clear(m, *(one.points.reshape(len(one.points), -1) for one in (a, b)))
    return _same(m, a, b)


def _same(m: LoopMap, a: Attractor, b: Attractor) -> bool:
    """Say whether two records are one cycle, whatever point it begins at."""
    if a.period != b.period or a.period < 1:
        return False
    gaps = m.displacement(np.broadcast_to(a.points[0], b.points.shape), b.points).reshape(a.period, -1)
    turned = np.roll(b.points, -int(np.linalg.norm(gaps, axis=1).argmin()), axis=0)
    apart = np.abs(m.displacement(a.points, turned)).max()
    return bool(apart <= _SAME * max(float(np.abs(a.points).max()), float(np.abs(b.points).max())))
