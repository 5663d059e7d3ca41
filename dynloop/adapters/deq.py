"""DEQ transformer (Bai, Kolter, Koltun 2019, arXiv 1909.01377): one layer, its injection added to q, k and v."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn

from dynloop.adapters.base import Checkpoint, Family, Granularity, Source, start_kinds, starts_around
from dynloop.adapters.deq_config import FREQUENCIES, MODEL_TYPE, Options, live_config, read_options
from dynloop.adapters.deq_layers import AdaptiveSoftmax, FeedForward, InjectedAttention, embedded, matrix
from dynloop.adapters.fitting import build, fitting_tensors, widest
from dynloop.adapters.language_prompt import read_language_prompt
from dynloop.adapters.tied import with_tied
from dynloop.maps.torch import Layer

__all__ = ["FAMILY"]

_CONTEXT = 2**16  # sinusoids have no last position; this only bounds the memory that a prompt may ask for


def _recognises(config: Mapping[str, Any], names: Collection[str]) -> bool:
    said = config.get("model_type")
    return said == MODEL_TYPE or (said is None and {"inject_conv.weight", "func.dec_attn.r_w_bias"} <= set(names))


def _open(
    source: Source, prompt: Any, granularity: Granularity, dtype: torch.dtype | None, device: torch.device | None
) -> Checkpoint:
    options = read_options(source.config, source.tensors.keys(), source.name)
    for i in range(options.clusters if options.tied else 0):
        source = with_tied(source, f"word_emb.emb_layers.{i}.weight", f"crit.out_layers.{i}.weight", "tie_weights")
        if f"crit.out_layers.{i}.weight" not in source.tensors and f"word_emb.emb_layers.{i}.weight" in source.tensors:
            source = with_tied(source, f"crit.out_layers.{i}.weight", f"word_emb.emb_layers.{i}.weight", "tie_weights")
    shapes = options.shapes()
    if FREQUENCIES in source.tensors:
        shapes[FREQUENCIES] = (options.width // 2,)
    tensors = fitting_tensors(source, shapes)
    read = read_language_prompt(prompt, source, vocabulary=options.vocabulary, context=_CONTEXT, only_behind=True)
    device = device or tensors["inject_conv.weight"].device
    work = dtype or widest({name: tensor for name, tensor in tensors.items() if name != FREQUENCIES})
    e = embedded(options, tensors, torch.from_numpy(read.inputs["input_ids"]))
    attention, mlp = _layers(options, tensors, e, dtype, device)
    layers: dict[str, Layer] = {"attention": attention, "mlp": mlp}
    return Checkpoint(
        layers if granularity == "sublayer" else {"layer": nn.Sequential(attention, mlp)},
        tuple(e.shape),
        family=FAMILY,
        source=source,
        prompt=read.inputs,
        tokens=read.tokens,
        decode=AdaptiveSoftmax(options, tensors),
        summary=(
            f"{'pre' if options.before else 'post'}-norm, W_inject e added to queries, keys and values, start = 0, "
            f"decode = {'logits' if options.clusters == 1 else 'log-probabilities'}, prompt = {read.said}"
        ),
        start=starts_around(torch.zeros_like(e)),
        kinds=start_kinds(e),
        granularity=granularity,
        read_out="logits",
        causal=True,
        dtype=work,
        device=device,
    )


def _layers(
    options: Options,
    tensors: Mapping[str, torch.Tensor],
    e: torch.Tensor,
    dtype: torch.dtype | None,
    device: torch.device,
) -> tuple[nn.Module, nn.Module]:
    """Return attention, with what the prompt and the distances contribute, and the MLP."""
    inject = tensors["inject_conv.weight"].flatten(1).double().cpu()
    u = (e @ inject.T + tensors["inject_conv.bias"].double().cpu()).to(device)
    places = torch.arange(options.width // 2, dtype=torch.float32)
    frequencies = tensors.get(FREQUENCIES, 1 / 10000 ** (2 * places / options.width)).double().cpu()
    angles = torch.outer(torch.arange(len(e), dtype=torch.float64), frequencies)
    distances = torch.cat([angles.sin(), angles.cos()], -1)
    r_net = matrix(options, {k: v.double().cpu() for k, v in tensors.items() if ".r_net." in k}, "func.dec_attn.r_net")
    r = (distances @ r_net.T).reshape(len(e), options.heads, -1).transpose(0, 1).to(device)
    attention = {
        "qkv.weight": matrix(options, tensors, "func.dec_attn.qkv_net"),
        "o.weight": matrix(options, tensors, "func.dec_attn.o_net"),
        "o.bias": tensors["func.dec_attn.o_net.bias"],
        "content": tensors["func.dec_attn.r_w_bias"],
        "distance": tensors["func.dec_attn.r_r_bias"],
    }
    mlp = {f"{own}.weight": matrix(options, tensors, f"func.pos_ff.{name}_net") for own, name in _MLP.items()}
    mlp |= {f"{own}.bias": tensors[f"func.pos_ff.{name}_net.bias"] for own, name in _MLP.items()}
    made = InjectedAttention(options, u, r)
    made.load_state_dict(
        {name: tensor.detach().to(device=device, dtype=dtype) for name, tensor in attention.items()}, assign=True
    )
    return made.requires_grad_(requires_grad=False).eval(), build(lambda: FeedForward(options), mlp, dtype, device)


_MLP = {"up": "ff1", "down": "ff2"}

FAMILY = Family(
    name="deq",
    description="x ← LN(y + mlp y), y = LN(x + attention(W x + W_inject e)); the injection enters q, k and v; start 0",
    identifies=f"model_type {MODEL_TYPE}; tensors inject_conv, func.dec_attn.qkv_net, func.pos_ff.ff1_net",
    recognises=_recognises,
    open=_open,
    live_config=live_config,
)
