"""Fields of a Raven's config that depend on each other or on its form: heads, scales, start, noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from dynloop.adapters.settings import choice, count, flag, number
from dynloop.errors import CheckpointError, NotAutonomousError

__all__ = ["Form", "read_heads", "read_scales", "read_start", "refuse_noise"]

Form = Literal["huginn", "llama", "olmo"]
_STARTS = ("random", "embed-init", "skip-adapter")


def refuse_noise(config: Mapping[str, Any], where: str) -> None:
    """Refuse a model that adds noise in every loop."""
    noise = number(config, "test_time_noise", where, default=0.0)
    if noise > 0:
        raise NotAutonomousError(
            f"{where}: test_time_noise = {noise}, so noise enters every loop and it is not one map; set it to 0"
        )


def read_heads(config: Mapping[str, Any], where: str, form: Form, width: int, heads: int) -> tuple[int, int]:
    """Return the number of key and value heads and the width of a head."""
    kv_heads = count(config, "num_key_value_heads", where, default=heads)
    head_size = width // heads
    if form == "olmo":
        head_size = count(config, "head_dim", where, default=head_size)
    elif width % heads:
        raise CheckpointError(
            f"{where}: n_heads must divide n_embd; the config says {heads} and {width}, so correct it"
        )
    elif form == "llama" and config.get("head_dim", head_size) != head_size:
        raise CheckpointError(
            f"{where}: head_dim must be n_embd / n_heads = {head_size} in the Llama form; the config says "
            f"{config['head_dim']}, so correct it"
        )
    if heads % kv_heads:
        raise CheckpointError(
            f"{where}: num_key_value_heads must divide n_heads; the config says {kv_heads} and {heads}, so correct it"
        )
    if form == "huginn" and kv_heads not in (1, heads):
        raise CheckpointError(
            f"{where}: num_key_value_heads = {kv_heads} of {heads} heads, and Huginn's own code knows no groups; "
            "correct the config"
        )
    if flag(config, "qk_bias", where, default=True) and kv_heads != heads:
        raise CheckpointError(
            f"{where}: qk_bias has a row for every one of {heads} heads, and the config says num_key_value_heads = "
            f"{kv_heads}; dynloop makes a map of qk_bias with as many key heads alone"
        )
    if head_size % 2:
        raise CheckpointError(f"{where}: rotary positions need heads of even width; the config implies {head_size}")
    return kv_heads, head_size


def read_scales(config: Mapping[str, Any], where: str, form: Form, width: int) -> tuple[float, float]:
    """Return what multiplies embeddings, and the standard deviation of the noise before that."""
    usual = {"embed_scale": width**0.5, "std": (2 / (5 * width)) ** 0.5}
    values = config.get("init_values", usual)
    if not isinstance(values, Mapping):
        raise CheckpointError(f"{where}: the config needs init_values to be an object; it says {str(values)[:40]!r}")
    std = number(values, "std", f"{where}: init_values")
    if form == "huginn":  # its code takes √width whatever is written
        return usual["embed_scale"], std
    return number(values, "embed_scale", f"{where}: init_values"), std


def read_start(config: Mapping[str, Any], where: str, form: Form) -> str:
    """Return how the state begins; only the code of the OLMo-2 form reads the field."""
    if form == "olmo":
        return choice(config, "initial_state_mode", where, _STARTS, default="random")
    return choice(config, "initial_state_mode", where, ("random",), default="random")
