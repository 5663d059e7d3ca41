"""The maps behind the counter-examples that are no members of the zoo: rays, drifts, skew products, rounded maps."""

# ruff: noqa: ARG001 - every step has the same signature

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from dynloop.maps.base import Array
from dynloop.maps.kernel import KernelMap, Step
from dynloop.maps.torch import TorchMap

__all__ = [
    "accelerating",
    "capture",
    "constant_adapter",
    "cubic_decay",
    "heavy_token",
    "identity",
    "leaky_sum",
    "line_of_points",
    "logistic_in",
    "ray",
    "ray_with_chaos",
    "rounded_inside",
    "rounded_spiral",
    "saddle",
    "saturating",
    "scalar",
    "scaled",
    "shear_to_circle",
    "skew_product",
    "slow_logarithm",
    "squared",
    "tent_in",
]


def scalar(step: Step, name: str, *params: float) -> KernelMap:
    """Return a map of the line made of one step."""
    return KernelMap(step, 1, params=params, name=name)


def slow_logarithm(x: Array, params: Array, out: Array) -> None:
    """``x ← x + e^{−x}``: x ~ log t, steps ~ 1/t."""
    out[0] = x[0] + np.exp(-x[0])


def scaled(x: Array, params: Array, out: Array) -> None:
    """``x ← a x``."""
    out[0] = params[0] * x[0]


def squared(x: Array, params: Array, out: Array) -> None:
    """``x ← x²``."""
    out[0] = x[0] * x[0]


def leaky_sum(x: Array, params: Array, out: Array) -> None:
    """``x ← a x + c``."""
    out[0] = params[0] * x[0] + params[1]


def saturating(x: Array, params: Array, out: Array) -> None:
    """``x ← a x / √(1 + x²)``."""
    out[0] = params[0] * x[0] / np.sqrt(1 + x[0] * x[0])


def cubic_decay(x: Array, params: Array, out: Array) -> None:
    """``x ← x − x³``: x ~ 1/√(2t)."""
    out[0] = x[0] - x[0] * x[0] * x[0]


def accelerating() -> KernelMap:
    """``x ← x + √(1 + x)``: x ~ t²/4, faster than every ray and slower than every exponential."""

    def step(x: Array, params: Array, out: Array) -> None:
        out[0] = x[0] + np.sqrt(1 + x[0])

    return scalar(step, "quadratic growth")


def ray(direction: Sequence[float] = (1.0, -2.0, 0.5)) -> KernelMap:
    """``x ← x + c``, c given by `direction`."""

    def step(x: Array, params: Array, out: Array) -> None:
        for j in range(x.shape[0]):
            out[j] = x[j] + params[j]

    return KernelMap(step, len(direction), params=direction, name="ray")


def ray_with_chaos() -> KernelMap:
    """``(s, x) ← (s + 1, 4 x (1 − x))``."""

    def step(x: Array, params: Array, out: Array) -> None:
        out[0] = x[0] + 1
        out[1] = 4 * x[1] * (1 - x[1])

    return KernelMap(step, 2, name="ray with a chaotic fibre")


def shear_to_circle() -> KernelMap:
    """With u = 1 − r in polar coordinates: ``u ← u − u²``, ``θ ← θ + u``; state (r cos θ, r sin θ)."""

    def step(x: Array, params: Array, out: Array) -> None:
        r = np.sqrt(x[0] * x[0] + x[1] * x[1])
        u = 1 - r
        factor = (1 - u + u * u) / r
        cos, sin = np.cos(u), np.sin(u)
        out[0] = factor * (cos * x[0] - sin * x[1])
        out[1] = factor * (sin * x[0] + cos * x[1])

    return KernelMap(step, 2, name="spiral onto a circle of fixed points")


def identity(dim: int = 3) -> KernelMap:
    """``x ← x``."""

    def step(x: Array, params: Array, out: Array) -> None:
        for j in range(x.shape[0]):
            out[j] = x[j]

    return KernelMap(step, dim, name="identity")


def line_of_points() -> KernelMap:
    """``(x, y) ← (x/2, y)``: every point of the line x = 0 is fixed."""

    def step(x: Array, params: Array, out: Array) -> None:
        out[0] = 0.5 * x[0]
        out[1] = x[1]

    return KernelMap(step, 2, name="line of fixed points")


def saddle() -> KernelMap:
    """``(x, y) ← (2x, y/2)``."""

    def step(x: Array, params: Array, out: Array) -> None:
        out[0] = 2 * x[0]
        out[1] = 0.5 * x[1]

    return KernelMap(step, 2, name="saddle")


