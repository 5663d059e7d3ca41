"""What the ``init_strategy`` of a Parcae decides beside its first weights: scales of embedding, start and logits."""

# ruff: noqa: ARG005 - every scheme is a function of width and depth

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt

__all__ = ["STRATEGIES", "Scales", "scales_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scales:
    """Factors that an initialisation leaves in the model.

    Attributes
    ----------
    deviation : float
        Standard deviation of the first embeddings, and of the noise of ``state_init: like-init``.
    embedding, logits : float
        Factors of the embeddings and of the logits.
    """

    deviation: float
    embedding: float = 1.0
    logits: float = 1.0


def _small(d: int) -> float:
    """Return the standard deviation of Nguyen and Salazar (2019, arXiv 1910.05895)."""
    return sqrt(2 / (5 * d))


# by strategy, from the width d and the expected depth n: the layers of one forward pass at ``mean_recurrence`` loops
_RULES: Mapping[str, Callable[[int, int], Scales]] = {
    **dict.fromkeys(("mitchell", "normal"), lambda d, n: Scales(deviation=1 / sqrt(d))),
    **dict.fromkeys(
        ("small", "scaled", "scaled-geiping", "scaled-zero", "scaled-stuck"),
        lambda d, n: Scales(deviation=_small(d)),
    ),
    **dict.fromkeys(
        ("llama", "llama-by-dim", "bernstein", "illiterate", "scaled-large-embed"),
        lambda d, n: Scales(deviation=1.0),
    ),
    **dict.fromkeys(
        ("llama-by-dim-ls", "noci-anagnostidis", "shaped", "scaled-and-logit-scale"),
        lambda d, n: Scales(deviation=1.0, logits=1 / sqrt(d)),
    ),
    **dict.fromkeys(
        ("bert", "megatron", "deepnorm-straight", "deepnorm-subln"),
        lambda d, n: Scales(deviation=0.02),
    ),
    **dict.fromkeys(
        ("deep-scale-simple", "deep-scale-full"),
        lambda d, n: Scales(deviation=sqrt(1 / 3), logits=1 / sqrt(d)),
    ),
    "kaiming": lambda d, n: Scales(deviation=sqrt(2 / d)),
    "megatron2": lambda d, n: Scales(deviation=sqrt(1 / (3 * d))),
    "takase": lambda d, n: Scales(deviation=_small(d), embedding=sqrt(d)),
    "takase-scaled": lambda d, n: Scales(deviation=_small(d), embedding=sqrt(d), logits=_small(d)),
    "wang": lambda d, n: Scales(deviation=2 / n / sqrt(d)),
}

STRATEGIES = tuple(_RULES)


def scales_of(strategy: str, width: int, depth: int) -> Scales:
    """Return the factors of a strategy, one of `STRATEGIES`."""
    return _RULES[strategy](width, depth)
