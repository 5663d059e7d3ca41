"""The exponent of a share that falls as a power of a size: a straight line through logarithms, with its error."""

from __future__ import annotations

import numpy as np

from dynloop.maps.base import Array

__all__ = ["jackknifed_slope", "local_slopes", "slope", "weighted_slope"]


def slope(sizes: Array, shares: Array) -> Array:
    """Return the least-squares slope of log share against log size, over the last axis of `shares`; nan at a 0."""
    x = np.log(sizes)
    x = x - x.mean()
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.where(shares > 0, np.log(shares), np.nan)
    return np.asarray((y * x).sum(axis=-1) / (x**2).sum())


def local_slopes(sizes: Array, shares: Array) -> Array:
    """Return the slope between neighbouring sizes; nan where a share is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.where(shares > 0, np.log(shares), np.nan)
    return np.asarray(np.diff(y) / np.diff(np.log(sizes)))


def jackknifed_slope(sizes: Array, counts: Array, totals: Array) -> tuple[float, float]:
    """Return the slope of summed counts over summed totals, ``(pieces, sizes)`` each, and its delete-one error."""
    n = len(counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = float(slope(sizes, counts.sum(axis=0) / totals.sum(axis=0)))
        if n < 2:
            return whole, float("nan")
        left = slope(sizes, (counts.sum(axis=0) - counts) / (totals.sum(axis=0) - totals))
    return whole, float(np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum()))


def weighted_slope(sizes: Array, counts: Array, totals: Array) -> tuple[float, float]:
    """Return the slope of counts out of so many independent draws for every size, and its standard error.

    Weights are the reciprocal binomial variances of the logarithms; where the points scatter more than these allow,
    the error is raised in proportion. Sizes without a count are left out; nan if fewer than two are left.
    """
    use = counts > 0
    if use.sum() < 2:
        return float("nan"), float("nan")
    x, n = np.log(sizes[use]), totals[use]
    p = (counts[use] + 0.5) / (n + 1)
    w = n * p / (1 - p)
    y = np.log(counts[use] / n)
    mean = (w * x).sum() / w.sum()
    sxx = (w * (x - mean) ** 2).sum()
    b = (w * (x - mean) * y).sum() / sxx
    rest = y - (w * y).sum() / w.sum() - b * (x - mean)
    free = int(use.sum()) - 2
    scatter = (w * rest**2).sum() / free if free else 1.0
    return float(b), float(np.sqrt(max(1.0, scatter) / sxx))
