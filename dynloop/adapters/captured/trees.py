"""The arguments and results of a module: tensors in tuples, lists and mappings, copied, compared, searched."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

__all__ = ["first_difference", "leaves", "map_tensors", "state_in", "with_state"]

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device, torch.Size)


def map_tensors(f: Callable[[torch.Tensor], torch.Tensor], tree: Any) -> Any:
    """Return the tree with f applied to every tensor; objects of other kinds are shared."""
    if isinstance(tree, torch.Tensor):
        return f(tree)
    if isinstance(tree, tuple):
        parts = [map_tensors(f, part) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    if type(tree) is list:
        return [map_tensors(f, part) for part in tree]
    if type(tree) is dict:
        return {key: map_tensors(f, part) for key, part in tree.items()}
    return tree


def leaves(tree: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what a tree holds, with the name of its place, such as ``position_embeddings[0]``."""
    if isinstance(tree, tuple | list):
        for i, part in enumerate(tree):
            yield from leaves(part, f"{name}[{i}]")
    elif type(tree) is dict:
        for key, part in tree.items():
            yield from leaves(part, f"{name}[{key!r}]" if name else str(key))
    else:
        yield name, tree


def first_difference(a: Any, b: Any) -> str | None:
    """Return the name of the first place at which two trees differ beyond rounding; None if there is none."""
    one, other = dict(leaves(a)), dict(leaves(b))
    if one.keys() != other.keys():
        return sorted(one.keys() ^ other.keys())[0]
    return next((name for name in one if not _same(one[name], other[name])), None)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        if torch.equal(a, b):
            return True
        if not a.dtype.is_floating_point:
            return False
        least = 16 * torch.finfo(a.dtype).eps
        a, b = a.double(), b.double()
        size = torch.nan_to_num(a, nan=0.0, posinf=0.0, neginf=0.0).abs().max().item()
        return bool(torch.allclose(a, b, rtol=least, atol=least * size, equal_nan=True))
    if isinstance(a, _PLAIN) or isinstance(b, _PLAIN):
        return type(a) is type(b) and bool(a == b)
    return type(a) is type(b)


def state_in(result: Any) -> torch.Tensor | None:
    """Return the state in what a module returns: a floating tensor, or the first entry if it is one; else None."""
    if isinstance(result, Mapping):
        result = next(iter(result.values()), None)
    elif isinstance(result, tuple | list):
        result = result[0] if result else None
    return result if isinstance(result, torch.Tensor) and result.is_floating_point() else None


def with_state(result: Any, x: torch.Tensor) -> Any:
    """Return what a module returned with x in the place of its state."""
    if isinstance(result, Mapping):
        new: Any = copy.copy(result)
        new[next(iter(result))] = x
        return new
    if isinstance(result, tuple):
        parts = [x, *result[1:]]
        return type(result)(*parts) if hasattr(result, "_fields") else type(result)(parts)
    return [x, *result[1:]] if isinstance(result, list) else x
