"""Maps of several coupled units: `coupled_logistic`, `folded_towel`, `rulkov`, `tanh_network`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.maps.base import Array
from dynloop.maps.compiled import dot, jit
from dynloop.maps.kernel import KernelMap
from dynloop.maps.zoo.parameters import box, finite
from dynloop.maps.zoo.symmetries import MIRROR, SWAP

__all__ = ["coupled_logistic", "folded_towel", "rulkov", "tanh_network"]


def coupled_logistic(r: float = 4.0, coupling: float = 0.1) -> KernelMap:
    """Two coupled logistic maps: ``x ← (1 − ε) f(x) + ε f(y)`` and the same for y, ``f(x) = r x (1 − x)``.

    Parameters
    ----------
    r : float
        0 ≤ r ≤ 4.
    coupling : float
        ε in [0, 1].

    Returns
    -------
    KernelMap
        On states ``(2,)``; starts are uniform in (0, 1)².

    Notes
    -----
    `facts`: the synchronised fixed points 0 and (1 − 1/r)·(1, 1), whose multipliers are f′ and (1 − 2ε) f′; at r = 4
    the exponents on the diagonal, ln 2 and ln 2 + ln |1 − 2ε|, as ``synchronised_exponents`` (the diagonal attracts
    where the second is negative). Source: Kaneko, Prog. Theor. Phys. 69 (1983) 1427.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.coupled_logistic()([[0.5, 0.5]])
    array([[1., 1.]])
    """
    r, coupling = finite("coupled_logistic", r=r, coupling=coupling)
    across = 1 - 2 * coupling
    points, slopes = [np.zeros(2)], [r]
    if r != 0:
        points.append(np.full(2, 1 - 1 / r))
        slopes.append(2 - r)
    facts: dict[str, Any] = {
        "symmetries": SWAP,
        "fixed_points": points,
        "multipliers": [np.sort_complex(np.array([s, across * s], dtype=complex)) for s in slopes],
    }
    if r == 4 and across != 0:
        facts["synchronised_exponents"] = (math.log(2), math.log(2) + math.log(abs(across)))
    start = box([0.01, 0.01], [0.99, 0.99])
    return KernelMap(
        _coupled,
        2,
        params=(r, coupling),
        jacobian=_coupled_jacobian,
        name="coupled_logistic",
        start=start,
        facts=facts,
    )


@jit
def _coupled(x: Array, params: Array, out: Array) -> None:
    f = params[0] * x[0] * (1 - x[0])
    g = params[0] * x[1] * (1 - x[1])
    out[0] = (1 - params[1]) * f + params[1] * g
    out[1] = (1 - params[1]) * g + params[1] * f


@jit
def _coupled_jacobian(x: Array, params: Array, out: Array) -> None:
    f = params[0] * (1 - 2 * x[0])
    g = params[0] * (1 - 2 * x[1])
    out[0, 0] = (1 - params[1]) * f
    out[0, 1] = params[1] * g
    out[1, 0] = params[1] * f
    out[1, 1] = (1 - params[1]) * g


def folded_towel(a: float = 3.8, b: float = 0.2) -> KernelMap:
    """Rössler's folded towel, a hyperchaotic map of three coordinates.

    ``x ← a x (1 − x) − 0.05 (y + 0.35)(1 − 2z)``, ``y ← 0.1 ((y + 0.35)(1 − 2z) − 1)(1 − 1.9x)``,
    ``z ← 3.78 z (1 − z) + b y``.

    Parameters
    ----------
    a, b : float
        Any; two positive exponents at the defaults.

    Returns
    -------
    KernelMap
        On states ``(3,)``; starts are uniform near (0.085, −0.121, 0.075).

    Notes
    -----
    `facts`: at the defaults the measured exponents. Source: Rössler, Phys. Lett. A 71 (1979) 155.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.folded_towel()([[0.0, -0.35, 0.0]]).round(12)
    array([[ 0.  , -0.1 , -0.07]])
    """
    a, b = finite("folded_towel", a=a, b=b)
    facts: dict[str, Any] = {}
    if (a, b) == (3.8, 0.2):
        facts = {"exponents_measured": (0.4306, 0.3775, -3.301), "exponents_error": 0.003}
    start = box([0.08, -0.125, 0.07], [0.09, -0.115, 0.08])
    return KernelMap(_towel, 3, params=(a, b), jacobian=_towel_jacobian, name="folded_towel", start=start, facts=facts)


@jit
def _towel(x: Array, params: Array, out: Array) -> None:
    out[0] = params[0] * x[0] * (1 - x[0]) - 0.05 * (x[1] + 0.35) * (1 - 2 * x[2])
    out[1] = 0.1 * ((x[1] + 0.35) * (1 - 2 * x[2]) - 1) * (1 - 1.9 * x[0])
    out[2] = 3.78 * x[2] * (1 - x[2]) + params[1] * x[1]


@jit
def _towel_jacobian(x: Array, params: Array, out: Array) -> None:
    out[0, 0] = params[0] * (1 - 2 * x[0])
    out[0, 1] = -0.05 * (1 - 2 * x[2])
    out[0, 2] = 0.1 * (x[1] + 0.35)
    out[1, 0] = -0.19 * ((x[1] + 0.35) * (1 - 2 * x[2]) - 1)
    out[1, 1] = 0.1 * (1 - 2 * x[2]) * (1 - 1.9 * x[0])
    out[1, 2] = -0.2 * (x[1] + 0.35) * (1 - 1.9 * x[0])
    out[2, 0] = 0.0
    out[2, 1] = params[1]
    out[2, 2] = 3.78 * (1 - 2 * x[2])


def rulkov(alpha: float = 4.1, sigma: float = 0.001, beta: float = 0.001) -> KernelMap:
    """Rulkov's neuron ``x ← α/(1 + x²) + y``, ``y ← y − σ x − β``: fast spikes on a slow variable.

    Parameters
    ----------
    alpha : float
        Rest for α < 2, spikes beyond, chaotic bursts for α > 4.
    sigma, beta : float
        Small and positive: the rate of the slow variable and its bias.

    Returns
    -------
    KernelMap
        On states ``(2,)``; starts are uniform near (−1, −2.9).

    Notes
    -----
    `facts`: the fixed point x = −β/σ, y = x − α/(1 + x²) and its multipliers. Source: Rulkov, Phys. Rev. Lett. 86
    (2001) 183.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.rulkov(alpha=4.0)([[1.0, -3.0]]).round(12)
    array([[-1.   , -3.002]])
    """
    alpha, sigma, beta = finite("rulkov", alpha=alpha, sigma=sigma, beta=beta)
    facts: dict[str, Any] = {}
    if sigma != 0:
        x = -beta / sigma
        slope = -2 * alpha * x / (1 + x * x) ** 2
        facts["fixed_points"] = [np.array([x, x - alpha / (1 + x * x)])]
        facts["multipliers"] = [np.sort_complex(np.roots([1, -(1 + slope), slope + sigma]))]
    start = box([-1.1, -2.95], [-0.9, -2.85])
    return KernelMap(
        _rulkov, 2, params=(alpha, sigma, beta), jacobian=_rulkov_jacobian, name="rulkov", start=start, facts=facts
    )


@jit
def _rulkov(x: Array, params: Array, out: Array) -> None:
    out[0] = params[0] / (1 + x[0] * x[0]) + x[1]
    out[1] = x[1] - params[1] * x[0] - params[2]


@jit
def _rulkov_jacobian(x: Array, params: Array, out: Array) -> None:
    square = 1 + x[0] * x[0]
    out[0, 0] = -2 * params[0] * x[0] / (square * square)
    out[0, 1] = 1.0
    out[1, 0] = -params[1]
    out[1, 1] = 1.0


def tanh_network(N: int = 100, g: float = 1.5, seed: int = 0, delta: float = 1.0) -> KernelMap:
    """Random recurrent network ``x ← (1 − δ) x + δ J tanh x``, J with independent entries N(0, g²/N).

    Parameters
    ----------
    N : int
        Number of units.
    g : float
        Gain: for large N the origin attracts for g < 1, the network is chaotic beyond.
    seed : int
        Seed of J.
    delta : float
        δ in (0, 1], the step of time.

    Returns
    -------
    KernelMap
        On states ``(N,)``; starts are N(0, 1).

    Raises
    ------
    InvalidArgumentError
        If N is no positive integer, or g or δ no finite number.

    Notes
    -----
    `facts`: the fixed point 0 and its multipliers 1 − δ + δ·spec J. Source: Sompolinsky, Crisanti and Sommers, Phys.
    Rev. Lett. 61 (1988) 259; exponents: Engelken, Wolf and Abbott, Phys. Rev. Research 5 (2023) 043044.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.tanh_network(8)([[0.0] * 8]).any()
    np.False_
    """
    g, delta = finite("tanh_network", g=g, delta=delta)
    N = checked_int(N, "N of tanh_network", 1, meaning="the number of units", remedy="Leave it out for 100")
    J = np.random.default_rng(seed).standard_normal((N, N)) * (g / math.sqrt(N))
    facts: dict[str, Any] = {
        "symmetries": MIRROR,
        "fixed_points": [np.zeros(N)],
        "multipliers": [np.sort_complex(1 - delta + delta * np.linalg.eigvals(J))],
    }
    params = np.concatenate([[delta], J.ravel()])
    return KernelMap(
        _tanh, N, params=params, tangent=_tanh_tangent, name="tanh_network", start=_normal(int(N)), facts=facts
    )


def _normal(N: int) -> Any:
    return lambda rng, n: rng.standard_normal((n, N))


@jit
def _tanh(x: Array, params: Array, out: Array) -> None:
    N, delta = x.shape[0], params[0]
    t = np.empty(N)
    for j in range(N):
        t[j] = np.tanh(x[j])
    for i in range(N):
        out[i] = (1 - delta) * x[i] + delta * dot(params[1 + i * N : 1 + (i + 1) * N], t)


@jit
def _tanh_tangent(x: Array, V: Array, params: Array, out: Array, W: Array) -> None:
    N, k, delta = x.shape[0], V.shape[0], params[0]
    t, S = np.empty(N), np.empty((k, N))
    for j in range(N):
        t[j] = np.tanh(x[j])
        for a in range(k):
            S[a, j] = (1 - t[j] * t[j]) * V[a, j]
    for i in range(N):
        row = params[1 + i * N : 1 + (i + 1) * N]
        out[i] = (1 - delta) * x[i] + delta * dot(row, t)
        for a in range(k):
            W[a, i] = (1 - delta) * V[a, i] + delta * dot(row, S[a])
