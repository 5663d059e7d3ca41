"""Loops of two states that run at two time scales: a slow z_H and a fast z_L, stacked as ``(2, tokens, width)``.

One loop is `cycles` fast updates and one slow update,

    z_L ← L(z_L + z_H + e), `cycles` times;  z_H ← H(z_H + z_L),

so one unit of time of the map is one slow step, and `cycles` fast ones. Every factor acts on one half of the state and
leaves the other as it is; while a level is at work, its half holds the level's running value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from dynloop.adapters.base import Granularity
from dynloop.maps.torch import Layer

__all__ = ["HIGH", "LOW", "Half", "Inject", "two_scale_layers"]

HIGH, LOW = 0, 1

Blocks = Sequence[Mapping[str, nn.Module]]


class Half(nn.Module):
    """Apply f to one half of the state: ``z_side ← f(z_side)``."""

    def __init__(self, side: int, f: nn.Module) -> None:
        super().__init__()
        self.side, self.f = side, f

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, 2, tokens, width)`` to the same shape."""
        return _with_half(x, self.side, self.f(x[:, self.side]))


class Inject(nn.Module):
    """Feed the other half, and what the prompt contributes, into one half: ``z_side ← z_side + (z_other + e)``.

    `e` has shape ``(tokens, width)`` and is kept in float64, so that the float64 twin of the map is the model in
    float64.
    """

    e: torch.Tensor | None

    def __init__(self, side: int, e: torch.Tensor | None = None) -> None:
        super().__init__()
        self.side = side
        self.register_buffer("e", e)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, 2, tokens, width)`` to the same shape."""
        other = x[:, 1 - self.side]
        fed = other if self.e is None else other + self.e.to(x.dtype)
        return _with_half(x, self.side, x[:, self.side] + fed)


def _with_half(x: torch.Tensor, side: int, half: torch.Tensor) -> torch.Tensor:
    return torch.stack([half, x[:, LOW]] if side == HIGH else [x[:, HIGH], half], dim=1)


def two_scale_layers(
    low: Blocks, high: Blocks, cycles: int, e: torch.Tensor | None, granularity: Granularity
) -> dict[str, Layer]:
    """Return the layers of one loop.

    Parameters
    ----------
    low, high : sequence of mapping of str to module
        The blocks of the two levels, each as its branches by name. A block of one branch, such as a closing norm, is
        one factor in both granularities and bears the name of the branch.
    cycles : int
        Fast updates in one loop. All of them share the modules of `low`.
    e : tensor, (tokens, width), float64, or None
        What the prompt adds in every fast update.
    granularity : {"layer", "sublayer"}
        One factor a block, the first of every update with the injection in front; or injection and branches apart.

    Returns
    -------
    dict of str to module
        ``"L step 0 block 0"``, …, ``"H step block 0"``, … In "sublayer", ``"L step 0 inject"``, ``"L step 0 block 0
        attention"``, …
    """
    layers: dict[str, Layer] = {}
    updates = [(f"L step {i}", LOW, low, Inject(LOW, e)) for i in range(cycles)]
    for update, side, blocks, inject in (*updates, ("H step", HIGH, high, Inject(HIGH))):
        factors: dict[str, nn.Module] = {f"{update} inject": inject}
        for i, block in enumerate(blocks):
            if len(block) == 1:
                named = {f"{update} {name}": f for name, f in block.items()}
            elif granularity == "sublayer":
                named = {f"{update} block {i} {name}": f for name, f in block.items()}
            else:
                named = {f"{update} block {i}": nn.Sequential(*block.values())}
            factors |= {name: Half(side, f) for name, f in named.items()}
        if granularity == "layer":
            _, first, *_ = factors
            factors[first] = nn.Sequential(factors.pop(f"{update} inject"), factors[first])
        layers |= factors
    return layers
