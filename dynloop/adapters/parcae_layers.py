"""From the tensors of a Parcae to its layers: blocks, injection, read-out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from dynloop.adapters.fitting import build, fill
from dynloop.adapters.language_prompt import LanguagePrompt
from dynloop.adapters.parcae_blocks import Decay, Injection, ReadOut, branch_modules, make_norm, pairs
from dynloop.adapters.parcae_config import Options
from dynloop.nn import Linear

__all__ = ["HEAD", "TABLE", "blocks_of", "embedded", "injection", "read_out"]

Tensors = Mapping[str, torch.Tensor]
TABLE, HEAD = "freqs_cis", "lm_head.weight"


def blocks_of(
    options: Options,
    tensors: Tensors,
    part: str,
    read: LanguagePrompt,
    dtype: torch.dtype | None,
    device: torch.device,
) -> list[tuple[nn.Module, nn.Module]]:
    """Return attention and MLP of every block of a part."""
    sizes, blocks, _, _ = options.parts()[part]
    tables = pairs(tensors[TABLE], len(read.tokens)).to(device) if options.rope else None
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


def embedded(
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


def injection(
    options: Options,
    tensors: Tensors,
    e: Mapping[torch.dtype, torch.Tensor],
    dtype: torch.dtype | None,
    device: torch.device,
) -> nn.Module:
    """Return the injection of e, which is given in each dtype that states may have."""
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


def read_out(
    options: Options,
    tensors: Tensors,
    coda: list[tuple[nn.Module, nn.Module]],
    dtype: torch.dtype | None,
    device: torch.device,
) -> nn.Module:
    """Return the map from states to logits."""
    d, r = options.outer.width, options.core.width
    project = build(lambda: Linear(r, d, bias=options.bias), _stored(tensors, "transformer.C"), dtype, device)
    norm = build(lambda: make_norm(options, d), _stored(tensors, "transformer.ln_f"), dtype, device)
    weight = tensors["transformer.wte.weight" if options.tied else HEAD]
    head = build(lambda: Linear(d, options.rows), {"weight": weight}, dtype, device)
    blocks = [branch for block in coda for branch in block]
    return ReadOut(project, [*blocks, norm], head, options)
