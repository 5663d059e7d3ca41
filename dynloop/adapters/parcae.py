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
from torch.nn import functional

from dynloop.adapters.base import Checkpoint, Family, Granularity, Source, start_kinds
from dynloop.adapters.fitting import build, fill, fitting_tensors, widest
from dynloop.adapters.language_prompt import LanguagePrompt, read_language_prompt
from dynloop.adapters.parcae_blocks import Decay, Injection, ReadOut, branch_modules, make_norm, pairs
from dynloop.adapters.parcae_config import Options, read_options
from dynloop.errors import CheckpointError
from dynloop.maps.base import Starter
from dynloop.maps.torch import Layer
from dynloop.nn import Linear

__all__ = ["FAMILY"]

Tensors = Mapping[str, torch.Tensor]
_TABLE, _HEAD = "freqs_cis", "lm_head.weight"
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
    tensors = _checked(source, options)
    read = read_language_prompt(
        prompt, source, vocabulary=options.vocabulary, context=options.context, only_behind=True
    )
    device = device or tensors["transformer.wte.weight"].device
    work = dtype or widest({name: tensor for name, tensor in tensors.items() if name != _TABLE})
    parts = {part: _blocks(options, tensors, part, read, dtype, device) for part in options.parts()}
    e = _embedded(options, tensors, parts["prelude"], read, dtype, work, device)
    layers: dict[str, Layer] = {"inject": _injection(options, tensors, e, dtype, device)}
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
        decode=_read_out(options, tensors, parts["coda"], dtype, device),
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
    if _TABLE in source.tensors and options.rope:
        shapes[_TABLE] = table
    tensors = fitting_tensors(source, shapes, unused=rf"{_HEAD}|{_TABLE}")
    stored = source.tensors.get(_HEAD)
    if options.tied and stored is not None and not torch.equal(stored, tensors["transformer.wte.weight"]):
        raise CheckpointError(
            f"{source.name}: the config says tie_embeddings = True, and the tensor {_HEAD} differs from the embedding; "
            "give the config that belongs to these weights"
        )
    if _TABLE not in tensors and options.rope:
        frequencies = 1.0 / (_BASE ** (torch.arange(0, 2 * table[3], 2, dtype=torch.float32) / (2 * table[3])))
        angles = torch.outer(torch.arange(options.context, dtype=torch.float32), frequencies)
        tensors[_TABLE] = torch.stack([angles.cos(), angles.sin()], -1)[None, :, None]
    return tensors


def _blocks(
    options: Options,
    tensors: Tensors,
    part: str,
    read: LanguagePrompt,
    dtype: torch.dtype | None,
    device: torch.device,
) -> list[tuple[nn.Module, nn.Module]]:
    """Return attention and MLP of every block of a part."""
    sizes, blocks, _, _ = options.parts()[part]
    tables = pairs(tensors[_TABLE], len(read.tokens)).to(device) if options.rope else None
    found = []
    for i in range(blocks):
        index = options.mixes(part, i)
        values = None if index is None else _rows(tensors[f"value_embeds.{index}.weight"], read, device)
        with torch.device("meta"):
            attention, mlp = branch_modules(options, sizes, tables, values)
        weights = _branch_weights(options, tensors, f"transformer.{part}.{i}", gate=index is not None)
        found.append((fill(attention, weights[0], dtype, device), fill(mlp, weights[1], dtype, device)))
    return found


def _rows(table: torch.Tensor, read: LanguagePrompt, device: torch.device) -> torch.Tensor:
    return table[torch.from_numpy(read.inputs["input_ids"]).to(table.device)].to(device)


def _branch_weights(
    options: Options, tensors: Tensors, stored: str, *, gate: bool
) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    attention = _stored(tensors, f"{stored}.norm_1", "norm")
    for own, name in (("q", "c_q"), ("k", "c_k"), ("v", "c_v"), ("o", "c_proj")):
        attention |= _stored(tensors, f"{stored}.attn.{name}", f"f.{own}")
    if gate:
        attention |= _stored(tensors, f"{stored}.attn.ve_gate", "f.gate")
    if options.qk_bias:
        attention["f.qk_bias"] = tensors[f"{stored}.attn.qk_bias"]
    mlp = _stored(tensors, f"{stored}.norm_2", "norm") | _stored(tensors, f"{stored}.mlp.proj", "f.down")
    up = _stored(tensors, f"{stored}.mlp.fc", "f.up")
    if options.mlp == "GatedMLP":
        for name, tensor in list(up.items()):
            up[name.replace("up", "gate")], up[name] = tensor.chunk(2)
    return attention, mlp | up


