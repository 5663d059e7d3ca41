"""Location of one bifurcation on a piece of a branch: the root of a number that changes sign there, with its error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.chebyshev import Chebyshev, chebfit, chebval
from scipy.optimize import brentq

from dynloop.maps.base import Array
from dynloop.orbits.branches.place import Place, multipliers_at
from dynloop.orbits.branches.segment import Segment

__all__ = ["Located", "critical_index", "locate"]

_EPS = float(np.finfo(np.float64).eps)
_NEAR = 1e-6  # how near the circle the critical multiplier of a located bifurcation must be
_NODES = 8  # places through which a branch point is interpolated
_SPREAD = 0.1  # half width of those places, as a share of the step
_AWAY = 1e-3  # of a piece: how far off the slope of the critical multiplier is measured
_TARGET = {"fold": 1.0, "branch": 1.0, "touch": 1.0, "flip": -1.0}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Located:
    """A bifurcation.

    Attributes
    ----------
    kind : str
        "fold", "flip", "neimark-sacker", "branch" or "touch".
    place : Place
        Where it is.
    s : float
        How far from the beginning of its segment.
    error : float
        How far the parameter may be off.
    """

    kind: str
    place: Place
    s: float
    error: float


class _LostError(Exception):
    """No place was found where one was needed."""


def locate(segment: Segment, kind: str, s: float, t: float, a: Place, b: Place) -> Located | None:
    """Locate the bifurcation of a kind that lies between lengths s and t; None where what lies there is another.

    Parameters
    ----------
    segment : Segment
        The segment.
    kind : str
        See `Located`.
    s, t : float
        Lengths along the segment.
    a, b : Place
        The places there.
    """
    outside = min(a.unstable, b.unstable)  # the first multiplier, by size, that crosses the circle

    def number(place: Place) -> float:
        if kind in ("fold", "touch"):
            return float(place.direction[-1])
        if kind == "neimark-sacker":
            return float(np.log(np.abs(place.multipliers.values[outside])))
        return place.product(_TARGET[kind])

    def at(length: float) -> Place:
        place = segment.place(length)
        if place is None or not len(place.multipliers.values):
            raise _LostError
        return place

    coarse = kind in ("branch", "touch")
    try:
        xtol = 1e-3 * (t - s) if coarse else 1e-15
        known = {s: number(a), t: number(b)}
        if known[s] * known[t] > 0:
            return None
        root = float(
            brentq(lambda r: known[r] if r in known else number(at(r)), s, t, xtol=xtol, rtol=4 * _EPS, maxiter=100)
        )
        if coarse:
            return _interpolated(segment, kind, root, number, at)
        place = at(root)
        index = critical_index(kind, place, outside)
        if index is None:
            return None
        error = _error(segment, kind, root, t - s, place, index, outside, at)
    except (_LostError, IndexError, RuntimeError):
        return None
    return Located(kind=kind, place=place, s=root, error=error)


def critical_index(kind: str, place: Place, outside: int = 0) -> int | None:
    """Return which multiplier is critical at a place; None where none is as the kind asks."""
    values, errors = place.multipliers.values, place.multipliers.errors
    if kind == "neimark-sacker":
        pair = values[outside : outside + 2]
        near = len(pair) == 2 and abs(abs(pair[0]) - 1) <= _NEAR + errors[outside]
        complex_pair = near and abs(pair[0].imag) > 10 * errors[outside] + _NEAR and abs(pair[0] - pair[1].conj()) == 0
        return outside if complex_pair else None
    gaps = np.abs(values - _TARGET[kind])
    index = int(np.argmin(gaps))
    if gaps[index] > _NEAR + 10 * errors[index] or values[index].imag != 0:
        return None
    return index


def _error(
    segment: Segment, kind: str, root: float, width: float, place: Place, index: int, outside: int,
    at: Callable[[float], Place],
) -> float:  # fmt: skip
    """Return how far the parameter of a bifurcation may be off: rounding, and the error of the multiplier."""
    system = segment.system
    moved = _rounding(segment, place)
    rate = abs(float(place.direction[-1] / (segment.row @ place.direction)))
    error = abs(float(moved[-1])) + _EPS * (1 + abs(system.value(place.z)) / system.unit)
    along = float(np.linalg.norm(moved)) + 1e-15
    if kind != "fold":
        away = root + _AWAY * width
        other = at(away)
        one, two = place.multipliers.values[index], other.multipliers.values
        if kind == "flip":
            slope = abs(two[np.argmin(np.abs(two - one))] - one) / (away - root)
            off = abs(one + 1)
        else:
            slope = abs(abs(two[outside]) - abs(one)) / (away - root)
            off = abs(abs(one) - 1)
        along += float((off + place.multipliers.errors[index]) / max(slope, 1e-300))
    return (error + rate * along) * system.unit


def _rounding(segment: Segment, place: Place) -> Array:
    """Return how far a solution moves, scaled, by rounding in the equations."""
    system = segment.system
    signs = np.random.default_rng(0).choice([-1.0, 1.0], system.n)
    noise = 4 * _EPS * (1 + system.period) * (np.abs(place.z[:-1]) + np.abs(place.z[:-1]).max())
    found = system.linearise(place.z).solve(place.direction, noise * signs, 0.0)
    return np.zeros(system.n + 1) if found is None else found


def _interpolated(
    segment: Segment, kind: str, near: float, number: Callable[[Place], float], at: Callable[[float], Place]
) -> Located | None:
    """Locate a branch point from places around it: at the point itself the equations are singular.

    The difference between polynomials of two degrees is the error.
    """
    nodes = np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)
    width = _SPREAD * segment.length
    for _ in range(4):
        try:
            places = [at(near + width * node) for node in nodes]
            break
        except _LostError:
            width /= 4
    else:
        return None
    if kind == "branch":
        heights = np.array([_nearest(place, 1.0) - 1.0 for place in places])
    else:
        heights = np.array([number(place) for place in places])
    zs, directions = np.stack([place.z for place in places]), np.stack([place.direction for place in places])
    (root, z, direction), (_, other, _) = (
        _at_root(nodes, heights, zs, directions, degree) for degree in (_NODES - 1, _NODES - 3)
    )
    known, complete = multipliers_at(segment.system, z, segment.k, segment.system.linearise(z))
    place = Place(z=z, direction=direction / np.linalg.norm(direction), multipliers=known, known=complete, gap=0.0)
    if critical_index(kind, place) is None:
        return None
    slope = abs(float(Chebyshev(chebfit(nodes, heights, 2)).deriv()(root)))
    noise = float(np.max([place.multipliers.errors[np.argmin(np.abs(place.multipliers.values - 1))], 8 * _EPS / width]))
    rate = abs(float(direction[-1] / (segment.row @ direction)))
    error = (
        abs(float(z[-1] - other[-1]))
        + rate * width * noise / max(slope, 1e-300)
        + 4 * _EPS * (1 + abs(segment.system.value(z)) / segment.system.unit)
    )
    return Located(kind=kind, place=place, s=near + root * width, error=error * segment.system.unit)


def _at_root(nodes: Array, heights: Array, zs: Array, directions: Array, degree: int) -> tuple[float, Array, Array]:
    """Return the root of the polynomial through heights at nodes, and there the polynomials through the others."""
    roots = Chebyshev(chebfit(nodes, heights, degree)).roots()
    real = roots[(np.abs(roots.imag) < 1e-9) & (np.abs(roots.real) <= 1)].real
    if not len(real):
        raise _LostError
    root = float(real[np.argmin(np.abs(real))])
    z, direction = (np.asarray(chebval(root, chebfit(nodes, rows, degree))) for rows in (zs, directions))
    return root, z, direction


def _nearest(place: Place, target: float) -> float:
    """Return the real part of the multiplier nearest to a target."""
    values = place.multipliers.values
    return float(values[np.argmin(np.abs(values - target))].real)
