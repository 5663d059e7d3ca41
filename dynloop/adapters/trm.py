"""TRM, the tiny recursive model (Jolicoeur-Martineau 2025, arXiv 2510.04871): one level of blocks in both roles."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping
from typing import Any

import torch

from dynloop.adapters.base import Checkpoint, Family, Granularity, Source
from dynloop.adapters.puzzle import live_config, open_puzzle, own_output, recognises

__all__ = ["FAMILY"]


def _recognises(config: Mapping[str, Any], names: Collection[str]) -> bool:
    return recognises(config, names, "trm")


def _open(
    source: Source, prompt: Any, granularity: Granularity, dtype: torch.dtype | None, device: torch.device | None
) -> Checkpoint:
    return open_puzzle(FAMILY, "trm", source, prompt, granularity, dtype, device)


FAMILY = Family(
    name="trm",
    description="L_cycles × z_L ← L(z_L + z_H + e), then z_H ← L(z_H + z_L); L a stack of branches rms(x + f(x))",
    identifies="architectures or name TinyRecursiveReasoningModel_ACTV1; tensors inner.L_level, no inner.H_level",
    recognises=_recognises,
    open=_open,
    own_output=own_output,
    live_config=functools.partial(live_config, kind="trm"),
)
