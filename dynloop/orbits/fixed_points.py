"""Fixed points and periodic orbits of a map, stable or not, from many starts at once: `find_fixed_points`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from scipy.optimize import linear_sum_assignment

from dynloop.arguments import checked_int
from dynloop.calculus.jacobian import DENSE
from dynloop.calculus.spectrum import Spectrum, blocks_fit, point_multipliers
from dynloop.calculus.tangent import check_derivative
from dynloop.errors import InvalidArgumentError, NoTwinError
from dynloop.maps.base import Array, LoopMap, as_map, as_rng
from dynloop.orbits.distinct import distinct, prime_periods
from dynloop.orbits.search import Solutions, by_anderson, by_newton, few_coordinates, seeded, settled
from dynloop.orbits.solved import FixedPoints, Unsolved
from dynloop.orbits.solvers.shooting import Shooting
from dynloop.orbits.stability import stability, unstable_count
from dynloop.result import Status

__all__ = ["FixedPoints", "Unsolved", "find_fixed_points"]

Method = Literal["auto", "newton", "anderson"]
Progress = Callable[[int, int], None]
_STARTS = 64  # drawn where none are given
_ALL = 64  # coordinates up to which every multiplier is told
_SOME = 6  # multipliers of a larger map
_KNOWN = 1e-15  # relative error of points at least: they are doubles
_MARGIN = 4.0  # what one displacement changes a multiplier by, times this, bounds what others do
_PAIRED = 128  # multipliers that are paired one to one; of more, each with the nearest
_SMALLEST = 1e-140


def find_fixed_points(
    m: LoopMap,
    starts: Any = None,
    *,
    period: int = 1,
    tol: float | None = None,
    k: int | None = None,
    method: Method = "auto",
    rng: int | np.random.Generator | None = 0,
    progress: Progress | None = None,
) -> FixedPoints:
    """Find fixed points of F, or orbits of prime period p, stable and unstable, each once.

    Parameters
    ----------
    m : LoopMap
        The map; solved in its float64 twin where it has one.
    starts : array, (batch, *state_shape) or state_shape, optional
        Where searches begin; 64 of ``m.start(rng, 64)`` if left out.
    period : int
        p.
    tol : float, optional
        Largest relative residual of a solution, 1e-12 in float64 if left out. Searches always go on to rounding.
    k : int, optional
        How many multipliers of each orbit; all up to 64 coordinates, else 6.
    method : {"auto", "newton", "anderson"}
        "newton": damped Newton with dense Jacobians, all points of a cycle at once. "anderson": accelerated iteration,
        then Newton–Krylov, products only. "auto": the first up to 256 coordinates (128 of a causal map), else the
        second; in up to three coordinates stabilising transformations search on from the starts and from what was
        found, so that a row need not belong to a start.
    rng : int or Generator
        For starts.
    progress : callable, optional
        Called as ``progress(starts done, starts)``.

    Returns
    -------
    FixedPoints
        One row an orbit. What else searches ended at is in `failed` and `slow`.

    Raises
    ------
    InvalidArgumentError
        If an argument is out of range, a start is not finite, or all are smaller than 1e-140.
    ShapeError
        If `starts` does not fit the map.
    DerivativeError
        If the map has no usable derivative.
    NotAutonomousError
        If the map gives two answers for one state.

    Notes
    -----
    A small residual is no solution: a solution must also lie close by, by the size of the Newton step there. Near the
    ghost of a fold that step stays large, and the state is slow. Nothing says that all orbits were found;
    `fixed_points_in_box` can. `certify` proves one. Sizes are norms of whole states: scale coordinates that differ by
    many orders of magnitude, or the small ones drown in the rounding of the large. Beyond 1e±150 norms overflow.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.find_fixed_points(dl.zoo.henon(), [[0.5, 0.2], [-1.0, -0.3]])
    >>> found.points[:, 0].round(6), found.stability
    (array([[ 0.631354,  0.189406],
           [-1.131354, -0.339406]]), array(['saddle', 'saddle'], dtype='<U11'))
    >>> dl.find_fixed_points(dl.zoo.logistic(3.2), [[0.4]], period=2).multipliers.real.round(9)
    array([[0.16]])
    """
    m, tol_given = as_map(m), tol
    _check(period, k, method, tol)
    if starts is None:
        starts = m.start(as_rng(rng), _STARTS)
    states, _ = m.batch(starts)
    m = _in_float64(m.in_dtype_of(states))
    begun = m.numpy(states)
    sizes = np.abs(begun.reshape(len(begun), -1)).max(axis=1)
    if 0 < sizes.max() < _SMALLEST:
        raise InvalidArgumentError(
            f"starts are no larger than {sizes.max():.1e}, where norms underflow; scale the state to sizes near 1"
        )
    tame = int(sizes.argmin())
    check_derivative(m, m.native(begun[tame : tame + 1]), np.random.default_rng(0), finite=False)
    system, tol = Shooting(m, int(period)), max(1e-12, 16 * m.precision) if tol is None else float(tol)
    with np.errstate(all="ignore"):  # what overflows is diverged
        dense = method == "newton" or (method == "auto" and few_coordinates(m))
        tell = None if progress is None else lambda done: progress(done, len(begun))
        found = (by_newton if dense else by_anderson)(system, begun, sizes, tell)
        if method == "auto":
            found = found.joined(seeded(system, begun, found, tol))
        status = settled(found, tol)
        solved = np.flatnonzero([one is Status.SOLVED for one in status])
        reach = found.reach[solved]
        shorter = prime_periods(system, found.orbits[solved], reach) < system.period
        status[solved[shorter]] = Status.SHORTER_PERIOD
        solved, reach = solved[~shorter], reach[~shorter]
        first, row_of = distinct(system, found.orbits[solved], reach)
        row = np.full(len(found.orbits), -1)
        row[solved] = row_of
        first, row = _in_order_of_starts(solved[first], row)
    if progress is not None:
        progress(len(begun), len(begun))
    return _result(system, found, first, row[: len(begun)], status[: len(begun)], k, {
        "map": m.name, "state_shape": m.state_shape, "dtype": m.dtype_name, "tol": tol_given, "method": method,
        "solver": "newton" if dense else "anderson",
    })  # fmt: skip


def _check(period: int, k: int | None, method: str, tol: float | None) -> None:
    for name, value in (("period", period), ("k", 1 if k is None else k)):
        checked_int(value, name, 1, remedy=f"Pass {name}=1 for one.")
    if method not in get_args(Method):
        raise InvalidArgumentError(f"method must be 'auto', 'newton' or 'anderson'; got {method!r}")
    if tol is not None and not (isinstance(tol, int | float | np.floating) and 0 < tol < 1):
        raise InvalidArgumentError(
            f"tol must be a relative residual between 0 and 1; got {tol!r}. Leave it out for 1e-12."
        )


def _in_float64(m: LoopMap) -> LoopMap:
    try:
        return m.twin()
    except NoTwinError:
        return m


def _in_order_of_starts(first: Array, row: Array) -> tuple[Array, Array]:
    """Give rows their numbers in the order in which starts lead to them."""
    seen = [int(r) for r in dict.fromkeys(row.tolist()) if r >= 0]
    number = np.full(len(first) + 1, -1)
    number[seen] = np.arange(len(seen))
    return first[seen], number[row]


def _result(
    system: Shooting, found: Solutions, first: Array, row: Array, status: Array, k: int | None, settings: dict[str, Any]
) -> FixedPoints:
    m, p, rows = system.m, system.period, len(first)
    shape = (p, *m.state_shape)
    count = min(k or (m.dimension if m.dimension <= _ALL else _SOME), m.dimension)
    values, errors = np.full((rows, count), np.nan, complex), np.full((rows, count), np.nan)
    kinds, unstable = np.full(rows, "unknown", dtype="<U11"), np.zeros(rows, dtype=int)
    everything = m.dimension if m.dimension <= DENSE or blocks_fit(m) else count
    for i, one in enumerate(first):
        points = found.orbits[one].reshape(shape)
        spectrum, moved = _multipliers(m, points, everything, found, int(one))
        known = len(spectrum.values)
        if spectrum.status is not Status.SOLVED:
            continue
        values[i, : min(count, known)], errors[i, : min(count, known)] = spectrum.values[:count], moved[:count]
        kinds[i] = stability(spectrum.values, moved, complete=known == m.dimension)
        unstable[i] = unstable_count(spectrum.values, moved)
    return FixedPoints(
        points=found.orbits[first].reshape(rows, *shape), multipliers=values, stability=kinds,
        residual=found.residual[first], status=np.array([Status.SOLVED] * rows, dtype=object), error=found.error[first],
        multiplier_errors=errors, unstable=unstable, row=row,
        failed=_unsolved(system, found, status, slow=False), slow=_unsolved(system, found, status, slow=True),
        period=p, settings=settings,
    )  # fmt: skip


def _multipliers(m: LoopMap, points: Array, k: int, found: Solutions, one: int) -> tuple[Spectrum, Array]:
    """Return the multipliers of an orbit, and their errors: with what they change by where its points may be off."""
    p = len(points)
    spectrum = point_multipliers(m, m.native(points[:1])[0], k, period=p, known=points)
    if spectrum.status is not Status.SOLVED:
        return spectrum, spectrum.errors
    off = found.error[one] if np.isfinite(found.error[one]) else found.reach[one]
    off = max(off, _KNOWN * found.scale[one], found.floor[one])
    signs = np.random.default_rng(0).choice([-1.0, 1.0], points.shape)
    errors = spectrum.errors
    for beside in (points + off * signs, points - off * signs):  # at a kink the two sides differ
        other = point_multipliers(m, m.native(beside[:1])[0], k, period=p, known=beside)
        if other.status is not Status.SOLVED:
            return spectrum, np.full(len(errors), np.inf)
        errors = np.maximum(errors, spectrum.errors + _MARGIN * _apart(spectrum.values, other.values))
    return spectrum, errors


def _apart(values: Array, others: Array) -> Array:
    """Return how far each multiplier is from its partner among others, whose moduli may come in another order."""
    distances = np.abs(values[:, None] - others[None])
    if len(values) > _PAIRED:
        return np.asarray(distances.min(axis=1))
    rows, columns = linear_sum_assignment(distances)
    return np.asarray(distances[rows, columns])


def _unsolved(system: Shooting, found: Solutions, status: Array, *, slow: bool) -> Unsolved:
    which = np.flatnonzero([one is not Status.SOLVED and (one is Status.SLOW) == slow for one in status])
    points = found.orbits[which, 0].reshape(-1, *system.m.state_shape)
    return Unsolved(start=which, points=points, residual=found.residual[which], status=status[which])
