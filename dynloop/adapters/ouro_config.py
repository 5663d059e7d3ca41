"""The config of an Ouro, and the tensors that it implies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynloop.adapters.activations import ACTIVATIONS
from dynloop.adapters.base import Source
from dynloop.adapters.rope import Rope, read_rope
from dynloop.adapters.settings import choice, count, flag, number
from dynloop.errors import CheckpointError

__all__ = ["MODEL_TYPE", "UNUSED", "Options", "read_options"]

MODEL_TYPE = "ouro"
UNUSED = r"(model\.)?rotary_emb\.(original_)?inv_freq"  # made from the config, whatever is stored
NORMS = ("input_layernorm", "input_layernorm_2", "post_attention_layernorm", "post_attention_layernorm_2")
_KINDS = ("full_attention", "sliding_attention")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the map depends on.

    Attributes
    ----------
    prefix : {"model.", ""}
        What stands before the names; a live model without its head has none.
    layers : int
        Transformer layers in one loop.
    width, heads, kv_heads, head_size, inner : int
        Width of the state, query heads, key and value heads, width of a head, width inside the MLP.
    vocabulary, context : int
        Rows of the embedding; the longest prompt.
    eps : float
        Of every RMSNorm.
    act : str
        Name of the activation.
    head, tied : bool
        Whether there is a language-model head, and whether it is the embedding.
    windows : tuple of int or None
        How far the attention of every layer reaches back; None: to the first token.
    rope : Rope
        Rotary positions.
    """

    prefix: str
    layers: int
    width: int
    heads: int
    kv_heads: int
    head_size: int
    inner: int
    vocabulary: int
    context: int
    eps: float
    act: str
    head: bool
    tied: bool
    windows: tuple[int | None, ...]
    rope: Rope

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every tensor of the map, its start and its read-outs."""
        d, queries, keys = self.width, self.heads * self.head_size, self.kv_heads * self.head_size
        own: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (self.vocabulary, d), "norm.weight": (d,)}
        own |= {"early_exit_gate.weight": (1, d), "early_exit_gate.bias": (1,)}
        for i in range(self.layers):
            layer: dict[str, tuple[int, ...]] = dict.fromkeys(NORMS, (d,))
            layer |= {"self_attn.q_proj": (queries, d), "self_attn.k_proj": (keys, d), "self_attn.v_proj": (keys, d)}
            layer |= {
                "self_attn.o_proj": (d, queries),
                "mlp.gate_proj": (self.inner, d),
                "mlp.up_proj": (self.inner, d),
            }
            layer["mlp.down_proj"] = (d, self.inner)
            own |= {f"layers.{i}.{name}.weight": shape for name, shape in layer.items()}
        shapes = {f"{self.prefix}{name}": shape for name, shape in own.items()}
        if self.head and not self.tied:
            shapes["lm_head.weight"] = (self.vocabulary, d)
        return shapes


def read_options(source: Source) -> Options:
    """Read the config; every option works or is refused by name.

    Raises
    ------
    CheckpointError
        If a field is missing, has the wrong type, or asks for what the adapter cannot do.
    """
    config, where = source.config, source.name
    width, heads = count(config, "hidden_size", where), count(config, "num_attention_heads", where)
    given = config.get("num_key_value_heads") is not None
    kv_heads = count(config, "num_key_value_heads", where) if given else heads
    if heads % kv_heads:
        raise CheckpointError(
            f"{where}: num_key_value_heads must divide num_attention_heads; the config says {kv_heads} and {heads}, so "
            "correct it"
        )
    head_size = count(config, "head_dim", where) if config.get("head_dim") is not None else width // heads
    layers, context = (
        count(config, "num_hidden_layers", where),
        count(config, "max_position_embeddings", where, default=32768),
    )
    bare = "embed_tokens.weight" in source.tensors
    return Options(
        prefix="" if bare else "model.",
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        head_size=head_size,
        inner=count(config, "intermediate_size", where),
        vocabulary=count(config, "vocab_size", where),
        context=context,
        eps=number(config, "rms_norm_eps", where, default=1e-6),
        act=choice(config, "hidden_act", where, ACTIVATIONS, default="silu"),
        head=not bare,
        tied=flag(config, "tie_word_embeddings", where, default=False),
        windows=_windows(config, where, layers),
        rope=read_rope(config, where, size=head_size, context=context),
    )


def _windows(config: Mapping[str, Any], where: str, layers: int) -> tuple[int | None, ...]:
    """Return how far every layer's attention reaches: `layer_types`, or the layers from `max_window_layers` on."""
    slides = flag(config, "use_sliding_window", where, default=False) and config.get("sliding_window", 4096) is not None
    window = count(config, "sliding_window", where, default=4096) if slides else None
    kinds = config.get("layer_types")
    if kinds is None:
        full = count(config, "max_window_layers", where, default=28, least=0)
        return tuple(window if i >= full else None for i in range(layers))
    if not isinstance(kinds, list) or len(kinds) < layers:
        raise CheckpointError(
            f"{where}: layer_types must name one kind for each of {layers} layers; got {str(kinds)[:60]}"
        )
    for kind in kinds[:layers]:
        choice({"layer_types": kind}, "layer_types", where, _KINDS)
    if "sliding_attention" in kinds[:layers] and window is None:
        raise CheckpointError(
            f"{where}: layer_types has sliding_attention, and use_sliding_window with sliding_window says no window; "
            "correct the config"
        )
    return tuple(window if kind == "sliding_attention" else None for kind in kinds[:layers])
