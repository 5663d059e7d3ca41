"""The theorem of Newton and Kantorovich with its constants estimated: support for a cycle, never a proof.

If ‖A⁻¹‖ ≤ β for A = DF^p(x) − I, the Newton step has length η, and ‖DF^p(y) − DF^p(z)‖ ≤ K‖y − z‖ in a ball of radius
R about x, then h = βKη ≤ ½ gives one solution within t* = (1 − √(1 − 2h))/(βK) ≤ R and no other within
min(R, (1 + √(1 − 2h))/(βK)) (L. V. Kantorovich 1948; P. Deuflhard, *Newton Methods for Nonlinear Problems*, 2004).
Here β and η are computed in floating point and K is the largest stretch of a difference of Jacobians that was seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg
from scipy.sparse.linalg import LinearOperator, lgmres

from dynloop.calculus.jacobian import DENSE, dense_jacobian, jacobian_products
from dynloop.maps.base import Array, LoopMap

__all__ = ["Estimate", "NoEstimate", "kantorovich"]

_DIRECTIONS = 2  # random ones, beside that of Newton's step
_DENSE_HERE = 256  # coordinates up to which a Jacobian costs less than the products with it
_RADII = (1e-3, 1e-2, 1e-1)  # in units of |x|
_POWER = 2  # power iterations for the norm of a difference of Jacobians
_INVERSE = 8  # inverse power iterations for the least singular value
_RESIDUAL = 1e-3  # of a linear system that counts as solved
_SAFETY = 1.5  # by which the largest stretch that was seen is multiplied


class NoEstimate(Exception):  # noqa: N818 - an outcome
    """There is no estimate; the text says why."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Estimate:
    """The constants of the theorem, estimated.

    Attributes
    ----------
    inverse_norm, step, lipschitz : float
        β, η and K.
    product : float
        h = βKη.
    existence, uniqueness : float
        t* and the radius of uniqueness, in the 2-norm; nan where h > ½.
    """

    inverse_norm: float
    step: float
    lipschitz: float
    product: float
    existence: float
    uniqueness: float


def kantorovich(m: LoopMap, point: Array, rng: np.random.Generator) -> Estimate:
    """Estimate the constants at a point of F itself; pass ``m.power(p)`` for a cycle.

    Parameters
    ----------
    m : LoopMap
        The map, in the dtype of the point.
    point : ndarray, state_shape
        x.
    rng : Generator
        For directions.

    Raises
    ------
    NoEstimate
        If something is not finite, or a linear system is not solved.
    """
    with np.errstate(all="ignore"):
        moved = m.numpy(m(m.native(point[None])))[0]
        gap = m.displacement(moved, point).reshape(-1)
        if not np.isfinite(gap).all():
            raise NoEstimate("F^p(x) is not finite")
        solve, beta = _dense(m, point, rng) if m.dimension <= DENSE else _free(m, point, rng)
        step = solve(-gap)
        eta = float(np.linalg.norm(step)) + beta * 4 * m.precision * float(np.linalg.norm(point))
        best: Estimate | None = None
        K = 0.0
        for radius in _radii(m, point):
            K = max(K, _SAFETY * _lipschitz(m, point, step, radius, rng))
            found = _theorem(beta, eta, K, radius)
            if best is None or _better(found, best):
                best = found
    if best is None:
        raise NoEstimate(f"differences of Jacobians are lost in the rounding of {m.dtype_name}")
    return best


def _theorem(beta: float, eta: float, K: float, radius: float) -> Estimate:
    h = beta * K * eta
    existence = uniqueness = math.nan
    if h <= 0.5 and math.isfinite(h):
        root = math.sqrt(1 - 2 * h)
        near, far = 2 * eta / (1 + root), (1 + root) / (beta * K) if beta * K > 0 else math.inf
        if near <= radius:
            existence, uniqueness = near, min(radius, far)
    return Estimate(
        inverse_norm=beta, step=eta, lipschitz=K, product=h, existence=existence, uniqueness=uniqueness
    )  # fmt: skip


def _better(one: Estimate, other: Estimate) -> bool:
    if math.isnan(other.uniqueness):
        return not math.isnan(one.uniqueness)
    return one.uniqueness > other.uniqueness


