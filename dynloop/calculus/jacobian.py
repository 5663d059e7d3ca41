"""The dense Jacobian of one loop, column by column from pushed unit vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.errors import ShapeError
from dynloop.maps.base import Array, LoopMap

__all__ = ["DENSE", "jacobian"]

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
    states, single = m.batch(state)
    if not single:
        raise ShapeError(f"state must be one state of shape {m.state_shape}; got {np.shape(state)}. Pass state[0].")
    m = m.in_dtype_of(states)
    n = m.dimension
    J = np.empty((n, n))
    for first in range(0, n, _TANGENTS_AT_ONCE):
        columns = np.eye(n)[first : first + _TANGENTS_AT_ONCE]
        frames = m.native(columns.reshape(-1, *m.state_shape), "columns")[None]
        _, pushed = m.push(states, frames)
        J[:, first : first + len(columns)] = m.numpy(pushed)[0].reshape(len(columns), n).T
    return J
