"""The multiplier of largest modulus of a dense derivative, and what rounding may give it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eig

from dynloop.maps.base import Array

__all__ = ["LeadingMultiplier", "leading_multiplier"]

_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True, eq=False)
class LeadingMultiplier:
    """Its modulus, the modulus's doubt (by the condition of the eigenvalue), and its left eigenvector of length 1."""

    modulus: float
    doubt: float
    left: Array


def leading_multiplier(J: Array) -> LeadingMultiplier:
    """Return the leading multiplier of a finite matrix ``(n, n)``.

    Examples
    --------
    >>> import numpy as np
    >>> from dynloop.orbits.leading_multiplier import leading_multiplier
    >>> found = leading_multiplier(np.array([[2.0, 1.0], [0.0, 0.5]]))
    >>> found.modulus, bool(found.doubt < 1e-12)
    (2.0, True)
    """
    values, left, right = eig(J, left=True, right=True)
    top = int(np.argmax(np.abs(values)))
    condition = 1 / max(abs(np.vdot(left[:, top], right[:, top])), np.finfo(float).tiny)
    doubt = 1e2 * len(J) * _EPS * float(np.linalg.norm(J, 2)) * condition
    return LeadingMultiplier(modulus=float(np.abs(values[top])), doubt=doubt, left=left[:, top])
