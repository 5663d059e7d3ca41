"""How far two states are apart, relative to the larger, row by row."""

from __future__ import annotations

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import row_norms

__all__ = ["apart", "rows_apart"]


def rows_apart(m: LoopMap, a: Array, b: Array, least: Array | float = 0.0) -> Array:
    """Return ‖a − b‖ / max(‖a‖, ‖b‖, least) of states ``(batch, *state_shape)``, angles wrapped: ``(batch, rows)``.

    `least` ``(batch, rows)`` is what counts as zero on an orbit, so that two orbits that contract to the origin are
    not apart for ever. Two rows that are both zero are 0 apart; what is not finite is at infinity.
    """
    with np.errstate(all="ignore"):
        gap = row_norms(m, m.displacement(a, b))
        size = np.maximum(np.maximum(row_norms(m, a), row_norms(m, b)), least)
        relative = np.where(gap == 0, 0.0, gap / size)
    return np.asarray(np.where(np.isfinite(relative), relative, np.inf))


def apart(m: LoopMap, a: Array, b: Array, least: Array | float = 0.0) -> Array:
    """Return the largest of `rows_apart` over the rows, ``(batch,)``."""
    return np.asarray(rows_apart(m, a, b, least).max(axis=1))
