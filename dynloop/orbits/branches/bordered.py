"""Bordered linear systems [A b; rᵀ] d = (f, g): by LU where A was formed, by LGMRES where its products are known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import LinearOperator, lgmres

from dynloop.maps.base import Array

__all__ = ["DENSE_SOLVES", "solve_dense", "solve_products"]

DENSE_SOLVES = 256  # up to this dimension forming A costs less than the products of an LGMRES run
_TIGHT = 1e-10  # relative residual to ask for; what is left is corrected by the next Newton step
_ENOUGH = 1e-3  # a solution above it is no Newton step


def solve_dense(A: Array, b: Array, row: Array, right: Array, last: float) -> Array | None:
    """Solve with a matrix ``(n, n)``; None where it is singular or not finite."""
    n = len(A)
    whole = np.empty((n + 1, n + 1))
    whole[:n, :n], whole[:n, n], whole[n] = A, b, row
    if not np.isfinite(whole).all():
        return None
    try:
        found: Array = np.linalg.solve(whole, np.append(right, last))
    except np.linalg.LinAlgError:
        return None
    return found if np.isfinite(found).all() else None


def solve_products(product: Callable[[Array], Array], b: Array, row: Array, right: Array, last: float) -> Array | None:
    """Solve with products v ↦ A v; None where the iteration does not come near."""
    n = len(b)
    target = np.append(right, last)
    size = float(np.linalg.norm(target))
    if size == 0:
        return np.zeros(n + 1)
    if not np.isfinite(size) or not np.isfinite(b).all():
        return None
    weight = max(float(np.linalg.norm(b)), 1.0)  # the border as large as the column, so that neither is neglected

    def whole(v: Array) -> Array:
        return np.append(product(v[:-1]) + b * v[-1], weight * (row @ v))

    target[-1] *= weight
    operator = LinearOperator((n + 1, n + 1), matvec=whole, dtype=np.float64)
    found, _ = lgmres(operator, target, rtol=_TIGHT, atol=0.0, inner_m=40, maxiter=8)
    found = np.asarray(found)
    if not np.isfinite(found).all():
        return None
    left = float(np.linalg.norm(whole(found) - target))
    return found if left <= _ENOUGH * float(np.linalg.norm(target)) else None
