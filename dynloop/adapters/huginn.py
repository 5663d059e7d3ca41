"""Huginn (Geiping et al. 2025, arXiv 2502.05171): sandwich-normed blocks that are fed W [x, e] in every loop."""

from __future__ import annotations

from dynloop.adapters.raven import raven_family
from dynloop.adapters.raven_config import MODEL_TYPE

__all__ = ["FAMILY"]

FAMILY = raven_family(
    "huginn",
    ("huginn",),
    description="x ← blocks(W [x, e]), x = norm(x + attention(norm x)), then norm(x + mlp(norm x)); start noise",
    identifies=f"model_type {MODEL_TYPE} with tensors freqs_cis, transformer.core_block.0.norm_4",
)
