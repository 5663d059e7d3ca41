"""The options of a DEQ transformer, and the tensors that they imply."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from dynloop.adapters.settings import count, flag
from dynloop.errors import CheckpointError

__all__ = ["FREQUENCIES", "MODEL_TYPE", "Options", "live_config", "read_options"]

MODEL_TYPE = "deq_transformer"
FREQUENCIES = "pos_emb.inv_freq"
_WINDOW = 1000  # what the public code reads local_size 0 as
# of training and of the solver: they change nothing in the map
_UNUSED = (
    "model_type", "n_layer", "eval_n_layer", "dropout", "dropatt", "tgt_len", "mem_len", "pretrain_steps", "f_solver",
    "b_solver", "stop_mode", "wnorm", "tie_projs", "load", "f_thres", "b_thres",
)  # fmt: skip
_FIELDS = (
    "n_token", "n_head", "d_model", "d_head", "d_inner", "d_embed", "div_val", "cutoffs", "tie_weights", "pre_lnorm",
    "local_size",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the map depends on.

    Attributes
    ----------
    vocabulary, width, heads, inner, embedding : int
        Sizes; heads times their size is the width.
    ends : tuple of int
        The vocabulary is cut at these ids (adaptive embedding and softmax); begins with 0, ends with all.
    division : int
        Each cluster of ids has an embedding so many times narrower than the one before; 1: one table for all.
    tied : bool
        Whether the output layers are the embeddings.
    before : bool
        Pre-norm (``pre_lnorm``) in the place of post-norm.
    window : int
        A token attends to so many tokens, itself included.
    normed : tuple of str
        Modules whose weight is stored as a direction and a length (``wnorm``).
    """

    vocabulary: int
    width: int
    heads: int
    inner: int
    embedding: int
    ends: tuple[int, ...]
    division: int
    tied: bool
    before: bool
    window: int
    normed: tuple[str, ...]

    @property
    def clusters(self) -> int:
        """How many parts the vocabulary is cut into."""
        return len(self.ends) - 1

    def narrowed(self, i: int) -> int:
        """Return the embedding width of cluster i."""
        narrowed: int = self.embedding // self.division**i
        return narrowed

    def matrices(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the weights of the loop, as stored, by module."""
        d = self.width
        return {
            "func.dec_attn.qkv_net": (3 * d, d, 1),
            "func.dec_attn.r_net": (d, d, 1),
            "func.dec_attn.o_net": (d, d, 1),
            "func.pos_ff.ff1_net": (self.inner, d),
            "func.pos_ff.ff2_net": (d, self.inner),
        }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every tensor of the map and its read-out."""
        d, size = self.width, self.width // self.heads
        found: dict[str, tuple[int, ...]] = {"inject_conv.weight": (3 * d, d, 1), "inject_conv.bias": (3 * d,)}
        found |= {f"func.dec_attn.{name}": (self.heads, size) for name in ("r_w_bias", "r_r_bias")}
        for name, shape in self.matrices().items():
            if name in self.normed:
                found |= {f"{name}.weight_g": (shape[0], *[1] * (len(shape) - 1)), f"{name}.weight_v": shape}
            else:
                found[f"{name}.weight"] = shape
        biased = {"func.dec_attn.o_net": d, "func.pos_ff.ff1_net": self.inner, "func.pos_ff.ff2_net": d}
        found |= {f"{name}.bias": (size,) for name, size in biased.items()}
        return found | self._vocabulary()

    def _vocabulary(self) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        tables = 1 if self.division == 1 else self.clusters
        for i in range(tables):
            rows = self.vocabulary if self.division == 1 else self.ends[i + 1] - self.ends[i]
            found |= {f"word_emb.emb_layers.{i}.weight": (rows, self.narrowed(i))}
            found |= {f"crit.out_layers.{i}.weight": (rows, self.narrowed(i)), f"crit.out_layers.{i}.bias": (rows,)}
            if self.projected:
                found[f"word_emb.emb_projs.{i}.weight"] = (self.width, self.narrowed(i))
        if self.projected:
            found |= {f"crit.out_projs.{i}.weight": (self.width, self.narrowed(i)) for i in range(self.clusters)}
        if self.clusters > 1:
            found |= {"crit.cluster_weight": (self.clusters - 1, self.embedding)}
            found |= {"crit.cluster_bias": (self.clusters - 1,)}
        return found

    @property
    def projected(self) -> bool:
        """Whether embeddings have another width than the state."""
        return self.division != 1 or self.embedding != self.width


def read_options(config: Mapping[str, Any], names: Collection[str], where: str) -> Options:
    """Read the config; every option works or is refused by name.

    Raises
    ------
    CheckpointError
        If a field is missing, unknown, of the wrong type, or does not fit the others.
    """
    for field in config:
        if field not in _FIELDS and field not in _UNUSED:
            raise CheckpointError(
                f"{where}: the config says {field} = {repr(config[field])[:40]}, which the deq adapter does not know; "
                "remove the field if it changes nothing, or register an adapter of your own"
            )
    width, heads = count(config, "d_model", where), count(config, "n_head", where)
    if heads * count(config, "d_head", where, default=max(1, width // heads)) != width or width % 2:
        raise CheckpointError(
            f"{where}: the injection is added to queries, keys and values, so n_head · d_head must be d_model, and "
            f"that even; config.json says {heads} heads and {width}, so correct it"
        )
    vocabulary, cuts = count(config, "n_token", where), config.get("cutoffs", [])
    ends = (0, *cuts, vocabulary) if isinstance(cuts, list) and all(type(c) is int for c in cuts) else ()
    if not ends or list(ends) != sorted(set(ends)):
        raise CheckpointError(f"{where}: the config needs cutoffs to be rising ids below n_token; it says {cuts!r:.60}")
    embedding, division = count(config, "d_embed", where, default=width), count(config, "div_val", where, default=1)
    if embedding // division ** (len(ends) - 2) < 1:
        raise CheckpointError(
            f"{where}: d_embed = {embedding} cannot be divided by div_val = {division} for every cluster"
        )
    stored = Options(
        vocabulary=vocabulary, width=width, heads=heads, inner=count(config, "d_inner", where), embedding=embedding,
        ends=ends, division=division, tied=flag(config, "tie_weights", where, default=True),
        before=flag(config, "pre_lnorm", where, default=False),
        window=count(config, "local_size", where, default=0, least=0) or _WINDOW, normed=(),
    )  # fmt: skip
    normed = tuple(name for name in stored.matrices() if f"{name}.weight_g" in names)
    return Options(**{**{f: getattr(stored, f) for f in Options.__slots__}, "normed": normed})


def live_config(model: Any) -> Mapping[str, Any] | None:
    """Return the config of a live ``DEQTransformerLM``, which keeps it in its modules; None for other models."""
    if type(model).__name__ != "DEQTransformerLM":
        return None
    attention, embed = model.func.dec_attn, model.word_emb
    return {
        "model_type": MODEL_TYPE,
        "n_token": model.n_token,
        "n_head": model.n_head,
        "d_model": model.d_model,
        "d_head": attention.d_head,
        "d_inner": model.func.pos_ff.d_inner,
        "d_embed": model.d_embed,
        "div_val": embed.div_val,
        "cutoffs": list(embed.cutoffs[:-1]),
        "tie_weights": False,  # both are there, whether they are one tensor or two
        "pre_lnorm": bool(attention.pre_lnorm),
        "local_size": attention.local_size or 0,
    }
