"""Looped transformer blocks made on the spot: norm × injection × gain × size, with random weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import nn

from dynloop.arguments import checked_int
from dynloop.errors import InvalidArgumentError
from dynloop.maps.torch import TorchMap
from dynloop.nn import MLP, Attention, Linear, RMSNorm

__all__ = ["INJECTIONS", "NORMS", "LoopedTransformer", "looped_transformer"]

NormPlacement = Literal["pre", "post", "huginn", "ouro", "none"]
Injection = Literal["none", "add", "concat"]
Granularity = Literal["layer", "sublayer"]
NORMS: tuple[str, ...] = get_args(NormPlacement)
INJECTIONS: tuple[str, ...] = get_args(Injection)


class Branch(nn.Module):
    """One residual branch with its norms: ``x ← outer(x + inner(f(before(x))))``.

    ========  =======================================  ==========================
    norm      sublayer                                 after the last layer
    ========  =======================================  ==========================
    pre       x + f(norm x)
    post      norm(x + f x)
    huginn    norm(x + f(norm x))
    ouro      x + norm(f(norm x))                      norm x
    none      x + f x
    ========  =======================================  ==========================
    """

    def __init__(self, f: nn.Module, width: int, norm: NormPlacement, gain: float) -> None:
        super().__init__()
        self.f, self.gain = f, gain
        self.before = RMSNorm(width) if norm in ("pre", "huginn", "ouro") else None
        self.inside = RMSNorm(width) if norm == "ouro" else None
        self.after = RMSNorm(width) if norm in ("post", "huginn") else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply the branch to ``(batch, tokens, width)``."""
        y = self.f(x if self.before is None else self.before(x))
        if self.inside is not None:
            y = self.inside(y)
        x = x + self.gain * y
        return x if self.after is None else self.after(x)


