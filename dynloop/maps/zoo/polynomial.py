"""Newton's method as a map of the plane: `newton`, whose attractors are the roots of a polynomial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array
from dynloop.maps.compiled import jit
from dynloop.maps.kernel import KernelMap
from dynloop.maps.zoo.parameters import box
from dynloop.maps.zoo.symmetries import CONJUGATION, turn

__all__ = ["newton"]


def newton(coefficients: Sequence[complex] = (1, 0, 0, -1)) -> KernelMap:
    """Newton's method ``z ← z − P(z)/P′(z)`` for a polynomial, on (Re z, Im z).

    Parameters
    ----------
    coefficients : sequence of complex
        Of P, highest power first; the degree is 2 or more. z³ − 1 by default.

    Returns
    -------
    KernelMap
        On states ``(2,)``; starts are uniform in [−1, 1]².

    Raises
    ------
    InvalidArgumentError
        If the polynomial has degree below 2 or a coefficient is not finite.

    Notes
    -----
    `facts`: the fixed points and attractors are the roots; the multipliers of a simple root are 0. Where P′ is 0, the
    next state is not finite. Source: Cayley, Am. J. Math. 2 (1879) 97; basins: Epureanu and Greenside, SIAM Rev. 40
    (1998) 102.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.zoo.newton((1, 0, -1))([[2.0, 0.0]])
    array([[1.25, 0.  ]])
    """
    try:
        P = np.array(coefficients, dtype=np.complex128).reshape(-1)
    except (TypeError, ValueError):
        raise InvalidArgumentError(
            f"coefficients of newton must be a sequence of numbers, highest power first; got {coefficients!r}"
        ) from None
    if P.size < 3 or P[0] == 0 or not np.isfinite(P).all():
        raise InvalidArgumentError(
            "coefficients of newton must be finite, of degree 2 or more, and start with the highest power, not 0; "
            f"got {coefficients!r}. Pass (1, 0, 0, -1) for z³ − 1"
        )
    roots = np.roots(P)
    points = [np.array([z.real, z.imag]) for z in roots]
    simple = all(np.sum(np.abs(roots - z) < 1e-6 * (1 + abs(z))) == 1 for z in roots)
    facts: dict[str, Any] = {"symmetries": {} if P.imag.any() else CONJUGATION}
    if not P[1:-1].any() and len(P) > 2:
        facts["symmetries"] = {**facts["symmetries"], **turn(2 * np.pi / (len(P) - 1))}
    if simple:
        facts |= {"fixed_points": points, "attractors": points, "multipliers": [np.zeros(2)] * len(points)}
    params = np.stack([P.real, P.imag], axis=1).ravel()
    start = box([-1, -1], [1, 1])
    return KernelMap(_newton, 2, params=params, jacobian=_newton_jacobian, name="newton", start=start, facts=facts)


@jit
def _newton(x: Array, params: Array, out: Array) -> None:
    p, q = 0j, 0j  # P and P' by Horner's rule
    z = complex(x[0], x[1])
    for i in range(params.shape[0] // 2):
        q = q * z + p
        p = p * z + complex(params[2 * i], params[2 * i + 1])
    size = q.real * q.real + q.imag * q.imag
    out[0] = x[0] - (p.real * q.real + p.imag * q.imag) / size
    out[1] = x[1] - (p.imag * q.real - p.real * q.imag) / size


@jit
def _newton_jacobian(x: Array, params: Array, out: Array) -> None:
    p, q, r = 0j, 0j, 0j  # P, P' and P''/2
    z = complex(x[0], x[1])
    for i in range(params.shape[0] // 2):
        r = r * z + q
        q = q * z + p
        p = p * z + complex(params[2 * i], params[2 * i + 1])
    square = q * q
    size = square.real * square.real + square.imag * square.imag
    top = 2 * p * r
    a = (top.real * square.real + top.imag * square.imag) / size
    b = (top.imag * square.real - top.real * square.imag) / size
    out[0, 0] = a
    out[0, 1] = -b
    out[1, 0] = b
    out[1, 1] = a
