"""A stand-in for a model: its tree of modules made anew around the same weights, so that the model is never touched."""

from __future__ import annotations

import copy
from collections import OrderedDict
from types import MethodType
from typing import Any

import torch
from torch import nn

__all__ = ["stand_in"]


def stand_in(model: nn.Module) -> nn.Module:
    """Return a model of new modules that hold the weights of `model`, in evaluation mode.

    Parameters
    ----------
    model : nn.Module
        Left as it is. Modules that it holds elsewhere than as submodules (in a plain list, say) stay its own.

    Returns
    -------
    nn.Module
        Parameters share the storage and are frozen; weights that were tied are tied. Buffers are copied, since a
        forward pass may write into them. Hooks, attributes and methods set on an instance are carried over.
    """
    return _module(model, {}, {}).eval()


def _module(module: nn.Module, made: dict[int, nn.Module], tensors: dict[int, torch.Tensor]) -> nn.Module:
    if id(module) in made:
        return made[id(module)]
    inner = module._modules.get("_orig_mod")
    if inner is not None:  # compiled: the module itself
        made[id(module)] = _module(inner, made, tensors)
        return made[id(module)]
    new: nn.Module = object.__new__(type(module))
    own: dict[str, Any] = {name: _own(value, module, new) for name, value in vars(module).items()}
    made[id(module)] = new
    own["_modules"] = {
        name: None if child is None else _module(child, made, tensors) for name, child in module._modules.items()
    }
    own["_parameters"] = {name: _parameter(p, tensors) for name, p in module._parameters.items()}
    own["_buffers"] = {name: _buffer(b, tensors) for name, b in module._buffers.items()}
    own["_compiled_call_impl"] = None
    vars(new).update(own)
    return new


def _own(value: Any, module: nn.Module, new: nn.Module) -> Any:
    """Return an attribute for the new module: dicts of hooks of its own, methods bound to it."""
    if isinstance(value, OrderedDict):
        return copy.copy(value)
    if isinstance(value, MethodType) and value.__self__ is module:
        return MethodType(value.__func__, new)
    return value


def _parameter(parameter: nn.Parameter | None, tensors: dict[int, torch.Tensor]) -> torch.Tensor | None:
    """Return a frozen parameter on the same storage; subclasses (quantised weights) are handed on."""
    if type(parameter) is not nn.Parameter:
        return parameter
    if id(parameter) not in tensors:
        tensors[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
    return tensors[id(parameter)]


def _buffer(buffer: torch.Tensor | None, tensors: dict[int, torch.Tensor]) -> torch.Tensor | None:
    if type(buffer) is not torch.Tensor:
        return buffer
    if id(buffer) not in tensors:
        tensors[id(buffer)] = buffer.detach().clone()
    return tensors[id(buffer)]
