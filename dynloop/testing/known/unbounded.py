"""Orbits without a limit and without return: rays, drifts, growth of every pace."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from dynloop.maps.base import Array
from dynloop.maps.torch import TorchMap
from dynloop.testing.known.coordinates import Core, affine_layer, fixed, orthogonal
from dynloop.testing.known.record import KnownMap, known

__all__ = ["SCALAR", "divergent", "line", "spiral_drift", "translation", "turning", "weighted_ray"]

# growth on the half line x > 0 by name: (increment, start, what is right)
SCALAR: dict[str, tuple[Callable[[torch.Tensor], torch.Tensor], float, str]] = {
    "e^-x": (lambda x: torch.exp(-x), 0.0, "DRIFT"),
    "1/(1+x)": (lambda x: 1 / (1 + x), 0.5, "DRIFT"),
    "1/(1+x²)": (lambda x: 1 / (1 + x * x), 0.5, "DRIFT"),
    "1/√(1+x)": (lambda x: torch.rsqrt(1 + x), 0.5, "DRIFT"),
    "1+1/x": (lambda x: 1 + 1 / x, 1.0, "RAY"),
    "1+e^-x": (lambda x: 1 + torch.exp(-x), 1.0, "RAY"),
    "2+sin x/(1+x)": (lambda x: 2 + torch.sin(x) / (1 + x), 1.0, "RAY"),
    "√x": (lambda x: torch.sqrt(x), 1.0, ""),
    "x^0.9": (lambda x: x**0.9, 1.0, ""),
    "log(2+x)": (lambda x: torch.log(2 + x), 1.0, ""),
    "1/log(2+x)": (lambda x: 1 / torch.log(2 + x), 1.0, "DRIFT"),
    "x/log(3+x)": (lambda x: x / torch.log(3 + x), 1.0, ""),
    "0.01x": (lambda x: 0.01 * x, 1.0, "DIVERGENT"),
    "x²": (lambda x: x * x, 1.0, "DIVERGENT"),
}


def line(rng: np.random.Generator, *, kind: str, dim: int = 1, dtype: torch.dtype = torch.float64) -> KnownMap:
    """Make ``x ← x + g(x)`` along one direction of `dim`, beside a contraction; see `SCALAR`."""
    grow, start, right = SCALAR[kind]
    Q = orthogonal(rng, dim)
    rotation = fixed(Q)

    def step(x: torch.Tensor) -> torch.Tensor:
        z = x @ rotation(x)
        a, rest = z[..., :1], z[..., 1:]
        return torch.cat([a + grow(a), 0.5 * rest], dim=-1) @ rotation(x).T

    first = np.concatenate([[start * rng.uniform(1.0, 1.5)], rng.standard_normal(dim - 1)]) @ Q.T
    name = f"x + {kind} dim {dim}"
    return known(name, TorchMap([step], (dim,), dtype=dtype, name=name), first, right, period=-1)


def translation(rng: np.random.Generator, *, dim: int, layers: int, dtype: torch.dtype = torch.float64) -> KnownMap:
    """Make layers ``x ← x + c_l`` whose sum is not zero: the ray in its plainest form."""
    shifts = rng.standard_normal((layers, dim))

    def layer(c: Array) -> Core:
        constant = fixed(c)
        return lambda x: x + constant(x)

    name = f"translation dim {dim} layers {layers}"
    m = TorchMap([layer(c) for c in shifts], (dim,), dtype=dtype, name=name)
    return known(name, m, rng.standard_normal(dim), "RAY", period=-1)


def weighted_ray(
    rng: np.random.Generator, *, dim: int, second: float = 0.3, bounded: bool = True, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make ``x ← x + M u``, u ≈ x/|x|, M symmetric with eigenvalues 1 and below `second`: a ray along the first."""
    Q = orthogonal(rng, dim)
    values = np.concatenate([[1.0], rng.uniform(-0.5, second, dim - 1)])
    M = fixed((Q * values) @ Q.T)
    W = fixed(0.1 * rng.standard_normal((dim, dim)) / dim)

    def step(x: torch.Tensor) -> torch.Tensor:
        u = x / torch.sqrt(1 + (x * x).sum(dim=-1, keepdim=True))
        extra = torch.exp(-(x * x).sum(dim=-1, keepdim=True)) @ torch.ones(1, dim, dtype=x.dtype)
        return x + u @ M(x) + (extra @ W(x) if bounded else 0)

    name = f"ray to an eigenvector dim {dim}"
    start = Q[:, 0] * rng.uniform(1, 3) + 0.5 * rng.standard_normal(dim)
    if start @ Q[:, 0] < 0.2:
        start += Q[:, 0]
    return known(name, TorchMap([step], (dim,), dtype=dtype, name=name), start, "RAY", period=-1)


def turning(rng: np.random.Generator, *, angle: float = 0.5, dtype: torch.dtype = torch.float64) -> KnownMap:
    """Make ``x ← x + R x/|x|``, R a turn by `angle`: linear growth whose direction turns in log t for ever."""
    c, s = np.cos(angle), np.sin(angle)
    R = fixed(np.array([[c, s], [-s, c]]))

    def step(x: torch.Tensor) -> torch.Tensor:
        length: torch.Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x + (x / length) @ R(x)

    name = f"linear growth turning by {angle}"
    return known(name, TorchMap([step], (2,), dtype=dtype, name=name), rng.standard_normal(2) + 2, "", period=-1)


def spiral_drift(
    rng: np.random.Generator, *, decay: int, turn: int, dim: int = 2, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make ``u ← u − u^decay, θ ← θ + u^turn`` about the unit circle, u = 1 − r.

    u ~ t^(−1/(decay−1)), so angles do not sum where turn ≤ decay − 1 (DRIFT), and else the orbit converges.
    """
    Q = orthogonal(rng, dim)
    rotation = fixed(Q)

    def step(x: torch.Tensor) -> torch.Tensor:
        z = x @ rotation(x)
        r = z[..., :2].norm(dim=-1)
        u = 1 - r
        factor, angle = (1 - u + u**decay) / r, u**turn
        cos, sin = factor * torch.cos(angle), factor * torch.sin(angle)
        first = torch.stack([cos * z[..., 0] - sin * z[..., 1], sin * z[..., 0] + cos * z[..., 1]], dim=-1)
        return torch.cat([first, 0.5 * z[..., 2:]], dim=-1) @ rotation(x).T

    name = f"spiral u^{decay}, turn u^{turn} dim {dim}"
    start = np.concatenate([[rng.uniform(0.4, 0.7), 0.0], rng.standard_normal(dim - 2)]) @ Q.T
    right = "DRIFT" if turn <= decay - 1 else "VANISHING"
    return known(name, TorchMap([step], (dim,), dtype=dtype, name=name), start, right)


def divergent(
    rng: np.random.Generator, *, dim: int, layers: int, rate: float = 1.1, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make affine layers whose product has spectral radius `rate` > 1, met by the start."""
    S = [orthogonal(rng, dim) for _ in range(layers)]
    values = np.concatenate([[rate], rate * rng.uniform(0.1, 0.9, dim - 1)]) ** (1 / layers)
    built = [affine_layer((S[(l + 1) % layers] * values) @ S[l].T, rng.standard_normal(dim)) for l in range(layers)]
    name = f"divergent dim {dim} layers {layers} rate {rate:.4g}"
    start = rng.standard_normal(dim) + 5 * S[0][:, 0]
    return known(name, TorchMap(built, (dim,), dtype=dtype, name=name), start, "DIVERGENT", period=-1)
