"""How near a candidate is to a solved limit, and whether its orbit is seen to come nearer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.candidate import Candidate
from dynloop.orbits.floor import row_norms

__all__ = [
    "AHEAD", "FAR", "adds_up", "amplified", "attracted", "by_group", "close_enough", "distance_ahead", "loops_to_see",
    "relative_distance", "relative_distances",
]  # fmt: skip

FAR = 1e-3  # a relative distance from the solution that asks for more than nearness
AHEAD = 1e-8  # the same for an orbit that is solved ahead of, which must be seen to come nearer at any distance
_STANDING = 256  # loops in which a neutral solution must stand still
_EPS = float(np.finfo(np.float64).eps)


def relative_distance(m: LoopMap, found: Candidate, point: Array) -> Array:
    """Return the distance of a candidate from a point, relative to the point, by group."""
    largest = np.array([found.largest.max()])
    return np.asarray(relative_distances(m, found.state[None], point, largest, found.groups)[0])


def relative_distances(m: LoopMap, states: Array, point: Array, largest: Array, groups: int) -> Array:
    """Return the distances of states from a point, relative to the point, ``(batch, groups)``.

    `largest` is the largest norm seen on the way to each state, ``(batch,)``.
    """
    gaps = row_norms(m, m.displacement(states, point))
    norms = row_norms(m, m.displacement(point, np.zeros_like(point))[None])
    least = 4 * _EPS * np.maximum(largest, norms.max()) + np.finfo(float).tiny
    rows = gaps / np.maximum(norms, least[:, None])
    return np.asarray(rows[:, :groups] if m.causal else np.fmax.reduce(rows, axis=1, keepdims=True))


def distance_ahead(m: LoopMap, found: Candidate, point: Array) -> Array:
    """Return the distance of a candidate from a point, relative to the point or to the largest norm seen, by group."""
    gap = row_norms(m, m.displacement(found.state, point)[None])[0]
    size = np.maximum(row_norms(m, m.displacement(point, np.zeros_like(point))[None])[0], found.largest)
    return by_group(m, gap / np.maximum(size, np.finfo(float).tiny), found.groups)


def close_enough(m: LoopMap, found: Candidate, radius: Array) -> Array:
    """Return how far from its solution a candidate may be, by group."""
    return amplified(by_group(m, found.floor, found.groups), radius)


def amplified(floor: Array, radius: Array) -> Array:
    """Return how far noise at the floor leaves an orbit from its limit: it is amplified by 1/(1 − ρ)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.minimum(np.maximum(1e-6, 1e3 * floor / np.maximum(1 - radius, 1e-6)), 0.5))


def attracted(m: LoopMap, found: Candidate, point: Array, radius: float) -> bool:
    """Say whether the orbit of the candidate really comes to the solution: asked where it is far away."""
    loops = found.period * loops_to_see(radius, found.patience)
    if not loops:
        return False
    later = m.numpy(m.watch(m.native(found.state[None]), loops, m.native(found.state[None])).states)[0]
    before, after = relative_distance(m, found, point), relative_distance(m, replace(found, state=later), point)
    return bool(np.all(after <= 0.1 * np.maximum(before, AHEAD if found.ahead else FAR)))


def adds_up(m: LoopMap, found: Candidate, point: Array) -> bool:
    """Say whether what is left of the steps at a neutral solution adds up, so that the state moves on and on.

    A step of some ten roundings may be noise or a slow ray: noise does not go on in one direction. It is asked whether
    the mean displacement of a loop, over some hundred loops, is above that of rounding.
    """
    loops = found.period * max(16, _STANDING // found.period)
    start = m.native(point[None])
    later = m.numpy(m.watch(start, loops, start).states)[0]
    return bool(np.any(relative_distance(m, replace(found, state=later), point) > loops * m.layer_count * 4 * _EPS))


def loops_to_see(radius: float, patience: int) -> int:
    """Return in how many rounds an orbit must be seen to come nearer to a solution; 0 where `patience` is too short."""
    if not radius < 1:
        return 0
    loops = int(np.clip(np.ceil(np.log(1e-2) / np.log(max(radius, 1e-3))) + 16, 16, patience))
    return loops if radius**loops <= 0.1 else 0


def by_group(m: LoopMap, rows: Array, groups: int) -> Array:
    """Reduce a number per row to one per group: the rows themselves, or their maximum."""
    return rows[:groups] if m.causal else np.array([np.nanmax(rows)])
