"""The config of an ALBERT, and the tensors that it implies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynloop.adapters.base import Source
from dynloop.adapters.settings import choice, count, number
from dynloop.errors import CheckpointError, NotAutonomousError

__all__ = ["UNUSED", "Options", "read_options"]

ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish", "tanh")
# heads that no loop reads, buffers, and the copy of a tied decoder that some versions store
UNUSED = (
    r"(albert\.)?(pooler\.(weight|bias)|embeddings\.(position_ids|token_type_ids))"
    r"|(sop_classifier\.)?classifier\.(weight|bias)|qa_outputs\.(weight|bias)"
    r"|predictions\.(decoder\.(weight|bias)|bias)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the map depends on.

    Attributes
    ----------
    prefix : {"albert.", ""}
        What stands before the names of the encoder's tensors.
    vocabulary, context, types : int
        Rows of the embeddings of words, positions and segments.
    embedding, width, inner, heads, layers : int
        Width of the embeddings, of the state and inside the MLP; attention heads; layers in one loop
        (``inner_group_num``).
    eps : float
        Of every LayerNorm.
    act : str
        Name of the activation.
    head, tied : bool
        Whether there is a masked-language head, and whether its decoder is the word embedding.
    """

    prefix: str
    vocabulary: int
    context: int
    types: int
    embedding: int
    width: int
    inner: int
    heads: int
    layers: int
    eps: float
    act: str
    head: bool
    tied: bool

    @property
    def embeddings(self) -> str:
        """Where the embeddings lie."""
        return f"{self.prefix}embeddings"

    def layer(self, i: int) -> str:
        """Return where layer `i` of the loop lies."""
        return f"{self.prefix}encoder.albert_layer_groups.0.albert_layers.{i}"

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every tensor of the map, its start and its read-out."""
        e, d = self.embedding, self.width
        linear = {f"{self.prefix}encoder.embedding_hidden_mapping_in": (d, e)}
        norms = {f"{self.embeddings}.LayerNorm": e}
        for i in range(self.layers):
            linear |= {f"{self.layer(i)}.attention.{name}": (d, d) for name in ("query", "key", "value", "dense")}
            linear |= {f"{self.layer(i)}.ffn": (self.inner, d), f"{self.layer(i)}.ffn_output": (d, self.inner)}
            norms |= {f"{self.layer(i)}.attention.LayerNorm": d, f"{self.layer(i)}.full_layer_layer_norm": d}
        rows = {"word": self.vocabulary, "position": self.context, "token_type": self.types}
        shapes: dict[str, tuple[int, ...]] = {
            f"{self.embeddings}.{name}_embeddings.weight": (n, e) for name, n in rows.items()
        }
        if self.head:
            linear |= {"predictions.dense": (e, d)}
            norms |= {"predictions.LayerNorm": e}
            if self.tied:
                shapes |= {"predictions.bias": (self.vocabulary,)}
            else:
                linear |= {"predictions.decoder": (self.vocabulary, e)}
        for name, size in linear.items():
            shapes |= {f"{name}.weight": size, f"{name}.bias": size[:1]}
        for name, n in norms.items():
            shapes |= {f"{name}.weight": (n,), f"{name}.bias": (n,)}
        return shapes


def read_options(source: Source) -> Options:
    """Read the config; every option works or is refused by name.

    Raises
    ------
    CheckpointError
        If a field is missing, has the wrong type, or asks for what the adapter cannot do.
    NotAutonomousError
        If the weights change with depth, so that the layers are no loop.
    """
    config, where = source.config, source.name
    groups = count(config, "num_hidden_groups", where, default=1)
    if groups > 1:
        raise NotAutonomousError(
            f"{where}: num_hidden_groups = {groups}, so the weights change with depth and the model is not one map "
            "applied again and again; use a checkpoint with num_hidden_groups = 1"
        )
    choice(config, "position_embedding_type", where, ("absolute",), default="absolute")
    width, heads = count(config, "hidden_size", where), count(config, "num_attention_heads", where)
    if width % heads:
        raise CheckpointError(
            f"{where}: num_attention_heads must divide hidden_size; config.json says {heads} and {width}, so correct it"
        )
    return Options(
        prefix="albert." if any(name.startswith("albert.") for name in source.tensors) else "",
        vocabulary=count(config, "vocab_size", where),
        context=count(config, "max_position_embeddings", where, default=512),
        types=count(config, "type_vocab_size", where, default=2),
        embedding=count(config, "embedding_size", where, default=128),
        width=width,
        inner=count(config, "intermediate_size", where),
        heads=heads,
        layers=count(config, "inner_group_num", where, default=1),
        eps=number(config, "layer_norm_eps", where, default=1e-12),
        act=choice(config, "hidden_act", where, ACTIVATIONS, default="gelu_new"),
        head=any(name.startswith("predictions.") for name in source.tensors),
        tied=_tied(config),
    )


def _tied(config: Mapping[str, Any]) -> bool:
    return bool(config.get("tie_word_embeddings", True))
