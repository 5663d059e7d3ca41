"""Looped in-context regressors: a live model, stood for by a class of the same names and equations."""

from types import SimpleNamespace

import torch
from torch.nn import functional

from dynloop.adapters.registry import open_checkpoint
from dynloop.testing.adapter import check_adapter


class Block(torch.nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.ln_1, self.ln_2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.attn = torch.nn.ModuleDict(
            {"c_attn": torch.nn.Linear(width, 3 * width), "c_proj": torch.nn.Linear(width, width)}
        )
        self.mlp = torch.nn.ModuleDict(
            {"c_fc": torch.nn.Linear(width, 4 * width), "c_proj": torch.nn.Linear(4 * width, width)}
        )
        self.heads = heads

    def forward(self, x):
        parts = self.attn["c_attn"](self.ln_1(x)).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2)
        x = x + self.attn["c_proj"](mixed)
        return x + self.mlp["c_proj"](functional.gelu(self.mlp["c_fc"](self.ln_2(x)), approximate="tanh"))


class TransformerModelLooped(torch.nn.Module):
    """Stands for the authors' class: its attributes, its tensor names, its forward."""

    def __init__(self, dims=4, positions=6, width=16, layers=2, heads=2):
        super().__init__()
        self.n_dims, self.n_positions, self.n_embd, self.n_layer = dims, positions, width, layers
        self.loop_func, self._pred_type, self.configuration = "z=f(x+z)", "regression", SimpleNamespace(n_head=heads)
        self._read_in, self._read_out = torch.nn.Linear(dims, width), torch.nn.Linear(width, 1)
        inner = {
            "wpe": torch.nn.Embedding(2 * positions + 1, width),
            "h": torch.nn.ModuleList(Block(width, heads) for _ in range(layers)),
            "ln_f": torch.nn.LayerNorm(width),
        }
        self._backbone = torch.nn.ModuleDict({"transformer": torch.nn.ModuleDict(inner)})

    def forward(self, xs, ys, n_loop_start, n_loops):
        z = torch.stack([xs, functional.pad(ys[..., None], (0, self.n_dims - 1))], 2).flatten(1, 2)
        e, found, inner = self._read_in(z), [], self._backbone["transformer"]
        x = torch.zeros_like(e)
        for t in range(n_loops):
            x = x + e + inner["wpe"](torch.arange(e.shape[1]))
            for block in inner["h"]:
                x = block(x)
            x = inner["ln_f"](x)
            if t >= n_loop_start:
                found.append(self._read_out(x)[:, 0::2, 0])
        return found


def test_a_live_model_is_run_shared_and_left_alone():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = TransformerModelLooped().double()
    m = open_checkpoint(model)
    report = check_adapter(m, tolerance=1e-12)
    assert {"square 16: output", "live model"} <= set(report.gaps)
    assert m.name == "looped_icl live TransformerModelLooped"
