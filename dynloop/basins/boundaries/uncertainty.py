"""The uncertainty exponent: how fast the share of starts whose destination is uncertain falls with the uncertainty."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from dynloop.basins.boundaries.labels import checked_labels, known
from dynloop.basins.boundaries.perturbed import perturbed_counts
from dynloop.basins.boundaries.power_law import jackknifed_slope, local_slopes, weighted_slope
from dynloop.basins.given import labels_on
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap
from dynloop.result import Result

__all__ = ["UncertaintyExponent", "uncertainty_exponent"]

_SIZES = 12  # of boxes, if none are given
_PIECES = 64  # of a grid, about, of which each is left out once for the error


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class UncertaintyExponent(Result):
    """How the share of uncertain starts scales.

    Attributes
    ----------
    exponent : float
        α in f(ε) ~ ε^α: 1 for a smooth boundary, towards 0 for one so mixed that better starts hardly help. nan where
        too little is uncertain for a slope.
    standard_error : float
        Of α. From boxes: by leaving out one piece of the grid after the other; it speaks of another grid of the same
        kind, and not of whether f is a power law: see `local`. From perturbed starts: of the fit to binomial counts.
    boundary_dimension : float
        d − α in d dimensions, the box-counting dimension of the boundary (where the two definitions agree).
    sizes : ndarray, (k,)
        ε: in cells, from the first to the last cell of a box; or in units of the states, for perturbed starts.
    uncertain : ndarray, (k,)
        f(ε), the share of boxes with more than one label, or of starts with another label beside them.
    local : ndarray, (k − 1,)
        The slope between neighbouring sizes: a power law keeps it constant.
    unknown : float
        Share of cells or starts without a destination, which are left out.
    method : str
        ``"boxes"`` or ``"perturbed"``.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> found = dl.uncertainty_exponent(1 + (np.arange(200)[:, None] > 99) * np.ones((1, 200), dtype=int))
    >>> found.method, found.unknown, len(found.local) == len(found.sizes) - 1
    ('boxes', 0.0, True)
    """

    exponent: float
    standard_error: float
    boundary_dimension: float
    sizes: Array
    uncertain: Array
    local: Array
    unknown: float
    method: str


def uncertainty_exponent(
    m: Any,
    grid: Any = None,
    *,
    boxes: Sequence[int] | None = None,
    perturbations: Sequence[float] | None = None,
    samples: int = 2000,
    mapper: Callable[[Any], Array] | None = None,
    rng: int | np.random.Generator | None = 0,
) -> UncertaintyExponent:
    """Measure the uncertainty exponent, by boxes on a grid of labels or by perturbed starts.

    Parameters
    ----------
    m : LoopMap, or ndarray of int, or Basins
        The map; or labels that are known already, on a grid of any dimension (then `grid` is left out).
    grid : tuple of 1-D arrays, optional
        Where the labels are wanted; with `perturbations`, the box that starts are drawn from.
    boxes : sequence of int, optional
        Sizes of boxes in cells, two or more, each of 2 or more; about twelve from a sixtieth to a tenth of the shortest
        axis if left out.
    perturbations : sequence of float, optional
        If given, starts are drawn and perturbed to both sides by so much, in a random direction, in place of boxes.
    samples : int
        Starts drawn for every perturbation.
    mapper : callable, optional
        ``labels = mapper(starts)``; made for the map if left out.
    rng : int or Generator
        For starts and directions.

    Returns
    -------
    UncertaintyExponent
        α, its error, and the shares it comes from.

    Raises
    ------
    InvalidArgumentError, ShapeError
        If an argument is out of range or does not fit the others.

    Notes
    -----
    Grebogi, McDonald, Ott and Yorke, Phys. Lett. A 99 (1983) 415; McDonald, Grebogi, Ott and Yorke, Physica D 17 (1985)
    125. A box of b cells is centred on every cell that lets the largest box fit into the grid; it is uncertain if it
    holds two labels, and its size is ε = b − 1, the distance from its first to its last cell, so that a straight
    boundary gives exactly 1. The slope is that of log f against log ε, all sizes weighing alike.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> labels = 1 + (np.arange(200)[:, None] > 99) * np.ones((1, 200), dtype=int)
    >>> found = dl.uncertainty_exponent(labels)
    >>> round(found.exponent, 12), round(found.boundary_dimension, 12)
    (1.0, 1.0)
    """
    if isinstance(m, LoopMap):
        if perturbations is not None:
            return _by_perturbation(m, grid, perturbations, samples, mapper, rng)
        labels = labels_on(m, grid, mapper)
    elif grid is not None or mapper is not None or perturbations is not None:
        raise InvalidArgumentError(
            "labels are given, so grid, mapper and perturbations have no use; pass the map in place of the labels"
        )
    else:
        labels = checked_labels(m)
    sizes = _box_sizes(boxes, labels.shape)
    counts, totals = _counts(labels, sizes)
    lengths = sizes - 1.0
    alpha, error = jackknifed_slope(lengths, counts, totals)
    with np.errstate(invalid="ignore"):
        share = counts.sum(axis=0) / totals.sum(axis=0)
    return UncertaintyExponent(
        exponent=alpha,
        standard_error=error,
        boundary_dimension=labels.ndim - alpha,
        sizes=lengths,
        uncertain=share,
        local=local_slopes(lengths, share),
        unknown=float(1 - known(labels).mean()),
        method="boxes",
    )


def _box_sizes(boxes: Sequence[int] | None, shape: tuple[int, ...]) -> Array:
    shortest = min(shape)
    if boxes is None:
        last = shortest // 10
        if last < 4:
            raise ShapeError(
                f"a grid of {shape} cells is too small for boxes of 2 cells up to a tenth of it; take 40 cells an axis "
                "or more, or give boxes="
            )
        first = max(2, shortest // 60)
        return np.unique(1 + np.round(np.geomspace(first - 1, last - 1, _SIZES)).astype(int))
    sizes = np.unique(np.asarray(boxes))
    if sizes.dtype.kind not in "iu" or len(sizes) < 2 or sizes[0] < 2 or sizes[-1] > shortest:
        raise InvalidArgumentError(
            f"boxes must be two or more sizes between 2 and the {shortest} cells of the shortest axis; got {boxes!r}"
        )
    return sizes


def _counts(labels: Array, sizes: Array) -> tuple[Array, Array]:
    """Return how many boxes of each size are uncertain in every piece of the grid, and how many count there."""
    ours = known(labels)
    numbers = (
        np.unique(labels, return_inverse=True)[1].reshape(labels.shape).astype(np.int64)
    )  # filters work in doubles
    low, high = np.where(ours, numbers, labels.size), np.where(ours, numbers, -1)
    largest = int(sizes[-1])
    inner = tuple(slice(largest // 2, n - (largest - 1) // 2) for n in labels.shape)
    piece, pieces = _pieces(tuple(s.stop - s.start for s in inner))
    counts, totals = np.zeros((pieces, len(sizes))), np.zeros((pieces, len(sizes)))
    for i, b in enumerate(sizes):
        least, most = low, high
        for axis in range(labels.ndim):
            least = minimum_filter1d(least, int(b), axis=axis)
            most = maximum_filter1d(most, int(b), axis=axis)
        least, most = least[inner].ravel(), most[inner].ravel()
        counts[:, i] = np.bincount(piece, least < most, pieces)
        totals[:, i] = np.bincount(piece, least <= most, pieces)
    return counts, totals


def _pieces(shape: tuple[int, ...]) -> tuple[Array, int]:
    """Return which piece every centre belongs to, flat, and how many pieces there are."""
    each = max(2, round(_PIECES ** (1 / len(shape))))
    number, total = np.zeros(shape, dtype=np.int64), 1
    for axis, n in enumerate(shape):
        parts = min(each, n)
        index = np.arange(n) * parts // n
        number = number * parts + index.reshape([-1 if a == axis else 1 for a in range(len(shape))])
        total *= parts
    return number.ravel(), total


def _by_perturbation(
    m: LoopMap, grid: Any, perturbations: Sequence[float], samples: int, mapper: Any, rng: Any
) -> UncertaintyExponent:
    sizes = np.unique(np.asarray(perturbations, dtype=np.float64))
    if len(sizes) < 2 or not (sizes > 0).all() or not math.isfinite(sizes[-1]):
        raise InvalidArgumentError(f"perturbations must be two or more positive, finite sizes; got {perturbations!r}")
    counts, drawn, lost = perturbed_counts(m, grid, sizes, samples, mapper, rng)
    alpha, error = weighted_slope(sizes, counts, drawn)
    share = counts / np.maximum(drawn, 1)
    return UncertaintyExponent(
        exponent=alpha, standard_error=error, boundary_dimension=m.dimension - alpha, sizes=sizes, uncertain=share,
        local=local_slopes(sizes, share), unknown=lost, method="perturbed",
    )  # fmt: skip
