"""Maps that sample a driven oscillator or a laser cavity: `ikeda`, `holmes_cubic`, `duffing_map`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.compiled import jit
from dynloop.maps.kernel import KernelMap
from dynloop.maps.zoo.parameters import box, finite
from dynloop.maps.zoo.symmetries import MIRROR

__all__ = ["duffing_map", "holmes_cubic", "ikeda"]


def ikeda(mu: float = 0.9, alpha: float = 6.0, beta: float = 0.4, gamma: float = 1.0) -> KernelMap:
    """Ikeda map ``z ← γ + μ z e^{iφ}`` with ``φ = β − α/(1 + |z|²)``, on (Re z, Im z).

    Parameters
    ----------
    mu : float
        0 ≤ μ < 1, the share of light that stays in the cavity; areas shrink by μ².
    alpha, beta, gamma : float
        Any; the classic attractor is at the defaults.

    Returns
    -------
    KernelMap
        On states ``(2,)``; starts are uniform in [0, 0.1]².

    Notes
    -----
    `facts`: sum of exponents 2 ln μ. Source: Ikeda, Opt. Commun. 30 (1979) 257; Sprott (2003), A.2.9.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.ikeda()([[0.0, 0.0]])
    array([[1., 0.]])
    """
    params = finite("ikeda", mu=mu, alpha=alpha, beta=beta, gamma=gamma)
    facts = {"exponent_sum": 2 * math.log(abs(mu))} if mu else {}
    start = box([0, 0], [0.1, 0.1])
    return KernelMap(_ikeda, 2, params=params, jacobian=_ikeda_jacobian, name="ikeda", start=start, facts=facts)


@jit
def _ikeda(x: Array, params: Array, out: Array) -> None:
    phi = params[2] - params[1] / (1 + x[0] * x[0] + x[1] * x[1])
    cos, sin = np.cos(phi), np.sin(phi)
    out[0] = params[3] + params[0] * (x[0] * cos - x[1] * sin)
    out[1] = params[0] * (x[0] * sin + x[1] * cos)


@jit
def _ikeda_jacobian(x: Array, params: Array, out: Array) -> None:
    square = 1 + x[0] * x[0] + x[1] * x[1]
    phi = params[2] - params[1] / square
    cos, sin = np.cos(phi), np.sin(phi)
    u = params[0] * (x[0] * cos - x[1] * sin)
    v = params[0] * (x[0] * sin + x[1] * cos)
    slope = 2 * params[1] / (square * square)
    out[0, 0] = params[0] * cos - v * slope * x[0]
    out[0, 1] = -params[0] * sin - v * slope * x[1]
    out[1, 0] = params[0] * sin + u * slope * x[0]
    out[1, 1] = params[0] * cos + u * slope * x[1]


def holmes_cubic(d: float = 2.77, b: float = 0.2) -> KernelMap:
    """Holmes's cubic map ``x ← y``, ``y ← −b x + d y − y³``.

    Parameters
    ----------
    d, b : float
        Any; |b| < 1 contracts areas, the classic attractor is at (2.77, 0.2).

    Returns
    -------
    KernelMap
        On states ``(2,)``; starts are uniform near (1.6, 0).

    Notes
    -----
    `facts`: the fixed points 0 and ±√(d − b − 1)·(1, 1) with their multipliers; sum of exponents ln |b|.
    Source: Holmes, Phil. Trans. R. Soc. A 292 (1979) 419; Sprott (2003), A.2.7.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.holmes_cubic(d=2.0, b=0.5)([[1.0, 1.0]])
    array([[1. , 0.5]])
    """
    return _cubic_oscillator("holmes_cubic", *finite("holmes_cubic", d=d, b=b))


def duffing_map(a: float = 2.75, b: float = 0.2) -> KernelMap:
    """Duffing map ``x ← y``, ``y ← −b x + a y − y³``: `holmes_cubic` under its other name.

    Parameters
    ----------
    a, b : float
        Any; the classic attractor is at (2.75, 0.2).

    Returns
    -------
    KernelMap
        On states ``(2,)``; starts are uniform near (1.6, 0).

    Notes
    -----
    `facts`: as for `holmes_cubic`. Source: Holmes, Phil. Trans. R. Soc. A 292 (1979) 419.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.duffing_map(a=2.0, b=0.5)([[1.0, 1.0]])
    array([[1. , 0.5]])
    """
    return _cubic_oscillator("duffing_map", *finite("duffing_map", a=a, b=b))


def _cubic_oscillator(name: str, d: float, b: float) -> KernelMap:
    points, slopes = [np.zeros(2)], [d]
    if d - b - 1 > 0:
        side = math.sqrt(d - b - 1)
        points += [np.full(2, side), np.full(2, -side)]
        slopes += [d - 3 * side**2] * 2
    multipliers = [np.sort_complex(np.roots([1, -slope, b])) for slope in slopes]
    facts: dict[str, Any] = {"fixed_points": points, "multipliers": multipliers, "symmetries": MIRROR}
    if b != 0:
        facts["exponent_sum"] = math.log(abs(b))
    start = box([1.55, -0.05], [1.65, 0.05])
    return KernelMap(_duffing, 2, params=(d, b), jacobian=_duffing_jacobian, name=name, start=start, facts=facts)


@jit
def _duffing(x: Array, params: Array, out: Array) -> None:
    out[0] = x[1]
    out[1] = -params[1] * x[0] + params[0] * x[1] - x[1] * x[1] * x[1]


@jit
def _duffing_jacobian(x: Array, params: Array, out: Array) -> None:
    out[0, 0] = 0.0
    out[0, 1] = 1.0
    out[1, 0] = -params[1]
    out[1, 1] = params[0] - 3 * x[1] * x[1]
