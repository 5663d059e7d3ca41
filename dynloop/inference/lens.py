"""The decoder lens: what the model would answer if it stopped between two layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from dynloop.errors import ShapeError

__all__ = ["lens"]


def lens(logits: Callable[[Any], Any], sections: Sequence[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Read out every section, and compare it with the last.

    Parameters
    ----------
    logits : callable
        States ``(batch, *state_shape)`` to ``(batch, …, classes)``.
    sections : sequence of tensor, (batch, *state_shape)
        The sections; the last gives the final answer.

    Returns
    -------
    kl, entropy : tensor, (sections, batch)
        D(p_final ‖ p_section) and the entropy of p_section, in nats, averaged over the answers; float64.

    Raises
    ------
    ShapeError
        If the logits are not ``(batch, …, classes)`` with two classes at least.
    """
    final = _log_probabilities(logits, sections[-1])
    p = final.exp()
    best = torch.linalg.vecdot(p, final)
    kl, entropy = [], []
    for section in sections:
        own = _log_probabilities(logits, section)
        divergence, spread = best - torch.linalg.vecdot(p, own), -torch.linalg.vecdot(own.exp(), own)
        if bool(torch.isnan(divergence + spread).any()):  # 0 · log 0, where classes are masked
            divergence, spread = _masked(p, final, own)
        kl.append(torch.where(torch.isnan(divergence), divergence, divergence.clamp_min(0)).mean(-1))
        entropy.append(spread.mean(-1))
    return torch.stack(kl), torch.stack(entropy)


def _masked(p: torch.Tensor, final: torch.Tensor, own: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return D(p ‖ own) and the entropy of `own`, 0 · log 0 being 0; nan where logits are."""
    divergence = torch.where(p > 0, p * (final - own), 0.0)
    divergence = torch.where(torch.isnan(p + own), torch.nan, divergence).sum(-1)
    return divergence, torch.where(own == -torch.inf, 0.0, -own.exp() * own).sum(-1)


def _log_probabilities(logits: Callable[[Any], Any], states: torch.Tensor) -> torch.Tensor:
    """Return log-probabilities ``(batch, answers, classes)`` in float64."""
    with torch.no_grad():
        read = torch.as_tensor(logits(states)).detach().double()
    if read.ndim < 2 or len(read) != len(states) or read.shape[-1] < 2:
        raise ShapeError(
            f"logits must give (batch, …, classes) with two classes at least for {len(states)} states; got "
            f"{tuple(read.shape)}. Wrap the read-out so that classes are the last axis."
        )
    return read.reshape(len(read), -1, read.shape[-1]).log_softmax(-1)
