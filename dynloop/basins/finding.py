"""Attractors of a compiled map, found without being told: orbits that recur on a sparse grid, each set once."""

from __future__ import annotations

import numpy as np

from dynloop.basins.attractors import Attractor
from dynloop.basins.cloud import attracts, same, sample, stationary
from dynloop.basins.distances import gaps
from dynloop.basins.volumes import keeps_volume, set_record, volume_changes
from dynloop.maps.base import Array
from dynloop.maps.kernel import KernelMap
from dynloop.orbits.regime import classify
from dynloop.orbits.verdict import Classification, Regime

__all__ = ["CYCLES", "apart", "chosen", "cycle_of", "extents", "find_attractors", "sizes", "some_of"]

CYCLES = {Regime.VANISHING, Regime.CYCLIC, Regime.PERIODIC}
_SETS = {Regime.CHAOTIC, Regime.QUASIPERIODIC, Regime.UNDECIDED}
_FEW = 64  # starts that are followed at a time
_SIDES = 256.0  # cells of the sparse grid along a side of the region
_WANT = 128  # states in a row in cells visited before
_ROOM = 2**15  # places for visited cells
_LOOPS = 16384  # until an orbit recurs
_TRANSIENT, _LONGEST, _TOLERANCE = 512, 64, 1e-9
_MERGED = 1e-6  # of the size of a state: settled orbits closer than this are one until they are solved for
_SAME = 1e-9  # of the size of the region: attractors closer than this are one
_REFUSED = 4  # orbits that drift, or sets that do not attract, after which no more are looked at


def chosen(starts: Array, most: int = _FEW, seed: int = 0) -> Array:
    """Return up to `most` of some starts, sorted; which ones does not depend on their order.

    They are sorted coordinate by coordinate, and drawn by a fixed seed.
    """
    flat = starts.reshape(len(starts), -1)
    return np.asarray(starts[some_of(np.lexsort(flat.T[::-1]), most, seed)])


def some_of(order: Array, most: int, seed: int = 0) -> Array:
    """Return up to `most` of some indices, in their order, drawn by a fixed seed."""
    if len(order) <= most:
        return order
    return np.asarray(order[np.sort(np.random.default_rng(seed).choice(len(order), most, replace=False))])


def extents(starts: Array) -> Array:
    """Return the sizes of the coordinates of the region of some starts."""
    return sizes(np.ptp(starts.reshape(len(starts), -1), axis=0), float(np.abs(starts).max()))


def sizes(sides: Array, far: float) -> Array:
    """Return the sizes of the coordinates of a region: its sides; of a coordinate that does not vary, the longest.

    Where none varies it is `far`, the largest coordinate, 1 at least.
    """
    longest = float(sides.max()) or max(1.0, far)
    return np.where(sides > 1e-9 * longest, sides, longest)


def find_attractors(m: KernelMap, starts: Array, known: tuple[Attractor, ...], scale: Array) -> list[Attractor]:
    """Return the attractors that starts lead to, without those known.

    Parameters
    ----------
    m : KernelMap
        The map.
    starts : ndarray, (batch, n)
        Followed all, in this order.
    known : tuple of Attractor
        Not found again.
    scale : ndarray, (n,)
        Sizes of the coordinates.

    Notes
    -----
    An orbit is followed until it recurs on a sparse grid (Datseris and Wagemakers, Chaos 32 (2022) 023104). That alone
    makes no attractor: orbits linger at saddles. What is periodic then is solved for, and is an attractor if it is
    stable there. What is not must fill one set in both halves of a long record, and orbits pushed off the set must come
    back to it; then `classify` names its regime. Two records are one attractor if they are as near to each other as
    each to itself.
    """
    # the corner lies off the sides of the region by an odd share of a cell, as attractors like round numbers
    low = starts.min(axis=0) - 0.37 * scale / _SIDES
    loops, states = m.recur(starts, _LOOPS, _WANT, low, _SIDES / scale, _ROOM)
    states = states[loops != -1]
    found: list[Attractor] = []
    size = float(np.linalg.norm(scale))
    if not len(states):
        return found
    tail = m.record(states, 2 * _LONGEST, _TRANSIENT)
    states, tail = states[np.isfinite(tail).all(axis=(1, 2))], tail[np.isfinite(tail).all(axis=(1, 2))]
    if not len(states):
        return found
    period = _periods(m, tail, scale)
    seen = [one.points for one in known if one.period > 0]
    for x, p in zip(tail[period > 0], period[period > 0], strict=True):
        cycle = x[-p:]
        if any(_meets(m, cycle[0], points, size) for points in seen):
            continue
        seen.append(cycle)
        solved = cycle_of(m, classify(m, cycle[:1]))
        if solved is not None and all(apart(m, solved, one, size) for one in (*known, *found)):
            found.append(solved)
            seen.append(solved.points)
    return found + _others(m, tail[period == 0][:, -1], known, found, scale)


