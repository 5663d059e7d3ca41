"""How far from an attractor of many coordinates its pull was seen: distances, not ellipsoids."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dynloop.basins.attractors import Attractor
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import precision_floor

__all__ = ["Range", "cycle_range", "set_range"]

_SHARE = 0.25  # of the distance to the nearest other attractor
_FACTORS = (1.0, 0.5, 0.1)  # of a radius, at which directions are tried
_DRAWN = 16  # directions besides those to the other attractors and to starts
_HALVINGS, _HORIZON = 30, 512
_BENT = 0.2  # share of a move that may be lost to bending
_SAMPLE = 1024  # states of a set that are kept
_WIDE = 1.5  # times the largest gap but one in a thousand


@dataclass(frozen=True, slots=True, eq=False)
class Range:
    """A neighbourhood of one attractor.

    Attributes
    ----------
    label : int
        Of the attractor.
    points : ndarray, (points, *state_shape)
        Its points, or a sample of its states.
    radius : float
        Distance to the nearest point within which the pull was seen.
    rate : float
        Factor per loop by which distances shrink in the end; nan of a set.
    floor : float
        Distance at which rounding hides the rest.
    """

    label: int
    points: Array
    radius: float
    rate: float
    floor: float

    @property
    def cycle(self) -> bool:
        """Whether it is one of a fixed point or cycle."""
        return not math.isnan(self.rate)


def norms(states: Array) -> Array:
    """Return the norm of every whole state, ``(batch,)``."""
    return np.asarray(np.linalg.norm(states.reshape(len(states), -1), axis=1))


def cycle_range(m: LoopMap, one: Attractor, others: Array, starts: Array) -> Range | None:
    """Return the range of a cycle; None if it was not seen to attract from any distance.

    Parameters
    ----------
    m : LoopMap
        The map.
    one : Attractor
        A cycle.
    others : ndarray, (points, *state_shape)
        The points of the other attractors.
    starts : ndarray, (batch, *state_shape)
        Some starts: the directions in which orbits come.

    Notes
    -----
    A quarter of the distance to the nearest other attractor at first; halved until states at that distance and nearer,
    towards every other attractor, towards the starts and in drawn directions, come to half their distance within the
    loops in which the multipliers ask for an eighth, and F^p is linear along each of them to within a fifth of the
    distance: where it is linear and shrinks there is no room for another attractor.
    """
    p = one.period
    rate = max(one.spectral_radius, 1e-16) ** (1 / p)
    if not rate < 1:
        return None
    rest = np.concatenate([np.delete(one.points, 0, axis=0), others])
    gaps = norms(m.displacement(rest, one.points[:1])) if len(rest) else np.empty(0)
    ways = m.displacement(starts, one.points[:1])
    size = float(norms(one.points).max())
    radius = _SHARE * float(gaps.min()) if len(gaps) else max(float(norms(ways).max(initial=0.0)), size, 1e-300)
    drawn = np.random.default_rng(0).standard_normal((_DRAWN, *m.state_shape))
    lines = np.concatenate([m.displacement(rest, one.points[:1]), ways, drawn])
    lengths = norms(lines)
    lines = lines[lengths > 0] / lengths[lengths > 0].reshape(-1, *(1,) * len(m.state_shape))
    relative = precision_floor(m, one.points)
    rows = one.points.reshape(p, m.rows, -1)
    floor = float(np.sqrt(np.square(relative * np.linalg.norm(rows, axis=2)).sum(axis=1)).max())
    floor = 4 * floor / (1 - rate) + one.error
    horizon = p * math.ceil(min(_HORIZON, math.log(8) / -math.log(rate) + 8) / p)
    for _ in range(_HALVINGS):
        before = np.repeat([factor * radius for factor in _FACTORS], len(lines))
        begun = one.points[0] + np.concatenate([factor * radius * lines for factor in _FACTORS])
        states = m.native(begun)
        with np.errstate(all="ignore"):
            ends = m.numpy(m.watch(states, horizon, states).states)
            after = norms(m.displacement(ends, one.points[:1]))
        if (after <= np.maximum(0.5 * before, floor)).all() and _linear(m, one, radius * lines, floor):
            return Range(one.label, one.points, radius, rate, min(floor, radius))
        radius /= 2
    return None


def _linear(m: LoopMap, one: Attractor, moves: Array, floor: float) -> bool:
    """Say whether F^p is linear along moves from the first point of a cycle: ‖f(d) − 2 f(d/2)‖ ≤ ‖d‖/5."""
    with np.errstate(all="ignore"):
        whole, half = (
            m.displacement(m.numpy(m.watch(begun, one.period, begun).states), one.points[:1])
            for begun in (m.native(one.points[0] + moves), m.native(one.points[0] + 0.5 * moves))
        )
        return bool((norms(whole - 2 * half) <= np.maximum(_BENT * norms(moves), 2 * floor)).all())


def set_range(one: Attractor) -> Range:
    """Return the range of a set: as far as its own states lie from a sample of it, one in a thousand left out."""
    points = one.points[np.linspace(0, len(one.points) - 1, min(_SAMPLE, len(one.points) // 2)).astype(int)]
    flat = one.points.reshape(len(one.points), -1)
    from scipy.spatial import cKDTree

    gaps = cKDTree(points.reshape(len(points), -1)).query(flat)[0]
    radius = _WIDE * float(np.quantile(gaps[gaps > 0], 0.999)) if (gaps > 0).any() else 0.0
    return Range(one.label, points, radius, float("nan"), 0.0)
