"""Shares of independent draws: Wilson's interval, a standard error that is never 0, and when enough were drawn."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.special import ndtri

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array

__all__ = ["checked_confidence", "looks", "standard_error", "wilson"]

_FIRST, _GROWTH = 128, 1.25


def checked_confidence(confidence: float) -> float:
    """Return the confidence of an interval if it is one."""
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0.5 <= confidence < 1:
        raise InvalidArgumentError(f"confidence must be a number from 0.5 to below 1; got {confidence!r}")
    return float(confidence)


def wilson(counts: Array, n: int, confidence: float) -> Array:
    """Return Wilson's score interval of every share ``counts / n``: ``(k, 2)``.

    E. B. Wilson, J. Am. Stat. Assoc. 22 (1927) 209.
    """
    z, p = float(ndtri(0.5 + confidence / 2)), np.asarray(counts) / n
    middle, width = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = np.stack([middle - width, middle + width], axis=-1) / (1 + z * z / n)
    found[..., 0] = np.where(counts == 0, 0.0, found[..., 0])
    found[..., 1] = np.where(counts == n, 1.0, found[..., 1])
    return np.asarray(np.clip(found, 0.0, 1.0))


def standard_error(counts: Array, n: int) -> Array:
    """Return √(p(1 − p)/n) of every share; where none or all were counted, 1/(n + 1) in place of 0.

    That is the standard deviation of a share of which a uniform prior was left after n equal draws, to first order.
    """
    p = np.asarray(counts) / n
    return np.where((counts == 0) | (counts == n), 1.0 / (n + 1), np.sqrt(p * (1 - p) / n))


def looks(budget: int) -> Iterator[int]:
    """Yield the sizes of a sample after which it is asked whether it is large enough, up to the budget.

    They do not depend on what was drawn. With these, stopping when the half-width of a 95 % interval is small enough
    leaves a coverage of 93.6 % or more, 95 % in the mean (computed exactly in the tests).
    """
    n = _FIRST
    while n < budget:
        yield n
        n = math.ceil(n * _GROWTH)
    yield budget
