"""Do the weights fit the config? Every tensor that is needed is there, in its shape and finite; none is left over."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

import torch

from dynloop.adapters.base import Source
from dynloop.errors import CheckpointError

__all__ = ["build", "fill", "fitting_tensors", "parts", "widest"]

_READ = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
Module = TypeVar("Module", bound=torch.nn.Module)


def fitting_tensors(
    source: Source, shapes: Mapping[str, tuple[int, ...]], *, unused: str | None = None
) -> dict[str, torch.Tensor]:
    """Return the tensors named in `shapes`, checked.

    Parameters
    ----------
    source : Source
        The checkpoint as read.
    shapes : mapping of str to tuple of int
        Every tensor that the map is made of, with the shape that the config implies.
    unused : str, optional
        A regular expression that matches, in full, the names of tensors that may be there and have no part in the map
        (mask buffers, other heads).

    Returns
    -------
    dict of str to tensor
        In the order of `shapes`, detached.

    Raises
    ------
    CheckpointError
        If a tensor is missing, superfluous, of another shape, not of a floating dtype, or holds NaN or infinity.
    """
    for name, shape in shapes.items():
        _check(source, name, shape)
    for name in source.tensors:
        if name not in shapes and not (unused and re.fullmatch(unused, name)):
            raise CheckpointError(
                f"{source.name}: the tensor {name} has no place in the model that the config describes; give the "
                "config that belongs to these weights"
            )
    return {name: source.tensors[name].detach() for name in shapes}


def _check(source: Source, name: str, shape: tuple[int, ...]) -> None:
    if name not in source.tensors:
        raise CheckpointError(
            f"{source.name}: the tensor {name} of shape {shape} is missing; save the whole state_dict of the model"
        )
    tensor = source.tensors[name]
    if tuple(tensor.shape) != shape:
        raise CheckpointError(
            f"{source.name}: the tensor {name} has shape {tuple(tensor.shape)}, the config implies {shape}; give the "
            "config that belongs to these weights"
        )
    if tensor.dtype not in _READ:
        raise CheckpointError(
            f"{source.name}: the tensor {name} is {str(tensor.dtype).removeprefix('torch.')}; quantised weights are "
            "not read, so convert them to float32 first"
        )
    if not _finite(tensor):
        bad = int((~torch.isfinite(tensor)).sum())
        raise CheckpointError(
            f"{source.name}: the tensor {name} holds NaN or infinity in {bad} of {tensor.numel()} entries; its "
            "training diverged or the file is damaged, so use another checkpoint"
        )


def _finite(tensor: torch.Tensor) -> bool:
    """Say whether every entry is finite, in one pass without a copy: the extremes show NaN and infinity alike."""
    return all(bool(torch.isfinite(extreme)) for extreme in tensor.aminmax()) if tensor.numel() else True


def widest(tensors: Mapping[str, torch.Tensor]) -> torch.dtype:
    """Return the dtype that holds all the weights: the working dtype of a checkpoint that mixes several."""
    return functools.reduce(torch.promote_types, (tensor.dtype for tensor in tensors.values()))


def fill(
    module: Module, tensors: Mapping[str, torch.Tensor], dtype: torch.dtype | None, device: torch.device | None
) -> Module:
    """Give a module (built on the meta device) its weights, sharing storage where neither dtype nor device changes.

    Parameters
    ----------
    module : torch.nn.Module
        Its parameters only say names and shapes.
    tensors : mapping of str to tensor
        One for every parameter, under the module's own names.
    dtype, device
        Where the weights go; None leaves them as they are.

    Returns
    -------
    torch.nn.Module
        `module`, frozen (``requires_grad`` False) and in evaluation mode; the given tensors keep their own flags.
    """
    ready = {name: tensor.detach().to(device=device, dtype=dtype) for name, tensor in tensors.items()}
    module.load_state_dict(ready, strict=True, assign=True)
    return module.requires_grad_(requires_grad=False).eval()


def build(
    make: Callable[[], Module],
    tensors: Mapping[str, torch.Tensor],
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> Module:
    """Make a module on the meta device, so that no memory is taken for weights to be replaced, and `fill` it."""
    with torch.device("meta"):
        module = make()
    return fill(module, tensors, dtype, device)


def parts(tensors: Mapping[str, torch.Tensor], name: str, own: str = "") -> dict[str, torch.Tensor]:
    """Return the weight and the bias stored under `name`, renamed to the module's own name."""
    prefix = f"{own}." if own else ""
    return {f"{prefix}{part}": tensors[f"{name}.{part}"] for part in ("weight", "bias")}
