"""Working memory of compiled loops: on the stack for small maps, where it ends up in registers, else one scratch array.

Both kinds have the same calls, ``vector(work, at, n)`` and ``matrix(work, at, rows, count, n)``: the small kind takes
its sizes from literals and ignores the scratch array, the large kind cuts a piece out of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array

from dynloop.maps.base import Array
from dynloop.maps.compiled.jit import COMPILING, Compiled, jit

__all__ = ["Memory", "memory"]

_SMALL = 64  # numbers of the largest array that is kept on the stack


class Memory(NamedTuple):
    """How a kernel gets its arrays.

    Attributes
    ----------
    small : bool
        Whether they lie on the stack; then the number of rows of a matrix is `rows`, a literal, else `count`.
    vector, complex_vector, matrix : compiled callables
        ``vector(work, at, n)``, of 2·n numbers if complex; ``matrix(work, at, rows, count, n)``.
    """

    small: bool
    vector: Compiled
    complex_vector: Compiled
    matrix: Compiled


def memory(rows: int, n: int) -> Memory:
    """Return the memory for matrices of up to (rows, n) and (n, n); of `rows` 0, for any number of rows."""
    return _STACK if COMPILING and rows and max(rows, n) * n <= _SMALL else _SCRATCH


def _allocate(context: Any, builder: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    """Return a C-ordered array whose numbers lie in the frame of the function that is being compiled."""
    made = make_array(types.Array(dtype, len(shape), "C"))(context, builder)
    size = context.get_abi_sizeof(context.get_value_type(dtype))
    data = cgutils.alloca_once(builder, context.get_value_type(dtype), size=int(np.prod(shape)))
    strides = [size * int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    populate_array(
        made,
        data=data,
        shape=[context.get_constant(types.intp, length) for length in shape],
        strides=[context.get_constant(types.intp, stride) for stride in strides],
        itemsize=context.get_constant(types.intp, size),
        meminfo=None,
    )
    return made._getvalue()


def _stack_vector(dtype: Any) -> Any:
    @intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator] # numba has no types
    def vector(typing: Any, work: Any, at: Any, n: Any) -> Any:  # noqa: ARG001 - numba's signature
        if not isinstance(n, types.IntegerLiteral):
            return None
        shape = (n.literal_value,)
        result = types.Array(dtype, 1, "C")
        return result(work, at, n), lambda context, builder, *_: _allocate(context, builder, dtype, shape)

    return vector


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator] # numba has no types
def _stack_matrix(typing: Any, work: Any, at: Any, rows: Any, count: Any, n: Any) -> Any:  # noqa: ARG001 - as above
    if not isinstance(rows, types.IntegerLiteral) or not isinstance(n, types.IntegerLiteral):
        return None
    shape = (rows.literal_value, n.literal_value)
    result = types.Array(types.float64, 2, "C")
    return result(work, at, rows, count, n), lambda c, b, *_: _allocate(c, b, types.float64, shape)


@jit
def _vector(work: Array, at: int, n: int) -> Array:
    return work[at : at + n]


@jit
def _complex_vector(work: Array, at: int, n: int) -> Array:
    return work[at : at + 2 * n].view(np.complex128)


@jit
def _matrix(work: Array, at: int, rows: int, count: int, n: int) -> Array:  # noqa: ARG001 - as the small kind
    return work[at : at + count * n].reshape(count, n)


_STACK = Memory(True, _stack_vector(types.float64), _stack_vector(types.complex128), _stack_matrix)
_SCRATCH = Memory(False, _vector, _complex_vector, _matrix)
