"""Jacobians of one loop from pushed vectors: dense, as an operator, or the diagonal blocks of a causal map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse.linalg import LinearOperator

from dynloop.calculus.tangent import check_derivative
from dynloop.calculus.token_tangent import token_push
from dynloop.errors import ShapeError
from dynloop.maps.base import Array, LoopMap, as_map

__all__ = [
    "DENSE",
    "checked_state",
    "dense_jacobian",
    "diagonal_blocks",
    "jacobian",
    "jacobian_operator",
    "jacobian_products",
    "jacobians",
    "one_state",
    "token_blocks",
    "token_jacobians",
]

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
    DerivativeError
        If the map has no usable derivative.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.jacobian(dl.zoo.henon(), [1.0, 0.0])
    array([[-2.8,  1. ],
           [ 0.3,  0. ]])
    """
    m, states = checked_state(m, state)
    return dense_jacobian(m, states[0])


def dense_jacobian(m: LoopMap, state: Any) -> Array:
    """Return `jacobian` at a state that was checked."""
    J: Array = jacobians(*one_state(m, state))[1][0]
    return J


def jacobians(m: LoopMap, states: Any) -> tuple[Any, Array]:
    """Return F(x), native, and the dense Jacobians ``(batch, n, n)`` at native states ``(batch, *state_shape)``."""
    n, count = m.dimension, len(states)
    J, new = np.empty((count, n, n)), states
    for first in range(0, n, _TANGENTS_AT_ONCE):
        columns = np.eye(n)[first : first + _TANGENTS_AT_ONCE]
        frames = m.native(np.tile(columns, (count, 1)).reshape(-1, *m.state_shape), "columns")
        new, pushed = m.push(states, frames.reshape(count, len(columns), *m.state_shape))
        J[:, :, first : first + len(columns)] = m.numpy(pushed).reshape(count, len(columns), n).transpose(0, 2, 1)
    return new, J


def jacobian_operator(m: LoopMap, state: Any) -> LinearOperator:
    """Return DF(x) as a scipy operator that never forms it: products by `m.push`, with the transpose by `m.pull`.

    Parameters
    ----------
    m : LoopMap
        The map; ``m.power(p)`` gives the operator of F^p, ``m.rotate(l)`` that of the loop from section l.
    state : array, state_shape
        The point.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator, (n, n)
        float64; vectors in C order of `state_shape`. ``matmat`` pushes 64 vectors at once, so a product with many
        costs far less than as many ``matvec``. Complex vectors are taken apart into two real ones.

    Raises
    ------
    ShapeError
        If `state` is not one state.
    DerivativeError
        If the map has no usable derivative.

    Examples
    --------
    >>> import dynloop as dl
    >>> J = dl.jacobian_operator(dl.zoo.henon(), [1.0, 0.0])
    >>> J.matvec([1.0, 0.0]), J.rmatvec([1.0, 0.0])
    (array([-2.8,  0.3]), array([-2.8,  1. ]))
    """
    m, states = checked_state(m, state)
    return jacobian_products(m, states[0])


def jacobian_products(m: LoopMap, state: Any) -> LinearOperator:
    """Return `jacobian_operator` at a state that was checked."""
    m, states = one_state(m, state)
    n = m.dimension

    def pushed(V: Array) -> Array:
        return _products(m, lambda frames: m.push(states, frames)[1], V.reshape(n, -1)).reshape(V.shape)

    def pulled(V: Array) -> Array:
        return _products(m, lambda frames: m.pull(states, frames)[1], V.reshape(n, -1)).reshape(V.shape)

    return LinearOperator((n, n), matvec=pushed, rmatvec=pulled, matmat=pushed, rmatmat=pulled, dtype=np.float64)


def _products(m: LoopMap, apply: Callable[[Any], Any], V: Array) -> Array:
    """Apply a linear function of native frames ``(1, k, *state_shape)`` to the columns of V, ``(n, k)``."""
    if np.iscomplexobj(V):
        return _products(m, apply, V.real) + 1j * _products(m, apply, V.imag)
    out = np.empty(V.shape)
    for first in range(0, V.shape[1], _TANGENTS_AT_ONCE):
        rows = V[:, first : first + _TANGENTS_AT_ONCE].T
        frames = m.native(rows.reshape(-1, *m.state_shape), "vectors")[None]
        out[:, first : first + len(rows)] = m.numpy(apply(frames)).reshape(rows.shape).T
    return out


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
    DerivativeError
        If the map has no usable derivative.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.synthetic.looped_transformer(width=8, tokens=3, layers=1, heads=2)
    >>> dl.token_jacobians(m, m.start(0)[0]).shape
    (3, 8, 8)
    """
    m, states = checked_state(m, state)
    return diagonal_blocks(m, states[0])


def diagonal_blocks(m: LoopMap, state: Any) -> Array:
    """Return `token_jacobians` at a state that was checked."""
    m, states = one_state(m, state)
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


def one_state(m: LoopMap, state: Any) -> tuple[LoopMap, Any]:
    """Return the map in the dtype of one state, and that state as a batch of one."""
    states, single = as_map(m).batch(state, argument="state")
    if not single:
        raise ShapeError(f"state must be one state of shape {m.state_shape}; got {np.shape(state)}. Pass state[0].")
    return m.in_dtype_of(states), states


def checked_state(m: LoopMap, state: Any) -> tuple[LoopMap, Any]:
    """Return the same as `one_state`; refuse a derivative that is not the map's."""
    m, states = one_state(m, state)
    check_derivative(m, states, np.random.default_rng(0), finite=False)
    return m, states
