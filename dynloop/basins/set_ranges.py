"""How near to a chaotic or quasi-periodic set an orbit must stay to belong to it, where its cells are too many."""

from __future__ import annotations

import numpy as np

from dynloop.basins.attractors import Attractor
from dynloop.basins.cloud import alike, to_nearest
from dynloop.basins.distances import norms
from dynloop.basins.ranges import Range
from dynloop.basins.separation import Box, box_of, lines_between
from dynloop.maps.base import Array, LoopMap

__all__ = ["set_range"]

_SAMPLE = 1024  # states that are kept
_SHARE = 0.5  # of the distance to the nearest other attractor
_PRINCIPAL = 256  # coordinates up to which principal directions are taken
_LINES, _THIN, _DRAWN = 32, 8, 8  # directions tried, at most; of them, those of the least variance, and drawn ones
_HALVINGS = 5
_NUMBERS = 2**22  # coordinates of pushed states that are held at once
_LOOPS, _LOOKS = 1024, 32  # in which pushed states come back, and those at which they are looked at then


def set_range(m: LoopMap, one: Attractor, others: Array, starts: Array) -> Range:
    """Return the range of a set: the mean distance to the nearest of a sample, of states that are on the set.

    Parameters
    ----------
    m : LoopMap
        The map.
    one : Attractor
        A set, by a sample of its states.
    others : ndarray, (points, *state_shape)
        The points of the other attractors.
    starts : ndarray, (batch, *state_shape)
        Some starts: directions in which orbits come.

    Notes
    -----
    A state at distance δ off the set is √(g² + δ²) from the sample, g what those on it are in the mean. δ is what would
    pass for a state on it at first (`cloud.alike`); halved until states pushed by δ all come back to where they pass:
    from states of the set, towards the middle of the other attractors and some of their points, towards the starts, in
    the directions in which the set is thinnest, in drawn ones, and opposite to all of these. A state passes only within
    the bounds of the sample along those lines, and along all coordinates and principal directions up to 256: where a
    set is thin that tells it from one beside it, nearer than its states are to each other. The range is never more than
    half way to what lies of another attractor within these bounds; it is 0, so that nothing is captured, where the
    sample is too thin for that, or states do not come back from the least push.
    """
    flat = one.points.reshape(len(one.points), -1)
    order = np.random.default_rng(0).permutation(len(flat))
    few = min(_SAMPLE, len(flat) // 2)
    kept, left = flat[order[:few]], flat[np.sort(order[few:])]
    own = to_nearest(m, left, kept)
    gap, factor = float(own.mean()), alike(m, flat)
    others = others.reshape(len(others), m.dimension)
    lines = _lines(m, flat, others, starts.reshape(len(starts), m.dimension))
    bounded = _bounded(m, flat, others, lines[: len(lines) // 2])
    push, radius = gap * float(np.sqrt(factor**2 - 1)), 0.0
    for _ in range(_HALVINGS):
        box, most = box_of(m, flat, bounded, push), np.inf
        inside = others[box.holds(others)]
        if len(inside):
            most = _SHARE * float(to_nearest(m, inside, flat).min())
        if gap <= most and _come_back(m, left, kept, push * lines, min(factor * gap, most), box):
            radius = min(float(np.hypot(gap, push)), most)
            break
        push /= 2
    return Range(one.label, kept.reshape(-1, *m.state_shape), radius, float("nan"), 0.0, box)


def _bounded(m: LoopMap, flat: Array, others: Array, lines: Array) -> Array:
    """Return the lines along which the bounds of a set are taken."""
    found = [lines]
    if len(others):
        found.append(lines_between(flat, others))
    if m.dimension <= _PRINCIPAL:
        centred = flat - flat.mean(axis=0)
        found += [np.eye(m.dimension), np.linalg.eigh(centred.T @ centred)[1].T]
    return np.concatenate(found)


def _lines(m: LoopMap, flat: Array, others: Array, starts: Array) -> Array:
    """Return unit vectors: towards others and starts, where the set is thinnest, drawn ones; and their opposites."""
    shape = m.state_shape
    middle = flat[0] + m.displacement(flat.reshape(-1, *shape), flat[0].reshape(shape)).reshape(flat.shape).mean(axis=0)
    towards = [others.mean(axis=0)[None] if len(others) else others, others[:: -(-len(others) // _THIN) or 1], starts]
    away = np.concatenate(towards).reshape(-1, *shape)
    found = [m.displacement(away, middle.reshape(shape)).reshape(len(away), m.dimension)[: _LINES - _THIN - _DRAWN]]
    if m.dimension <= _PRINCIPAL:
        centred = m.displacement(flat.reshape(-1, *shape), middle.reshape(shape)).reshape(flat.shape)
        found.append(np.linalg.eigh(centred.T @ centred)[1].T[:_THIN])
    found.append(np.random.default_rng(1).standard_normal((_DRAWN, m.dimension)))
    lines = np.concatenate(found)
    lengths = norms(lines)
    lines = lines[lengths > 0] / lengths[lengths > 0, None]
    return np.concatenate([lines, -lines])


def _come_back(m: LoopMap, on: Array, sample: Array, pushes: Array, passes: float, box: Box) -> bool:
    """Say whether states of a set, two for every push, are later as near to it as those on it, mostly in its box."""
    moves = np.concatenate([pushes, pushes])
    begun = on[np.linspace(0, len(on) - 1, len(moves)).astype(int)] + moves
    total, inside, block = np.zeros(len(begun)), np.zeros(len(begun)), max(1, _NUMBERS // begun.size)
    with np.errstate(all="ignore"):
        states = m.native(begun.reshape(-1, *m.state_shape))
        states = m.watch(states, _LOOPS, states).states
        for first in range(0, _LOOKS, block):
            later = np.empty((min(block, _LOOKS - first), *begun.shape))
            for look in later:
                states = m.watch(states, 1, states).states
                look[:] = m.numpy(states).reshape(begun.shape)
            if not np.isfinite(later).all():
                return False
            inside += box.holds(later).sum(axis=0)
            if (inside < (first + len(later)) / 2).any():
                return False
            total += to_nearest(m, later.reshape(-1, m.dimension), sample).reshape(len(later), -1).sum(axis=0)
    return bool((total <= _LOOKS * passes).all())
