"""Quadratic and piecewise linear maps of the plane: `henon`, `lozi`, `tinkerbell`, `delayed_logistic`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.compiled import jit
from dynloop.maps.kernel import KernelMap
from dynloop.maps.zoo.parameters import box, finite

__all__ = ["delayed_logistic", "henon", "lozi", "tinkerbell"]


def henon(a: float = 1.4, b: float = 0.3) -> KernelMap:
    """Hénon map ``x ← 1 − a x² + y``, ``y ← b x``.

    Parameters
    ----------
    a, b : float
        Any; |b| < 1 contracts areas, the classic attractor is at (1.4, 0.3).

    Returns
    -------
    KernelMap
        On states ``(2,)``; starts are uniform in [−0.1, 0.1]², inside the classic basin.

    Notes
    -----
    `facts`: fixed points and multipliers; sum of exponents ln |b|; at (1.4, 0.3) the measured exponents
    0.41924 ± 0.00017 and −1.62321, the Kaplan–Yorke dimension 1.2583 and the number of prime periodic orbits.
    Source: Hénon, Commun. Math. Phys. 50 (1976) 69.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.henon()([[1.0, 1.0]])
    array([[0.6, 0.3]])
    """
    a, b = finite("henon", a=a, b=b)
    discriminant = (1 - b) ** 2 + 4 * a
    points = []
    if a != 0 and discriminant >= 0:
        points = [np.array([x, b * x]) for x in ((b - 1 + s * math.sqrt(discriminant)) / (2 * a) for s in (1, -1))]
    facts: dict[str, Any] = {
        "fixed_points": points,
        "multipliers": [np.sort_complex(np.roots([1, 2 * a * p[0], -b])) for p in points],
    }
    if b != 0:
        facts["exponent_sum"] = math.log(abs(b))
    if (a, b) == (1.4, 0.3):
        facts["exponents_measured"] = (0.41924, -1.62321)
        facts["exponents_error"] = 0.00017
        facts["kaplan_yorke_dimension"] = 1.2583
        facts["prime_orbits"] = (2, 1, 0, 1, 0, 2)
    start = box([-0.1, -0.1], [0.1, 0.1])
    return KernelMap(_henon, 2, params=(a, b), jacobian=_henon_jacobian, name="henon", start=start, facts=facts)


@jit
def _henon(x: Array, params: Array, out: Array) -> None:
    out[0] = 1 - params[0] * x[0] * x[0] + x[1]
    out[1] = params[1] * x[0]


@jit
def _henon_jacobian(x: Array, params: Array, out: Array) -> None:
    out[0, 0] = -2 * params[0] * x[0]
    out[0, 1] = 1.0
    out[1, 0] = params[1]
    out[1, 1] = 0.0


def lozi(a: float = 1.7, b: float = 0.5) -> KernelMap:
    """Lozi map ``x ← 1 − a |x| + y``, ``y ← b x``.

    Parameters
    ----------
    a, b : float
        Any; a strange attractor is proved for 0 < b < 1, a > b + 1 and 2a + b < 4 (Misiurewicz 1980).

    Returns
    -------
    KernelMap
        On states ``(2,)``; starts are uniform in [−0.1, 0.1]².

    Notes
    -----
    `facts`: fixed points and multipliers; sum of exponents ln |b|. Source: Lozi, J. Phys. Colloques 39 (1978) C5-9.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.lozi()([[-1.0, 1.0]])
    array([[ 0.3, -0.5]])
    """
    a, b = finite("lozi", a=a, b=b)
    points = []
    for side in (1.0, -1.0):
        slope = 1 + side * a - b
        if slope != 0 and side / slope > 0:
            points.append(np.array([1 / slope, b / slope]))
    facts: dict[str, Any] = {
        "fixed_points": points,
        "multipliers": [np.sort_complex(np.roots([1, math.copysign(a, p[0] * a), -b])) for p in points],
    }
    if b != 0:
        facts["exponent_sum"] = math.log(abs(b))
    start = box([-0.1, -0.1], [0.1, 0.1])
    return KernelMap(_lozi, 2, params=(a, b), jacobian=_lozi_jacobian, name="lozi", start=start, facts=facts)


@jit
def _lozi(x: Array, params: Array, out: Array) -> None:
    out[0] = 1 - params[0] * abs(x[0]) + x[1]
    out[1] = params[1] * x[0]


@jit
def _lozi_jacobian(x: Array, params: Array, out: Array) -> None:
    out[0, 0] = -params[0] if x[0] >= 0 else params[0]
    out[0, 1] = 1.0
    out[1, 0] = params[1]
    out[1, 1] = 0.0


def tinkerbell(a: float = 0.9, b: float = -0.6013, c: float = 2.0, d: float = 0.5) -> KernelMap:
    """Tinkerbell map ``x ← x² − y² + a x + b y``, ``y ← 2 x y + c x + d y``.

    Parameters
    ----------
    a, b, c, d : float
        Any; the classic attractor is at the defaults.

    Returns
    -------
    KernelMap
        On states ``(2,)``; starts are uniform in a small box in the classic basin.

    Notes
    -----
    `facts`: the fixed point 0 and its multipliers. Source: Nusse and Yorke, *Dynamics: Numerical Explorations* (1997);
    Sprott (2003), A.2.5.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.tinkerbell()([[0.0, 0.0]])
    array([[0., 0.]])
    """
    a, b, c, d = finite("tinkerbell", a=a, b=b, c=c, d=d)
    facts = {"fixed_points": [np.zeros(2)], "multipliers": [np.sort_complex(np.linalg.eigvals([[a, b], [c, d]]))]}
    start = box([-0.72, -0.64], [-0.71, -0.63])
    return KernelMap(
        _tinkerbell, 2, params=(a, b, c, d), jacobian=_tinkerbell_jacobian, name="tinkerbell", start=start, facts=facts
    )


@jit
def _tinkerbell(x: Array, params: Array, out: Array) -> None:
    out[0] = x[0] * x[0] - x[1] * x[1] + params[0] * x[0] + params[1] * x[1]
    out[1] = 2 * x[0] * x[1] + params[2] * x[0] + params[3] * x[1]


@jit
def _tinkerbell_jacobian(x: Array, params: Array, out: Array) -> None:
    out[0, 0] = 2 * x[0] + params[0]
    out[0, 1] = -2 * x[1] + params[1]
    out[1, 0] = 2 * x[1] + params[2]
    out[1, 1] = 2 * x[0] + params[3]


def delayed_logistic(a: float = 2.27) -> KernelMap:
    """Delayed logistic map ``x ← a x (1 − y)``, ``y ← x``.

    Parameters
    ----------
    a : float
        1 < a < 2: a stable fixed point; a Neimark–Sacker bifurcation at 2; chaos at 2.27.

    Returns
    -------
    KernelMap
        On states ``(2,)``; starts are uniform near (0.5, 0.5).

    Notes
    -----
    `facts`: fixed points 0 and (1 − 1/a)·(1, 1) and their multipliers, the roots of λ² − λ + a − 1 at the second.
    Source: Aronson et al., Commun. Math. Phys. 83 (1982) 303; Sprott (2003), A.2.4.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.delayed_logistic(2.0)([[0.5, 0.5]])
    array([[0.5, 0.5]])
    """
    (a,) = finite("delayed_logistic", a=a)
    points, multipliers = [np.zeros(2)], [np.sort_complex(np.array([0, a], dtype=complex))]
    if a != 0:
        points.append(np.full(2, 1 - 1 / a))
        multipliers.append(np.sort_complex(np.roots([1, -1, a - 1])))
    facts = {"fixed_points": points, "multipliers": multipliers}
    start = box([0.45, 0.45], [0.55, 0.55])
    return KernelMap(
        _delayed, 2, params=(a,), jacobian=_delayed_jacobian, name="delayed_logistic", start=start, facts=facts
    )


@jit
def _delayed(x: Array, params: Array, out: Array) -> None:
    out[0] = params[0] * x[0] * (1 - x[1])
    out[1] = x[0]


@jit
def _delayed_jacobian(x: Array, params: Array, out: Array) -> None:
    out[0, 0] = params[0] * (1 - x[1])
    out[0, 1] = -params[0] * x[0]
    out[1, 0] = 1.0
    out[1, 1] = 0.0
