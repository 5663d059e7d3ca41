"""Parcae written from its equations, one token pair at a time where it matters: shares nothing with the adapter."""

import math
from typing import Any

import torch

ACTS = {
    "ReLU2": lambda u: 0.5 * u.clamp_min(0) ** 2,
    "GELU": lambda u: 0.5 * u * (1 + torch.erf(u / 2**0.5)),
    "SiLU": lambda u: u / (1 + torch.exp(-u)),
}


class Reference:
    """The model of a config and its tensors, in float64."""

    def __init__(self, config: dict[str, Any], tensors: dict[str, torch.Tensor], ids: list[int]) -> None:
        self.c, self.ids = config, ids
        self.w = {name: tensor.double() for name, tensor in tensors.items()}
        pre, rec, coda = (config[f"n_layers_in_{p}"] for p in ("prelude", "recurrent_block", "coda"))
        self.outer = (config["num_attention_heads"], config["num_key_value_heads"])
        heads = config["recurrent_num_attention_heads"] or config["num_attention_heads"]
        self.parts = {
            "prelude": (pre, 0, 0, self.outer),
            "core_block": (rec, pre, pre, (heads, heads)),
            "coda": (coda, pre + rec, pre + rec * config["mean_recurrence"], self.outer),
        }
        self.odd_values = (pre + rec + coda - 1) % 2
        self.odd_gates = (rec * config["mean_backprop_depth"] - 1) % 2
        e = self.w["transformer.wte.weight"][ids] * self.scale("embed_scale")
        e = self.run("prelude", e)
        self.e = self.norm("transformer.ln_prelude", e) if config["prelude_norm"] else e

    def scale(self, name: str) -> float:
        d = self.c["n_embd"]
        table = {"takase-scaled": {"embed_scale": math.sqrt(d), "logit_scale": math.sqrt(2 / 5) / math.sqrt(d)}}
        return table.get(self.c["init_strategy"], {}).get(name, 1.0)

    def norm(self, name: str, u: torch.Tensor) -> torch.Tensor:
        eps, gamma = self.c["norm_eps"], self.w[f"{name}.weight"]
        if self.c["norm_class_name"] == "RMSNorm":
            gamma = gamma + ("Gemma" in self.c["name"])
            return gamma * u / (u.square().mean(-1, keepdim=True) + eps).sqrt()
        u = u - u.mean(-1, keepdim=True)
        return gamma * u / (u.square().mean(-1, keepdim=True) + eps).sqrt() + self.w[f"{name}.bias"]

    def linear(self, name: str, u: torch.Tensor) -> torch.Tensor:
        out = u @ self.w[f"{name}.weight"].T
        return out + self.w[f"{name}.bias"] if f"{name}.bias" in self.w else out

    def run(self, part: str, u: torch.Tensor) -> torch.Tensor:
        for i in range(self.parts[part][0]):
            u = self.block(part, i, u)
        return u

    def block(self, part: str, i: int, u: torch.Tensor) -> torch.Tensor:
        name = f"transformer.{part}.{i}"
        u = u + self.attention(part, i, self.norm(f"{name}.norm_1", u))
        h, act = self.linear(f"{name}.mlp.fc", self.norm(f"{name}.norm_2", u)), ACTS[self.c["nonlin_name"]]
        if self.c["mlp_class_name"] == "GatedMLP":
            first, second = h.chunk(2, -1)
            h = act(first) * second
        else:
            h = act(h)
        return u + self.linear(f"{name}.mlp.proj", h)

    def attention(self, part: str, i: int, u: torch.Tensor) -> torch.Tensor:
        name = f"transformer.{part}.{i}.attn"
        _, index, layer, (heads, keys) = self.parts[part]
        q, k, v = (self.linear(f"{name}.c_{x}", u) for x in "qkv")
        tokens, size = len(u), q.shape[-1] // heads
        q, k, v = q.view(tokens, heads, size), k.view(tokens, keys, size), v.view(tokens, keys, size)
        if (index + i) % 2 == self.odd_values and (layer + i) % 2 == self.odd_gates:
            gate = 2 / (1 + torch.exp(-u[:, :32] @ self.w[f"{name}.ve_gate.weight"].T))
            v = v + gate[..., None] * self.w[f"value_embeds.{index + i}.weight"][self.ids].view(tokens, keys, size)
        if self.c["clip_qkv"] is not None:
            q, k, v = (x.clamp(-self.c["clip_qkv"], self.c["clip_qkv"]) for x in (q, k, v))
        if self.c["qk_bias"]:
            q, k = q + self.w[f"{name}.qk_bias"][0], k + self.w[f"{name}.qk_bias"][1]
        q, k = self.turn(q), self.turn(k)
        if self.c["qk_norm"]:
            q, k = (x / (x.square().mean(-1, keepdim=True) + torch.finfo(torch.float64).eps).sqrt() for x in (q, k))
        mixed = torch.zeros(tokens, heads, size, dtype=torch.float64)
        for t in range(tokens):
            for h in range(heads):
                g = h // (heads // keys)
                mixed[t, h] = (k[: t + 1, g] @ q[t, h] / size**0.5).softmax(0) @ v[: t + 1, g]
        return self.linear(f"{name}.c_proj", mixed.flatten(1))

    def turn(self, x: torch.Tensor) -> torch.Tensor:
        z = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
        angles = torch.view_as_complex(self.w["freqs_cis"][0, : len(x)].contiguous())
        return torch.view_as_real(z * angles).flatten(-2)

    def loop(self, x: torch.Tensor) -> torch.Tensor:
        a, kind = "transformer.adapter", self.c["injection_type"]
        if kind == "add":
            x = x + self.e
        elif kind == "linear":
            x = self.linear(f"{a}.adapter", torch.cat([x, self.e], -1))
        else:
            step = torch.log1p(torch.exp(self.w[f"{a}.dt_bias"]))
            x = torch.exp(-step * torch.exp(self.w[f"{a}.A_log"])) * x + step * (self.e @ self.w[f"{a}.B"].T)
        return self.run("core_block", x)

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm("transformer.ln_f", self.run("coda", self.linear("transformer.C", x)))
        head = self.w["transformer.wte.weight" if self.c["tie_embeddings"] else "lm_head.weight"]
        out, cap = x @ head.T * self.scale("logit_scale"), self.c["logit_softcap"]
        return out if cap is None else cap * torch.tanh(out / cap)
