"""The config of a Parcae, and the tensors that it implies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynloop.adapters.base import Source
from dynloop.adapters.parcae_scales import STRATEGIES, Scales, scales_of
from dynloop.adapters.settings import choice, count, flag, number
from dynloop.errors import CheckpointError

__all__ = ["GATE_CHANNELS", "NONLINEARITIES", "BlockSizes", "Options", "read_options"]

GATE_CHANNELS = 32
NONLINEARITIES = (
    "ReLU2", "GELU", "ReLU", "ReLU6", "SiLU", "Mish", "Tanh", "Sigmoid", "LogSigmoid", "Softplus", "Softsign", "ELU",
    "SELU", "CELU", "LeakyReLU", "Hardswish", "Hardtanh", "Hardsigmoid", "Tanhshrink", "Identity",
)  # fmt: skip
_STARTS = ("normal", "embed", "like-init", "zero", "unit")
_NAMED = ("bias", "qk_bias", "clip_qkv", "qk_norm", "logit_softcap", "prelude_norm", "tie_embeddings")
_SIZES = (
    "block_size", "n_embd", "intermediate_size", "num_attention_heads", "num_key_value_heads", "vocab_size",
    "padding_multiple", "padded_vocab_size", "n_layers_in_recurrent_block", "n_layers_in_prelude", "n_layers_in_coda",
    "recurrent_embedding_dimension", "recurrent_intermediation_embedding_dimension", "recurrent_num_attention_heads",
    "mean_recurrence", "mean_backprop_depth", "randomize_positions_from",
)  # fmt: skip
_CHOSEN = (
    "injection_type", "block_class_name", "norm_class_name", "norm_eps", "mlp_class_name", "nonlin_name", "attn_impl",
    "init_strategy", "mup_model_scaling_factor", "use_fused_head", "simple_ops", "state_init", "rope_settings", "name",
    "model_class_name", "_is_recurrent_block_config",
)  # fmt: skip
# of training, monitoring or making: they change nothing in the loop
_INERT = (
    "hf_config", "use_abacus", "init_orthogonal", "skip_initialization", "debias_attention", "center_attention",
    "activation_checkpoint_impl", "strategy", "sampling_scheme", "lockstep_n", "lockstep_k", "curriculum_target",
    "recurrent_iteration_method", "_class_name", "architecture_class_name",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSizes:
    """Sizes of the blocks of one part: prelude and coda share theirs, the loop has its own."""

    width: int
    heads: int
    kv_heads: int
    inner: int

    @property
    def head_size(self) -> int:
        """Width of one head."""
        return self.width // self.heads


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the map depends on.

    Attributes
    ----------
    outer, core : BlockSizes
        Of prelude and coda; of the loop.
    prelude, blocks, coda : int
        How many blocks each part has.
    loops, trained : int
        ``mean_recurrence`` and ``mean_backprop_depth``; they decide which blocks have a value gate.
    vocabulary, rows, context : int
        Ids, rows of the embeddings (padded), the most tokens.
    injection, start : str
        ``injection_type`` and ``state_init``.
    norm, mlp, act : str
        Class names: RMSNorm, OffsetRMSNorm or LayerNorm; BaseMLP or GatedMLP; the nonlinearity.
    eps : float
        Of every norm with weights.
    bias, qk_bias, qk_norm, prelude_norm, tied, rope : bool
        Options of the same meaning in the config.
    clip, softcap : float or None
        Bound of queries, keys and values; bound of the logits.
    scales : Scales
        Factors of embedding, start and logits.
    """

    outer: BlockSizes
    core: BlockSizes
    prelude: int
    blocks: int
    coda: int
    loops: int
    trained: int
    vocabulary: int
    rows: int
    context: int
    injection: str
    start: str
    norm: str
    mlp: str
    act: str
    eps: float
    bias: bool
    qk_bias: bool
    qk_norm: bool
    prelude_norm: bool
    tied: bool
    rope: bool
    clip: float | None
    softcap: float | None
    scales: Scales

    @property
    def value_width(self) -> int:
        """Width of a value embedding."""
        return self.outer.kv_heads * self.outer.head_size

    def parts(self) -> dict[str, tuple[BlockSizes, int, int, int]]:
        """Return sizes, number of blocks, first index of a value embedding and first layer id of every part."""
        inner = self.prelude + self.blocks
        return {
            "prelude": (self.outer, self.prelude, 0, 0),
            "core_block": (self.core, self.blocks, self.prelude, self.prelude),
            "coda": (self.outer, self.coda, inner, self.prelude + self.blocks * self.loops),
        }

    def has_values(self, index: int) -> bool:
        """Say whether there is a value embedding of this index: every second one, the last included."""
        return index % 2 == (self.prelude + self.blocks + self.coda - 1) % 2

    def has_gate(self, layer: int) -> bool:
        """Say whether the block of this layer id has a value gate: parity as in the depth that was trained through."""
        return layer % 2 == (self.blocks * self.trained - 1) % 2

    def mixes(self, part: str, i: int) -> int | None:
        """Return the index of the value embedding that block `i` of a part mixes in; None where it mixes none.

        It takes both, embedding and gate; where only one of them is there, its weights have no effect.
        """
        _, _, index, layer = self.parts()[part]
        return index + i if self.has_values(index + i) and self.has_gate(layer + i) else None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the name and shape of every tensor of the model, the rotary table and a tied head apart."""
        d, r = self.outer.width, self.core.width
        total = self.prelude + self.blocks + self.coda
        shapes: dict[str, tuple[int, ...]] = {"transformer.wte.weight": (self.rows, d)}
        shapes |= {
            f"value_embeds.{i}.weight": (self.rows, self.value_width) for i in range(total) if self.has_values(i)
        }
        for part, (sizes, blocks, _, layer) in self.parts().items():
            for i in range(blocks):
                shapes |= self._block(f"transformer.{part}.{i}", sizes, gate=self.has_gate(layer + i))
        if self.injection == "diagonal":
            shapes |= {f"transformer.adapter.{name}": (r,) for name in ("A_log", "dt_bias")}
            shapes["transformer.adapter.B"] = (r, d)
        elif self.injection == "linear":
            shapes |= self._linear("transformer.adapter.adapter", (r, r + d))
        shapes |= self._linear("transformer.C", (d, r))
        for name in ("ln_f", *(["ln_prelude"] if self.prelude_norm else [])):
            shapes |= self._normed(f"transformer.{name}", d)
        if not self.tied:
            shapes["lm_head.weight"] = (self.rows, d)
        return shapes

    def _block(self, stored: str, sizes: BlockSizes, *, gate: bool) -> dict[str, tuple[int, ...]]:
        d, size, keys = sizes.width, sizes.head_size, sizes.kv_heads * sizes.head_size
        linear: dict[str, tuple[int, ...]] = {
            "attn.c_q": (sizes.heads * size, d),
            "attn.c_k": (keys, d),
            "attn.c_v": (keys, d),
            "attn.c_proj": (d, d),
            "mlp.fc": (sizes.inner * (2 if self.mlp == "GatedMLP" else 1), d),
            "mlp.proj": (d, sizes.inner),
        }
        shapes = self._normed(f"{stored}.norm_1", d) | self._normed(f"{stored}.norm_2", d)
        for name, shape in linear.items():
            shapes |= self._linear(f"{stored}.{name}", shape)
        if self.qk_bias:
            shapes[f"{stored}.attn.qk_bias"] = (2, 1, sizes.heads, size)
        if gate:
            shapes[f"{stored}.attn.ve_gate.weight"] = (sizes.kv_heads, GATE_CHANNELS)
        return shapes

    def _linear(self, name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        return {f"{name}.weight": shape} | ({f"{name}.bias": shape[:1]} if self.bias else {})

    def _normed(self, name: str, width: int) -> dict[str, tuple[int, ...]]:
        parts = ("weight", "bias") if self.norm == "LayerNorm" else ("weight",)
        return {f"{name}.{part}": (width,) for part in parts}


def read_options(source: Source) -> Options:
    """Read the config; every option works or is refused by name.

    Raises
    ------
    CheckpointError
        If a field is missing, has the wrong type, or asks for what the adapter cannot do.
    """
    config, where = source.config, source.name
    for field in config:
        if field not in (*_NAMED, *_SIZES, *_CHOSEN, *_INERT):
            raise CheckpointError(
                f"{where}: the config says {field} = {repr(config[field])[:40]}, which the parcae adapter does not "
                "know; remove the field if it changes nothing, or register an adapter of your own"
            )
    options = _read(source)
    _check_together(options, where)
    return options


def _read(source: Source) -> Options:
    config, where = source.config, source.name
    _check_classes(config, where)
    outer, core = _sizes(config, where)
    prelude, coda = (count(config, f"n_layers_in_{part}", where, default=1, least=0) for part in ("prelude", "coda"))
    blocks, loops = (count(config, f, where) for f in ("n_layers_in_recurrent_block", "mean_recurrence"))
    vocabulary, rows = _vocabulary(config, where)
    tied = flag(config, "tie_embeddings", where, default=False)
    heads = ("pytorch", "cce", "", *(["full-triton"] if tied else []))
    choice(config, "use_fused_head", where, heads, default="pytorch")
    strategy = choice(config, "init_strategy", where, STRATEGIES, default="scaled")
    positions = "block_size" if config.get("randomize_positions_from") is None else "randomize_positions_from"
    return Options(
        outer=outer,
        core=core,
        prelude=prelude,
        blocks=blocks,
        coda=coda,
        loops=loops,
        trained=count(config, "mean_backprop_depth", where, least=0),
        vocabulary=vocabulary,
        rows=rows,
        context=count(config, positions, where),
        injection=choice(config, "injection_type", where, ("diagonal", "linear", "add"), default="diagonal"),
        start=choice(config, "state_init", where, _STARTS, default="like-init"),
        norm=_norm(config, where),
        mlp=choice(config, "mlp_class_name", where, ("BaseMLP", "GatedMLP"), default="BaseMLP"),
        act=choice(config, "nonlin_name", where, NONLINEARITIES, default="GELU"),
        eps=number(config, "norm_eps", where, default=1e-5),
        bias=flag(config, "bias", where, default=False),
        qk_bias=flag(config, "qk_bias", where, default=False),
        qk_norm=flag(config, "qk_norm", where, default=False),
        prelude_norm=flag(config, "prelude_norm", where, default=False),
        tied=tied,
        rope=_rope(source),
        clip=_bound(config, "clip_qkv", where),
        softcap=_bound(config, "logit_softcap", where),
        scales=scales_of(strategy, outer.width, prelude + coda + blocks * loops),
    )


def _check_classes(config: Mapping[str, Any], where: str) -> None:
    choice(config, "block_class_name", where, ("TransformerPreNormBlock",), default="TransformerPreNormBlock")
    choice(config, "model_class_name", where, ("Parcae",), default="Parcae")
    choice(config, "attn_impl", where, ("flash", "sdpa"), default="flash")
    if config.get("mup_model_scaling_factor", 1) != 1:
        raise CheckpointError(
            f"{where}: the config says mup_model_scaling_factor = {config['mup_model_scaling_factor']!r}, and the "
            "parcae adapter knows 1 alone; register an adapter of your own with dynloop.register_adapter"
        )


def _sizes(config: Mapping[str, Any], where: str) -> tuple[BlockSizes, BlockSizes]:
    def optional(field: str, usual: int) -> int:
        return usual if config.get(field) is None else count(config, field, where)

    width, heads = count(config, "n_embd", where), count(config, "num_attention_heads", where)
    outer = BlockSizes(
        width=width,
        heads=heads,
        kv_heads=optional("num_key_value_heads", heads),
        inner=optional("intermediate_size", 4 * width),
    )
    own_heads = optional("recurrent_num_attention_heads", heads)
    core = BlockSizes(
        width=count(config, "recurrent_embedding_dimension", where),
        heads=own_heads,
        kv_heads=own_heads,
        inner=count(config, "recurrent_intermediation_embedding_dimension", where),
    )
    for sizes, said in ((outer, "num_attention_heads"), (core, "recurrent_num_attention_heads")):
        if sizes.width % sizes.heads or sizes.heads % sizes.kv_heads:
            raise CheckpointError(
                f"{where}: {said} must divide the width and be a multiple of the key heads; the config implies "
                f"{sizes.heads} heads, width {sizes.width} and {sizes.kv_heads} key heads, so correct it"
            )
    return outer, core


def _vocabulary(config: Mapping[str, Any], where: str) -> tuple[int, int]:
    """Return how many ids there are, and how many rows the tables have."""
    vocabulary = count(config, "vocab_size", where)
    if config.get("padded_vocab_size") is not None:
        rows = count(config, "padded_vocab_size", where)
        return min(vocabulary, rows), rows
    multiple = count(config, "padding_multiple", where, default=512)
    return vocabulary, -(-vocabulary // multiple) * multiple


def _norm(config: Mapping[str, Any], where: str) -> str:
    norm = choice(config, "norm_class_name", where, ("RMSNorm", "LayerNorm"), default="LayerNorm")
    if flag(config, "simple_ops", where, default=False):
        return "RMSNorm"
    return "OffsetRMSNorm" if norm == "RMSNorm" and "Gemma" in str(config.get("name", "")) else norm


def _rope(source: Source) -> bool:
    """Say whether queries and keys are turned; the table itself is stored, so its base need not be known."""
    settings = source.config.get("rope_settings") or {}
    if not isinstance(settings, Mapping):
        raise CheckpointError(f"{source.name}: the config needs rope_settings to be an object; it says {settings!r}")
    if flag(settings, "use_rope", source.name, default=True):
        return True
    if source.model is None:
        raise CheckpointError(
            f"{source.name}: the config says use_rope = False, which the model's own loader drops, so nothing says "
            "which model is meant; remove the field for rotary positions, or open the live model"
        )
    return False


def _bound(config: Mapping[str, Any], field: str, where: str) -> float | None:
    return None if config.get(field) is None else number(config, field, where)


def _check_together(options: Options, where: str) -> None:
    """Refuse what the model's own code cannot run."""
    outer, core = options.outer, options.core
    if options.injection == "add" and core.width != outer.width:
        raise CheckpointError(
            f"{where}: injection_type 'add' needs recurrent_embedding_dimension = n_embd; the config says {core.width} "
            f"and {outer.width}, so correct it"
        )
    if options.rope and (outer.head_size % 2 or (core.head_size != outer.head_size)):
        raise CheckpointError(
            f"{where}: one rotary table needs heads of one even width; the config implies {outer.head_size} in the "
            f"prelude and {core.head_size} in the loop, so correct it"
        )
    if options.qk_bias and outer.kv_heads != outer.heads:
        raise CheckpointError(
            f"{where}: qk_bias needs num_key_value_heads = num_attention_heads; the config says {outer.kv_heads} and "
            f"{outer.heads}, so correct it"
        )
    for part, (sizes, blocks, _, _) in options.parts().items():
        mixing = any(options.mixes(part, i) is not None for i in range(blocks))
        values = sizes.kv_heads * sizes.head_size
        if mixing and (values != options.value_width or sizes.width < GATE_CHANNELS):
            raise CheckpointError(
                f"{where}: the {part} mixes in value embeddings of width {options.value_width} by a gate on "
                f"{GATE_CHANNELS} channels; the config implies values of width {values} and a state of width "
                f"{sizes.width}, so correct it"
            )
