"""Rotation numbers: how many turns an orbit makes a loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.calculus.weighted_birkhoff import weighted_birkhoff
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap, as_map
from dynloop.orbits.trajectory import trajectory
from dynloop.result import Result, Status

__all__ = ["RotationNumber", "rotation_number"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class RotationNumber(Result):
    """The rotation number of one orbit.

    Attributes
    ----------
    value : float
        Turns per loop: between 0 and 1 for an angle coordinate, between −1/2 and 1/2 about a centre, anticlockwise
        positive. nan where it has no meaning.
    error : float
        How far the averages over the two halves of the window are apart.
    status : Status
        CONVERGED; NOT_CONVERGED where the turns of a loop spread over a whole turn, so that they cannot be counted, or
        where the orbit comes to the centre; DIVERGED if the orbit was lost.
    centre : ndarray, (2,), or None
        About which the turns were counted; None for an angle coordinate.
    loops, transient : int
        Length of the window, and loops dropped before it.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.rotation_number(dl.zoo.ring(), [0.6, 0.2])
    >>> found.status.name, abs(found.error) < 1e-9
    ('CONVERGED', True)
    """

    value: float
    error: float
    status: Status
    centre: Array | None
    loops: int
    transient: int


def rotation_number(
    m: LoopMap,
    start: Any = None,
    *,
    coordinates: int | tuple[int, int] | None = None,
    centre: Any = None,
    loops: int = 2000,
    transient: int = 1000,
    rng: int | np.random.Generator | None = 0,
) -> RotationNumber:
    """Count the turns that an orbit makes a loop, by a weighted Birkhoff average.

    Parameters
    ----------
    m : LoopMap
        The map; its states are vectors ``(n,)``.
    start : array, state_shape, optional
        Where the orbit begins; drawn by ``m.start(rng)`` if left out.
    coordinates : int or (int, int), optional
        An angle coordinate, or the two coordinates of the plane in which the orbit turns. Left out: the first angle
        coordinate of the map, if it has one, else (0, 1).
    centre : array, (2,), optional
        About which turns are counted in the plane; the middle of the orbit if left out.
    loops, transient : int
        Length of the window, and loops dropped before it.
    rng : int or Generator
        For the start.

    Returns
    -------
    RotationNumber
        Turns per loop, with an error.

    Raises
    ------
    InvalidArgumentError
        If `coordinates`, `centre` or a number of loops is out of range.
    ShapeError
        If `start` is not one state, or the states are no vectors.

    Notes
    -----
    An angle coordinate is lifted by the branch in which all displacements of the window lie within one turn. On a
    quasi-periodic orbit the error falls faster than any power of `loops` (Das, Saiki, Sander and Yorke, Nonlinearity
    30 (2017) 4111).

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.rotation_number(dl.zoo.ring(), [0.6, 0.2])  # by 0.618 of a turn: the same as by −0.382
    >>> round(found.value, 10)
    -0.3819660113
    """
    if len(as_map(m).state_shape) != 1:
        raise ShapeError(f"rotation numbers are of maps on vectors; {m.name} has states of shape {m.state_shape}")
    loops = checked_int(loops, "loops", 16, remedy="Leave it out for 2000")
    transient = checked_int(transient, "transient", 0, remedy="Leave it out for 1000")
    states, single = m.batch(start, rng, argument="start")
    if not single and len(states) > 1:
        raise ShapeError(f"start must be one state of shape {m.state_shape}; got {len(states)}. Pass start[0].")
    chosen = _chosen(m, coordinates)
    orbit = m.numpy(trajectory(m, states, loops, transient=transient).states)[:, 0]
    settings: dict[str, Any] = {"loops": int(loops), "transient": int(transient)}
    if not np.isfinite(orbit).all():
        return RotationNumber(value=np.nan, error=np.nan, status=Status.DIVERGED, centre=None, **settings)
    middle: Array | None
    if isinstance(chosen, int):
        assert m.periods is not None  # noqa: S101 - the coordinate was seen to be an angle
        turns, middle, known = np.diff(orbit[:, chosen]) / m.periods[chosen], None, True
    else:
        plane = orbit[:, chosen]
        middle = (plane.min(axis=0) + plane.max(axis=0)) / 2 if centre is None else _point(centre)
        away = plane - middle
        known = bool(np.linalg.norm(away, axis=1).min() > 1e-9 * (1 + np.abs(plane).max()))
        turns = np.diff(np.arctan2(away[:, 1], away[:, 0])) / (2 * np.pi)
    mean = float(np.angle(np.exp(2j * np.pi * turns).mean())) / (2 * np.pi)
    turns = mean + (turns - mean + 0.5) % 1.0 - 0.5  # the branch about the circular mean
    if not known or float(np.ptp(turns)) > 1 - 1e-6:
        return RotationNumber(value=np.nan, error=np.nan, status=Status.NOT_CONVERGED, centre=middle, **settings)
    found = weighted_birkhoff(turns)
    value = float(found.value) % 1.0 if middle is None else (float(found.value) + 0.5) % 1.0 - 0.5
    return RotationNumber(value=value, error=float(found.error), status=Status.CONVERGED, centre=middle, **settings)


def _chosen(m: LoopMap, coordinates: Any) -> int | list[int]:
    """Return an angle coordinate, or the two of a plane."""
    n = m.dimension
    angles = [] if m.periods is None else [int(j) for j in np.flatnonzero(np.isfinite(m.periods))]
    if coordinates is None:
        if angles:
            return angles[0]
        if n < 2:
            raise InvalidArgumentError(f"{m.name} has no angle and no plane to turn in: its states are single numbers")
        return [0, 1]
    if isinstance(coordinates, int) and not isinstance(coordinates, bool):
        if coordinates not in angles:
            raise InvalidArgumentError(f"coordinates={coordinates} is no angle of {m.name}; its angles are {angles}")
        return coordinates
    pair = list(coordinates) if isinstance(coordinates, tuple | list) else []
    if len(pair) != 2 or pair[0] == pair[1] or not all(isinstance(j, int) and 0 <= j < n for j in pair):
        raise InvalidArgumentError(f"coordinates must be an angle or two of the {n} coordinates; got {coordinates!r}")
    return pair


def _point(centre: Any) -> Array:
    point = np.asarray(centre, dtype=np.float64)
    if point.shape != (2,) or not np.isfinite(point).all():
        raise InvalidArgumentError(f"centre must be two finite numbers; got {centre!r}")
    return point
