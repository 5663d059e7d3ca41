"""What TRM and HRM share: two levels of post-norm blocks, on a puzzle of fixed size."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from dynloop.adapters.base import Checkpoint, Family, Granularity, Source, start_kinds, starts_around
from dynloop.adapters.fitting import build, fitting_tensors, parts, widest
from dynloop.adapters.live import config_of
from dynloop.adapters.puzzle_config import ARCHITECTURES, Kind, Options, read_options, section_of
from dynloop.adapters.puzzle_prompt import read_puzzle
from dynloop.adapters.rotary_blocks import TableAttention, WeightlessRMSNorm, float32_tables
from dynloop.adapters.two_scales import HIGH, two_scale_layers
from dynloop.nn import GatedMLP, Linear, PostNorm

__all__ = ["Halting", "OverPositions", "ReadOut", "puzzle_family"]

Tensors = Mapping[str, torch.Tensor]
_ROOT_TWO = 0.707106781  # the authors' constant, to nine digits


class OverPositions(nn.Module):
    """Apply f to the state with tokens and width exchanged: it mixes positions, and norms run over them too."""

    def __init__(self, f: nn.Module) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(batch, tokens, width)`` to the same shape."""
        out: torch.Tensor = self.f(x.mT).mT
        return out


class ReadOut(nn.Module):
    """The logits of z_H without the puzzle prefix: ``(batch, 2, tokens, width)`` to ``(batch, inputs, vocabulary)``."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.head = Linear(options.width, options.vocabulary)
        self.prefix = options.prefix

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Read out ``(batch, 2, tokens, width)``."""
        logits: torch.Tensor = self.head(x[:, HIGH, self.prefix :])
        return logits


class Halting(nn.Module):
    """The logits of halting and of going on, at the first token of z_H: ``(batch, 2, …)`` to ``(batch, 2)``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.head = Linear(width, 2, bias=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Read out ``(batch, 2, tokens, width)``."""
        logits: torch.Tensor = self.head(x[:, HIGH, 0])
        return logits


def recognises(config: Mapping[str, Any], names: Collection[str], kind: Kind) -> bool:
    """Say whether a config or tensor names are those of a TRM or HRM."""
    section = section_of(config)
    said = f"{section.get('architectures', '')} {section.get('name', '')}"
    if any(name in said for name in ARCHITECTURES.values()):
        return ARCHITECTURES[kind] in said
    low, high = (any(f"inner.{level}.layers.0." in name for name in names) for level in ("L_level", "H_level"))
    return low and high == (kind == "hrm")


def puzzle_family(kind: Kind, *, description: str, identifies: str) -> Family:
    """Return the family of one of the two kinds."""

    def opened(
        source: Source, prompt: Any, granularity: Granularity, dtype: torch.dtype | None, device: torch.device | None
    ) -> Checkpoint:
        return _open(family, kind, source, prompt, granularity, dtype, device)

    family = Family(
        name=kind, description=description, identifies=identifies, recognises=partial(recognises, kind=kind),
        open=opened, own_output=own_output, live_config=partial(live_config, kind=kind),
    )  # fmt: skip
    return family


def _open(
    family: Family,
    kind: Kind,
    source: Source,
    prompt: Any,
    granularity: Granularity,
    dtype: torch.dtype | None,
    device: torch.device | None,
) -> Checkpoint:
    """Open a checkpoint of either family: see `Family.open`."""
    options = read_options(source, kind)
    tensors = _own_names(options, fitting_tensors(source, options.shapes()))
    puzzle, said = read_puzzle(prompt, source.name, options)
    device = device or tensors["H_init"].device
    e = _embedded(options, tensors, puzzle)
    starts = [tensors[name].double().cpu().expand(options.tokens, -1) for name in ("H_init", "L_init")]
    levels = {
        level: [_block(options, tensors, f"{level}.layers.{i}", dtype, device) for i in range(blocks)]
        for level, blocks in options.levels.items()
    }
    low, high = levels["L_level"], levels.get("H_level", levels["L_level"])
    shared = "the L level in both roles" if kind == "trm" else "two levels"
    head = build(lambda: ReadOut(options), {"head.weight": tensors["lm_head.weight"]}, dtype, device)
    return Checkpoint(
        two_scale_layers(low, high, options.cycles, e.to(device), granularity),
        (2, options.tokens, options.width),
        family=family,
        source=source,
        prompt=puzzle,
        tokens=[f"puzzle{i}" for i in range(options.prefix)] + puzzle["inputs"].tolist(),
        decode=head,
        summary=f"{options.cycles} × z_L ← L(z_L + z_H + e), then z_H ← H(z_H + z_L), {shared}, post-norm, state "
        f"(z_H, z_L), prompt = {said}",
        start=starts_around(torch.stack(starts)),
        kinds=start_kinds(torch.stack([e, e])),
        heads={"halting": build(lambda: Halting(options.width), parts(tensors, "q_head", "head"), dtype, device)},
        granularity=granularity,
        read_out="logits",
        causal=False,
        dtype=dtype or widest(tensors),
        device=device,
    )


