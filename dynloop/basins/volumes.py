"""How volumes change along a set, and its record: where F keeps them nothing is attracted (Poincaré)."""

from __future__ import annotations

import numpy as np

from dynloop.basins.attractors import Attractor
from dynloop.basins.cloud import typical_gap
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.verdict import Regime

__all__ = ["keeps_volume", "set_record", "volume_changes"]

_WIDEST = 256  # coordinates up to which determinants are taken
_NUMBERS = 2**23  # of all derivatives together
_AT_ONCE = 2**20
_KEPT = 1e-8  # how near to 0 the logarithms are, beside rounding
_PARTS, _GROWN = 16, 1.5  # of a record; how much farther sums of the whole reach than those of a part
_LEAST = 1024  # states for that


def volume_changes(m: LoopMap, points: Array) -> tuple[Array, Array]:
    """Return log|det DF| at states of an orbit ``(points, n)``, and the rounding of each; none above 256 coordinates.

    As many of the first are taken as have eight million derivatives.
    """
    n = m.dimension
    if n > _WIDEST:
        return np.empty(0), np.empty(0)
    some = points[: max(1, _NUMBERS // n**2)]
    logs, errors = np.empty((2, len(some)))
    piece = max(1, _AT_ONCE // n**2)
    for first in range(0, len(some), piece):
        rows = slice(first, first + piece)
        states = m.native(some[rows].reshape(-1, *m.state_shape))
        frames = np.broadcast_to(np.eye(n), (len(states), n, n)).reshape(len(states), n, *m.state_shape)
        own = states.new_tensor(frames) if hasattr(states, "new_tensor") else np.ascontiguousarray(frames)
        J = m.numpy(m.push(states, own)[1]).reshape(len(states), n, n)
        with np.errstate(all="ignore"):
            logs[rows] = np.linalg.slogdet(J)[1]
            errors[rows] = 16 * n * m.precision * np.linalg.cond(J)
    return logs, errors


def keeps_volume(logs: Array, errors: Array) -> bool:
    """Say whether F keeps volumes along an orbit, by its log|det DF|.

    It does where all are 0 to within rounding. It keeps a volume with a density, such as one in other coordinates,
    where they are not but their sums stay bounded: where sums over the whole reach little farther than those over a
    sixteenth. They drift where volumes shrink, and wander where F is many to one.
    """
    if not len(logs) or not np.isfinite(logs).all():
        return False
    if (np.abs(logs) <= _KEPT + errors).all():
        return True
    if len(logs) < _LEAST:
        return False
    parts = np.array_split(logs, _PARTS)
    return _reach(logs) <= _GROWN * float(np.median([_reach(part) for part in parts]))


def _reach(logs: Array) -> float:
    return float(np.ptp(np.concatenate([[0.0], np.cumsum(logs)])))


def set_record(m: LoopMap, points: Array, regime: Regime, logs: Array) -> Attractor:
    """Return the record of a set, by a sample ``(points, n)`` and log|det DF| along it."""
    return Attractor(
        label=0, period=-1, points=points.reshape(-1, *m.state_shape), regime=regime, spectral_radius=float("nan"),
        error=typical_gap(m, points), log_volume=float(logs.mean()) if len(logs) else float("nan"),
    )  # fmt: skip
