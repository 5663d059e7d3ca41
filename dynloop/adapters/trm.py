"""TRM, the tiny recursive model (Jolicoeur-Martineau 2025, arXiv 2510.04871): one level of blocks in both roles."""

from __future__ import annotations

from dynloop.adapters.puzzle import puzzle_family

__all__ = ["FAMILY"]

FAMILY = puzzle_family(
    "trm",
    description="L_cycles × z_L ← L(z_L + z_H + e), then z_H ← L(z_H + z_L); L a stack of branches rms(x + f(x))",
    identifies="architectures or name TinyRecursiveReasoningModel_ACTV1; tensors inner.L_level, no inner.H_level",
)
