"""Orbit diagrams: the states on the attractor against a parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.diagrams.family import FamilyLike, Member, members, statuses
from dynloop.maps.base import Array
from dynloop.maps.kernel import KernelMap
from dynloop.result import Result, Status

__all__ = ["OrbitDiagram", "orbit_diagram"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class OrbitDiagram(Result):
    """States of one orbit for each value of a parameter.

    Attributes
    ----------
    states : ndarray, (rows, loops, *state_shape)
        The states after the transient; nan from where an orbit is lost.
    status : ndarray of Status, (rows,)
        CONVERGED, or DIVERGED where a state stopped being finite.
    values : ndarray, (rows,)
        The values of the parameter.
    loops, transient : int
        Loops recorded, and loops dropped before them.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.orbit_diagram(dl.zoo.logistic(), [2.5, 3.2], loops=4)
    >>> found.states.shape, found.values.tolist(), [status.name for status in found.status]
    ((2, 4, 1), [2.5, 3.2], ['CONVERGED', 'CONVERGED'])
    """

    states: Array
    status: Array
    values: Array
    loops: int
    transient: int


def orbit_diagram(
    family: FamilyLike,
    values: Any,
    *,
    starts: Any = None,
    loops: int = 200,
    transient: int = 1000,
    parameter: int = 0,
    rng: int | np.random.Generator | None = 0,
    progress: Progress | None = None,
) -> OrbitDiagram:
    """Record the attractor of every map of a family.

    Parameters
    ----------
    family : KernelMap, or callable
        A compiled map, whose parameter number `parameter` takes the values; or ``family(value) -> LoopMap``.
    values : sequence, (rows,)
        The values of the parameter.
    starts : array, state_shape or (rows, *state_shape), optional
        One start for all or one for each; each map's own if left out.
    loops, transient : int
        Loops recorded, and loops dropped before them.
    parameter : int
        Which parameter of a compiled map takes the values, counted from 0.
    rng : int or Generator
        For starts.
    progress : callable, optional
        ``progress(values done, values in all)``.

    Returns
    -------
    OrbitDiagram
        The states. `dynloop.draw_orbit_diagram` plots them.

    Raises
    ------
    InvalidArgumentError, ShapeError
        If an argument is out of range or does not fit the family.

    Notes
    -----
    May, Nature 261 (1976) 459.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.orbit_diagram(dl.zoo.logistic(), [2.5, 3.2], loops=2)
    >>> found.states[:, :, 0].round(4)
    array([[0.6   , 0.6   ],
           [0.7995, 0.513 ]])
    """
    loops = checked_int(loops, "loops", 1, remedy="Leave it out for 200")
    transient = checked_int(transient, "transient", 0, remedy="Leave it out for 1000")
    values, made = members(family, values, parameter=parameter, starts=starts, rng=rng)
    states = None
    for member in made:
        found = _record(member, loops, transient)
        if states is None:
            states = np.empty((len(values), *found.shape[1:]))
        states[member.rows] = found
        if progress is not None:
            progress(member.rows.stop, len(values))
    assert states is not None  # noqa: S101 - there is one value at least
    lost = np.isnan(states[:, -1]).reshape(len(values), -1).any(axis=1)
    status = statuses(Status.CONVERGED, (lost, Status.DIVERGED))
    return OrbitDiagram(states=states, status=status, values=values, loops=int(loops), transient=int(transient))


def _record(member: Member, loops: int, transient: int) -> Array:
    """Return the states after the transient, ``(rows, loops, *state_shape)``."""
    m, states = member.map, member.states
    if isinstance(m, KernelMap):
        return m.record(states, loops, transient)
    if transient:
        states = m.watch(states, transient, states).states
    found = np.empty((len(states), loops, *m.state_shape))
    for t in range(loops):
        states = m.watch(states, 1, states).states
        found[:, t] = m.numpy(states)
    lost = ~np.isfinite(found).reshape(*found.shape[:2], -1).all(axis=2)
    found[np.logical_or.accumulate(lost, axis=1)] = np.nan
    return found
