"""Maps of an interval: `logistic`, `tent`, `cubic`, `gauss`."""

# ruff: noqa: ARG001 - every step has the same signature

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.compiled import jit
from dynloop.maps.kernel import KernelMap
from dynloop.maps.zoo.parameters import box, finite
from dynloop.maps.zoo.symmetries import MIRROR

__all__ = ["cubic", "gauss", "logistic", "tent"]


def logistic(r: float = 4.0) -> KernelMap:
    """Logistic map ``x ← r x (1 − x)`` on [0, 1].

    Parameters
    ----------
    r : float
        0 ≤ r ≤ 4 keeps [0, 1]; beyond, almost every orbit escapes to −∞.

    Returns
    -------
    KernelMap
        On states ``(1,)``; starts are uniform in (0, 1).

    Notes
    -----
    `facts`: both fixed points with their multipliers r and 2 − r; the 2-cycle and its multiplier 4 + 2r − r² for
    r > 3; the exponent ``ln |2 − r|`` for 1 < r < 3, that of the 2-cycle for 3 < r < 1 + √6 and ln 2 at r = 4; the
    number of prime periodic orbits at r = 4. Source: May, Nature 261 (1976) 459.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.logistic(2.5)([[0.5]])
    array([[0.625]])
    """
    (r,) = finite("logistic", r=r)
    points, multipliers = [np.zeros(1)], [np.array([r])]
    if r != 0.0:
        points.append(np.array([1 - 1 / r]))
        multipliers.append(np.array([2 - r]))
    facts: dict[str, Any] = {"fixed_points": points, "multipliers": multipliers}
    if 1 < r < 3:
        facts["exponents"] = (_log(abs(2 - r)),)
    if r > 3:
        root = math.sqrt((r - 3) * (r + 1))
        facts["cycles"] = {2: np.array([[(r + 1 - root) / (2 * r)], [(r + 1 + root) / (2 * r)]])}
        facts["cycle_multipliers"] = {2: np.array([4 + 2 * r - r * r])}
    if 3 < r < 1 + math.sqrt(6):
        facts["exponents"] = (_log(abs(4 + 2 * r - r * r)) / 2,)
    if r == 4:
        facts["exponents"] = (math.log(2),)
        facts["prime_orbits"] = (2, 1, 2, 3, 6, 9, 18, 30, 56, 99)
    return KernelMap(
        _logistic, 1, params=(r,), jacobian=_logistic_jacobian, name="logistic", start=box([0.01], [0.99]), facts=facts
    )


@jit
def _logistic(x: Array, params: Array, out: Array) -> None:
    out[0] = params[0] * x[0] * (1 - x[0])


@jit
def _logistic_jacobian(x: Array, params: Array, out: Array) -> None:
    out[0, 0] = params[0] * (1 - 2 * x[0])


def tent(mu: float = 2.0) -> KernelMap:
    """Tent map ``x ← μ min(x, 1 − x)`` on [0, 1].

    Parameters
    ----------
    mu : float
        0 ≤ μ ≤ 2 keeps [0, 1].

    Returns
    -------
    KernelMap
        On states ``(1,)``; starts are uniform in (0, 1).

    Notes
    -----
    `facts`: exponent ln μ (μ > 0; exact on every orbit that misses the kink), fixed points 0 and μ/(1 + μ) with
    multipliers μ and −μ. At μ = 2 every orbit of binary floating point numbers collapses to 0 after some 53 loops: an
    artefact of rounding, since the doubling shifts the bits out. Source: Sprott, *Chaos and Time-Series Analysis*
    (2003), A.1.3.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.tent()([[0.25]])
    array([[0.5]])
    """
    (mu,) = finite("tent", mu=mu)
    facts: dict[str, Any] = {"fixed_points": [np.zeros(1)], "multipliers": [np.array([mu])]}
    if mu > 1:
        facts["fixed_points"].append(np.array([mu / (1 + mu)]))
        facts["multipliers"].append(np.array([-mu]))
    if mu > 0:
        facts["exponents"] = (math.log(mu),)
    return KernelMap(
        _tent, 1, params=(mu,), jacobian=_tent_jacobian, name="tent", start=box([0.01], [0.99]), facts=facts
    )


@jit
def _tent(x: Array, params: Array, out: Array) -> None:
    out[0] = params[0] * min(x[0], 1 - x[0])


@jit
def _tent_jacobian(x: Array, params: Array, out: Array) -> None:
    out[0, 0] = params[0] if x[0] < 0.5 else -params[0]


def cubic(a: float = 3.0) -> KernelMap:
    """Cubic map ``x ← a x (1 − x²)``.

    Parameters
    ----------
    a : float
        0 ≤ a ≤ 3 keeps the orbits of [−1, 1] bounded.

    Returns
    -------
    KernelMap
        On states ``(1,)``; starts are uniform in (−1, 1).

    Notes
    -----
    `facts`: exponent ln 3 at a = 3, where x = (2/√3) cos φ turns the map into φ ← 3φ + π; fixed points 0 and
    ±√(1 − 1/a) with multipliers a and 3 − 2a. Source: Sprott (2003), A.1.5.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.cubic()([[0.5]])
    array([[1.125]])
    """
    (a,) = finite("cubic", a=a)
    facts: dict[str, Any] = {
        "fixed_points": [np.zeros(1)], "multipliers": [np.array([a])], "symmetries": MIRROR
    }  # fmt: skip
    if a > 1:
        side = math.sqrt(1 - 1 / a)
        facts["fixed_points"] += [np.array([side]), np.array([-side])]
        facts["multipliers"] += [np.array([3 - 2 * a])] * 2
    if a == 3:
        facts["exponents"] = (math.log(3),)
    return KernelMap(_cubic, 1, params=(a,), jacobian=_cubic_jacobian, name="cubic", start=box([-1], [1]), facts=facts)


@jit
def _cubic(x: Array, params: Array, out: Array) -> None:
    out[0] = params[0] * x[0] * (1 - x[0] * x[0])


@jit
def _cubic_jacobian(x: Array, params: Array, out: Array) -> None:
    out[0, 0] = params[0] * (1 - 3 * x[0] * x[0])


def gauss() -> KernelMap:
    """Gauss's continued-fraction map ``x ← 1/x mod 1`` on [0, 1), with ``0 ← 0``.

    Returns
    -------
    KernelMap
        On states ``(1,)``; starts are uniform in (0, 1).

    Notes
    -----
    `facts`: exponent π²/(6 ln 2) (Lévy), fixed points (√(n² + 4) − n)/2 for n = 1, 2, 3 with multipliers −1/x².
    Source: Sprott (2003), A.1.7; Khinchin, *Continued Fractions* (1964).

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.gauss()([[0.4]])
    array([[0.5]])
    """
    points = [np.array([(math.sqrt(n * n + 4) - n) / 2]) for n in (1, 2, 3)]
    facts = {
        "fixed_points": points,
        "multipliers": [-1 / p**2 for p in points],
        "exponents": (math.pi**2 / (6 * math.log(2)),),
    }
    return KernelMap(_gauss, 1, jacobian=_gauss_jacobian, name="gauss", start=box([0.01], [0.99]), facts=facts)


@jit
def _gauss(x: Array, params: Array, out: Array) -> None:
    out[0] = 0.0 if x[0] == 0.0 else (1 / x[0]) % 1.0


@jit
def _gauss_jacobian(x: Array, params: Array, out: Array) -> None:
    out[0, 0] = -1 / (x[0] * x[0])


def _log(x: float) -> float:
    """Return ln x, −∞ at 0: the exponent of a superstable orbit."""
    return math.log(x) if x > 0 else -math.inf
