"""What an in-context regressor gives by code other than the map's: the authors' forward, or torch's own layers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from dynloop.adapters.base import Checkpoint
from dynloop.adapters.icl_config import BACKBONE, Options, read_options
from dynloop.nn import gelu_tanh

__all__ = ["live_config", "own_output"]


def live_config(model: Any) -> Mapping[str, Any] | None:
    """Return the config of a live ``TransformerModelLooped``, which keeps it in attributes; None for other models."""
    fields = ("n_embd", "n_layer", "n_dims", "n_positions", "loop_func")
    if not all(hasattr(model, name) for name in (*fields, "_pred_type", "configuration", "_backbone")):
        return None
    named = {name: getattr(model, name) for name in fields}
    heads = model.configuration.n_head
    return {"model": {**named, "n_head": heads, "pred_type": model._pred_type, "family": "gpt2_loop"}}


def own_output(checkpoint: Checkpoint, loops: int) -> torch.Tensor:
    """Return the predictions ``(1, n)`` after `loops` loops.

    A live model runs its own forward, on a copy. The code of checkpoints on disk is not at hand: there the stored
    tensors are put into ``torch.nn.TransformerEncoderLayer``, which shares nothing with the map but the equations.
    """
    like = checkpoint.start()
    xs, ys = (torch.as_tensor(checkpoint.prompt[name])[None].to(like) for name in ("xs", "ys"))
    with torch.no_grad():
        if checkpoint.source.model is None:
            return _by_torch(checkpoint, xs, ys, loops)
        model = copy.deepcopy(checkpoint.source.model).to(like).eval()
        model.print_flag = True  # upstream prints at its first forward
        predictions: list[torch.Tensor] = model(xs, ys, loops - 1, loops)
    return predictions[-1]


def _by_torch(checkpoint: Checkpoint, xs: torch.Tensor, ys: torch.Tensor, loops: int) -> torch.Tensor:
    options = read_options(checkpoint.source.config, checkpoint.source.name)
    tensors = {name: tensor.to(xs) for name, tensor in checkpoint.source.tensors.items()}
    blocks = [_block(options, tensors, f"{BACKBONE}.h.{i}").to(xs).eval() for i in range(options.blocks)]
    padded = nn.functional.pad(ys[..., None], (0, xs.shape[-1] - 1))
    z = torch.stack([xs, padded], dim=2).flatten(1, 2)
    e = z @ tensors["_read_in.weight"].T + tensors["_read_in.bias"]
    positions = tensors[f"{BACKBONE}.wpe.weight"][: e.shape[1]]
    mask = nn.Transformer.generate_square_subsequent_mask(e.shape[1], device=e.device, dtype=e.dtype)
    x = {"x + e": torch.zeros_like(e), "x · e": torch.ones_like(e), "x": e}[options.form]
    for _ in range(loops):
        x = {"x + e": x + e, "x · e": x * e, "x": x}[options.form] + positions
        for block in blocks:
            x = block(x, src_mask=mask)
        weight, bias = (tensors[f"{BACKBONE}.ln_f.{part}"] for part in ("weight", "bias"))
        x = nn.functional.layer_norm(x, x.shape[-1:], weight, bias)
    read = x @ tensors["_read_out.weight"].T + tensors["_read_out.bias"]
    return read[:, 0::2, 0] if options.outputs == 1 else read[:, 0::2]


def _block(options: Options, tensors: Mapping[str, torch.Tensor], stored: str) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        block = nn.TransformerEncoderLayer(
            options.width, options.heads, 4 * options.width, 0.0, gelu_tanh, batch_first=True, norm_first=True
        )
    names = {"norm1": "ln_1", "norm2": "ln_2", "linear1": "mlp.c_fc", "linear2": "mlp.c_proj"}
    names["self_attn.out_proj"] = "attn.c_proj"
    parts = {f"{own}.{part}": f"{stored}.{name}.{part}" for own, name in names.items() for part in ("weight", "bias")}
    parts |= {f"self_attn.in_proj_{part}": f"{stored}.attn.c_attn.{part}" for part in ("weight", "bias")}
    block.load_state_dict({own: tensors[name] for own, name in parts.items()})
    return block
