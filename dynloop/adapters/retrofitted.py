"""Retrofitted recurrence (McLeish et al. 2025, arXiv 2511.07384): layers of a Llama or an OLMo-2, made into a loop."""

from __future__ import annotations

from dynloop.adapters.raven import raven_family
from dynloop.adapters.raven_config import MODEL_TYPE

__all__ = ["FAMILY"]

FAMILY = raven_family(
    "retrofitted",
    ("llama", "olmo"),
    description="x ← blocks(W [x, e]), pre-norm blocks (Llama) or x + norm(f x) (OLMo-2); start noise or e",
    identifies=f"model_type {MODEL_TYPE} with two norms a layer; OLMo-2 has transformer.core_block.0.attn.q_norm",
)
