"""Spectral radii of the diagonal blocks ∂F_i/∂x_i of a causal map, all tokens at once.

With a causal mask DF is block lower triangular over tokens, so its spectrum is the union of the spectra of the
width × width diagonal blocks (theory note T7).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dynloop.calculus.eigenvalues import error_bounds
from dynloop.calculus.jacobian import token_blocks
from dynloop.calculus.token_tangent import token_push
from dynloop.maps.base import Array, LoopMap

__all__ = ["TokenRadii", "token_radii"]

_ROUNDING = 4.0  # backward error of eigenvalues in units of u·‖A‖_F, as in `eigenvalues`
_DENSE_WIDTH = 256  # up to this width the whole blocks cost less than an Arnoldi run of about 40 single tangents


class TokenRadii(NamedTuple):
    """Spectral radii of the diagonal blocks, each ``(tokens,)``.

    Attributes
    ----------
    radius : ndarray
        Largest modulus of each block's eigenvalues.
    residual : ndarray
        Residual of its eigenpair or Ritz pair.
    error : ndarray
        How far the radius may be off, to first order: residual and rounding, times the eigenvalue's condition number.
    """

    radius: Array
    residual: Array
    error: Array


def token_radii(m: LoopMap, states: Any, tokens: int | None = None, *, tol: float = 1e-9) -> TokenRadii:
    """Return ρ(∂F_i/∂x_i) of the first `tokens` tokens at one state of a causal map.

    Narrow blocks are formed and handed to LAPACK. For wide ones every token runs its own Arnoldi iteration without
    restart, all pushed through the loop together, until every leading Ritz value has residual ≤ tol·max(1, ρ), at the
    latest for `width` steps.

    Parameters
    ----------
    m : LoopMap
        A causal map.
    states : native array, (1, tokens, width)
        The point.
    tokens : int, optional
        How many tokens, all if left out.
    tol : float
        Wanted residual.

    Returns
    -------
    TokenRadii
        Radius, residual and error of every token.

    Raises
    ------
    InvalidArgumentError
        If the map is not causal.
    """
    apply = token_push(m, states)
    width = int(np.prod(m.state_shape[1:]))
    if width <= _DENSE_WIDTH:
        found = _of_blocks(token_blocks(apply, m.state_shape), m.precision)
    else:
        found = _arnoldi(apply, m, tol)
    return TokenRadii(*(column[:tokens] for column in found))


def _of_blocks(blocks: Array, precision: float) -> TokenRadii:
    values, vectors = np.linalg.eig(blocks)
    rows, best = np.arange(len(blocks)), np.argmax(np.abs(values), axis=1)
    value, vector = values[rows, best], vectors[rows, :, best]
    residual = np.linalg.norm(np.einsum("tij,tj->ti", blocks, vector) - value[:, None] * vector, axis=1)
    scale = np.linalg.norm(blocks, axis=(1, 2))
    error = _errors(values, vectors, best, residual + _ROUNDING * precision * scale, scale)
    return TokenRadii(np.asarray(np.abs(value)), np.asarray(residual), error)


def _errors(values: Array, vectors: Array, best: Array, noise: Array, scale: Array) -> Array:
    """Bound the error of one eigenvalue of every matrix, the columns of `vectors` being unit eigenvectors."""
    errors = np.zeros(len(values))
    for t, i in enumerate(best):
        try:
            condition = float(np.linalg.norm(np.linalg.inv(vectors[t])[i]))
        except np.linalg.LinAlgError:
            condition = np.inf  # defective
        one = np.zeros(len(values[t]))
        one[i] = noise[t]
        errors[t] = error_bounds(values[t], np.full(len(one), condition), one, float(scale[t]))[i]
    return errors


def _arnoldi(apply: Callable[[Array], Array], m: LoopMap, tol: float) -> TokenRadii:
    count, width = m.state_shape[0], int(np.prod(m.state_shape[1:]))
    basis = np.zeros((count, width + 1, width))
    hessenberg = np.zeros((count, width + 1, width))
    first = np.random.default_rng(0).standard_normal((count, width))
    basis[:, 0] = first / np.linalg.norm(first, axis=1, keepdims=True)
    radius, residual, error = np.zeros(count), np.full(count, np.inf), np.full(count, np.inf)
    for j in range(width):
        image = apply(basis[:, j].reshape(1, *m.state_shape)).reshape(count, width)
        scale = np.linalg.norm(image, axis=1)
        for _ in range(2):  # twice is enough (Giraud, Langou, Rozložník 2005)
            along = np.einsum("tjw,tw->tj", basis[:, : j + 1], image)
            image -= np.einsum("tj,tjw->tw", along, basis[:, : j + 1])
            hessenberg[:, : j + 1, j] += along
        length = np.linalg.norm(image, axis=1)
        alive = length > 1e-14 * np.maximum(scale, 1e-300)
        hessenberg[:, j + 1, j] = np.where(alive, length, 0.0)
        basis[:, j + 1] = np.where(alive[:, None], image / np.where(alive, length, 1.0)[:, None], 0.0)
        if (j + 1) % 8 == 0 or j == width - 1 or not alive.any():
            radius, residual, error = _ritz(hessenberg, j + 1, m.precision)
            if j == width - 1:
                residual = np.minimum(residual, 1e-14 * np.abs(hessenberg).max(axis=(1, 2)))
            if np.all(residual <= tol * np.maximum(1.0, radius)) or not alive.any():
                break
    return TokenRadii(radius, residual, error)


def _ritz(hessenberg: Array, size: int, precision: float) -> tuple[Array, Array, Array]:
    square = hessenberg[:, :size, :size]
    values, vectors = np.linalg.eig(square)
    best = np.argmax(np.abs(values), axis=1)
    rows = np.arange(len(values))
    last = vectors[rows, size - 1, best] / np.linalg.norm(vectors[rows, :, best], axis=1)
    residual = np.asarray(np.abs(hessenberg[:, size, size - 1] * last))
    scale = np.linalg.norm(square, axis=(1, 2))
    error = _errors(values, vectors, best, residual + _ROUNDING * precision * scale, scale)
    return np.asarray(np.abs(values[rows, best])), residual, error
