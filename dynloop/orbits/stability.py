"""What the multipliers of a fixed point or a cycle, known to within errors, say of its stability."""

from __future__ import annotations

import numpy as np

from dynloop.maps.base import Array

__all__ = ["stability", "unstable_count"]

_ZERO = 1e-3  # a multiplier within its error of 0 is told as 0 if that error is no larger than this


def stability(multipliers: Array, errors: Array, *, complete: bool) -> str:
    """Name the stability of a hyperbolic cycle, or say that it is not known to be one.

    Parameters
    ----------
    multipliers : ndarray of complex, (k,)
        Largest modulus first; nan where they are not known.
    errors : ndarray, (k,)
        How far each may be off.
    complete : bool
        Whether they are all multipliers there are, not the largest alone.

    Returns
    -------
    str
        "superstable": every multiplier is zero within its error. "sink": all lie within the unit circle. "source": all
        lie outside. "saddle": some within, some outside. "marginal": one cannot be told from modulus one, so terms
        beyond the linear ones decide. "unstable": some outside, and the small ones are not known. "unknown": the
        multipliers are not.

    Examples
    --------
    >>> import numpy as np
    >>> from dynloop.orbits.stability import stability
    >>> stability(np.array([-1.92, 0.16]), np.array([1e-15, 1e-15]), complete=True)
    'saddle'
    """
    size = np.abs(multipliers)
    if len(size) == 0 or not (np.isfinite(size) & np.isfinite(errors)).all():
        return "unknown"
    if complete and (size <= errors).all() and (errors <= _ZERO).all():
        return "superstable"
    outside, inside = size - errors > 1, size + errors < 1
    if not (outside | inside).all():
        return "marginal"
    if inside.all():
        return "sink"
    if inside.any():
        return "saddle"
    return "source" if complete else "unstable"


def unstable_count(multipliers: Array, errors: Array) -> int:
    """Return how many multipliers lie outside the unit circle beyond their errors."""
    return int(np.sum(np.abs(multipliers) - errors > 1))
