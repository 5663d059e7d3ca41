"""`fixed_points_in_box`: all fixed points or cycles of one period in a box, with proof that there are no others."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, as_map, check_power
from dynloop.maps.kernel import KernelMap
from dynloop.result import Result, Status

__all__ = ["FixedPointsInBox", "fixed_points_in_box"]

_MOST = 3  # coordinates
_BITS = 128


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class FixedPointsInBox(Result):
    """All cycles of one period that meet a box.

    Attributes
    ----------
    points : ndarray, (rows, period, n)
        One row a cycle of that least period, begun at a point in the box; each is proved.
    complete : bool
        Whether it is proved that there are no others in the box: nothing is left undecided.
    status : Status
        PROVED if complete, else UNPROVED; rows are proved in either case.
    existence_radius, uniqueness_radius : ndarray, (rows,)
        Exactly one such cycle lies within the second of `points`, and it lies within the first, in the maximum norm.
    inside : ndarray of bool, (rows,)
        Whether the first point is proved to lie in the closed box; otherwise it lies on the border to within its
        radius, on which side is not known.
    multipliers : ndarray of complex128, (rows, n)
        Eigenvalues of DF^p, largest modulus first; nan on a kink.
    multiplier_radii : ndarray, (rows, n)
        Discs that hold them.
    stability : ndarray of str, (rows,)
        ``"sink"``, ``"source"``, ``"saddle"``, each proved, or ``"unproved"``.
    undecided : ndarray, (k, n, 2)
        Boxes, low and high, about which nothing is known: at folds and jumps, or left when the budget ran out.
    period : int
        p.
    examined : int
        Boxes looked at.
    reason : str
        One sentence.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.fixed_points_in_box(dl.zoo.henon(), [(-2, 2), (-2, 2)])
    >>> found.status.name, found.stability.tolist(), found.undecided.shape
    ('PROVED', ['saddle', 'saddle'], (0, 2, 2))
    """

    points: Array
    complete: bool
    status: Status
    existence_radius: Array
    uniqueness_radius: Array
    inside: Array
    multipliers: Array
    multiplier_radii: Array
    stability: Array
    undecided: Array
    period: int
    examined: int
    reason: str


def fixed_points_in_box(
    m: KernelMap,
    box: Any,
    *,
    period: int = 1,
    resolution: float = 1e-8,
    budget: int = 100_000,
    progress: Callable[[int, int, int], None] | None = None,
) -> FixedPointsInBox:
    """Find all fixed points in a box, or all cycles of least period p that meet it, by proof.

    Parameters
    ----------
    m : KernelMap
        A map of 1, 2 or 3 coordinates.
    box : sequence of (low, high)
        One pair a coordinate; the box is closed.
    period : int
        p.
    resolution : float
        Boxes smaller than this share of `box` are not split but left undecided.
    budget : int
        Boxes looked at, at most; about a thousand a second.
    progress : callable, optional
        ``progress(examined, waiting, found)``, called now and then.

    Returns
    -------
    FixedPointsInBox
        Proved cycles, what is left undecided, and whether the list is complete.

    Raises
    ------
    InvalidArgumentError
        If an argument is out of range, the map has more coordinates or is no `KernelMap`, a step does what has no
        rigorous form on intervals, or the map is not periodic in what it gives as an angle.
    ShapeError
        If `box` is not one pair a coordinate.
    MissingPackageError
        Without python-flint, an extra of dynloop.

    Notes
    -----
    Interval branch and prune: exclusion by F^p(X) − X and its mean-value form, contraction and proof by Krawczyk's
    operator (A. Neumaier, *Interval Methods for Systems of Equations* (1990), 5.6; Z. Galias, *Interval methods for
    rigorous investigations of periodic orbits*, Int. J. Bifurcation Chaos 11 (2001) 2427). What a proof speaks of:
    see `certify`. Angles are read as coordinates: a cycle through the seam of a circle is one row, found from either
    end of the box.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.fixed_points_in_box(dl.zoo.henon(), [(-2, 2), (-2, 2)])
    >>> found.complete, found.points.round(6).tolist()
    (True, [[[-1.131354, -0.339406]], [[0.631354, 0.189406]]])
    """
    sides = _checked_box(m, box)
    p = check_power(period, "period")
    if isinstance(resolution, bool) or not isinstance(resolution, int | float) or not 1e-14 <= resolution < 1:
        raise InvalidArgumentError(f"resolution must be a share of the box between 1e-14 and 1; got {resolution!r}")
    budget = checked_int(budget, "budget", 1, meaning="the most boxes to look at", remedy="Leave it out for 100000")
    if progress is not None and not callable(progress):
        raise InvalidArgumentError(f"progress must be callable, progress(examined, waiting, found); got {progress!r}")

    from dynloop.orbits.certificates.backend import workprec
    from dynloop.orbits.certificates.census import census
    from dynloop.orbits.certificates.enclosure import BallMap
    from dynloop.orbits.certificates.subdivision import search

    B = BallMap(m)
    points = np.random.default_rng(0).uniform(sides[:, 0], sides[:, 1], (4, len(sides)))
    with workprec(_BITS):
        B.check_word(m, points)
    found = search(B, sides, p, resolution=float(resolution), budget=int(budget), progress=progress)
    rows, doubtful = census(B, m, sides, p, found.unique, _BITS)
    undecided = found.undecided + doubtful
    n, complete = m.dimension, not undecided
    rows.sort(key=lambda row: row.proof.center[0].tolist())
    none = np.full(n, np.nan)
    known = [row.proof.multipliers for row in rows]
    return FixedPointsInBox(
        points=np.array([row.proof.center for row in rows]).reshape(len(rows), p, n),
        complete=complete,
        status=Status.PROVED if complete else Status.UNPROVED,
        existence_radius=np.array([row.proof.existence for row in rows]),
        uniqueness_radius=np.array([row.proof.uniqueness for row in rows]),
        inside=np.array([row.inside for row in rows], dtype=bool),
        multipliers=np.array([none if e is None else e.values for e in known], dtype=complex).reshape(len(rows), n),
        multiplier_radii=np.array([none if e is None else e.radii for e in known]).reshape(len(rows), n),
        stability=np.array(["unproved" if e is None else e.stability for e in known], dtype=object),
        undecided=np.array(undecided).reshape(-1, n, 2),
        period=p,
        examined=found.examined,
        reason=_reason(len(rows), p, len(undecided), found.out_of_budget, all(row.inside for row in rows)),
    )


def _reason(rows: int, p: int, undecided: int, out_of_budget: bool, inside: bool) -> str:
    plural = "" if rows == 1 else "s"
    listed = f"{rows} fixed point{plural} proved" if p == 1 else f"{rows} cycle{plural} of least period {p} proved"
    border = "" if inside else "; some lie on the border to within their radius"
    if out_of_budget:
        return (
            f"{listed}{border}; the budget ran out with {undecided} boxes left: raise `budget`, or take a smaller box"
        )
    if undecided:
        return (
            f"{listed}{border}; {undecided} boxes are undecided: DF^p − I is singular there, or the map is not smooth"
        )
    return f"{listed}{border}, and there are no others in the box"


def _checked_box(m: Any, box: Any) -> Array:
    if not isinstance(as_map(m), KernelMap) or m.dimension > _MOST:
        raise InvalidArgumentError(
            f"fixed_points_in_box takes a KernelMap of up to {_MOST} coordinates; {m.name} is a {type(m).__name__} of "
            f"{m.dimension}. Solve for its fixed points, and pass them to certify"
        )
    try:
        sides = np.array(box, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidArgumentError(f"box must be one pair (low, high) of numbers a coordinate; got {box!r}") from None
    if sides.shape != (m.dimension, 2):
        raise ShapeError(
            f"box must be {m.dimension} pairs (low, high), one a coordinate of {m.name}; got shape {sides.shape}"
        )
    for i, (low, high) in enumerate(sides):
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InvalidArgumentError(f"box[{i}] must be finite with low < high; got ({low}, {high})")
    return sides
