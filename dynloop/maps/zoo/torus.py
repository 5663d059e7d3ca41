"""Maps with angles, hyperbolic and conservative: `baker`, `cat`, `circle`, `standard`."""

# ruff: noqa: ARG001 - every step has the same signature

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.compiled import jit
from dynloop.maps.kernel import KernelMap
from dynloop.maps.zoo.parameters import box, finite
from dynloop.maps.zoo.symmetries import FLIP, MIRROR

__all__ = ["baker", "cat", "circle", "standard"]

TURN = 2 * math.pi


def cat() -> KernelMap:
    """Arnold's cat map ``x ← x + y mod 1``, ``y ← x + 2 y mod 1``.

    Returns
    -------
    KernelMap
        On states ``(2,)``, both angles of period 1; starts are uniform on the torus.

    Notes
    -----
    `facts`: exponents ±ln((3 + √5)/2) on every orbit, the fixed point 0, and #Fix(Fⁿ) = L(2n) − 2 with Lucas' numbers
    L: 1, 5, 16, 45, 121, 320. Source: Arnold and Avez, *Ergodic Problems of Classical Mechanics* (1968).

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.cat()([[0.25, 0.5]])
    array([[0.75, 0.25]])
    """
    growth = (3 + math.sqrt(5)) / 2
    facts = {
        "exponents": (math.log(growth), -math.log(growth)),
        "fixed_points": [np.zeros(2)],
        "multipliers": [np.array([1 / growth, growth])],
        "fixed_point_counts": (1, 5, 16, 45, 121, 320),
        "symmetries": MIRROR,
    }
    start = box([0, 0], [1, 1])
    return KernelMap(_cat, 2, jacobian=_cat_jacobian, periods=(1.0, 1.0), name="cat", start=start, facts=facts)


@jit
def _cat(x: Array, params: Array, out: Array) -> None:
    out[0] = (x[0] + x[1]) % 1.0
    out[1] = (x[0] + 2 * x[1]) % 1.0


@jit
def _cat_jacobian(x: Array, params: Array, out: Array) -> None:
    out[0, 0] = 1.0
    out[0, 1] = 1.0
    out[1, 0] = 1.0
    out[1, 1] = 2.0


def baker() -> KernelMap:
    """Baker's map ``x ← 2x mod 1``, ``y ← (y + ⌊2x⌋)/2`` on the unit square.

    Returns
    -------
    KernelMap
        On states ``(2,)``; starts are uniform on the square.

    Notes
    -----
    `facts`: exponents ±ln 2 on every orbit, the fixed point 0. Every orbit of binary floating point numbers falls on
    x = 0 after some 53 loops: an artefact of rounding. Source: Hopf, *Ergodentheorie* (1937).

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.baker()([[0.75, 0.5]])
    array([[0.5 , 0.75]])
    """
    facts = {
        "exponents": (math.log(2), -math.log(2)),
        "fixed_points": [np.zeros(2)],
        "multipliers": [np.array([0.5, 2.0])],
        "symmetries": FLIP,
    }
    start = box([0, 0], [1, 1])
    return KernelMap(_baker, 2, jacobian=_baker_jacobian, name="baker", start=start, facts=facts)


@jit
def _baker(x: Array, params: Array, out: Array) -> None:
    out[0] = (2 * x[0]) % 1.0
    out[1] = (x[1] + np.floor(2 * x[0])) / 2


@jit
def _baker_jacobian(x: Array, params: Array, out: Array) -> None:
    out[0, 0] = 2.0
    out[0, 1] = 0.0
    out[1, 0] = 0.0
    out[1, 1] = 0.5


