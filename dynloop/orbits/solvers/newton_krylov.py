"""Newton–Krylov on F^p(x) = x: no matrix, only products with DF^p, the linear equations solved by LGMRES."""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import LinearOperator, lgmres

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.solvers.anderson import block_inverses, blocks_worth

__all__ = ["krylov_step", "newton_krylov"]

_SHRINKS = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01)
_AT_REST = 16  # ulps of the state within which a gap is nothing but rounding


def newton_krylov(orbit: LoopMap, state: Array, *, steps: int = 12) -> tuple[Array, float, float]:
    """Solve F^p(x) = x by damped Newton from a state.

    Parameters
    ----------
    orbit : LoopMap
        F^p.
    state : ndarray, state_shape
        Where to begin.
    steps : int
        Newton steps at most.

    Returns
    -------
    state : ndarray, state_shape
        The state of the least gap.
    gap : float
        ‖F^p(x) − x‖ there.
    correction : float
        Norm of the Newton step there, an estimate of the distance to the solution; nan where it could not be solved.

    Notes
    -----
    Knoll & Keyes, J. Comput. Phys. 193 (2004) 357; LGMRES of Baker, Jessup & Manteuffel, SIAM J. Matrix Anal. Appl. 26
    (2005) 962. Of causal maps the linear equations are preconditioned by the blocks of their tokens (theory T7).
    """
    x = np.array(state, dtype=np.float64)
    free = np.arange(orbit.dimension)
    gap = _gap(orbit, x)
    error, correction = float(np.linalg.norm(gap)), float("nan")
    inverses, shrink = None, 0.0
    for _ in range(steps):
        if not np.isfinite(error):
            break
        if shrink < 1.0 and blocks_worth(orbit):  # a full step shows that the blocks are good enough
            inverses = block_inverses(orbit, x)
        at_rest = error <= _AT_REST * orbit.precision * float(np.linalg.norm(x))
        step = krylov_step(orbit, x, -gap.reshape(-1), free, inverses=inverses, rtol=1e-2 if at_rest else 1e-4)
        correction = float(np.linalg.norm(step))
        if at_rest or not np.isfinite(correction):
            break
        moved = False
        for shrink in _SHRINKS:
            tried = x + shrink * step.reshape(x.shape)
            there = _gap(orbit, tried)
            size = float(np.linalg.norm(there))
            if size < (1 - 0.01 * shrink) * error:
                x, gap, error, moved = tried, there, size, True
                break
        if not moved:
            break
    return x, error, correction


def krylov_step(
    orbit: LoopMap, x: Array, right: Array, free: Array, *, inverses: Array | None = None, rtol: float = 1e-4
) -> Array:
    """Solve (DF^p − I) s = right on the free coordinates.

    Parameters
    ----------
    orbit : LoopMap
        F^p.
    x : ndarray, state_shape
        Where.
    right : ndarray, (free,)
        The right side.
    free : ndarray of int
        The coordinates that are solved for.
    inverses : ndarray, (tokens, width, width), optional
        Of I − ∂F_i/∂x_i, as a preconditioner where every coordinate is free.
    rtol : float
        Relative residual to which the equations are solved.

    Returns
    -------
    ndarray, (free,)
        The step.
    """
    states = orbit.native(x[None])

    def product(v: Array) -> Array:
        full = np.zeros(orbit.dimension)
        full[free] = v
        frames = orbit.native(full.reshape(1, *orbit.state_shape))[None]
        pushed: Array = orbit.numpy(orbit.push(states, frames)[1]).reshape(-1)[free] - v
        return pushed

    def preconditioned(v: Array) -> Array:
        assert inverses is not None  # noqa: S101 - used only where they are given
        return np.asarray(-np.einsum("tij,tj->ti", inverses, v.reshape(len(inverses), -1)).reshape(-1))

    shape = (len(free), len(free))
    M = None if inverses is None else LinearOperator(shape, matvec=preconditioned, dtype=np.float64)
    operator = LinearOperator(shape, matvec=product, dtype=np.float64)
    solution, _ = lgmres(operator, right, M=M, rtol=rtol, atol=0.0, inner_m=30, maxiter=4)
    return np.asarray(solution)


def _gap(orbit: LoopMap, x: Array) -> Array:
    with np.errstate(all="ignore"):
        moved = orbit.numpy(orbit(orbit.native(x[None])))[0]
        return orbit.displacement(moved, x)
