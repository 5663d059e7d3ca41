"""How far a recorded state moves, relative to its size, and the floor below which that is rounding."""

from __future__ import annotations

import numpy as np

from dynloop.arguments import checked_int
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array
from dynloop.orbits.records.dtype import EPS
from dynloop.orbits.verdict import Classification
from dynloop.views.recording import Recording

__all__ = ["floor_of", "relative_steps"]


def relative_steps(of: Recording, period: int = 1) -> Array:
    """Return ‖x_{i+p} − x_i‖ / ‖x_i‖ of every start, ``(records − p, starts)``; angles take the shorter way.

    Parameters
    ----------
    of : Recording
        The states.
    period : int
        p, in records.

    Returns
    -------
    ndarray
        Sizes are bounded below by rounding of the largest on the orbit, so that the origin can be a limit; nan where a
        state is not finite.

    Raises
    ------
    InvalidArgumentError
        If `period` is no positive int, or the record is no longer than it.
    """
    states = of.states
    remedy = "Record more loops, or leave it out for 1"
    period = checked_int(period, "period", 1, len(states) - 1, meaning="the steps that were recorded", remedy=remedy)
    with np.errstate(all="ignore"):
        difference = states[period:] - states[:-period]
        if of.periods is not None:
            length = np.where(np.isnan(of.periods), np.inf, of.periods)
            difference = difference - np.where(np.isinf(length), 0.0, length) * np.round(difference / length)
        rows = states.reshape(*states.shape[:2], -1)
        size = np.linalg.norm(rows, axis=2)
        least = EPS["float64"] * np.where(np.isfinite(size), size, 0.0).max(axis=0)
        size = np.maximum(size[:-period], np.maximum(least, np.finfo(float).tiny))
        step = np.linalg.norm(difference.reshape(len(difference), rows.shape[1], -1), axis=2) / size
    return np.asarray(np.where(np.isfinite(step), step, np.nan))


def floor_of(of: Recording, floor: float | Classification | None) -> tuple[float, str]:
    """Return the precision floor to draw, and how it is known.

    Parameters
    ----------
    of : Recording
        Whose dtype gives the nominal floor, four units of roundoff, where nothing else is said.
    floor : float, Classification or None
        The floor itself, or a result that measured it.

    Returns
    -------
    float, str
        Relative.
    """
    if isinstance(floor, Classification):
        known = np.ravel(np.asarray(floor.evidence.floor, dtype=float))
        known = known[np.isfinite(known)]
        if known.size:
            return float(known.max()), "precision floor"
    elif floor is not None:
        if isinstance(floor, bool) or not isinstance(floor, int | float | np.number) or not 0 < floor < np.inf:
            raise InvalidArgumentError(f"floor must be a positive relative step or a Classification; got {floor!r}")
        return float(floor), "precision floor"
    return 4 * EPS[of.dtype], f"precision floor of {of.dtype}, nominal"
