"""Looped feed-forward models, unrolled by hand: the reference that shares nothing with the map but the weights."""

import copy

import torch
from torch import nn
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

WIDTH, VOCABULARY, LAYERS = 16, 50, 4
_COMMON = {"hidden_size": WIDTH, "num_attention_heads": 2, "num_hidden_layers": LAYERS, "intermediate_size": 32}
_COMMON |= {"vocab_size": VOCABULARY, "bos_token_id": 0, "eos_token_id": 0, "max_position_embeddings": 32}
_GROUPED = {**_COMMON, "num_key_value_heads": 1}
# the name, what makes it, and the list of its layers
MODELS = {
    "gpt2": (
        lambda: GPT2LMHeadModel(GPT2Config(**_COMMON, n_inner=32)),
        "transformer.h",
    ),
    "llama": (lambda: LlamaForCausalLM(LlamaConfig(**_GROUPED)), "model.layers"),
    "mistral": (lambda: MistralForCausalLM(MistralConfig(**_GROUPED, sliding_window=3)), "model.layers"),
    "qwen2": (
        lambda: Qwen2ForCausalLM(
            Qwen2Config(**_GROUPED, use_sliding_window=True, sliding_window=3, max_window_layers=2)
        ),
        "model.layers",
    ),
    "bert": (lambda: BertForMaskedLM(BertConfig(**_COMMON)), "bert.encoder.layer"),
    "neox": (lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**_COMMON)), "gpt_neox.layers"),
}  # fmt: skip


def gap(found, expected):
    """max |a − b| / max |b| of two tensors."""
    return ((found - expected).abs().max() / expected.abs().max()).item()


def model_of(name, *, gain=1.0):
    """A random model whose weights are not tiny, with dropout in its config and in training mode."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = MODELS[name][0]()
        for parameter in model.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=gain / parameter.shape[-1] ** 0.5)
    return model.train()


def unrolled(model, layers, first, last, n):
    """The model with its layers ``first … last − 1`` standing n times behind one another."""
    model = copy.deepcopy(model).eval()
    stem, _, leaf = layers.rpartition(".")
    old = model.get_submodule(layers)
    order = [*range(first), *(list(range(first, last)) * n), *range(last, len(old))]
    setattr(model.get_submodule(stem), leaf, nn.ModuleList(old[i] for i in order))
    config = model.get_submodule(stem).config
    kinds = getattr(config, "layer_types", None)
    config.num_hidden_layers = len(order)
    if kinds is not None:
        config.layer_types = [kinds[i] for i in order]
    return model
