"""Families of blocks: one number of a block varied with its weights shared, and the line between two blocks."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any, Literal, get_args

import torch
from torch import nn

from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.maps.synthetic import Bound, Branch
from dynloop.maps.torch import TorchMap
from dynloop.nn import LayerNorm, RMSNorm

__all__ = ["interpolate", "vary"]

Quantity = Literal["gain", "injection", "eps"]
_NORMS = (RMSNorm, LayerNorm, nn.LayerNorm, nn.RMSNorm)


def vary(m: TorchMap, quantity: Quantity) -> Callable[[float], TorchMap]:
    """Return the family of a block in which one number is varied; its weights are shared and not drawn again.

    Parameters
    ----------
    m : TorchMap
        A block whose layers are modules, such as those of `dynloop.synthetic.looped_transformer`.
    quantity : {"gain", "injection", "eps"}
        "gain": what multiplies every residual branch. "injection": the prompt's contribution e, times the value.
        "eps": the epsilon of every norm.

    Returns
    -------
    callable
        ``family(value) -> TorchMap``; `m` itself is not changed.

    Raises
    ------
    InvalidArgumentError
        If the block has nothing of the kind.

    Examples
    --------
    >>> import dynloop as dl
    >>> family = dl.vary(dl.synthetic.looped_transformer(width=8, tokens=3, heads=2, layers=1), "gain")
    >>> m = dl.synthetic.looped_transformer(width=8, tokens=3, heads=2, layers=1, gain=2.5)
    >>> bool((family(2.5)(m.start()) == m(m.start())).all())
    True
    """
    _checked_block(m, "m")
    if quantity not in get_args(Quantity):
        raise InvalidArgumentError(f"quantity must be one of {', '.join(get_args(Quantity))}; got {quantity!r}")
    if not list(_varied(m.layers, quantity)):
        kind = {"gain": "residual branch with a gain", "injection": "injection", "eps": "norm with an eps"}[quantity]
        raise InvalidArgumentError(f"m has no {kind} among the modules of its layers, so {quantity!r} is not to be had")

    def family(value: float) -> TorchMap:
        value = _finite(value)
        layers = _shared(m.layers)
        for module in _varied(layers, quantity):
            if quantity == "injection":
                module.e = module.e * value
            else:
                setattr(module, quantity, value)
        return _of_kind(m, layers)

    return family


def interpolate(m0: TorchMap, m1: TorchMap, *, ends: tuple[float, float] = (0.0, 1.0)) -> Callable[[float], TorchMap]:
    """Return the family of maps on the line between two blocks of one structure.

    Weights, embedded prompts and numbers such as a gain or an epsilon are mixed, (1 − t)·m0 + t·m1, in float64.

    Parameters
    ----------
    m0, m1 : TorchMap
        Two checkpoints of one architecture, one checkpoint with two prompts of one length, or two synthetic blocks.
    ends : (float, float)
        The values of the parameter at m0 and m1. Values beyond them are extrapolated.

    Returns
    -------
    callable
        ``family(value) -> TorchMap`` in float64.

    Raises
    ------
    InvalidArgumentError
        If the structures differ, nothing differs, or a layer is no module.
    ShapeError
        If the states differ in shape.

    Notes
    -----
    What is no module cannot be mixed: a layer that is a plain function must be the same function in both. Prompts of
    different lengths have states of different shapes. A prompt that only sets the first state is no part of the map.

    Examples
    --------
    >>> import dynloop as dl
    >>> def block(gain):
    ...     return dl.synthetic.looped_transformer(width=8, tokens=3, heads=2, layers=1, gain=gain)
    >>> family = dl.interpolate(block(1.0), block(3.0), ends=(1.0, 3.0))
    >>> bool((family(2.0)(block(2.0).start()) == block(2.0)(block(2.0).start())).all())
    True
    """
    _checked_block(m0, "m0")
    _checked_block(m1, "m1")
    first, last = (_finite(end) for end in ends)
    if first == last:
        raise InvalidArgumentError(f"ends must be two different numbers; got {ends!r}")
    if m0.state_shape != m1.state_shape:
        raise ShapeError(f"m0 and m1 need states of one shape; got {m0.state_shape} and {m1.state_shape}")
    if len(m0.layers) != len(m1.layers) or m0.causal != m1.causal:
        raise InvalidArgumentError(
            f"m0 and m1 must have the same structure; got {m0.layer_count} and {m1.layer_count} layers, causal "
            f"{m0.causal} and {m1.causal}"
        )
    differing = sum(_compared(f, g, name) for f, g, name in zip(m0.layers, m1.layers, m0.layer_names, strict=True))
    if not differing:
        raise InvalidArgumentError("m0 and m1 are the same map: no weight, prompt or number of their layers differs")

    def family(value: float) -> TorchMap:
        t = (_finite(value) - first) / (last - first)
        layers = _shared(m0.layers)
        for mixed, f, g in zip(layers, m0.layers, m1.layers, strict=True):
            if isinstance(mixed, nn.Module):
                _mix(mixed, f, g, t)
        return _of_kind(m0, layers, torch.float64)

    return family


def _checked_block(m: Any, argument: str) -> None:
    if not isinstance(m, TorchMap):
        raise InvalidArgumentError(
            f"{argument} must be a TorchMap; got {type(m).__name__}. Make one by TorchMap([f, …], shape)"
        )


def _finite(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidArgumentError(f"value must be a finite number; got {value!r}")
    return number


def _shared(layers: Any) -> list[Any]:
    """Return copies of the layers that share their tensors; a module that is used twice stays one."""
    made: dict[int, nn.Module] = {}

    def copied(module: nn.Module) -> nn.Module:
        if id(module) not in made:
            twin = made[id(module)] = type(module).__new__(type(module))
            own = dict(vars(module))
            own |= {name: dict(own[name]) for name in ("_parameters", "_buffers")}
            twin.__dict__.update(own)
            parts = {name: part and copied(part) for name, part in module._modules.items()}
            twin.__dict__["_modules"] = parts
        return made[id(module)]

    return [copied(f) if isinstance(f, nn.Module) else f for f in layers]


def _of_kind(m: TorchMap, layers: list[Any], dtype: torch.dtype | None = None) -> TorchMap:
    """Return the map with other layers; facts are left out: they are of one choice of numbers."""
    made = copy.copy(m)
    made.layers, made.facts, made._tangent = tuple(layers), {}, None
    made.dtype = dtype or m.dtype
    return made


def _varied(layers: Any, quantity: Quantity) -> Iterator[Any]:
    """Yield the modules that carry the number."""
    kinds: Any = {"gain": Branch, "injection": Bound, "eps": _NORMS}[quantity]
    for module in (part for f in layers if isinstance(f, nn.Module) for part in f.modules()):
        if isinstance(module, kinds) and not (quantity == "injection" and module.e is None):
            yield module


def _compared(f: Any, g: Any, name: str) -> int:
    """Return how many tensors and numbers of two layers differ; refuse what cannot be mixed."""
    if f is g:
        return 0
    if not isinstance(f, nn.Module) or not isinstance(g, nn.Module):
        raise InvalidArgumentError(f"layer {name!r} is a plain function, another in m0 than in m1; make it a module")
    ours, theirs = dict(f.named_modules()), dict(g.named_modules())
    if {k: type(v) for k, v in ours.items()} != {k: type(v) for k, v in theirs.items()}:
        raise InvalidArgumentError(f"m0 and m1 must have the same structure; layer {name!r} differs in its modules")
    count = 0
    for a, b in ((ours[k], theirs[k]) for k in ours):
        left, right = _contents(a), _contents(b)
        if left.keys() != right.keys():
            raise InvalidArgumentError(f"m0 and m1 must have the same structure; layer {name!r} differs in its weights")
        for key, one in left.items():
            count += _differs(one, right[key], f"{key!r} of layer {name!r}")
    return count


def _differs(one: Any, other: Any, what: str) -> bool:
    if isinstance(one, torch.Tensor):
        if not isinstance(other, torch.Tensor) or one.shape != other.shape:
            raise InvalidArgumentError(f"m0 and m1 must have the same structure; {what} has two shapes")
        if one.is_floating_point() and other.is_floating_point():
            return not torch.equal(one.double(), other.double())
        same = torch.equal(one, other)
    elif isinstance(one, float) and isinstance(other, float):
        return one != other
    else:
        same = bool(one == other)
    if not same:
        raise InvalidArgumentError(f"{what} differs between m0 and m1 and is no real number, so it cannot be mixed")
    return False


def _contents(module: nn.Module) -> dict[str, Any]:
    """Return the tensors and the plain attributes that a module holds itself."""
    tensors = {**dict(module._parameters), **dict(module._buffers)}
    plain = {
        key: value for key, value in vars(module).items()
        if not key.startswith("_") and key != "training" and isinstance(value, str | int | float | tuple | torch.Tensor)
    }  # fmt: skip
    return {key: value for key, value in {**tensors, **plain}.items() if value is not None}


def _mix(mixed: nn.Module, f: Any, g: Any, t: float) -> None:
    theirs = dict(g.named_modules())
    ours = dict(f.named_modules())
    for name, module in mixed.named_modules():
        left, right = _contents(ours[name]), _contents(theirs[name])
        for key, one in left.items():
            other = right[key]
            if isinstance(one, torch.Tensor):
                if not one.is_floating_point():
                    continue
                value: Any = (1 - t) * one.detach().double() + t * other.detach().double()
                if key in module._parameters:
                    module._parameters[key] = nn.Parameter(value, requires_grad=False)
                else:
                    setattr(module, key, value)
            elif isinstance(one, float):
                setattr(module, key, (1 - t) * one + t * other)
