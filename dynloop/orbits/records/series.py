"""One state of a record as series over loops: norms, relative steps, returns after p loops, and how noise moves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynloop.maps.base import Array

__all__ = ["Series", "excursion", "net_per_loop", "series", "shape_of_noise"]

_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Series:
    """What a record says of one state (or one token), from one loop to the next.

    Attributes
    ----------
    states : ndarray, (loops, n)
        In float64.
    norms : ndarray, (loops,)
        ‖x_t‖.
    lengths : ndarray, (loops − 1,)
        ‖x_{t+1} − x_t‖.
    scale : ndarray, (loops,)
        max(‖x_t‖, 4 eps × the largest norm of the record), by which relative numbers divide.
    """

    states: Array
    norms: Array
    lengths: Array
    scale: Array

    @property
    def steps(self) -> Array:
        """Relative steps ‖x_{t+1} − x_t‖ / scale_{t+1}, ``(loops − 1,)``."""
        return self.lengths / self.scale[1:]

    def returns(self, p: int) -> Array:
        """Return the relative distances ‖x_{t+p} − x_t‖ / scale_{t+p}, ``(loops − p,)``."""
        return np.asarray(np.linalg.norm(self.states[p:] - self.states[:-p], axis=1) / self.scale[p:])


def series(states: Array, eps: float) -> Series:
    """Prepare one state of a record.

    Parameters
    ----------
    states : ndarray, (loops, n)
        Finite numbers of any float dtype.
    eps : float
        Machine epsilon of the dtype in which the model worked.
    """
    states = np.asarray(states, dtype=np.float64)
    norms = np.linalg.norm(states, axis=1)
    return Series(
        states=states,
        norms=norms,
        lengths=np.linalg.norm(np.diff(states, axis=0), axis=1),
        scale=np.maximum(norms, 4 * eps * norms.max() + _TINY),
    )


def net_per_loop(states: Array) -> float:
    """Return the length per loop of the net displacement, from the mean of the first quarter to that of the last."""
    quarter = max(1, len(states) // 4)
    apart = np.linalg.norm(states[-quarter:].mean(axis=0) - states[:quarter].mean(axis=0))
    return float(apart / max(1, len(states) - quarter))


def excursion(states: Array, eps: float) -> float:
    """Return the largest range of a coordinate, in units in the last place of that coordinate, or of a mean one."""
    size = np.maximum(np.abs(states).max(axis=0), np.sqrt(np.mean(states**2)))
    return float(np.max(np.ptp(states, axis=0) / (eps * size + _TINY)))


def shape_of_noise(states: Array) -> tuple[float, float, float]:
    """Measure what tells rounding noise around a point from motion of the same size.

    Parameters
    ----------
    states : ndarray, (loops, n)
        A stretch of a record in which the steps are constant in size; not all zero.

    Returns
    -------
    cosine : float
        Lag-1 correlation of successive steps: −½ for white noise around a point, −(1 − ρ)/2 where the noise is
        contracted by ρ per loop, 0 for a random walk, towards 1 for motion that goes somewhere.
    nearest : float
        Least mean square distance over lags 2 … half of the stretch, in units of that at lag 1: 1 or more for noise,
        near 0 where the states return.
    share : float
        Largest share of the squared steps in one direction: 1 for motion on a line, about 1/loops for noise in many
        dimensions.
    """
    away = states - states.mean(axis=0)
    gram = away @ away.T
    size = np.diag(gram)
    steps = gram[1:, 1:] - gram[1:, :-1] - gram[:-1, 1:] + gram[:-1, :-1]  # inner products of steps
    mean = float(np.trace(steps)) / len(steps)
    cosine = float(np.mean(np.diag(steps, 1))) / mean
    lags = range(2, max(3, len(steps) // 2 + 1))
    far = [float(np.mean(size[lag:] + size[:-lag] - 2 * np.diag(gram, lag))) for lag in lags]
    return cosine, min(far) / mean, float(np.linalg.eigvalsh(steps)[-1]) / (mean * len(steps))
