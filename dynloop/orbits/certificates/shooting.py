"""The equations of a p-cycle, x_{i+1} = F(x_i) for all i at once, and Krawczyk's test of them on a box.

Errors do not grow along the cycle: every point is an unknown of its own. On a box c ± R in the maximum norm, with
Y ≈ DG(c)⁻¹ and the interval matrix DG of slopes over the box, K = c − Y·G(c) + (I − Y·DG)·[−R, R] holds every zero of
G in the box; if K lies inside the box, there is exactly one (Krawczyk 1969; A. Neumaier, *Interval Methods for Systems
of Equations* (1990), 5.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dynloop.orbits.certificates.backend import Arb, flint, hull, size
from dynloop.orbits.certificates.enclosure import BallMap
from dynloop.orbits.certificates.trace import UndecidedError

__all__ = ["Contraction", "Cycle", "krawczyk", "newton"]

Rows = list[list[Arb]]  # p points of n coordinates


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Cycle:
    """Exact points near a cycle, and what the test needs there.

    Attributes
    ----------
    points : list of lists of arb, (p, n)
        c, of radius 0.
    residual : arb_mat, (p·n, 1)
        Holds Y·G(c).
    inverse : list of arb_mat, p of (p·n, n)
        The columns of Y that belong to each equation.
    """

    points: Rows
    residual: Any
    inverse: list[Any]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Contraction:
    """A box on which the test succeeded.

    Attributes
    ----------
    radius : float
        R: there is exactly one cycle within c ± R.
    bounds : list of arb, p·n
        It lies within c ± bounds.
    rate : float
        Largest row sum of |I − Y·DG| over the box, below 1.
    slopes : list of (n, n) lists of arb
        Hold the derivatives of F over the boxes of the p points.
    kink : bool
        Whether some slope is no derivative.
    """

    radius: float
    bounds: list[Arb]
    rate: float
    slopes: list[Rows]
    kink: bool


def equations(B: BallMap, points: Rows) -> tuple[list[Arb], list[Rows]]:
    """Return G at exact points, p·n numbers, and the derivatives of F there."""
    values, slopes = [], []
    for i, point in enumerate(points):
        image = B(point)
        slopes.append(image.slopes or [])
        after = points[(i + 1) % len(points)]
        for j, value in enumerate(image.values):
            gap, one = B.gap(value, after[j], j)
            if not one:
                raise UndecidedError("a residual is longer than a turn")
            values.append(gap)
    return values, slopes


def newton(B: BallMap, points: Rows, steps: int = 12) -> Cycle:
    """Improve exact points by Newton's method in the working precision.

    Raises
    ------
    UndecidedError
        If a branch is undecided at a point.
    ZeroDivisionError
        If the derivative is singular.
    """
    n, p = B.dimension, len(points)
    best = None
    for _ in range(steps):
        values, slopes = equations(B, points)
        inverse = _matrix(slopes, n).mid().inv().mid()
        residual = inverse * flint.arb_mat(p * n, 1, values)
        length = max(size(residual[i, 0]) for i in range(p * n))
        if best is not None and not length < 0.5 * best[0]:
            break
        columns = [_columns(inverse, n, i) for i in range(p)]
        best = (length, Cycle(points=points, residual=residual, inverse=columns))
        points = [[(x - residual[i * n + j, 0]).mid() for j, x in enumerate(row)] for i, row in enumerate(points)]
    if best is None:
        raise UndecidedError("no step of Newton's method was taken")
    return best[1]


def krawczyk(B: BallMap, cycle: Cycle, radius: float) -> Contraction | str:
    """Test the box of a radius about a cycle; return why if the test fails.

    In angles a zero of G is one up to whole turns. The box must be so small that one number of turns alone can do.
    """
    n, p = B.dimension, len(cycle.points)
    around = hull(-radius, radius)
    if any(not 2 * around < period.v for period in B.periods if period is not None):
        return "the box is half a turn wide"
    boxes = [[x + around for x in point] for point in cycle.points]
    slopes, kink = [], False
    for i, box in enumerate(boxes):
        try:
            image = B(box)
        except UndecidedError as error:
            return str(error)
        if not all(B.gap(a, b, j)[1] for j, (a, b) in enumerate(zip(image.values, boxes[(i + 1) % p], strict=True))):
            return "the image of the box is a turn wide"
        slopes.append(image.slopes or [])
        kink |= image.kink
    sums = [flint.arb(0)] * (p * n)
    for j in range(p):
        block = cycle.inverse[j] * flint.arb_mat(slopes[j]) - cycle.inverse[(j - 1) % p]
        for i in range(p * n):
            for k in range(n):
                entry = block[i, k] - 1 if i == j * n + k else block[i, k]
                sums[i] += entry.abs_upper()
    bounds = [cycle.residual[i, 0].abs_upper() + sums[i] * flint.arb(radius) for i in range(p * n)]
    if not all(bool(bound < radius) for bound in bounds):
        return "DF^p − I is nearly singular (a fold, or a point that is not isolated), or the map has a kink there"
    rate = max(size(total) for total in sums)
    return Contraction(radius=radius, bounds=bounds, rate=rate, slopes=slopes, kink=kink)


def _matrix(slopes: list[Rows], n: int) -> Any:
    """Return DG, of blocks DF(x_i) on the diagonal and −1 beside it, cyclically."""
    p = len(slopes)
    A = flint.arb_mat(p * n, p * n)
    for i, J in enumerate(slopes):
        for a in range(n):
            for b in range(n):
                A[i * n + a, i * n + b] += J[a][b]
            A[i * n + a, (i + 1) % p * n + a] -= 1
    return A


def _columns(A: Any, n: int, i: int) -> Any:
    return flint.arb_mat([[A[row, i * n + k] for k in range(n)] for row in range(A.nrows())])
