"""The Wada test by merging: whether all basins share one boundary, as far as a grid can show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_cdt, maximum_filter

from dynloop.arguments import checked_int
from dynloop.basins.boundaries.labels import UNKNOWN, checked_labels, known
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array
from dynloop.result import Result

__all__ = ["WadaTest", "wada_test"]

_CONSISTENT = "consistent with Wada"
_MOST = 64  # basins that are compared
_COARSE = 8  # radii, that the shortest axis must hold, and the boundary reach over


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class WadaTest(Result):
    """Whether the boundaries of single basins lie on each other.

    Attributes
    ----------
    verdict : str
        ``"consistent with Wada"``: on this grid every boundary lies within `radius` of every other;
        ``"not Wada at this resolution"``; ``"undecided"``, where what is seen is no evidence: a basin without a
        boundary, cells without a destination that may hide one, boundaries that all fit into 8 · `radius` cells, or
        that come half as near on every second cell; or ``"not applicable"``, with fewer than three basins, or a grid of
        fewer than 8 · `radius` cells an axis, on which all is near.
    distance : ndarray, (k, k)
        ``distance[i, j]`` is how far, in cells, the boundary of basin i reaches from that of basin j: the largest
        distance of a cell of the first to the nearest cell of the second.
    share : ndarray, (k, k)
        Share of the boundary cells of basin i within `radius` of the boundary of basin j.
    coarse_distance : ndarray, (k, k)
        `distance` on every second cell of the grid, in cells of that grid. It is about the same for a Wada boundary,
        about half where two basins meet away from the third.
    labels : tuple of int, (k,)
        The basins: every label with a destination, divergence among them.
    radius : int
        How far boundaries may be apart, in cells.
    unknown : float
        Share of cells without a destination, which are on no boundary.
    reason : str
        One sentence.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> stripes = np.repeat([1, 2, 3], 20)[:, None] * np.ones((1, 60), dtype=int)
    >>> found = dl.wada_test(stripes)
    >>> found.labels, found.radius, found.unknown
    ((1, 2, 3), 3, 0.0)
    """

    verdict: str
    distance: Array
    share: Array
    coarse_distance: Array
    labels: tuple[int, ...]
    radius: int
    unknown: float
    reason: str


def wada_test(labels: Any, *, radius: int | None = None) -> WadaTest:
    """Test on a grid of labels whether every boundary point is on the boundary of all basins.

    Parameters
    ----------
    labels : ndarray of int, or Basins
        One label a cell, on a grid of any dimension, with three destinations or more. Divergence (−1) is one;
        undecided (−2) and unmatched (−3) cells are on no boundary.
    radius : int, optional
        How far apart two boundaries may be and still be taken for one, in cells (neighbours across corners are 1
        apart). Left out, a third of the root of the shortest axis, 3 at least: on finer grids more cells, but less of
        the picture.

    Returns
    -------
    WadaTest
        The verdict and the distances it rests on.

    Raises
    ------
    InvalidArgumentError
        If `radius` is no positive int, labels are no integers, or there are more than 64 destinations.

    Notes
    -----
    Daza, Wagemakers and Sanjuán, Sci. Rep. 8 (2018) 9954: all basins but one are merged, for each in turn, and the slim
    boundaries of the merged pictures are compared; Wada basins leave the boundary where it is. A cell is on the
    boundary of basin i if among it and its neighbours are cells of i and of another destination. Both answers hold
    whatever the cells without a destination are: where they would turn it, it is undecided. A grid proves
    nothing about finer scales: raise its resolution, and see that `distance`, in cells, stays bounded.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> stripes = np.repeat([1, 2, 3], 20)[:, None] * np.ones((1, 60), dtype=int)
    >>> found = dl.wada_test(stripes)
    >>> found.verdict, found.distance[0].tolist(), found.coarse_distance[0].tolist()
    ('not Wada at this resolution', [0.0, 0.0, 20.0], [0.0, 0.0, 10.0])
    """
    array = checked_labels(labels)
    if radius is None:
        radius = max(3, math.ceil(math.sqrt(min(array.shape)) / 3))
    radius = checked_int(radius, "radius", 1, meaning="a number of cells", remedy="Leave it out to have one chosen")
    kinds = np.setdiff1d(np.unique(array), UNKNOWN)
    if len(kinds) > _MOST:
        raise InvalidArgumentError(f"labels hold {len(kinds)} destinations; {_MOST} are compared at most: merge some")
    slim = [_boundary(array, kind) for kind in kinds]
    wide = slim if known(array).all() else [_possible(array, kind) for kind in kinds]
    distance, share = _compared(slim, slim, int(radius))
    least, most = (
        (distance, distance) if wide is slim else (_compared(*pair, 0)[0] for pair in ((slim, wide), (wide, slim)))
    )
    half = array[(slice(None, None, 2),) * array.ndim]
    few = [_boundary(half, kind) for kind in kinds]
    coarse, _ = _compared(few, few, int(radius))
    verdict, reason = _verdict(kinds, distance, least, most, int(radius), min(array.shape))
    if verdict == _CONSISTENT:
        verdict, reason = _doubted(slim, distance, coarse, int(radius)) or (verdict, reason)
    return WadaTest(
        verdict=verdict, distance=distance, share=share, coarse_distance=coarse,
        labels=tuple(int(k) for k in kinds), radius=int(radius), unknown=float(1 - known(array).mean()), reason=reason,
    )  # fmt: skip


def _verdict(kinds: Array, distance: Array, least: Array, most: Array, radius: int, shortest: int) -> tuple[str, str]:
    """Judge by what is seen, and by the least and the most that it can be whatever the unknown cells are."""
    if len(kinds) < 3:
        return (
            "not applicable",
            f"Wada basins are three or more; there {'is' if len(kinds) == 1 else 'are'} {len(kinds)}",
        )
    if np.nanmax(least, initial=0.0) > radius:
        return "not Wada at this resolution", _said(kinds, least)
    lonely = kinds[np.isnan(np.diag(distance))]
    if lonely.size:
        return (
            "undecided",
            f"basin {int(lonely[0])} has no boundary on this grid, cells without a destination around it",
        )
    if most.max() > radius:
        _, j = np.unravel_index(np.argmax(most), most.shape)
        return (
            "undecided",
            f"cells without a destination lie up to {most.max():.0f} cells from the boundary of basin {int(kinds[j])} "
            "and may hide another; label them with more loops",
        )
    if shortest < _COARSE * radius:
        near = f"which is near on a grid of {shortest} cells an axis: take a finer one"
        return "not applicable", f"{_said(kinds, distance)}, {near}"
    return _CONSISTENT, f"{_said(kinds, distance)}, and no other pair is farther apart"


def _doubted(slim: list[Array], distance: Array, coarse: Array, radius: int) -> tuple[str, str] | None:
    """Return why boundaries that are near each other show nothing, if so."""
    at = np.nonzero(np.any(slim, axis=0))
    span = max(int(np.ptp(axis)) + 1 for axis in at)
    if span < _COARSE * radius:
        return (
            "undecided",
            f"all boundaries lie within {span} cells, where each is near each: take a finer grid there",
        )
    if distance.max() > 1 and 2 * coarse.max() <= distance.max():
        return (
            "undecided",
            f"boundaries are {distance.max():.0f} cells apart and {coarse.max():.0f} on every second cell, as curves "
            "side by side are: take a finer grid",
        )
    return None


def _said(kinds: Array, distance: Array) -> str:
    i, j = (int(k) for k in np.unravel_index(np.nanargmax(distance), distance.shape))
    return (
        f"the boundary of basin {int(kinds[i])} reaches {distance[i, j]:.0f} cells from that of basin {int(kinds[j])}"
    )


def _compared(ours: list[Array], theirs: list[Array], radius: int) -> tuple[Array, Array]:
    """Return how far each of our boundaries reaches from each of theirs, and the share of it within the radius."""
    k = len(ours)
    distance, share = np.full((k, k), np.nan), np.full((k, k), np.nan)
    for j, there in enumerate(theirs):
        if not there.any():
            continue
        away = distance_transform_cdt(~there, "chessboard")
        for i, here in enumerate(ours):
            if here.any():
                distance[i, j] = away[here].max()
                share[i, j] = (away[here] <= radius).mean()
    return distance, share


def _boundary(array: Array, kind: int) -> Array:
    """Say which cells have both this destination and another among themselves and their neighbours."""
    ours = known(array)
    inside, outside = ours & (array == kind), ours & (array != kind)
    return np.asarray(maximum_filter(inside, 3) & maximum_filter(outside, 3) & ours)


def _possible(array: Array, kind: int) -> Array:
    """Say which cells can be on the boundary of this basin, whatever the cells without a destination are."""
    lost = ~known(array)
    return np.asarray(maximum_filter(lost | (array == kind), 3) & maximum_filter(array != kind, 3))
