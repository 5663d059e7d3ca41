"""Largest singular values of DF at a point: how far one loop can stretch, and from which tangents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh

from dynloop.calculus.arnoldi import RESTARTS, tolerance
from dynloop.calculus.jacobian import DENSE, checked_state, dense_jacobian, jacobian_products
from dynloop.calculus.spectrum import checked_count
from dynloop.maps.base import Array, LoopMap
from dynloop.result import Result, Status

__all__ = ["SingularValues", "singular_values"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class SingularValues(Result):
    """Largest singular values of DF.

    Attributes
    ----------
    values : ndarray, (k,)
        σ_1 ≥ σ_2 ≥ …; σ_1 = ‖DF‖₂ is the most that one loop stretches a tangent.
    residuals : ndarray, (k,)
        √(‖J v − σ u‖² + ‖Jᵀ u − σ v‖²) for the unit vectors u, v of each: some singular value lies that near.
    status : Status
        SOLVED; NOT_CONVERGED if Lanczos stopped first (`values` holds what had settled); DIVERGED if the derivative is
        not finite (`values` is empty).

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.singular_values(dl.zoo.henon(), [1.0, 0.0])
    >>> found.values.round(6), bool(found.residuals.max() < 1e-12), found.status.name
    (array([2.986622, 0.100448]), True, 'SOLVED')
    """

    values: Array
    residuals: Array
    status: Status


def singular_values(m: LoopMap, state: Any, k: int = 6) -> SingularValues:
    """Return the largest singular values of DF(x).

    Parameters
    ----------
    m : LoopMap
        The map; pass ``m.power(p)`` for DF^p.
    state : array, state_shape
        The point.
    k : int
        How many; all n of a map of lower dimension.

    Returns
    -------
    SingularValues
        Largest first, with residuals.

    Raises
    ------
    InvalidArgumentError
        If k is no positive int.
    ShapeError
        If `state` is not one state.

    Notes
    -----
    Unlike multipliers, singular values depend on the section (theory T4) and on the coordinates. Up to dimension 1024
    by LAPACK; beyond, by Lanczos on JᵀJ, pushed and pulled and never formed. Squaring halves the digits of small
    singular values, not of the largest. PROPACK (scipy 1.17), which works on J itself, is as exact on random matrices
    and returned values that are none at operators of low rank and at the identity.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.singular_values(dl.zoo.henon(), [1.0, 0.0]).values.prod().round(12)  # = |det DF|
    np.float64(0.3)
    """
    k = checked_count(k)
    m, states = checked_state(m, state)
    n = m.dimension
    k = min(k, n)
    if n <= DENSE or k >= n - 1:
        J = dense_jacobian(m, states[0])
        if not np.isfinite(J).all():
            return _measured(J, J[:, :0], np.empty(0), J[:, :0], Status.DIVERGED)
        left, values, right = scipy.linalg.svd(J)
        return _measured(J, left[:, :k], values[:k], right[:k].T, Status.SOLVED)
    return _lanczos(jacobian_products(m, states[0]), n, k, m.precision)


def _lanczos(J: LinearOperator, n: int, k: int, precision: float) -> SingularValues:
    start, none = np.random.default_rng(0).standard_normal(n), np.empty((n, 0))
    image = J.matvec(start)
    if not np.isfinite(image).all():
        return _measured(J, none, np.empty(0), none, Status.DIVERGED)
    if not image.any():  # a random vector is annihilated by the zero operator alone
        frame = np.linalg.qr(np.random.default_rng(1).standard_normal((n, k)))[0]
        return _measured(J, frame, np.zeros(k), frame, Status.SOLVED)
    gram, status = LinearOperator((n, n), matvec=lambda v: J.rmatvec(J.matvec(v)), dtype=np.float64), Status.SOLVED
    try:
        _, frame = eigsh(
            gram, k=k, v0=start, ncv=min(n, max(2 * k + 1, 32)), maxiter=RESTARTS, tol=tolerance(precision)
        )
    except ArpackNoConvergence as error:
        frame, status = error.eigenvectors, Status.NOT_CONVERGED
    except ArpackError:
        frame, status = none, Status.NOT_CONVERGED
    left, values, turn = np.linalg.svd(J.matmat(frame), full_matrices=False)
    return _measured(J, left, values, frame @ turn.T, status)


def _measured(J: Any, left: Array, values: Array, right: Array, status: Status) -> SingularValues:
    with np.errstate(all="ignore"):
        ahead = np.linalg.norm(J @ right - left * values, axis=0)
        back = np.linalg.norm(J.T @ left - right * values, axis=0)
    return SingularValues(values=values, residuals=np.hypot(ahead, back), status=status)
