"""Spectral radii of the diagonal blocks ∂F_i/∂x_i of a causal map, all tokens at once, by Arnoldi without restart.

With a causal mask DF is block lower triangular over tokens, so its spectrum is the union of the spectra of the
width × width diagonal blocks (theory note T7).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.calculus.jacobian import DENSE, jacobian
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap

__all__ = ["token_radii"]


def token_radii(m: LoopMap, states: Any, tokens: int | None = None, *, tol: float = 1e-9) -> tuple[Array, Array]:
    """Return ρ(∂F_i/∂x_i) of the first `tokens` tokens at one state of a causal map.

    Where n is small the blocks are read off the dense Jacobian. Else every token runs its own Arnoldi iteration, all
    pushed through the block together: step j costs one frame of `tokens` tangents. It stops when every leading Ritz
    value has residual ≤ tol·max(1, ρ), at the latest after `width` steps, where it is exact.

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
    radius, residual : ndarray, (tokens,)
        Largest modulus of each block's eigenvalues, and the residual of its Ritz pair.
    """
    if not m.causal:
        raise InvalidArgumentError(f"token radii need a causal map; {m.name} is not. Use multipliers(m, state).")
    count = m.state_shape[0] if tokens is None else tokens
    width = int(np.prod(m.state_shape[1:]))
    if m.dimension <= DENSE:
        J = jacobian(m, states[0])
        values = np.linalg.eigvals(
            np.stack([J[i * width : (i + 1) * width, i * width : (i + 1) * width] for i in range(count)])
        )
        return np.abs(values).max(axis=1), np.full(count, 1e-14 * max(1.0, float(np.abs(J).max())))
    basis = np.zeros((count, width + 1, width))
    hessenberg = np.zeros((count, width + 1, width))
    first = np.random.default_rng(0).standard_normal((count, width))
    basis[:, 0] = first / np.linalg.norm(first, axis=1, keepdims=True)
    radius, residual = np.zeros(count), np.full(count, np.inf)
    for j in range(width):
        image = _blocks(m, states, basis[:, j])
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
            radius, residual = _ritz(hessenberg, j + 1)
            if j == width - 1:
                residual = np.minimum(residual, 1e-14 * np.abs(hessenberg).max(axis=(1, 2)))
            if np.all(residual <= tol * np.maximum(1.0, radius)) or not alive.any():
                break
    return radius, residual


def _blocks(m: LoopMap, states: Any, vectors: Array) -> Array:
    """Apply every token's diagonal block to its own vector ``(tokens, width)``."""
    count = len(vectors)
    frames = np.zeros((count, m.state_shape[0], vectors.shape[1]))
    frames[np.arange(count), np.arange(count)] = vectors
    native = m.native(frames.reshape(count, *m.state_shape))[None]
    pushed = m.numpy(m.push(states, native)[1])[0].reshape(count, m.state_shape[0], -1)
    return pushed[np.arange(count), np.arange(count)]


def _ritz(hessenberg: Array, size: int) -> tuple[Array, Array]:
    values, vectors = np.linalg.eig(hessenberg[:, :size, :size])
    best = np.argmax(np.abs(values), axis=1)
    rows = np.arange(len(values))
    last = vectors[rows, size - 1, best] / np.linalg.norm(vectors[rows, :, best], axis=1)
    return np.asarray(np.abs(values[rows, best])), np.abs(hessenberg[:, size, size - 1] * last)
