"""Compiled loops that outlive the process: numba's own cache on disk, under a key that is the same in every process.

numba keys a cached function by what it closes over, and a compiled step that it closes over looks different in every
process. Here the key is a digest of all that the compiled code depends on: the bytecode, constants, closed-over and
global values of the user's functions, and the text of this package. A function that refers to anything else (an object
of the user's, a module other than NumPy and math) is compiled anew in every process, as is one that stands in no file.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import secrets
import types
from functools import lru_cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import FunctionCache, IndexDataCacheFile

from dynloop.maps.compiled.jit import COMPILING, Compiled

__all__ = ["keep"]

_KNOWN_MODULES = {"numpy", "math", "cmath"}
_KINDS = (float, int, complex, bool)
_LARGEST = 2**20  # bytes of an array that is part of a key


# numba numbers functions from 1 in every process, and the number is part of their names in machine code. Code from two
# processes may so bear one name, and a third that loads both would run one in place of the other. Children of one
# process, such as the workers of a pool, would all go on from its numbers.
_TOLD_APART = hasattr(FunctionIdentity, "_unique_ids")


def _number_anew() -> None:
    FunctionIdentity._unique_ids = itertools.count(secrets.randbits(48))


if _TOLD_APART:
    _number_anew()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_number_anew)


class _NoKeyError(Exception):
    """Something has no key that holds in another process."""


class _KeptCache(FunctionCache):  # type: ignore[misc] # numba has no types
    """numba's cache of one function, under a key of our own, each key in files of its own.

    numba numbers the files of one function. Two processes that compile for different keys at once would take the same
    number, and one would later be given the code of the other.
    """

    def __init__(self, function: Any, key: str) -> None:
        super().__init__(function)
        self._key = key
        self._stamp = self._impl.locator.get_source_stamp()

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        key = (sig, codegen.magic_tuple(), self._key)
        name = hashlib.sha256(repr(key).encode()).hexdigest()[:40]
        self._cache_file = IndexDataCacheFile(self._cache_path, f"{self._impl.filename_base}.{name}", self._stamp)
        return key


def keep(kernel: Compiled, *parts: Any) -> Compiled:
    """Let a compiled kernel be found again in later processes, if all its parts have a key; return the kernel.

    Parameters
    ----------
    kernel : compiled function
        Of this package.
    *parts : functions, numbers, strings, tuples
        All that the kernel depends on beside the text of this package.
    """
    if COMPILING and _TOLD_APART:
        try:
            digest = hashlib.sha256(_package())
            _add(digest, parts, ())
            kernel._cache = _KeptCache(kernel.py_func, digest.hexdigest())  # type: ignore[attr-defined] # a dispatcher, whose type numba does not say
        except (_NoKeyError, RuntimeError, OSError, ValueError):  # no key, an empty cell, no folder
            pass
    return kernel


@lru_cache(1)
def _package() -> bytes:
    """Return a digest of the text of this package."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).digest()


def _add(digest: Any, value: Any, above: tuple[Any, ...]) -> None:
    """Add to a digest all that a value means to compiled code."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.generic):
        digest.update(f"{type(value).__name__} {value!r};".encode())
    elif isinstance(value, tuple):
        digest.update(f"tuple {len(value)};".encode())
        for item in value:
            _add(digest, item, above)
    elif isinstance(value, np.ndarray) and value.dtype != object and value.nbytes <= _LARGEST:
        digest.update(f"array {value.dtype.str} {value.shape};".encode())
        digest.update(value.tobytes())
    elif isinstance(value, types.CodeType):
        digest.update(value.co_code)
        _add(digest, (value.co_names, value.co_varnames, value.co_freevars, value.co_flags), above)
        _add(digest, value.co_consts, above)
    elif isinstance(value, types.ModuleType) and value.__name__ in _KNOWN_MODULES:
        digest.update(f"module {value.__name__} {np.__version__};".encode())
    elif isinstance(value, numba.core.dispatcher.Dispatcher):
        digest.update(repr(sorted(value.targetoptions.items(), key=str)).encode())
        _add(digest, value.py_func, above)
    elif isinstance(value, types.FunctionType):
        _add_function(digest, value, above)
    elif isinstance(value, np.ufunc | types.BuiltinFunctionType) or any(value is kind for kind in _KINDS):
        digest.update(f"builtin {getattr(value, '__module__', '')} {value.__name__};".encode())
    else:
        raise _NoKeyError


def _add_function(digest: Any, f: types.FunctionType, above: tuple[Any, ...]) -> None:
    if f in above:
        digest.update(b"itself;")
        return
    if not os.path.exists(f.__code__.co_filename):  # typed at a prompt: a key for every attempt would pile up
        raise _NoKeyError
    above = (*above, f)
    _add(digest, f.__code__, above)
    _add(digest, f.__defaults__, above)
    for cell in f.__closure__ or ():
        _add(digest, cell.cell_contents, above)
    for name in _names(f.__code__):
        if name in f.__globals__:
            _add(digest, f.__globals__[name], above)


def _names(code: types.CodeType) -> list[str]:
    """Return what a code object, and those inside it, may look up among the globals."""
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return sorted({*code.co_names, *(name for c in inner for name in _names(c))})
