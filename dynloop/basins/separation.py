"""Thin directions of sets that are no cycles: lines along which two samples lie clear, and the box of one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynloop.maps.base import Array, LoopMap

__all__ = ["Box", "box_of", "clear", "lines_between", "straight"]

_FULL = 256  # coordinates up to which covariances are taken
_RIDGE = 1e-8  # of the mean variance
_STAYS = 0.8  # share of the distance of two medians that is left a half of the samples later, of sets that are two
_ROUNDING = 32.0  # units of roundoff, relative to the states, by which a set is wider than its sample
_PART = 1e-3  # of a push, within which what was pushed is back in a direction in which the set has no width


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """Bounds along lines, within which the states of a set lie.

    Attributes
    ----------
    lines : ndarray, (lines, n)
        Unit vectors, not orthogonal; they leave angles out.
    low, high : ndarray, (lines,)
        Bounds of ⟨line, state⟩.
    """

    lines: Array
    low: Array
    high: Array

    def holds(self, states: Array) -> Array:
        """Say which flat states ``(…, n)`` lie within all bounds."""
        along = states @ self.lines.T
        return np.asarray(((along >= self.low) & (along <= self.high)).all(axis=-1))


def straight(m: LoopMap) -> Array:
    """Return which coordinates of a flat state are no angles, ``(n,)``."""
    return np.ones(m.dimension, dtype=bool) if m.periods is None else ~np.isfinite(m.periods.reshape(-1))


def box_of(m: LoopMap, points: Array, lines: Array, push: float) -> Box:
    """Return the box of a set: the bounds of a sample, and half its width more.

    At least a thousandth of a push more, since orbits come back in infinite time, and what rounding asks for.
    """
    lines = lines * straight(m)
    lengths = np.linalg.norm(lines, axis=1)
    lines = lines[lengths > 1e-9] / lengths[lengths > 1e-9, None]
    along = points @ lines.T
    low, high = along.min(axis=0), along.max(axis=0)
    more = np.maximum((high - low) / 2, max(_PART * push, _rounding(m, points)))
    return Box(lines, low - more, high + more)


def clear(m: LoopMap, points: Array, others: Array) -> bool:
    """Say whether the ranges of two samples are disjoint along a line, and stay so.

    In many coordinates the states of one sample are as far from each other as from another set beside it; where that is
    thin, a line tells the two apart. Tried are the coordinates, and `lines_between` of the first halves. Two samples of
    one set to which orbits still come in that direction approach each other, and are not clear. Angles are left out,
    and sets that only a bent surface parts are not seen.
    """
    kept = straight(m)
    a, b = points[:, kept], others[:, kept]
    if not a.shape[1]:
        return False
    least = max(_rounding(m, points), _rounding(m, others))
    lines = lines_between(a[: len(a) // 2], b[: len(b) // 2])
    return _disjoint(a, b, least) or _disjoint(a @ lines.T, b @ lines.T, least)


def _disjoint(a: Array, b: Array, least: float) -> bool:
    """Say whether the ranges of two samples ``(states, lines)`` are disjoint along a line, and do not approach."""
    between = np.maximum(b.min(axis=0) - a.max(axis=0), a.min(axis=0) - b.max(axis=0))
    which = np.flatnonzero(between > least)
    if not len(which):
        return False
    a, b = a[:, which], b[:, which]
    before, after = (
        np.abs(np.median(p, axis=0) - np.median(q, axis=0))
        for p, q in ((a[: len(a) // 2], b[: len(b) // 2]), (a[len(a) // 2 :], b[len(b) // 2 :]))
    )
    return bool((after >= _STAYS * before).any())


def lines_between(points: Array, others: Array) -> Array:
    """Return unit vectors along which two samples may be parted, ``(lines, n)``.

    The line between their means, also in units of the variances; up to 256 coordinates that of Fisher's discriminant
    and the principal directions of the covariances within the samples.
    """
    means, n = points.mean(axis=0) - others.mean(axis=0), points.shape[1]
    a, b = points - points.mean(axis=0), others - others.mean(axis=0)
    variance = (np.square(a).mean(axis=0) + np.square(b).mean(axis=0)) / 2
    ridge = _RIDGE * float(variance.mean()) + 1e-300
    found = [means[None], (means / (variance + ridge))[None]]
    if n <= _FULL:
        values, vectors = np.linalg.eigh((a.T @ a / len(a) + b.T @ b / len(b)) / 2)
        found += [(vectors @ ((means @ vectors) / (np.maximum(values, 0) + ridge)))[None], vectors.T]
    lines = np.concatenate(found)
    lengths = np.linalg.norm(lines, axis=1)
    return np.asarray(lines[lengths > 0] / lengths[lengths > 0, None])


def _rounding(m: LoopMap, points: Array) -> float:
    return _ROUNDING * m.precision * float(np.abs(points).max(initial=0.0))
