"""Activations by the names that configs of transformers give them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional

from dynloop.nn import Activation, gelu_tanh

__all__ = ["ACTIVATIONS"]

ACTIVATIONS: Mapping[str, Activation] = {
    "gelu": functional.gelu,
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": functional.relu,
    "sigmoid": torch.sigmoid,
    "silu": functional.silu,
    "swish": functional.silu,
    "tanh": torch.tanh,
}
