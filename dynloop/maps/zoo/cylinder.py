"""Dissipative maps with angles: `dissipative_standard`, `sinai`, `grebogi`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.compiled import jit
from dynloop.maps.kernel import KernelMap
from dynloop.maps.zoo.parameters import box, finite

__all__ = ["dissipative_standard", "grebogi", "sinai"]

TURN = 2 * math.pi


def dissipative_standard(b: float = 0.1, k: float = 8.8) -> KernelMap:
    """Dissipative standard map ``p ← b p + k sin θ``, ``θ ← θ + p``, both mod 2π; state (θ, p).

    Parameters
    ----------
    b, k : float
        Any; |b| < 1 contracts areas, the classic attractor is at (0.1, 8.8).

    Returns
    -------
    KernelMap
        On states ``(2,)`` = (θ, p), θ an angle of period 2π, p kept in [0, 2π); starts are uniform.

    Notes
    -----
    `facts`: sum of exponents ln |b|; the fixed points (0, 0) and (π, 0), the roots of λ² − (1 + b ± k) λ + b. For b ≠ 1
    the map jumps where p passes 2π, so p is no angle. Source: Schmidt and Wang, Phys. Rev. A 32 (1985) 2994; Sprott
    (2003), A.2.8.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.dissipative_standard(b=0.5, k=0.0)([[1.0, 1.0]])
    array([[1.5, 0.5]])
    """
    b, k = finite("dissipative_standard", b=b, k=k)
    facts: dict[str, Any] = {
        "fixed_points": [np.zeros(2), np.array([math.pi, 0.0])],
        "multipliers": [np.sort_complex(np.roots([1, -(1 + b + s * k), b])) for s in (1, -1)],
    }
    if b != 0:
        facts["exponent_sum"] = math.log(abs(b))
    return KernelMap(
        _dissipative,
        2,
        params=(b, k),
        jacobian=_dissipative_jacobian,
        periods=(TURN, None),
        name="dissipative_standard",
        start=box([0, 0], [TURN, TURN]),
        facts=facts,
    )


@jit
def _dissipative(x: Array, params: Array, out: Array) -> None:
    p = params[0] * x[1] + params[1] * np.sin(x[0])
    out[0] = (x[0] + p) % (2 * np.pi)
    out[1] = p % (2 * np.pi)


@jit
def _dissipative_jacobian(x: Array, params: Array, out: Array) -> None:
    slope = params[1] * np.cos(x[0])
    out[0, 0] = 1 + slope
    out[0, 1] = params[0]
    out[1, 0] = slope
    out[1, 1] = params[0]


def sinai(delta: float = 0.1) -> KernelMap:
    """Sinai's map ``x ← x + y + δ cos 2πy mod 1``, ``y ← x + 2y mod 1``.

    Parameters
    ----------
    delta : float
        δ; a perturbed cat map for small |δ|.

    Returns
    -------
    KernelMap
        On states ``(2,)``, both angles of period 1; starts are uniform on the torus.

    Notes
    -----
    `facts`: at δ = 0 those of `cat`, exponents ±ln((3 + √5)/2). Source: Sinai, Russ. Math. Surv. 27 (1972) 21; Sprott
    (2003), A.2.10.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.sinai(0.0)([[0.25, 0.5]])
    array([[0.75, 0.25]])
    """
    (delta,) = finite("sinai", delta=delta)
    growth = math.log((3 + math.sqrt(5)) / 2)
    facts = {"exponents": (growth, -growth), "exponent_sum": 0.0} if delta == 0 else {}
    return KernelMap(
        _sinai,
        2,
        params=(delta,),
        jacobian=_sinai_jacobian,
        periods=(1.0, 1.0),
        name="sinai",
        start=box([0, 0], [1, 1]),
        facts=facts,
    )


@jit
def _sinai(x: Array, params: Array, out: Array) -> None:
    out[0] = (x[0] + x[1] + params[0] * np.cos(2 * np.pi * x[1])) % 1.0
    out[1] = (x[0] + 2 * x[1]) % 1.0


@jit
def _sinai_jacobian(x: Array, params: Array, out: Array) -> None:
    out[0, 0] = 1.0
    out[0, 1] = 1 - 2 * np.pi * params[0] * np.sin(2 * np.pi * x[1])
    out[1, 0] = 1.0
    out[1, 1] = 2.0


def grebogi(a: float = 1.32, b: float = 0.9, J0: float = 0.3) -> KernelMap:
    """Grebogi's map ``θ ← θ + a sin 2θ − b sin 4θ − x sin θ mod 2π``, ``x ← −J₀ cos θ``; state (θ, x).

    Parameters
    ----------
    a, b, J0 : float
        Any; two fixed points with a fractal basin boundary at the defaults.

    Returns
    -------
    KernelMap
        On states ``(2,)`` = (θ, x), θ an angle of period 2π; starts are uniform in [0, 2π] × [−0.5, 0.5].

    Notes
    -----
    `facts`: the fixed points (0, −J₀) and (π, J₀), whose multipliers are 0 and 1 + 2a − 4b + J₀; both attract, and are
    the only attractors, at the defaults. The first sits on the seam 0 = 2π. Source: Grebogi, McDonald, Ott and Yorke,
    Phys. Lett. A 99 (1983) 415.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.grebogi()([[0.0, -0.3]])
    array([[ 0. , -0.3]])
    """
    a, b, J0 = finite("grebogi", a=a, b=b, J0=J0)
    points = [np.array([0.0, -J0]), np.array([math.pi, J0])]
    multiplier = 1 + 2 * a - 4 * b + J0
    facts: dict[str, Any] = {
        "symmetries": {
            "θ → −θ": lambda x: x * np.array([-1.0, 1.0]),
            "θ → θ + π, x → −x": lambda x: x * np.array([1.0, -1.0]) + np.array([math.pi, 0.0]),
        },
        "fixed_points": points,
        "multipliers": [np.sort_complex(np.array([0, multiplier], dtype=complex))] * 2,
    }
    if (a, b, J0) == (1.32, 0.9, 0.3):
        facts["attractors"] = points
    return KernelMap(
        _grebogi,
        2,
        params=(a, b, J0),
        jacobian=_grebogi_jacobian,
        periods=(TURN, None),
        name="grebogi",
        start=box([0, -0.5], [TURN, 0.5]),
        facts=facts,
    )


@jit
def _grebogi(x: Array, params: Array, out: Array) -> None:
    theta = x[0]
    moved = theta + params[0] * np.sin(2 * theta) - params[1] * np.sin(4 * theta) - x[1] * np.sin(theta)
    out[0] = moved % (2 * np.pi)
    out[1] = -params[2] * np.cos(theta)


@jit
def _grebogi_jacobian(x: Array, params: Array, out: Array) -> None:
    theta = x[0]
    out[0, 0] = 1 + 2 * params[0] * np.cos(2 * theta) - 4 * params[1] * np.cos(4 * theta) - x[1] * np.cos(theta)
    out[0, 1] = -np.sin(theta)
    out[1, 0] = params[2] * np.sin(theta)
    out[1, 1] = 0.0
