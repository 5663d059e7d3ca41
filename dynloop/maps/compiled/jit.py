"""Compilation by numba with the project's settings, and what a failure of it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array

__all__ = ["COMPILING", "Compiled", "copy", "dot", "explained", "jit"]

Compiled = Callable[..., Any]
COMPILING = not numba.config.DISABLE_JIT  # false under NUMBA_DISABLE_JIT=1: everything then runs as plain Python


def jit(function: Any) -> Any:
    """Compile a function with IEEE division (x / 0 is infinite, no error); what is compiled already stays as it is.

    Compiled code lets go of the interpreter, so that rows of a batch may run in threads.
    """
    if hasattr(function, "py_func") or not COMPILING:
        return function
    try:
        return numba.njit(error_model="numpy", nogil=True)(function)
    except TypeError as error:
        raise InvalidArgumentError(
            f"numba compiles plain Python functions only; got {type(function).__name__} ({error}). Wrap it in a def."
        ) from error


@jit
def copy(source: Array, target: Array) -> None:
    """Copy a vector; a loop compiles several times faster than a slice."""
    for j in range(source.shape[0]):
        target[j] = source[j]


@numba.njit(fastmath={"reassoc"}, nogil=True)  # type: ignore[untyped-decorator] # numba has no types
def dot(a: Array, b: Array) -> float:
    """Return the inner product of two vectors, summed in any order, so that it runs in vector registers."""
    total = 0.0
    for j in range(a.shape[0]):
        total += a[j] * b[j]
    return total


def explained(kernel: Compiled) -> Compiled:
    """Wrap a compiled function so that a numba traceback becomes one sentence, and division by zero stays silent."""

    def call(*arguments: Any) -> None:
        try:
            with np.errstate(all="ignore"):
                kernel(*arguments)
        except numba.core.errors.NumbaError as error:
            first = next((line.strip() for line in str(error).splitlines() if line.strip()), "unknown reason")
            raise InvalidArgumentError(
                f"numba cannot compile the step: {first}. Use numbers, NumPy functions and indexing only."
            ) from error

    return call
