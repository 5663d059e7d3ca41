"""Lines at integer combinations of base frequencies, fitted to signals by least squares, frequencies and all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from dynloop.maps.base import Array

__all__ = ["LineModel", "centred_times", "fitted", "rms"]


@dataclass(frozen=True, slots=True, eq=False)
class LineModel:
    """A constant and lines, the same in every signal but for their amplitudes.

    Attributes
    ----------
    frequencies : ndarray, (bases,)
        Base frequencies, cycles per loop.
    vectors : ndarray of int, (lines, bases)
        The combination that every line is.
    amplitudes : ndarray, (1 + 2·lines, signals)
        Of 1, cosines and sines.
    """

    frequencies: Array
    vectors: Array
    amplitudes: Array

    def columns(self, times: Array) -> Array:
        """Return 1, cosines and sines at the given times, ``(times, 1 + 2·lines)``."""
        phase = 2 * np.pi * np.outer(times, self.vectors @ self.frequencies)
        return np.concatenate([np.ones((len(times), 1)), np.cos(phase), np.sin(phase)], axis=1)

    def leaves(self, times: Array, values: Array) -> Array:
        """Return what is left of values ``(times, signals)``."""
        return np.asarray(values - self.columns(times) @ self.amplitudes)


def fitted(model: LineModel, times: Array, values: Array, *, steps: int) -> tuple[LineModel, Array]:
    """Fit amplitudes by least squares and, by Gauss–Newton steps, frequencies with them; return what is left too.

    Parameters
    ----------
    model : LineModel
        Which lines; its amplitudes do not count.
    times : ndarray, (times,)
        Of the values.
    values : ndarray, (times, signals)
        The signals.
    steps : int
        Gauss–Newton steps.

    Raises
    ------
    scipy.linalg.LinAlgError
        If two lines cannot be told apart in so many loops.
    """
    frequencies, count = model.frequencies, len(model.vectors)
    for step in range(steps + 1):
        model = LineModel(frequencies, model.vectors, model.amplitudes)
        A = model.columns(times)
        factor = cho_factor(A.T @ A)
        a = cho_solve(factor, A.T @ values)
        a = a + cho_solve(factor, A.T @ (values - A @ a))
        left = values - A @ a
        if step < steps:
            slopes = []
            for c, s in zip(a[1 : 1 + count].T, a[1 + count :].T, strict=True):
                turned = A[:, 1 : 1 + count] * s - A[:, 1 + count :] * c
                D = 2 * np.pi * times[:, None] * (turned @ model.vectors)
                slopes.append(D - A @ cho_solve(factor, A.T @ D))
            frequencies = frequencies + np.linalg.lstsq(np.concatenate(slopes), left.T.reshape(-1), rcond=1e-12)[0]
    return LineModel(frequencies, model.vectors, a), left


def centred_times(n: int) -> Array:
    """Return the times of `n` loops from their middle."""
    return np.arange(n) - (n - 1) / 2


def rms(values: Array) -> float:
    """Return the root mean square."""
    return float(np.sqrt((values**2).mean()))
