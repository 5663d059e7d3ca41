"""Dual numbers in compiled steps, a + b ε with ε² = 0: the derivative of a step that compares, takes moduli or rounds.

A step that was written for floats is compiled for these as it stands. Comparisons look at values alone, so the
derivative is that of the branch taken; at a kink it is that of one side.
"""

# ruff: noqa: ARG005 - every slope is a function of x and f(x)

from __future__ import annotations

import builtins
import math
import operator
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.core.typeconv import Conversion
from numba.extending import (
    intrinsic,
    lower_cast,
    make_attribute_wrapper,
    models,
    overload,
    register_model,
)
from numba.np.arrayobj import make_array, populate_array

from dynloop.maps.compiled.jit import jit

__all__ = ["DUAL", "as_duals", "dual"]


class _DualType(types.Type):  # type: ignore[misc] # numba has no types
    """The numba type of dual numbers."""

    def __init__(self) -> None:
        super().__init__(name="Dual")

    def can_convert_from(self, typingctx: Any, other: Any) -> Any:  # noqa: ARG002 - numba's signature
        return Conversion.safe if isinstance(other, types.Number | types.Boolean) else None

    def unify(self, typingctx: Any, other: Any) -> Any:  # noqa: ARG002 - numba's signature
        return self if isinstance(other, types.Number) else None


DUAL = _DualType()


@register_model(_DualType)
class _DualModel(models.StructModel):  # type: ignore[misc] # numba has no types
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, [("value", types.float64), ("slope", types.float64)])


make_attribute_wrapper(_DualType, "value", "value")
make_attribute_wrapper(_DualType, "slope", "slope")


