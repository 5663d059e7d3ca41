"""ALBERT (Lan et al. 2020, arXiv 1909.11942): one group of post-norm layers, applied again and again."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from dynloop.adapters.albert_config import UNUSED, Options, read_options
from dynloop.adapters.albert_prompt import Prompt, read_prompt
from dynloop.adapters.base import Checkpoint, Family, Granularity, Source, start_kinds, starts_around
from dynloop.adapters.fitting import build, fitting_tensors, parts, widest
from dynloop.errors import CheckpointError
from dynloop.maps.torch import Layer
from dynloop.nn import MLP, Activation, Attention, LayerNorm, Linear, PostNorm, gelu_tanh

__all__ = ["FAMILY", "MaskedLanguageHead"]

Tensors = Mapping[str, torch.Tensor]

_ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": functional.gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": functional.relu,
    "silu": functional.silu,
    "swish": functional.silu,
    "tanh": torch.tanh,
}


class MaskedLanguageHead(nn.Module):
    """The logits of every token, ``(batch, tokens, width)`` to ``(batch, tokens, vocabulary)``."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.dense = Linear(options.width, options.embedding, bias=True)
        self.norm = LayerNorm(options.embedding, eps=options.eps)
        self.decoder = Linear(options.embedding, options.vocabulary, bias=True)
        self.act = _ACTIVATIONS[options.act]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Read out ``(batch, tokens, width)``."""
        logits: torch.Tensor = self.decoder(self.norm(self.act(self.dense(x))))
        return logits


def _recognises(config: Mapping[str, Any], names: Collection[str]) -> bool:
    said = config.get("model_type")
    return said == "albert" or (said is None and any("encoder.albert_layer_groups." in name for name in names))


def _open(
    source: Source, prompt: Any, granularity: Granularity, dtype: torch.dtype | None, device: torch.device | None
) -> Checkpoint:
    options = read_options(source)
    tensors = fitting_tensors(source, options.shapes(), unused=UNUSED)
    read = read_prompt(prompt, source, options)
    device = device or tensors[f"{options.embeddings}.word_embeddings.weight"].device
    own = _embedded(options, tensors, read)
    decode = _head(options, tensors, dtype, device) if options.head else lambda x: x
    gives = "logits of the masked-language head" if options.head else "the state itself, the last hidden state"
    return Checkpoint(
        _layers(options, tensors, read, granularity, dtype, device),
        tuple(own.shape),
        family=FAMILY,
        source=source,
        prompt=read.inputs,
        tokens=read.tokens,
        decode=decode,
        summary=f"post-norm, no injection: the prompt is the start alone, decode = {gives}, prompt = {read.said}",
        start=starts_around(own),
        kinds=start_kinds(own),
        granularity=granularity,
        read_out="logits" if options.head else "state",
        causal=False,
        dtype=dtype or widest(tensors),
        device=device,
    )


def _embedded(options: Options, tensors: Tensors, prompt: Prompt) -> torch.Tensor:
    """Return x_0 ``(tokens, width)``, in float64: the embeddings of words, positions and segments, mapped to width."""
    rows = {
        "word": torch.from_numpy(prompt.inputs["input_ids"]),
        "token_type": torch.from_numpy(prompt.inputs["token_type_ids"]),
        "position": torch.arange(len(prompt.tokens)),
    }
    tables = {name: tensors[f"{options.embeddings}.{name}_embeddings.weight"] for name in rows}
    x = torch.stack([tables[name][index.to(tables[name].device)].double().cpu() for name, index in rows.items()]).sum(0)
    norm = parts(tensors, f"{options.embeddings}.LayerNorm")
    mapping = parts(tensors, f"{options.prefix}encoder.embedding_hidden_mapping_in")
    wide = {name: tensor.double().cpu() for name, tensor in norm.items()}
    x = functional.layer_norm(x, x.shape[-1:], wide["weight"], wide["bias"], options.eps)
    return functional.linear(x, mapping["weight"].double().cpu(), mapping["bias"].double().cpu())


def _layers(
    options: Options,
    tensors: Tensors,
    prompt: Prompt,
    granularity: Granularity,
    dtype: torch.dtype | None,
    device: torch.device,
) -> dict[str, Layer]:
    """Return the layers of one loop: the ``inner_group_num`` layers of the one group."""
    mask = torch.from_numpy(prompt.inputs["attention_mask"] == 1).to(device)
    attend = None if bool(mask.all()) else mask
    layers: dict[str, Layer] = {}
    for i in range(options.layers):
        stored = f"{options.layer(i)}.attention"
        weights = parts(tensors, f"{stored}.LayerNorm", "norm") | parts(tensors, f"{stored}.dense", "f.o")
        for own, name in (("q", "query"), ("k", "key"), ("v", "value")):
            weights |= parts(tensors, f"{stored}.{name}", f"f.{own}")
        attention = build(lambda: _attention(options, attend), weights, dtype, device)
        weights = parts(tensors, f"{options.layer(i)}.full_layer_layer_norm", "norm")
        weights |= parts(tensors, f"{options.layer(i)}.ffn", "f.up")
        weights |= parts(tensors, f"{options.layer(i)}.ffn_output", "f.down")
        mlp = build(lambda: _mlp(options), weights, dtype, device)
        if granularity == "sublayer":
            layers |= {f"layer {i} attention": attention, f"layer {i} mlp": mlp}
        else:
            layers[f"layer {i}"] = nn.Sequential(attention, mlp)
    return layers


def _attention(options: Options, attend: torch.Tensor | None) -> nn.Module:
    f = Attention(options.width, options.heads, causal=False, bias=True, attend=attend)
    return PostNorm(LayerNorm(options.width, eps=options.eps), f)


def _mlp(options: Options) -> nn.Module:
    f = MLP(options.width, options.inner, act=_ACTIVATIONS[options.act], bias=True)
    return PostNorm(LayerNorm(options.width, eps=options.eps), f)


def _head(options: Options, tensors: Tensors, dtype: torch.dtype | None, device: torch.device) -> Callable[..., Any]:
    weights = parts(tensors, "predictions.dense", "dense") | parts(tensors, "predictions.LayerNorm", "norm")
    if options.tied:
        weights["decoder.weight"] = tensors[f"{options.embeddings}.word_embeddings.weight"]
        weights["decoder.bias"] = tensors["predictions.bias"]
    else:
        weights |= parts(tensors, "predictions.decoder", "decoder")
    return build(lambda: MaskedLanguageHead(options), weights, dtype, device)


def _own_output(checkpoint: Checkpoint, loops: int) -> torch.Tensor:
    """Run the ALBERT of transformers with ``num_hidden_layers = loops`` on a copy of the weights."""
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise CheckpointError(
            f"{checkpoint.name}: to run the model's own code, transformers must be installed; run `pip install "
            "'dynloop[models]'`, or pass reference="
        ) from error
    source = checkpoint.source
    config = transformers.AlbertConfig.from_dict({**source.config, "num_hidden_layers": loops})
    config._attn_implementation = "eager"
    head = any(name.startswith("predictions.") for name in source.tensors)
    with torch.random.fork_rng(devices=[]):
        if head:
            model = transformers.AlbertForMaskedLM(config)
        else:
            model = transformers.AlbertModel(config, add_pooling_layer=False)
    core = model.albert if head else model
    names = source.tensors.items()
    core.load_state_dict({name.removeprefix("albert."): t for name, t in names}, strict=False)
    if head:
        own = {name.removeprefix("predictions."): t for name, t in names if name.startswith("predictions.")}
        model.predictions.load_state_dict(own, strict=False)
        model.tie_weights()
    model = model.to(device=checkpoint.device, dtype=checkpoint.dtype).eval()
    inputs = {name: torch.as_tensor(v)[None].to(checkpoint.device) for name, v in checkpoint.prompt.items()}
    with torch.no_grad():
        out = model(**inputs)
    found: torch.Tensor = out.logits if head else out.last_hidden_state
    return found


FAMILY = Family(
    name="albert",
    description="x ← LN(y + ffn y) with y = LN(x + attention x), for every layer of the one shared group",
    identifies="model_type albert; tensors encoder.albert_layer_groups.0",
    recognises=_recognises,
    open=_open,
    own_output=_own_output,
)
