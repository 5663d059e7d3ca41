"""Branches of fixed points and cycles in a parameter, the bifurcations on them, and the branches that leave there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap
from dynloop.maps.family import FamilyLike
from dynloop.orbits.branches.collect import collect
from dynloop.orbits.branches.corrector import direction_at, place_at
from dynloop.orbits.branches.members import Members
from dynloop.orbits.branches.place import Place, multipliers_at
from dynloop.orbits.branches.record import Bifurcation, Branch
from dynloop.orbits.branches.switching import crossing_direction, first_solution, flip_direction
from dynloop.orbits.branches.system import System
from dynloop.orbits.branches.walk import Steps, Walk
from dynloop.orbits.solvers.polish import polish
from dynloop.result import Status

__all__ = ["Bifurcation", "Branch", "continue_fixed_point", "switch_branch"]

Progress = Callable[[int, int], None]
_SAME = 1e-8  # relative distance of two states of a cycle that are one


def continue_fixed_point(
    family: FamilyLike,
    point: Any,
    values: Any,
    *,
    period: int = 1,
    k: int = 6,
    parameter: int = 0,
    direction: int = 1,
    window: tuple[float, float] | None = None,
    first_step: float = 0.01,
    smallest_step: float = 1e-7,
    largest_step: float = 0.05,
    budget: int = 2000,
    progress: Progress | None = None,
) -> Branch:
    """Follow a fixed point or a cycle in a parameter, through folds, and locate the bifurcations on the way.

    Parameters
    ----------
    family : KernelMap, or callable
        ``family(value) -> LoopMap``, or a compiled map, whose parameter number `parameter` takes the values.
    point : array, state_shape
        Near a solution at the first value; it is polished there.
    values : sequence of float, (2,) or more
        Increasing or decreasing: the first is where `point` is a solution, the last is where the branch ends. Values
        between them are met exactly, each time the branch passes one.
    period : int
        p, the prime period of the orbit.
    k : int
        Leading multipliers a row. In more than 1024 dimensions, where the map is not causal, as many are computed.
    parameter : int
        See `family`; counted from 0.
    direction : {1, −1}
        1 sets off towards the last value, −1 away from it (give a `window` that has room there).
    window : (float, float), optional
        What the parameter may not leave, and where maps are made; from the least to the largest of `values` if left
        out.
    first_step, smallest_step, largest_step : float
        Lengths of steps, in units where the window is 1 and the root mean square of the first state is 1.
    budget : int
        Most steps.
    progress : callable, optional
        Called with the number of steps and `budget` after each step.

    Returns
    -------
    Branch
        Solutions with multipliers, and the bifurcations between them.

    Raises
    ------
    InvalidArgumentError
        If an argument is out of range, or no solution of prime period p was found from `point`.
    ShapeError
        If `point` is not one state.

    Notes
    -----
    Pseudo-arclength: H. B. Keller, in *Applications of Bifurcation Theory* (1977) 359. The number of multipliers
    outside the unit circle and the signs of dλ/ds, det(DF^p − I) and det(DF^p + I) are compared at both ends of every
    step; where they differ, the step is halved until each piece holds one bifurcation. Two that undo each other within
    one step (a flip and the flip back) leave no trace at its ends: a smaller `largest_step` finds them. A bifurcation
    exactly at an end of the window is not passed; the row there is "marginal". In more than 256 dimensions linear
    systems are solved by LGMRES on products with DF. The cycle is solved as one equation F^p(x) = x, so its multipliers
    should not exceed some 1e6.

    Examples
    --------
    >>> import dynloop as dl
    >>> branch = dl.continue_fixed_point(dl.zoo.logistic, [0.6], [2.5, 3.2])
    >>> [(found.kind, found.criticality, round(found.value, 9)) for found in branch.bifurcations]
    [('flip', 'supercritical', 3.0)]
    """
    wanted = _checked_values(values)
    steps = _checked_options(period, k, direction, first_step, smallest_step, largest_step, budget)
    low, high = _checked_window(window, wanted)
    members = Members(family, parameter)
    m = members.at(float(wanted[0]))
    x = _solution(m, point, period, float(wanted[0]))
    system = System(members, period, _size(m, x, period), low, high, float(wanted[0]))
    z = system.pack(x, float(wanted[0]))
    towards = float(np.sign(wanted[-1] - wanted[0])) * direction
    along = _first_direction(system, z, towards)
    start = _given_place(system, z, along, k)
    return collect(Walk(system, start, float(wanted[-1]), steps, k), wanted, k, progress)


def switch_branch(
    family: FamilyLike,
    bifurcation: Bifurcation,
    values: Any,
    *,
    side: int = 1,
    k: int = 6,
    parameter: int = 0,
    window: tuple[float, float] | None = None,
    first_step: float = 0.01,
    smallest_step: float = 1e-7,
    largest_step: float = 0.05,
    budget: int = 2000,
    progress: Progress | None = None,
) -> Branch:
    """Follow the branch that leaves another one: the doubled orbit at a flip, the other branch at a branch point.

    Parameters
    ----------
    family, k, parameter, window, first_step, smallest_step, largest_step, budget, progress
        As in `continue_fixed_point`.
    bifurcation : Bifurcation
        A flip or a branch point of a `Branch`.
    values : sequence of float, (2,) or more
        Increasing or decreasing, with the bifurcation among them or at an end; the branch ends at the last.
    side : {1, −1}
        Which of the two ways along the new branch. At a flip both are one orbit, begun at different points.

    Returns
    -------
    Branch
        Of period 2p at a flip, p at a branch point. Its first row is the bifurcation itself.

    Raises
    ------
    InvalidArgumentError
        If the bifurcation is of another kind, or no solution was found beside it.

    Notes
    -----
    At a fold no other branch begins: `continue_fixed_point` goes through it. At a Neimark–Sacker an invariant circle
    begins, which is no cycle.

    Examples
    --------
    >>> import dynloop as dl
    >>> branch = dl.continue_fixed_point(dl.zoo.logistic, [0.6], [2.5, 3.2])
    >>> doubled = dl.switch_branch(dl.zoo.logistic, branch.bifurcations[0], [3.0, 3.5])
    >>> doubled.period, round(doubled.bifurcations[0].value, 9)  # 1 + √6
    (2, 3.449489743)
    """
    if not isinstance(bifurcation, Bifurcation) or bifurcation.kind not in ("flip", "branch"):
        kind = bifurcation.kind if isinstance(bifurcation, Bifurcation) else type(bifurcation).__name__
        raise InvalidArgumentError(f"bifurcation must be a flip or a branch point of a Branch; got {kind}")
    wanted = _checked_values(values)
    doubled = bifurcation.kind == "flip"
    period = bifurcation.period * (2 if doubled else 1)
    steps = _checked_options(period, k, side, first_step, smallest_step, largest_step, budget, name="side")
    value = float(bifurcation.value)
    low, high = _checked_window(window, wanted)
    slack = 1e-6 * (high - low) + bifurcation.error
    if not low - slack <= value <= high + slack:
        raise InvalidArgumentError(
            f"values must hold the bifurcation at {value!r} between their ends; got {wanted[0]!r} … {wanted[-1]!r}"
        )
    low, high = min(low, value), max(high, value)
    members = Members(family, parameter)
    m, x = members.at(value), bifurcation.point[0]
    if x.shape != m.state_shape:
        raise ShapeError(f"bifurcation holds a state of shape {x.shape}; the maps of family have {m.state_shape}")
    size = _size(m, x, bifurcation.period)
    system = System(members, period, size, low, high, value)
    z = system.pack(x, value)
    along = bifurcation.direction / np.append(np.full(system.n, system.x_unit), system.unit)
    if doubled:
        across = flip_direction(System(members, bifurcation.period, size, low, high, value), z)
    else:
        across = crossing_direction(system, z, along / np.linalg.norm(along))
    first = None if across is None else first_solution(system, z, side * across, steps.first, doubled=doubled)
    start = None if first is None else place_at(system, first, first - z, k)
    if across is None or start is None:
        raise InvalidArgumentError(
            f"bifurcation: no other branch was found beside the {bifurcation.kind} at {value!r} within {low!r} … "
            f"{high!r}; give values or a window with room on its other side"
        )
    origin = _given_place(system, z, side * across, k)
    return collect(Walk(system, start, float(wanted[-1]), steps, k), wanted, k, progress, origin)


def _solution(m: LoopMap, point: Any, period: int, value: float) -> Array:
    """Return the polished point; refuse what is no solution of this prime period."""
    states, single = m.batch(point, argument="point")
    if not single:
        raise ShapeError(f"point must be one state of shape {m.state_shape}; got {np.shape(point)}. Pass point[0].")
    x = m.numpy(states)[0]
    found = polish(m, x, period=period, largest=float(np.linalg.norm(x)))
    if found.status is not Status.SOLVED:
        raise InvalidArgumentError(
            f"point leads to no solution of F^{period}(x) = x at the first value, {value!r} (relative residual "
            f"{float(np.nanmax(found.residual)):.1e}); start nearer to one"
        )
    solved = np.asarray(found.point)
    state = solved
    for d in range(1, period):
        state = m.numpy(m(m.native(state[None])))[0]
        gap = float(np.linalg.norm(m.displacement(state, solved)))
        if period % d == 0 and gap <= _SAME * max(float(np.linalg.norm(solved)), np.finfo(float).tiny):
            raise InvalidArgumentError(f"point leads to an orbit of prime period {d} at {value!r}; pass period={d}")
    return solved


def _given_place(system: System, z: Array, direction: Array, k: int) -> Place:
    """Return the place of a solution at which the branch is known to go in a direction."""
    lin = system.linearise(z)
    found, known = multipliers_at(system, z, k, lin)
    return Place(z=z, direction=direction, multipliers=found, known=known, gap=float(np.linalg.norm(lin.gap)))


def _size(m: LoopMap, x: Array, period: int) -> float:
    """Return the root mean square of a coordinate along the orbit; 1 for an orbit at the origin."""
    squares, state = [], x
    for _ in range(period):
        squares.append(float(np.mean(state**2)))
        state = m.numpy(m(m.native(state[None])))[0]
    size = float(np.sqrt(np.mean(squares)))
    return size if size > 1e-12 else 1.0


def _first_direction(system: System, z: Array, towards: float) -> Array:
    """Return the tangent at the first point, its parameter changing the way `towards` says."""
    axis = np.zeros(system.n + 1)
    axis[-1] = 1.0
    lin = system.linearise(z)
    if lin.matrix is not None and np.isfinite(lin.matrix).all() and np.isfinite(lin.b).all():
        _, sizes, rows = np.linalg.svd(np.column_stack([lin.matrix, lin.b]))
        small = sizes <= 1e-9 * max(float(sizes[0]), 1.0)
        null = rows[system.n - int(small.sum()) :]
        found: Array = null.T @ (null @ axis)  # of several directions, the one along which the parameter changes most
        if np.linalg.norm(found) < 1e-9:
            found = null[-1]
    else:
        tangent = direction_at(lin, axis)
        found = axis if tangent is None else tangent
    found = found / np.linalg.norm(found)
    return found if found[-1] * towards >= 0 else -found


def _checked_values(values: Any) -> Array:
    try:
        found = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    steps = np.diff(found) if found.ndim == 1 else np.empty(0)
    if len(steps) < 1 or not np.isfinite(found).all() or not (np.all(steps > 0) or np.all(steps < 0)):
        raise InvalidArgumentError(
            f"values must be two or more finite numbers, increasing or decreasing; got {values!r}. Pass [first, last]."
        )
    return found


def _checked_window(window: Any, wanted: Array) -> tuple[float, float]:
    low, high = float(wanted.min()), float(wanted.max())
    if window is None:
        return low, high
    try:
        a, b = (float(bound) for bound in window)
    except (TypeError, ValueError):
        a, b = float("nan"), float("nan")
    if not (np.isfinite([a, b]).all() and a <= low and b >= high):
        raise InvalidArgumentError(
            f"window must be two finite numbers that hold all values, {low!r} … {high!r}; got {window!r}"
        )
    return a, b


def _checked_options(
    period: int, k: int, direction: int, first: float, smallest: float, largest: float, budget: int,
    name: str = "direction",
) -> Steps:  # fmt: skip
    for argument, number, usual in (("period", period, 1), ("k", k, 6), ("budget", budget, 2000)):
        checked_int(number, argument, 1, remedy=f"Leave it out for {usual}")
    if direction not in (1, -1):
        raise InvalidArgumentError(f"{name} must be 1 or -1; got {direction!r}")
    try:
        ordered = 0 < float(smallest) <= float(first) <= float(largest) < np.inf
    except (TypeError, ValueError):
        ordered = False
    if not ordered:
        raise InvalidArgumentError(
            "smallest_step, first_step and largest_step must be positive and in this order; got "
            f"{smallest!r}, {first!r}, {largest!r}"
        )
    return Steps(first=float(first), smallest=float(smallest), largest=float(largest), budget=int(budget))
