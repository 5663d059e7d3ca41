"""From boxes that hold one zero of F^p(x) − x each to a list of cycles, each once, in the box or not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.kernel import KernelMap
from dynloop.orbits.certificates.backend import Arb, above, below, flint, workprec
from dynloop.orbits.certificates.enclosure import BallMap
from dynloop.orbits.certificates.proof import NoProof, Proof, prove
from dynloop.orbits.certificates.trace import UndecidedError

__all__ = ["Row", "census"]

_NEWTON = 30  # steps at most


@dataclass(slots=True, eq=False)
class Row:
    """A proved cycle, and whether its first point is proved to lie in the box that was searched."""

    proof: Proof
    inside: bool


def census(
    B: BallMap, m: KernelMap, box: Array, p: int, unique: list[Array], bits: int
) -> tuple[list[Row], list[Array]]:
    """Return the cycles of least period p with a point in a box, and boxes that could not be told apart.

    Parameters
    ----------
    B, m : BallMap, KernelMap
        The map, on balls and on floats.
    box : ndarray, (n, 2)
        What was searched.
    p : int
        The period.
    unique : list of ndarray, (n, 2)
        Boxes with exactly one zero each.
    bits : int
        Working precision.
    """
    rows: list[Row] = []
    doubtful: list[Array] = []
    for wide in unique:
        try:
            proof = prove(B, _cycle(m, _narrowed(B, wide, p), p), bits)
        except NoProof:
            doubtful.append(wide)
            continue
        with workprec(bits):
            first = proof.boxes[0]
            if proof.least_period is None or not _within(first, wide):
                doubtful.append(wide)
                continue
            place = _place(B, first, box, p)
            if proof.least_period != p or place is None:
                continue
            same = [_same_cycle(B, proof, row.proof) for row in rows]
        if any(answer is None for answer in same):
            doubtful.append(wide)
        elif True in same:
            row = rows[same.index(True)]
            if place and not row.inside:
                row.proof, row.inside = proof, True
        else:
            rows.append(Row(proof, place))
    return rows, doubtful


def _narrowed(B: BallMap, box: Array, p: int) -> Array:
    """Return a point near the one zero in a box, by Newton's method; the middle where that leaves the box."""
    middle = box.mean(axis=1)
    x: Array = middle
    best = np.inf
    with workprec(64):
        for _ in range(_NEWTON):
            try:
                image = B.iterated([flint.arb(float(c)) for c in x], p)
                gaps = [
                    B.gap(v, flint.arb(float(c)), i)[0] for i, (v, c) in enumerate(zip(image.values, x, strict=True))
                ]
                A = np.array([[float(s.mid()) for s in row] for row in image.slopes or ()]) - np.eye(len(x))
                step = np.linalg.solve(A, [float(gap.mid()) for gap in gaps])
            except (UndecidedError, np.linalg.LinAlgError):
                break
            length = float(np.abs(step).max())
            if not length < 0.7 * best:
                break
            x, best = x - step, length
    return x if ((box[:, 0] <= x) & (x <= box[:, 1])).all() else middle


def _cycle(m: KernelMap, x: Array, p: int) -> Array:
    points = [x]
    with np.errstate(all="ignore"):
        for _ in range(p - 1):
            points.append(m(points[-1][None])[0])
    return np.stack(points)


def _within(balls: list[Arb], box: Array) -> bool:
    return all(low <= below(ball) and above(ball) <= high for ball, (low, high) in zip(balls, box, strict=True))


def _place(B: BallMap, balls: list[Arb], box: Array, p: int) -> bool | None:
    """Say whether a point is in a closed box: True, False where it is on the border within its ball, None if not."""
    if _within(balls, box):
        return True
    if any(above(ball) < low or below(ball) > high for ball, (low, high) in zip(balls, box, strict=True)):
        return None
    candidate = []
    for ball, (low, high) in zip(balls, box, strict=True):
        ends = [float(end) for end in (low, high) if ball.contains(float(end))]
        candidate.append(flint.arb(ends[0] if ends else float(ball.mid())))
    if not all(ball.contains(x) for ball, x in zip(balls, candidate, strict=True)):
        return False
    try:
        image = B.iterated(candidate, p, slopes=False)
    except UndecidedError:
        return False
    gaps = [B.gap(v, x, i)[0] for i, (v, x) in enumerate(zip(image.values, candidate, strict=True))]
    return all(gap.is_zero() for gap in gaps)


def _same_cycle(B: BallMap, one: Proof, other: Proof) -> bool | None:
    """Say whether two proved cycles are one, begun at different points; None if it cannot be told."""
    p = len(one.boxes)
    for shift in range(p):
        turned = one.boxes[shift:] + one.boxes[:shift]
        apart = [
            [B.gap(ball, flint.arb(float(c)), j) for j, (ball, c) in enumerate(zip(row, at, strict=True))]
            for row, at in zip(turned, other.center, strict=True)
        ]
        if all(single and bool(abs(gap) < other.uniqueness) for row in apart for gap, single in row):
            return True
    for shift in range(p):
        first = [B.gap(a, b, j) for j, (a, b) in enumerate(zip(one.boxes[shift], other.boxes[0], strict=True))]
        if not any(single and not gap.contains(0) for gap, single in first):
            return None
    return False
