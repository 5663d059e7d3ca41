"""Multipliers of a proved cycle, each in a disc that holds it, and the stability that follows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.certificates.backend import Arb, above, below, flint, nearest, size

__all__ = ["Enclosed", "enclosed_multipliers"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Enclosed:
    """Eigenvalues of an interval matrix.

    Attributes
    ----------
    values : ndarray of complex128, (n,)
        Largest modulus first.
    radii : ndarray, (n,)
        Each disc of this radius about its value holds an eigenvalue, and together, counted with multiplicity, they
        hold all.
    stability : str
        ``"sink"``, ``"source"``, ``"saddle"`` or ``"unproved"``.
    """

    values: Array
    radii: Array
    stability: str


def enclosed_multipliers(factors: list[list[list[Arb]]]) -> Enclosed | None:
    """Return the eigenvalues of ``J_p ⋯ J_1`` of interval matrices; None if they cannot be told apart from anything."""
    product = reduce(lambda M, J: flint.arb_mat(J) * M, factors[1:], flint.arb_mat(factors[0]))
    n = product.nrows()
    if n == 1:
        found = [flint.acb(product[0, 0])]
    else:
        try:
            found = flint.acb_mat(product).eig(multiple=True)
        except (ValueError, ZeroDivisionError):
            found = []
    if not found or not all(value.real.is_finite() and value.imag.is_finite() for value in found):
        found = _bounded(product)
    if not found:
        return None
    middles = [complex(nearest(v.real), nearest(v.imag)) for v in found]
    radii = [size(abs(v - flint.acb(z.real, z.imag))) for v, z in zip(found, middles, strict=True)]
    order = np.lexsort((-np.real(middles), -np.abs(middles)))
    moduli = [abs(v) for v in found]
    return Enclosed(
        values=np.array(middles, dtype=complex)[order], radii=np.array(radii)[order], stability=_stability(moduli)
    )


def _bounded(product: Any) -> list[Any]:
    """Return n times the disc about 0 that the largest row sum bounds: all eigenvalues lie in it."""
    n = product.nrows()
    bound = max(
        (sum((product[i, j].abs_upper() for j in range(n)), flint.arb(0)) for i in range(n)), key=lambda b: above(b)
    )
    if not bound.is_finite():
        return []
    around = flint.arb(0).union(bound).union(-bound)
    return [flint.acb(around, around)] * n


def _stability(moduli: list[Arb]) -> str:
    inside = [above(modulus) < 1 for modulus in moduli]
    outside = [below(modulus) > 1 for modulus in moduli]
    if all(inside):
        return "sink"
    if all(outside):
        return "source"
    if all(a or b for a, b in zip(inside, outside, strict=True)):
        return "saddle"
    return "unproved"
