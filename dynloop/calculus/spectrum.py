"""Leading multipliers of F^p at a point: eigenvalues of DF^p, dense where small, by Arnoldi where large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse.linalg import ArpackError, LinearOperator, eigs

from dynloop.calculus.jacobian import DENSE, jacobian
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap
from dynloop.result import Result, Status

__all__ = ["Spectrum", "leading_multipliers", "multipliers"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Spectrum(Result):
    """Leading multipliers of F^p.

    Attributes
    ----------
    values : ndarray of complex128, (k,)
        Eigenvalues of DF^p, largest modulus first.
    residuals : ndarray, (k,)
        ‖DF^p v − λ v‖ for the unit eigenvector of each.
    radius : float
        Largest modulus.
    status : Status
        SOLVED, or NOT_CONVERGED if Arnoldi stopped first (then `values` holds what had settled).
    period : int
        p.
    """

    values: Array
    residuals: Array
    radius: float
    status: Status
    period: int


def multipliers(m: LoopMap, state: Any, k: int = 6, *, period: int = 1) -> Spectrum:
    """Return the leading eigenvalues of DF^p at a state.

    Parameters
    ----------
    m : LoopMap
        The map F.
    state : array, state_shape
        The point; on a p-cycle the multipliers do not depend on which point of it.
    k : int
        How many eigenvalues, at most n.
    period : int
        p.

    Returns
    -------
    Spectrum
        Eigenvalues, largest modulus first, with residuals.

    Raises
    ------
    InvalidArgumentError
        If k is not between 1 and n.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.multipliers(dl.zoo.logistic(2.5), [0.6], k=1).values.real.round(12)
    array([-0.5])
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= m.dimension:
        raise InvalidArgumentError(f"k must be between 1 and the dimension {m.dimension}; got {k!r}")
    orbit = m.power(period)
    if orbit.dimension <= DENSE:
        J = jacobian(orbit, state)
        values, vectors = np.linalg.eig(J)
        order = np.argsort(-np.abs(values), kind="stable")[:k]
        values, vectors = values[order].astype(complex), vectors[:, order]
        residuals = np.linalg.norm(J @ vectors - vectors * values, axis=0)
        radius = float(np.abs(values[0]))
        return Spectrum(values=values, residuals=residuals, radius=radius, status=Status.SOLVED, period=period)
    states, _ = orbit.batch(state)
    return leading_multipliers(_product(orbit, states), orbit.dimension, int(k), period=period)


def _product(m: LoopMap, states: Any) -> Callable[[Array], Array]:
    """Return v ↦ DF(x)·v on flat NumPy vectors."""
    m = m.in_dtype_of(states)

    def product(v: Array) -> Array:
        frames = m.native(np.reshape(v, (1, *m.state_shape)))[None]
        return m.numpy(m.push(states, frames)[1]).reshape(-1)

    return product


def leading_multipliers(product: Callable[[Array], Array], n: int, k: int, *, period: int = 1) -> Spectrum:
    """Return the k eigenvalues of largest modulus of the operator ``product`` on R^n, by ARPACK.

    Parameters
    ----------
    product : callable
        v ↦ A v on vectors ``(n,)``.
    n, k : int
        Dimension, and how many eigenvalues.
    period : int
        Only copied to the result.
    """
    if k >= n - 1:
        values, vectors = np.linalg.eig(np.stack([product(e) for e in np.eye(n)], axis=1))
        order = np.argsort(-np.abs(values), kind="stable")[:k]
        values, vectors, status = values[order].astype(complex), vectors[:, order], Status.SOLVED
    else:
        operator = LinearOperator((n, n), matvec=product, dtype=np.float64)
        start = np.random.default_rng(0).standard_normal(n)
        try:
            values, vectors = eigs(operator, k=k, which="LM", v0=start, ncv=min(n, max(4 * k, 64)), tol=1e-9)
            status = Status.SOLVED
        except ArpackError as error:  # includes ArpackNoConvergence, which carries what had settled
            values = getattr(error, "eigenvalues", np.empty(0, complex))
            vectors = getattr(error, "eigenvectors", np.empty((n, 0), complex))
            # ARPACK's start vector is annihilated: the operator is nilpotent within rounding
            if np.linalg.norm(product(start)) <= 1e-14 * np.linalg.norm(start):
                values, vectors = np.zeros(1, complex), start[:, None] / np.linalg.norm(start)
            status = Status.SOLVED if len(values) and np.abs(values[0]) == 0 else Status.NOT_CONVERGED
        order = np.argsort(-np.abs(values), kind="stable")
        values, vectors = values[order], vectors[:, order]
    residuals = np.array(
        [
            np.linalg.norm(product(v.real) + 1j * product(v.imag) - value * v)
            for value, v in zip(values, vectors.T, strict=True)
        ]
    )
    radius = float(np.abs(values[0])) if len(values) else float("nan")
    return Spectrum(values=values, residuals=residuals, radius=radius, status=status, period=period)
