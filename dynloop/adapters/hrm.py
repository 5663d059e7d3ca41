"""HRM, the hierarchical reasoning model (Wang et al. 2025, arXiv 2506.21734): a fast and a slow level of blocks."""

from __future__ import annotations

from dynloop.adapters.puzzle import puzzle_family

__all__ = ["FAMILY"]

FAMILY = puzzle_family(
    "hrm",
    description="L_cycles × z_L ← L(z_L + z_H + e), then z_H ← H(z_H + z_L); L, H stacks of branches rms(x + f(x))",
    identifies="architectures or name HierarchicalReasoningModel_ACTV1; tensors inner.L_level and inner.H_level",
)
