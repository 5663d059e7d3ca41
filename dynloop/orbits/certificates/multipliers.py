"""Multipliers of a proved cycle, each in a disc that holds it, and the stability that follows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.certificates.backend import Arb, above, below, flint, nearest, size

__all__ = ["Enclosed", "enclosed_multipliers"]

_SQUARINGS = 12  # for matrices whose eigenvalues cannot be told apart, such as a Jordan block


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
    radius = _radius(product)
    if not found or not all(value.real.is_finite() and value.imag.is_finite() for value in found):
        if radius is None:
            return None
        around = flint.arb(0).union(radius).union(-radius)
        found = [flint.acb(around, around)] * n
    middles = [complex(nearest(v.real), nearest(v.imag)) for v in found]
    radii = [size(abs(v - flint.acb(z.real, z.imag))) for v, z in zip(found, middles, strict=True)]
    order = np.lexsort((-np.real(middles), -np.abs(middles)))
    inside = radius is not None and above(radius) < 1  # says more than the discs of a cluster
    stability = "sink" if inside else _stability([abs(v) for v in found])
    return Enclosed(values=np.array(middles, dtype=complex)[order], radii=np.array(radii)[order], stability=stability)


def _radius(product: Any) -> Arb | None:
    """Return the least bound on all |λ| that the row sums of M, M², M⁴, … give; None if there is none."""
    n, best = product.nrows(), None
    for j in range(_SQUARINGS):
        sums = [sum((product[i, k].abs_upper() for k in range(n)), flint.arb(0)) for i in range(n)]
        norm = max(sums, key=above)
        if not norm.is_finite():
            break
        bound = norm.root(2**j)
        best = bound if best is None or above(bound) < above(best) else best
        product = product * product
    return best


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
