"""Looped in-context regressors (Yang et al. 2023): a GPT-2 backbone, fed its output and the prompt in every loop."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn

from dynloop.adapters.base import Checkpoint, Family, Granularity, Source, start_kinds, starts_around
from dynloop.adapters.fitting import build, fitting_tensors, parts, widest
from dynloop.adapters.icl_config import BACKBONE, Options, read_options, section_of
from dynloop.adapters.icl_prompt import interleaved, read_pairs
from dynloop.adapters.icl_reference import live_config, own_output
from dynloop.maps.torch import Layer
from dynloop.nn import MLP, Attention, LayerNorm, Linear, PreNorm, gelu_tanh

__all__ = ["FAMILY", "Injection", "ReadOut"]

Tensors = Mapping[str, torch.Tensor]

_MASK = r"_backbone\.transformer\.h\.\d+\.attn\.bias"


class Injection(nn.Module):
    """The prompt and the positions enter: ``x ← x + e + wpe``, or ``x · e + wpe``, or ``x + wpe``.

    `e` and `positions` have shape ``(tokens, width)`` and are kept in float64, so that the float64 twin of the map is
    the model in float64. Upstream adds the positions in every loop, so they belong to this layer.
    """

    e: torch.Tensor
    positions: torch.Tensor

    def __init__(self, form: str, e: torch.Tensor, positions: torch.Tensor) -> None:
        super().__init__()
        self.form = form
        self.register_buffer("e", e)
        self.register_buffer("positions", positions)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Inject into ``(batch, tokens, width)``."""
        if self.form == "x + e":
            x = x + self.e.to(x.dtype)
        elif self.form == "x · e":
            x = x * self.e.to(x.dtype)
        return x + self.positions.to(x.dtype)


class ReadOut(nn.Module):
    """The predictions: a linear map of the state at every x token, ``(batch, 2n, width)`` to ``(batch, n)``.

    A classifier gives ``(batch, n, 2)``.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.linear = Linear(width, outputs, bias=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Read out ``(batch, 2n, width)``."""
        read: torch.Tensor = self.linear(x[:, 0::2])
        return read[..., 0] if read.shape[-1] == 1 else read


def _recognises(config: Mapping[str, Any], names: Collection[str]) -> bool:
    section = section_of(config)
    said = str(section.get("family", "")).startswith("gpt2") and "n_dims" in section
    return said or {"_read_in.weight", f"{BACKBONE}.wpe.weight"} <= set(names)


def _open(
    source: Source, prompt: Any, granularity: Granularity, dtype: torch.dtype | None, device: torch.device | None
) -> Checkpoint:
    options = read_options(source.config, source.name)
    tensors = fitting_tensors(source, options.shapes(), unused=_MASK)
    pairs, said = read_pairs(prompt, source.name, dims=options.dims, context=options.context)
    device = device or tensors["_read_in.weight"].device

    weight, bias = (tensors[f"_read_in.{part}"].double().cpu() for part in ("weight", "bias"))
    e = interleaved(pairs) @ weight.T + bias
    own = {"x + e": torch.zeros_like(e), "x · e": torch.ones_like(e), "x": e}[options.form]
    read_out = build(
        lambda: ReadOut(options.width, options.outputs), parts(tensors, "_read_out", "linear"), dtype, device
    )
    return Checkpoint(
        _layers(options, tensors, e, granularity, dtype, device),
        tuple(e.shape),
        family=FAMILY,
        source=source,
        prompt=pairs,
        tokens=[f"{name}{i + 1}" for i in range(len(e) // 2) for name in "xy"],
        decode=read_out,
        summary=f"inject = {options.form} + positions, ln_f closes the loop, prompt = {said}",
        start=starts_around(own),
        kinds=start_kinds(e),
        granularity=granularity,
        read_out="logits" if options.outputs > 1 else "numbers",
        causal=True,
        dtype=dtype or widest(tensors),
        device=device,
    )


def _layers(
    options: Options,
    tensors: Tensors,
    e: torch.Tensor,
    granularity: Granularity,
    dtype: torch.dtype | None,
    device: torch.device,
) -> dict[str, Layer]:
    """Return the layers of one loop: injection, blocks, closing norm."""
    positions = tensors[f"{BACKBONE}.wpe.weight"][: len(e)].double()
    layers: dict[str, Layer] = {"inject": Injection(options.form, e, positions).to(device)}
    for i in range(options.blocks):
        block = f"{BACKBONE}.h.{i}"
        attention = build(lambda: _attention(options), _attention_weights(tensors, block), dtype, device)
        mlp = build(lambda: _mlp(options), _mlp_weights(tensors, block), dtype, device)
        if granularity == "sublayer":
            layers |= {f"block {i} attention": attention, f"block {i} mlp": mlp}
        else:
            layers[f"block {i}"] = nn.Sequential(attention, mlp)
    layers["ln_f"] = build(lambda: LayerNorm(options.width), parts(tensors, f"{BACKBONE}.ln_f"), dtype, device)
    return layers


def _attention(options: Options) -> nn.Module:
    return PreNorm(LayerNorm(options.width), Attention(options.width, options.heads, causal=True, bias=True))


def _mlp(options: Options) -> nn.Module:
    return PreNorm(LayerNorm(options.width), MLP(options.width, 4 * options.width, act=gelu_tanh, bias=True))


def _attention_weights(tensors: Tensors, block: str) -> dict[str, torch.Tensor]:
    found = parts(tensors, f"{block}.ln_1", "norm") | parts(tensors, f"{block}.attn.c_proj", "f.o")
    for part in ("weight", "bias"):
        fused = tensors[f"{block}.attn.c_attn.{part}"].chunk(3)
        found |= {f"f.{name}.{part}": tensor for name, tensor in zip("qkv", fused, strict=True)}
    return found


def _mlp_weights(tensors: Tensors, block: str) -> dict[str, torch.Tensor]:
    found = parts(tensors, f"{block}.ln_2", "norm")
    return found | parts(tensors, f"{block}.mlp.c_fc", "f.up") | parts(tensors, f"{block}.mlp.c_proj", "f.down")


FAMILY = Family(
    name="looped_icl",
    description="x ← ln_f(blocks(x + e + wpe)), or x · e for x + e; start 0 (1 for the product)",
    identifies="config section model with family gpt2_loop or gpt2_tying; tensors _read_in, _backbone.transformer.wpe",
    recognises=_recognises,
    open=_open,
    own_output=own_output,
    live_config=live_config,
)
