"""A stand-in for a model: its objects made anew around the same weights, so that neither touches the other."""

from __future__ import annotations

import copy
import weakref
from collections import deque
from contextlib import suppress
from functools import partial
from types import BuiltinFunctionType, CellType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

import torch
from torch import nn

from dynloop.adapters.captured.in_globals import Globals
from dynloop.errors import InvalidArgumentError

__all__ = ["stand_in"]

_TRAINING = (torch.optim.Optimizer, torch.utils.data.Dataset, torch.utils.data.DataLoader)  # large, and not run
_FIXED = (bool, int, float, complex, str, bytes, torch.dtype, torch.device, BuiltinFunctionType)
_SHARED = (torch.Tensor, ModuleType, type, *_TRAINING)  # tensors of other types: quantised weights


def stand_in(model: nn.Module) -> nn.Module:
    """Return a model of new modules that hold the weights of `model`, in evaluation mode.

    Parameters
    ----------
    model : nn.Module
        Left as it is, but for what its forward pass writes into objects that are shared.

    Returns
    -------
    nn.Module
        Parameters share the storage and are frozen. Modules, other tensors, lists, sets, dicts, objects with
        attributes, and what functions close over or have as defaults are copied, each once, wherever in the model they
        are held: what was tied is tied, and hooks and methods set on an instance are bound to the copies. Modules held
        elsewhere than as submodules (in a plain list, say) stay in the mode that they are in.

    Raises
    ------
    InvalidArgumentError
        If it holds a module of ``torch.jit``.

    Notes
    -----
    Shared are subclasses of tensors, NumPy arrays and other objects of extensions, objects that `copy.copy` refuses or
    that clean up when they are deleted, optimizers and data sets of torch, the keys of dicts, and what globals and
    classes hold. A weak reference to a module becomes one to its copy; any other is shared.

    An object with attributes that a global holds is shared wherever the model holds it, since code may ask whether it
    is that one (``self.mode is MISSING``). Looked at are the modules that define its class or classes of the model, and
    those that the globals of these come from; in a script (``__main__``), globals that a function reads outside of
    ``__init__``; and what those classes hold, their methods close over or have as defaults. Modules, tensors,
    functions, lists, sets and dicts are copied all the same: code that asks whether a list is a certain one finds
    another.
    """
    copies = _Copies(model)
    new: nn.Module = copies.of(model)
    copies.fill()
    return new.eval()


class _Copies:
    """One copy of each object; what a copy holds is copied by `fill`, since objects may be linked in long chains."""

    def __init__(self, model: nn.Module) -> None:
        self.globals = Globals(model)
        self.made: dict[int, tuple[Any, Any]] = {}  # the object is held, so that its id stays its own
        self.unfilled: list[Any] = []

    def of(self, old: Any) -> Any:
        """Return the copy of an object, or the object itself where it is shared."""
        if id(old) in self.made:
            return self.made[id(old)][1]
        if isinstance(old, MethodType):
            return MethodType(old.__func__, self.of(old.__self__))
        if isinstance(old, tuple | frozenset):
            return self._fixed(old)
        if isinstance(old, weakref.ref) and isinstance(old(), nn.Module):
            return weakref.ref(self.of(old()))
        if isinstance(old, weakref.ProxyTypes) and isinstance(old, nn.Module):
            method: Any = old.named_modules  # bound to what the proxy is for
            return weakref.proxy(self.of(method.__self__))
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
        if kind is CellType:
            return _cell(old)
        if kind is FunctionType:
            return self._function(old)
        holds = kind.__dictoffset__ or issubclass(kind, dict | list | set | deque) or _slots(kind)
        if not holds or isinstance(old, _SHARED) or hasattr(kind, "__del__"):
            return old
        if not isinstance(old, dict | list | set | deque) and self.globals.hold(old):
            return old
        try:
            new = copy.copy(old)
        except Exception:  # objects of others may refuse in any way: locks, handles
            return old
        return new if type(new) is kind else old

    def _function(self, old: FunctionType) -> FunctionType:
        """Return a function with a closure and defaults of its own, or the function itself where it has neither."""
        held = (old.__closure__, old.__defaults__, tuple((old.__kwdefaults__ or {}).values()))
        if all(map(_is_fixed, held)):
            return old
        cells = None if old.__closure__ is None else tuple(self.of(cell) for cell in old.__closure__)
        new = FunctionType(old.__code__, old.__globals__, old.__name__, old.__defaults__, cells)
        new.__kwdefaults__, new.__qualname__, new.__doc__ = old.__kwdefaults__, old.__qualname__, old.__doc__
        vars(new).update(vars(old))
        return new

    def _fixed(self, old: tuple[Any, ...] | frozenset[Any]) -> Any:
        """Return a tuple or frozenset of copies, or itself where its parts are shared."""
        kind, parts = type(old), [self.of(part) for part in old]
        held = bool(kind.__dictoffset__ and vars(old))
        if not held and all(new is part for new, part in zip(parts, old, strict=True)):
            return old
        make: Any = tuple.__new__ if isinstance(old, tuple) else frozenset.__new__
        try:
            new = make(kind, parts)
        except TypeError:  # what torch's functions return, say
            new = kind(parts)
        if held:
            vars(new).update(vars(old))
            self.unfilled.append(new)
        self.made[id(old)] = (old, new)
        return new

    def fill(self) -> None:
        """Let the copies hold copies."""
        while self.unfilled:
            new = self.unfilled.pop()
            if isinstance(new, CellType):
                with suppress(ValueError):  # an empty cell
                    new.cell_contents = self.of(new.cell_contents)
            elif isinstance(new, FunctionType):
                new.__defaults__ = self.of(new.__defaults__)
                if new.__kwdefaults__:
                    new.__kwdefaults__ = {name: self.of(value) for name, value in new.__kwdefaults__.items()}
            elif isinstance(new, dict):
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


def _is_fixed(value: Any) -> bool:
    """Say whether there is nothing in a value to be copied; only what certainly has nothing counts."""
    if type(value) in (tuple, frozenset):
        return all(map(_is_fixed, value))
    return value is None or isinstance(value, type) or type(value) in _FIXED


def _cell(old: CellType) -> CellType:
    """Return a cell of the same contents."""
    try:
        return CellType(old.cell_contents)
    except ValueError:  # empty
        return CellType()


def _slots(kind: type) -> list[MemberDescriptorType]:
    owners = [vars(base) for base in kind.__mro__ if "__slots__" in vars(base)]
    return [slot for owner in owners for slot in owner.values() if isinstance(slot, MemberDescriptorType)]
