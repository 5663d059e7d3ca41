"""What is drawn of an orbit: its points in a plane, and the polygon of the sections of its last recorded loop."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array
from dynloop.orbits.trajectory import Trajectory
from dynloop.views.principal import principal_plane
from dynloop.views.recording import recording

__all__ = ["OrbitPoints", "orbit_points"]

_CLOSED = 0.01  # of the polygon's perimeter: a gap that no eye sees


@dataclass(frozen=True, slots=True)
class OrbitPoints:
    """An orbit as it is drawn.

    Attributes
    ----------
    points : ndarray, (records, 2)
        The finite states.
    times : ndarray, (records,)
        Loops done at each.
    polygon : ndarray, (k + 1, 2), or None
        The sections of the last recorded loop.
    closed : bool
        Whether the last section is the first again, so far as a picture shows.
    layers : tuple of str, (k,)
        What leads from each section to the next.
    labels : tuple of str
        Of the two axes.
    """

    points: Array
    times: Array
    polygon: Array | None
    closed: bool
    layers: tuple[str, ...]
    labels: tuple[str, str]


def orbit_points(found: Trajectory, *, start: int = 0, token: int | None = None) -> OrbitPoints:
    """Place the states and sections of one start in a plane.

    Parameters
    ----------
    found : Trajectory
        With or without sections.
    start, token : int, int or None
        Which start of the batch; which row of a state, all of it if None.

    Returns
    -------
    OrbitPoints
        In the principal plane of all that is drawn; states of two coordinates as they are, of one against loops.

    Raises
    ------
    InvalidArgumentError
        If there is no such start or token, or fewer than two states are finite.
    """
    of = recording(found)
    states, sections = of.of(start, token)
    rows = states.reshape(len(states), -1)
    finite = np.isfinite(rows).all(axis=1)
    if finite.sum() < 2:
        raise InvalidArgumentError("found has fewer than two finite states, which is no orbit; record more loops")
    rows, times = rows[finite], of.times[finite]
    corners = np.empty((0, rows.shape[1]))
    if sections is not None and np.isfinite(sections).all():
        corners = sections.reshape(len(sections), -1)
    gaps = np.linalg.norm(np.diff(corners, axis=0), axis=1)
    closed = len(corners) > 1 and bool(np.linalg.norm(corners[-1] - corners[0]) <= _CLOSED * gaps.sum())
    points, polygon, labels = _placed(rows, corners, times)
    count = max(0, len(corners) - 1)
    layers = of.layers if len(of.layers) == count else tuple(f"layer {i + 1}" for i in range(count))
    return OrbitPoints(points, times, polygon if len(corners) > 1 else None, closed, layers, labels)


def _placed(rows: Array, corners: Array, times: Array) -> tuple[Array, Array, tuple[str, str]]:
    n, d = rows.shape
    if d == 1:
        within = times[-1] + np.linspace(0, 1, max(1, len(corners)))[: len(corners)]
        return np.column_stack([times, rows]), np.column_stack([within, corners]), ("loops", "state")
    if d == 2:
        return rows, corners, ("coordinate 0", "coordinate 1")
    plane = principal_plane(np.concatenate([rows, corners]))
    return plane.points[:n], plane.points[n:], (plane.label(0), plane.label(1))
