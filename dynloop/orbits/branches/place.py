"""A place on a branch: a solution with its direction, its multipliers and the signs that change at bifurcations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynloop.calculus.cycle import FACTORS_APART
from dynloop.calculus.eigenvalues import Eigenvalues, block_eigenvalues, eigenvalues
from dynloop.calculus.jacobian import DENSE, diagonal_blocks
from dynloop.calculus.spectrum import blocks_fit, point_multipliers
from dynloop.maps.base import Array
from dynloop.orbits.branches.system import Linear, System
from dynloop.orbits.stability import stability
from dynloop.result import Status

__all__ = ["Place", "leading", "multipliers_at", "stability_of"]

_BLOCKS = 64  # from this dimension a causal map's multipliers come token by token
_MOST = 64  # multipliers of an Arnoldi run
_ROUNDING = 4.0  # of a product of matrices, in units of its norm
_STILL = 1e-12  # a component of the direction that is zero


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Place:
    """A solution on a branch.

    Attributes
    ----------
    z : ndarray, (n + 1,)
        State and parameter, scaled.
    direction : ndarray, (n + 1,)
        Unit tangent of the branch there, scaled.
    multipliers : Eigenvalues
        Of DF^p, all of them or the leading ones; empty where they are not finite.
    known : bool
        Whether every multiplier outside the unit circle is among them.
    gap : float
        ‖F^p(x) − x‖, scaled.
    """

    z: Array
    direction: Array
    multipliers: Eigenvalues
    known: bool
    gap: float

    @property
    def marginal(self) -> int:
        """How many multipliers lie on the unit circle within their errors."""
        return int(np.sum(self._on_circle()))

    @property
    def unstable(self) -> int:
        """How many multipliers lie outside the unit circle, beyond their errors."""
        return int(np.sum((np.abs(self.multipliers.values) > 1) & ~self._on_circle()))

    @property
    def turn(self) -> int:
        """Sign of dλ/ds; changes at a fold."""
        rate = float(self.direction[-1])
        return 0 if abs(rate) < _STILL else int(np.sign(rate))

    @property
    def flip(self) -> int:
        """Sign of det(DF^p + I); changes at a flip."""
        return self._sign(-1.0)

    @property
    def plus(self) -> int:
        """Sign of det(I − DF^p); changes at folds and branch points."""
        return self._sign(1.0)

    def product(self, at: float) -> float:
        """Return ∏ (1 − μ/at) / (1 + abs μ) over all multipliers: zero where one of them is `at`, which is 1 or −1."""
        values = self.multipliers.values
        return float(np.prod((1 - values / at) / (1 + np.abs(values))).real)

    def _sign(self, at: float) -> int:
        gaps = np.abs(self.multipliers.values - at)
        if np.any(gaps <= self.multipliers.errors):
            return 0
        return int(np.sign(self.product(at)))

    def _on_circle(self) -> Array:
        return np.asarray(np.abs(np.abs(self.multipliers.values) - 1) <= self.multipliers.errors)


def multipliers_at(system: System, z: Array, k: int, lin: Linear) -> tuple[Eigenvalues, bool]:
    """Return the multipliers at z, and whether all of those outside the unit circle are known.

    All of them up to dimension 1024 and of causal maps; else the k leading ones, or more while all found are outside.
    """
    m, x = system.map_at(z), system.state(z)
    none = Eigenvalues(np.empty(0, complex), np.empty(0), np.empty(0))
    if system.n >= _BLOCKS and blocks_fit(m):
        found = block_eigenvalues(diagonal_blocks(m.power(system.period), x), m.precision)
        return (found, True) if found is not None else (none, False)
    if lin.matrix is not None and system.n > FACTORS_APART:
        M = lin.matrix + np.eye(system.n)
        if not np.isfinite(M).all():
            return none, False
        noise = (system.period - 1) * _ROUNDING * m.precision * float(np.linalg.norm(M))
        return eigenvalues(M, noise, precision=m.precision), True
    k = system.n if system.n <= DENSE else k
    while True:
        spectrum = point_multipliers(m, x, k, period=system.period)
        found = Eigenvalues(spectrum.values, spectrum.residuals, spectrum.errors)
        if spectrum.status is not Status.SOLVED:
            return found, False
        if k >= system.n or np.abs(found.values[-1]) < 1:
            return found, True
        if k >= _MOST:
            return found, False
        k = min(2 * k, _MOST)


def leading(found: Eigenvalues, k: int) -> tuple[Array, Array]:
    """Return the k leading multipliers and their errors, nan where fewer are known."""
    values, errors = np.full(k, complex(np.nan, np.nan)), np.full(k, np.nan)
    count = min(k, len(found.values))
    values[:count], errors[:count] = found.values[:count], found.errors[:count]
    return values, errors


def stability_of(place: Place, n: int) -> str:
    """Return what the multipliers say of an orbit, by their moduli against 1 and their errors."""
    found = place.multipliers
    return stability(found.values, found.errors, complete=len(found.values) == n)
