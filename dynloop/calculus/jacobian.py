"""Jacobians of one loop from pushed unit vectors: the whole, or the diagonal blocks of a causal map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dynloop.calculus.token_tangent import token_push
from dynloop.errors import ShapeError
from dynloop.maps.base import Array, LoopMap

__all__ = ["DENSE", "jacobian", "token_blocks", "token_jacobians"]

DENSE = 1024  # up to this dimension a dense Jacobian (8 MB) costs less than an Arnoldi run: measured at 12 × 64
_TANGENTS_AT_ONCE = 64  # keeps the frame of a 12 × 64 block in cache; more gains nothing on two cores


def jacobian(m: LoopMap, state: Any) -> Array:
    """Return the dense Jacobian DF(x).

    Parameters
    ----------
    m : LoopMap
        The map.
    state : array, state_shape
        The point.

    Returns
    -------
    ndarray, (n, n)
        Row = output, column = input, both in C order of `state_shape`; NumPy float64.

    Raises
    ------
    ShapeError
        If `state` is not one state.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.jacobian(dl.zoo.henon(), [1.0, 0.0])
    array([[-2.8,  1. ],
           [ 0.3,  0. ]])
    """
    m, states = _one(m, state)
    n = m.dimension
    J = np.empty((n, n))
    for first in range(0, n, _TANGENTS_AT_ONCE):
        columns = np.eye(n)[first : first + _TANGENTS_AT_ONCE]
        frames = m.native(columns.reshape(-1, *m.state_shape), "columns")[None]
        _, pushed = m.push(states, frames)
        J[:, first : first + len(columns)] = m.numpy(pushed)[0].reshape(len(columns), n).T
    return J


def token_jacobians(m: LoopMap, state: Any) -> Array:
    """Return the diagonal blocks ∂F_i/∂x_i of a causal map, from `width` tangents for all tokens together.

    Parameters
    ----------
    m : LoopMap
        A causal map.
    state : array, (tokens, width)
        The point.

    Returns
    -------
    ndarray, (tokens, width, width)
        Row = output, column = input; NumPy float64. The union of their eigenvalues is the spectrum of DF(x).

    Raises
    ------
    InvalidArgumentError
        If the map is not causal.
    ShapeError
        If `state` is not one state.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.synthetic.looped_transformer(width=8, tokens=3, layers=1, heads=2)
    >>> dl.token_jacobians(m, m.start(0)[0]).shape
    (3, 8, 8)
    """
    m, states = _one(m, state)
    return token_blocks(token_push(m, states), m.state_shape)


def token_blocks(apply: Callable[[Array], Array], state_shape: tuple[int, ...]) -> Array:
    """Return the matrices ``(tokens, width, width)`` of the blocks that `apply` multiplies with."""
    tokens, width = state_shape[0], int(np.prod(state_shape[1:]))
    blocks = np.empty((tokens, width, width))
    for first in range(0, width, _TANGENTS_AT_ONCE):
        columns = np.eye(width)[first : first + _TANGENTS_AT_ONCE]
        frames = np.repeat(columns[:, None], tokens, axis=1)
        pushed = apply(frames.reshape(-1, *state_shape)).reshape(len(columns), tokens, width)
        blocks[:, :, first : first + len(columns)] = pushed.transpose(1, 2, 0)
    return blocks


def _one(m: LoopMap, state: Any) -> tuple[LoopMap, Any]:
    """Return the map in the dtype of one state, and that state as a batch of one."""
    states, single = m.batch(state)
    if not single:
        raise ShapeError(f"state must be one state of shape {m.state_shape}; got {np.shape(state)}. Pass state[0].")
    return m.in_dtype_of(states), states