def _periods(m: KernelMap, tail: Array, scale: Array) -> Array:
    """Return the least p after which an orbit is back, twice, within a billionth of the region; 0 if there is none.

    It is relative to the region, so that an orbit that falls to the origin rests there.
    """
    found = np.zeros(len(tail), dtype=np.int64)
    half = tail.shape[1] // 2
    for p in range(half, 0, -1):
        moved = np.abs(m.displacement(tail[:, p:], tail[:, :-p])) / scale
        found[moved.max(axis=(1, 2)) <= _TOLERANCE] = p
    return found


def _meets(m: KernelMap, point: Array, points: Array, size: float) -> bool:
    return bool(gaps(m, points, point).min() <= _MERGED * min(size, max(float(np.abs(points).max()), _SAME * size)))


def cycle_of(m: KernelMap, verdict: Classification) -> Attractor | None:
    """Return the cycle that one start converges to, if it is stable there to within its error."""
    regime, period = verdict.regime[0], int(verdict.period[0])
    radius = float(verdict.evidence.spectral_radius[0])
    if regime not in CYCLES or period < 1 or not radius <= 1 + 1e-6:
        return None
    points = m.record(m.native(verdict.states), period, 0)[0]
    gap = float(gaps(m, points[-1:], verdict.states[0])[0])
    error = gap + 4 * m.precision * float(np.abs(points).max())
    return Attractor(label=0, period=period, points=points, regime=regime, spectral_radius=radius, error=error)


def apart(m: KernelMap, one: Attractor, other: Attractor, size: float) -> bool:
    """Say whether two attractors are not the same: farther than their errors, and than a billionth of the region."""
    if (one.period > 0) != (other.period > 0):
        return True
    if one.period < 0:
        return not same(m, one.points, other.points)
    return bool(gaps(m, other.points, one.points[0]).min() > 4 * (one.error + other.error) + _SAME * size)


def _others(
    m: KernelMap, states: Array, known: tuple[Attractor, ...], new: list[Attractor], scale: Array
) -> list[Attractor]:
    """Return the attractors of orbits that are not periodic."""
    sets = [one.points for one in known if one.period < 0]
    found: list[Attractor] = []
    refused, size = 0, float(np.linalg.norm(scale))
    for x in states:
        points = sample(m, x[None])[0]
        if not np.isfinite(points).all() or any(same(m, points, old) for old in sets):
            continue
        fills = stationary(m, points)
        if fills:
            sets.append(points)
        logs, errors = volume_changes(m, points) if fills else (np.empty(0), np.empty(0))
        if not fills or not attracts(m, points, scale) or keeps_volume(logs, errors):
            refused += 1
            if refused > _REFUSED:
                break
            if fills:
                continue
        verdict = classify(m, points[-1:])
        cycle = cycle_of(m, verdict)
        if cycle is not None:
            if all(apart(m, cycle, one, size) for one in (*known, *new, *found)):
                found.append(cycle)
        elif fills and verdict.regime[0] in _SETS:
            found.append(set_record(m, points, verdict.regime[0], logs))
    return found
