"""The Wada test by merging: whether all basins share one boundary, as far as a grid can show."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.ndimage import distance_transform_cdt, maximum_filter, minimum_filter

from dynloop.basins.boundaries.labels import UNKNOWN, checked_labels, known
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array
from dynloop.result import Result

__all__ = ["WadaTest", "wada_test"]

_MOST = 64  # basins that are compared
_COARSE = 8  # radii, that the shortest axis must hold


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class WadaTest(Result):
    """Whether the boundaries of single basins lie on each other.

    Attributes
    ----------
    verdict : str
        ``"consistent with Wada"``: on this grid every boundary lies within `radius` of every other;
        ``"not Wada at this resolution"``; or ``"not applicable"``, with fewer than three basins, no boundary, or a grid
        of fewer than 8 · `radius` cells an axis, on which all is near.
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
    boundary of basin i if among it and its neighbours are cells of i and of another destination. A grid proves
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
    if isinstance(radius, bool) or not isinstance(radius, int | np.integer) or radius < 1:
        raise InvalidArgumentError(f"radius must be a positive int, a number of cells; got {radius!r}")
    kinds = np.setdiff1d(np.unique(array), UNKNOWN)
    if len(kinds) > _MOST:
        raise InvalidArgumentError(f"labels hold {len(kinds)} destinations; {_MOST} are compared at most: merge some")
    distance, share = _compared(array, kinds, int(radius))
    coarse, _ = _compared(array[(slice(None, None, 2),) * array.ndim], kinds, int(radius))
    verdict, reason = _verdict(kinds, distance, int(radius), min(array.shape))
    return WadaTest(
        verdict=verdict, distance=distance, share=share, coarse_distance=coarse,
        labels=tuple(int(k) for k in kinds), radius=int(radius), unknown=float(1 - known(array).mean()), reason=reason,
    )  # fmt: skip


def _verdict(kinds: Array, distance: Array, radius: int, shortest: int) -> tuple[str, str]:
    if len(kinds) < 3:
        return (
            "not applicable",
            f"Wada basins are three or more; there {'is' if len(kinds) == 1 else 'are'} {len(kinds)}",
        )
    if np.isnan(distance).any():
        lonely = kinds[np.isnan(np.diag(distance))]
        return "not applicable", f"basin {int(lonely[0])} has no boundary on this grid"
    i, j = (int(k) for k in np.unravel_index(np.argmax(distance), distance.shape))
    said = (
        f"the boundary of basin {int(kinds[i])} reaches {distance[i, j]:.0f} cells from that of basin {int(kinds[j])}"
    )
    if distance[i, j] <= radius and shortest < _COARSE * radius:
        return "not applicable", f"{said}, which is near on a grid of {shortest} cells an axis: take a finer one"
    if distance[i, j] <= radius:
        return "consistent with Wada", f"{said}, and no other pair is farther apart"
    return "not Wada at this resolution", said


def _compared(array: Array, kinds: Array, radius: int) -> tuple[Array, Array]:
    """Return how far every slim boundary reaches from every other, and the share of it that is within the radius."""
    slim = [_boundary(array, kind) for kind in kinds]
    k = len(kinds)
    distance, share = np.full((k, k), np.nan), np.full((k, k), np.nan)
    for j, there in enumerate(slim):
        if not there.any():
            continue
        away = distance_transform_cdt(~there, "chessboard")
        for i, here in enumerate(slim):
            if here.any():
                distance[i, j] = away[here].max()
                share[i, j] = (away[here] <= radius).mean()
    return distance, share


def _boundary(array: Array, kind: int) -> Array:
    """Say which cells have both this destination and another among themselves and their neighbours."""
    ours = known(array)
    inside, outside = ours & (array == kind), ours & (array != kind)
    near = maximum_filter(inside, 3) & maximum_filter(outside, 3) & ours
    return np.asarray(near & ~minimum_filter(~ours, 3))