def circle(omega: float = 0.5, k: float = 2.0) -> KernelMap:
    """Sine circle map ``θ ← θ + Ω − (K/2π) sin 2πθ mod 1``.

    Parameters
    ----------
    omega : float
        Ω, the turn per loop at K = 0.
    k : float
        K; a diffeomorphism for |K| < 1, critical at 1, not invertible beyond.

    Returns
    -------
    KernelMap
        On states ``(1,)``, an angle of period 1; starts are uniform on the circle.

    Notes
    -----
    `facts`: rotation number Ω at K = 0; fixed points where 2πΩ ≤ |K|, with multipliers 1 − K cos 2πθ.
    Source: Arnold (1965); Sprott (2003), A.1.10, whose parameters are the defaults.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.circle(omega=0.25, k=0.0)([[0.5]])
    array([[0.75]])
    """
    omega, k = finite("circle", omega=omega, k=k)
    facts: dict[str, Any] = {}
    if k == 0:
        facts = {"rotation_number": omega % 1.0, "exponents": (0.0,)}
    elif abs(TURN * omega / k) <= 1:
        angle = math.asin(TURN * omega / k) / TURN
        points = [angle % 1.0, (0.5 - angle) % 1.0]
        facts["fixed_points"] = [np.array([p]) for p in points]
        facts["multipliers"] = [np.array([1 - k * math.cos(TURN * p)]) for p in points]
    start = box([0], [1])
    return KernelMap(
        _circle,
        1,
        params=(omega, k),
        jacobian=_circle_jacobian,
        periods=(1.0,),
        name="circle",
        start=start,
        facts=facts,
    )


@jit
def _circle(x: Array, params: Array, out: Array) -> None:
    out[0] = (x[0] + params[0] - params[1] / (2 * np.pi) * np.sin(2 * np.pi * x[0])) % 1.0


@jit
def _circle_jacobian(x: Array, params: Array, out: Array) -> None:
    out[0, 0] = 1 - params[1] * np.cos(2 * np.pi * x[0])


def standard(k: float = 0.971635) -> KernelMap:
    """Chirikov's standard map ``p ← p + K sin θ``, ``θ ← θ + p``, both mod 2π; state (θ, p).

    Parameters
    ----------
    k : float
        K ≥ 0; the last rotational curve breaks at 0.971635….

    Returns
    -------
    KernelMap
        On states ``(2,)`` = (θ, p), both angles of period 2π; starts are uniform on the torus.

    Notes
    -----
    `facts`: exponents sum to 0; fixed points (0, 0) and (π, 0), the roots of λ² − (2 ± K) λ + 1; at K = 6 the measured
    exponent of the chaotic sea, 1.13612 ± 0.00055. Source: Chirikov, Phys. Rep. 52 (1979) 263.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.standard(0.0)([[1.0, 0.5]])
    array([[1.5, 0.5]])
    """
    (k,) = finite("standard", k=k)
    facts: dict[str, Any] = {
        "exponent_sum": 0.0,
        "symmetries": MIRROR,
        "fixed_points": [np.zeros(2), np.array([math.pi, 0.0])],
        "multipliers": [np.sort_complex(np.roots([1, -(2 + s * k), 1])) for s in (1, -1)],
    }
    if k == 6:
        facts["exponents_measured"] = (1.13612, -1.13612)
        facts["exponents_error"] = 0.00055
    start = box([0, 0], [TURN, TURN])
    return KernelMap(
        _standard,
        2,
        params=(k,),
        jacobian=_standard_jacobian,
        periods=(TURN, TURN),
        name="standard",
        start=start,
        facts=facts,
    )


@jit
def _standard(x: Array, params: Array, out: Array) -> None:
    p = x[1] + params[0] * np.sin(x[0])
    out[0] = (x[0] + p) % (2 * np.pi)
    out[1] = p % (2 * np.pi)


@jit
def _standard_jacobian(x: Array, params: Array, out: Array) -> None:
    slope = params[0] * np.cos(x[0])
    out[0, 0] = 1 + slope
    out[0, 1] = 1.0
    out[1, 0] = slope
    out[1, 1] = 1.0
