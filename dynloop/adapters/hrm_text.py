"""HRM-Text (`sapientinc/HRM-Text-1B`): a fast and a slow stack of pre-norm layers with gated attention, on text."""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn

from dynloop.adapters.activations import ACTIVATIONS
from dynloop.adapters.base import Checkpoint, Family, Granularity, Source, start_kinds, starts_around
from dynloop.adapters.fitting import build, fitting_tensors, widest
from dynloop.adapters.hrm_text_config import GATED, MIXED, STACKS, Options, read_options
from dynloop.adapters.hrm_text_prompt import attention_pattern, read_prompt
from dynloop.adapters.language_prompt import LanguagePrompt
from dynloop.adapters.rotary_blocks import TableAttention, WeightlessRMSNorm
from dynloop.adapters.tied import with_tied
from dynloop.adapters.two_scales import HIGH, two_scale_layers
from dynloop.errors import CheckpointError
from dynloop.nn import GatedMLP, Linear, PreNorm

__all__ = ["FAMILY", "GatedAttention", "ReadOut"]

Tensors = Mapping[str, torch.Tensor]


class GatedAttention(TableAttention):
    """Attention whose heads are multiplied by ``sigmoid(W_g x)`` before the output map."""

    def __init__(self, width: int, heads: int, head_size: int, **options: Any) -> None:
        super().__init__(width, heads, head_size, **options)
        self.gate = Linear(width, heads * head_size, bias=options.get("bias", False))

    def gated(self, x: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        """Gate `mixed` ``(batch, tokens, heads · head_size)`` by x ``(batch, tokens, width)``."""
        return torch.sigmoid(self.gate(x)) * mixed


class ReadOut(nn.Module):
    """The logits of z_H: ``(batch, 2, tokens, width)`` to ``(batch, tokens, vocabulary)``."""

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__()
        self.head = Linear(width, vocabulary)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Read out ``(batch, 2, tokens, width)``."""
        logits: torch.Tensor = self.head(x[:, HIGH])
        return logits


def _recognises(config: Mapping[str, Any], names: Collection[str]) -> bool:
    said = config.get("model_type")
    return said == "hrm_text" or (said is None and any(".layers.0.attn.gqkv_proj." in name for name in names))


def _open(
    source: Source, prompt: Any, granularity: Granularity, dtype: torch.dtype | None, device: torch.device | None
) -> Checkpoint:
    options = read_options(source)
    copies = r"lm_head\.weight" if options.tied else None
    if options.tied:
        source = with_tied(source, f"{options.layout.root}embed_tokens.weight", "lm_head.weight", "tie_word_embeddings")
    tensors = fitting_tensors(source, options.shapes(), unused=copies)
    read = read_prompt(prompt, source, options)
    table = tensors[f"{options.layout.root}embed_tokens.weight"]
    device = device or table.device
    fast, slow = (_stack(options, tensors, stack, read, dtype, device) for stack in STACKS)
    own = _first(options, tensors, read)
    gives = "logits" if options.head else "z_H, the last hidden state"
    return Checkpoint(
        two_scale_layers(fast, slow, options.cycles, None, granularity),
        tuple(own.shape),
        family=FAMILY,
        source=source,
        prompt=read.inputs,
        tokens=read.tokens,
        decode=_head(options, tensors, dtype, device) if options.head else lambda x: x[:, HIGH],
        summary=f"{options.cycles} × z_L ← L(z_L + z_H), then z_H ← H(z_H + z_L), pre-norm, a norm closes every "
        f"update, state (z_H, z_L), the prompt is the start of z_H alone, decode = {gives}, prompt = {read.said}",
        start=starts_around(own),
        kinds=start_kinds(own),
        granularity=granularity,
        read_out="logits" if options.head else "numbers",
        causal=False,
        dtype=dtype or widest(tensors),
        device=device,
    )


def _first(options: Options, tensors: Tensors, read: LanguagePrompt) -> torch.Tensor:
    """Return the model's own start ``(2, tokens, width)`` in float64: scaled embeddings and z_L_init."""
    table = tensors[f"{options.layout.root}embed_tokens.weight"]
    e = table[torch.from_numpy(read.inputs["input_ids"]).to(table.device)].double().cpu() * options.scale
    return torch.stack([e, tensors[f"{options.layout.root}z_L_init"].double().cpu().expand_as(e)])


def _stack(
    options: Options,
    tensors: Tensors,
    stack: str,
    read: LanguagePrompt,
    dtype: torch.dtype | None,
    device: torch.device,
) -> list[dict[str, nn.Module]]:
    """Return the blocks of a stack, its closing norm as the last."""
    tables = options.rope.tables(len(read.tokens)).to(device)
    pattern = attention_pattern(read)
    mask = None if pattern is None else pattern.to(device)

    def attention() -> nn.Module:
        f = GatedAttention(
            options.width,
            options.heads,
            options.head_size,
            causal=True,
            bias=options.attention_bias,
            tables=tables,
            mask=mask,
        )
        return PreNorm(WeightlessRMSNorm(options.eps), f)

    def mlp() -> nn.Module:
        f = GatedMLP(options.width, options.inner, act=ACTIVATIONS[options.act], bias=options.mlp_bias)
        return PreNorm(WeightlessRMSNorm(options.eps), f)

    blocks: list[dict[str, nn.Module]] = [
        {
            "attention": build(attention, _attention_weights(options, tensors, stack, i), dtype, device),
            "mlp": build(mlp, _mlp_weights(options, tensors, stack, i), dtype, device),
        }
        for i in range(options.blocks)
    ]
    return [*blocks, {"norm": WeightlessRMSNorm(options.eps)}]


def _attention_weights(options: Options, tensors: Tensors, stack: str, i: int) -> dict[str, torch.Tensor]:
    stored, layout = options.block(stack, i), options.layout
    found = {"f.o.weight": tensors[f"{stored}.{layout.output}.o_proj.weight"]}
    if layout.fused_attention:
        fused = tensors[f"{stored}.attn.gqkv_proj.weight"].chunk(4)
        found |= {f"f.{name}.weight": tensor for name, tensor in zip(MIXED, fused, strict=True)}
    else:
        found |= {f"f.{name}.weight": tensors[f"{stored}.self_attn.{name}_proj.weight"] for name in MIXED}
    if options.attention_bias:
        found |= {f"f.{name}.bias": tensors[f"{stored}.self_attn.{name}_proj.bias"] for name in MIXED}
        found["f.o.bias"] = tensors[f"{stored}.{layout.output}.o_proj.bias"]
    return found


def _mlp_weights(options: Options, tensors: Tensors, stack: str, i: int) -> dict[str, torch.Tensor]:
    stored = f"{options.block(stack, i)}.mlp"
    found = {"f.down.weight": tensors[f"{stored}.down_proj.weight"]}
    if options.layout.fused_mlp:
        fused = tensors[f"{stored}.gate_up_proj.weight"].chunk(2)
        found |= {f"f.{name}.weight": tensor for name, tensor in zip(GATED, fused, strict=True)}
    else:
        found |= {f"f.{name}.weight": tensors[f"{stored}.{name}_proj.weight"] for name in GATED}
    if options.mlp_bias:
        found |= {f"f.{name}.bias": tensors[f"{stored}.{name}_proj.bias"] for name in (*GATED, "down")}
    return found


def _head(options: Options, tensors: Tensors, dtype: torch.dtype | None, device: torch.device) -> nn.Module:
    name = f"{options.layout.root}embed_tokens.weight" if options.tied else "lm_head.weight"
    return build(lambda: ReadOut(options.width, options.vocabulary), {"head.weight": tensors[name]}, dtype, device)


def _own_output(checkpoint: Checkpoint, loops: int) -> torch.Tensor:
    """Run the HRM-Text of transformers with ``H_cycles = loops`` on a copy of the weights."""
    source = checkpoint.source
    try:
        transformers = importlib.import_module("transformers")
        kinds = transformers.HrmTextConfig, transformers.HrmTextForCausalLM
    except (ImportError, AttributeError) as error:
        raise CheckpointError(
            f"{checkpoint.name}: to run the model's own code, transformers 5.9 or later must be installed; run `pip "
            "install 'dynloop[models]'`, or pass reference="
        ) from error
    options = read_options(source)
    config = kinds[0].from_dict({**source.config, "H_cycles": loops})
    config._attn_implementation = "eager"
    with torch.random.fork_rng(devices=[]):
        model = kinds[1](config)
    model.load_state_dict(_live_names(options, source.tensors), strict=False)
    model = model.to(device=checkpoint.device, dtype=checkpoint.dtype).eval()
    inputs = {name: torch.as_tensor(v)[None].to(checkpoint.device) for name, v in checkpoint.prompt.items()}
    if not inputs["token_type_ids"].any():
        del inputs["token_type_ids"]
    with torch.no_grad():
        out = model(**inputs, use_cache=False) if options.head else model.model(**inputs, use_cache=False)
    found: torch.Tensor = out.logits if options.head else out.last_hidden_state
    return found


def _live_names(options: Options, tensors: Tensors) -> dict[str, torch.Tensor]:
    """Return the tensors under the names of a live model."""
    root = options.layout.root
    embedding = f"{root}embed_tokens.weight"
    found = {"model.embed_tokens.weight": tensors[embedding], "model.z_L_init": tensors[f"{root}z_L_init"]}
    found["lm_head.weight"] = tensors[embedding if options.tied or not options.head else "lm_head.weight"]
    for stack in STACKS:
        for i in range(options.blocks):
            places = (("self_attn", _attention_weights), ("mlp", _mlp_weights))
            for place, weights in places:
                for name, tensor in weights(options, tensors, stack, i).items():
                    _, own, part = name.split(".")
                    found[f"model.{stack}.layers.{i}.{place}.{own}_proj.{part}"] = tensor
    return found


FAMILY = Family(
    name="hrm_text",
    description="L_cycles × z_L ← L(z_L + z_H), then z_H ← H(z_H + z_L); L, H pre-norm stacks that end in a norm",
    identifies="model_type hrm_text; tensors L_module.layers.0.attn.gqkv_proj",
    recognises=_recognises,
    open=_open,
    own_output=_own_output,
)
