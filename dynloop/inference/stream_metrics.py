"""What the residual stream looks like: how many directions it uses, and how long its tokens are."""

from __future__ import annotations

import math

import torch

__all__ = ["matrix_entropy", "norm"]


def matrix_entropy(stream: torch.Tensor) -> torch.Tensor:
    """Return the matrix entropy of streams ``(…, tokens, width)``, in nats: ``(…)``.

    H = −Σ_j p_j log p_j with p_j = σ_j² / ‖X‖_F²: 0 for a stream of rank one, log r where r singular values are alike
    and the others zero. nan for a stream that is zero or not finite.
    """
    size = stream.abs().amax(dim=(-2, -1), keepdim=True)
    scaled = stream / size
    known = torch.isfinite(scaled).all(-1).all(-1)
    scaled = torch.where(known[..., None, None], scaled, 1.0)
    gram = scaled @ scaled.mT if stream.shape[-2] <= stream.shape[-1] else scaled.mT @ scaled
    squares = torch.linalg.eigvalsh(gram).clamp_min(0)
    found: torch.Tensor = torch.special.entr(squares / squares.sum(-1, keepdim=True)).sum(-1)
    return torch.where(known, found, math.nan)


def norm(stream: torch.Tensor) -> torch.Tensor:
    """Return the mean norm of the tokens of streams ``(…, tokens, width)``: ``(…)``."""
    found: torch.Tensor = torch.linalg.vector_norm(stream, dim=-1).mean(-1)
    return found
