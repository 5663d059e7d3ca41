"""Rotation with an attracting radius: `ring`, the exact model of quasi-periodic and neutrally periodic orbits."""

from __future__ import annotations

import math

import numpy as np

from dynloop.maps.base import Array
from dynloop.maps.compiled import jit
from dynloop.maps.kernel import KernelMap
from dynloop.maps.zoo.parameters import finite
from dynloop.maps.zoo.symmetries import turn

__all__ = ["GOLDEN_ANGLE", "ring"]

GOLDEN_ANGLE = 2 * math.pi * (math.sqrt(5) - 1) / 2


def ring(angle: float = GOLDEN_ANGLE, rate: float = 0.5) -> KernelMap:
    """Rotation of the plane with an attracting circle, ``z ← e^{iα} z (1 + c (1 − |z|))``.

    Parameters
    ----------
    angle : float
        α, the turn per loop. With α/2π irrational (golden by default) every orbit on the circle is quasi-periodic,
        with α = 2πq/p the circle consists of neutral p-cycles.
    rate : float
        c, 0 < c < 2; the distance to the circle shrinks by |1 − c| per loop.

    Returns
    -------
    KernelMap
        On states ``(2,)``, (Re z, Im z); starts have 0.5 ≤ |z| ≤ 1.5.

    Notes
    -----
    `facts`: exponents 0 and ln |1 − c| on the circle |z| = 1, the rotation number α/2π, the fixed point 0 with
    multipliers (1 + c) e^{±iα}. Source: made for dynloop, after the normal form of a Neimark–Sacker bifurcation
    (Kuznetsov, *Elements of Applied Bifurcation Theory*, ch. 4).

    Examples
    --------
    >>> import math, dynloop as dl
    >>> dl.zoo.ring(math.pi / 2)([[1.0, 0.0]]).round(12)
    array([[0., 1.]])
    """
    angle, rate = finite("ring", angle=angle, rate=rate)
    contraction = abs(1 - rate)
    facts = {
        "symmetries": turn(1.0),
        "exponents": tuple(sorted((0.0, math.log(contraction) if contraction else -math.inf), reverse=True)),
        "rotation_number": angle / (2 * math.pi) % 1.0,
        "fixed_points": [np.zeros(2)],
        "multipliers": [np.sort_complex((1 + rate) * np.exp(np.array([1j, -1j]) * angle))],
    }
    params = (math.cos(angle), math.sin(angle), rate)
    return KernelMap(_ring, 2, params=params, jacobian=_ring_jacobian, name="ring", start=_annulus, facts=facts)


def _annulus(rng: np.random.Generator, n: int) -> Array:
    """Draw starts with 0.5 ≤ |z| ≤ 1.5, any argument."""
    radius, argument = rng.uniform(0.5, 1.5, n), rng.uniform(0, 2 * math.pi, n)
    return np.stack([radius * np.cos(argument), radius * np.sin(argument)], axis=1)


@jit
def _ring(x: Array, params: Array, out: Array) -> None:
    stretch = 1 + params[2] * (1 - np.sqrt(x[0] * x[0] + x[1] * x[1]))
    out[0] = stretch * (params[0] * x[0] - params[1] * x[1])
    out[1] = stretch * (params[1] * x[0] + params[0] * x[1])


@jit
def _ring_jacobian(x: Array, params: Array, out: Array) -> None:
    cos, sin = params[0], params[1]
    radius = np.sqrt(x[0] * x[0] + x[1] * x[1])
    stretch = 1 + params[2] * (1 - radius)
    u = cos * x[0] - sin * x[1]
    v = sin * x[0] + cos * x[1]
    slope = -params[2] / radius if radius > 0 else 0.0
    out[0, 0] = stretch * cos + slope * x[0] * u
    out[0, 1] = -stretch * sin + slope * x[1] * u
    out[1, 0] = stretch * sin + slope * x[0] * v
    out[1, 1] = stretch * cos + slope * x[1] * v
