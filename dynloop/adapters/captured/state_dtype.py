"""Layers that follow the dtype of the state: weights are widened to it, and casts to fewer digits are left out.

Public code rounds to float32 inside its norms and its attention even after ``.double()``, and a linear layer refuses
states that are wider than its weights. Inside `following`, both follow the state, so that a block of such code is one
smooth map in float64 and has a float64 twin without a second copy of its weights.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["following"]

_NARROWING = {torch.Tensor.float, torch.Tensor.half, torch.Tensor.bfloat16}
_CASTS = {torch.Tensor.to, torch.Tensor.type, torch.Tensor.type_as}
_DIGITS = {torch.float16: 0, torch.bfloat16: 0, torch.float32: 1, torch.float64: 2}


def following(dtype: torch.dtype, own: torch.dtype) -> AbstractContextManager[object]:
    """Return the context in which layers of dtype `own` are evaluated at states of `dtype`.

    It changes nothing unless the states are float64, or have more digits than the layers.
    """
    wider = _DIGITS.get(dtype, 0) > _DIGITS.get(own, 3)
    return _Following(dtype) if dtype is torch.float64 or wider else nullcontext()


class _Following(TorchFunctionMode):
    """Carries states of one dtype through code that would round them, or mix them with narrower weights."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.narrow = {narrow for narrow, digits in _DIGITS.items() if digits < _DIGITS[dtype]}

    def _narrow(self, dtype: Any) -> bool:
        return dtype in self.narrow

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a torch function on widened arguments, asking for no narrower result."""
        if not self._mixed(args) and not (kwargs and self._mixed(kwargs.values())) and func not in _NARROWING:
            return func(*args, **(kwargs or {}))
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if not self._touches(args, kwargs):
            return func(*args, **kwargs)
        if func in _NARROWING and args[0].dtype is self.dtype:
            return args[0]
        if func in _CASTS and args and isinstance(args[0], torch.Tensor) and args[0].dtype is self.dtype:
            return self._cast(func, args, kwargs)
        args, kwargs = self._dtypes(args), {k: self._dtypes(v) for k, v in kwargs.items()}
        written = (name.endswith("_") and not name.endswith("__")) or name.startswith("__i") or name == "__setitem__"
        kept = 1 if written or kwargs.get("out") is not None else 0
        if written and isinstance(args[0], torch.Tensor) and args[0].dtype is not self.dtype:
            return func(*args, **kwargs)
        wide = (*args[:kept], *(self._wide(a) for a in args[kept:]))
        return func(*wide, **{k: v if k == "out" else self._wide(v) for k, v in kwargs.items()})

    def _mixed(self, values: Any) -> bool:
        """Say whether an argument is, holds, or asks for fewer digits; most calls end here."""
        for value in values:
            if isinstance(value, torch.Tensor):
                if value.dtype in self.narrow:
                    return True
            elif isinstance(value, torch.dtype):
                if value in self.narrow:
                    return True
            elif isinstance(value, tuple | list) and self._mixed(value):
                return True
        return False

    def _touches(self, args: Any, kwargs: Any) -> bool:
        """Say whether an argument is of the dtype of the state."""
        return any(self._holds(value) for value in args) or any(self._holds(value) for value in kwargs.values())

    def _holds(self, value: Any) -> bool:
        if isinstance(value, torch.Tensor):
            return value.dtype is self.dtype
        return isinstance(value, tuple | list) and any(self._holds(v) for v in value)

    def _dtypes(self, value: Any) -> Any:
        """Return a dtype of fewer digits as that of the state, anything else as it is."""
        if type(value) is tuple:
            return tuple(self._dtypes(v) for v in value)
        return self.dtype if isinstance(value, torch.dtype) and self._narrow(value) else value

    def _wide(self, value: Any) -> Any:
        """Return a narrower floating tensor, or a sequence of them, in the dtype of the state."""
        if isinstance(value, torch.Tensor):
            return value.to(self.dtype) if self._narrow(value.dtype) else value
        if type(value) in (tuple, list):
            return type(value)(self._wide(v) for v in value)
        return value

    def _cast(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Cast a state; to a narrower dtype means not at all (a change of device stays)."""
        x, rest = args[0], list(args[1:])
        if func is torch.Tensor.type_as or (rest and isinstance(rest[0], torch.Tensor)):
            like = rest[0] if rest else kwargs["other"]
            return x.to(like.device) if self._narrow(like.dtype) else func(*args, **kwargs)
        rest = [self.dtype if isinstance(v, torch.dtype) and self._narrow(v) else v for v in rest]
        named = {k: self.dtype if isinstance(v, torch.dtype) and self._narrow(v) else v for k, v in kwargs.items()}
        return func(x, *rest, **named)
