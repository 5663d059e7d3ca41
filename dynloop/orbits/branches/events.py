"""Bifurcations on a piece of a branch: pieces are halved until each holds at most one, which is then located."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynloop.orbits.branches.locate import Located, locate
from dynloop.orbits.branches.place import Place
from dynloop.orbits.branches.segment import Segment

__all__ = ["Unexplained", "events"]

_DEPTH = 26  # halvings, down to 1e-8 of a step
_SPLITS = (0.5, 0.43, 0.61)  # where a piece may be cut


@dataclass(frozen=True, slots=True, eq=False)
class Unexplained:
    """A change of the number of unstable multipliers, or of a sign, behind which no bifurcation was found."""

    left: Place
    right: Place


def events(segment: Segment) -> tuple[list[Located], list[Unexplained]]:
    """Return the bifurcations of a segment in their order, and the changes that are not explained by them."""
    found: list[Located] = []
    lost: list[Unexplained] = []
    _search(segment, 0.0, segment.length, segment.left, segment.right, 0, found, lost)
    return found, lost


def changes(a: Place, b: Place) -> list[str]:
    """Return the kinds of bifurcations that must lie between two places, one each at most, by the signs there."""
    fold = a.turn * b.turn < 0
    plus = a.plus * b.plus < 0
    kinds = ["flip"] if a.flip * b.flip < 0 else []
    if fold and not plus and a.plus and b.plus:
        kinds.append("touch")  # the branch turns back at a branch point
    elif fold:
        kinds.append("fold")
    elif plus:
        kinds.append("branch")
    rest = abs(b.unstable - a.unstable) - sum(kind != "touch" for kind in kinds)
    if rest > a.marginal + b.marginal:
        kinds.append("neimark-sacker" if rest == 2 and not kinds else "several")
    return kinds


def _search(
    segment: Segment, s: float, t: float, a: Place, b: Place, depth: int,
    found: list[Located], lost: list[Unexplained],
) -> None:  # fmt: skip
    if not (a.known and b.known):
        if a.unstable != b.unstable or a.known != b.known:
            lost.append(Unexplained(a, b))
        return
    kinds = changes(a, b)
    if not kinds:
        return
    if len(kinds) == 1 and kinds[0] != "several":
        located = locate(segment, kinds[0], s, t, a, b)
        if located is not None:
            found.append(located)
            return
    if depth >= _DEPTH:
        lost.append(Unexplained(a, b))
        return
    for split in _SPLITS:
        middle = s + split * (t - s)
        place = segment.place(middle)
        if place is not None and np.isfinite(place.multipliers.values).all() and not place.marginal:
            break
    else:
        lost.append(Unexplained(a, b))
        return
    _search(segment, s, middle, a, place, depth + 1, found, lost)
    _search(segment, middle, t, place, b, depth + 1, found, lost)
