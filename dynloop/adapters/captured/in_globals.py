"""Which objects the code of a model reaches without the model: those that globals, classes and methods hold."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from torch import nn

__all__ = ["Globals"]

_SCRIPT = ("__main__", "__mp_main__")


class Globals:
    """What the code of a model's classes reaches by itself.

    Parameters
    ----------
    model : nn.Module
        Looked at are the classes of its submodules, the modules that define them, and those that globals of these come
        from.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model: nn.Module | None = model
        self._ids: set[int] = set()
        self._known: set[Any] = set()  # modules and classes that were looked at

    def hold(self, value: Any) -> bool:
        """Say whether an object is the value of a global, there or where its own class is defined, or of a class."""
        if self._model is not None:  # not before it is asked for
            for kind in {type(part) for part in self._model.modules()}:
                self._add_class(kind)
            self._model = None
        self._add_class(type(value))
        return id(value) in self._ids

    def _add_class(self, kind: type) -> None:
        for base in kind.__mro__:
            if base in self._known:
                continue
            self._known.add(base)
            self._ids.update(map(id, vars(base).values()))
            for method in _methods(base):
                self._ids.update(map(id, _held(method)))
            if base.__module__ in _SCRIPT:  # the script may have no name for it
                self._add_read([base])
            for name in self._add_module(base.__module__):
                self._add_module(name)

    def _add_module(self, name: Any) -> list[Any]:
        """Take in the globals of a module; return the names of the modules that they come from."""
        module = sys.modules.get(name)
        if name in self._known or name == "builtins" or not isinstance(module, ModuleType):
            return []
        self._known.add(name)
        values = list(vars(module).values())
        if name in _SCRIPT:
            self._add_read(values)
        else:
            self._ids.update(map(id, values))
        if name.split(".")[0] == "torch":
            return []
        named = [value.__name__ for value in values if _is(value, ModuleType)]
        return named + [value.__module__ for value in values if _is(value, type) or _is(value, FunctionType)]

    def _add_read(self, values: Iterable[Any]) -> None:
        """Take in the globals of the script that functions and methods among some values read."""
        script = vars(sys.modules["__main__"])
        for value in values:
            functions = _methods(value) if _is(value, type) and value.__module__ in _SCRIPT else [value]
            for function in functions:
                if _is(function, FunctionType):
                    code = [one.__code__ for one in (function, *_held(function)) if _is(one, FunctionType)]
                    names = {name for one in code for name in _read_in(one)}
                    self._ids.update(id(script[name]) for name in names if name in script)


def _is(value: Any, kind: type) -> bool:
    return issubclass(type(value), kind)  # proxies may say anything of themselves, or raise


def _methods(kind: type) -> Iterator[FunctionType]:
    """Yield the methods that a class defines, but for ``__init__``, which makes what others look at."""
    for name, value in list(vars(kind).items()):
        parts = (value.fget, value.fset) if isinstance(value, property) else (getattr(value, "__func__", value),)
        yield from (part for part in parts if name != "__init__" and isinstance(part, FunctionType))


def _held(function: FunctionType) -> Iterator[Any]:
    """Yield what a function closes over and has as defaults, and what functions there do: a decorator wraps one."""
    waiting, known = [function], set()
    while waiting:
        one = waiting.pop()
        known.add(id(one))
        found = [*(one.__defaults__ or ()), *(one.__kwdefaults__ or {}).values()]
        for cell in one.__closure__ or ():
            try:
                found.append(cell.cell_contents)
            except ValueError:  # empty
                continue
        yield from found
        waiting += [value for value in found if _is(value, FunctionType) and id(value) not in known]


def _read_in(code: CodeType) -> Iterator[str]:
    """Yield the names of globals that code reads, in nested functions and classes too."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield step.argval
    for part in code.co_consts:
        if isinstance(part, CodeType) and part.co_name != "__init__":
            yield from _read_in(part)