@intrinsic  # type: ignore[untyped-decorator] # numba has no types
def dual(typing: Any, value: Any, slope: Any) -> Any:  # noqa: ARG001 - numba's signature
    """Make a dual number of two floats."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made = cgutils.create_struct_proxy(DUAL)(context, builder)
        for name, argument, kind in zip(("value", "slope"), arguments, signature.args, strict=True):
            setattr(made, name, context.cast(builder, argument, kind, types.float64))
        return made._getvalue()

    return DUAL(value, slope), generate


@lower_cast(types.Number, _DualType)  # type: ignore[untyped-decorator] # numba has no types
@lower_cast(types.Boolean, _DualType)  # type: ignore[untyped-decorator] # as above
def _of_number(context: Any, builder: Any, kind: Any, _: Any, number: Any) -> Any:
    made = cgutils.create_struct_proxy(DUAL)(context, builder)
    made.value = context.cast(builder, number, kind, types.float64)
    made.slope = context.get_constant(types.float64, 0.0)
    return made._getvalue()


@intrinsic(prefer_literal=True)  # type: ignore[untyped-decorator] # numba has no types
def as_duals(typing: Any, work: Any, at: Any, n: Any) -> Any:  # noqa: ARG001 - numba's signature
    """Take n dual numbers out of a scratch array of floats, from entry `at` on."""
    result = types.Array(DUAL, 1, "C")

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        scratch = make_array(signature.args[0])(context, builder, arguments[0])
        first = context.cast(builder, arguments[1], signature.args[1], types.intp)
        length = context.cast(builder, arguments[2], signature.args[2], types.intp)
        pointer = builder.bitcast(builder.gep(scratch.data, [first]), context.get_data_type(DUAL).as_pointer())
        made = make_array(result)(context, builder)
        size = context.get_constant(types.intp, 16)
        populate_array(made, data=pointer, shape=[length], strides=[size], itemsize=size, meminfo=None)
        return made._getvalue()

    return result(work, at, n), generate


def _is_dual(*kinds: Any) -> bool:
    """Say whether all are numbers and one at least is dual."""
    numbers = all(isinstance(kind, _DualType | types.Number | types.Boolean) for kind in kinds)
    return numbers and any(isinstance(kind, _DualType) for kind in kinds)


@overload(operator.add)
@overload(operator.iadd)
def _add(x, y):
    if isinstance(x, _DualType) and isinstance(y, _DualType):
        return lambda x, y: dual(x.value + y.value, x.slope + y.slope)
    if _is_dual(x, y) and isinstance(x, _DualType):
        return lambda x, y: dual(x.value + y, x.slope)
    return (lambda x, y: dual(x + y.value, y.slope)) if _is_dual(x, y) else None


@overload(operator.sub)
@overload(operator.isub)
def _sub(x, y):
    if isinstance(x, _DualType) and isinstance(y, _DualType):
        return lambda x, y: dual(x.value - y.value, x.slope - y.slope)
    if _is_dual(x, y) and isinstance(x, _DualType):
        return lambda x, y: dual(x.value - y, x.slope)
    return (lambda x, y: dual(x - y.value, -y.slope)) if _is_dual(x, y) else None


@overload(operator.mul)
@overload(operator.imul)
def _mul(x, y):
    if isinstance(x, _DualType) and isinstance(y, _DualType):
        return lambda x, y: dual(x.value * y.value, x.slope * y.value + x.value * y.slope)
    if _is_dual(x, y) and isinstance(x, _DualType):
        return lambda x, y: dual(x.value * y, x.slope * y)
    return (lambda x, y: dual(x * y.value, x * y.slope)) if _is_dual(x, y) else None


@overload(operator.truediv)
@overload(operator.itruediv)
def _div(x, y):
    if isinstance(x, _DualType) and isinstance(y, _DualType):

        def both(x, y):
            q = x.value / y.value
            return dual(q, (x.slope - q * y.slope) / y.value)

        return both
    if _is_dual(x, y) and isinstance(x, _DualType):
        return lambda x, y: dual(x.value / y, x.slope / y)
    if _is_dual(x, y):

        def below(x, y):
            q = x / y.value
            return dual(q, -q * y.slope / y.value)

        return below
    return None


@overload(operator.pow)
@overload(operator.ipow)
def _pow(x, y):
    if _is_dual(x, y) and isinstance(x, _DualType) and isinstance(y, types.Integer):

        def whole(x, y):
            return dual(x.value**y, y * x.value ** (y - 1) * x.slope if y != 0 else 0.0)

        return whole
    if _is_dual(x, y) and isinstance(x, _DualType) and isinstance(y, types.Float):
        return lambda x, y: dual(x.value**y, y * x.value ** (y - 1.0) * x.slope)
    return None


@overload(operator.mod)
@overload(operator.imod)
def _mod(x, y):
    if _is_dual(x, y) and isinstance(x, _DualType) and not isinstance(y, _DualType):
        return lambda x, y: dual(x.value % y, x.slope)
    return None


@overload(operator.neg)
def _neg(x):
    return (lambda x: dual(-x.value, -x.slope)) if isinstance(x, _DualType) else None


@overload(operator.pos)
def _pos(x):
    return (lambda x: x) if isinstance(x, _DualType) else None


@overload(builtins.max)
@overload(np.maximum)
def _max(x, y):
    if not _is_dual(x, y):
        return None
    return lambda x, y: x if x >= y else y


@overload(builtins.min)
@overload(np.minimum)
def _min(x, y):
    if not _is_dual(x, y):
        return None
    return lambda x, y: x if x <= y else y


def _comparison(name: str) -> None:
    compare = getattr(operator, name)

    @overload(compare)
    def compared(x, y):
        if isinstance(x, _DualType) and isinstance(y, _DualType):
            return lambda x, y: compare(x.value, y.value)
        if _is_dual(x, y) and isinstance(x, _DualType):
            return lambda x, y: compare(x.value, y)
        return (lambda x, y: compare(x, y.value)) if _is_dual(x, y) else None


for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    _comparison(_name)


def _function(f: Any, slope: Any, *names: Any) -> None:
    """Register f, given what multiplies the slope: a function of x and f(x)."""
    rate = jit(slope)

    def applied(x):
        if not isinstance(x, _DualType):
            return None

        def call(x):
            y = f(x.value)
            return dual(y, rate(x.value, y) * x.slope)

        return call

    for name in names:
        overload(name)(applied)


_function(math.sin, lambda x, y: math.cos(x), math.sin, np.sin)
_function(math.cos, lambda x, y: -math.sin(x), math.cos, np.cos)
_function(math.tan, lambda x, y: 1 + y * y, math.tan, np.tan)
_function(math.exp, lambda x, y: y, math.exp, np.exp)
_function(math.log, lambda x, y: 1 / x, math.log, np.log)
_function(math.sqrt, lambda x, y: 0.5 / y, math.sqrt, np.sqrt)
_function(math.tanh, lambda x, y: 1 - y * y, math.tanh, np.tanh)
_function(math.atan, lambda x, y: 1 / (1 + x * x), math.atan, np.arctan)
_function(abs, lambda x, y: 1.0 if x > 0 else (-1.0 if x < 0 else 0.0), abs, np.abs, np.fabs, math.fabs)
_function(np.floor, lambda x, y: 0.0, np.floor, math.floor)
_function(np.ceil, lambda x, y: 0.0, np.ceil, math.ceil)
_function(np.round, lambda x, y: 0.0, np.round, np.rint, round)
_function(np.sign, lambda x, y: 0.0, np.sign)
