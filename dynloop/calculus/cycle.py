"""Multipliers of a cycle: from the product of the Jacobians along it, and, where that is sharper, from its factors.

The eigenvalues of ``DF^p = J_p ⋯ J_1`` are the p-th powers of those of the block-cyclic matrix of its factors, which
LAPACK finds to an error relative to the factors. Rounding in the formed product, of size u·‖J_p‖⋯‖J_1‖, spares the
leading multiplier and buries the small ones: of a saddle cycle of twenty loops, all but the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import accumulate
from typing import Any

import numpy as np
import scipy.linalg

from dynloop.calculus.eigenvalues import Eigenvalues, eigenvalues, error_bounds
from dynloop.calculus.jacobian import jacobians
from dynloop.maps.base import Array, LoopMap

__all__ = ["FACTORS_APART", "cycle_multipliers"]

FACTORS_APART = 16  # up to this dimension: the factors of a cycle apart, the rounding of its states in the errors
_CYCLIC = 128  # largest block-cyclic matrix: 10 ms
_COPIES = 4  # displaced orbits
_KNOWN = (
    1e-13  # how far the points of a cycle may be off, in units of max|x|: as tables print them, as solvers leave them
)


def cycle_multipliers(m: LoopMap, states: Any, period: int, *, known: Array | None = None) -> Eigenvalues | None:
    """Return all multipliers of F^p at a state, dense.

    Parameters
    ----------
    m : LoopMap
        The map F, its dtype fixed.
    states : native array, (1, *state_shape)
        The point.
    period : int
        p.
    known : ndarray, (p, *state_shape), optional
        All points of the cycle, where they are known better than iterating an unstable cycle would tell.

    Returns
    -------
    Eigenvalues or None
        None if the orbit or a derivative stopped being finite. In up to 16 dimensions the errors include what moving
        every point of the cycle by 1e-13 (by four ulps in lower precision) does to DF^p, measured by moving them by √u.

    Notes
    -----
    D. S. Watkins, *Product eigenvalue problems*, SIAM Review 47 (2005) 3; for multipliers of cycles K. Lust,
    *Improved numerical Floquet multipliers*, Int. J. Bifurcation Chaos 11 (2001) 2389.
    """
    n, u = m.dimension, m.precision
    if n > FACTORS_APART:
        return _of_product(m, states, period, known)
    with np.errstate(all="ignore"):
        factors = np.stack(list(_along(m, states, period, known)))
        products = reduce(lambda product, J: J @ product, factors)
        if not np.isfinite(products[0]).all():
            return None
        found = eigenvalues(products[0], _moved(products, u) + _rounding(factors[:, 0], u), precision=u)
        if n > 1 and 1 < period <= _CYCLIC // n:
            found = _sharper(found, _of_factors(factors, products[0], u))
    return found


def _of_product(m: LoopMap, states: Any, period: int, known: Array | None) -> Eigenvalues | None:
    """Return the multipliers from the formed product, one factor in memory at a time."""
    product = np.eye(m.dimension)
    with np.errstate(all="ignore"):
        for J in _along(m, states, period, known):
            product = J[0] @ product if period > 1 else J[0]
    if not np.isfinite(product).all():
        return None
    noise = (period - 1) * 4 * m.precision * float(np.linalg.norm(product))
    return eigenvalues(product, noise, precision=m.precision)


def _along(m: LoopMap, states: Any, loops: int, known: Array | None = None) -> Iterator[Array]:
    """Yield DF at the states of an orbit, ``(1 + copies, n, n)``: first its own, then at orbits moved at every loop.

    Of `known` states each is taken as it is, and the copies begin anew beside it.
    """
    copies = _COPIES if m.dimension <= FACTORS_APART else 0
    signs = np.random.default_rng(0)
    points = np.repeat(m.numpy(states), 1 + copies, axis=0)
    for loop in range(loops):
        if known is not None:
            points[:] = known[loop]
        size = float(np.abs(points[0]).max())
        points[1:] += np.sqrt(m.precision) * size * signs.choice([-1.0, 1.0], points[1:].shape)
        new, J = jacobians(m, m.native(points))
        yield J
        points = m.numpy(new)


def _moved(matrices: Array, u: float) -> float:
    """Return how far the first of ``(1 + copies, n, n)`` matrices moves when its states move within what is known."""
    with np.errstate(all="ignore"):
        gaps = np.linalg.norm(matrices[1:] - matrices[0], axis=(1, 2))
    return float(max(_KNOWN, 4 * u) / np.sqrt(u) * np.max(gaps[np.isfinite(gaps)], initial=0.0))


def _rounding(factors: Array, u: float) -> float:
    """Return the rounding of the product of ``(p, n, n)`` factors: of each factor, carried through the others."""
    if len(factors) == 1:
        return 0.0
    eye = np.eye(len(factors[0]))
    before = np.stack(list(accumulate(factors, lambda product, J: J @ product, initial=eye)))  # J_i ⋯ J_1
    after = np.stack(list(accumulate(factors[::-1], np.matmul, initial=eye)))[::-1]  # J_p ⋯ J_{i+1}
    one, two, three = (np.linalg.norm(Js, ord=2, axis=(1, 2)) for Js in (after[1:], factors, before[:-1]))
    return float(2 * u * np.sum(one * two * three))


def _of_factors(factors: Array, product: Array, u: float) -> Eigenvalues:
    """Return the eigenvalues of ``factors[p-1, 0] ⋯ factors[0, 0]`` from the block-cyclic matrix."""
    p, _, n, _ = factors.shape
    sizes = np.linalg.norm(factors[:, 0], axis=(1, 2))
    sizes = np.exp2(np.round(np.log2(np.where(sizes > 0, sizes, 1.0))))
    scaled = factors / sizes[:, None, None, None]
    cyclic = np.zeros((p, n, p, n))
    for i in range(p):
        cyclic[(i + 1) % p, :, i] = scaled[i, 0]
    A = cyclic.reshape(p * n, p * n)
    roots, left, right = scipy.linalg.eig(A, left=True, right=True)
    condition = 1 / np.abs(np.einsum("ij,ij->j", left.conj(), right))
    scale = float(np.linalg.norm(A))
    noise = 4 * u * scale + float(np.linalg.norm([_moved(J, u) for J in scaled]))
    moved = error_bounds(roots, condition, np.full(p * n, noise), scale)
    powers, errors = roots**p, (np.abs(roots) + moved) ** p - np.abs(roots) ** p
    values, errors = _gathered(powers, errors, _mates(roots), p)
    values, errors = values * np.prod(sizes), np.minimum(errors * np.prod(sizes), np.finfo(np.float64).max)
    residuals = [np.linalg.svd(product - value * np.eye(n), compute_uv=False)[-1] for value in values]
    return Eigenvalues(values, np.array(residuals), errors).sorted()


def _sharper(one: Eigenvalues, other: Eigenvalues) -> Eigenvalues:
    """Return the `other` eigenvalues, those of `one` in their place where they agree within errors and err less."""
    values, residuals, errors = (array.copy() for array in other)
    free = np.ones(len(values), dtype=bool)
    for i, value in enumerate(other.values):
        gaps = np.abs(one.values - value)
        j = int(np.argmin(np.where(free & (gaps <= one.errors + errors[i]), gaps, np.inf)))
        if free[j] and gaps[j] <= one.errors[j] + errors[i]:
            free[j] = False
            if one.errors[j] < errors[i]:
                values[i], residuals[i], errors[i] = one.values[j], one.residuals[j], one.errors[j]
    return Eigenvalues(values, residuals, errors).sorted()


def _mates(roots: Array) -> Array:
    """Return the index of the complex conjugate of every root; LAPACK puts pairs side by side, positive part first."""
    return np.asarray(np.arange(len(roots)) + np.sign(roots.imag).astype(int))


def _gathered(powers: Array, errors: Array, mates: Array, p: int) -> tuple[Array, Array]:
    """Return the mean of every p powers that belong together, conjugate pairs side by side, and bounds on their errors.

    A bound covers the errors of the p and how far they lie apart: near a multiple root they may be of two multipliers.
    """
    values, bounds = [], []
    left = np.argsort(-np.abs(powers), kind="stable")
    while len(left):
        near = left[np.argsort(np.abs(powers[left] - powers[left[0]]), kind="stable")[:p]]
        rest = left[~np.isin(left, near)]
        mean = powers[near].mean()
        bound = errors[near].max() + np.abs(powers[near] - mean).max()
        if mates[left[0]] in near or len(rest) < p:  # closed under conjugation: a real multiplier
            values.append(complex(mean.real))
            bounds.append(bound)
        else:
            mean = complex(mean.real, abs(mean.imag))
            mirror = rest[np.argsort(np.abs(powers[rest] - powers[near].mean().conj()), kind="stable")[:p]]
            rest = rest[~np.isin(rest, mirror)]
            values += [mean, mean.conjugate()]
            bounds += [bound, bound]
        left = rest
    return np.array(values), np.array(bounds)
