"""Parcae (SandyResearch/parcae): a looped language model whose state decays while the prompt is fed in."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from scipy.special import ndtr, ndtri
from torch import nn

from dynloop.adapters.base import Checkpoint, Family, Granularity, Source, start_kinds
from dynloop.adapters.fitting import fitting_tensors, widest
from dynloop.adapters.language_prompt import read_language_prompt
from dynloop.adapters.parcae_config import Options
from dynloop.adapters.parcae_layers import HEAD, TABLE, blocks_of, embedded, injection, read_out
from dynloop.adapters.parcae_reading import read_options
from dynloop.adapters.tied import with_tied
from dynloop.maps.base import Starter
from dynloop.maps.torch import Layer

__all__ = ["FAMILY"]

_BASE = 50000  # of every rotary table that is not stored


def _recognises(config: Mapping[str, Any], names: Collection[str]) -> bool:
    said = config.get("_class_name", config.get("model_class_name"))
    if said is not None:
        return said in ("ParcaeConfig", "Parcae")
    return {"transformer.C.weight", "transformer.core_block.0.attn.c_q.weight"} <= set(names)


def _open(
    source: Source, prompt: Any, granularity: Granularity, dtype: torch.dtype | None, device: torch.device | None
) -> Checkpoint:
    options = read_options(source)
    if options.tied:
        source = with_tied(source, "transformer.wte.weight", HEAD, "tie_embeddings")
    tensors = _checked(source, options)
    read = read_language_prompt(
        prompt, source, vocabulary=options.vocabulary, context=options.context, only_behind=True
    )
    device = device or tensors["transformer.wte.weight"].device
    work = dtype or widest({name: tensor for name, tensor in tensors.items() if name != TABLE})
    parts = {part: blocks_of(options, tensors, part, read, dtype, device) for part in options.parts()}
    e = embedded(options, tensors, parts["prelude"], read, dtype, work, device)
    layers: dict[str, Layer] = {"inject": injection(options, tensors, e, dtype, device)}
    for i, (attention, mlp) in enumerate(parts["core_block"]):
        if granularity == "sublayer":
            layers |= {f"block {i} attention": attention, f"block {i} mlp": mlp}
        else:
            layers[f"block {i}"] = nn.Sequential(attention, mlp)
    shape = (len(read.tokens), options.core.width)
    mixing = [i for i in range(options.blocks) if options.mixes("core_block", i) is not None]
    values = f"value embeddings of the ids in block {', '.join(map(str, mixing))}, " if mixing else ""
    return Checkpoint(
        layers,
        shape,
        family=FAMILY,
        source=source,
        prompt=read.inputs,
        tokens=read.tokens,
        decode=read_out(options, tensors, parts["coda"], dtype, device),
        summary=f"{options.injection} injection of e = prelude(ids), pre-norm blocks, {values}start = "
        f"{options.start}, prompt = {read.said}",
        start=_starter(options, options.start, shape),
        kinds=_kinds(options, e[torch.float64], shape),
        granularity=granularity,
        read_out="logits",
        causal=True,
        dtype=work,
        device=device,
    )


def _checked(source: Source, options: Options) -> dict[str, torch.Tensor]:
    """Return the tensors of the model, the rotary table among them (that of base 50000 where none is stored)."""
    shapes = options.shapes()
    table = (1, options.context, 1, options.outer.head_size // 2, 2)
    if TABLE in source.tensors and options.rope:
        shapes[TABLE] = table
    tensors = fitting_tensors(source, shapes, unused=rf"{HEAD}|{TABLE}" if options.tied else TABLE)
    if TABLE not in tensors and options.rope:
        frequencies = 1.0 / (_BASE ** (torch.arange(0, 2 * table[3], 2, dtype=torch.float32) / (2 * table[3])))
        angles = torch.outer(torch.arange(options.context, dtype=torch.float32), frequencies)
        tensors[TABLE] = torch.stack([angles.cos(), angles.sin()], -1)[None, :, None]
    return tensors


def _kinds(options: Options, e: torch.Tensor, shape: tuple[int, ...]) -> dict[str, Starter]:
    """Return the starts by kind; e is one where it is as wide as the state."""
    noise = _starter(options, "like-init" if options.start == "zero" else options.start, shape)
    return start_kinds(e, noise) if tuple(e.shape) == shape else {"noise": noise}


def _starter(options: Options, kind: str, shape: tuple[int, ...]) -> Starter:
    """Return the model's own starts, noise of one kind of ``state_init``; every row is an independent draw."""

    def draw(rng: np.random.Generator, n: int) -> Any:
        size = (n, *shape)
        if kind == "zero":
            return np.zeros(size)
        if kind == "like-init":  # normal, cut at three standard deviations
            low = ndtr(-3.0)
            noise = ndtri(low + (1 - 2 * low) * rng.random(size))
            return options.scales.deviation * options.scales.embedding * noise
        noise = rng.standard_normal(size)
        if kind == "unit":
            centred = noise - noise.mean(-1, keepdims=True)
            return centred / (noise.std(-1, ddof=1, keepdims=True) + 1e-8)
        return noise / np.sqrt(options.outer.width) if kind == "embed" else noise

    return draw


def _live_config(model: Any) -> Mapping[str, Any] | None:
    """Return the config of a live Parcae, a dataclass; None for other models."""
    config = getattr(model, "config", None)
    if type(model).__name__ != "Parcae" or not dataclasses.is_dataclass(config) or isinstance(config, type):
        return None
    return {"_class_name": type(config).__name__, **dataclasses.asdict(config)}


def _own_output(checkpoint: Checkpoint, loops: int) -> torch.Tensor | None:
    """Run a live model on a copy, from the first start; None for files, which bring no code."""
    if checkpoint.source.model is None:
        return None
    x = checkpoint.start()
    model = copy.deepcopy(checkpoint.source.model).to(x).eval()
    model.initialize_state = lambda _: x.clone()
    ids = torch.as_tensor(checkpoint.prompt["input_ids"], device=x.device)[None]
    with torch.no_grad():
        out = model(ids, return_logits=True, num_steps_pair=torch.tensor([loops, 0]))
    found: torch.Tensor = out["logits"]
    return found


FAMILY = Family(
    name="parcae",
    description="x ← blocks(a ⊙ x + B e), W[x, e] or x + e in its place; e = prelude(ids); blocks read the ids too",
    identifies="_class_name ParcaeConfig; tensors transformer.C, transformer.core_block.0.attn.c_q",
    recognises=_recognises,
    open=_open,
    own_output=_own_output,
    live_config=_live_config,
)
