"""The transformer layers of a Raven as modules that share its weights, in its three forms."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from dynloop.adapters.fitting import build
from dynloop.adapters.language_prompt import LanguagePrompt
from dynloop.adapters.raven_config import Options
from dynloop.nn import Attention, GatedMLP, NormedBranch, RMSNorm

__all__ = ["Blocks", "Tensors", "stored_tables"]

Tensors = Mapping[str, torch.Tensor]


class Blocks:
    """The transformer layers of a checkpoint, as modules that share its weights."""

    def __init__(
        self,
        options: Options,
        tensors: Tensors,
        prompt: LanguagePrompt,
        dtype: torch.dtype | None,
        device: torch.device,
    ) -> None:
        self.options, self.tensors, self.dtype, self.device = options, tensors, dtype, device
        mask = torch.from_numpy(prompt.inputs["attention_mask"] == 1)
        self.attend = None if bool(mask.all()) else mask.to(device)
        tokens = len(prompt.tokens)
        rope = options.rope
        self.tables = (stored_tables(tensors["freqs_cis"], tokens) if rope is None else rope.tables(tokens)).to(device)

    def branches(self, stored: str) -> tuple[nn.Module, nn.Module]:
        """Return attention and MLP of the layer that lies at `stored`, each with its norms."""
        o, tensors = self.options, self.tensors
        queries, keys = o.heads * o.head_size, o.kv_heads * o.head_size
        q, k, v = torch.split(tensors[f"{stored}.attn.Wqkv.weight"], [queries, keys, keys])
        weights = {"f.q.weight": q, "f.k.weight": k, "f.v.weight": v}
        weights["f.o.weight"] = tensors[f"{stored}.attn.proj.weight"]
        if o.qk_bias:
            biases = ("f.q_norm.bias", "f.k_norm.bias") if o.form == "olmo" else ("f.q.bias", "f.k.bias")
            weights |= dict(zip(biases, tensors[f"{stored}.attn.qk_bias"].flatten(1), strict=True))
        if o.form == "olmo":
            weights |= {f"f.{n}.weight": tensors[f"{stored}.attn.{n}.weight"] for n in ("q_norm", "k_norm")}
        gate, up = tensors[f"{stored}.mlp.fc.weight"].chunk(2)
        inner = {"f.gate.weight": gate, "f.up.weight": up, "f.down.weight": tensors[f"{stored}.mlp.proj.weight"]}
        places = {"huginn": ("before", "stream"), "llama": ("before",), "olmo": ("after",)}[o.form]
        norms = iter(range(1, 5))
        for part in (weights, inner):
            part |= {f"{place}.weight": tensors[f"{stored}.norm_{next(norms)}.weight"] for place in places}
        attention = build(lambda: self._normed(self._attention(), places), weights, self.dtype, self.device)
        mlp = build(lambda: self._normed(GatedMLP(o.width, o.inner), places), inner, self.dtype, self.device)
        return attention, mlp

    def _normed(self, f: nn.Module, places: tuple[str, ...]) -> nn.Module:
        return NormedBranch(f, **{place: RMSNorm(self.options.width, eps=self.options.eps) for place in places})

    def _attention(self) -> nn.Module:
        o = self.options
        return Attention(
            o.width,
            o.heads,
            kv_heads=o.kv_heads,
            head_size=o.head_size,
            bias="qk" if o.qk_bias else False,
            attend=self.attend,
            tables=self.tables,
            neighbours=o.form == "huginn",
            qk_eps=o.eps if o.form == "olmo" else None,
        )


def stored_tables(freqs: torch.Tensor, tokens: int) -> torch.Tensor:
    """Return the rotary tables ``(2, tokens, size)`` that the buffer ``(1, context, 1, size / 2, 2)`` holds."""
    cos, sin = freqs[0, :tokens, 0].unbind(-1)
    return torch.stack([torch.stack([cos, cos], -1).flatten(-2), torch.stack([-sin, sin], -1).flatten(-2)])
