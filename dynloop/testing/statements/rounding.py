"""How far rounding, and a residual, move the states between layers: the loop is run with every state disturbed.

An estimate in the manner of stochastic arithmetic (Vignes, Math. Comput. Simul. 35 (1993) 233): a few runs in which
each state between layers is disturbed at random by the size of its error, and the largest change taken, times a margin.
"""

from __future__ import annotations

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import row_norms

__all__ = ["EPS", "disturbed"]

EPS = float(np.finfo(np.float64).eps)
_PROBES = 4
_MARGIN = 50.0  # a random disturbance of n coordinates sees a share of the worst one


def disturbed(m: LoopMap, state: Array, steps: int, error: float = 0.0) -> Array:
    """Return how well the states after 0 … `steps` layers are known, row by row.

    Parameters
    ----------
    m : LoopMap
        The map.
    state : ndarray, state_shape
        Where to begin, before layer 0.
    steps : int
        Layers to apply, counted on through the loops.
    error : float
        Relative error of `state` beside rounding.

    Returns
    -------
    ndarray, (steps + 1, rows)
        Absolute.
    """
    rng = np.random.default_rng(0)
    unit = 4 * max(EPS, m.precision)
    states = np.repeat(state[None], _PROBES + 1, axis=0)
    known = np.empty((steps + 1, m.rows))
    for step in range(steps + 1):
        if step:
            states = m.numpy(m.layer((step - 1) % m.layer_count, m.native(states)))
        size = row_norms(m, states[:1])[0] / np.sqrt(m.state_shape[-1])
        shape = (_PROBES, m.rows, m.state_shape[-1])
        noise = rng.standard_normal(shape) * np.maximum(size, 1e-300)[:, None] * (unit if step else max(unit, error))
        states[1:] += noise.reshape(_PROBES, *m.state_shape)
        known[step] = row_norms(m, m.displacement(states[1:], states[:1])).max(axis=0)
    return _MARGIN * known
