"""What Huginn and the retrofitted models have in common: embed, prelude, adapter and core in the loop, coda, head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from scipy import special
from torch import nn

from dynloop.adapters.base import Checkpoint, Family, Granularity, Source, start_kinds
from dynloop.adapters.fitting import build, fitting_tensors, widest
from dynloop.adapters.language_prompt import LanguagePrompt, read_language_prompt
from dynloop.adapters.raven_config import UNUSED, Options, read_options
from dynloop.errors import CheckpointError
from dynloop.maps.base import Starter
from dynloop.maps.synthetic import Bound
from dynloop.maps.torch import Layer
from dynloop.nn import Attention, GatedMLP, Linear, NormedBranch, RMSNorm

__all__ = ["Adapter", "open_raven", "own_output", "truncated_normal"]

Tensors = Mapping[str, torch.Tensor]
_BEYOND = 3.0  # noise is cut at three standard deviations


class Adapter(nn.Module):
    """The injection ``x ← W [x, e] + b``; a bias is there only if the config says so."""

    def __init__(self, width: int, *, bias: bool) -> None:
        super().__init__()
        self.linear = Linear(2 * width, width, bias=bias)

    def forward(self, x: torch.Tensor, e: torch.Tensor) -> torch.Tensor:
        """Inject e ``(tokens, width)`` into ``(batch, tokens, width)``."""
        mixed: torch.Tensor = self.linear(torch.cat([x, e.to(x.dtype).expand_as(x)], dim=-1))
        return mixed


def open_raven(
    family: Family,
    source: Source,
    prompt: Any,
    granularity: Granularity,
    dtype: torch.dtype | None,
    device: torch.device | None,
) -> Checkpoint:
    """Open a checkpoint of either family; see `Family.open`."""
    options = read_options(source)
    tied = r"|lm_head\.weight" if options.tied else ""
    tensors = fitting_tensors(source, options.shapes(), unused=UNUSED + tied)
    _check_tied(source, options)
    read = read_language_prompt(
        prompt, source, vocabulary=options.vocabulary, context=options.context, only_behind=True
    )
    device = device or tensors["transformer.wte.weight"].device
    blocks = _Blocks(options, tensors, read, dtype, device)
    with torch.no_grad():
        e = _contributed(options, tensors, read, blocks)
        first = _through(options.blocks("core_block"), e, blocks) if options.start == "skip-adapter" else e
    noise = truncated_normal(options.std * options.embed_scale, tuple(e.shape))
    kinds = start_kinds(first, noise)
    own = "noise" if options.start == "random" else "embedding"
    weights = {name: tensor for name, tensor in tensors.items() if name != "freqs_cis"}
    return Checkpoint(
        _layers(options, tensors, e, blocks, granularity, dtype, device),
        tuple(e.shape),
        family=family,
        source=source,
        prompt=read.inputs,
        tokens=read.tokens,
        decode=_read_out(options, tensors, blocks, dtype, device),
        summary=f"{_SAID[options.form]}, {_START[options.start]}, prompt = {read.said}",
        start=kinds[own],
        kinds=kinds,
        granularity=granularity,
        read_out="logits",
        causal=True,
        dtype=dtype or widest(weights),
        device=device,
    )


_SAID = {
    "huginn": "adapter = W [x, e], blocks x = norm(x + f(norm x)), decode = head(ln_f(coda(ln_f x)))",
    "llama": "adapter = W [x, e], pre-norm Llama blocks, decode = head(ln_f(coda x))",
    "olmo": "adapter = W [x, e], OLMo-2 blocks x = x + norm(f x), decode = head(ln_f(coda x))",
}
_START = {
    "random": "start = noise",
    "embed-init": "start = e",
    "skip-adapter": "start = core(e), the model's first loop, which skips the adapter: loop n is its loop n + 1",
}


class _Blocks:
    """The transformer layers of a checkpoint, as modules that share its weights."""

    def __init__(
        self,
        options: Options,
        tensors: Tensors,
        prompt: LanguagePrompt,
        dtype: torch.dtype | None,
        device: torch.device,
    ) -> None:
        self.options, self.tensors, self.dtype, self.device = options, tensors, dtype, device
        mask = torch.from_numpy(prompt.inputs["attention_mask"] == 1)
        self.attend = None if bool(mask.all()) else mask.to(device)
        tokens = len(prompt.tokens)
        rope = options.rope
        self.tables = (_stored_tables(tensors["freqs_cis"], tokens) if rope is None else rope.tables(tokens)).to(device)

    def branches(self, stored: str) -> tuple[nn.Module, nn.Module]:
        """Return attention and MLP of the layer that lies at `stored`, each with its norms."""
        o, tensors = self.options, self.tensors
        queries, keys = o.heads * o.head_size, o.kv_heads * o.head_size
        q, k, v = torch.split(tensors[f"{stored}.attn.Wqkv.weight"], [queries, keys, keys])
        weights = {"f.q.weight": q, "f.k.weight": k, "f.v.weight": v}
        weights["f.o.weight"] = tensors[f"{stored}.attn.proj.weight"]
        if o.qk_bias:
            biases = ("f.q_norm.bias", "f.k_norm.bias") if o.form == "olmo" else ("f.q.bias", "f.k.bias")
            weights |= dict(zip(biases, tensors[f"{stored}.attn.qk_bias"].flatten(1), strict=True))
        if o.form == "olmo":
            weights |= {f"f.{n}.weight": tensors[f"{stored}.attn.{n}.weight"] for n in ("q_norm", "k_norm")}
        gate, up = tensors[f"{stored}.mlp.fc.weight"].chunk(2)
        inner = {"f.gate.weight": gate, "f.up.weight": up, "f.down.weight": tensors[f"{stored}.mlp.proj.weight"]}
        places = {"huginn": ("before", "stream"), "llama": ("before",), "olmo": ("after",)}[o.form]
        norms = iter(range(1, 5))
        for part in (weights, inner):
            part |= {f"{place}.weight": tensors[f"{stored}.norm_{next(norms)}.weight"] for place in places}
        attention = build(lambda: self._normed(self._attention(), places), weights, self.dtype, self.device)
        mlp = build(lambda: self._normed(GatedMLP(o.width, o.inner), places), inner, self.dtype, self.device)
        return attention, mlp

    def _normed(self, f: nn.Module, places: tuple[str, ...]) -> nn.Module:
        return NormedBranch(f, **{place: RMSNorm(self.options.width, eps=self.options.eps) for place in places})

    def _attention(self) -> nn.Module:
        o = self.options
        return Attention(
            o.width,
            o.heads,
            kv_heads=o.kv_heads,
            head_size=o.head_size,
            bias="qk" if o.qk_bias else False,
            attend=self.attend,
            tables=self.tables,
            neighbours=o.form == "huginn",
            qk_eps=o.eps if o.form == "olmo" else None,
        )


def _stored_tables(freqs: torch.Tensor, tokens: int) -> torch.Tensor:
    """Return the rotary tables ``(2, tokens, size)`` that the buffer ``(1, context, 1, size / 2, 2)`` holds."""
    cos, sin = freqs[0, :tokens, 0].unbind(-1)
    return torch.stack([torch.stack([cos, cos], -1).flatten(-2), torch.stack([-sin, sin], -1).flatten(-2)])


def _contributed(options: Options, tensors: Tensors, prompt: LanguagePrompt, blocks: _Blocks) -> torch.Tensor:
    """Return e ``(tokens, width)`` in float64: the scaled embeddings after the prelude."""
    table = tensors["transformer.wte.weight"]
    ids = torch.from_numpy(prompt.inputs["input_ids"]).to(table.device)
    x = table[ids].to(device=blocks.device, dtype=torch.float64) * options.embed_scale
    return _through(options.blocks("prelude"), x, blocks)


def _through(stored: list[str], x: torch.Tensor, blocks: _Blocks) -> torch.Tensor:
    """Send x ``(tokens, width)`` through the layers that lie at `stored`."""
    x = x[None]
    for block in stored:
        for branch in blocks.branches(block):
            x = branch(x)
    return x[0]


def _layers(
    options: Options,
    tensors: Tensors,
    e: torch.Tensor,
    blocks: _Blocks,
    granularity: Granularity,
    dtype: torch.dtype | None,
    device: torch.device,
) -> dict[str, Layer]:
    """Return the layers of one loop: the adapter, then the core."""
    weights = {"linear.weight": tensors["transformer.adapter.weight"]}
    if options.adapter_bias:
        weights["linear.bias"] = tensors["transformer.adapter.bias"]
    adapter = build(lambda: Adapter(options.width, bias=options.adapter_bias), weights, dtype, device)
    layers: dict[str, Layer] = {"adapter": Bound(adapter, e)}
    for i, block in enumerate(options.blocks("core_block")):
        attention, mlp = blocks.branches(block)
        if granularity == "sublayer":
            layers |= {f"block {i} attention": attention, f"block {i} mlp": mlp}
        else:
            layers[f"block {i}"] = nn.Sequential(attention, mlp)
    return layers


def _read_out(
    options: Options, tensors: Tensors, blocks: _Blocks, dtype: torch.dtype | None, device: torch.device
) -> nn.Module:
    """Return the read-out: coda, closing norm, head; Huginn normalises before its coda too."""
    norm = {"weight": tensors["transformer.ln_f.weight"]}
    ln_f = build(lambda: RMSNorm(options.width, eps=options.eps), norm, dtype, device)
    coda = [branch for block in options.blocks("coda") for branch in blocks.branches(block)]
    stored = "transformer.wte.weight" if options.tied else "lm_head.weight"
    head = build(lambda: Linear(options.width, options.vocabulary), {"weight": tensors[stored]}, dtype, device)
    return nn.Sequential(*([ln_f] if options.form == "huginn" else []), *coda, ln_f, head)


def _check_tied(source: Source, options: Options) -> None:
    head, table = source.tensors.get("lm_head.weight"), source.tensors["transformer.wte.weight"]
    if not options.tied or head is None or head.data_ptr() == table.data_ptr():
        return
    if head.shape != table.shape or not torch.equal(head, table):
        raise CheckpointError(
            f"{source.name}: the config says tie_embeddings, and lm_head.weight differs from transformer.wte.weight; "
            "set tie_embeddings to false if the stored head counts, or leave that tensor out"
        )


def truncated_normal(std: float, shape: tuple[int, ...]) -> Starter:
    """Return starts of normal noise cut at ±3 of its own standard deviation before cutting, `std`."""
    low = float(special.ndtr(-_BEYOND))

    def draw(rng: np.random.Generator, n: int) -> Any:
        return std * special.ndtri(low + (1 - 2 * low) * rng.random((n, *shape)))

    return draw


def own_output(checkpoint: Checkpoint, loops: int) -> torch.Tensor | None:
    """Run a live model's own forward from the map's first start; None where there is no live model to ask.

    Neither is it asked in another dtype than its own, nor in float64, which its norms do not keep.
    """
    model = checkpoint.source.model
    weight = checkpoint.source.tensors["transformer.wte.weight"]
    if model is None or checkpoint.dtype != weight.dtype or checkpoint.dtype == torch.float64:
        return None
    skipped = "skip the adapter" if "skips the adapter" in checkpoint.describe() else ""
    ids = torch.as_tensor(checkpoint.prompt["input_ids"], device=checkpoint.device)[None]
    with torch.no_grad():
        given = None if skipped else checkpoint.start()
        out = model(input_ids=ids, input_states=given, num_steps=loops + bool(skipped))
    logits: torch.Tensor = out.logits
    return logits.to(checkpoint.dtype)
