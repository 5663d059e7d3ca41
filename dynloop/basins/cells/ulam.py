"""Ulam's method: the matrix of transitions between cells, and the invariant measure that it approximates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from dynloop.basins.cells.chain import absorbed, closed_classes, lasting, stationary
from dynloop.basins.cells.graph import points_a_side
from dynloop.basins.cells.partition import Partition
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap, as_map
from dynloop.result import Result, Status

__all__ = ["UlamMatrix", "ulam_matrix"]

_AT_ONCE = 1_000_000  # points that are mapped together
_DIMENSIONS = 3


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class UlamMatrix(Result):
    """Transitions between cells, and what they keep.

    Attributes
    ----------
    invariant_measure : ndarray, shape of the grid
        Where the uniform distribution on the grid spends its time in the long run, as a probability of every cell.
        Where all of it leaves in the end (`eigenvalue` below 1): the distribution of what is still there, which is
        conditionally invariant, μP = λμ; nan if everything leaves at once.
    eigenvalue : float
        λ: 1 if something stays for ever; else the share that stays a loop longer, −ln λ being the escape rate.
    residual : float
        ‖μP − λμ‖₁ of it: how well the linear system was solved. It says nothing of the distance to a measure of the
        map, which falls with the size of the cells: compare two grids.
    status : Status
        CONVERGED if the residual is below 1e-10; NOT_CONVERGED otherwise.
    reason : str
        One sentence.
    classes : tuple of ndarray of int
        Sets of cells that lead to each other and nowhere else, in the order of their first cells: each carries one
        invariant measure of the matrix.
    weights : ndarray, (classes,)
        Share of the uniform distribution that ends in each; what is missing to 1 leaves the grid, where `status` is
        CONVERGED.
    leak : ndarray, shape of the grid
        Share of a cell's points that the map sends out of the grid.
    rows, columns : ndarray of int
        Cells from and to which there are transitions, in C order of the grid.
    values : ndarray
        Their probabilities; see `matrix`.
    grid : tuple of 1-D arrays
        The middles of the cells.
    settings : dict
        What made this result.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> found = dl.ulam_matrix(dl.zoo.tent(), ((np.arange(64) + 0.5) / 64,))
    >>> found.status.name, round(found.eigenvalue, 9), found.matrix.shape, len(found.classes)
    ('CONVERGED', 1.0, (64, 64), 1)
    """

    invariant_measure: Array
    eigenvalue: float
    residual: float
    status: Status
    reason: str
    classes: tuple[Array, ...]
    weights: Array
    leak: Array
    rows: Array
    columns: Array
    values: Array
    grid: tuple[Array, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def matrix(self) -> csr_matrix:
        """P as a scipy sparse matrix, made anew: ``P[i, j]`` is the share of cell i that is mapped to cell j."""
        n = self.leak.size
        return csr_matrix((self.values, (self.rows, self.columns)), shape=(n, n))


def ulam_matrix(
    m: LoopMap, grid: Any, *, points: int | None = None, progress: Callable[[int, int], None] | None = None
) -> UlamMatrix:
    """Approximate the transfer operator of a map by transitions between cells, and its invariant measure.

    Parameters
    ----------
    m : LoopMap
        A map of up to three coordinates.
    grid : tuple of 1-D arrays
        The middles of the cells, as in `cell_graph`.
    points : int, optional
        Points mapped of each cell, along each side: 100, 10 or 5 in one, two or three dimensions if left out.
    progress : callable, optional
        ``progress(cells done, cells)``.

    Returns
    -------
    UlamMatrix
        The matrix, and the measure that the uniform distribution comes to.

    Raises
    ------
    InvalidArgumentError
        If an argument is out of range, or the map has more coordinates.
    ShapeError
        If the grid has another number of axes.

    Notes
    -----
    S. Ulam, *A Collection of Mathematical Problems* (1960) 73; T.-Y. Li, J. Approx. Theory 17 (1976) 177 proves
    convergence for expanding maps of the interval. Transitions are shares of regularly spaced points. Cells blur
    orbits by their size, like noise: where a map keeps many measures, that of the blurred map is shown.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> middles = (np.arange(64) + 0.5) / 64
    >>> found = dl.ulam_matrix(dl.zoo.tent(), (middles,))
    >>> bool(np.allclose(found.invariant_measure, 1 / 64)), found.residual < 1e-12
    (True, True)
    """
    if as_map(m).dimension > _DIMENSIONS:
        raise InvalidArgumentError(f"cells are made of up to {_DIMENSIONS} coordinates; {m.name} has {m.dimension}")
    P = Partition(m, grid)
    each = points_a_side(points, m.dimension, (100, 10, 5))
    rows, columns, values, leak = _transitions(P, each, progress)
    T = csr_matrix((values, (rows, columns)), shape=(P.count, P.count))
    classes = closed_classes(T, leak)
    weights, wandering = absorbed(T, classes, P.volumes())
    if weights.sum() > 0:
        measure, eigenvalue = np.zeros(P.count), 1.0
        for cells, weight in zip(classes, weights / weights.sum(), strict=True):
            measure[cells] = weight * stationary(T[cells][:, cells])
    else:
        measure, eigenvalue = lasting(T, P.volumes())
    residual = float(np.abs(T.T @ measure - eigenvalue * measure).sum())
    status, reason = _said(len(classes), residual, eigenvalue, wandering)
    return UlamMatrix(
        invariant_measure=measure.reshape(P.shape), eigenvalue=eigenvalue, residual=residual, status=status,
        reason=reason, classes=tuple(classes), weights=weights, leak=leak.reshape(P.shape), rows=rows, columns=columns,
        values=values, grid=P.axes, settings={"map": m.name, "points": each},
    )  # fmt: skip


def _said(classes: int, residual: float, eigenvalue: float, wandering: float) -> tuple[Status, str]:
    if not eigenvalue > 0:
        return Status.NOT_CONVERGED, "everything leaves the grid, to the last point"
    kept = f"{classes} closed class{'' if classes == 1 else 'es'}"
    if not classes:
        kept = f"no cells are mapped into themselves; of what is left, a share of {eigenvalue:.6g} stays a loop longer"
    if not residual <= 1e-10:
        return Status.NOT_CONVERGED, f"{kept}; the equations are solved to a residual of {residual:.1e} only"
    if wandering > 1e-10:
        return (
            Status.NOT_CONVERGED,
            f"{kept}; a share of {wandering:.1e} has not come to an end yet",
        )
    return Status.CONVERGED, f"{kept}; residual {residual:.1e}"


def _transitions(P: Partition, points: int, progress: Callable[[int, int], None] | None) -> tuple[Array, ...]:
    """Return rows, columns and values of the matrix, and the share of each cell that leaves the grid."""
    leak, parts = np.empty(P.count), []
    for cells, images in P.images(points, _AT_ONCE):
        leak[cells] = (images < 0).mean(axis=1)
        images = np.sort(images, axis=1)
        begins = np.ones(images.shape, dtype=bool)
        begins[:, 1:] = images[:, 1:] != images[:, :-1]
        at = np.flatnonzero(begins)
        share = np.diff(at, append=images.size) / images.shape[1]
        row, column = cells[at // images.shape[1]], images.ravel()[at]
        inside = column >= 0
        parts.append((row[inside], column[inside], share[inside]))
        if progress is not None:
            progress(int(cells[-1]) + 1, P.count)
    rows, columns, values = (np.concatenate(part) for part in zip(*parts, strict=True))
    return rows, columns, values, leak
