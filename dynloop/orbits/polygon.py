"""The closed polygon of increments at a fixed point: whether the block vanishes there, or its layers trace a cycle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import row_norms

__all__ = ["Polygon", "lengths", "polygon"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Polygon:
    """Increments g_l = L_l(x_l) − x_l of one loop, row by row; lengths relative to the largest section of the row.

    Attributes
    ----------
    increments : ndarray, (groups, layers)
        ‖g_l‖.
    perimeter : ndarray, (groups,)
        Σ‖g_l‖.
    closure : ndarray, (groups,)
        ‖Σ g_l‖ / Σ‖g_l‖; 0 where every increment is zero.
    section_distance : ndarray, (groups,)
        Least distance between two of the k sections; 0 with one layer.
    """

    increments: Array
    perimeter: Array
    closure: Array
    section_distance: Array

    def kind(self, error: Array) -> Array:
        """Say for every group whether its increments vanish, form a cycle, or cannot be told.

        Parameters
        ----------
        error : ndarray, (groups,)
            How well an increment is known, relative to the largest section.

        Returns
        -------
        ndarray of str, (groups,)
            "vanishing" if no increment exceeds its error, "cyclic" if at least two exceed it tenfold (exactly one is
            impossible at a fixed point, theory note T3), "unclear" otherwise.
        """
        active = np.sort(self.increments, axis=1)[:, ::-1]
        second = active[:, 1] if active.shape[1] > 1 else np.zeros(len(active))
        return np.where(active[:, 0] <= error, "vanishing", np.where(second > 10 * error, "cyclic", "unclear"))


def polygon(m: LoopMap, state: Any, *, joint: bool, largest: float = 0.0) -> Polygon:
    """Measure the polygon of one loop.

    Parameters
    ----------
    m : LoopMap
        The map.
    state : native array, (1, *state_shape)
        The (nearly) fixed point.
    joint : bool
        One group for the whole state, or one a row.
    largest : float
        Largest norm seen on the orbit: sets the scale where all sections are at the origin.
    """
    sections = m.numpy(m.sections(state))[:, 0]
    steps = m.displacement(sections[1:], sections[:-1])
    gap = m.displacement(sections[-1], sections[0])  # Σ g_l by T0; of angles too, where turns of steps may add up to 2π
    lengths, total = row_norms(m, steps), row_norms(m, gap[None])[0]
    sizes = row_norms(m, m.displacement(sections, np.zeros_like(sections))).max(axis=0)
    apart = _least_distance(m, sections[:-1])
    if joint:
        lengths = np.linalg.norm(lengths, axis=1, keepdims=True)
        total, sizes, apart = (np.atleast_1d(np.linalg.norm(rows)) for rows in (total, sizes, apart))
    scale = np.maximum(sizes, 4 * m.precision * max(largest, float(sizes.max())) + np.finfo(float).tiny)
    perimeter = lengths.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        closure = np.where(perimeter > 0, total / perimeter, 0.0)
    return Polygon(
        increments=(lengths / scale).T, perimeter=perimeter / scale, closure=closure, section_distance=apart / scale
    )


def _least_distance(m: LoopMap, sections: Array) -> Array:
    """Return the least distance of two sections, row by row ``(rows,)``."""
    count = len(sections)
    if count < 2:
        return np.zeros(m.rows)
    pairs = [(i, j) for i in range(count) for j in range(i)]
    first, second = (sections[list(side)] for side in zip(*pairs, strict=True))
    return np.asarray(row_norms(m, m.displacement(first, second)).min(axis=0))


def lengths(shape: Polygon, group: int) -> dict[str, Any]:
    """Return the numbers of one group under their names in `Evidence`."""
    return {
        "perimeter": shape.perimeter[group],
        "closure": shape.closure[group],
        "increments": shape.increments[group],
        "largest_increment": shape.increments[group].max(),
        "section_distance": shape.section_distance[group],
    }
