"""TRM and HRM written from their equations, with explicit attention: shares nothing with the adapters."""

import math
from typing import Any

import torch


class Reference:
    """The model of a config and its tensors, in float64, on one puzzle."""

    def __init__(
        self, config: dict[str, Any], tensors: dict[str, torch.Tensor], inputs: list[int], puzzle: int
    ) -> None:
        self.c = config
        self.w = {name.rpartition("inner.")[2]: tensor.double() for name, tensor in tensors.items()}
        self.d, self.heads = config["hidden_size"], config["num_heads"]
        self.slow = "H_level" if any(name.startswith("H_level") for name in self.w) else "L_level"
        self.prefix = config.get("puzzle_emb_len") or math.ceil(config["puzzle_emb_ndim"] / self.d)
        e = torch.zeros(self.prefix + len(inputs), self.d, dtype=torch.float64)
        if config["puzzle_emb_ndim"]:
            row = self.w["puzzle_emb.weights"][puzzle]
            e[: self.prefix].view(-1)[: len(row)] = row
        e[self.prefix :] = self.w["embed_tokens.embedding_weight"][inputs]
        if config["pos_encodings"] == "learned":
            e = 0.707106781 * (e + self.w["embed_pos.embedding_weight"])
        self.e = e * self.d**0.5

    def start(self) -> torch.Tensor:
        return torch.stack([self.w[name].expand_as(self.e) for name in ("H_init", "L_init")])

    def rms(self, u: torch.Tensor) -> torch.Tensor:
        return u / (u.square().mean(-1, keepdim=True) + self.c["rms_norm_eps"]).sqrt()

    def swiglu(self, name: str, u: torch.Tensor) -> torch.Tensor:
        gate, up = (u @ self.w[f"{name}.gate_up_proj.weight"].T).chunk(2, -1)
        return (gate / (1 + torch.exp(-gate)) * up) @ self.w[f"{name}.down_proj.weight"].T

    def attention(self, name: str, u: torch.Tensor) -> torch.Tensor:
        size = self.d // self.heads
        qkv = (u @ self.w[f"{name}.qkv_proj.weight"].T).view(len(u), 3 * self.heads, size).transpose(0, 1)
        q, k, v = qkv.chunk(3)
        if self.c["pos_encodings"] == "rope":
            q, k = self.turn(q), self.turn(k)
        mixed = (q @ k.mT / size**0.5).softmax(-1) @ v
        return mixed.transpose(0, 1).flatten(1) @ self.w[f"{name}.o_proj.weight"].T

    def turn(self, x: torch.Tensor) -> torch.Tensor:
        half = x.shape[-1] // 2
        angles = torch.outer(
            torch.arange(x.shape[1], dtype=torch.float64),
            self.c["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half),
        )
        a, b = x[..., :half], x[..., half:]
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def level(self, name: str, u: torch.Tensor) -> torch.Tensor:
        for i in range(self.c["H_layers" if name == "H_level" else "L_layers"]):
            block = f"{name}.layers.{i}"
            if self.c.get("mlp_t"):
                u = self.rms(u.T + self.swiglu(f"{block}.mlp_t", u.T)).T
            else:
                u = self.rms(u + self.attention(f"{block}.self_attn", u))
            u = self.rms(u + self.swiglu(f"{block}.mlp", u))
        return u

    def loop(self, x: torch.Tensor) -> torch.Tensor:
        high, low = x
        for _ in range(self.c["L_cycles"]):
            low = self.level("L_level", low + high + self.e)
        high = self.level(self.slow, high + low)
        return torch.stack([high, low])

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        return x[0, self.prefix :] @ self.w["lm_head.weight"].T


def drawn(config: dict[str, Any], kind: str, prefix: str) -> dict[str, torch.Tensor]:
    """Tensors of a puzzle model with normal weights, under the names a training run leaves."""
    d, total = config["hidden_size"], config["seq_len"]
    total += config.get("puzzle_emb_len") or math.ceil(config["puzzle_emb_ndim"] / d)
    size = d // config["num_heads"] * config["num_heads"]

    def inner(width: int) -> int:
        return 256 * math.ceil(round(config["expansion"] * width * 2 / 3) / 256)

    shapes = {"embed_tokens.embedding_weight": (config["vocab_size"], d), "H_init": (d,), "L_init": (d,)}
    shapes |= {"lm_head.weight": (config["vocab_size"], d), "q_head.weight": (2, d), "q_head.bias": (2,)}
    if config["puzzle_emb_ndim"]:
        shapes["puzzle_emb.weights"] = (config["num_puzzle_identifiers"], config["puzzle_emb_ndim"])
    if config["pos_encodings"] == "learned":
        shapes["embed_pos.embedding_weight"] = (total, d)
    for level in ("L", "H") if kind == "hrm" else ("L",):
        for i in range(config[f"{level}_layers"]):
            block = f"{level}_level.layers.{i}"
            mixers = {"mlp_t": total, "mlp": d} if config.get("mlp_t") else {"mlp": d}
            for name, width in mixers.items():
                shapes[f"{block}.{name}.gate_up_proj.weight"] = (2 * inner(width), width)
                shapes[f"{block}.{name}.down_proj.weight"] = (width, inner(width))
            if not config.get("mlp_t"):
                shapes[f"{block}.self_attn.qkv_proj.weight"] = (3 * size, d)
                shapes[f"{block}.self_attn.o_proj.weight"] = (d, size)
    generator = torch.Generator().manual_seed(0)
    scale = {name: 1.0 if len(shape) == 1 or "emb" in name else 0.1 for name, shape in shapes.items()}
    return {
        f"{prefix}inner.{name}": torch.randn(shape, generator=generator) * scale[name] for name, shape in shapes.items()
    }
