"""Basin entropy: how mixed the destinations are within small boxes of a grid, on average and on the boundary."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.basins.boundaries.labels import UNKNOWN, checked_labels, known, sizes
from dynloop.maps.base import Array
from dynloop.result import Result

__all__ = ["BasinEntropy", "basin_entropy"]

_AT_ONCE = 4_000_000  # cells that are sorted together


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class BasinEntropy(Result):
    """How mixed the labels of a grid are.

    Attributes
    ----------
    basin_entropy : float
        Sb, the mean over all boxes of the Gibbs entropy of the labels within, natural log; nan if no cell is known.
    boundary_basin_entropy : float
        Sbb, the mean over the boxes that hold more than one label; 0 if there is none.
    standard_error, boundary_standard_error : float
        Of both, from the finite number of cells in a box, as if they were drawn at random in it: an upper estimate for
        a regular grid, whose cells are spread more evenly.
    bias, boundary_bias : float
        By how much, to first order, both fall short of what infinitely many cells a box would give; it is not added.
    exceeds_log2 : bool
        Whether Sbb is above ln 2 by more than two standard errors.
    boxes, boundary_boxes : int
        How many boxes there are, and how many hold more than one label.
    labels : int
        How many different destinations occur in them.
    unknown : float
        Share of their cells without a destination (labels −2 and −3); these cells are left out.
    left_out : float
        Share of the cells of the grid that fill no whole box; they are left out too.
    box : tuple of int
        Cells a box along every axis.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> quarters = np.repeat([1, 2], 12)[:, None] + 2 * np.repeat([0, 1], 12)
    >>> found = dl.basin_entropy(quarters, box=6)
    >>> found.labels, found.boxes, found.basin_entropy, found.unknown
    (4, 16, 0.0, 0.0)
    """

    basin_entropy: float
    boundary_basin_entropy: float
    standard_error: float
    boundary_standard_error: float
    bias: float
    boundary_bias: float
    exceeds_log2: bool
    boxes: int
    boundary_boxes: int
    labels: int
    unknown: float
    left_out: float
    box: tuple[int, ...]


def basin_entropy(labels: Any, box: Any = 5) -> BasinEntropy:
    """Measure how mixed the basins on a grid are: basin entropy and boundary basin entropy.

    Parameters
    ----------
    labels : ndarray of int, or Basins
        One label a cell, on a grid of any dimension. Divergence (−1) is a destination like any other; cells that are
        undecided (−2) or unmatched (−3) are left out of their boxes.
    box : int or sequence of int
        Cells a box along every axis.

    Returns
    -------
    BasinEntropy
        Sb and Sbb, with what the finite number of cells does to them.

    Raises
    ------
    InvalidArgumentError
        If labels are no integers, or a box is smaller than two cells or larger than the grid.
    ShapeError
        If `labels` is empty.

    Notes
    -----
    Daza, Wagemakers, Georgeot, Guéry-Odelin and Sanjuán, Sci. Rep. 6 (2016) 31416. The boxes stand side by side from
    the first cell of every axis; where `box` does not divide an axis, the cells after the last whole box are left out.
    Within a box of n known cells with shares p_j the entropy S is −Σ p_j log p_j; its variance, of n independent
    draws, is (Σ p_j log² p_j − S²)/n + (k − 1)/2n² and its bias −(k − 1)/2n for k labels (Miller 1955; Basharin 1959;
    Harris 1975). At equal shares the first term of the variance is zero: 2n(log k − S) is then χ² of k − 1 degrees.

    Sbb > ln 2 is the authors' *log 2 criterion* for a fractal boundary. It rests on boxes so small that those with
    three smooth basins are rare: around a point where three smooth basins meet, a few boxes exceed ln 2 too. So
    `exceeds_log2` says what it says, and no more; see that it holds for smaller boxes on finer grids.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> halves = np.repeat([1, 2], 15)[:, None] * np.ones((1, 30), dtype=int)
    >>> found = dl.basin_entropy(halves, box=6)
    >>> round(found.boundary_basin_entropy, 6), found.boundary_boxes, found.boxes
    (0.693147, 5, 25)
    """
    array = checked_labels(labels)
    cells = sizes("box", box, array.shape)
    counts = tuple(n // s for n, s in zip(array.shape, cells, strict=True))
    whole = array[tuple(slice(c * s) for c, s in zip(counts, cells, strict=True))]
    entropy, variance, kinds, filled = _by_box(whole, counts, cells)
    used = filled > 0
    mixed = kinds > 1
    n, boundary = int(used.sum()), int(mixed.sum())
    bias = np.where(used, -(kinds - 1) / (2.0 * np.maximum(filled, 1)), 0.0)
    total = float(entropy.sum())
    spread, shift = math.sqrt(float(variance.sum())), float(bias.sum())
    Sbb = total / boundary if boundary else 0.0
    error = spread / boundary if boundary else 0.0
    return BasinEntropy(
        basin_entropy=total / n if n else math.nan,
        boundary_basin_entropy=Sbb if n else math.nan,
        standard_error=spread / n if n else math.nan,
        boundary_standard_error=error if n else math.nan,
        bias=shift / n if n else math.nan,
        boundary_bias=(shift / boundary if boundary else 0.0) if n else math.nan,
        exceeds_log2=bool(Sbb - 2 * error > math.log(2)),
        boxes=n,
        boundary_boxes=boundary,
        labels=len(np.setdiff1d(np.unique(whole), UNKNOWN)),
        unknown=float(1 - known(whole).mean()),
        left_out=1 - whole.size / array.size,
        box=cells,
    )


def _by_box(whole: Array, counts: tuple[int, ...], cells: tuple[int, ...]) -> tuple[Array, Array, Array, Array]:
    """Return entropy, its variance, the number of labels and of known cells of every box, ``(boxes,)`` each."""
    d = whole.ndim
    split = whole.reshape([n for pair in zip(counts, cells, strict=True) for n in pair])
    tiles = split.transpose(*range(0, 2 * d, 2), *range(1, 2 * d, 2))
    size, step = math.prod(cells), max(1, _AT_ONCE // max(1, whole.size // counts[0]))
    parts = []
    for first in range(0, counts[0], step):
        parts.append(_entropies(tiles[first : first + step].reshape(-1, size)))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))  # type: ignore[return-value] # as many as parts have


def _entropies(rows: Array) -> tuple[Array, Array, Array, Array]:
    """Return the numbers of `_by_box` for boxes ``(boxes, cells)``: runs of equal labels are counted in sorted rows."""
    rows = np.sort(rows, axis=1)
    begins = np.ones(rows.shape, dtype=bool)
    begins[:, 1:] = rows[:, 1:] != rows[:, :-1]
    at = np.flatnonzero(begins)
    lengths = np.diff(at, append=rows.size)
    ours = known(rows.ravel()[at])
    box, lengths = (at // rows.shape[1])[ours], lengths[ours]
    n = len(rows)
    filled = np.bincount(box, lengths, n)
    p = lengths / filled[box]
    log = np.log(p)
    entropy = -np.bincount(box, p * log, n)
    second = np.bincount(box, p * log**2, n)
    kinds, cells = np.bincount(box, minlength=n), np.maximum(filled, 1)
    variance = np.maximum(second - entropy**2, 0.0) / cells + np.maximum(kinds - 1, 0) / (2.0 * cells**2)
    return np.abs(entropy), variance, kinds, filled
