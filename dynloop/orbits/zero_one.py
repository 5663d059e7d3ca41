"""The 0–1 test for chaos of a scalar signal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.arguments import checked_int, checked_numbers
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.base import Array, as_rng
from dynloop.result import Result

__all__ = ["ZeroOneTest", "zero_one_test"]

_STILL = 1e-12  # of the largest value: a signal that varies by less is rounding


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class ZeroOneTest(Result):
    """What the 0–1 test says.

    Attributes
    ----------
    K : float
        Median of the correlations: near 0 for regular motion, near 1 for chaotic. 0 for a signal that does not vary.
    spread : float
        Half the distance between the 16 and 84 per cent quantiles of the correlations.
    correlations : ndarray, (frequencies,)
        One for every angle c.
    angles : ndarray, (frequencies,)
        The angles c, radians per loop.
    loops : int
        Length of the signal.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.zero_one_test(dl.trajectory(dl.zoo.logistic(3.5), [0.3], 1000, transient=500).states[:, 0])
    >>> bool(abs(found.K) < 0.1), found.loops, found.correlations.shape == found.angles.shape
    (True, 1001, True)
    """

    K: float
    spread: float
    correlations: Array
    angles: Array
    loops: int


def zero_one_test(signal: Any, *, frequencies: int = 100, rng: int | np.random.Generator | None = 0) -> ZeroOneTest:
    """Test a signal for chaos by the growth of its translation variables.

    Parameters
    ----------
    signal : array, (loops,)
        One value a loop, the transient dropped; 200 at least, 1000 or more to trust.
    frequencies : int
        How many random angles.
    rng : int or Generator
        For the angles.

    Returns
    -------
    ZeroOneTest
        The statistic K, with the correlations behind it.

    Raises
    ------
    ShapeError
        If the signal is not one-dimensional, or too short.
    InvalidArgumentError
        If it is not finite or not of real numbers, or `frequencies` is no positive int.

    Notes
    -----
    Gottwald and Melbourne, SIAM J. Appl. Dyn. Syst. 8 (2009) 129: the variables p + iq = Σ φ_t e^{ict} stay bounded
    on regular motion and diffuse on chaotic. Their mean square displacement over n ≤ loops / 10, less its oscillation,
    is correlated with n. Angles are drawn from (π/5, 4π/5), away from the resonances at 0 and π. Weak chaos, noise and
    a slow drift all move K: it is evidence beside an exponent, not a verdict.

    Examples
    --------
    >>> import dynloop as dl
    >>> orbit = dl.trajectory(dl.zoo.logistic(4.0), [0.3], 2000, transient=100).states[:, 0]
    >>> bool(dl.zero_one_test(orbit).K > 0.95)
    True
    """
    values = checked_numbers(signal, "signal")
    if values.ndim != 1 or len(values) < 200:
        raise ShapeError(
            f"signal must have shape (loops,) with 200 loops at least; got {values.shape}. Record more loops"
        )
    if not np.isfinite(values).all():
        raise InvalidArgumentError("signal holds NaN or infinity; cut it off where the orbit was lost")
    frequencies = checked_int(frequencies, "frequencies", 1, remedy="Leave it out for 100")
    angles = as_rng(rng).uniform(np.pi / 5, 4 * np.pi / 5, frequencies)
    found = np.zeros(len(angles))
    if np.ptp(values) > _STILL * np.abs(values).max():
        found = np.array([_correlation(values, c) for c in angles])
    low, high = np.quantile(found, [0.16, 0.84])
    return ZeroOneTest(
        K=float(np.median(found)), spread=float(high - low) / 2, correlations=found, angles=angles, loops=len(values)
    )


def _correlation(values: Array, c: float) -> float:
    """Return the correlation of the mean square displacement with time."""
    loops = len(values)
    lags = np.arange(1, loops // 10 + 1)
    z = np.cumsum((values / np.abs(values).max()) * np.exp(1j * c * np.arange(loops)))
    kept = loops - lags[-1]
    squared = np.array([np.mean(np.abs(z[n : n + kept] - z[:kept]) ** 2) for n in lags])
    mean = np.mean(values / np.abs(values).max())
    smooth = squared - mean**2 * (1 - np.cos(lags * c)) / (1 - np.cos(c))
    if np.ptp(smooth) == 0:
        return 0.0
    return float(np.corrcoef(lags, smooth)[0, 1])
