"""Leading Lyapunov exponents by repeated QR, with a standard error that accounts for correlation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.calculus.tangent import check_derivative, random_frames
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, LoopMap, as_rng
from dynloop.result import Result, Status

__all__ = ["LyapunovSpectrum", "lyapunov_spectrum", "mean_and_error"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class LyapunovSpectrum(Result):
    """Finite-time Lyapunov exponents, natural log per loop, sorted downwards.

    Attributes
    ----------
    exponents : ndarray, (k,)
        λ_1 ≥ … ≥ λ_k; −inf where a direction falls below rank tolerance.
    standard_error : ndarray, (k,)
        Of each, from block averages. On a regular orbit the error is a bias of order 1/loops instead.
    history : ndarray, (points, k)
        Running estimates at evenly spaced loops; the last row is `exponents` before sorting.
    kaplan_yorke_dimension : float
        j + Σ_{i≤j} λ_i / |λ_{j+1}|, capped at n; nan if the k exponents do not reach a negative sum.
    by_layer, by_token : None
        Not computed.
    status : Status
        CONVERGED, NOT_CONVERGED (the two halves of the window disagree beyond their errors), DIVERGED or
        BELOW_RANK_TOLERANCE.
    loops : int
        Length of the window.
    """

    exponents: Array
    standard_error: Array
    history: Array
    kaplan_yorke_dimension: float
    by_layer: None = None
    by_token: None = None
    status: Status
    loops: int


def lyapunov_spectrum(
    m: LoopMap,
    start: Any = None,
    *,
    k: int | None = None,
    loops: int = 1000,
    transient: int = 100,
    rng: int | np.random.Generator | None = 0,
) -> LyapunovSpectrum:
    """Estimate the k largest Lyapunov exponents along one orbit, re-orthonormalising at every loop.

    Parameters
    ----------
    m : LoopMap
        The map.
    start : array, state_shape, optional
        Where the orbit begins; drawn by ``m.start(rng)`` if left out.
    k : int, optional
        How many exponents; all n if left out.
    loops, transient : int
        Length of the window, and loops dropped before it.
    rng : int or Generator
        For the first frame.

    Returns
    -------
    LyapunovSpectrum
        Exponents with error and history.

    Raises
    ------
    InvalidArgumentError
        If k or a number of loops is out of range.
    DerivativeError
        If the map has no usable derivative.

    Notes
    -----
    Benettin, Galgani, Giorgilli & Strelcyn (1980); for networks Engelken, Wolf & Abbott (arXiv 2006.02427).

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.lyapunov_spectrum(dl.zoo.henon(), [0.1, 0.1], loops=20000)
    >>> round(float(found.exponents.sum()), 9)  # = ln 0.3
    -1.203972804
    """
    n = m.dimension
    k = n if k is None else k
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 1 <= k <= n:
        raise InvalidArgumentError(f"k must be between 1 and the dimension {n}; got {k!r}. Leave it out for all.")
    for name, value, least in (("loops", loops, 2), ("transient", transient, 0)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise InvalidArgumentError(f"{name} must be an int of at least {least}; got {value!r}")
    generator = as_rng(rng)
    states, single = m.batch(start, generator)
    if not single and len(states) > 1:
        raise ShapeError(
            f"start must be one state of shape {m.state_shape}; got a batch of {len(states)}. Pass start[0]."
        )
    m = m.in_dtype_of(states)
    check_derivative(m, states, generator)
    frames = random_frames(m, 1, int(k), generator)
    settled = m.stretch(states, frames, transient)
    found = m.stretch(settled.states, settled.frames, loops)
    return _spectrum(found.logs[:, 0], n)


def _spectrum(logs: Array, n: int) -> LyapunovSpectrum:
    """Turn ``(loops, k)`` logs of R_jj into exponents."""
    with np.errstate(invalid="ignore"):
        mean, error = mean_and_error(logs)
        order = np.argsort(-np.nan_to_num(mean, nan=-np.inf), kind="stable")
        marks = np.unique(np.linspace(1, len(logs), min(64, len(logs))).astype(int))
        history = (np.cumsum(logs, axis=0)[marks - 1]) / marks[:, None]
        halves = [mean_and_error(half) for half in np.array_split(logs, 2)]
        gap = np.abs(halves[0][0] - halves[1][0])
        allowed = 5 * np.hypot(halves[0][1], halves[1][1]) + 5 * np.log(len(logs)) / len(logs)
    finite = np.isfinite(mean)
    if np.isnan(mean).any():
        status = Status.DIVERGED
    elif np.any(gap[finite] > allowed[finite]):
        status = Status.NOT_CONVERGED
    else:
        status = Status.CONVERGED if finite.all() else Status.BELOW_RANK_TOLERANCE
    exponents = mean[order]
    return LyapunovSpectrum(
        exponents=exponents, standard_error=error[order], history=history,
        kaplan_yorke_dimension=_kaplan_yorke(exponents, n), status=status, loops=len(logs),
    )  # fmt: skip


def mean_and_error(series: Array, blocks: int = 16) -> tuple[Array, Array]:
    """Return the mean over axis 0 and its standard error from block averages.

    Blocks of many loops are nearly independent where single loops are not, so the scatter of the block means gives an
    error that accounts for correlation. The largest of the estimates from 16, 8 and 4 blocks is taken.

    Parameters
    ----------
    series : ndarray, (loops, …)
        One value a loop.
    blocks : int
        Most blocks to try.

    Returns
    -------
    mean, error : ndarray, (…)
        The error is nan for fewer than 8 loops.
    """
    mean = series.mean(axis=0)
    error = np.full(np.shape(mean), np.nan)
    while blocks >= 4:
        length = len(series) // blocks
        if length >= 2:
            means = series[len(series) - blocks * length :].reshape(blocks, length, *series.shape[1:]).mean(axis=1)
            error = np.fmax(error, means.std(axis=0, ddof=1) / np.sqrt(blocks))
        blocks //= 2
    return mean, error


def _kaplan_yorke(exponents: Array, n: int) -> float:
    if np.isnan(exponents).any():
        return float("nan")
    sums = np.cumsum(exponents)
    below = np.flatnonzero(sums < 0)
    if len(below) == 0:
        return float(n) if len(exponents) == n else float("nan")
    j = int(below[0])
    return float(j + (sums[j - 1] / abs(exponents[j]) if j else 0.0))
