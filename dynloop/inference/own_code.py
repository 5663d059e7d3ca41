"""Which layers run code of dynloop alone, so that they need not be watched: they tell of their attentions."""

from __future__ import annotations

from typing import Any

import torch

__all__ = ["as_its_class_says", "runs_own_code"]


def runs_own_code(layer: Any) -> bool:
    """Say whether a layer runs code of dynloop alone: its modules, as they are, in sequence."""
    return isinstance(layer, torch.nn.Module) and all(
        (type(part) is torch.nn.Sequential or type(part).__module__.startswith("dynloop.")) and as_its_class_says(part)
        for part in layer.modules()
    )


def as_its_class_says(part: torch.nn.Module) -> bool:
    """Say whether a module has no hooks, and no method that was set on it in place of its class's."""
    own = any(callable(value) and hasattr(type(part), name) for name, value in vars(part).items())
    return not (own or part._forward_hooks or part._forward_pre_hooks)
