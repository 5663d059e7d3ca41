"""Whether a computation left things as they were: global settings, random states, and the modules it was given."""

from __future__ import annotations

import functools
import random
import sys
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

__all__ = ["global_state", "module_state", "modules_in"]


def global_state() -> dict[str, Any]:
    """Return the process-wide settings and random states that a library must leave alone, by name."""
    legacy: Any = np.random.get_state()  # noqa: NPY002 - it is the legacy state that must not move
    state: dict[str, Any] = {
        "numpy.random": (legacy[0], bytes(np.asarray(legacy[1])), *legacy[2:]),
        "numpy.errstate": tuple(np.geterr().items()),
        "random": random.getstate(),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        state |= {
            "torch random state": zlib.crc32(torch.get_rng_state().numpy()),
            "torch default dtype": torch.get_default_dtype(),
            "torch number of threads": torch.get_num_threads(),
            "torch grad mode": torch.is_grad_enabled(),
            "torch inference mode": torch.is_inference_mode_enabled(),
            "torch deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
            "torch flash attention": torch.backends.cuda.flash_sdp_enabled(),
            "torch memory-efficient attention": torch.backends.cuda.mem_efficient_sdp_enabled(),
            "torch math attention": torch.backends.cuda.math_sdp_enabled(),
        }
    return state


def modules_in(layers: Iterable[Any]) -> list[Any]:
    """Return the torch modules that callables hold: themselves, bound, as partial arguments or in a closure."""
    torch = sys.modules.get("torch")
    found: list[Any] = []
    if torch is not None:
        for layer in layers:
            found += [held for held in _held(layer) if isinstance(held, torch.nn.Module)]
    return found


def _held(layer: Any) -> Iterator[Any]:
    yield layer
    yield getattr(layer, "__self__", None)
    if isinstance(layer, functools.partial):
        yield from layer.args
        yield from layer.keywords.values()
    for cell in getattr(layer, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # an empty cell
            continue


def module_state(modules: Iterable[Any]) -> dict[str, Any]:
    """Return what a computation must leave as it was in modules, by name; weights as checksums."""
    state: dict[str, Any] = {}
    for i, module in enumerate(modules):
        for name, part in module.named_modules():
            state[f"training flag of {i}:{name}"] = part.training
            state[f"hooks of {i}:{name}"] = tuple(
                tuple(getattr(part, hooks, ()))
                for hooks in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
            )
        for name, weight in module.named_parameters():
            state[f"requires_grad of {i}:{name}"] = weight.requires_grad
            state[f"gradient of {i}:{name}"] = None if weight.grad is None else _checksum(weight.grad)
            state[f"parameter {i}:{name}"] = (str(weight.dtype), _checksum(weight))
        for name, buffer in module.named_buffers():
            state[f"buffer {i}:{name}"] = (str(buffer.dtype), _checksum(buffer))
    return state


def _checksum(tensor: Any) -> int:
    torch = sys.modules["torch"]
    return zlib.crc32(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