def capture(centre: float = 0.3, width: float = 1e-3) -> KernelMap:
    """``x ← 4 x (1 − x)`` until |x − centre| < width, then ``x ← (x + centre)/2``."""

    def step(x: Array, params: Array, out: Array) -> None:
        if abs(x[0] - params[0]) < params[1]:
            out[0] = 0.5 * (x[0] + params[0])
        else:
            out[0] = 4 * x[0] * (1 - x[0])

    return scalar(step, "chaos until capture", centre, width)


def constant_adapter() -> KernelMap:
    """Two layers: an untrained adapter ``x ← [0 | I][x, e] = e``, then a residual branch ``x ← x + tanh(B x)``."""

    def adapter(x: Array, params: Array, out: Array) -> None:
        out[0] = params[0]
        out[1] = params[1]

    def branch(x: Array, params: Array, out: Array) -> None:
        out[0] = x[0] + np.tanh(0.7 * x[0] - 0.2 * x[1])
        out[1] = x[1] + np.tanh(0.4 * x[0] + 0.9 * x[1])

    return KernelMap((adapter, branch), 2, params=(0.5, -1.0), name="adapter [0 | I]")


def rounded_spiral(dtype: torch.dtype) -> TorchMap:
    """Two layers in `dtype`: ``x ← 0.9 R x`` with R the turn by 1 radian, then ``x ← x + (1, 0.5)``."""
    cos, sin = 0.9 * math.cos(1.0), 0.9 * math.sin(1.0)

    def turn(x: torch.Tensor) -> torch.Tensor:
        a, b = x.unbind(-1)
        return torch.stack([cos * a - sin * b, sin * a + cos * b], dim=-1)

    def shift(x: torch.Tensor) -> torch.Tensor:
        return x + torch.tensor([1.0, 0.5], dtype=x.dtype)

    name = f"spiral in {str(dtype).removeprefix('torch.')}"
    return TorchMap([turn, shift], (2,), layer_names=["turn", "shift"], dtype=dtype, name=name)


def rounded_inside(bits: int = 12) -> KernelMap:
    """Return the spiral of `rounded_spiral` in float64, rounded to multiples of 2^−bits by its second layer."""

    def turn(x: Array, params: Array, out: Array) -> None:
        out[0] = params[0] * x[0] - params[1] * x[1]
        out[1] = params[1] * x[0] + params[0] * x[1]

    def shift(x: Array, params: Array, out: Array) -> None:
        out[0] = np.round((x[0] + 1.0) * params[2]) / params[2]
        out[1] = np.round((x[1] + 0.5) * params[2]) / params[2]

    params = (0.9 * math.cos(1.0), 0.9 * math.sin(1.0), 2.0**bits)
    return KernelMap((turn, shift), 2, params=params, name=f"spiral rounded to {bits} bits")


def skew_product() -> TorchMap:
    """Causal, two tokens of width 1: ``x ← 4x(1 − x)``, ``y ← y/2 + x``; y alone contracts, driven by chaos."""

    def step(states: torch.Tensor) -> torch.Tensor:
        x, y = states.unbind(1)
        return torch.stack([4 * x * (1 - x), 0.5 * y + x], dim=1)

    return TorchMap([step], (2, 1), causal=True, name="skew product")


def heavy_token() -> TorchMap:
    """Causal, two tokens of width 1: ``x ← (x + 10⁴)/2`` comes to rest, ``y ← 3.2 y (1 − y)`` has period 2."""

    def step(states: torch.Tensor) -> torch.Tensor:
        x, y = states.unbind(1)
        return torch.stack([0.5 * (x + 1e4), 3.2 * y * (1 - y)], dim=1)

    return TorchMap([step], (2, 1), causal=True, name="one huge token")


def logistic_in(dtype: torch.dtype) -> TorchMap:
    """``x ← 4 x (1 − x)`` computed in `dtype`."""
    name = f"logistic in {str(dtype).removeprefix('torch.')}"
    return TorchMap([lambda x: 4 * x * (1 - x)], (1,), dtype=dtype, name=name)


def tent_in(dtype: torch.dtype) -> TorchMap:
    """Tent map ``x ← 1 − |1 − 2x|`` computed in `dtype`."""
    name = f"tent in {str(dtype).removeprefix('torch.')}"
    return TorchMap([lambda x: 1 - (1 - 2 * x).abs()], (1,), dtype=dtype, name=name)
