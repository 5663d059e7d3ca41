"""Polish: solve F^p(x) = x from a state near a solution, by Newton with least-norm steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynloop.calculus.jacobian import DENSE, dense_jacobian
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import row_norms
from dynloop.orbits.solvers.newton_krylov import krylov_step
from dynloop.result import Status

__all__ = ["Polished", "polish", "relative_residual"]

_GOOD_ENOUGH = 1e-11  # a stalled relative residual above this is no solution, in float64
_RANK = 1e-10  # singular values of DF^p − I below this share of the largest are neutral directions


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Polished:
    """A solution of F^p(x) = x, or the attempt.

    Attributes
    ----------
    point : ndarray, state_shape
        The best state found, float64.
    residual : ndarray, (rows,)
        ‖F^p(x) − x‖ / ‖x‖ of every row.
    status : Status
        SOLVED; SLOW if the residual stalled above rounding; DIVERGED.
    iterations : int
        Newton steps taken.
    """

    point: Array
    residual: Array
    status: Status
    iterations: int


@np.errstate(over="ignore", invalid="ignore")  # a Newton step may run away; the next is shorter
def polish(
    m: LoopMap, state: Array, *, period: int = 1, rows: int | None = None, largest: float = 0.0, steps: int = 20
) -> Polished:
    """Solve F^p(x) = x by Newton from a nearby state.

    Dense Jacobian and least-norm solution where n is small (so that a neutral direction is left alone), Newton–Krylov
    (LGMRES on J − I, products only) where it is large.

    Parameters
    ----------
    m : LoopMap
        The map, in float64.
    state : ndarray, state_shape
        Where to begin.
    period : int
        p.
    rows : int, optional
        For a causal map: solve for the first `rows` tokens only and leave the others as they are.
    largest : float
        The largest norm seen on the orbit, which sets the scale when the solution is near the origin.
    steps : int
        Newton steps at most.

    Returns
    -------
    Polished
        The best state found; rows of the residual beyond `rows` are nan.
    """
    orbit = m.power(period)
    free = _free(m, rows)
    x = np.array(state, dtype=np.float64)
    gap = _gap(orbit, x, free)
    best, error = x, float(np.linalg.norm(gap))
    taken = 0
    while taken < steps and np.isfinite(error) and error > 0:
        if error <= 16 * np.finfo(float).eps * _scale(m, best, largest):  # nothing but rounding is left
            break
        step = _newton_step(orbit, best, gap, free)
        moved, moved_gap, moved_error = best, gap, np.inf
        for shrink in (1.0, 0.5, 0.25, 0.1, 0.01):
            moved = best + shrink * step
            moved_gap = _gap(orbit, moved, free)
            moved_error = float(np.linalg.norm(moved_gap))
            if moved_error < error:
                break
        taken += 1
        if not moved_error < error:
            break
        stalled = moved_error > 0.9 * error
        best, gap, error = moved, moved_gap, moved_error
        if stalled:
            break
    residual = relative_residual(m, best, gap, largest)
    if rows is not None:
        residual[rows:] = np.nan
    solved = bool(np.nanmax(residual) <= _GOOD_ENOUGH) if np.isfinite(error) else False
    status = Status.SOLVED if solved else (Status.SLOW if np.isfinite(error) else Status.DIVERGED)
    return Polished(point=best, residual=residual, status=status, iterations=taken)


def relative_residual(m: LoopMap, x: Array, gap: Array, largest: float) -> Array:
    """Return ‖gap‖ / max(‖x‖, floor × largest) of every row."""
    norms = row_norms(m, m.displacement(x, np.zeros_like(x))[None])[0]
    floor = 4 * np.finfo(float).eps * max(largest, float(norms.max()))
    residual: Array = row_norms(m, gap[None])[0] / np.maximum(norms, floor + np.finfo(float).tiny)
    return residual


def _scale(m: LoopMap, x: Array, largest: float) -> float:
    return max(float(np.linalg.norm(m.displacement(x, np.zeros_like(x)))), 4 * np.finfo(float).eps * largest)


def _free(m: LoopMap, rows: int | None) -> Array:
    """Return the flat coordinates to solve for."""
    if rows is None:
        return np.arange(m.dimension)
    return np.arange(rows * int(np.prod(m.state_shape[1:])))


def _gap(orbit: LoopMap, x: Array, free: Array) -> Array:
    """Return F^p(x) − x, zero outside the free coordinates."""
    moved = orbit.numpy(orbit(orbit.native(x[None])))[0]
    gap = np.zeros(orbit.dimension)
    gap[free] = orbit.displacement(moved, x).reshape(-1)[free]
    return gap.reshape(orbit.state_shape)


def _newton_step(orbit: LoopMap, x: Array, gap: Array, free: Array) -> Array:
    """Solve (DF^p − I) s = −gap on the free coordinates, least norm where singular."""
    step = np.zeros(orbit.dimension)
    right = -gap.reshape(-1)[free]
    if orbit.dimension <= DENSE:
        A = dense_jacobian(orbit, x)[np.ix_(free, free)] - np.eye(len(free))
        if np.isfinite(A).all():
            step[free] = _least_norm(A, right)
    else:
        step[free] = krylov_step(orbit, x, right, free)
    return step.reshape(orbit.state_shape)


def _least_norm(A: Array, right: Array) -> Array:
    if len(A) > 64:
        solution = np.linalg.solve(A, right) if np.linalg.cond(A, 1) < 1 / _RANK else None
        if solution is not None:
            return solution
    return np.asarray(np.linalg.lstsq(A, right, rcond=_RANK)[0])
