"""Eigenvalues of dense matrices, each with its residual and a first-order bound on its own error."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.linalg

from dynloop.maps.base import Array

__all__ = ["Eigenvalues", "block_eigenvalues", "eigenvalues", "error_bounds", "largest_first"]

_ROUNDING = 4.0  # backward error of LAPACK's eigenvalues in units of u·‖A‖_F: at most 1 was seen, n = 2 … 1024
_ZERO = 1e-3  # an eigenvalue within its error of 0 is told as 0 if that error is no larger than this


class Eigenvalues(NamedTuple):
    """Eigenvalues, largest modulus first, a conjugate pair side by side with its positive imaginary part first.

    Attributes
    ----------
    values : ndarray of complex128, (n,)
        The eigenvalues.
    residuals : ndarray, (n,)
        ‖A v − λ v‖ for the unit eigenvector of each.
    errors : ndarray, (n,)
        Bound on the error of each, to first order.
    """

    values: Array
    residuals: Array
    errors: Array

    def sorted(self) -> Eigenvalues:
        """Return them largest modulus first, those within their error of zero as exactly 0."""
        size = np.abs(self.values)
        values = np.where((size <= self.errors) & (self.errors <= _ZERO), 0.0, self.values)
        order = largest_first(values)
        return Eigenvalues(values[order], self.residuals[order], self.errors[order])


def largest_first(values: Array) -> Array:
    """Return the order by modulus, downwards; pairs that stand side by side, positive part first, stay so."""
    return np.lexsort((-values.real, -np.abs(values)))  # stable; both keys of a pair are equal to the last bit


def eigenvalues(A: Array, noise: float = 0.0, *, precision: float = float(np.finfo(np.float64).eps)) -> Eigenvalues:
    """Return all eigenvalues of a real matrix.

    Parameters
    ----------
    A : ndarray, (n, n)
        The matrix.
    noise : float
        Frobenius norm of what else is unknown about A, beside the rounding of its entries.
    precision : float
        Unit roundoff of the dtype in which A was computed.

    Returns
    -------
    Eigenvalues
        Largest modulus first.

    Notes
    -----
    The bound is (residual + 4·u·‖A‖_F + noise) times the condition number 1 / abs(yᴴx), y and x the unit left and
    right eigenvectors (Golub & Van Loan, *Matrix Computations*, 7.2.2); see `error_bounds` for defective matrices.
    """
    values, left, right = scipy.linalg.eig(A, left=True, right=True)
    values = values.astype(complex)
    residuals = np.linalg.norm(A @ right - right * values, axis=0)
    scale = float(np.linalg.norm(A))
    with np.errstate(divide="ignore"):
        condition = 1 / np.abs(np.einsum("ij,ij->j", left.conj(), right))
    errors = error_bounds(values, condition, residuals + _ROUNDING * precision * scale + noise, scale)
    return Eigenvalues(values, residuals, errors).sorted()


def block_eigenvalues(blocks: Array, precision: float) -> Eigenvalues | None:
    """Return the eigenvalues of all matrices ``(tokens, width, width)`` together; None if one is not finite."""
    if not np.isfinite(blocks).all():
        return None
    parts = [eigenvalues(block, precision=precision) for block in blocks]
    return Eigenvalues(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True))).sorted()


def error_bounds(values: Array, condition: Array, noise: Array, scale: float) -> Array:
    """Return how far each eigenvalue of a matrix moves when the matrix moves by `noise`.

    Parameters
    ----------
    values : ndarray, (n,)
        The eigenvalues.
    condition : ndarray, (n,)
        The condition number of each; infinite at an exact Jordan block.
    noise : ndarray, (n,)
        Norm of the perturbation that each feels.
    scale : float
        Norm of the matrix.

    Returns
    -------
    ndarray, (n,)
        Finite: to first order condition·noise. Where that disc holds other eigenvalues they may be one Jordan block
        of m taken apart by rounding; its radius is scale·(noise / scale)^{1/m}, and the smaller of the two is taken.
    """
    n = len(values)
    errors = np.zeros(n)
    for i in np.flatnonzero(noise > 0):
        first = noise[i] * condition[i]
        largest = max(scale, noise[i])
        distances = np.sort(np.abs(values - values[i]))
        if n > 1 and distances[1] <= first:
            m = np.arange(2, n + 1)
            radii = largest * (noise[i] / largest) ** (1 / m)
            next_one = np.append(distances[2:], np.inf)
            block = np.flatnonzero((distances[1:] <= 2 * radii) & (next_one > 2 * radii))
            if len(block):
                first = min(first, radii[block[0]])
        errors[i] = min(first, 2 * largest)  # no eigenvalue is larger than the norm
    return errors
