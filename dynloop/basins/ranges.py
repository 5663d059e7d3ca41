"""How far from an attractor of many coordinates its pull was seen: distances, not ellipsoids."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dynloop.basins.attractors import Attractor
from dynloop.basins.distances import gaps, norms
from dynloop.basins.separation import Box
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import precision_floor

__all__ = ["Range", "cycle_range"]

_SHARE = 0.25  # of the distance to the nearest other attractor
_FACTORS = (1.0, 0.5, 0.1)  # of a radius, at which directions are tried
_DRAWN = 16  # directions besides those to the other attractors and to starts
_TOWARDS = 32  # other points, nearest or spread, towards which directions are tried
_HALVINGS, _HORIZON = 30, 512
_BENT = 0.2  # share of a move that may be lost to bending


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
        Distance to the nearest point within which the pull was seen; of a set, the mean distance of states on it.
    rate : float
        Factor per loop by which distances shrink in the end; nan of a set.
    floor : float
        Distance at which rounding hides the rest.
    box : Box, optional
        Of a set: the bounds within which its states lie.
    """

    label: int
    points: Array
    radius: float
    rate: float
    floor: float
    box: Box | None = None

    @property
    def cycle(self) -> bool:
        """Whether it is one of a fixed point or cycle."""
        return not math.isnan(self.rate)


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
    A quarter of the least distance of any of its points to another or to another attractor at first; halved until
    states at that distance from each of its points and nearer, towards the others and the other attractors, towards the
    starts and in drawn directions, come to half their distance within the loops in which the multipliers ask for an
    eighth, and F^p is linear along each of them to within a fifth of the distance: where it is linear and shrinks there
    is no room for another attractor. None too where rounding hides the outer half of it.
    """
    p = one.period
    rate = max(one.spectral_radius, 1e-16) ** (1 / p)
    if not rate < 1:
        return None
    between = [float(gaps(m, _rest(one, i, others), one.points[i]).min(initial=np.inf)) for i in range(p)]
    ways = norms(m.displacement(starts, one.points[:1]))
    size = float(norms(one.points).max())
    radius = _SHARE * min(between)
    if not math.isfinite(radius):
        radius = max(float(ways.max(initial=0.0)), size, 1e-300)
    relative = precision_floor(m, one.points)
    rows = one.points.reshape(p, m.rows, -1)
    floor = float(np.sqrt(np.square(relative * np.linalg.norm(rows, axis=2)).sum(axis=1)).max())
    floor = 4 * floor / (1 - rate) + one.error
    horizon = p * math.ceil(min(_HORIZON, math.log(8) / -math.log(rate) + 8) / p)
    for _ in range(_HALVINGS):
        if floor > radius / 2:
            return None
        if all(_shrinks(m, one, i, radius, _lines(m, one, i, others, starts), horizon, floor) for i in range(p)):
            return Range(one.label, one.points, radius, rate, floor)
        radius /= 2
    return None


def _rest(one: Attractor, i: int, others: Array) -> Array:
    """Return the points of a cycle but one, and those of the other attractors."""
    return np.concatenate([np.delete(one.points, i, axis=0), others])


def _lines(m: LoopMap, one: Attractor, i: int, others: Array, starts: Array) -> Array:
    """Return unit vectors from point i: towards the nearest others, some of the rest, and starts; and drawn ones."""
    drawn = np.random.default_rng(0).standard_normal((_DRAWN, *m.state_shape))
    rest = _rest(one, i, others)
    nearest = np.argsort(gaps(m, rest, one.points[i]))
    towards = np.concatenate([rest[nearest[:_TOWARDS]], rest[nearest[_TOWARDS :: 1 + len(rest) // _TOWARDS]], starts])
    found = np.concatenate([m.displacement(towards, one.points[i : i + 1]), drawn])
    lengths = norms(found)
    return np.asarray(found[lengths > 0] / lengths[lengths > 0].reshape(-1, *(1,) * len(m.state_shape)))


def _shrinks(m: LoopMap, one: Attractor, i: int, radius: float, lines: Array, horizon: int, floor: float) -> bool:
    """Say whether the states within a radius of point i come nearer along lines, and F^p is linear there."""
    before = np.repeat([factor * radius for factor in _FACTORS], len(lines))
    begun = one.points[i] + np.concatenate([factor * radius * lines for factor in _FACTORS])
    states = m.native(begun)
    with np.errstate(all="ignore"):
        ends = m.numpy(m.watch(states, horizon, states).states)
        after = norms(m.displacement(ends, one.points[i : i + 1]))
    return bool((after <= np.maximum(0.5 * before, floor)).all()) and _linear(m, one, i, radius * lines, floor)


def _linear(m: LoopMap, one: Attractor, i: int, moves: Array, floor: float) -> bool:
    """Say whether F^p is linear along moves from point i of a cycle: ‖f(d) − 2 f(d/2)‖ ≤ ‖d‖/5."""
    at = one.points[i : i + 1]
    with np.errstate(all="ignore"):
        whole, half = (
            m.displacement(m.numpy(m.watch(begun, one.period, begun).states), at)
            for begun in (m.native(at + moves), m.native(at + 0.5 * moves))
        )
        return bool((norms(whole - 2 * half) <= np.maximum(_BENT * norms(moves), 2 * floor)).all())
