"""A proof that a cycle exists: where, unique how far, of which least period, and how stable."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.certificates.backend import Arb, above, flint, hull, nearest, size, workprec
from dynloop.orbits.certificates.enclosure import BallMap
from dynloop.orbits.certificates.multipliers import Enclosed, enclosed_multipliers
from dynloop.orbits.certificates.shooting import Contraction, Cycle, krawczyk, newton
from dynloop.orbits.certificates.trace import UndecidedError

__all__ = ["NoProof", "Proof", "prove"]

_NEAR = 1e-4  # how far a point may be from the solution it is given for, in units of max(1, |x|)
_COARSE = 80  # bits for the search of the largest box
_LARGEST = 2.0**20  # largest box tried, in units of max(1, |x|)


class NoProof(Exception):  # noqa: N818 - an outcome
    """There is no proof; the text says why."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Proof:
    """What was proved of a cycle.

    Attributes
    ----------
    center : ndarray, (p, n)
        Doubles.
    existence, uniqueness : float
        In the maximum norm over all coordinates of all points: exactly one cycle lies within `uniqueness` of `center`,
        and it lies within `existence`.
    boxes : list of lists of arb, (p, n)
        Hold its points, tightly.
    rate : float
        Largest row sum of |I − Y·DG| over the box of uniqueness.
    least_period : int or None
        The least period, if it was proved.
    multipliers : Enclosed or None
        None where there is a kink.
    """

    center: Array
    existence: float
    uniqueness: float
    boxes: list[list[Arb]]
    rate: float
    least_period: int | None
    multipliers: Enclosed | None


def prove(B: BallMap, points: Array, bits: int) -> Proof:
    """Prove that a cycle lies near given points.

    Parameters
    ----------
    B : BallMap
        The map on balls.
    points : ndarray, (p, n)
        Where.
    bits : int
        Working precision.

    Raises
    ------
    NoProof
        With the reason.
    """
    with workprec(bits):
        given = [[flint.arb(float(x)) for x in row] for row in points]
        try:
            cycle = newton(B, given)
            trouble = "; ".join(filter(None, (B.check_periods(point) for point in cycle.points)))
        except UndecidedError as error:
            raise NoProof(f"at the point itself the map is not smooth, or not defined: {error}") from None
        except ZeroDivisionError:
            raise NoProof("DF^p − I is singular there: a fold, or a fixed point that is not isolated") from None
        if trouble:
            raise NoProof(trouble)
        _refuse_far(points, cycle)
        scale = max(1.0, float(np.abs(points).max()))
        tight = _smallest(B, cycle, scale, bits)
        boxes = _boxes(cycle, tight)
    wide = _largest(B, cycle, tight, scale)
    with workprec(bits):
        center = np.array([[nearest(x) for x in row] for row in cycle.points])
        existence = max(
            size(x - float(c)) for row, at in zip(boxes, center, strict=True) for x, c in zip(row, at, strict=True)
        )
        offset = max(
            size(x - float(c))
            for row, at in zip(cycle.points, center, strict=True)
            for x, c in zip(row, at, strict=True)
        )
        uniqueness = math.nextafter(wide.radius - offset, 0)
        return Proof(
            center=center, existence=existence, uniqueness=max(uniqueness, 0.0), boxes=boxes, rate=wide.rate,
            least_period=_least_period(B, boxes, cycle, wide.radius),
            multipliers=None if tight.kink else enclosed_multipliers(tight.slopes),
        )  # fmt: skip


def _refuse_far(points: Array, cycle: Cycle) -> None:
    for row, found in zip(points, cycle.points, strict=True):
        for x, y in zip(row, found, strict=True):
            moved = abs(nearest(y) - float(x))
            if not moved <= _NEAR * max(1.0, abs(float(x))):
                at = ", ".join(f"{nearest(y):.10g}" for y in cycle.points[0])
                raise NoProof(
                    f"the point is no solution: Newton's method leaves it by {moved:.2g}, to ({at}). Pass a point that "
                    "a solver returned"
                )


def _smallest(B: BallMap, cycle: Cycle, scale: float, bits: int) -> Contraction:
    """Return the smallest box that is easily proved."""
    length = max(size(cycle.residual[i, 0]) for i in range(cycle.residual.nrows()))
    radius = 2 * length + scale * 2.0 ** (20 - bits)
    why = ""
    while radius <= scale:
        found = krawczyk(B, cycle, radius)
        if isinstance(found, Contraction):
            return found
        why = why or found
        radius *= 8
    raise NoProof(f"no box about the point passes Krawczyk's test: {why or 'DF^p − I is nearly singular'}")


def _boxes(cycle: Cycle, tight: Contraction) -> list[list[Arb]]:
    n = len(cycle.points[0])
    return [
        [x + hull(-above(tight.bounds[i * n + j]), above(tight.bounds[i * n + j])) for j, x in enumerate(row)]
        for i, row in enumerate(cycle.points)
    ]


def _largest(B: BallMap, cycle: Cycle, tight: Contraction, scale: float) -> Contraction:
    """Return the largest box that inflation finds."""
    best, failed = tight, math.inf
    with workprec(_COARSE):
        radius = scale * 2.0**-24
        while tight.radius < radius <= scale * _LARGEST:
            found = krawczyk(B, cycle, radius)
            if isinstance(found, str):
                failed = radius
                if best.radius < radius and best is not tight:
                    break
                radius /= 16
            else:
                best = found
                if radius * 4 >= failed:
                    break
                radius *= 4
        for _ in range(6):
            if not math.isfinite(failed) or failed < 1.1 * best.radius or best is tight:
                break
            middle = math.sqrt(failed * best.radius)
            found = krawczyk(B, cycle, middle)
            best, failed = (best, middle) if isinstance(found, str) else (found, failed)
    return best


def _least_period(B: BallMap, boxes: list[list[Arb]], cycle: Cycle, radius: float) -> int | None:
    """Return the least period of the one cycle in the boxes; None if it is not proved.

    Points x_1 and x_{1+d} are different if their boxes are disjoint. They are one if the cycle, begun d points later,
    lies in the box of uniqueness too.
    """
    p = len(boxes)
    for d in (d for d in range(1, p) if p % d == 0):
        gaps = [
            [B.gap(a, b, j) for j, (a, b) in enumerate(zip(boxes[(i + d) % p], cycle.points[i], strict=True))]
            for i in range(p)
        ]
        first = [B.gap(a, b, j) for j, (a, b) in enumerate(zip(boxes[d], boxes[0], strict=True))]
        if any(one and not gap.contains(0) for gap, one in first):
            continue
        if all(one and bool(abs(gap) < radius) for row in gaps for gap, one in row):
            return d
        return None
    return p