def _radii(m: LoopMap, point: Array) -> list[float]:
    """Return radii from small to large, those at which differences of Jacobians are more than rounding."""
    size = max(float(np.linalg.norm(point)), math.sqrt(m.dimension) * 1e-3)
    return [size * r for r in _RADII if r >= 3 * m.precision ** (1 / 3)]


def _lipschitz(m: LoopMap, point: Array, step: Array, radius: float, rng: np.random.Generator) -> float:
    """Return the largest ‖(DF(x + r u) − DF(x)) w‖ / r that was found, over directions u and vectors w.

    Of every u the norm is sought by power iteration with products and transposed products; the vector that is
    stretched most is a direction of its own. Of the directions, Newton's comes first.
    """
    n, largest = m.dimension, 0.0
    here = _products(m, point)
    directions = [step, *rng.standard_normal((_DIRECTIONS, n))]
    for u in directions:
        if not np.linalg.norm(u) > 0:
            continue
        w = rng.standard_normal(n)
        for _ in range(2):
            there = _products(m, point + (radius * u / np.linalg.norm(u)).reshape(m.state_shape))
            for _ in range(_POWER):
                w = w / np.linalg.norm(w)
                image = there.matvec(w) - here.matvec(w)
                stretch = float(np.linalg.norm(image)) / radius
                if not math.isfinite(stretch):
                    return math.inf
                largest = max(largest, stretch)
                back = there.rmatvec(image) - here.rmatvec(image)
                if not np.linalg.norm(back) > 0:
                    break
                w = back
            u = w
    return largest


def _products(m: LoopMap, point: Array) -> LinearOperator:
    if m.dimension <= _DENSE_HERE:
        J = dense_jacobian(m, point)
        return LinearOperator(J.shape, matvec=lambda v: J @ v, rmatvec=lambda v: J.T @ v, dtype=np.float64)
    return jacobian_products(m, point)


def _dense(m: LoopMap, point: Array, rng: np.random.Generator) -> tuple[Callable[[Array], Array], float]:  # noqa: ARG001 - the signature of `_free`
    """Return a solver of A s = b and ‖A⁻¹‖ from singular values."""
    A = dense_jacobian(m, point) - np.eye(m.dimension)
    if not np.isfinite(A).all():
        raise NoEstimate("the derivative is not finite at the point")
    left, values, right = scipy.linalg.svd(A)
    if not values[-1] > m.precision * m.dimension * values[0]:
        raise NoEstimate("DF^p − I is singular within rounding: a fold, or a point that is not isolated")

    def solve(b: Array) -> Array:
        return np.asarray(right.T @ ((left.T @ b) / values))

    return solve, 1 / float(values[-1])


def _free(m: LoopMap, point: Array, rng: np.random.Generator) -> tuple[Callable[[Array], Array], float]:
    """Return the same without a matrix: LGMRES, and inverse power iteration on AᵀA."""
    J, n = jacobian_products(m, point), m.dimension
    forward = LinearOperator((n, n), matvec=lambda v: J.matvec(v) - v, dtype=np.float64)
    backward = LinearOperator((n, n), matvec=lambda v: J.rmatvec(v) - v, dtype=np.float64)

    def solver(A: LinearOperator) -> Callable[[Array], Array]:
        def solve(b: Array) -> Array:
            if not np.linalg.norm(b) > 0:
                return np.zeros(n)
            found = np.asarray(lgmres(A, b, rtol=_RESIDUAL, atol=0.0, inner_m=40, maxiter=20)[0])
            left: Any = np.linalg.norm(A.matvec(found) - b)
            if not left <= 2 * _RESIDUAL * np.linalg.norm(b):
                raise NoEstimate("a linear system with DF^p − I is not solved by LGMRES: it is nearly singular")
            return found

        return solve

    ahead, back = solver(forward), solver(backward)
    v, beta = rng.standard_normal(n), 0.0
    for _ in range(_INVERSE):
        v = v / np.linalg.norm(v)
        v = ahead(back(v))
        before, beta = beta, math.sqrt(float(np.linalg.norm(v)))
        if abs(beta - before) <= 1e-2 * beta:
            break
    return ahead, beta
