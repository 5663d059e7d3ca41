"""The config of an HRM-Text, and the tensors that it implies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynloop.adapters.activations import ACTIVATIONS
from dynloop.adapters.base import Source
from dynloop.adapters.rope import Rope, read_rope
from dynloop.adapters.settings import choice, count, flag, number
from dynloop.errors import CheckpointError

__all__ = ["GATED", "MIXED", "STACKS", "Layout", "Options", "read_options"]

STACKS = ("L_module", "H_module")
GATED = ("gate", "up")
MIXED = ("gate", "q", "k", "v")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the tensors are named: as released, with fused weights, or as a live model names them.

    Attributes
    ----------
    root : {"model.", ""}
        What stands before all names but that of the head.
    fused_attention, fused_mlp : bool
        Whether one weight holds gate, queries, keys and values; gate and up. Biases are never fused.
    output : {"attn", "self_attn"}
        Where the output map of attention lies.
    """

    root: str
    fused_attention: bool
    fused_mlp: bool
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the map depends on.

    Attributes
    ----------
    layout : Layout
        How the tensors are named.
    vocabulary, context : int
        Rows of the embedding; the most tokens.
    width, inner, heads, head_size : int
        Width of the state, width inside the MLP, attention heads and their width.
    blocks, cycles : int
        Blocks in each stack (``num_layers_per_stack``); fast updates in one loop (``L_cycles``).
    eps, scale : float
        Epsilon of every norm; factor of the embedding.
    act : str
        Name of the activation.
    attention_bias, mlp_bias : bool
        Whether the linear maps have biases.
    prefix : bool
        Whether tokens of type 1 attend to one another both ways.
    head, tied : bool
        Whether there is a language head, and whether it is the embedding.
    rope : Rope
        Rotary positions.
    """

    layout: Layout
    vocabulary: int
    context: int
    width: int
    inner: int
    heads: int
    head_size: int
    blocks: int
    cycles: int
    eps: float
    scale: float
    act: str
    attention_bias: bool
    mlp_bias: bool
    prefix: bool
    head: bool
    tied: bool
    rope: Rope

    def block(self, stack: str, i: int) -> str:
        """Return where block `i` of a stack lies."""
        return f"{self.layout.root}{stack}.layers.{i}"

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every tensor of the map, its start and its read-out."""
        d, root = self.width, self.layout.root
        shapes: dict[str, tuple[int, ...]] = {
            f"{root}embed_tokens.weight": (self.vocabulary, d),
            f"{root}z_L_init": (d,),
        }
        for stack in STACKS:
            for i in range(self.blocks):
                shapes |= {f"{self.block(stack, i)}.{name}": shape for name, shape in self._block_shapes().items()}
        if self.head and not self.tied:
            shapes["lm_head.weight"] = (self.vocabulary, d)
        return shapes

    def _block_shapes(self) -> dict[str, tuple[int, ...]]:
        d, inner, mixed, layout = self.width, self.inner, self.heads * self.head_size, self.layout
        shapes: dict[str, tuple[int, ...]] = {}
        if layout.fused_attention:
            shapes["attn.gqkv_proj.weight"] = (4 * mixed, d)
        else:
            shapes |= {f"self_attn.{name}_proj.weight": (mixed, d) for name in MIXED}
        shapes[f"{layout.output}.o_proj.weight"] = (d, mixed)
        if self.attention_bias:
            shapes |= {f"self_attn.{name}_proj.bias": (mixed,) for name in MIXED}
            shapes[f"{layout.output}.o_proj.bias"] = (d,)
        if layout.fused_mlp:
            shapes["mlp.gate_up_proj.weight"] = (2 * inner, d)
        else:
            shapes |= {f"mlp.{name}_proj.weight": (inner, d) for name in GATED}
        shapes["mlp.down_proj.weight"] = (d, inner)
        if self.mlp_bias:
            shapes |= {f"mlp.{name}_proj.bias": (inner,) for name in GATED} | {"mlp.down_proj.bias": (d,)}
        return shapes


def read_options(source: Source) -> Options:
    """Read the config; every option works or is refused by name.

    Raises
    ------
    CheckpointError
        If a field is missing, has the wrong type, or asks for what the adapter cannot do.
    """
    config, where = source.config, source.name
    for field, usual in (("quantization_config", None), ("is_causal", True)):
        if config.get(field, usual) not in (usual, None):
            raise CheckpointError(
                f"{where}: the config says {field} = {repr(config[field])[:40]}, which the hrm_text adapter does not "
                "do; register an adapter of your own with dynloop.register_adapter"
            )
    width, heads = count(config, "hidden_size", where), count(config, "num_attention_heads", where)
    if width % heads:
        raise CheckpointError(
            f"{where}: num_attention_heads must divide hidden_size; config.json says {heads} and {width}, so correct it"
        )
    count(config, "H_cycles", where, default=2)  # loops in one forward pass: not of the map
    context = count(config, "max_position_embeddings", where, default=2048)
    head_size = count(config, "head_dim", where, default=128)
    tied = flag(config, "tie_word_embeddings", where, default=False)
    layout = _layout(source)
    return Options(
        layout=layout,
        vocabulary=count(config, "vocab_size", where),
        context=context,
        width=width,
        inner=count(config, "intermediate_size", where),
        heads=heads,
        head_size=head_size,
        blocks=count(config, _blocks_field(config), where),
        cycles=count(config, "L_cycles", where, default=3),
        eps=number(config, "rms_norm_eps", where, default=1e-6),
        scale=_scale(config, where),
        act=choice(config, "hidden_act", where, ACTIVATIONS, default="silu"),
        attention_bias=flag(config, "attention_bias", where, default=False),
        mlp_bias=flag(config, "mlp_bias", where, default=False),
        prefix=flag(config, "prefix_lm", where, default=True),
        head=bool(layout.root),
        tied=tied,
        rope=read_rope(config, where, size=head_size, context=context),
    )


def _blocks_field(config: Mapping[str, Any]) -> str:
    """Return which field counts the blocks of a stack: in a saved config, num_hidden_layers counts all updates."""
    return "num_hidden_layers" if config.get("num_layers_per_stack") is None else "num_layers_per_stack"


def _scale(config: Mapping[str, Any], where: str) -> float:
    if config.get("embedding_scale") is not None:
        return number(config, "embedding_scale", where)
    deviation = number(config, "initializer_range", where, default=0.02)
    if deviation == 0:
        raise CheckpointError(f"{where}: the config needs embedding_scale, since initializer_range is 0; add it")
    return 1.0 / deviation


def _layout(source: Source) -> Layout:
    names = list(source.tensors)
    return Layout(
        root="model." if any(name.startswith("model.") for name in names) else "",
        fused_attention=any(".attn.gqkv_proj." in name for name in names),
        fused_mlp=any(".mlp.gate_up_proj." in name for name in names),
        output="attn" if any(".attn.o_proj." in name for name in names) else "self_attn",
    )
