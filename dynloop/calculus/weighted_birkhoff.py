"""Weighted Birkhoff averages: means over time that converge faster than any power on quasi-periodic motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.arguments import checked_numbers
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array
from dynloop.result import Result

__all__ = ["BirkhoffAverage", "weighted_birkhoff"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class BirkhoffAverage(Result):
    """A weighted average over time.

    Attributes
    ----------
    value : ndarray, (…)
        The average.
    error : ndarray, (…)
        How far the averages over the two halves are apart. On a quasi-periodic orbit it is far larger than the error of
        `value`, on a chaotic one about the standard error.
    digits : ndarray, (…)
        −log10(error / spread of the series): they grow with the window on regular motion, not on chaotic; infinite
        where the series is constant.
    loops : int
        Length of the series.

    Examples
    --------
    >>> import dynloop as dl, numpy as np
    >>> found = dl.weighted_birkhoff(np.cos(np.arange(2000)) ** 2)
    >>> round(float(found.value), 9), found.loops
    (0.5, 2000)
    """

    value: Array
    error: Array
    digits: Array
    loops: int


def weighted_birkhoff(series: Any) -> BirkhoffAverage:
    """Average a series over axis 0 with weights exp(−1 / (s (1 − s))) at the times s = t / loops.

    Parameters
    ----------
    series : array, (loops, …)
        One value a loop; the transient dropped. At least 8 of them.

    Returns
    -------
    BirkhoffAverage
        The average, with an error.

    Raises
    ------
    ShapeError
        If there are fewer than 8 loops.
    InvalidArgumentError
        If the series is not finite, or not of real numbers.

    Notes
    -----
    Das, Saiki, Sander and Yorke, Nonlinearity 30 (2017) 4111. On a chaotic orbit the weights gain nothing: the standard
    error is some 1.5 times that of the plain mean. The weights forget a transient at either end.

    Examples
    --------
    >>> import numpy as np
    >>> from dynloop import weighted_birkhoff
    >>> found = weighted_birkhoff(np.sin(np.sqrt(2) * np.arange(2000)))
    >>> bool(abs(found.value) < 1e-12), bool(found.digits > 8)
    (True, True)
    """
    values = checked_numbers(series, "series")
    if values.ndim == 0 or len(values) < 8:
        raise ShapeError(
            f"series must have shape (loops, …) with 8 loops at least; got {values.shape}. Record more loops"
        )
    if not np.isfinite(values).all():
        raise InvalidArgumentError("series holds NaN or infinity; cut it off where the orbit was lost")
    half = len(values) // 2
    origin = values[-1]
    value, first, second = (_average(part - origin) for part in (values, values[:half], values[-half:]))
    error, spread = np.abs(first - second), np.ptp(values, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = np.where(spread > 0, -np.log10(error / spread), np.inf)
    return BirkhoffAverage(value=np.asarray(value + origin), error=error, digits=digits, loops=len(values))


def _average(values: Array) -> Array:
    s = np.arange(1, len(values) + 1) / (len(values) + 1)
    weights = np.exp(-1 / (s * (1 - s)))
    return np.asarray(np.tensordot(weights / weights.sum(), values, axes=1))
