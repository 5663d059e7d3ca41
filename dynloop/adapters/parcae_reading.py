"""Reading the config of a Parcae: every option works or is refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynloop.adapters.base import Source
from dynloop.adapters.parcae_config import GATE_CHANNELS, BlockSizes, Options
from dynloop.adapters.parcae_scales import STRATEGIES, scales_of
from dynloop.adapters.settings import choice, count, flag, number
from dynloop.errors import CheckpointError

__all__ = ["read_options"]

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