class Inject(nn.Module):
    """The injection of e: ``x + e`` (add) or ``W [x, e]`` (concat; Huginn's adapter)."""

    def __init__(self, width: int, injection: Injection) -> None:
        super().__init__()
        self.adapter = Linear(2 * width, width) if injection == "concat" else None

    def forward(self, x: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        """Inject e, which broadcasts against the states x."""
        e = e.to(x.dtype).expand_as(x)
        return x + e if self.adapter is None else self.adapter(torch.cat([x, e], dim=-1))


class LoopedTransformer(nn.Module):
    """The modules of a looped block; `layers_for` gives the layers of its loop.

    Parameters
    ----------
    norm, injection, layers, width, heads, causal, rope, gain
        As in `looped_transformer`.

    Raises
    ------
    InvalidArgumentError
        If an option is not one of those named, or sizes do not fit.

    Notes
    -----
    Weights are zero until they are drawn (`draw`) or loaded. In the ouro placement the norm inside a branch undoes any
    scale of the output projection, so there `gain` multiplies the branch behind that norm and is not divided by
    √(2·layers).

    Examples
    --------
    >>> import torch
    >>> from dynloop.maps.synthetic import LoopedTransformer
    >>> block = LoopedTransformer(norm="post", injection="add", layers=2, width=16, heads=2)
    >>> block.draw(torch.Generator().manual_seed(0))
    >>> list(block.layers_for(torch.zeros(5, 16)))
    ['inject', 'block 0', 'block 1']
    """

    def __init__(
        self,
        *,
        norm: NormPlacement = "pre",
        injection: Injection = "concat",
        layers: int = 4,
        width: int = 64,
        heads: int = 4,
        causal: bool = True,
        rope: bool = True,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        _check(norm, NORMS, "norm")
        _check(injection, INJECTIONS, "injection")
        layers, width, heads = _checked_sizes(layers, width, heads, rope, gain)
        self.injection, self.width, self.depth = injection, width, layers
        # the output projections carry 1/√(2·layers); `draw` scales them, so that trained weights stand as they are
        self.inject = None if injection == "none" else Inject(width, injection)
        self.branches = nn.ModuleList()
        for _ in range(layers):
            attention = Attention(width, heads, causal=causal, rotary=rope)
            for f in (attention, MLP(width, 4 * width)):
                self.branches.append(Branch(f, width, norm, gain))
        self.close = RMSNorm(width) if norm == "ouro" else None

    def draw(self, generator: torch.Generator) -> None:
        """Draw every linear weight from N(0, 2/(5·width)) of `generator`, output projections times 1/√(2·layers)."""
        std = math.sqrt(2 / (5 * self.width))
        with torch.no_grad():
            for name, weight in self.named_parameters():
                if weight.ndim == 2:
                    drawn = torch.randn(weight.shape, generator=generator, dtype=torch.float64) * std
                    last = name.endswith(("f.o.weight", "f.down.weight"))
                    weight.copy_(drawn / math.sqrt(2 * self.depth) if last else drawn)

    def layers_for(self, e: torch.Tensor | None, granularity: Granularity = "layer") -> dict[str, Callable[..., Any]]:
        """Return the layers of one loop by name, the prompt's contribution `e` held fixed.

        Parameters
        ----------
        e : tensor, (tokens, width), or None
            None with injection "none".
        granularity : {"layer", "sublayer"}
            One factor a transformer layer, or attention and MLP apart.

        Returns
        -------
        dict of str to callable
            In the order of the loop.

        Raises
        ------
        InvalidArgumentError
            If `granularity` is neither.
        """
        _check(granularity, get_args(Granularity), "granularity")
        found: dict[str, Callable[..., Any]] = {}
        if self.inject is not None:
            found["adapter" if self.injection == "concat" else "inject"] = Bound(self.inject, e)
        for i in range(self.depth):
            attention, mlp = self.branches[2 * i : 2 * i + 2]
            if granularity == "sublayer":
                found |= {f"block {i} attention": attention, f"block {i} mlp": mlp}
            else:
                found[f"block {i}"] = nn.Sequential(attention, mlp)
        if self.close is not None:
            found["norm"] = self.close
        return found


class Bound(nn.Module):
    """A module whose second input is held fixed."""

    def __init__(self, module: nn.Module, e: torch.Tensor | None) -> None:
        super().__init__()
        self.module = module
        self.register_buffer("e", e, persistent=False)

    def forward(self, x: torch.Tensor) -> Any:
        """Apply the module to x and the bound input."""
        return self.module(x, self.e)


def looped_transformer(
    norm: NormPlacement = "pre",
    injection: Injection = "concat",
    layers: int = 4,
    width: int = 64,
    heads: int = 4,
    tokens: int = 12,
    gain: float = 1.0,
    seed: int = 0,
    causal: bool = True,
    rope: bool = True,
    dtype: torch.dtype = torch.float64,
    *,
    granularity: Granularity = "layer",
) -> TorchMap:
    """Make a looped transformer block with random weights, its prompt held fixed.

    Linear weights are N(0, 2/(5·width)), output projections divided by √(2·layers); the MLP has width 4·width and
    GELU; norms are RMSNorm with weight 1; the prompt's contribution e is N(0, 1) per coordinate. Everything is drawn
    in float64 from `seed`, so the same block can be had in any dtype.

    Parameters
    ----------
    norm : {"pre", "post", "huginn", "ouro", "none"}
        Where the norms stand; see `Branch`. "huginn" is the sandwich on the stream, "ouro" the sandwich on the
        branches with one more norm that closes the loop (a layer of its own).
    injection : {"none", "add", "concat"}
        How e enters each loop; the injection is the first layer of the loop.
    layers, width, heads, tokens : int
        Transformer layers in the loop, width of the state, attention heads, prompt length.
    gain : float
        Multiplies every residual branch, not the injection.
    seed : int
        Seed of the weights and of e.
    causal, rope : bool
        Causal mask; rotary positions.
    dtype : torch.dtype
        Working dtype of weights and states.
    granularity : {"layer", "sublayer"}
        One factor a transformer layer, or attention and MLP apart.

    Returns
    -------
    TorchMap
        On states ``(tokens, width)``; `start` draws N(0, 1).

    Raises
    ------
    InvalidArgumentError
        If an option is not one of those named, or sizes do not fit.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.synthetic.looped_transformer(norm="ouro", injection="none", layers=2, width=16, heads=2, tokens=5)
    >>> m.layer_names
    ('block 0', 'block 1', 'norm')
    """
    tokens = checked_int(tokens, "tokens", 1, meaning="the prompt length", remedy="Leave it out for 12")
    seed = checked_int(seed, "seed", remedy="Pass seed=0.")
    block = LoopedTransformer(
        norm=norm, injection=injection, layers=layers, width=width, heads=heads, causal=causal, rope=rope, gain=gain
    ).double()
    generator = torch.Generator().manual_seed(seed)
    block.draw(generator)
    layers, width = block.depth, block.width
    e = torch.randn(tokens, width, generator=generator, dtype=torch.float64)
    block.requires_grad_(requires_grad=False)
    block.to(dtype)
    bound = block.layers_for(None if injection == "none" else e.to(dtype), granularity)
    return TorchMap(
        list(bound.values()),
        (tokens, width),
        layer_names=list(bound),
        causal=causal,
        name=f"synthetic {norm}+{injection}",
        dtype=dtype,
        start=lambda rng, n: rng.standard_normal((n, tokens, width)),
        facts={"norm": norm, "injection": injection, "layers": layers, "gain": gain, "seed": seed},
    )


def _check(value: str, allowed: tuple[str, ...], argument: str) -> None:
    if value not in allowed:
        raise InvalidArgumentError(f"{argument} must be one of {', '.join(allowed)}; got {value!r}")


def _checked_sizes(layers: int, width: int, heads: int, rope: bool, gain: float) -> tuple[int, int, int]:
    layers, width, heads = (
        checked_int(layers, "layers", 1),
        checked_int(width, "width", 1),
        checked_int(heads, "heads", 1),
    )
    if width % heads:
        raise InvalidArgumentError(
            f"heads must divide width; got heads={heads}, width={width}. Choose width={heads * -(-width // heads)}."
        )
    if rope and (width // heads) % 2:
        raise InvalidArgumentError(
            f"rope needs an even head width; got width / heads = {width // heads}. Pass rope=False."
        )
    if not math.isfinite(gain):
        raise InvalidArgumentError(f"gain must be a finite number; got {gain!r}")
    return layers, width, heads
