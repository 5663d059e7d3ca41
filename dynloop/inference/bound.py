"""T10: how far an attention map may move when its input moves, from the constants of its own weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from dynloop.adapters.rotary_blocks import TableAttention
from dynloop.inference.own_code import as_its_class_says
from dynloop.inference.seen import Seen
from dynloop.nn import Attention, Linear

__all__ = ["Constants", "allowed", "constants"]

# what makes queries and keys: a subclass with a method of its own here is another attention
_OWN = {Attention: ("forward", "_split"), TableAttention: ("forward", "prepared", "turned", "split")}


@dataclass(frozen=True, slots=True, eq=False)
class Constants:
    """What T10 needs of one attention.

    Attributes
    ----------
    sizes : tensor, (heads,), or None
        κ/√d of every head; None where T10 does not apply as it stands.
    rotary : bool
        Whether queries and keys are turned by position: B then bounds the Frobenius norm.
    biased : bool
        Whether there are biases: they count as one more input that is always 1.
    reason : str
        Why `sizes` is None; empty otherwise.
    """

    sizes: torch.Tensor | None
    rotary: bool = False
    biased: bool = False
    reason: str = ""


def constants(seen: Seen) -> Constants:
    """Read the constants of an attention off its weights."""
    module: Any = seen.module
    if seen.given is None or not _plain(module):
        what = "this attention" if module is None else type(module).__name__
        return Constants(None, reason=f"the weights of {what} are not known as W_Q and W_K alone")
    if getattr(module, "q_norm", None) is not None:
        return Constants(None, reason="norms of queries and keys have Lipschitz constants of their own")
    biased = module.q.bias is not None
    q, k = (_heads(part, module.head_size) for part in (module.q, module.k))
    k = k.repeat_interleave(module.heads // module.kv_heads, 0)
    rotary = bool(getattr(module, "rotary", False)) or module.tables is not None
    # qᵀk = QRk, Q orthogonal
    sizes = spectral(q) * spectral(k) if rotary else spectral(torch.linalg.qr(q.mT, mode="r").R @ k)
    return Constants(sizes * _stretch(module.tables) / math.sqrt(module.head_size), rotary, biased)


def _plain(module: Any) -> bool:
    """Say whether queries and keys are what the weights of an attention say, and nothing in between is another's."""
    kind = next((kind for kind in _OWN if isinstance(module, kind)), None)
    if kind is None:
        return False
    for name in _OWN[kind]:
        found = getattr(module, name)
        if getattr(found, "__func__", None) is not getattr(kind, name) or found.__self__ is not module:
            return False
    return all(type(part) in (Linear, torch.nn.Linear) and as_its_class_says(part) for part in (module.q, module.k))


def allowed(known: Sequence[Constants], before: Sequence[Seen], after: Sequence[Seen]) -> torch.Tensor:
    """Return the bound Bκ/√d·‖ΔX‖_F on the change of every attention between two calls; nan where there is none.

    X is the input ``(tokens, width)`` of the attention, B the larger of its two norms: spectral, or Frobenius with
    rotary positions (theory note T10).

    Returns
    -------
    tensor, (batch, attentions, heads)
    """
    shape = (after[0].shape[0], len(known), after[0].shape[1])
    found = torch.full(shape, math.nan, dtype=torch.float64, device=_device(after[0]))
    groups: dict[Any, list[int]] = {}  # attentions that can be taken together
    for i, one in enumerate(known):
        x = after[i].given
        if one.sizes is not None and x is not None:
            groups.setdefault((one.rotary, one.biased, x.shape), []).append(i)
    for (rotary, biased, _), members in groups.items():
        a, b = (_wide([calls[i].given for i in members], biased) for calls in (before, after))
        norms = [torch.linalg.matrix_norm(x) if rotary else spectral(x) for x in (a, b)]
        moved = torch.maximum(*norms) * torch.linalg.matrix_norm(b - a)  # (members, batch)
        sizes = torch.stack([known[i].sizes for i in members])  # type: ignore[misc] # members have sizes
        found[:, members] = moved.T[:, :, None] * sizes.to(found.device)
    return found


def spectral(x: torch.Tensor) -> torch.Tensor:
    """Return the spectral norm of matrices ``(…, rows, columns)`` by way of the smaller Gram matrix; nan of one lost.

    The largest eigenvalue of a Gram matrix is as exact, relative to itself, as the largest singular value.
    """
    size = x.abs().amax(dim=(-2, -1), keepdim=True)
    known = torch.isfinite(size)
    scaled = torch.where(known, x / torch.where(size > 0, size, 1.0), 0.0)
    gram = scaled @ scaled.mT if x.shape[-2] <= x.shape[-1] else scaled.mT @ scaled
    largest = torch.linalg.eigvalsh(gram)[..., -1].clamp_min(0).sqrt()
    return torch.where(known[..., 0, 0], largest * size[..., 0, 0], torch.nan)


def _device(one: Seen) -> torch.device:
    return one.weights.device if one.given is None else one.given.device


def _wide(given: Sequence[Any], biased: bool) -> torch.Tensor:
    wide: torch.Tensor = torch.stack([x.detach() for x in given]).double()
    return torch.cat([wide, wide.new_ones(*wide.shape[:-1], 1)], dim=-1) if biased else wide


def _stretch(tables: torch.Tensor | None) -> float:
    """Return by how much tables of cosines and sines lengthen queries and keys together: 1 for a mere rotation."""
    return 1.0 if tables is None else float(tables.double().square().sum(0).max())


def _heads(part: Any, size: int) -> torch.Tensor:
    """Return the weights of every head ``(heads, size, width)`` in float64, the bias as one more column."""
    weight: torch.Tensor = part.weight.detach().double()
    if part.bias is not None:
        weight = torch.cat([weight, part.bias.detach().double()[:, None]], dim=1)
    return weight.reshape(-1, size, weight.shape[1])
