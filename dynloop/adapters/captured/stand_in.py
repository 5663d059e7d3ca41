"""A stand-in for a model: its objects made anew around the same weights, so that neither touches the other."""

from __future__ import annotations

import copy
from collections import deque
from functools import partial
from types import FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import torch
from torch import nn

from dynloop.errors import InvalidArgumentError

__all__ = ["stand_in"]

_TRAINING = (torch.optim.Optimizer, torch.utils.data.Dataset, torch.utils.data.DataLoader)  # large, and not run
_SHARED = (torch.Tensor, FunctionType, ModuleType, type, *_TRAINING)  # tensors of other types: quantised weights


def stand_in(model: nn.Module) -> nn.Module:
    """Return a model of new modules that hold the weights of `model`, in evaluation mode.

    Parameters
    ----------
    model : nn.Module
        Left as it is, but for what its forward pass writes into objects that are shared.

    Returns
    -------
    nn.Module
        Parameters share the storage and are frozen. Modules, other tensors, lists, sets, dicts and objects with
        attributes are copied, each once, wherever in the model they are held: what was tied is tied, and hooks and
        methods set on an instance are bound to the copies. Modules held elsewhere than as submodules (in a plain list,
        say) stay in the mode that they are in.

    Raises
    ------
    InvalidArgumentError
        If it holds a module of ``torch.jit``.

    Notes
    -----
    Shared are subclasses of tensors, NumPy arrays and other objects of extensions, objects that `copy.copy` refuses or
    that clean up when they are deleted, optimizers and data sets of torch, the keys of dicts, and what closures,
    globals, classes and weak references hold.
    """
    copies = _Copies()
    new: nn.Module = copies.of(model)
    copies.fill()
    return new.eval()


class _Copies:
    """One copy of each object; what a copy holds is copied by `fill`, since objects may be linked in long chains."""

    def __init__(self) -> None:
        self.made: dict[int, tuple[Any, Any]] = {}  # the object is held, so that its id stays its own
        self.unfilled: list[Any] = []

    def of(self, old: Any) -> Any:
        """Return the copy of an object, or the object itself where it is shared."""
        if id(old) in self.made:
            return self.made[id(old)][1]
        if isinstance(old, MethodType):
            return MethodType(old.__func__, self.of(old.__self__))
        if type(old) is tuple or (isinstance(old, tuple) and hasattr(old, "_fields")):
            parts = [self.of(part) for part in old]
            return tuple(parts) if type(old) is tuple else type(old)(*parts)
        if isinstance(old, torch.jit.ScriptModule):
            raise InvalidArgumentError(
                f"model holds a {type(old).__name__}, whose modules cannot be made anew; give the model as it is "
                "before torch.jit"
            )
        if isinstance(old, nn.Module) and old._modules.get("_orig_mod") is not None:  # compiled: the module itself
            return self.of(old._modules["_orig_mod"])
        new = self._begun(old)
        if new is not old:
            self.made[id(old)] = (old, new)
            if not isinstance(new, torch.Tensor):
                self.unfilled.append(new)
        return new

    def _begun(self, old: Any) -> Any:
        """Return a copy that holds what the object holds."""
        kind = type(old)
        if kind is nn.Parameter:
            return nn.Parameter(old.detach(), requires_grad=False)
        if kind is torch.Tensor:
            return old.detach().clone()
        if isinstance(old, nn.Module):
            module: nn.Module = object.__new__(kind)
            vars(module).update(vars(old), _compiled_call_impl=None)
            return module
        if kind is partial:
            named = {name: self.of(value) for name, value in old.keywords.items()}
            function = partial(self.of(old.func), *map(self.of, old.args), **named)
            vars(function).update(vars(old))
            return function
        holds = kind.__dictoffset__ or issubclass(kind, dict | list | set | deque) or _slots(kind)
        if not holds or isinstance(old, _SHARED) or hasattr(kind, "__del__"):
            return old
        try:
            new = copy.copy(old)
        except Exception:  # objects of others may refuse in any way: locks, handles
            return old
        return new if type(new) is kind else old

    def fill(self) -> None:
        """Let the copies hold copies."""
        while self.unfilled:
            new = self.unfilled.pop()
            if isinstance(new, dict):
                for key, value in list(dict.items(new)):
                    dict.__setitem__(new, key, self.of(value))
            elif isinstance(new, list):
                list.__setitem__(new, slice(None), [self.of(value) for value in list.__iter__(new)])
            elif isinstance(new, set | deque):
                values = [self.of(value) for value in new]
                new.clear()
                (new.update if isinstance(new, set) else new.extend)(values)
            if type(new).__dictoffset__:
                held = vars(new)
                held.update({name: self.of(value) for name, value in held.items()})
            for slot in _slots(type(new)):
                try:
                    slot.__set__(new, self.of(slot.__get__(new)))
                except AttributeError:  # never set
                    continue


def _slots(kind: type) -> list[MemberDescriptorType]:
    owners = [vars(base) for base in kind.__mro__ if "__slots__" in vars(base)]
    return [slot for owner in owners for slot in owner.values() if isinstance(slot, MemberDescriptorType)]