def _stored(tensors: Tensors, name: str, own: str = "") -> dict[str, torch.Tensor]:
    """Return weight and, where there is one, bias stored under `name`, renamed to the module's own name."""
    prefix = f"{own}." if own else ""
    return {f"{prefix}{part}": tensors[f"{name}.{part}"] for part in ("weight", "bias") if f"{name}.{part}" in tensors}


def _embedded(
    options: Options,
    tensors: Tensors,
    prelude: list[tuple[nn.Module, nn.Module]],
    read: LanguagePrompt,
    dtype: torch.dtype | None,
    work: torch.dtype,
    device: torch.device,
) -> dict[torch.dtype, torch.Tensor]:
    """Return e ``(tokens, n_embd)``, the prelude of the ids, in each dtype that states may have."""
    norm: nn.Module = nn.Identity()
    if options.prelude_norm:
        own = _stored(tensors, "transformer.ln_prelude")
        norm = build(lambda: make_norm(options, options.outer.width), own, dtype, device)
    rows = _rows(tensors["transformer.wte.weight"], read, device)
    found = {}
    with torch.no_grad():
        for wanted in dict.fromkeys((torch.float64, torch.float32, work)):
            e = rows.to(wanted)[None] * options.scales.embedding
            for attention, mlp in prelude:
                e = mlp(attention(e))
            found[wanted] = norm(e)[0]
    return found


def _injection(
    options: Options,
    tensors: Tensors,
    e: Mapping[torch.dtype, torch.Tensor],
    dtype: torch.dtype | None,
    device: torch.device,
) -> nn.Module:
    stored = "transformer.adapter"
    kept: nn.Module | None = None
    if options.injection == "diagonal":
        weights = {name: tensors[f"{stored}.{name}"] for name in ("A_log", "dt_bias")}
        kept = build(lambda: Decay(options.core.width), weights, dtype, device)
    elif options.injection == "linear":
        width = options.core.width
        own = {"weight": tensors[f"{stored}.adapter.weight"][:, :width]}
        kept = build(lambda: Linear(width, width), own, dtype, device)
    return Injection(kept, {wanted: _added(options, tensors, value) for wanted, value in e.items()})


def _added(options: Options, tensors: Tensors, e: torch.Tensor) -> torch.Tensor:
    """Return what e ``(tokens, n_embd)`` adds to the state, ``(tokens, width)``, in the dtype of e."""
    if options.injection == "add":
        return e
    stored = "transformer.adapter"
    if options.injection == "diagonal":
        step = functional.softplus(tensors[f"{stored}.dt_bias"].to(e))
        return step * functional.linear(e, tensors[f"{stored}.B"].to(e))
    bias = tensors[f"{stored}.adapter.bias"].to(e) if options.bias else None
    return functional.linear(e, tensors[f"{stored}.adapter.weight"][:, options.core.width :].to(e), bias)


def _read_out(
    options: Options,
    tensors: Tensors,
    coda: list[tuple[nn.Module, nn.Module]],
    dtype: torch.dtype | None,
    device: torch.device,
) -> nn.Module:
    d, r = options.outer.width, options.core.width
    project = build(lambda: Linear(r, d, bias=options.bias), _stored(tensors, "transformer.C"), dtype, device)
    norm = build(lambda: make_norm(options, d), _stored(tensors, "transformer.ln_f"), dtype, device)
    weight = tensors["transformer.wte.weight" if options.tied else _HEAD]
    head = build(lambda: Linear(d, options.rows), {"weight": weight}, dtype, device)
    blocks = [branch for block in coda for branch in block]
    return ReadOut(project, [*blocks, norm], head, options)


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
