"""A step made again so that it runs on balls: its code, with other meanings for the names that it uses.

The bytecode is the user's own; constants become exact balls, arrays become arrays of balls, helpers are made again in
their turn. What has no meaning on balls is refused by name. The meaning of a program is that of its real arithmetic:
every constant is the double that Python holds, every operation on states and parameters is exact.
"""

from __future__ import annotations

import builtins
import dis
import math
import types
from typing import Any

import numpy as np

from dynloop.orbits.certificates.balls import Ball, constant
from dynloop.orbits.certificates.pairs import Pair, as_pair
from dynloop.orbits.certificates.trace import RefusedError
from dynloop.orbits.certificates.words import ATTRIBUTES, BUILTINS, meaning

__all__ = ["remade"]

_STATE = {"STORE_GLOBAL", "DELETE_GLOBAL", "IMPORT_NAME", "STORE_ATTR", "DELETE_ATTR"}  # a step keeps none
_LARGEST = 65536  # entries of an array that a step refers to


def remade(step: Any, known: dict[int, Any] | None = None) -> Any:
    """Return a copy of a step, or of a helper, that computes with balls.

    Raises
    ------
    RefusedError
        If it refers to something that has no rigorous form.
    """
    known = {} if known is None else known
    function = getattr(step, "py_func", step)
    if id(function) in known:
        return known[id(function)]
    if not isinstance(function, types.FunctionType):
        raise RefusedError(f"{type(function).__name__}, which is no plain Python function")
    if function.__code__.co_flags & 0x2A0:  # a generator or a coroutine
        raise RefusedError("a generator")
    names: dict[str, Any] = {"__builtins__": dict(BUILTINS)}
    cells = tuple(types.CellType() for _ in function.__closure__ or ())
    made = types.FunctionType(_code(function.__code__), names, function.__name__, None, cells)
    known[id(function)] = made
    made.__defaults__ = _converted(function.__defaults__, "a default", known)
    if function.__kwdefaults__:
        raise RefusedError("keyword-only arguments")
    for cell, original, name in zip(cells, function.__closure__ or (), function.__code__.co_freevars, strict=True):
        try:
            cell.cell_contents = _converted(original.cell_contents, name, known)
        except ValueError:
            raise RefusedError(f"the name {name}, which has no value") from None
    for name in _looked_up(function.__code__):
        if name in function.__globals__:
            names[name] = _converted(function.__globals__[name], name, known)
        elif name not in BUILTINS and name in vars(builtins):
            raise RefusedError(name)
    return made


def _code(code: types.CodeType) -> types.CodeType:
    """Return code with exact balls as its constants."""
    consts = tuple(_constant(value) for value in code.co_consts)
    return code.replace(co_consts=consts)


def _constant(value: Any) -> Any:
    if isinstance(value, types.CodeType):
        return _code(value)
    if isinstance(value, float):
        return constant(value)
    if isinstance(value, complex):
        return as_pair(value)
    if isinstance(value, tuple):
        return tuple(_constant(item) for item in value)
    return value


def _looked_up(code: types.CodeType) -> list[str]:
    """Return the globals that code looks up; refuse attributes and stores that have no meaning here."""
    found = set()
    for instruction in dis.get_instructions(code):
        operation, word = instruction.opname, instruction.argval
        if operation in ("LOAD_GLOBAL", "LOAD_NAME"):
            found.add(word)
        elif operation in _STATE or (operation == "STORE_DEREF" and word in code.co_freevars):
            raise RefusedError(f"{operation.lower().replace('_', ' ')} {word}, which is no arithmetic")
        elif operation in ("LOAD_ATTR", "LOAD_METHOD") and not (word in ATTRIBUTES or _a_function(word)):
            raise RefusedError(f".{word}")
    for value in code.co_consts:
        if isinstance(value, types.CodeType):
            found |= set(_looked_up(value))
    return sorted(found)


def _a_function(word: str) -> bool:
    return (
        not word.startswith("_")
        and (hasattr(np, word) or hasattr(math, word))
        and word not in ("dtype", "astype", "view")
    )


def _converted(value: Any, name: str, known: dict[int, Any]) -> Any:
    """Return what a value that a step refers to means on balls."""
    if value is None or isinstance(value, bool | int | str | Ball | Pair | np.bool_):
        return value
    if isinstance(value, float | np.floating):
        return constant(float(value))
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, complex | np.complexfloating):
        return as_pair(value)
    if isinstance(value, tuple):
        return tuple(_converted(item, name, known) for item in value)
    if isinstance(value, np.ndarray):
        return _array(value, name, known)
    found = meaning(value)
    if found is not None:
        return found
    if isinstance(value, types.FunctionType) or hasattr(value, "py_func"):
        return remade(value, known)
    raise RefusedError(f"{name}, a {type(value).__name__}")


def _array(value: Any, name: str, known: dict[int, Any]) -> Any:
    if value.dtype == object or value.dtype.kind not in "biufc" or value.size > _LARGEST:
        raise RefusedError(f"{name}, an array of {value.size} entries of {value.dtype}")
    out = np.empty(value.shape, dtype=object)
    for index in np.ndindex(value.shape):
        out[index] = _converted(value[index], name, known)
    out.setflags(write=False)
    return out
