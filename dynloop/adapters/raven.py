"""What Huginn and the retrofitted models have in common: embed, prelude, adapter and core in the loop, coda, head."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import torch
from scipy import special
from torch import nn

from dynloop.adapters.base import Checkpoint, Family, Granularity, Source, start_kinds, starts_around
from dynloop.adapters.fitting import build, fitting_tensors, widest
from dynloop.adapters.language_prompt import LanguagePrompt, read_language_prompt
from dynloop.adapters.raven_blocks import Blocks, Tensors
from dynloop.adapters.raven_config import UNUSED, Options, form_of, is_raven, read_options
from dynloop.adapters.tied import with_tied
from dynloop.maps.base import Starter
from dynloop.maps.synthetic import Bound
from dynloop.maps.torch import Layer
from dynloop.nn import Linear, RMSNorm

__all__ = ["Adapter", "raven_family", "truncated_normal"]

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


def raven_family(name: str, forms: Collection[str], *, description: str, identifies: str) -> Family:
    """Return the family of the Raven checkpoints whose blocks have one of the forms."""

    def recognises(config: Mapping[str, Any], names: Collection[str]) -> bool:
        return is_raven(config, names) and form_of(names) in forms

    def opened(
        source: Source, prompt: Any, granularity: Granularity, dtype: torch.dtype | None, device: torch.device | None
    ) -> Checkpoint:
        return _open(family, source, prompt, granularity, dtype, device)

    family = Family(
        name=name, description=description, identifies=identifies, recognises=recognises, open=opened,
        own_output=own_output,
    )  # fmt: skip
    return family


def _open(
    family: Family,
    source: Source,
    prompt: Any,
    granularity: Granularity,
    dtype: torch.dtype | None,
    device: torch.device | None,
) -> Checkpoint:
    """Open a checkpoint of either family; see `Family.open`."""
    options = read_options(source)
    if options.tied:
        source = with_tied(source, "transformer.wte.weight", "lm_head.weight", "tie_embeddings")
    tensors = fitting_tensors(source, options.shapes(), unused=UNUSED + (r"|lm_head\.weight" if options.tied else ""))
    read = read_language_prompt(
        prompt, source, vocabulary=options.vocabulary, context=options.context, only_behind=True
    )
    device = device or tensors["transformer.wte.weight"].device
    blocks = Blocks(options, tensors, read, dtype, device)
    with torch.no_grad():
        e = _contributed(options, tensors, read, blocks)
        first = _through(options.blocks("core_block"), e, blocks) if options.start == "skip-adapter" else e
    noise = truncated_normal(options.std * options.embed_scale, tuple(e.shape))
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
        start=noise if options.start == "random" else starts_around(first),
        kinds=start_kinds(e, noise),
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


def _contributed(options: Options, tensors: Tensors, prompt: LanguagePrompt, blocks: Blocks) -> torch.Tensor:
    """Return e ``(tokens, width)`` in float64: the scaled embeddings after the prelude."""
    table = tensors["transformer.wte.weight"]
    ids = torch.from_numpy(prompt.inputs["input_ids"]).to(table.device)
    x = table[ids].to(device=blocks.device, dtype=torch.float64) * options.embed_scale
    return _through(options.blocks("prelude"), x, blocks)


def _through(stored: list[str], x: torch.Tensor, blocks: Blocks) -> torch.Tensor:
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
    blocks: Blocks,
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
    options: Options, tensors: Tensors, blocks: Blocks, dtype: torch.dtype | None, device: torch.device
) -> nn.Module:
    """Return the read-out: coda, closing norm, head; Huginn normalises before its coda too."""
    norm = {"weight": tensors["transformer.ln_f.weight"]}
    ln_f = build(lambda: RMSNorm(options.width, eps=options.eps), norm, dtype, device)
    coda = [branch for block in options.blocks("coda") for branch in blocks.branches(block)]
    stored = "transformer.wte.weight" if options.tied else "lm_head.weight"
    head = build(lambda: Linear(options.width, options.vocabulary), {"weight": tensors[stored]}, dtype, device)
    return nn.Sequential(*([ln_f] if options.form == "huginn" else []), *coda, ln_f, head)


def truncated_normal(std: float, shape: tuple[int, ...]) -> Starter:
    """Return starts of normal noise cut at ±3 of its own standard deviation before cutting, `std`."""
    low = float(special.ndtr(-_BEYOND))

    def draw(rng: np.random.Generator, n: int) -> Any:
        return std * special.ndtri(low + (1 - 2 * low) * rng.random((n, *shape)))

    return draw


def own_output(checkpoint: Checkpoint, loops: int) -> torch.Tensor | None:
    """Run a live model's own forward from the map's first start; None where there is no live model to ask.

    Neither is it asked with padding, of which it knows nothing, nor in another dtype than its own, nor in float64,
    which its norms do not keep.
    """
    model, config = checkpoint.source.model, checkpoint.source.config
    weight = checkpoint.source.tensors["transformer.wte.weight"]
    if model is None or checkpoint.dtype != weight.dtype or checkpoint.dtype == torch.float64:
        return None
    if not np.asarray(checkpoint.prompt["attention_mask"]).all():
        return None
    skips = config.get("initial_state_mode") == "skip-adapter"
    ids = torch.as_tensor(checkpoint.prompt["input_ids"], device=checkpoint.device)[None]
    with torch.no_grad():
        given = None if skips else checkpoint.start()
        logits: torch.Tensor = model(input_ids=ids, input_states=given, num_steps=loops + int(skips)).logits
    return logits.to(weight.dtype)
