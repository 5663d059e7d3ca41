"""What attention maps look like, head by head: how concentrated their columns are, their sinks, how widely they mix."""

from __future__ import annotations

import math

import torch

__all__ = ["concentration", "mixing", "sink_rate", "sink_scores"]


def concentration(maps: torch.Tensor) -> torch.Tensor:
    """Return the ColSum concentration of maps ``(…, tokens, tokens)``, in [0, 1]; 1 for a single token.

    C = 1 + Σ_j ĉ_j log ĉ_j / log T with ĉ_j = Σ_i A_ij / T: 0 where every token is attended to alike, 1 where all
    attend to one.
    """
    tokens = maps.shape[-1]
    if tokens == 1:
        return torch.ones_like(maps[..., 0, 0])
    found: torch.Tensor = 1 - torch.special.entr(sink_scores(maps)).sum(-1) / math.log(tokens)
    return found.clamp(0, 1)


def sink_scores(maps: torch.Tensor) -> torch.Tensor:
    """Return what each token receives on average, ``(1/T) Σ_i A_ij``: ``(…, tokens, tokens)`` to ``(…, tokens)``."""
    return maps.mean(dim=-2)


def sink_rate(maps: torch.Tensor, *, token: int | None = 0, threshold: float = 0.3) -> torch.Tensor:
    """Return the share of heads with a sink: maps ``(…, heads, tokens, tokens)`` to ``(…)``.

    A head has one if the score of `token` (None: of any token) is at least `threshold`; nan where maps are.
    """
    scores = sink_scores(maps)
    strongest = scores.amax(-1) if token is None else scores[..., token]
    rate = (strongest >= threshold).to(maps.dtype).mean(-1)
    return torch.where(torch.isnan(scores).any(-1).any(-1), math.nan, rate)


def mixing(maps: torch.Tensor) -> torch.Tensor:
    """Return the mixing score of maps ``(…, tokens, tokens)``: the mean entropy of their rows, in nats."""
    found: torch.Tensor = torch.special.entr(maps).sum(-1).mean(-1)
    return found
