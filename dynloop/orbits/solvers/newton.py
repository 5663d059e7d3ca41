"""Damped Newton on the equations of many cycles at once; where it stalls, Levenberg–Marquardt to the slowest state.

Each orbit that is done leaves the work arrays. An orbit that ends above rounding lies where ‖F(x) − x‖ has a local
minimum: a slow point, not a fixed one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.solvers.shooting import Shooting

__all__ = ["newton"]

_EPS = float(np.finfo(np.float64).eps)
_SHRINKS = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01)
_PATIENCE = 4  # steps that may be cut short, before the gap is brought down another way
_NEARLY = 1e-4  # relative gap from which Newton is left to itself
_LARGEST = 1e12  # an orbit that grew this much is lost


def newton(
    system: Shooting, orbits: Array, *, steps: int = 60, descents: int = 60,
    progress: Callable[[int], None] | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """Solve the equations of cycles from orbits nearby.

    Parameters
    ----------
    system : Shooting
        The equations.
    orbits : ndarray, (batch, p, n)
        Where to begin.
    steps : int
        Newton steps at most.
    descents : int
        Levenberg–Marquardt steps at most, where Newton stalled.
    progress : callable, optional
        Called with the number of orbits that are done.

    Returns
    -------
    orbits : ndarray, (batch, p, n)
        The best that was found.
    gaps : ndarray, (batch,)
        ‖F(x_i) − x_{i+1}‖ over all points; not finite where the map is not.

    Notes
    -----
    Deuflhard, *Newton Methods for Nonlinear Problems* (2004), ch. 3; Sussillo & Barak, Neural Computation 25 (2013)
    626, for slow points.
    """
    best = system.folded(np.array(orbits, dtype=np.float64))
    error = _norms(system.gaps(best))
    start = 1 + _norms(best)
    active = np.flatnonzero(np.isfinite(error))
    _iterate(system, best, error, active, start, steps, progress)
    stuck = np.flatnonzero(np.isfinite(error) & (error > _NEARLY * _norms(best)))
    if descents and system.dense and len(stuck):
        _descend(system, best, error, stuck, descents)
        _iterate(system, best, error, stuck[error[stuck] <= _NEARLY * _norms(best[stuck])], start, steps, None)
    return best, error


def _iterate(
    system: Shooting, best: Array, error: Array, active: Array, start: Array, steps: int,
    progress: Callable[[int], None] | None,
) -> None:  # fmt: skip
    """Take Newton steps until gaps are at rounding; leave an orbit whose steps have to be cut short again and again."""
    short = np.zeros(len(best), dtype=int)
    for _ in range(steps):
        size = _norms(best[active])
        active = active[(error[active] > 0.25 * _EPS * size) & (size < _LARGEST * start[active])]
        if len(active) == 0:
            return
        gaps, J = system.linearised(best[active])
        usable = np.isfinite(J).all(axis=(1, 2, 3))
        active, gaps, J = active[usable], gaps[usable], J[usable]
        if len(active) == 0:
            return
        before = error[active]
        shares = _line_search(system, best, error, active, system.newton_steps(J, gaps))
        short[active] += shares < 0.5
        with np.errstate(invalid="ignore"):
            arrived = (error[active] <= 16 * _EPS * _norms(best[active])) & (error[active] > 0.5 * before)
        active = active[(shares > 0) & (short[active] < _PATIENCE) & ~arrived]
        if progress is not None:
            progress(len(best) - len(active))


def _line_search(system: Shooting, best: Array, error: Array, active: Array, moves: Array) -> Array:
    """Take the longest of some shares of each step that brings the gap down; return the shares, 0 where none does."""
    shares = np.zeros(len(active))
    for shrink in _SHRINKS:
        left = np.flatnonzero(shares == 0)
        if len(left) == 0:
            break
        tried = system.folded(best[active[left]] + shrink * moves[left])
        there = _norms(system.gaps(tried))
        good = there < (1 - 0.01 * shrink) * error[active[left]]  # false where nan
        best[active[left[good]]], error[active[left[good]]] = tried[good], there[good]
        shares[left[good]] = shrink
    return shares


def _descend(system: Shooting, best: Array, error: Array, active: Array, steps: int) -> None:
    """Bring gaps down to a local minimum, or near enough to a solution for Newton, by Levenberg–Marquardt."""
    damping = np.ones(len(best))
    diagonal = np.arange(system.unknowns)
    for _ in range(steps):
        active = active[(error[active] > 1e-2 * _NEARLY * _norms(best[active])) & (damping[active] < 1e12)]
        if len(active) == 0:
            return
        gaps, J = system.linearised(best[active])
        usable = np.isfinite(J).all(axis=(1, 2, 3))
        active, gaps, J = active[usable], gaps[usable], J[usable]
        A, right = system.matrices(J), gaps.reshape(len(gaps), system.unknowns)
        gradient = (right[:, None] @ A)[:, 0]
        size = np.linalg.norm(A, axis=(1, 2))
        moving = np.linalg.norm(gradient, axis=1) > 1e-7 * size * error[active]
        active, A, gradient, size = active[moving], A[moving], gradient[moving], size[moving]
        if len(active) == 0:
            return
        normal = A.transpose(0, 2, 1) @ A
        normal[:, diagonal, diagonal] += (1e-3 * damping[active] * size**2 / system.unknowns + 1e-300)[:, None]
        moves = -np.linalg.solve(normal, gradient[..., None])[..., 0].reshape(len(active), *best.shape[1:])
        tried = system.folded(best[active] + moves)
        there = _norms(system.gaps(tried))
        good = there < error[active]
        best[active[good]], error[active[good]] = tried[good], there[good]
        damping[active] *= np.where(good, 0.2, 4.0)


def _norms(orbits: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(np.linalg.norm(orbits.reshape(len(orbits), int(np.prod(orbits.shape[1:]))), axis=1))
