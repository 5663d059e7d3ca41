"""Leading eigenvalues of an operator that is known by its products alone, by ARPACK."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigs

from dynloop.calculus.eigenvalues import Eigenvalues, error_bounds
from dynloop.maps.base import Array
from dynloop.result import Status

__all__ = ["RESTARTS", "leading_eigenvalues", "tolerance"]

RESTARTS = 200  # of an Arnoldi or Lanczos run; a Jacobian of a block settles within ten or twenty
_TIGHT = 1e-11  # relative; costs a third more products than 1e-9, and the errors of normal operators are its square


def tolerance(precision: float) -> float:
    """Return the relative residual to ask of a run whose products carry rounding of this size."""
    return max(_TIGHT, 10 * precision)


def leading_eigenvalues(
    product: Callable[[Array], Array], n: int, k: int, *, precision: float = float(np.finfo(np.float64).eps)
) -> tuple[Eigenvalues, Status]:
    """Return at least k eigenvalues of largest modulus of a real operator on R^n, no conjugate pair split.

    Parameters
    ----------
    product : callable
        v ↦ A v on vectors ``(n,)``.
    n, k : int
        Dimension, and how many eigenvalues.
    precision : float
        Unit roundoff of the products.

    Returns
    -------
    found : Eigenvalues
        Largest modulus first; `errors` are residual and rounding, times the condition of each eigenvalue among those
        found. That is a lower bound of its condition in the whole.
    status : Status
        SOLVED; NOT_CONVERGED, when `found` holds what had settled; DIVERGED if a product is not finite.

    Notes
    -----
    Lehoucq, Sorensen & Yang, *ARPACK Users' Guide* (1998). Of a far from normal operator no method that knows
    products alone tells eigenvalues from pseudo-eigenvalues (Trefethen & Embree, *Spectra and Pseudospectra*, 2005).
    """
    start = np.random.default_rng(0).standard_normal(n)
    image = product(start)
    if not np.isfinite(image).all():
        return _found(product, np.empty(0, complex), np.empty((n, 0), complex), precision), Status.DIVERGED
    status = Status.SOLVED
    if not image.any():  # a random vector is annihilated by the zero operator alone
        values, vectors = np.zeros(k, complex), np.linalg.qr(np.random.default_rng(1).standard_normal((n, k)))[0]
    elif k + 1 >= n - 1:  # more than ARPACK gives
        values, vectors = np.linalg.eig(np.stack([product(e) for e in np.eye(n)], axis=1))
    else:
        operator = LinearOperator((n, n), matvec=product, dtype=np.float64)
        try:
            values, vectors = eigs(
                operator, k=k + 1, which="LM", v0=start, ncv=min(n, max(4 * k, 64)), maxiter=RESTARTS,
                tol=tolerance(precision),
            )  # fmt: skip
        except ArpackNoConvergence as error:
            values, vectors, status = error.eigenvalues, error.eigenvectors, Status.NOT_CONVERGED
        except ArpackError:
            values, vectors, status = np.empty(0, complex), np.empty((n, 0), complex), Status.NOT_CONVERGED
    values, vectors = _with_mates(values.astype(complex), vectors.astype(complex))
    return _found(product, values, vectors, precision), status


def _with_mates(values: Array, vectors: Array) -> tuple[Array, Array]:
    """Return every complex eigenvalue with its conjugate behind it, the positive imaginary part first.

    ARPACK gives a pair in either order, and half of one where its list ends.
    """
    free = np.ones(len(values), dtype=bool)
    new_values, new_vectors = [], []
    for i, value in enumerate(values):
        if not free[i]:
            continue
        free[i] = False
        if value.imag == 0:
            new_values.append(value)
            new_vectors.append(vectors[:, i])
            continue
        gaps = np.where(free, np.abs(values - value.conjugate()), np.inf)
        mate = int(np.argmin(gaps))
        if gaps[mate] <= 1e-6 * abs(value):
            free[mate] = False
        up = vectors[:, i] if value.imag > 0 else vectors[:, i].conj()
        new_values += [complex(value.real, abs(value.imag)), complex(value.real, -abs(value.imag))]
        new_vectors += [up, up.conj()]
    return np.array(new_values, complex), np.array(new_vectors, complex).reshape(-1, len(vectors)).T


def _found(product: Callable[[Array], Array], values: Array, vectors: Array, precision: float) -> Eigenvalues:
    """Measure the residuals of eigenpairs, and bound their errors."""
    images = np.stack([product(v.real) + 1j * product(v.imag) for v in vectors.T], axis=1) if len(values) else vectors
    residuals = np.linalg.norm(images - vectors * values, axis=0)
    scale = float(np.max(np.linalg.norm(images, axis=0), initial=0.0))
    _, s, W = np.linalg.svd(vectors, full_matrices=False)
    with np.errstate(divide="ignore"):
        condition = np.linalg.norm(W / np.where(s > 0, s, 0)[:, None], axis=0)  # of the rows of the pseudo-inverse
    return Eigenvalues(
        values, residuals, error_bounds(values, condition, residuals + precision * scale, scale)
    ).sorted()
