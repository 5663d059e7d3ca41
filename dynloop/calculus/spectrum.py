"""Leading multipliers of F^p at a point: eigenvalues of DF^p, dense where small, else by tokens or by Arnoldi."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.calculus.arnoldi import leading_eigenvalues
from dynloop.calculus.cycle import cycle_multipliers
from dynloop.calculus.eigenvalues import Eigenvalues, block_eigenvalues
from dynloop.calculus.jacobian import DENSE, checked_state, diagonal_blocks, jacobian_products, one_state
from dynloop.maps.base import Array, LoopMap, check_power
from dynloop.result import Result, Status

__all__ = [
    "Spectrum",
    "blocks_fit",
    "checked_count",
    "leading_multipliers",
    "multipliers",
    "point_multipliers",
    "spectral_radius",
]

_WHOLE = 128  # up to this dimension the Jacobian of a causal map is not taken apart: 20 ms
_BLOCK_WIDTH = 1024  # a token's block is dense up to here: 1.5 s, and the push of 1024 tangents for all tokens
_BLOCK_ENTRIES = 2**27  # all blocks together take a gigabyte at most


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Spectrum(Result):
    """Leading multipliers of F^p.

    Attributes
    ----------
    values : ndarray of complex128, (k,)
        Eigenvalues of DF^p, largest modulus first; a conjugate pair stands side by side, the positive imaginary part
        first. A multiplier within its error of zero is exactly 0.
    residuals : ndarray, (k,)
        ‖A v − λ v‖ for the unit eigenvector of each. A is DF^p, or the diagonal block ∂F^p_i/∂x_i of one token where
        the spectrum was found token by token.
    errors : ndarray, (k,)
        How far each multiplier may be off, to first order: residual and rounding, times its condition number.
    radius : float
        Largest modulus of all multipliers; nan unless SOLVED.
    status : Status
        SOLVED; NOT_CONVERGED if Arnoldi stopped first (`values` holds what had settled, not always the largest);
        DIVERGED if the orbit or a derivative is not finite (`values` is empty).
    period : int
        p.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.multipliers(dl.zoo.logistic(3.2), [0.5130445095326298], period=2)
    >>> round(found.radius, 9), found.status.name, bool(found.errors.max() < 1e-12)
    (0.16, 'SOLVED', True)
    """

    values: Array
    residuals: Array
    errors: Array
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
        The point; on a p-cycle the multipliers do not depend on which point of it, nor on the section (theory T4).
    k : int
        How many eigenvalues; all n of a map of lower dimension.
    period : int
        p.

    Returns
    -------
    Spectrum
        Eigenvalues, largest modulus first, with residuals and errors.

    Raises
    ------
    InvalidArgumentError
        If k or the period is no positive int.
    ShapeError
        If `state` is not one state.

    Notes
    -----
    Up to dimension 1024 by LAPACK; cycles of few coordinates from the Jacobians at their points, whose product is not
    formed (`dynloop.calculus.cycle`). The Jacobian of a causal map is block triangular over tokens: beyond dimension
    128 the union of the spectra of its diagonal blocks is taken for the spectrum (theory T7), and residuals and errors
    refer to a block. For other large maps by ARPACK, where errors take the condition of an eigenvalue from those found
    beside it alone.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.multipliers(dl.zoo.logistic(2.5), [0.6]).values.real.round(12)
    array([-0.5])
    """
    k, period = checked_count(k), check_power(period, "period")
    m, states = checked_state(m, state)
    return point_multipliers(m, states[0], k, period=period)


def point_multipliers(m: LoopMap, state: Any, k: int, *, period: int = 1, known: Array | None = None) -> Spectrum:
    """Return `multipliers` at a state that was checked; `known` are all points of its cycle (`cycle_multipliers`)."""
    k = min(k, m.dimension)
    m, states = one_state(m, state)
    if m.dimension <= (_WHOLE if blocks_fit(m) else DENSE):
        found = cycle_multipliers(m, states, period, known=known)
        return _spectrum(found, k, Status.SOLVED if found else Status.DIVERGED, period)
    orbit = m.power(period)
    if blocks_fit(m):
        found = block_eigenvalues(diagonal_blocks(orbit, states[0]), m.precision)
        return _spectrum(found, k, Status.SOLVED if found else Status.DIVERGED, period)
    product = jacobian_products(orbit, states[0]).matvec
    return leading_multipliers(product, m.dimension, k, period=period, precision=m.precision)


def spectral_radius(m: LoopMap, state: Any, *, period: int = 1) -> float:
    """Return ρ(DF^p), the largest modulus of a multiplier; see `multipliers`.

    Parameters
    ----------
    m, state, period
        As in `multipliers`.

    Returns
    -------
    float
        nan where the iteration did not settle, or the derivative is not finite.

    Raises
    ------
    InvalidArgumentError
        If the period is no positive int.
    ShapeError
        If `state` is not one state.

    Notes
    -----
    Below 1 at a solved point of a p-cycle, the cycle attracts, by the factor ρ^{1/p} a loop (theory T6). The Jacobian
    penalty ‖vᵀJ‖² of the literature on equilibrium models estimates ‖J‖_F²/n, not ρ.

    Examples
    --------
    >>> import dynloop as dl
    >>> round(dl.spectral_radius(dl.zoo.logistic(3.2), [0.5130445095326298], period=2), 12)
    0.16
    """
    return multipliers(m, state, 1, period=period).radius


def leading_multipliers(
    product: Callable[[Array], Array], n: int, k: int, *, period: int = 1,
    precision: float = float(np.finfo(np.float64).eps),
) -> Spectrum:  # fmt: skip
    """Return the k eigenvalues of largest modulus of the operator `product` on R^n, by ARPACK.

    Parameters
    ----------
    product : callable
        v ↦ A v on vectors ``(n,)``.
    n, k : int
        Dimension, and how many eigenvalues.
    period : int
        Only copied to the result.
    precision : float
        Unit roundoff of the products.

    Returns
    -------
    Spectrum
        As of `multipliers`.
    """
    found, status = leading_eigenvalues(product, n, k, precision=precision)
    return _spectrum(found, k, status, period)


def blocks_fit(m: LoopMap) -> bool:
    """Say whether DF is block triangular over tokens, with blocks that dense algebra can take."""
    tokens, width = m.state_shape[0], m.dimension // m.state_shape[0]
    return m.causal and width <= _BLOCK_WIDTH and tokens * width**2 <= _BLOCK_ENTRIES


def checked_count(k: int) -> int:
    """Return `k` if it is a positive int; raise otherwise."""
    return checked_int(k, "k", 1, meaning="how many values to return", remedy="Pass k=1 for one.")


def _spectrum(found: Eigenvalues | None, k: int, status: Status, period: int) -> Spectrum:
    values, residuals, errors = (np.empty(0, complex), np.empty(0), np.empty(0)) if found is None else found
    radius = float(np.abs(values[0])) if status is Status.SOLVED else float("nan")
    return Spectrum(
        values=values[:k], residuals=residuals[:k], errors=errors[:k], radius=radius, status=status, period=period
    )
