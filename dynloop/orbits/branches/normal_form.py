"""Normal form coefficients of fold, flip and Neimark–Sacker on the centre manifold, from differences of Jacobians."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg

from dynloop.calculus.jacobian import dense_jacobian
from dynloop.maps.base import Array
from dynloop.orbits.branches.place import Place
from dynloop.orbits.branches.system import System

__all__ = ["Coefficient", "critical_vector", "normal_form"]

_LARGEST = 128  # dimension up to which the Jacobians of the differences are formed
_STEP = 1e-3  # of the root mean square of the state
_CERTAIN = 10  # errors, beyond which the sign of a coefficient is believed
_SIMPLE = 1e-5  # least distance of a critical multiplier from the others
_RESONANT = 1e-2  # distance of μ^k from 1, k = 1 … 4, below which the coefficient of a Neimark–Sacker says nothing


class Coefficient(NamedTuple):
    """A coefficient with its error, and what its sign says: see `Bifurcation`."""

    value: float
    error: float
    criticality: str


_NONE = {"fold": ""}


def normal_form(system: System, kind: str, place: Place, critical: complex) -> Coefficient:
    """Return the normal form coefficient at a bifurcation.

    Parameters
    ----------
    system : System
        The equations.
    kind : str
        "fold", "branch", "flip" or "neimark-sacker".
    place : Place
        Where it is.
    critical : complex
        The critical multiplier.

    Notes
    -----
    Y. A. Kuznetsov, *Elements of Applied Bifurcation Theory*, 3rd ed. (2004), 5.4: the equations of the coefficients
    a (fold), b (flip) and d (Neimark–Sacker). The second and third derivatives are first and second differences of
    DF^p, extrapolated once.
    """
    unknown = Coefficient(float("nan"), float("nan"), _NONE.get(kind, "unknown"))
    if system.n > _LARGEST or kind == "touch":
        return unknown
    try:
        rough, fine = (_coefficient(system, kind, place, critical, extrapolate) for extrapolate in (False, True))
    except (np.linalg.LinAlgError, ValueError):
        return unknown
    if not np.isfinite(rough) or not np.isfinite(fine):
        return unknown
    error = abs(fine - rough) + 1e-12 * abs(fine)
    certain = abs(fine) > _CERTAIN * error
    if kind == "fold":
        return Coefficient(fine, error, "")
    if kind == "branch":
        return Coefficient(fine, error, "transcritical" if certain else "unknown")
    above = (fine > 0) == (kind == "flip")
    return Coefficient(fine, error, ("supercritical" if above else "subcritical") if certain else "unknown")


def critical_vector(A: Array, critical: complex) -> tuple[Array, Array]:
    """Return the unit right eigenvector q and the left one y, ``yᴴ q = 1``, of the eigenvalue nearest to `critical`.

    Raises
    ------
    ValueError
        If the eigenvalue is not simple.
    """
    values, left, right = scipy.linalg.eig(A, left=True, right=True)
    gaps = np.abs(values - critical)
    index = int(np.argmin(gaps))
    if np.sum(np.abs(values - values[index]) < _SIMPLE) > 1:
        raise ValueError("the critical multiplier is not simple")
    q, y = right[:, index], left[:, index]
    if values[index].imag == 0:
        q, y = q.real, y.real
    product = np.vdot(y, q)
    return q, y / np.conj(product)


def _coefficient(system: System, kind: str, place: Place, critical: complex, extrapolate: bool) -> float:
    m, x = system.map_at(place.z), system.state(place.z)
    h = _STEP * system.x_unit / np.sqrt(system.n)

    def derivative(v: Array) -> Array:
        """Return DF^p at x + v."""
        state, M = x + v.reshape(x.shape), np.eye(system.n)
        for _ in range(system.period):
            M = dense_jacobian(m, state) @ M
            state = m.numpy(m(m.native(state[None])))[0]
        return M

    A = derivative(np.zeros(system.n))
    q, y = critical_vector(A, critical)
    eye = np.eye(system.n)

    def first(v: Array) -> Array:
        """Return B(·, v), a matrix."""
        return _extrapolated(lambda e: (derivative(e * v) - derivative(-e * v)) / (2 * e), h, extrapolate)

    def second(v: Array) -> Array:
        """Return C(·, v, v), a matrix."""
        return _extrapolated(lambda e: (derivative(e * v) - 2 * A + derivative(-e * v)) / e**2, h, extrapolate)

    if kind in ("fold", "branch"):
        return float(y @ first(q) @ q) / 2
    if kind == "flip":
        Bq = first(q)
        w = np.linalg.solve(eye - A, Bq @ q)
        return float(y @ second(q) @ q + 3 * y @ Bq @ w) / 6
    a, b = q.real, q.imag
    if min(abs(critical**k - 1) for k in (1, 2, 3, 4)) < _RESONANT:
        raise ValueError("strong resonance")
    Ba, Bb, Ca, Cb = first(a), first(b), second(a), second(b)
    Bq, Bbar = Ba + 1j * Bb, Ba - 1j * Bb
    w1 = np.linalg.solve(eye - A, Bq @ q.conj())
    w2 = np.linalg.solve(critical**2 * eye - A, Bq @ q)
    cubic = (Ca + Cb) @ q  # C(q, q, q̄), C being symmetric
    whole = y.conj() @ cubic + 2 * (y.conj() @ Bq @ w1) + y.conj() @ Bbar @ w2
    return float((np.conj(critical) * whole).real) / 2


def _extrapolated(difference: Callable[[float], Array], h: float, extrapolate: bool) -> Array:
    near = difference(h / 2)
    return (4 * near - difference(h)) / 3 if extrapolate else near