def _own_names(options: Options, tensors: Tensors) -> dict[str, torch.Tensor]:
    return {name.removeprefix(options.root): tensor for name, tensor in tensors.items()}


def _embedded(options: Options, tensors: Tensors, puzzle: Mapping[str, Any]) -> torch.Tensor:
    """Return e ``(tokens, width)`` in float64: puzzle embedding, then inputs, positions if learned, times √width."""
    table = tensors["embed_tokens.embedding_weight"]
    e = table[torch.as_tensor(puzzle["inputs"], device=table.device)].double().cpu()
    if options.puzzle_width:
        row = tensors["puzzle_emb.weights"][int(puzzle["puzzle_identifiers"])].double().cpu()
        row = functional.pad(row, (0, options.prefix * options.width - len(row)))
        e = torch.cat([row.view(options.prefix, options.width), e])
    if options.positions == "learned":
        e = _ROOT_TWO * (e + tensors["embed_pos.embedding_weight"].double().cpu())
    return math.sqrt(options.width) * e


def _block(
    options: Options, tensors: Tensors, stored: str, dtype: torch.dtype | None, device: torch.device
) -> dict[str, nn.Module]:
    """Return the two branches of a block, ``rms(x + f(x))`` each."""
    if options.mixer:
        weights = _gated(tensors, f"{stored}.mlp_t", "f.f.")
        mixing: nn.Module = build(lambda: OverPositions(_mlp(options, positions=True)), weights, dtype, device)
        first = {"position mlp": mixing}
    else:
        first = {"attention": _attention(options, tensors, stored, dtype, device)}
    weights = _gated(tensors, f"{stored}.mlp", "f.")
    return first | {"mlp": build(lambda: _mlp(options, positions=False), weights, dtype, device)}


def _attention(
    options: Options, tensors: Tensors, stored: str, dtype: torch.dtype | None, device: torch.device
) -> nn.Module:
    fused = tensors[f"{stored}.self_attn.qkv_proj.weight"].chunk(3)
    weights = {f"f.{name}.weight": tensor for name, tensor in zip("qkv", fused, strict=True)}
    weights["f.o.weight"] = tensors[f"{stored}.self_attn.o_proj.weight"]
    rotary = options.positions == "rope"
    tables = float32_tables(options.tokens, options.head_size, options.theta).to(device) if rotary else None

    def make() -> nn.Module:
        f = TableAttention(options.width, options.heads, options.head_size, tables=tables)
        return PostNorm(WeightlessRMSNorm(options.eps), f)

    return build(make, weights, dtype, device)


def _mlp(options: Options, *, positions: bool) -> nn.Module:
    width, inner = (options.tokens, options.inner_positions) if positions else (options.width, options.inner)
    return PostNorm(WeightlessRMSNorm(options.eps), GatedMLP(width, inner))


def _gated(tensors: Tensors, stored: str, own: str) -> dict[str, torch.Tensor]:
    gate, up = tensors[f"{stored}.gate_up_proj.weight"].chunk(2)
    return {
        f"{own}gate.weight": gate,
        f"{own}up.weight": up,
        f"{own}down.weight": tensors[f"{stored}.down_proj.weight"],
    }


def live_config(model: Any, kind: Kind) -> Mapping[str, Any] | None:
    """Return the config of a live model, or of one inside a loss head; None for models of another family."""
    for _ in range(3):
        if type(model).__name__ == ARCHITECTURES[kind]:
            config = getattr(model, "config", None)
            dump = getattr(config, "model_dump", None) or getattr(config, "dict", None)
            found = dump() if callable(dump) else config_of(model)
            return None if found is None else {"architectures": [ARCHITECTURES[kind]], **found}
        model = getattr(model, "_orig_mod", None) or getattr(model, "model", None)
    return None


def own_output(checkpoint: Checkpoint, loops: int) -> torch.Tensor | None:
    """Run a live model's own inner loop on a copy, with ``H_cycles = loops``; None for files, which bring no code."""
    model = checkpoint.source.model
    while model is not None and not hasattr(model, "inner"):
        model = getattr(model, "_orig_mod", None) or getattr(model, "model", None)
    if model is None:
        return None
    like = checkpoint.start()
    inner = copy.deepcopy(model.inner).to(like).eval()
    inner.config.H_cycles, inner.forward_dtype = loops, like.dtype
    for module in inner.modules():
        if hasattr(module, "cast_to"):
            module.cast_to = like.dtype
    batch = {name: torch.as_tensor(value, device=like.device)[None] for name, value in checkpoint.prompt.items()}
    carry = inner.reset_carry(torch.ones(1, dtype=torch.bool, device=like.device), inner.empty_carry(1))
    with torch.no_grad():
        _, logits, _ = inner(carry, batch)
    found: torch.Tensor = logits
    return found
