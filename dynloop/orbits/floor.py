"""The precision floor: the relative step below which rounding in the working dtype hides the dynamics."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.errors import NoTwinError
from dynloop.maps.base import Array, LoopMap, as_map

__all__ = ["measured_floor", "precision_floor"]


def precision_floor(m: LoopMap, states: Any) -> Array:
    """Measure the precision floor of a map at given states, row by row.

    In a dtype below float64 the rounding of one loop is measured against the float64 twin,
    ‖F_low(x) − F_64(x)‖ / ‖x‖; no step of an orbit can be told from rounding below it. In float64, and where no twin is
    to be had, it is 4 units of roundoff.

    Parameters
    ----------
    m : LoopMap
        The map.
    states : array, (batch, *state_shape)
        Where to measure; best where the orbit has arrived.

    Returns
    -------
    ndarray, (batch, rows)
        Relative floor of every row (token) of every state.

    Raises
    ------
    InvalidArgumentError
        If `m` is no map.
    ShapeError
        If `states` do not fit it.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.precision_floor(dl.zoo.henon(), [[0.6, 0.2]]) < 1e-14
    array([[ True]])
    """
    states = as_map(m).native(states)
    m = m.in_dtype_of(states)
    try:
        twin = None if m.precision <= np.finfo(np.float64).eps else m.twin()
    except NoTwinError:
        twin = None
    return measured_floor(m, twin, states)


def measured_floor(m: LoopMap, twin: LoopMap | None, states: Any) -> Array:
    """Return `precision_floor` of native states by a twin of higher precision; the nominal one where there is none."""
    if twin is None or twin.precision >= m.precision:
        return np.full((len(states), m.rows), 4 * m.precision)
    low, exact = m.numpy(m(states)), m.numpy(twin(m.numpy(states)))
    error = row_norms(m, m.displacement(low, exact))
    size = row_norms(m, exact)
    measured = error / np.maximum(size, m.precision * size.max(axis=1, keepdims=True) + np.finfo(float).tiny)
    return np.asarray(np.maximum(np.nan_to_num(measured, nan=0.0), m.precision))


def row_norms(m: LoopMap, states: Array) -> Array:
    """Return the norm of every row of NumPy states ``(batch, *state_shape)``: ``(batch, rows)``."""
    rows = np.reshape(states, (len(states), m.rows, m.state_shape[-1]))
    return np.asarray(np.sqrt(np.einsum("bri,bri->br", rows, rows)))
