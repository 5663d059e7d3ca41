"""Distances between states: norms of whole states, and of displacements with angles wrapped."""

from __future__ import annotations

import math

import numpy as np

from dynloop.maps.base import Array, LoopMap

__all__ = ["gaps", "norms"]


def norms(states: Array) -> Array:
    """Return the norm of every whole state, ``(batch,)``."""
    return np.asarray(np.linalg.norm(states.reshape(len(states), math.prod(states.shape[1:])), axis=1))


def gaps(m: LoopMap, states: Array, other: Array) -> Array:
    """Return the distance of every state to one other, or to those of a batch as long, ``(batch,)``."""
    return norms(m.displacement(states, np.broadcast_to(other, states.shape)))
