"""What a spectrum of exponents says of the attractor: its dimension, and a bound on its entropy."""

from __future__ import annotations

import numpy as np

from dynloop.maps.base import Array

__all__ = ["entropy_bound", "kaplan_yorke_dimension"]


def kaplan_yorke_dimension(exponents: Array, n: int) -> float:
    """Return j + Σ_{i≤j} λ_i / |λ_{j+1}|, j the largest number of exponents whose sum is not negative.

    Parameters
    ----------
    exponents : ndarray, (k,)
        The k largest of n exponents, sorted downwards; −inf is allowed.
    n : int
        Dimension of the state, which caps the result.

    Returns
    -------
    float
        nan if an exponent is nan, or if the k exponents do not reach a negative sum and k < n.

    Notes
    -----
    Kaplan and Yorke, Lecture Notes in Mathematics 730 (1979) 204.

    Examples
    --------
    >>> import numpy as np
    >>> from dynloop.calculus.dimension import kaplan_yorke_dimension
    >>> kaplan_yorke_dimension(np.array([0.5, -1.0]), 2)
    1.5
    """
    if np.isnan(exponents).any():
        return float("nan")
    sums = np.cumsum(exponents)
    below = np.flatnonzero(sums < 0)
    if len(below) == 0:
        return float(n) if len(exponents) == n else float("nan")
    j = int(below[0])
    return float(j + (sums[j - 1] / abs(exponents[j]) if j else 0.0))


def entropy_bound(exponents: Array, n: int) -> float:
    """Return the sum of the positive exponents, which the Kolmogorov–Sinai entropy does not exceed.

    Parameters
    ----------
    exponents : ndarray, (k,)
        The k largest of n exponents, sorted downwards.
    n : int
        Dimension of the state.

    Returns
    -------
    float
        In nats per loop; nan if an exponent is nan, or if all k are positive and k < n.

    Notes
    -----
    Ruelle, Bol. Soc. Bras. Mat. 9 (1978) 83; an equality where the invariant measure is smooth along unstable
    directions (Pesin).

    Examples
    --------
    >>> import numpy as np
    >>> from dynloop.calculus.dimension import entropy_bound
    >>> entropy_bound(np.array([0.5, 0.25, -1.0]), 3)
    0.75
    """
    if np.isnan(exponents).any() or (exponents[-1] > 0 and len(exponents) < n):
        return float("nan")
    return float(exponents[exponents > 0].sum())
