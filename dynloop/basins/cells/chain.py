"""Finite Markov chains: closed classes, the stationary distribution of one, and where a distribution is absorbed."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_matrix, identity, lil_matrix
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import MatrixRankWarning, spsolve

from dynloop.maps.base import Array

__all__ = ["absorbed", "closed_classes", "lasting", "stationary"]

_ROUNDS = 4000  # of repeated multiplication
_ENOUGH = 1e-14
_DIRECT = 20_000  # rows up to which a linear system is factorised


def closed_classes(T: csr_matrix, leak: Array) -> list[Array]:
    """Return the sets of rows that lead to each other and to no others, and leak nothing, by their first row."""
    count, part = connected_components(T, directed=True, connection="strong")
    entries = T.tocoo()
    open_parts = part[entries.row[part[entries.row] != part[entries.col]]]
    closed = np.ones(count, dtype=bool)
    closed[open_parts] = False
    closed[part[leak > 0]] = False
    inside = np.flatnonzero(closed[part])
    inside = inside[np.argsort(part[inside], kind="stable")]
    if not len(inside):
        return []
    _, begins = np.unique(part[inside], return_index=True)
    return sorted(np.split(inside, begins[1:]), key=lambda cells: int(cells[0]))


def stationary(T: csr_matrix) -> Array:
    """Return the stationary distribution of an irreducible chain.

    The chain is made lazy, which keeps it and takes away its period; where repeated multiplication does not settle, the
    linear system is solved.
    """
    n = T.shape[0]
    back = T.T.tocsr()
    found = _settled(lambda x: 0.5 * (x + back @ x), np.full(n, 1.0 / n))
    if _residual(back, found) <= _ENOUGH * 10 or n > _DIRECT:
        return found
    A = lil_matrix(back - identity(n))
    A[n - 1] = np.ones(n)
    b = np.zeros(n)
    b[-1] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MatrixRankWarning)
        solved = np.asarray(spsolve(A.tocsc(), b))
    if not np.isfinite(solved).all() or solved.min() < -1e-12:
        return found
    solved = np.asarray(np.clip(solved, 0.0, None) / np.clip(solved, 0.0, None).sum())
    return solved if _residual(back, solved) < _residual(back, found) else found


def absorbed(T: csr_matrix, classes: list[Array], start: Array) -> tuple[Array, float]:
    """Return the share of a distribution that ends in each closed class, and the share not followed to its end.

    What is missing to the sum of `start` leaks.
    """
    if not classes:
        return np.empty(0), 0.0
    transient = np.ones(T.shape[0], dtype=bool)
    transient[np.concatenate(classes)] = False
    rest = np.flatnonzero(transient)
    found = np.array([start[cells].sum() for cells in classes])
    if not len(rest):
        return found, 0.0
    Q = T[rest][:, rest].T.tocsr()
    mass, visits = start[rest].copy(), start[rest].copy()
    for _ in range(_ROUNDS):
        mass = Q @ mass
        visits += mass
        if mass.sum() < _ENOUGH:
            break
    else:
        if len(rest) <= _DIRECT:
            visits = np.asarray(spsolve((identity(len(rest)) - Q).tocsc(), start[rest]))
            mass = np.zeros(1)
    flow = T[rest].T @ visits
    return found + np.array([flow[cells].sum() for cells in classes]), float(mass.sum())


def lasting(T: csr_matrix, start: Array) -> tuple[Array, float]:
    """Return the distribution of what is left of `start` in the long run, and the share that stays a step longer.

    nan and 0 where nothing is left after some steps.
    """
    back, x = T.T.tocsr(), start / start.sum()
    for k in range(_ROUNDS):
        new = back @ x
        mass = float(new.sum())
        if mass <= 0:
            return np.full(len(x), np.nan), 0.0
        change = np.abs(new - mass * x).sum()
        if k % 2:  # the mean of two steps, in case the chain alternates
            new = 0.5 * (new / mass + x)
        x = new / new.sum()
        if change < _ENOUGH:
            break
    return x, float((back @ x).sum())


def _settled(step: Callable[[Array], Array], x: Array) -> Array:
    for k in range(_ROUNDS):
        new = step(x)
        if k % 16 == 0 and np.abs(new - x).sum() < _ENOUGH / 2:
            return np.asarray(new / new.sum())
        x = new
    return np.asarray(x / x.sum())


def _residual(back: csr_matrix, x: Array) -> float:
    return float(np.abs(back @ x - x).sum())
