"""Huginn (Geiping et al. 2025, arXiv 2502.05171): sandwich-normed blocks that are fed W [x, e] in every loop."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch

from dynloop.adapters.base import Checkpoint, Family, Granularity, Source
from dynloop.adapters.raven import open_raven, own_output
from dynloop.adapters.raven_config import MODEL_TYPE, form_of, is_raven

__all__ = ["FAMILY"]


def _recognises(config: Mapping[str, Any], names: Collection[str]) -> bool:
    return is_raven(config, names) and form_of(names) == "huginn"


def _open(
    source: Source, prompt: Any, granularity: Granularity, dtype: torch.dtype | None, device: torch.device | None
) -> Checkpoint:
    return open_raven(FAMILY, source, prompt, granularity, dtype, device)


FAMILY = Family(
    name="huginn",
    description="x ← blocks(W [x, e]), x = norm(x + attention(norm x)), then norm(x + mlp(norm x)); start noise",
    identifies=f"model_type {MODEL_TYPE} with tensors freqs_cis, transformer.core_block.0.norm_4",
    recognises=_recognises,
    open=_open,
    own_output=own_output,
)
