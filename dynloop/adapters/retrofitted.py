"""Retrofitted recurrence (McLeish et al. 2025, arXiv 2511.07384): layers of a Llama or an OLMo-2, made into a loop."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch

from dynloop.adapters.base import Checkpoint, Family, Granularity, Source
from dynloop.adapters.raven import open_raven, own_output
from dynloop.adapters.raven_config import MODEL_TYPE, form_of, is_raven

__all__ = ["FAMILY"]


def _recognises(config: Mapping[str, Any], names: Collection[str]) -> bool:
    return is_raven(config, names) and form_of(names) != "huginn"


def _open(
    source: Source, prompt: Any, granularity: Granularity, dtype: torch.dtype | None, device: torch.device | None
) -> Checkpoint:
    return open_raven(FAMILY, source, prompt, granularity, dtype, device)


FAMILY = Family(
    name="retrofitted",
    description="x ← blocks(W [x, e]), pre-norm blocks (Llama) or x + norm(f x) (OLMo-2); start noise or e",
    identifies=f"model_type {MODEL_TYPE} with two norms a layer; OLMo-2 has transformer.core_block.0.attn.q_norm",
    recognises=_recognises,
    open=_open,
    own_output=own_output,
)
