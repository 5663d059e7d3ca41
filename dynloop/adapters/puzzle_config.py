"""The config of a puzzle model (TRM, HRM), and the tensors that it implies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dynloop.adapters.base import Source
from dynloop.adapters.settings import choice, count, flag, number
from dynloop.errors import CheckpointError

__all__ = ["Kind", "Options", "read_options", "section_of"]

Kind = Literal["trm", "hrm"]
ARCHITECTURES: Mapping[Kind, str] = {
    "trm": "TinyRecursiveReasoningModel_ACTV1",
    "hrm": "HierarchicalReasoningModel_ACTV1",
}
_FILES: Mapping[Kind, tuple[str, ...]] = {"trm": ("trm",), "hrm": ("hrm", "hrm_act_v1")}
_DATA = ("batch_size", "seq_len", "vocab_size", "num_puzzle_identifiers")
_KNOWN = (
    *_DATA, "name", "loss", "architectures", "H_cycles", "L_cycles", "H_layers", "L_layers", "hidden_size", "expansion",
    "num_heads", "pos_encodings", "puzzle_emb_ndim", "rms_norm_eps", "rope_theta", "halt_max_steps",
    "halt_exploration_prob", "forward_dtype", "mlp_t",
)  # fmt: skip
_TRM_ALONE = ("puzzle_emb_len", "no_ACT_continue")
_POSITIONS = ("rope", "learned", "none")
_DTYPES = ("bfloat16", "float16", "float32", "float64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the map depends on.

    Attributes
    ----------
    kind : {"trm", "hrm"}
        TRM uses the weights of its one level in both roles.
    root : str
        What stands before the names of all tensors.
    vocabulary, puzzles : int
        Rows of the embeddings of inputs and of puzzle identifiers.
    inputs, prefix : int
        Tokens of a puzzle, and of the puzzle embedding in front of them.
    puzzle_width : int
        Width of the puzzle embedding, spread over `prefix` tokens; 0 where there is none.
    width, heads, inner, inner_positions : int
        Width of the state, attention heads, width inside the MLP, and inside the MLP that mixes positions.
    low_blocks, high_blocks, cycles : int
        Blocks of the two levels; fast updates in one loop (``L_cycles``).
    positions : {"rope", "learned", "none"}
        How positions enter.
    mixer : bool
        Whether an MLP over positions stands in the place of attention (``mlp_t``).
    theta, eps : float
        Base of the rotary embedding; epsilon of every norm.
    """

    kind: Kind
    root: str
    vocabulary: int
    puzzles: int
    inputs: int
    prefix: int
    puzzle_width: int
    width: int
    heads: int
    inner: int
    inner_positions: int
    low_blocks: int
    high_blocks: int
    cycles: int
    positions: str
    mixer: bool
    theta: float
    eps: float

    @property
    def tokens(self) -> int:
        """Positions of the state: prefix and puzzle."""
        return self.prefix + self.inputs

    @property
    def head_size(self) -> int:
        """Width of one head."""
        return self.width // self.heads

    @property
    def levels(self) -> dict[str, int]:
        """Number of blocks by the stored name of a level."""
        low = {"L_level": self.low_blocks}
        return low if self.kind == "trm" else low | {"H_level": self.high_blocks}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every tensor of the model."""
        d, total = self.width, self.tokens
        mixed = self.heads * self.head_size
        shapes: dict[str, tuple[int, ...]] = {"embed_tokens.embedding_weight": (self.vocabulary, d)}
        if self.puzzle_width:
            shapes["puzzle_emb.weights"] = (self.puzzles, self.puzzle_width)
        if self.positions == "learned":
            shapes["embed_pos.embedding_weight"] = (total, d)
        shapes |= {"H_init": (d,), "L_init": (d,)}
        for level, blocks in self.levels.items():
            for i in range(blocks):
                block: dict[str, tuple[int, ...]] = {
                    "mlp.gate_up_proj": (2 * self.inner, d),
                    "mlp.down_proj": (d, self.inner),
                }
                if self.mixer:
                    block |= {
                        "mlp_t.gate_up_proj": (2 * self.inner_positions, total),
                        "mlp_t.down_proj": (total, self.inner_positions),
                    }
                else:
                    block |= {"self_attn.qkv_proj": (3 * mixed, d), "self_attn.o_proj": (d, mixed)}
                shapes |= {f"{level}.layers.{i}.{name}.weight": shape for name, shape in block.items()}
        shapes |= {"lm_head.weight": (self.vocabulary, d), "q_head.weight": (2, d), "q_head.bias": (2,)}
        return {f"{self.root}{name}": shape for name, shape in shapes.items()}


def section_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the ``arch:`` section of a training config with what a data set adds, or the config itself."""
    section = config.get("arch")
    if not isinstance(section, Mapping):
        return config
    return {**{field: config[field] for field in _DATA if field in config}, **section}


