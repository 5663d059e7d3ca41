"""The layers of a DEQ transformer: attention that takes the injection in q, k and v, its MLP, its read-out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from dynloop.adapters.deq_config import Options
from dynloop.nn import Linear

__all__ = ["AdaptiveSoftmax", "FeedForward", "InjectedAttention", "embedded", "matrix"]

Tensors = Mapping[str, torch.Tensor]


def matrix(options: Options, tensors: Tensors, name: str) -> torch.Tensor:
    """Return the weight ``(out, in)`` of a module; v · g/‖v‖ where direction and length are stored apart."""
    if name not in options.normed:
        return tensors[f"{name}.weight"].flatten(1)
    v, g = tensors[f"{name}.weight_v"].flatten(1), tensors[f"{name}.weight_g"].flatten(1)
    w: torch.Tensor = v * (g / v.norm(dim=1, keepdim=True))
    return w


def embedded(options: Options, tensors: Tensors, ids: torch.Tensor) -> torch.Tensor:
    """Return √width times the embeddings ``(tokens, width)``, in float64 on the CPU."""
    e = torch.zeros(len(ids), options.width, dtype=torch.float64)
    tables = range(1 if options.division == 1 else options.clusters)
    for i in tables:
        low, high = (0, options.vocabulary) if options.division == 1 else options.ends[i : i + 2]
        here = (ids >= low) & (ids < high)
        table = tensors[f"word_emb.emb_layers.{i}.weight"]
        rows = table[(ids[here] - low).to(table.device)].double().cpu()
        if options.projected:
            rows = rows @ tensors[f"word_emb.emb_projs.{i}.weight"].double().cpu().T
        e[here] = rows
    return e.mul(options.width**0.5)


class InjectedAttention(nn.Module):
    """``x ← LN(x + W_o attention(q, k, v))``, (q, k, v) = W x + u, with scores by content and by distance.

    The score of i and j is (q_i + a)·k_j + (q_i + b)·r_{i−j}, over √size. With `before`, W sees LN x and the stream is
    not normed.

    Parameters
    ----------
    options : Options
        Sizes, order of norms, window.
    u : tensor, (tokens, 3 width)
        The injection.
    r : tensor, (heads, tokens, size)
        What distances 0, 1, … contribute.
    """

    def __init__(self, options: Options, u: torch.Tensor, r: torch.Tensor) -> None:
        super().__init__()
        width, heads = options.width, options.heads
        self.options, self.u, self.r = options, u, r.flip(1)
        self.qkv, self.o = Linear(width, 3 * width), Linear(width, width, bias=True)
        self.content = nn.Parameter(torch.zeros(heads, width // heads))
        self.distance = nn.Parameter(torch.zeros(heads, width // heads))
        i = torch.arange(len(u), device=u.device)
        gaps = i[:, None] - i
        self.barred = (gaps < 0) | (gaps >= options.window)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it to ``(batch, tokens, width)``."""
        o = self.options
        z = functional.layer_norm(x, (o.width,)) if o.before else x
        parts = (self.qkv(z) + self.u.to(x.dtype)).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (o.heads, -1)).transpose(1, 2) for part in parts)
        by_content = (q + self.content.to(x.dtype)[:, None]) @ k.mT
        by_distance = self._aligned((q + self.distance.to(x.dtype)[:, None]) @ self.r.to(x.dtype).mT)
        scores = (by_content + by_distance) / (o.width // o.heads) ** 0.5
        weights = scores.masked_fill(self.barred, -torch.inf).softmax(-1)
        y = x + self.o((weights @ v).transpose(1, 2).flatten(2))
        return y if o.before else functional.layer_norm(y, (o.width,))

    def _aligned(self, scores: torch.Tensor) -> torch.Tensor:
        """Move scores by distance T − 1, …, 0 to the places (i, j) of distance i − j; the rest is waste."""
        b, h, n, _ = scores.shape
        return functional.pad(scores, (1, 0)).reshape(b, h, n + 1, n)[:, :, 1:].reshape(b, h, n, n)


class FeedForward(nn.Module):
    """``x ← LN(x + W₂ relu(W₁ x))``; with `before`, ``x ← y + W₂ relu(W₁ y)``, y = LN x: the residual is normed too."""

    def __init__(self, options: Options) -> None:
        super().__init__()
        self.options = options
        self.up = Linear(options.width, options.inner, bias=True)
        self.down = Linear(options.inner, options.width, bias=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Apply it to ``(batch, tokens, width)``."""
        width, before = (self.options.width,), self.options.before
        x = functional.layer_norm(x, width) if before else x
        y = x + self.down(functional.relu(self.up(x)))
        return y if before else functional.layer_norm(y, width)


class AdaptiveSoftmax(nn.Module):
    """Logits ``(batch, tokens, vocabulary)``; where the vocabulary has clusters, log-probabilities.

    Parameters
    ----------
    options : Options
        Of the vocabulary.
    tensors : mapping of str to tensor
        The stored ``crit.*``.
    """

    def __init__(self, options: Options, tensors: Tensors) -> None:
        super().__init__()
        self.options, self.stored = options, {k: v for k, v in tensors.items() if k.startswith("crit.")}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Read out ``(batch, tokens, width)``."""
        o = self.options
        first = self._logits(x, 0)
        if o.clusters == 1:
            return first
        extra = self._linear(x, 0, self._own("cluster_weight", x), self._own("cluster_bias", x))
        head = torch.cat([first, extra], -1).log_softmax(-1)
        found = [head[..., : o.ends[1]]]
        for i in range(1, o.clusters):  # cluster i has the i-th place from the end
            found.append(head[..., -i : head.shape[-1] - i + 1] + self._logits(x, i).log_softmax(-1))
        return torch.cat(found, -1)

    def _own(self, name: str, x: torch.Tensor) -> torch.Tensor:
        return self.stored[f"crit.{name}"].to(x.device, x.dtype)

    def _logits(self, x: torch.Tensor, i: int) -> torch.Tensor:
        """Return the logits of the ids of cluster i."""
        table = i if self.options.division != 1 else 0
        rows = slice(None) if self.options.division != 1 else slice(*self.options.ends[i : i + 2])
        weight, bias = (self._own(f"out_layers.{table}.{part}", x)[rows] for part in ("weight", "bias"))
        return self._linear(x, i, weight, bias)

    def _linear(self, x: torch.Tensor, i: int, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        x = x @ self._own(f"out_projs.{i}.weight", x) if self.options.projected else x
        return functional.linear(x, weight, bias)
