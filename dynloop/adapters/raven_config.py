"""The config of a Raven (Huginn, and models retrofitted with recurrence), and the tensors that it implies."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dynloop.adapters.base import Source
from dynloop.adapters.raven_fields import Form, read_heads, read_scales, read_start, refuse_noise
from dynloop.adapters.rope import Rope, read_rope
from dynloop.adapters.settings import choice, count, flag, number
from dynloop.errors import CheckpointError

__all__ = ["MODEL_TYPE", "UNUSED", "Options", "form_of", "is_raven", "read_options"]

MODEL_TYPE = "huginn_raven"
UNUSED = r"rotary_emb\.(original_)?inv_freq"  # made from the config, whatever is stored

# what the public code builds whatever the config says; another value names a model of another kind
_FIXED = {
    "architecture_class_name": "RecurrentGPT",
    "block_class_name": "SandwichBlock",
    "norm_class_name": "RMSNorm_llama",
    "mlp_class_name": "GatedMLP",
    "nonlin_name": "SiLU",
    "injection_type": "linear",
    "state_init": "like-init",
}
_ALIASES = {"n_embd": "hidden_size", "n_heads": "num_attention_heads"}
_NORMS: Mapping[Form, tuple[str, ...]] = {
    "huginn": ("norm_1", "norm_2", "norm_3", "norm_4"),
    "llama": ("norm_1", "norm_2"),
    "olmo": ("norm_1", "norm_2"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the map depends on.

    Attributes
    ----------
    form : {"huginn", "llama", "olmo"}
        Which of the three blocks it is made of.
    width, heads, kv_heads, head_size, inner : int
        Width of the state, query heads, key and value heads, width of a head, width inside the MLP.
    prelude, core, coda : int
        Layers before, in and after the loop.
    vocabulary, context : int
        Rows of the embedding; the longest prompt.
    eps : float
        Of every RMSNorm.
    adapter_bias, qk_bias, tied : bool
        Whether the adapter, and queries and keys, have a bias; whether the head is the embedding.
    embed_scale, std : float
        What multiplies embeddings, and the standard deviation of the noise before it is multiplied by the same.
    start : {"random", "embed-init", "skip-adapter"}
        ``initial_state_mode``.
    rope : Rope or None
        Rotary positions; None where the buffer ``freqs_cis`` says them.
    """

    form: Form
    width: int
    heads: int
    kv_heads: int
    head_size: int
    inner: int
    prelude: int
    core: int
    coda: int
    vocabulary: int
    context: int
    eps: float
    adapter_bias: bool
    qk_bias: bool
    tied: bool
    embed_scale: float
    std: float
    start: str
    rope: Rope | None

    def blocks(self, part: str) -> list[str]:
        """Return where the layers of "prelude", "core_block" or "coda" lie."""
        layers = {"prelude": self.prelude, "core_block": self.core, "coda": self.coda}[part]
        return [f"transformer.{part}.{i}" for i in range(layers)]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every tensor of the map, its start and its read-out."""
        d, queries, keys = self.width, self.heads * self.head_size, self.kv_heads * self.head_size
        shapes: dict[str, tuple[int, ...]] = {
            "transformer.wte.weight": (self.vocabulary, d),
            "transformer.adapter.weight": (d, 2 * d),
            "transformer.ln_f.weight": (d,),
        }
        if self.adapter_bias:
            shapes["transformer.adapter.bias"] = (d,)
        if not self.tied:
            shapes["lm_head.weight"] = (self.vocabulary, d)
        if self.rope is None:
            shapes["freqs_cis"] = (1, self.context, 1, self.head_size // 2, 2)
        for block in (*self.blocks("prelude"), *self.blocks("core_block"), *self.blocks("coda")):
            shapes |= {f"{block}.{norm}.weight": (d,) for norm in _NORMS[self.form]}
            shapes[f"{block}.attn.Wqkv.weight"] = (queries + 2 * keys, d)
            shapes[f"{block}.attn.proj.weight"] = (d, queries)
            if self.qk_bias:
                shapes[f"{block}.attn.qk_bias"] = (2, 1, self.heads, self.head_size)
            if self.form == "olmo":
                shapes |= {f"{block}.attn.q_norm.weight": (queries,), f"{block}.attn.k_norm.weight": (keys,)}
            shapes |= {f"{block}.mlp.fc.weight": (2 * self.inner, d), f"{block}.mlp.proj.weight": (d, self.inner)}
        return shapes


def is_raven(config: Mapping[str, Any], names: Collection[str]) -> bool:
    """Say whether it is a Raven of any form."""
    said = config.get("model_type")
    return said == MODEL_TYPE or (
        said is None
        and "transformer.adapter.weight" in names
        and any(name.endswith("attn.Wqkv.weight") for name in names)
    )


def form_of(names: Collection[str]) -> Form:
    """Return which block the tensors belong to: four norms a layer, norms of queries and keys, or neither."""
    if any(".norm_3." in name or ".norm_4." in name or name == "freqs_cis" for name in names):
        return "huginn"
    return "olmo" if any(".attn.q_norm." in name or ".attn.k_norm." in name for name in names) else "llama"


def read_options(source: Source) -> Options:
    """Read the config; every option works or is refused by name.

    Raises
    ------
    CheckpointError
        If a field is missing, has the wrong type, or asks for what the adapter cannot do.
    NotAutonomousError
        If noise enters every loop.
    """
    where, form = source.name, form_of(source.tensors)
    config = dict(source.config)
    for name, alias in _ALIASES.items():
        if config.setdefault(name, config.get(alias)) != config.get(alias, config[name]):
            raise CheckpointError(
                f"{where}: {name} and {alias} are two names of one number; the config says {config[name]!r} and "
                f"{config[alias]!r}, so leave one out"
            )
    for name, value in _FIXED.items():
        choice(config, name, where, (value,), default=value)
    refuse_noise(config, where)
    width, heads = count(config, "n_embd", where), count(config, "n_heads", where)
    kv_heads, head_size = read_heads(config, where, form, width, heads)
    words = "padded_vocab_size" if "padded_vocab_size" in config else "vocab_size"
    block = count(config, "block_size", where, default=4096)
    context = block if form == "huginn" else count(config, "max_position_embeddings", where, default=block)
    embed_scale, std = read_scales(config, where, form, width)
    return Options(
        form=form,
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        inner=count(config, "intermediate_size", where),
        prelude=count(config, "n_layers_in_prelude", where, least=0),
        core=count(config, "n_layers_in_recurrent_block", where),
        coda=count(config, "n_layers_in_coda", where, least=0),
        vocabulary=count(config, words, where),
        context=context,
        eps=number(config, "norm_eps", where, default=1e-6),
        adapter_bias=flag(config, "bias", where, default=False),
        qk_bias=flag(config, "qk_bias", where, default=True),
        tied=flag(config, "tie_embeddings", where, default=True),
        embed_scale=embed_scale,
        std=std,
        start=read_start(config, where, form),
        rope=None if form == "huginn" else read_rope(config, where, size=head_size, context=context),
    )