def read_options(source: Source, kind: Kind) -> Options:
    """Read the config; every option works or is refused by name.

    Raises
    ------
    CheckpointError
        If a field is missing, has the wrong type, or asks for what the adapter cannot do.
    """
    config, where = section_of(source.config), source.name
    for field in config:
        if field not in (*_KNOWN, *(_TRM_ALONE if kind == "trm" else ())):
            raise CheckpointError(
                f"{where}: the config says {field} = {repr(config[field])[:40]}, which the {kind} adapter does not "
                "know; remove the field if it changes nothing, or register an adapter of your own"
            )
    _check_name(config, where, kind)
    count(config, "H_cycles", where)  # loops in one step of the model: not of the map
    choice(config, "forward_dtype", where, _DTYPES, default="bfloat16")
    width, heads = count(config, "hidden_size", where), count(config, "num_heads", where)
    positions = choice(config, "pos_encodings", where, _POSITIONS)
    if heads > width or (positions == "rope" and (width // heads) % 2):
        raise CheckpointError(
            f"{where}: num_heads = {heads} cuts hidden_size = {width} into heads of width {width // heads}, which "
            f"{'must be even for rotary positions' if heads <= width else 'is nothing'}; correct the config"
        )
    inputs, (puzzle_width, prefix) = count(config, "seq_len", where), _prefix(config, where, kind, width)
    expansion = number(config, "expansion", where)
    low = count(config, "L_layers", where)
    return Options(
        kind=kind,
        root="model.inner." if any(name.startswith("model.inner.") for name in source.tensors) else "inner.",
        vocabulary=count(config, "vocab_size", where),
        puzzles=count(config, "num_puzzle_identifiers", where),
        inputs=inputs,
        prefix=prefix,
        puzzle_width=puzzle_width,
        width=width,
        heads=heads,
        inner=_inner(width, expansion),
        inner_positions=_inner(prefix + inputs, expansion),
        low_blocks=low,
        high_blocks=low if kind == "trm" else count(config, "H_layers", where),
        cycles=count(config, "L_cycles", where),
        positions=positions,
        mixer=flag(config, "mlp_t", where, default=False),
        theta=number(config, "rope_theta", where, default=10000.0),
        eps=number(config, "rms_norm_eps", where, default=1e-5),
    )


def _check_name(config: Mapping[str, Any], where: str, kind: Kind) -> None:
    """Refuse other models whose class bears the same name, such as trm_singlez and trm_hier6."""
    name = config.get("name", "")
    stem = str(name).partition("@")[0].rpartition(".")[2]
    if "@" in str(name) and stem not in _FILES[kind]:
        raise CheckpointError(
            f"{where}: the config says name = {name!r}, and the {kind} adapter makes a map of "
            f"{' or '.join(_FILES[kind])} alone; register an adapter of your own with dynloop.register_adapter"
        )


def _prefix(config: Mapping[str, Any], where: str, kind: Kind, width: int) -> tuple[int, int]:
    """Return the width of the puzzle embedding and the number of tokens that it takes."""
    puzzle_width = _count_or_zero(config, "puzzle_emb_ndim", where, default=0)
    needed = -(-puzzle_width // width)
    given = _count_or_zero(config, "puzzle_emb_len", where, default=16) if kind == "trm" else 0
    prefix = given or needed
    if prefix and not puzzle_width:
        raise CheckpointError(
            f"{where}: the config says puzzle_emb_len = {prefix} and puzzle_emb_ndim = 0, for which the model's own "
            "code cannot run; say puzzle_emb_len = 0"
        )
    if prefix < needed:
        raise CheckpointError(
            f"{where}: puzzle_emb_len = {prefix} tokens of width {width} have no room for puzzle_emb_ndim = "
            f"{puzzle_width}; the config needs puzzle_emb_len to be {needed} or more"
        )
    return puzzle_width, prefix


def _count_or_zero(config: Mapping[str, Any], field: str, where: str, *, default: int) -> int:
    return count(config, field, where, default=default, least=0)


def _inner(width: int, expansion: float) -> int:
    """Return the width inside a SwiGLU: two thirds of expansion · width, rounded up to a multiple of 256."""
    return max(1, -(-round(expansion * width * 2 / 3) // 256)) * 256
