"""Compilation by numba with the project's settings, and how compiled loops are run."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numba
import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array

__all__ = ["COMPILING", "Compiled", "dot", "explained", "jit", "log", "sqrt"]

Compiled = Callable[..., Any]
_WORTH_A_THREAD = 2_000_000  # steps of one coordinate: about ten milliseconds
_PIECES = 4  # that a thread is given, so that none waits long for the last
COMPILING: bool = not numba.config.DISABLE_JIT  # false under NUMBA_DISABLE_JIT=1: everything then runs as plain Python
# numba compiles those of math several times faster; as plain Python they raise where those of NumPy give inf and nan
sqrt, log = (math.sqrt, math.log) if COMPILING else (np.sqrt, np.log)


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


@numba.njit(fastmath={"reassoc"}, nogil=True)  # type: ignore[untyped-decorator] # numba has no types
def dot(a: Array, b: Array) -> float:
    """Return the inner product of two vectors, summed in any order, so that it runs in vector registers."""
    total = 0.0
    for j in range(a.shape[0]):
        total += a[j] * b[j]
    return total


def explained(kernel: Compiled, fixed: int = 0, each: int = 0) -> Compiled:
    """Make ``run(rows, work, count, *arrays)`` of a compiled ``kernel(first, last, scratch, *arrays)``.

    A kernel treats some of the rows, with ``fixed + each · count`` numbers of scratch. Rows run in threads where their
    `work`, in steps of one coordinate, is worth it. A row is treated alike whatever the number of threads. A numba
    traceback becomes one sentence, and division by zero stays silent.
    """

    def run(rows: int, work: float, count: int, *arrays: Any) -> None:
        def piece(first: int, last: int) -> None:
            kernel(first, last, np.empty(fixed + each * count), *arrays)

        threads = min(rows, numba.config.NUMBA_NUM_THREADS) if COMPILING and rows * work >= _WORTH_A_THREAD else 1
        try:
            with np.errstate(all="ignore"):
                piece(0, rows if threads == 1 else 0)  # of no rows, it is compiled
        except numba.core.errors.NumbaError as error:
            said = (line.strip() for line in str(error).splitlines())
            first = next((line for line in said if line and not line.startswith("Failed in")), "unknown reason")
            raise InvalidArgumentError(
                f"numba cannot compile the step: {first}. Use numbers, NumPy functions and indexing only."
            ) from error
        if threads > 1:
            ends = np.linspace(0, rows, min(rows, _PIECES * threads) + 1).astype(int)
            with ThreadPoolExecutor(threads) as pool:
                for done in [pool.submit(piece, int(a), int(b)) for a, b in pairwise(ends)]:
                    done.result()

    return run
