"""Maps of few coordinates with known classes, as torch callables on ``(…, n)``: what the other constructions hide."""

from __future__ import annotations

import math

import numpy as np
import torch

from dynloop.maps.base import Array
from dynloop.testing.known.coordinates import Core, fixed

__all__ = [
    "beside", "cat", "chebyshev", "henon", "logistic", "match", "rest", "rotation", "same", "sine", "star",
    "superstable_logistic", "tent", "twist",
]  # fmt: skip


def same(z: torch.Tensor) -> torch.Tensor:
    """Return z: an idle layer."""
    return z


def rest(rate: float) -> Core:
    """``z ← rate z``."""
    return lambda z: rate * z


def logistic(r: float) -> Core:
    """``x ← r x (1 − x)`` with x clamped to [0, 1], so that rounding at r = 4 does not let it escape."""

    def step(z: torch.Tensor) -> torch.Tensor:
        x = z.clamp(0.0, 1.0)
        return r * x * (1 - x)

    return step


def sine(a: float) -> Core:
    """``x ← a sin(π x)``."""
    return lambda z: a * torch.sin(math.pi * z)


def chebyshev(n: int) -> Core:
    """``x ← T_n(x) = cos(n arccos x)`` on [−1, 1]: exponent ln n. T_2 and T_3 as polynomials, T_4 = T_2 ∘ T_2."""

    def step(z: torch.Tensor) -> torch.Tensor:
        x = z.clamp(-1.0, 1.0)
        if n == 3:
            return 4 * x * x * x - 3 * x
        x = 2 * x * x - 1
        return x if n == 2 else 2 * x * x - 1

    return step


def tent(slope: float) -> Core:
    """``x ← slope·min(x, 1 − x)``, 1 < slope < 2: exponent ln slope."""
    return lambda z: slope * torch.minimum(z, 1 - z)


def henon(a: float = 1.4, b: float = 0.3) -> Core:
    """Hénon map, scaled to the unit square about 0."""
    return lambda z: torch.stack([1 - a * z[..., 0] ** 2 + z[..., 1], b * z[..., 0]], dim=-1)


def cat(z: torch.Tensor) -> torch.Tensor:
    """Arnold's cat map ``(x, y) ← (2x + y, x + y) mod 1``: exponent ln((3 + √5)/2)."""
    x, y = z[..., 0], z[..., 1]
    return torch.remainder(torch.stack([2 * x + y, x + y], dim=-1), 1.0)


def rotation(turns: float, rate: float = 0.5) -> Core:
    """Turn of the plane by `turns`, onto the unit circle: ``z ← e^{2πi·turns} z (1 + c(1 − |z|))``, c = 1 − rate."""
    matrix = fixed(_turn(2 * math.pi * turns))

    def step(z: torch.Tensor) -> torch.Tensor:
        radius: torch.Tensor = torch.linalg.vector_norm(z, dim=-1, keepdim=True)
        return (1 + (1 - rate) * (1 - radius)) * (z @ matrix(z).T)

    return step


def star(period: int, winding: int, pull: float = 0.3) -> Core:
    """Turn by winding/period after a pull to the angles 2πj/period of the unit circle: one attracting cycle.

    The multipliers of a loop are 1 − pull (along the circle) and 1/2.
    """
    matrix = fixed(_turn(2 * math.pi * winding / period))

    def step(z: torch.Tensor) -> torch.Tensor:
        length: torch.Tensor = torch.linalg.vector_norm(z, dim=-1)
        radius, angle = 1 + 0.5 * (length - 1), torch.atan2(z[..., 1], z[..., 0])
        angle = angle - pull * torch.sin(period * angle) / period
        return (radius[..., None] * torch.stack([torch.cos(angle), torch.sin(angle)], dim=-1)) @ matrix(z).T

    return step


def twist(z: torch.Tensor) -> torch.Tensor:
    """Integrable twist ``(θ, I) ← (θ + I mod 1, I)`` as a rotation of the plane by I turns and I itself, ``(…, 3)``."""
    angle = 2 * math.pi * z[..., 2]
    cos, sin = torch.cos(angle), torch.sin(angle)
    return torch.stack([cos * z[..., 0] - sin * z[..., 1], sin * z[..., 0] + cos * z[..., 1], z[..., 2]], dim=-1)


def match(points: Array, sharpness: float, rate: float) -> Core:
    """Attention over stored points, each answered by the next: ``x ← Σ w_j y_{j+1} + rate (x − Σ w_j y_j)``.

    w = softmax(−sharpness ‖x − y_j‖²); the points ``(p, n)`` are a cycle of period p to within their overlap.
    """
    now, later = fixed(points), fixed(np.roll(points, -1, axis=0))

    def step(z: torch.Tensor) -> torch.Tensor:
        weights = torch.softmax(-sharpness * ((z[..., None, :] - now(z)) ** 2).sum(dim=-1), dim=-1)
        return weights @ later(z) + rate * (z - weights @ now(z))

    return step


def beside(*parts: tuple[Core, int]) -> Core:
    """Put cores side by side: (core, number of coordinates) each."""
    sizes = [n for _, n in parts]

    def step(z: torch.Tensor) -> torch.Tensor:
        pieces = torch.split(z, sizes, dim=-1)
        return torch.cat([core(piece) for (core, _), piece in zip(parts, pieces, strict=True)], dim=-1)

    return step


def superstable_logistic(doublings: int) -> float:
    """Return r of the doubling cascade at which x = 1/2 has period 2^doublings: the multiplier there is 0."""
    r, before = 1 + math.sqrt(5.0), 2.0
    for j in range(2, doublings + 1):
        guess = r + (r - before) / (4.669201609 if j > 2 else 4.7)
        r, before = _solve(guess, 2**j), r
    return 2.0 if doublings == 0 else r


def _solve(r: float, period: int) -> float:
    """Solve F_r^period(1/2) = 1/2 by Newton."""
    for _ in range(60):
        x, slope = 0.5, 0.0
        for _ in range(period):
            slope, x = x * (1 - x) + r * (1 - 2 * x) * slope, r * x * (1 - x)
        move = (x - 0.5) / slope
        r -= move
        if abs(move) < 1e-15:
            break
    return r


def _turn(angle: float) -> Array:
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
