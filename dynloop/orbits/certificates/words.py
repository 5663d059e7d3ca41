"""What the names in a step mean on balls: the functions of Python, `math` and NumPy that have a rigorous form."""

from __future__ import annotations

import builtins
import math
from fractions import Fraction
from functools import reduce
from typing import Any

import numba
import numpy as np

from dynloop.orbits.certificates.balls import Ball, as_ball, constant, pi_times
from dynloop.orbits.certificates.functions import BINARY, UNARY, over_arrays
from dynloop.orbits.certificates.pairs import Pair
from dynloop.orbits.certificates.trace import RefusedError
from dynloop.orbits.certificates.whole import Whole

__all__ = ["ATTRIBUTES", "BUILTINS", "meaning"]


class Module:
    """A module of which only some names have a meaning on balls."""

    def __init__(self, name: str, known: dict[str, Any]) -> None:
        self._name, self._known = name, known

    def __getattr__(self, word: str) -> Any:
        if word in self._known:
            return self._known[word]
        if word.startswith("__"):  # asked for by tools, such as doctest; a step cannot ask
            raise AttributeError(word)
        raise RefusedError(f"{self._name}.{word}")


def _extreme(pick: str) -> Any:
    def extreme(*arguments: Any, **options: Any) -> Any:
        if options:
            raise RefusedError("min or max with options")
        values = list(arguments[0]) if len(arguments) == 1 else list(arguments)
        if all(isinstance(value, int) for value in values):
            return min(values) if pick == "minimum" else max(values)
        return reduce(BINARY[pick], values)

    return extreme


def _array(values: Any, dtype: Any = None) -> Any:
    """Return an array of balls, of the shape that its values have."""
    _only_floats(dtype)
    shape = np.shape(np.array(values, dtype=object))
    out = np.empty(shape, dtype=object)
    for index in np.ndindex(shape):
        value: Any = values
        for i in index:
            value = value[i]
        out[index] = _entry(value) if isinstance(value, Ball) else value
    if not any(isinstance(entry, Ball) for entry in out.flat):
        out.setflags(write=False)  # compiled, it is an array of integers: what is stored there is cut off
    return out


def _filled(value: Any) -> Any:
    def make(shape: Any, dtype: Any = None) -> Any:
        _only_floats(dtype)
        return np.full(shape, None if value is None else _entry(value), dtype=object)

    return make


def _full(shape: Any, value: Any) -> Any:
    if not isinstance(value, Ball):
        raise RefusedError("an array that is not of float64")
    return np.full(shape, value, dtype=object)


def _range(*ends: Any) -> Any:
    out = np.array(range(*ends), dtype=object)
    out.setflags(write=False)
    return out


def _like(value: Any) -> Any:
    def make(array: Any, dtype: Any = None) -> Any:
        _only_floats(dtype)
        if any(not isinstance(entry, Ball | None) for entry in np.ravel(array)):
            raise RefusedError("an array that is not of float64")
        return np.full(np.shape(array), None if value is None else _entry(value), dtype=object)

    return make


def _only_floats(dtype: Any) -> None:
    if dtype is not None and dtype is not _float:
        raise RefusedError("an array that is not of float64")


def _float(value: Any = 0.0) -> Ball:
    return _entry(value)


def _entry(value: Any) -> Ball:
    ball = as_ball(value)
    if ball is None:
        raise RefusedError(f"a {type(value).__name__} as a number")
    return ball


def _complex(real: Any = 0.0, imag: Any = 0.0) -> Pair:
    return Pair(_entry(real), _entry(imag))


def _sum(values: Any, start: Any = 0) -> Any:
    return reduce(lambda a, b: a + b, np.ravel(values) if isinstance(values, np.ndarray) else values, start)


def _dot(a: Any, b: Any) -> Any:
    return np.dot(a, b)


def _where(*arguments: Any) -> Any:
    if len(arguments) != 3:
        raise RefusedError("numpy.where without two values")
    return over_arrays(lambda test, yes, no: yes if test else no)(*arguments)


def _int(value: Any = 0) -> int:
    if isinstance(value, str):
        raise RefusedError("a conversion of text")
    return value.whole() if isinstance(value, Ball) else Whole(int(value))


_functions = {name: over_arrays(f) for name, f in {**UNARY, **BINARY}.items()}
_PI, _E = pi_times(Fraction(1)), constant(math.e)
_NUMPY = Module(
    "numpy",
    _functions
    | {
        "absolute": _functions["abs"], "fabs": _functions["abs"], "mod": _functions["remainder"],
        "rint": _functions["round"], "fmin": _functions["minimum"], "fmax": _functions["maximum"],
        "min": _extreme("minimum"), "max": _extreme("maximum"), "amin": _extreme("minimum"),
        "amax": _extreme("maximum"), "sum": _sum, "dot": _dot, "where": _where, "array": _array, "asarray": _array,
        "zeros": _filled(0), "ones": _filled(1), "empty": _filled(None), "full": _full,
        "zeros_like": _like(0), "ones_like": _like(1), "empty_like": _like(None), "float64": _float,
        "arange": _range, "pi": _PI, "e": _E,
    },
)  # fmt: skip
_MATH = Module(
    "math",
    {name: UNARY[name] for name in UNARY if name not in ("real", "imag", "round", "sign", "abs", "square")}
    | {
        "fabs": UNARY["abs"], "atan": UNARY["arctan"], "asin": UNARY["arcsin"], "acos": UNARY["arccos"],
        "atan2": BINARY["arctan2"], "pow": BINARY["power"], "hypot": BINARY["hypot"], "fmod": BINARY["fmod"],
        "floor": lambda a: UNARY["floor"](a).whole(), "ceil": lambda a: UNARY["ceil"](a).whole(),
        "trunc": lambda a: UNARY["trunc"](a).whole(), "pi": _PI, "tau": pi_times(Fraction(2)), "e": _E,
    },
)  # fmt: skip
BUILTINS: dict[str, Any] = {
    "abs": UNARY["abs"], "min": _extreme("minimum"), "max": _extreme("maximum"), "round": UNARY["round"],
    "pow": BINARY["power"], "sum": _sum, "float": _float, "int": _int, "complex": _complex, "bool": bool, "len": len,
    "range": range, "enumerate": enumerate, "zip": zip, "reversed": reversed, "tuple": tuple, "list": list,
}  # fmt: skip
ATTRIBUTES = {"shape", "size", "ndim", "real", "imag", "sum", "dot", "copy", "T", "conjugate", "append"}


def _same_objects() -> dict[int, Any]:
    """Return what functions that a step imported by name mean, by the identity of the function."""
    found: dict[int, Any] = {id(numba.prange): range, id(np.float64): _float, id(np): _NUMPY, id(math): _MATH}
    for module, shim in ((np, _NUMPY), (math, _MATH)):
        for name, value in vars(shim)["_known"].items():
            original = getattr(module, name, None)
            if callable(original):
                found[id(original)] = value
    for name, value in BUILTINS.items():
        found[id(vars(builtins)[name])] = value
    return found


_MEANINGS = _same_objects()


def meaning(value: Any) -> Any:
    """Return what a library object that a step refers to means on balls; None if nothing is known of it."""
    if value is numba:
        return Module("numba", {"prange": range})
    return _MEANINGS.get(id(value))
