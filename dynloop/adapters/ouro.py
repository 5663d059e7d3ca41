"""Ouro (Zhu et al. 2025, arXiv 2510.25741): a whole transformer applied again and again, its norm closing the loop."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from dynloop.adapters.activations import ACTIVATIONS
from dynloop.adapters.base import Checkpoint, Family, Granularity, Source, start_kinds, starts_around
from dynloop.adapters.fitting import build, fitting_tensors, widest
from dynloop.adapters.language_prompt import LanguagePrompt, read_language_prompt
from dynloop.adapters.ouro_config import MODEL_TYPE, UNUSED, Options, read_options
from dynloop.adapters.tied import with_tied
from dynloop.maps.torch import Layer
from dynloop.nn import Attention, GatedMLP, Linear, NormedBranch, RMSNorm

__all__ = ["FAMILY", "ExitGate"]

Tensors = Mapping[str, torch.Tensor]


class ExitGate(nn.Module):
    """The exit gate before its sigmoid, ``(batch, tokens, width)`` to ``(batch, tokens)``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = Linear(width, 1, bias=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Read out ``(batch, tokens, width)``."""
        gate: torch.Tensor = self.linear(x)
        return gate[..., 0]


def _recognises(config: Mapping[str, Any], names: Collection[str]) -> bool:
    said = config.get("model_type")
    return said == MODEL_TYPE or (said is None and any(name.endswith("early_exit_gate.weight") for name in names))


def _open(
    source: Source, prompt: Any, granularity: Granularity, dtype: torch.dtype | None, device: torch.device | None
) -> Checkpoint:
    options = read_options(source)
    if options.head and options.tied:
        source = with_tied(source, "model.embed_tokens.weight", "lm_head.weight", "tie_word_embeddings")
    tensors = fitting_tensors(source, options.shapes(), unused=UNUSED + (r"|lm_head\.weight" if options.tied else ""))
    read = read_language_prompt(prompt, source, vocabulary=options.vocabulary, context=options.context)
    table = tensors[f"{options.prefix}embed_tokens.weight"]
    device = device or table.device
    own = table[torch.from_numpy(read.inputs["input_ids"]).to(table.device)].double().cpu()
    gate = {f"linear.{part}": tensors[f"{options.prefix}early_exit_gate.{part}"] for part in ("weight", "bias")}
    gives = "logits" if options.head else "the state itself"
    return Checkpoint(
        _layers(options, tensors, read, granularity, dtype, device),
        tuple(own.shape),
        family=FAMILY,
        source=source,
        prompt=read.inputs,
        tokens=read.tokens,
        decode=_head(options, tensors, dtype, device) if options.head else lambda x: x,
        summary=(
            "x = x + norm(f(norm x)), norm closes the loop, no injection: the prompt is the start alone, "
            f"decode = {gives}, prompt = {read.said}"
        ),
        start=starts_around(own),
        kinds=start_kinds(own),
        heads={"exit_gate": build(lambda: ExitGate(options.width), gate, dtype, device)},
        granularity=granularity,
        read_out="logits" if options.head else "state",
        causal=True,
        dtype=dtype or widest(tensors),
        device=device,
    )


def _layers(
    options: Options,
    tensors: Tensors,
    prompt: LanguagePrompt,
    granularity: Granularity,
    dtype: torch.dtype | None,
    device: torch.device,
) -> dict[str, Layer]:
    """Return the layers of one loop: the transformer's layers, then its norm."""
    mask = torch.from_numpy(prompt.inputs["attention_mask"] == 1).to(device)
    attend = None if bool(mask.all()) else mask
    tables = options.rope.tables(len(prompt.tokens)).to(device)
    layers: dict[str, Layer] = {}
    for i, window in enumerate(options.windows):
        stored = f"{options.prefix}layers.{i}"
        weights = {f"f.{name}.weight": tensors[f"{stored}.self_attn.{name}_proj.weight"] for name in "qkvo"}
        weights |= _norms(tensors, f"{stored}.input_layernorm")
        attention = build(lambda: _attention(options, tables, attend, window), weights, dtype, device)  # noqa: B023 - called at once
        weights = {f"f.{name}.weight": tensors[f"{stored}.mlp.{name}_proj.weight"] for name in ("gate", "up", "down")}
        weights |= _norms(tensors, f"{stored}.post_attention_layernorm")
        mlp = build(lambda: _mlp(options), weights, dtype, device)
        if granularity == "sublayer":
            layers |= {f"layer {i} attention": attention, f"layer {i} mlp": mlp}
        else:
            layers[f"layer {i}"] = nn.Sequential(attention, mlp)
    norm = {"weight": tensors[f"{options.prefix}norm.weight"]}
    layers["norm"] = build(lambda: RMSNorm(options.width, eps=options.eps), norm, dtype, device)
    return layers


def _norms(tensors: Tensors, stored: str) -> dict[str, torch.Tensor]:
    return {"before.weight": tensors[f"{stored}.weight"], "after.weight": tensors[f"{stored}_2.weight"]}


def _normed(options: Options, f: nn.Module) -> nn.Module:
    before, after = (RMSNorm(options.width, eps=options.eps) for _ in range(2))
    return NormedBranch(f, before=before, after=after)


def _attention(options: Options, tables: torch.Tensor, attend: torch.Tensor | None, window: int | None) -> nn.Module:
    o = options
    f = Attention(
        o.width, o.heads, kv_heads=o.kv_heads, head_size=o.head_size, tables=tables, attend=attend, window=window
    )
    return _normed(o, f)


def _mlp(options: Options) -> nn.Module:
    return _normed(options, GatedMLP(options.width, options.inner, act=ACTIVATIONS[options.act]))


def _head(options: Options, tensors: Tensors, dtype: torch.dtype | None, device: torch.device) -> nn.Module:
    stored = f"{options.prefix}embed_tokens.weight" if options.tied else "lm_head.weight"
    return build(lambda: Linear(options.width, options.vocabulary), {"weight": tensors[stored]}, dtype, device)


def _own_output(checkpoint: Checkpoint, loops: int) -> torch.Tensor | None:
    """Run a live model's own forward; None where there is none to ask.

    Neither is it asked with padding (what it makes of that depends on its backend), in training mode (dropout), in
    another dtype than its own, nor in float64, which its norms do not keep.

    A model copies ``total_ut_steps`` when it is made; a shallow copy of its module is given the wanted number.
    """
    model = checkpoint.source.model
    whole = hasattr(model, "lm_head") and hasattr(model, "model")
    if model is None or not whole or checkpoint.dtype == torch.float64 or model.training:
        return None
    if checkpoint.dtype != model.lm_head.weight.dtype or not np.asarray(checkpoint.prompt["attention_mask"]).all():
        return None
    core = copy.copy(model.model)
    core.total_ut_steps = loops
    inputs = {name: torch.as_tensor(v)[None].to(checkpoint.device) for name, v in checkpoint.prompt.items()}
    with torch.no_grad():
        states = core(**inputs, use_cache=False)[1]
        logits: torch.Tensor = model.lm_head(states[-1])
    return logits


FAMILY = Family(
    name="ouro",
    description="x ← norm(layers(x)), x = x + norm(attention(norm x)), then x + norm(mlp(norm x)); no injection",
    identifies=f"model_type {MODEL_TYPE}; tensors model.early_exit_gate, model.layers.0.input_layernorm_2",
    recognises=_recognises,
    open=_open,
    own_output=_own_output,
)
