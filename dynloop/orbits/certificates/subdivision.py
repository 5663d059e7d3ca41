"""All zeros of F^p(x) − x in a box: boxes are emptied by exclusion, shrunk by Krawczyk's operator, or split.

Nothing is thrown away without proof: a box is empty if F^p(X) − X, or its mean-value form, or K(X) ∩ X, shows it to be.
A zero on the face between two boxes is found because the operator is tested on a box that reaches beyond both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.certificates.backend import Arb, above, below, flint, hull, size, the_integer, workprec
from dynloop.orbits.certificates.enclosure import BallMap, Image
from dynloop.orbits.certificates.trace import UndecidedError

__all__ = ["Search", "search"]

_BITS = 64
_CUT = 127 / 256  # where a side is cut: not in the middle, where zeros like to lie
_INFLATED = 1.25
_WORTH = 0.7  # share of the widest side, below which a shrunk box is looked at again uncut
_REPORT = 256  # boxes between two reports

Box = Array  # (n, 2) doubles, low and high


@dataclass(slots=True, eq=False)
class Search:
    """What a search has found.

    Attributes
    ----------
    unique : list of ndarray, (n, 2)
        Boxes that hold exactly one zero each; they may reach beyond the box that was searched.
    undecided : list of ndarray, (n, 2)
        What is left: every zero that is not in a box of `unique` is in one of these.
    examined : int
        Boxes looked at.
    out_of_budget : bool
        Whether boxes were left when the budget ran out.
    """

    unique: list[Box] = field(default_factory=list)
    undecided: list[Box] = field(default_factory=list)
    examined: int = 0
    out_of_budget: bool = False


def search(
    B: BallMap,
    box: Box,
    period: int,
    *,
    resolution: float,
    budget: int,
    progress: Callable[[int, int, int], None] | None,
) -> Search:
    """Search a box for all zeros of F^p(x) − x.

    Parameters
    ----------
    B : BallMap
        The map on balls.
    box : ndarray, (n, 2)
        Where.
    period : int
        p.
    resolution : float
        Boxes whose sides are below this share of those of `box` are left undecided.
    budget : int
        Boxes looked at, at most.
    progress : callable, optional
        ``progress(examined, waiting, found)``.
    """
    found = Search()
    smallest = resolution * (box[:, 1] - box[:, 0])
    waiting = deque([box])
    with workprec(_BITS):
        while waiting:
            if found.examined >= budget:
                found.out_of_budget = True
                break
            X = waiting.popleft()
            found.examined += 1
            if progress is not None and found.examined % _REPORT == 0:
                progress(found.examined, len(waiting), len(found.unique))
            if any(_contains(U, X) for U in found.unique):
                continue
            unique, left = _examined(B, X, period)
            if unique is not None and not any(_contains(U, unique) for U in found.unique):
                found.unique.append(unique)
            if left is None:
                continue
            sides, before = left[:, 1] - left[:, 0], X[:, 1] - X[:, 0]
            if (before <= smallest).all():
                found.undecided.append(left)
            elif (sides <= smallest).all() or sides.max() <= _WORTH * before.max():
                waiting.append(left)
            else:
                waiting.extend(_halves(left, smallest))
    found.undecided.extend(waiting)
    if progress is not None:
        progress(found.examined, len(waiting), len(found.unique))
    return found


def _contains(outer: Box, inner: Box) -> bool:
    return bool((outer[:, 0] <= inner[:, 0]).all() and (inner[:, 1] <= outer[:, 1]).all())


def _halves(X: Box, smallest: Array) -> list[Box]:
    widths = X[:, 1] - X[:, 0]
    i = int(np.argmax(widths / np.where(smallest > 0, smallest, 1.0)))
    cut = X[i, 0] + _CUT * widths[i]
    if not X[i, 0] < cut < X[i, 1]:
        cut = X[i, 1]  # two neighbouring doubles
    first, second = X.copy(), X.copy()
    first[i, 1] = second[i, 0] = cut
    return [first, second]


def _examined(B: BallMap, X: Box, p: int) -> tuple[Box | None, Box | None]:
    """Look at a box: return a box with exactly one zero, if one was proved, and what is left of X, if anything is."""
    balls = [hull(low, high) for low, high in X]
    try:
        K, rate = _operator(B, balls, p)
    except UndecidedError:
        return None, X
    if K is None:
        return None, None
    left = np.array([[max(low, below(k)), min(high, above(k))] for (low, high), k in zip(X, K, strict=True)])
    if (left[:, 0] > left[:, 1]).any():
        return None, None
    if rate < 1:
        unique = proved_box(B, np.array([[below(k), above(k)] for k in K]), p, 1e-2 * (X[:, 1] - X[:, 0]))
        if unique is not None:
            return unique, None
    return None, left


def proved_box(B: BallMap, X: Box, p: int, margin: Array) -> Box | None:
    """Inflate a box, and return it if it holds exactly one zero; None if that is not proved."""
    middle, radius = X.mean(axis=1), (X[:, 1] - X[:, 0]) / 2
    radius = _INFLATED * radius + margin + 8 * np.spacing(np.abs(middle))
    wide = np.stack([middle - radius, middle + radius], axis=1)
    balls = [hull(low, high) for low, high in wide]
    try:
        K, _ = _operator(B, balls, p)
    except UndecidedError:
        return None
    if K is None or not all(low < below(k) and above(k) < high for (low, high), k in zip(wide, K, strict=True)):
        return None
    return wide


def _gaps(B: BallMap, image: Image, balls: list[Arb]) -> list[tuple[Arb, int | None, bool]]:
    """Return F^p(X) − X, the number of turns that may bring each coordinate to 0, and whether there is but one."""
    gaps = []
    for period, value, ball in zip(B.periods, image.values, balls, strict=True):
        difference = value - ball
        if period is None:
            gaps.append((difference, 0 if difference.contains(0) else None, True))
        else:
            one, turns = the_integer(difference / period.v)
            gaps.append((difference, turns, one))
    return gaps


def _empty(gaps: list[tuple[Arb, int | None, bool]]) -> bool:
    return any(one and turns is None for _, turns, one in gaps)


def _operator(B: BallMap, balls: list[Arb], p: int) -> tuple[list[Arb] | None, float]:
    """Return Krawczyk's K(X) and the largest row sum of |I − Y·(DF^p − I)|; None where X is shown to be empty."""
    n = B.dimension
    middle = [flint.arb(float(ball.mid())) for ball in balls]
    image, moved_middle = B.centred(balls, middle, p)
    gaps = _gaps(B, image, balls)
    if _empty(gaps):
        return None, 0.0
    if not all(one for _, _, one in gaps):
        raise UndecidedError("the image of the box is a turn wide")
    at_middle = _lifted(B, moved_middle, middle, gaps)
    A = flint.arb_mat(image.slopes)
    for i in range(n):
        A[i, i] -= 1
    around = flint.arb_mat(n, 1, [ball - c for ball, c in zip(balls, middle, strict=True)])
    mean = A * around
    if any(not (at_middle[i] + mean[i, 0]).contains(0) for i in range(n)):
        return None, 0.0
    Y = _inverse(A)
    rest = _identity(n) - Y * A
    moved = Y * flint.arb_mat(n, 1, at_middle)
    shaken = rest * around
    rate = max(size(sum((rest[i, j].abs_upper() for j in range(n)), flint.arb(0))) for i in range(n))
    return [middle[i] - moved[i, 0] + shaken[i, 0] for i in range(n)], rate


def _lifted(B: BallMap, moved: list[Arb], middle: list[Arb], gaps: list[tuple[Arb, int | None, bool]]) -> list[Arb]:
    """Return F^p(c) − c on the same sheet of the circle as F^p(X) − X, less the turns that are to bring it to 0."""
    values = []
    for period, value, c, (gap, turns, _) in zip(B.periods, moved, middle, gaps, strict=True):
        difference = value - c
        if period is not None:
            one, sheet = the_integer((gap - difference) / period.v)
            if not one or sheet is None:
                raise UndecidedError("the sheet of an angle is not decided")
            difference = difference + period.v * (sheet - (turns or 0))
        values.append(difference)
    return values


def _inverse(A: Any) -> Any:
    n = A.nrows()
    middle = np.array([[float(A[i, j].mid()) for j in range(n)] for i in range(n)])
    try:
        inverse = np.linalg.inv(middle)
    except np.linalg.LinAlgError:
        inverse = np.full((n, n), np.nan)
    if not np.isfinite(inverse).all():
        raise UndecidedError("DF^p − I is singular in the middle of the box")
    return flint.arb_mat(inverse.tolist())


def _identity(n: int) -> Any:
    return flint.arb_mat([[int(i == j) for j in range(n)] for i in range(n)])
