"""Rotary tables as Hugging Face models make them, from ``rope_theta`` and ``rope_scaling``: in float32, as they do.

The angles of such a model are products of float32 numbers. They are constants of the map, so its float64 form keeps
them: only then is it the same function.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from dynloop.adapters.settings import choice, count, number
from dynloop.errors import CheckpointError

__all__ = ["Rope", "read_rope"]

KINDS = ("default", "linear", "dynamic", "llama3", "yarn", "longrope")
_PRETRAINED = "original_max_position_embeddings"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rope:
    """The rotary position embedding of a config.

    Attributes
    ----------
    kind : str
        ``rope_type``.
    size : int
        Width of a head.
    theta : float
        Base of the frequencies.
    context : int
        ``max_position_embeddings``, the most tokens that are taken.
    scaling : mapping
        The fields of ``rope_scaling``, checked.
    where : str
        What messages call the checkpoint.
    """

    kind: str
    size: int
    theta: float
    context: int
    scaling: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""

    def tables(self, tokens: int) -> torch.Tensor:
        """Return cosines and signed sines ``(2, tokens, size)`` in float32, for `dynloop.nn.rotate_half`."""
        frequencies, gain = self._frequencies(tokens)
        angles = torch.outer(torch.arange(tokens, dtype=torch.float32), frequencies)
        cos, sin = angles.cos() * gain, angles.sin() * gain
        return torch.stack([torch.cat([cos, cos], -1), torch.cat([-sin, sin], -1)])

    def _frequencies(self, tokens: int) -> tuple[torch.Tensor, float]:
        """Return the frequencies ``(size / 2,)`` in float32, and the factor of cosines and sines."""
        powers: torch.Tensor = self.theta ** (torch.arange(0, self.size, 2, dtype=torch.float32) / self.size)
        plain, said = 1.0 / powers, self.scaling
        if self.kind == "linear":
            return plain / said["factor"], 1.0
        if self.kind == "llama3":
            return _llama3(plain, said), 1.0
        if self.kind == "yarn":
            return self._yarn(powers), said["attention_factor"]
        if self.kind == "longrope":
            which = "long_factor" if tokens > said[_PRETRAINED] else "short_factor"
            return 1.0 / (torch.tensor(said[which], dtype=torch.float32) * powers), said["attention_factor"]
        return plain, 1.0  # "dynamic" changes nothing within the context

    def _yarn(self, powers: torch.Tensor) -> torch.Tensor:
        """YaRN (Peng et al. 2023, arXiv 2309.00071): high frequencies stay, low ones are divided by the factor."""
        said, half = self.scaling, self.size // 2

        def entry(turns: float) -> float:
            """Return which entry turns so often within the pretrained context."""
            share = math.log(said[_PRETRAINED] / (turns * 2 * math.pi)) / math.log(self.theta)
            return self.size * share / 2

        low, high = entry(said["beta_fast"]), entry(said["beta_slow"])
        if said["truncate"]:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, self.size - 1)
        width = high - low or 0.001  # as in the public code
        kept = 1 - ((torch.arange(half, dtype=torch.float32) - low) / width).clamp(0, 1)
        mixed: torch.Tensor = 1.0 / (said["factor"] * powers) * (1 - kept) + 1.0 / powers * kept
        return mixed


def read_rope(config: Mapping[str, Any], where: str, *, size: int, context: int, theta: float = 10000.0) -> Rope:
    """Read the rotary fields of a config.

    Parameters
    ----------
    config : mapping
        ``rope_theta`` and ``rope_scaling``, or ``rope_parameters`` as transformers 5 writes them.
    where : str
        What messages call the checkpoint.
    size : int
        Width of a head.
    context : int
        ``max_position_embeddings``.
    theta : float
        The base where none is given.

    Raises
    ------
    CheckpointError
        If a field is missing or wrong, or the kind is not one of `KINDS`.
    """
    if size % 2:
        raise CheckpointError(f"{where}: rotary positions need heads of even width; the config implies {size}")
    for name in ("rope_scaling", "rope_parameters"):
        if config.get(name) is not None and not isinstance(config[name], Mapping):
            raise CheckpointError(f"{where}: the config needs {name} to be an object or null; it says {config[name]!r}")
    scaling: dict[str, Any] = dict(config.get("rope_scaling") or config.get("rope_parameters") or {})
    base = scaling if scaling.get("rope_theta") is not None else config
    theta = number(base, "rope_theta", where, default=theta) if base.get("rope_theta") is not None else theta
    if theta <= 1:
        raise CheckpointError(f"{where}: the config needs rope_theta to be above 1; it says {theta}")
    scaling["rope_type"] = scaling.get("rope_type") or scaling.get("type") or "default"
    kind = choice(scaling, "rope_type", f"{where}: rope_scaling", KINDS)
    for source in (config, scaling):
        if source.get("partial_rotary_factor", 1.0) not in (1.0, None):
            raise CheckpointError(
                f"{where}: the config says partial_rotary_factor = {source['partial_rotary_factor']}, and dynloop "
                "rotates whole heads alone; register an adapter of your own with dynloop.register_adapter"
            )
    checked = _checked(kind, scaling, config, f"{where}: rope_scaling", size, context)
    return Rope(kind=kind, size=size, theta=theta, context=context, scaling=checked, where=where)


def _checked(
    kind: str, scaling: Mapping[str, Any], config: Mapping[str, Any], where: str, size: int, context: int
) -> dict[str, Any]:
    """Return the fields that a kind reads, with what transformers puts where one is left out."""
    if kind == "default":
        return {}
    found: dict[str, Any] = {}
    if kind in ("linear", "dynamic", "llama3"):
        found["factor"] = _positive(scaling, "factor", where)
    if kind in ("llama3", "yarn", "longrope"):
        outer = config if config.get(_PRETRAINED) is not None else scaling
        found[_PRETRAINED] = count(outer, _PRETRAINED, where, default=context)
    if kind == "llama3":
        low, high = (_positive(scaling, name, where) for name in ("low_freq_factor", "high_freq_factor"))
        if low == high:
            raise CheckpointError(f"{where}: low_freq_factor and high_freq_factor must differ; both are {low}")
        found |= {"low_freq_factor": low, "high_freq_factor": high}
    if kind in ("yarn", "longrope"):
        given = scaling.get("factor") is not None
        found["factor"] = _positive(scaling, "factor", where) if given else context / found[_PRETRAINED]
    if kind == "yarn":
        for name, usual in (("beta_fast", 32.0), ("beta_slow", 1.0)):
            found[name] = _positive(scaling, name, where) if scaling.get(name) else usual
        found["truncate"] = bool(scaling.get("truncate", True))
    if kind == "longrope":
        for name in ("short_factor", "long_factor"):
            values = scaling.get(name)
            if not isinstance(values, list) or len(values) != size // 2:
                raise CheckpointError(
                    f"{where}: {name} must be a list of {size // 2} numbers, half the width of a head"
                )
            found[name] = [_positive({name: value}, name, where) for value in values]
    if kind in ("yarn", "longrope"):
        given = scaling.get("attention_factor") is not None
        found["attention_factor"] = (
            number(scaling, "attention_factor", where) if given else _attention_factor(kind, found, scaling, where)
        )
    return found


def _positive(config: Mapping[str, Any], name: str, where: str) -> float:
    value = number(config, name, where)
    if value == 0:
        raise CheckpointError(f"{where}: the config needs {name} to be a positive number; it says 0")
    return value


def _attention_factor(kind: str, found: Mapping[str, Any], scaling: Mapping[str, Any], where: str) -> float:
    factor = found["factor"]
    if factor <= 1:
        return 1.0
    if kind == "longrope":
        return math.sqrt(1 + math.log(factor) / math.log(found[_PRETRAINED]))

    def scale(times: float) -> float:
        return 0.1 * times * math.log(factor) + 1.0

    if scaling.get("mscale") and scaling.get("mscale_all_dim"):
        return scale(number(scaling, "mscale", where)) / scale(number(scaling, "mscale_all_dim", where))
    return scale(1.0)


def _llama3(plain: torch.Tensor, said: Mapping[str, Any]) -> torch.Tensor:
    """Llama 3.1: long waves are stretched by the factor, short ones stay, those between are mixed."""
    low, high, pretrained = said["low_freq_factor"], said["high_freq_factor"], said[_PRETRAINED]
    wave = 2 * math.pi / plain
    stretched = torch.where(wave > pretrained / low, plain / said["factor"], plain)
    share = (pretrained / wave - low) / (high - low)
    mixed = (1 - share) * stretched / said["factor"] + share * stretched
    between = (wave >= pretrained / high) & (wave <= pretrained / low)
    return torch.where(between, mixed, stretched)
