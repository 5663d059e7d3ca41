"""Periods against a parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.diagrams.family import FamilyLike, Member, members, statuses
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array
from dynloop.maps.kernel import KernelMap
from dynloop.result import Result, Status

__all__ = ["PeriodDiagram", "period_diagram"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class PeriodDiagram(Result):
    """The period of one orbit for each value of a parameter.

    Attributes
    ----------
    period : ndarray of int64, (rows,)
        The least number of loops after which the orbit is back; −1 where none was found.
    status : ndarray of Status, (rows,)
        CONVERGED where a period was found, DIVERGED where a state stopped being finite, OUT_OF_LOOPS where the orbit
        does not come back within `longest` loops, or was still settling.
    values : ndarray, (rows,)
        The values of the parameter.
    transient, longest : int
        Loops dropped, and the longest period that was looked for.
    tolerance : float
        How near, relative to the largest coordinate, counts as back.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.period_diagram(dl.zoo.logistic(), [3.2, 4.0], longest=16)
    >>> found.period.tolist(), found.values.tolist(), found.longest
    ([2, -1], [3.2, 4.0], 16)
    """

    period: Array
    status: Array
    values: Array
    transient: int
    longest: int
    tolerance: float


def period_diagram(
    family: FamilyLike,
    values: Any,
    *,
    starts: Any = None,
    transient: int = 1000,
    longest: int = 64,
    tolerance: float = 1e-9,
    parameter: int = 0,
    rng: int | np.random.Generator | None = 0,
    progress: Progress | None = None,
) -> PeriodDiagram:
    """Find the period of the attractor of every map of a family.

    A period is the least number of loops after which the orbit is back, within a tolerance, twice: the second time no
    farther than the first, so that an orbit that creeps is not taken for one that rests. Where a shorter return comes
    within a thousand tolerances too, the orbit may still be settling, and no period is given. It is a quick test of
    many maps; `classify` decides one orbit with evidence.

    Parameters
    ----------
    family, values, starts, parameter, rng, progress
        As in `orbit_diagram`.
    transient, longest : int
        Loops dropped, and the longest period looked for.
    tolerance : float
        How near, relative to the largest coordinate, counts as back.

    Returns
    -------
    PeriodDiagram
        Periods and their status. `dynloop.draw_period_diagram` plots them.

    Raises
    ------
    InvalidArgumentError, ShapeError
        If an argument is out of range or does not fit the family.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.period_diagram(dl.zoo.logistic(), [2.5, 3.2, 3.5, 3.55, 4.0, 4.1]).period
    array([ 1,  2,  4,  8, -1, -1])
    """
    transient = checked_int(transient, "transient", 0, remedy="Leave it out for 1000")
    longest = checked_int(longest, "longest", 1, remedy="Leave it out for 64")
    if not isinstance(tolerance, int | float) or not 0 < tolerance < 1:
        raise InvalidArgumentError(f"tolerance must be a number between 0 and 1; got {tolerance!r}")
    values, made = members(family, values, parameter=parameter, starts=starts, rng=rng)
    found = np.empty(len(values), dtype=np.int64)
    for member in made:
        found[member.rows] = _periods(member, transient, longest, tolerance)
        if progress is not None:
            progress(member.rows.stop, len(values))
    status = statuses(Status.OUT_OF_LOOPS, (found > 0, Status.CONVERGED), (found < 0, Status.DIVERGED))
    return PeriodDiagram(
        period=np.where(found > 0, found, -1), status=status, values=values, transient=int(transient),
        longest=int(longest), tolerance=float(tolerance),
    )  # fmt: skip


def _periods(member: Member, transient: int, longest: int, tolerance: float) -> Array:
    """Return the period of every orbit: 0 if none is found, −1 if it is lost."""
    m, states = member.map, member.states
    if isinstance(m, KernelMap):
        return m.find_periods(states, transient, longest, tolerance)
    largest = np.abs(m.numpy(states)).max()
    if transient:
        seen = m.watch(states, transient, states)
        states, largest = seen.states, np.maximum(largest, seen.norms.max())
    x = m.numpy(states)
    gaps = np.empty((2 * longest + 1, len(x)))
    for t in range(1, 2 * longest + 1):
        states = m.watch(states, 1, states).states
        with np.errstate(invalid="ignore"):
            gaps[t] = np.abs(m.displacement(m.numpy(states), x)).reshape(len(x), -1).max(axis=1)
    size = np.maximum(np.abs(x).reshape(len(x), -1).max(axis=1), m.precision * largest)
    return np.array([_period(*row, longest, tolerance, m.precision) for row in zip(gaps.T, size, strict=True)])


def _period(gaps: Array, size: float, longest: int, tolerance: float, precision: float) -> int:
    """Return the period that the gaps after 0, 1, … loops tell; the rule of `maps.compiled.sweeps.period_loop`."""
    if not np.isfinite(gaps[1:]).all():
        return -1
    allowed = max(tolerance, 4 * precision) * size
    back = 1 + np.flatnonzero(gaps[1 : longest + 1] <= allowed)
    if not len(back):
        return 0
    p = int(back[0])
    settling = any(p % d == 0 and gaps[d] <= 1e3 * allowed for d in range(1, p // 2 + 1))
    return 0 if settling or gaps[2 * p] > max(1.5 * gaps[p], 5 * precision * size) else p
