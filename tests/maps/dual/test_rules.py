"""Every rule of the dual tensors, in every form that torch lets one write, against `torch.func.jvp` in float64."""

import copy
import functools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional
from torch.utils import _pytree as pytree

from dynloop.errors import DerivativeError
from dynloop.maps.dual import numbers
from dynloop.maps.dual.numbers import Dual, NoRuleError, joined
from dynloop.maps.dual.push import push_stack
from dynloop.maps.torch_tangent import differentiable

D = torch.float64
CLOSE = {"rtol": 1e-12, "atol": 1e-12}
X = ("b", 3, 4)  # the usual shape; "b" is the batch
POINT, ROW, MATRIX = (), (4,), (4, 4)


def draw(shape, seed, *lead):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*lead, *shape, dtype=D, generator=generator) * 3 - 1.5


@functools.cache
def c(*shape):
    """A tensor without tangents."""
    return draw(shape, 1000 + sum(shape))


def ints(*values):
    return torch.tensor(values)


MASK = torch.tensor([True, False, True, False])
LOWER = torch.ones(3, 3, dtype=torch.bool).tril()
NOBODY = torch.tensor([[False, False, False], [True, False, True], [True, True, True]])  # row 0 attends to nobody
BIAS = torch.where(NOBODY, 0.3, -torch.inf).to(D)


def heads(x):
    """``(b, 3, 4)`` to ``(b, 2, 3, 2)``."""
    return x.unflatten(-1, (2, 2)).transpose(1, 2)


def sdpa(*args, **kwargs):
    return functional.scaled_dot_product_attention(*args, **kwargs)


# -- forms that need more than one expression --------------------------------------------------------------------------


def in_place(step):
    """A function that writes into a copy of its first argument, of which it keeps a view too."""

    def f(x, *others):
        x = x.clone()
        view = x[..., 0]
        step(x, *others)
        return x * 2, view + 1

    return f


def iadd(x, y):
    x += y


def isub(x, y):
    x -= y


def imul(x, y):
    x *= y


def itruediv(x, y):
    x /= y + 3


def ipow(x):
    x **= 2


def write(*index):
    """``x[index] = y``."""

    def step(x, y):
        x[index if len(index) > 1 else index[0]] = y

    return in_place(step)


def write_constant(*index, value):
    def step(x):
        x[index if len(index) > 1 else index[0]] = value

    return in_place(step)


def through(view, step):
    """A function that writes into a view of its argument, and returns the argument."""

    def f(x, *others):
        x = x.clone()
        step(view(x), *others)
        return x * 2

    return f


def triple(x):
    x.mul_(3.0)


def plus(x, y):
    x.add_(y)


def unpacked(x):
    first, second, third = x.unbind(1)
    a, b = first.chunk(2, -1)
    return a * b, second * third


def iterated(x):
    return torch.stack([t * t[..., :1] for t in x])


def rotary(x):
    """Rotary positions by complex numbers, as in Llama's own code."""
    turn = torch.polar(torch.ones(3, 2, dtype=D), c(3, 2))
    pairs = torch.view_as_complex(x.float().double().reshape(*x.shape[:-1], 2, 2))
    return torch.view_as_real(pairs * turn).flatten(-2)


def rotary_by_halves(x):
    x1, x2 = x[..., :2], x[..., 2:]
    return x * c(3, 4) + torch.cat((-x2, x1), dim=-1) * c(3, 4)


def rotary_by_pairs(x):
    even, odd = x[..., ::2], x[..., 1::2]
    return torch.stack([even * c(3, 2) - odd, odd * c(3, 2) + even], dim=-1).flatten(-2)


def hand_made_norm(x):
    kept = x.dtype
    x = x.to(torch.float64)
    return (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)).to(kept)


# -- the table: name, function of one tensor or more, their shapes -----------------------------------------------------

UNARY = (
    "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "tanh", "sigmoid", "sin", "cos", "abs", "erf", "square",
    "reciprocal", "neg", "negative",
)  # fmt: skip
SHIFT = {"log": 3.0, "log1p": 2.0, "sqrt": 3.0, "rsqrt": 3.0, "reciprocal": 2.5}


def forms(name):
    """The forms in which one writes a function of one number, where it is defined."""
    f, by = getattr(torch, name), SHIFT.get(name, 0.25)
    yield f"torch.{name}", lambda x: f(x + by), [X]
    yield f"torch.{name}(input=)", lambda x: f(input=x + by), [ROW]
    yield f"x.{name}()", lambda x: getattr(x + by, name)(), [POINT]
    yield f"x.{name}_()", in_place(lambda x: getattr(x.add_(by), f"{name}_")()), [X]
    if name in ("expm1", "log1p", "erf"):
        yield f"special.{name}", lambda x: getattr(torch.special, name)(x + by), [X]


ARITHMETIC = [
    ("x + y", lambda x, y: x + y, [X, X]),
    ("x + more axes", lambda x, y: x + y, [ROW, X]),
    ("x + fewer axes", lambda x, y: x + y, [X, (3, 1)]),
    ("x + point", lambda x, y: x + y, [X, POINT]),
    ("x + 1", lambda x: x + 1, [X]),
    ("2.5 + x", lambda x: 2.5 + x, [X]),
    ("True + x", lambda x: True + x, [X]),
    ("x + a constant of more axes", lambda x: x + c(5, 1, 4), [ROW]),
    ("x + a constant of fewer axes", lambda x: x + c(4), [X]),
    ("a constant + x", lambda x: c(3, 1) + x, [ROW]),
    ("x + a point", lambda x: x + torch.tensor(3), [X]),
    ("point + a constant", lambda x: x + c(3, 4), [POINT]),
    ("point + an int32 tensor", lambda x: x + torch.tensor([1, 2], dtype=torch.int32), [POINT]),
    ("x + a mask", lambda x: x + MASK, [X]),
    ("torch.add", lambda x, y: torch.add(x, y, alpha=-2.5), [X, ROW]),
    ("torch.add of a constant", lambda x: torch.add(x, c(4), alpha=0.3), [X]),
    ("torch.add to a constant", lambda x: torch.add(c(2, 1, 1), x, alpha=0.3), [(3, 4)]),
    ("torch.add of a number", lambda x: torch.add(x, 2, alpha=3), [X]),
    ("torch.add(input=, other=)", lambda x: torch.add(input=c(4), other=x, alpha=3), [X]),
    ("x.add(other=)", lambda x, y: x.add(other=y), [X, X]),
    ("x.add_()", in_place(lambda x, y: x.add_(y, alpha=2)), [X, ROW]),
    ("x.add_(other=)", in_place(lambda x: x.add_(other=c(4), alpha=2)), [X]),
    ("x += y", in_place(iadd), [X, (3, 1)]),
    ("x.__radd__(y)", lambda x: x.__radd__(2), [X]),
    ("sum()", lambda x: sum([x, x * 2]), [X]),
    ("x - y", lambda x, y: x - y, [X, ROW]),
    ("x - 1", lambda x: x - 1, [X]),
    ("1 - x", lambda x: 1 - x, [X]),
    ("a constant - x", lambda x: c(2, 1, 4) - x, [(3, 4)]),
    ("x - bytes", lambda x: x - torch.tensor([1, 2, 3, 200], dtype=torch.uint8), [X]),
    ("torch.sub", lambda x, y: torch.sub(x, y, alpha=2), [X, X]),
    ("torch.sub of bytes", lambda x: torch.sub(x, torch.tensor([100], dtype=torch.uint8), alpha=3), [X]),
    ("torch.subtract", lambda x: torch.subtract(input=x, other=c(4)), [X]),
    ("x.sub", lambda x: x.sub(c(4), alpha=0.7), [X]),
    ("x.subtract", lambda x: x.subtract(1), [X]),
    ("x.sub_()", in_place(lambda x, y: x.sub_(y, alpha=3)), [X, X]),
    ("x.subtract_()", in_place(lambda x: x.subtract_(c(4))), [X]),
    ("x -= y", in_place(isub), [X, X]),
    ("torch.rsub", lambda x, y: torch.rsub(x, y, alpha=2), [X, X]),
    ("torch.rsub(other=)", lambda x: torch.rsub(input=x, other=3), [X]),
    ("x.__rsub__", lambda x: x.__rsub__(c(4)), [X]),
    ("-x", lambda x: -x, [X]),
    ("+x", lambda x: +x, [X]),
    ("x * y", lambda x, y: x * y, [X, X]),
    ("x * more axes", lambda x, y: x * y, [ROW, X]),
    ("x * fewer axes", lambda x, y: x * y, [X, (3, 1)]),
    ("x * point", lambda x, y: x * y, [X, POINT]),
    ("point * point", lambda x, y: x * y, [POINT, POINT]),
    ("x * x", lambda x: x * x, [X]),
    ("x * 3", lambda x: x * 3, [X]),
    ("0.5 * x", lambda x: 0.5 * x, [X]),
    ("x * a constant of more axes", lambda x: x * c(2, 1, 1, 4), [(3, 4)]),
    ("a constant * x", lambda x: c(4) * x, [X]),
    ("x * a mask", lambda x: x * MASK, [X]),
    ("x * a parameter", lambda x: x * nn.Parameter(c(4)), [X]),
    ("point * a constant", lambda x: x * c(3, 4), [POINT]),
    ("torch.mul", lambda x: torch.mul(x, c(4)), [X]),
    ("torch.mul(input=, other=)", lambda x: torch.mul(input=c(4), other=x), [X]),
    ("torch.multiply", torch.multiply, [X, ROW]),
    ("x.mul", lambda x, y: x.mul(other=y), [X, X]),
    ("x.multiply", lambda x: x.multiply(2), [X]),
    ("x.__rmul__", lambda x: x.__rmul__(2), [X]),
    ("x.mul_()", in_place(lambda x, y: x.mul_(y)), [X, ROW]),
    ("x.mul_(x)", in_place(lambda x: x.mul_(x)), [X]),
    ("x.multiply_()", in_place(lambda x: x.multiply_(c(4))), [X]),
    ("x *= y", in_place(imul), [X, X]),
    ("x / y", lambda x, y: x / (y + 3), [X, X]),
    ("x / more axes", lambda x, y: x / (y + 3), [ROW, X]),
    ("x / point", lambda x, y: x / (y + 3), [X, POINT]),
    ("x / 3", lambda x: x / 3, [X]),
    ("3 / x", lambda x: 3 / (x + 2), [X]),
    ("x / a constant of more axes", lambda x: x / c(2, 1, 4), [(3, 4)]),
    ("a constant / x", lambda x: c(2, 1, 4) / (x + 2), [(3, 4)]),
    ("ints / x", lambda x: ints(1, 2, 3, 4) / (x + 2), [X]),
    ("torch.div", lambda x: torch.div(x, c(4)), [X]),
    ("torch.div(input=, other=)", lambda x: torch.div(input=c(4), other=x + 3, rounding_mode=None), [X]),
    ("torch.divide", lambda x, y: torch.divide(x, y + 3), [X, X]),
    ("torch.true_divide", lambda x: torch.true_divide(x, 2), [X]),
    ("x.div", lambda x: x.div(other=c(4)), [X]),
    ("x.divide", lambda x: x.divide(2), [X]),
    ("x.true_divide", lambda x: x.true_divide(2), [X]),
    ("x.__rdiv__", lambda x: (x + 3).__rdiv__(c(4)), [X]),
    ("x.__rtruediv__", lambda x: (x + 3).__rtruediv__(2), [X]),
    ("x.div_()", in_place(lambda x, y: x.div_(y + 3)), [X, X]),
    ("x.divide_()", in_place(lambda x: x.divide_(c(4))), [X]),
    ("x.true_divide_()", in_place(lambda x: x.true_divide_(2)), [X]),
    ("x /= y", in_place(itruediv), [X, X]),
    ("x ** 2", lambda x: x**2, [X]),
    ("x ** 2.0", lambda x: x**2.0, [X]),
    ("x ** 3", lambda x: x**3, [X]),
    ("x ** 1", lambda x: x**1 + (x * 0) ** 1, [X]),
    ("x ** 0", lambda x: x**0, [X]),
    ("x ** -0.5", lambda x: (x + 2) ** -0.5, [X]),
    ("2 ** x", lambda x: 2**x, [X]),
    ("torch.pow", lambda x: torch.pow(x, 3), [X]),
    ("torch.pow(exponent=)", lambda x: torch.pow(input=x, exponent=4), [X]),
    ("x.pow", lambda x: x.pow(3), [X]),
    ("x.pow(exponent=)", lambda x: x.pow(exponent=2), [X]),
    ("x.pow_()", in_place(lambda x: x.pow_(3)), [X]),
    ("x **= 2", in_place(ipow), [X]),
    ("float_power", lambda x: x.float_power(2) + torch.float_power(x, 3.0), [X]),
    ("float_power from float32", lambda x: x.float().float_power(2), [X]),
    ("addcmul", torch.addcmul, [X, X, ROW]),
    ("addcmul of a constant", lambda x, y: torch.addcmul(x, y, c(4), value=0.3), [X, (3, 1)]),
    ("addcmul of a constant of more axes", lambda x, y: torch.addcmul(x, y, c(2, 1, 4)), [ROW, (3, 1)]),
    ("addcmul by a constant", lambda x, y: torch.addcmul(x, c(4), y, value=2), [X, X]),
    ("addcmul of constants", lambda x: torch.addcmul(x, c(4), c(3, 1), value=2), [X]),
    ("addcmul to a constant", lambda x: torch.addcmul(c(2, 1, 4), x, x, value=-1), [(3, 4)]),
    ("addcmul to a constant by one", lambda x: torch.addcmul(c(4), c(4), x, value=0.4), [X]),
    ("addcmul(tensor1=)", lambda x: torch.addcmul(input=x, tensor1=x, tensor2=c(4), value=2), [X]),
    ("x.addcmul", lambda x, y: x.addcmul(y, tensor2=c(4)), [X, X]),
    ("addcdiv", lambda x, y: x.addcdiv(y, c(4), value=0.5), [X, X]),
    ("torch.lerp", lambda x, y: torch.lerp(x, y, 0.3), [X, X]),
    ("torch.lerp(end=, weight=)", lambda x: torch.lerp(input=x, end=c(2, 3, 4), weight=0.7), [X]),
    ("torch.lerp by weights", torch.lerp, [X, X, X]),
    ("lerp of constants", lambda w: torch.lerp(c(3, 4), c(3, 4) + 1, w), [(3, 4)]),
    ("x.lerp", lambda x, y: x.lerp(y, c(4)), [X, X]),
    ("remainder", lambda x: x % 1.0, [X]),
    ("two dtypes", lambda x: x.float() * c(4), [X]),
    ("two dtypes, a point", lambda x: x.float() * torch.tensor(0.1, dtype=D), [X]),
    ("numpy scalar", lambda x: c(4).numpy()[1] * x + x / c(4).numpy()[0], [X]),
]  # fmt: skip

ACTIVATIONS = [
    ("torch.relu", torch.relu, [X]),
    ("functional.relu", lambda x: functional.relu(input=x, inplace=False), [X]),
    ("x.relu", lambda x: x.relu(), [X]),
    ("relu at 0", lambda x: (x * 0).relu(), [X]),
    ("relu of −∞", lambda x: x.masked_fill(MASK, -torch.inf).relu(), [X]),
    ("gelu", functional.gelu, [X]),
    ("gelu(tanh)", lambda x: functional.gelu(x, approximate="tanh"), [X]),
    ("nn.GELU", nn.GELU(), [X]),
    ("silu", functional.silu, [X]),
    ("torch._C._nn.silu", torch._C._nn.silu, [X]),
    ("nn.SiLU", nn.SiLU(), [POINT]),
    ("softplus", functional.softplus, [X]),
    ("softplus(beta, threshold)", lambda x: functional.softplus(x, beta=2.0, threshold=1.0), [X]),
    ("softplus far out", lambda x: functional.softplus(30 * x), [X]),
    ("functional.sigmoid", functional.sigmoid, [X]),
    ("functional.tanh", functional.tanh, [X]),
    ("leaky_relu", functional.leaky_relu, [X]),
    ("mish", functional.mish, [X]),
    ("hardtanh", functional.hardtanh, [X]),
    ("glu", lambda x: functional.glu(x, -1), [X]),
    ("softsign", functional.softsign, [X]),
    ("sinh", torch.sinh, [X]),
    ("torch.clamp", lambda x: torch.clamp(x, -0.5, 0.5), [X]),
    ("torch.clamp(min=)", lambda x: torch.clamp(input=x, min=-0.5), [X]),
    ("torch.clip", lambda x: torch.clip(x, max=0.5), [X]),
    ("x.clamp", lambda x: x.clamp(max=0.5), [X]),
    ("x.clip", lambda x: x.clip(-1, 1), [X]),
    ("clamp at a bound", lambda x: (x * 0 + 1).clamp(-1, 1), [X]),
    ("clamp_min", lambda x: x.clamp_min(0.1), [X]),
    ("x.clamp_()", in_place(lambda x: x.clamp_(-0.5, 0.5)), [X]),
    ("x.clip_()", in_place(lambda x: x.clip_(min=-0.5)), [X]),
    ("torch.where", lambda x, y: torch.where(x > 0, x, y), [X, X]),
    ("torch.where(input=, other=)", lambda x: torch.where(MASK, input=x, other=c(3, 4)), [X]),
    ("torch.where(condition=)", lambda x, y: torch.where(condition=MASK, input=x, other=y), [X, ROW]),
    ("torch.where of a number", lambda x: torch.where(MASK, x, 0.0) + torch.where(MASK, 2, x), [X]),
    ("torch.where of more axes", lambda x: torch.where(c(2, 1, 4) > 0, x, c(3, 4)), [(3, 4)]),
    ("torch.where of a point", lambda x: torch.where(MASK, x.float(), torch.tensor(0.1, dtype=D)), [X]),
    ("x.where", lambda x, y: x.where(x > 0, y), [X, X]),
    ("x.where of a number", lambda x: x.where(MASK, 2), [X]),
    ("constant.where", lambda x: c(3, 4).where(MASK, x), [X]),
    ("x.masked_fill", lambda x: x.masked_fill(x < 0, -2.0), [X]),
    ("torch.masked_fill(value=)", lambda x: torch.masked_fill(x, mask=MASK, value=3), [X]),
    ("masked_fill by a point", lambda x, y: x.masked_fill(MASK, y), [X, POINT]),
    ("masked_fill of a constant", lambda x: c(3, 4).masked_fill(MASK, x), [POINT]),
    ("masked_fill of more axes", lambda x: x.masked_fill(c(2, 3, 4) > 0, 1.0), [ROW]),
    ("masked_fill keeps the dtype", lambda x: x.float().masked_fill(MASK, torch.tensor(0.1, dtype=D)), [X]),
    ("x.masked_fill_()", in_place(lambda x: x.masked_fill_(MASK, 2.0)), [X]),
    ("x.copy_(y)", in_place(lambda x, y: x.copy_(y)), [X, ROW]),
    ("x.copy_(constant)", in_place(lambda x: x.copy_(c(4))), [X]),
    ("x.copy_(other=)", in_place(lambda x, y: x.copy_(other=y, non_blocking=True)), [X, X]),
    ("sign", lambda x: torch.sign(x) * x, [X]),
    ("round, floor", lambda x: x * torch.round(x, decimals=1) + x.floor() * x, [X]),
    ("maximum", torch.maximum, [X, X]),
]  # fmt: skip

SHAPES = [
    ("x.reshape", lambda x: x.reshape(-1, 2), [X]),
    ("x.reshape of a tuple", lambda x: x.reshape((2, -1)), [X]),
    ("x.reshape(shape=)", lambda x: x.reshape(shape=(-1, 12)), [X]),
    ("x.reshape()", lambda x: x.reshape(1) + x.reshape(()), [POINT]),
    ("torch.reshape", lambda x: torch.reshape(x, (-1,)), [X]),
    ("torch.reshape(input=, shape=)", lambda x: torch.reshape(input=x, shape=[-1, 6]), [X]),
    ("x.reshape, out of order", lambda x: x.transpose(1, 2).reshape(-1, 3), [X]),
    ("x.view", lambda x: x.view(-1, 6), [X]),
    ("x.view of a size", lambda x: x.view(torch.Size((-1, 2, 6))), [X]),
    ("x.view(size=)", lambda x: x.view(size=(-1, 6)), [X]),
    ("x.view_as", lambda x: x.view_as(c(4, 3)), [(3, 4)]),
    ("x.view_as(other=)", lambda x, y: x.view_as(other=y), [(3, 4), (12,)]),
    ("x.reshape_as", lambda x, y: x.reshape_as(y), [(3, 4), (12,)]),
    ("x.expand", lambda x: x.expand(2, -1, 4), [(3, 1)]),
    ("x.expand(size=)", lambda x: x.expand(size=(2, 4)), [ROW]),
    ("x.expand of a point", lambda x: x.expand(2, 3), [POINT]),
    ("torch.broadcast_to", lambda x: torch.broadcast_to(x, (5, 3, 4)), [ROW]),
    ("torch.broadcast_to(size=)", lambda x: torch.broadcast_to(input=x, size=(3, 4)), [ROW]),
    ("x.broadcast_to", lambda x: x.broadcast_to((3, 4)), [ROW]),
    ("x.expand_as", lambda x, y: x.expand_as(y) + c(4).expand_as(y), [ROW, X]),
    ("x.expand_as(other=)", lambda x: x.expand_as(other=c(3, 4)), [ROW]),
    ("torch.flatten", lambda x: torch.flatten(x), [X]),
    ("torch.flatten(start_dim=)", lambda x: torch.flatten(x, start_dim=1), [X]),
    ("torch.flatten(end_dim=)", lambda x: torch.flatten(input=x, end_dim=-2), [X]),
    ("x.flatten", lambda x: x.flatten(-2, -1), [X]),
    ("x.flatten of a point", lambda x: x.flatten(), [POINT]),
    ("torch.unflatten", lambda x: torch.unflatten(x, 2, (2, -1)), [X]),
    ("x.unflatten", lambda x: x.unflatten(-1, (2, 2)), [X]),
    ("x.unflatten(dim=, sizes=)", lambda x: x.unflatten(dim=2, sizes=(2, 2)), [X]),
    ("torch.transpose", lambda x: torch.transpose(x, 0, -1), [X]),
    ("torch.transpose(dim0=, dim1=)", lambda x: torch.transpose(input=x, dim0=1, dim1=2), [X]),
    ("x.transpose", lambda x: x.transpose(-1, -2), [X]),
    ("torch.swapaxes", lambda x: torch.swapaxes(x, 0, 1), [X]),
    ("torch.swapaxes(axis0=, axis1=)", lambda x: torch.swapaxes(x, axis0=0, axis1=1), [X]),
    ("x.swapaxes", lambda x: x.swapaxes(0, 2), [X]),
    ("torch.swapdims", lambda x: torch.swapdims(x, 0, 2), [X]),
    ("x.swapdims", lambda x: x.swapdims(dim0=-3, dim1=2), [X]),
    ("torch.permute", lambda x: torch.permute(x, (2, 0, 1)), [X]),
    ("torch.permute(dims=)", lambda x: torch.permute(input=x, dims=(-1, 0, 1)), [X]),
    ("x.permute", lambda x: x.permute(1, 2, 0), [X]),
    ("x.permute, then reshaped", lambda x: x.permute(2, 0, 1).reshape(4, -1) * c(4, 1), [X]),
    ("x.permute(dims=)", lambda x: x.permute(dims=(1, -1, 0)), [X]),
    ("x.permute()", lambda x: x.permute(()), [POINT]),
    ("torch.movedim", lambda x: torch.movedim(x, 0, -1), [X]),
    ("torch.movedim of several", lambda x: torch.movedim(x, source=(0, 2), destination=(-1, 0)), [X]),
    ("x.movedim", lambda x: x.movedim((0, 1), (1, 2)), [X]),
    ("torch.moveaxis", lambda x: torch.moveaxis(x, -1, 0), [X]),
    ("x.moveaxis", lambda x: x.moveaxis(source=0, destination=2), [X]),
    ("torch.t", torch.t, [(3, 4)]),
    ("x.t()", lambda x: x.t(), [ROW]),
    ("x.T", lambda x: x.T, [(3, 4)]),
    ("x.mT", lambda x: x.mT, [X]),
    ("adjoint", lambda x: x.adjoint(), [X]),
    ("torch.unsqueeze", lambda x: torch.unsqueeze(x, 1), [X]),
    ("torch.unsqueeze(dim=)", lambda x: torch.unsqueeze(input=x, dim=-4), [X]),
    ("x.unsqueeze", lambda x: x.unsqueeze(-1) * x.unsqueeze(3), [X]),
    ("x.unsqueeze of a point", lambda x: x.unsqueeze(-1) + x.unsqueeze(0), [POINT]),
    ("torch.squeeze", torch.squeeze, [(1, 3, 1, 4)]),
    ("torch.squeeze(dim=)", lambda x: torch.squeeze(input=x, dim=-2), [(1, 3, 1, 4)]),
    ("x.squeeze", lambda x: x.squeeze(0), [(1, 3, 4)]),
    ("x.squeeze of some", lambda x: x.squeeze((0, -1)), [(1, 3, 4)]),
    ("x.squeeze of the tangents' length", lambda x: x.squeeze(), [(1, 1)]),
    ("torch.chunk", lambda x: torch.chunk(x, 2, -1), [X]),
    ("torch.chunk(chunks=, dim=)", lambda x: torch.chunk(input=x, chunks=2, dim=1), [X]),
    ("x.chunk", lambda x: x.chunk(3), [(3, 4)]),
    ("torch.split", lambda x: torch.split(x, 3, dim=-1), [X]),
    ("torch.split of sizes", lambda x: torch.split(tensor=x, split_size_or_sections=[1, 3], dim=2), [X]),
    ("x.split", lambda x: x.split(2, -1), [X]),
    ("x.split(split_size=)", lambda x: x.split(split_size=[1, 2], dim=1), [X]),
    ("tensor_split", lambda x: x.tensor_split(2, -1), [X]),
    ("torch.unbind", lambda x: torch.unbind(x, dim=1), [X]),
    ("x.unbind", lambda x: x.unbind(-1), [X]),
    ("unpacked", unpacked, [X]),
    ("iterated", iterated, [X]),
    ("reversed()", lambda x: torch.cat(list(reversed(x))), [X]),
    ("torch.narrow", lambda x: torch.narrow(x, -1, 1, 2), [X]),
    ("x.narrow(dim=)", lambda x: x.narrow(dim=1, start=1, length=2), [X]),
    ("torch.select", lambda x: torch.select(x, 1, -1), [X]),
    ("x.select(dim=)", lambda x: x.select(dim=-1, index=2), [X]),
    ("x[i]", lambda x: x[0] * x[-1], [X]),
    ("x[..., i]", lambda x: x[..., 1], [X]),
    ("x[:, a:b]", lambda x: x[:, 1:] * x[:, :-1], [X]),
    ("x[None]", lambda x: x[None, ..., None], [X]),
    ("x[()]", lambda x: x[()], [POINT]),
    ("x[mask]", lambda x: x[x > 0], [X]),
    ("x[:, mask]", lambda x: x[..., MASK], [X]),
    ("x[list]", lambda x: x[:, [2, 0]], [X]),
    ("x[array]", lambda x: x[..., ints(3, 0, 0)], [X]),
    ("x[matrix]", lambda x: x[:, torch.tensor([[0, 1], [2, 2]])], [X]),
    ("x[i, :, array]", lambda x: x[0, :, ints(1, 1)], [X]),
    ("x[point]", lambda x: x[:, torch.tensor(1)], [X]),
    ("x[True]", lambda x: x[True], [X]),
    ("x[..., i] = y", write(..., 0), [X, ("b", 3)]),
    ("x[:, i] = y, broadcast", write(slice(None), 1), [X, ROW]),
    ("x[i] = y with leading axes of length 1", write(0), [X, (1, 1, 3, 4)]),
    ("x[:] = point", write(slice(1, None)), [X, POINT]),
    ("x[mask] = y", write(..., MASK), [X, (3, 2)]),
    ("x[array] = y", write(slice(None), ints(2, 0)), [X, (2, 4)]),
    ("x[mask] = point", write(..., MASK), [X, POINT]),
    ("x[..., i] = 0", write_constant(..., 0, value=0), [X]),
    ("x[mask] = constant", write_constant(..., MASK, value=torch.ones(3, 2, dtype=D)), [X]),
    ("x[:, i] = constant", write_constant(slice(None), 1, value=torch.arange(4.0)), [X]),
    ("x[0] = constant with leading axes", write_constant(0, value=torch.ones(1, 1, 3, 4)), [X]),
    ("torch.index_select", lambda x: torch.index_select(x, 1, ints(2, 2, 0)), [X]),
    ("torch.index_select(dim=, index=)", lambda x: torch.index_select(input=x, dim=-1, index=ints(1)), [X]),
    ("x.index_select", lambda x: x.index_select(-1, ints(3, 1)), [X]),
    ("torch.gather", lambda x: torch.gather(x, 2, torch.tensor([[[3, 0], [1, 1]]])), [X]),
    ("torch.gather(dim=, index=)", lambda x: torch.gather(input=x, dim=-1, index=torch.tensor([[[3]]])), [X]),
    ("x.gather", lambda x: x.gather(-1, x.topk(2, -1)[1]), [X]),
    ("take_along_dim", lambda x: x.take_along_dim(x.argsort(-1), -1) + torch.take_along_dim(x, x.argsort(1), 1), [X]),
    ("x.repeat", lambda x: x.repeat(2, 1, 3), [X]),
    ("x.repeat of more axes", lambda x: x.repeat((2, 3, 1)), [(3, 4)]),
    ("x.repeat(repeats=)", lambda x: x.repeat(repeats=(2, 2)), [ROW]),
    ("x.repeat of a point", lambda x: x.repeat(3), [POINT]),
    ("torch.tile", lambda x: torch.tile(x, (2,)), [X]),
    ("torch.tile(dims=)", lambda x: torch.tile(input=x, dims=(2, 1, 1, 2)), [X]),
    ("x.tile", lambda x: x.tile(2, 1), [X]),
    ("torch.repeat_interleave", lambda x: torch.repeat_interleave(x, 2), [X]),
    ("torch.repeat_interleave(repeats=, dim=)", lambda x: torch.repeat_interleave(x, repeats=3, dim=1), [X]),
    ("x.repeat_interleave", lambda x: x.repeat_interleave(ints(1, 0, 2), -2), [X]),
    ("torch.roll", lambda x: torch.roll(x, 1, -1), [X]),
    ("torch.roll(shifts=, dims=)", lambda x: torch.roll(input=x, shifts=(1, -1), dims=(0, 2)), [X]),
    ("x.roll", lambda x: x.roll(2, 1), [X]),
    ("x.roll of one row", lambda x: x.roll(2), [X]),
    ("x.roll over no axes", lambda x: x.roll(1, ()), [X]),
    ("torch.flip", lambda x: torch.flip(x, (0, -1)), [X]),
    ("torch.flip(dims=)", lambda x: torch.flip(input=x, dims=[1]), [X]),
    ("x.flip", lambda x: x.flip(-1, 0), [X]),
    ("torch.tril", lambda x: torch.tril(x, diagonal=-1), [X]),
    ("x.tril", lambda x: x.tril(1), [X]),
    ("torch.triu", lambda x: torch.triu(input=x), [(3, 4)]),
    ("x.triu", lambda x: x.triu(diagonal=1), [X]),
    ("x.contiguous", lambda x: x.mT.contiguous(), [X]),
    ("x.contiguous(memory_format=)", lambda x: x.contiguous(memory_format=torch.contiguous_format), [X]),
    ("torch.clone", lambda x: torch.clone(input=x), [X]),
    ("x.clone", lambda x: x.clone(memory_format=torch.preserve_format), [X]),
    ("x.to(dtype)", lambda x: x.to(torch.float32), [X]),
    ("x.to(dtype=)", lambda x: x.to(dtype=torch.float32, copy=True).to(D), [X]),
    ("x.to(device)", lambda x: x.to("cpu", torch.float32), [X]),
    ("x.to(y)", lambda x, y: x.float().to(y) + c(4).float().to(y), [X, X]),
    ("x.to(tensor=)", lambda x, y: x.float().to(tensor=y) + c(4).float().to(tensor=y), [X, X]),
    ("x.to(constant)", lambda x: x.to(torch.zeros(1)), [X]),
    ("x.to(itself)", in_place(lambda x: x.to(D).mul_(2)), [X]),
    ("x.to(int)", lambda x: x * (3 * x).to(torch.int64), [X]),
    ("x.to(bool)", lambda x: x * x.to(torch.bool), [X]),
    ("x.long", lambda x: x * (3 * x).long(), [X]),
    ("x.to(complex)", lambda x: torch.view_as_real(x.to(torch.complex128) * (1 + 2j)), [X]),
    ("x.type_as", lambda x: x.type_as(torch.zeros(1)).type_as(x), [X]),
    ("x.type_as(other=)", lambda x, y: x.float().type_as(other=y) + c(4).float().type_as(y), [X, X]),
    ("x.type(dtype)", lambda x: x.type(torch.float32), [X]),
    ("x.float", lambda x: x.float(), [X]),
    ("x.double", lambda x: x.float().double(), [X]),
    ("x.half", lambda x: x.half(), [X]),
    ("x.bfloat16", lambda x: x.bfloat16(), [X]),
    ("torch.cat", lambda x, y: torch.cat([x, y], 1), [X, X]),
    ("torch.cat with a constant", lambda x: torch.cat((c(2, 3, 4), x), dim=0), [X]),
    ("torch.cat(tensors=, dim=)", lambda x: torch.cat(tensors=[x, x], dim=-2), [X]),
    ("torch.cat(axis=)", lambda x: torch.cat([x, c(3, 2)], axis=1), [(3, 4)]),
    ("torch.cat of two dtypes", lambda x: torch.cat([x.float(), c(3, 2)], -1), [(3, 4)]),
    ("torch.concat", lambda x: torch.concat([x, c(1, 4)]), [(3, 4)]),
    ("torch.concatenate", lambda x, y: torch.concatenate([x, y], dim=-1), [X, X]),
    ("torch.stack", lambda x, y: torch.stack([x, y]), [X, X]),
    ("torch.stack with a constant", lambda x: torch.stack([x, c(3, 4)], dim=-1), [(3, 4)]),
    ("torch.stack(tensors=, dim=)", lambda x: torch.stack(tensors=(x, x), dim=-4), [X]),
    ("torch.stack of points", lambda x, y: torch.stack([x, y * x]), [POINT, POINT]),
    ("hstack", lambda x, y: torch.hstack([x, y]), [X, X]),
    ("functional.pad", lambda x: functional.pad(x, (1, 2)), [X]),
    ("diagonal", lambda x: x.diagonal(dim1=1, dim2=2), [X]),
    ("diag_embed", torch.diag_embed, [X]),
    ("unfold", lambda x: x.unfold(-1, 2, 1), [X]),
    ("rotary", rotary, [X]),
    ("rotary by halves", rotary_by_halves, [X]),
    ("rotary by pairs", rotary_by_pairs, [X]),
    ("sort", lambda x: x.sort(-1)[0] * (1 + x.sort(-1)[1]), [X]),
    ("as_tensor", lambda x: x + torch.as_tensor(x), [X]),
]  # fmt: skip

VIEWS = [  # a view of x, and what is written into it
    ("x.view(-1)", lambda x: x.view(-1), triple, [X]),
    ("x.reshape", lambda x: x.reshape(-1, 6), triple, [X]),
    ("x.mT", lambda x: x.mT, triple, [X]),
    ("x.permute", lambda x: x.permute(2, 0, 1), triple, [X]),
    ("x.transpose", lambda x: x.transpose(0, 2), triple, [X]),
    ("x.squeeze", lambda x: x.squeeze(0), triple, [(1, 3, 4)]),
    ("x.unsqueeze", lambda x: x.unsqueeze(0), triple, [X]),
    ("x.flatten", lambda x: x.flatten(1), triple, [X]),
    ("x.unflatten", lambda x: x.unflatten(2, (2, 2)), triple, [X]),
    ("x.chunk", lambda x: x.chunk(2, -1)[1], plus, [X, (3, 2)]),
    ("x.split", lambda x: x.split([1, 3], -1)[1], plus, [X, (3, 3)]),
    ("x.unbind", lambda x: x.unbind(1)[2], plus, [X, ROW]),
    ("x.narrow", lambda x: x.narrow(1, 1, 2), plus, [X, ROW]),
    ("x.select", lambda x: x.select(-1, 2), plus, [X, ("b", 3)]),
    ("x[slice]", lambda x: x[:, 1:, ::2], plus, [X, (2, 2)]),
    ("x.movedim", lambda x: x.movedim(0, 1), triple, [X]),
    ("x.diagonal", lambda x: x.diagonal(dim1=1, dim2=2), plus, [X, (3,)]),
    ("x.unfold", lambda x: x.unfold(-1, 2, 2), plus, [X, (2, 2)]),
    ("tensor_split", lambda x: x.tensor_split(2, 1)[1], triple, [X]),
    ("x.view_as", lambda x: x.view_as(c(4, 3)), triple, [(3, 4)]),
    ("x.contiguous", lambda x: x.contiguous(), triple, [X]),
    ("a view that is contiguous", lambda x: x[:1].contiguous(), triple, [X]),
    ("dropout", lambda x: functional.dropout(x, 0.5, training=False), triple, [X]),
    ("as_strided", lambda x: x.as_strided((2, 2), (4, 1)), triple, [(3, 4)]),
    ("a copy: x.sum()", lambda x: x.sum(), triple, [POINT]),
    ("a copy: x.mean()", lambda x: x.mean(), triple, [POINT]),
    ("a copy: x.clone()", lambda x: x.clone(), triple, [X]),
    ("a copy: x.repeat()", lambda x: x.repeat(1, 1, 1), triple, [X]),
    ("a copy: x[list]", lambda x: x[[0]], triple, [X]),
    ("a copy: out of order", lambda x: x.mT.reshape(-1), triple, [X]),
    ("a copy: torch.cat", lambda x: torch.cat([x]), triple, [X]),
    ("a copy: x + 0", lambda x: x + 0, triple, [X]),
]  # fmt: skip

SUMS = [
    ("x.sum()", lambda x: x.sum(), [X]),
    ("x.sum() of a point", lambda x: x.sum(), [POINT]),
    ("x.sum(dim)", lambda x: x.sum(1), [X]),
    ("x.sum(-1, keepdim)", lambda x: x.sum(-1, True), [X]),
    ("x.sum(dims)", lambda x: x.sum((0, -1), keepdim=True), [X]),
    ("x.sum over no axes", lambda x: x.sum([]) + x.sum(()), [X]),
    ("x.sum(axis=)", lambda x: x.sum(axis=-2), [X]),
    ("x.sum(axis=, keepdims=)", lambda x: x.sum(axis=-2, keepdims=True), [X]),
    ("x.sum(dtype=)", lambda x: x.float().sum(-1, dtype=D) + x.float().sum(dtype=D), [X]),
    ("torch.sum(input=, dim=)", lambda x: torch.sum(input=x, dim=(1, 2)), [X]),
    ("torch.sum(dim=None)", lambda x: torch.sum(x, dim=None, keepdim=True), [X]),
    ("x.mean()", lambda x: x.mean(), [X]),
    ("x.mean() of a point", lambda x: x.mean(), [POINT]),
    ("x.mean(dim)", lambda x: x.mean(-1), [X]),
    ("x.mean(dim=, keepdim=)", lambda x: x.mean(dim=[0, 2], keepdim=True), [X]),
    ("x.mean over no axes", lambda x: x.mean(()), [X]),
    ("torch.mean(axis=)", lambda x: torch.mean(x, axis=1), [X]),
    ("torch.mean(dtype=)", lambda x: torch.mean(x.float(), -1, dtype=D), [X]),
    ("x.var(dim)", lambda x: x.var(-1), [X]),
    ("x.var(dim, unbiased)", lambda x: x.var(-1, False), [X]),
    ("x.var(unbiased=, keepdim=)", lambda x: x.var(dim=1, unbiased=False, keepdim=True), [X]),
    ("torch.var(correction=)", lambda x: torch.var(input=x, dim=(1, 2), correction=0), [X]),
    ("torch.var(correction=2)", lambda x: torch.var(x, -1, correction=2, keepdim=True), [X]),
    ("torch.var(axis=)", lambda x: torch.var(x, axis=-1), [X]),
    ("torch.var over no axes", lambda x: torch.var(x, dim=()) + torch.var(x, dim=[]), [X]),
    ("x.cumsum", lambda x: x.cumsum(-1), [X]),
    ("torch.cumsum(dim=)", lambda x: torch.cumsum(input=x, dim=1), [X]),
    ("torch.cumsum(dtype=)", lambda x: torch.cumsum(x.float(), 0, dtype=D), [X]),
    ("amax, amin", lambda x: torch.amax(x, -1, keepdim=True) + x.amin((1, 2), keepdim=True), [X]),
    ("amax of equals", lambda x: x * (x * 0 + x[..., :1]).amax(-1, keepdim=True), [X]),
    ("max(dim)", lambda x: x.max(-1).values + x.min(-1)[0], [X]),
    ("std", lambda x: x.std(-1), [X]),
    ("norm", lambda x: x.norm(dim=-1) + torch.linalg.vector_norm(x, dim=-1), [X]),
    ("logsumexp", lambda x: x.logsumexp(-1), [X]),
    ("cumprod", lambda x: x.cumprod(-1), [X]),
    ("prod", lambda x: x.prod(-1), [X]),
]  # fmt: skip

NORMS = [
    ("torch.softmax", lambda x: torch.softmax(x, -1), [X]),
    ("torch.softmax(dim=)", lambda x: torch.softmax(input=x, dim=1), [X]),
    ("torch.softmax(dtype=)", lambda x: torch.softmax(x.float(), -1, dtype=D), [X]),
    ("torch.softmax(…, dtype)", lambda x: torch.softmax(x.float(), -1, D), [X]),
    ("x.softmax", lambda x: x.softmax(0), [X]),
    ("x.softmax(…, dtype)", lambda x: x.float().softmax(-1, D), [X]),
    ("functional.softmax", lambda x: functional.softmax(x, dim=-2), [X]),
    ("functional.softmax(dtype=)", lambda x: functional.softmax(x.float(), dim=-1, dtype=D), [X]),
    ("functional.softmax(…, 3, dtype)", lambda x: functional.softmax(x.float(), -1, 3, D), [X]),
    ("special.softmax", lambda x: torch.special.softmax(x, -1), [X]),
    ("softmax of −∞", lambda x: x.masked_fill(MASK, -torch.inf).softmax(-1), [X]),
    ("torch.log_softmax", lambda x: torch.log_softmax(x, -1), [X]),
    ("torch.log_softmax(…, dtype)", lambda x: torch.log_softmax(x.float(), -1, D), [X]),
    ("x.log_softmax(dim=)", lambda x: x.log_softmax(dim=0), [X]),
    ("functional.log_softmax", lambda x: functional.log_softmax(x, 1), [X]),
    ("special.log_softmax", lambda x: torch.special.log_softmax(x, dim=-1), [X]),
    ("functional.rms_norm", lambda x: functional.rms_norm(x, (4,)), [X]),
    ("functional.rms_norm(weight=, eps=)", lambda x: functional.rms_norm(x, [4], weight=c(4), eps=0.1), [X]),
    ("functional.rms_norm of two axes", lambda x: functional.rms_norm(x, (3, 4), c(3, 4)), [X]),
    ("torch.rms_norm", lambda x: torch.rms_norm(input=x, normalized_shape=(4,), weight=c(4), eps=1e-3), [X]),
    ("nn.RMSNorm", nn.RMSNorm(4, dtype=D), [X]),
    ("by hand", hand_made_norm, [X]),
    ("functional.layer_norm", lambda x: functional.layer_norm(x, (4,)), [X]),
    ("functional.layer_norm(weight=)", lambda x: functional.layer_norm(x, [4], weight=c(4), eps=0.1), [X]),
    ("functional.layer_norm(bias=)", lambda x: functional.layer_norm(x, (3, 4), c(3, 4), bias=c(3, 4)), [X]),
    ("torch.layer_norm", lambda x: torch.layer_norm(x, (4,), c(4), c(4), 1e-3), [X]),
    ("nn.LayerNorm", nn.LayerNorm(4, dtype=D), [X]),
    ("functional.normalize", lambda x: functional.normalize(x), [X]),
    ("functional.normalize(dim=)", lambda x: functional.normalize(input=x, dim=-1, p=2), [X]),
    ("functional.normalize(eps=)", lambda x: functional.normalize(x, dim=-1, eps=10.0), [X]),
    ("functional.group_norm", lambda x: functional.group_norm(x, 3), [X]),
    ("torch.dropout", lambda x: torch.dropout(x, 0.5, train=False), [X]),
    ("functional.dropout", lambda x: functional.dropout(x, p=0.5, training=False), [X]),
    ("functional.dropout(p=0)", lambda x: functional.dropout(x, 0.0), [X]),
    ("functional.dropout1d", lambda x: functional.dropout1d(x, training=False), [X]),
    ("functional.dropout2d", lambda x: functional.dropout2d(x[None], training=False), [X]),
    ("functional.alpha_dropout", lambda x: functional.alpha_dropout(x, 0.5, False), [X]),
    ("torch.alpha_dropout", lambda x: torch.alpha_dropout(x, 0.5, False), [X]),
    ("nn.Dropout", nn.Dropout(0.5).eval(), [X]),
]  # fmt: skip

PRODUCTS = [
    ("functional.linear", lambda x: functional.linear(x, c(5, 4)), [X]),
    ("functional.linear(bias=)", lambda x: functional.linear(input=x, weight=c(5, 4), bias=c(5)), [X]),
    ("functional.linear of a row", lambda x: functional.linear(x, c(5, 4), c(5)), [ROW]),
    ("functional.linear to a point", lambda x: functional.linear(x, c(4)), [X]),
    ("nn.Linear", nn.Linear(4, 3, dtype=D), [X]),
    ("x @ A", lambda x: x @ c(4, 5), [X]),
    ("A @ x", lambda x: c(5, 3) @ x, [X]),
    ("x @ y", lambda x, y: x @ y.mT, [X, X]),
    ("x @ matrix", lambda x, y: x @ y, [X, MATRIX]),
    ("matrix @ x", lambda x, y: x @ y, [(5, 3), X]),
    ("x @ A of more axes", lambda x: x @ c(2, 4, 5), [(3, 4)]),
    ("A of more axes @ x", lambda x: c(2, 5, 3) @ x, [(3, 4)]),
    ("x @ v", lambda x: x @ c(4), [X]),
    ("v @ x", lambda x: c(3) @ x, [X]),
    ("x @ row", lambda x, y: x @ y, [X, ROW]),
    ("row @ x", lambda x, y: x @ y, [(3,), X]),
    ("row @ A", lambda x: x @ c(4, 5), [ROW]),
    ("row @ A of more axes", lambda x: x @ c(2, 4, 5), [ROW]),
    ("A @ row", lambda x: c(2, 5, 4) @ x, [ROW]),
    ("row @ v", lambda x: x @ c(4), [ROW]),
    ("v @ row", lambda x: c(4) @ x, [ROW]),
    ("row @ row", lambda x, y: x @ y, [ROW, ROW]),
    ("torch.matmul", lambda x: torch.matmul(x, other=c(4, 2)), [X]),
    ("torch.matmul(input=, other=)", lambda x: torch.matmul(input=c(2, 3), other=x), [X]),
    ("x.matmul", lambda x, y: x.matmul(y), [X, MATRIX]),
    ("x.__rmatmul__", lambda x: x.__rmatmul__(c(5, 3)), [X]),
    ("torch.mm", lambda x: torch.mm(x, mat2=c(4, 2)), [(3, 4)]),
    ("torch.mm(input=, mat2=)", lambda x, y: torch.mm(input=x, mat2=y), [(3, 4), MATRIX]),
    ("x.mm", lambda x: x.mm(c(4, 4)), [(3, 4)]),
    ("torch.bmm", lambda x, y: torch.bmm(x, mat2=y.mT), [X, X]),
    ("x.bmm", lambda x: x.bmm(c(2, 4, 5)), [(2, 3, 4)]),
    ("torch.addmm", lambda x, y: torch.addmm(x, y, c(4, 4), beta=0.5, alpha=2), [ROW, (3, 4)]),
    ("torch.addmm(mat1=, mat2=)", lambda x: torch.addmm(input=c(4), mat1=x, mat2=c(4, 4)), [(3, 4)]),
    ("x.addmm", lambda x: x.addmm(c(3, 4), c(4, 4), alpha=0.3), [(3, 4)]),
    ("torch.mv, dot, outer", lambda x: torch.outer(x, x).mv(x) * torch.dot(x, c(4)), [ROW]),
    ("baddbmm", lambda x: torch.baddbmm(x, c(2, 3, 5), c(2, 5, 4), alpha=2), [(2, 3, 4)]),
    ("einsum", lambda x, y: torch.einsum("bij,bkj->bik", x, y), [X, X]),
    ("einsum with a constant", lambda x: torch.einsum("...j,kj->...k", x, c(5, 4)), [X]),
    ("einsum of a list", lambda x: torch.einsum("bi,bj->bij", [x, x]), [(3, 4)]),
    ("tensordot", lambda x: torch.tensordot(x, c(4, 5), dims=1), [X]),
    ("conv1d", lambda x: functional.conv1d(x, c(3, 3, 3), padding=1), [X]),
    ("bilinear", lambda x: functional.bilinear(x, x, c(2, 4, 4)), [X]),
    ("torch.linalg.solve", lambda x: torch.linalg.solve(10 * torch.eye(4, dtype=D) + x, c(4, 4)), [MATRIX]),
    ("nn.GRU", functools.partial(lambda gru, x: gru(x)[0], nn.GRU(4, 2, batch_first=True, dtype=D)), [X]),
]  # fmt: skip

ATTENTION = [
    ("attention", lambda x: sdpa(x, x, x), [X]),
    ("attention of three", sdpa, [X, X, X]),
    ("attention(query=, key=, value=)", lambda x: sdpa(query=x, key=x, value=x * 2), [X]),
    ("attention, moving queries", lambda x: sdpa(x, c(2, 3, 4), c(2, 3, 4)), [(2, 3, 4)]),
    ("attention, moving keys", lambda x: sdpa(c(2, 3, 4), x, c(2, 3, 4)), [(2, 3, 4)]),
    ("attention, moving values", lambda x: sdpa(c(2, 3, 4), c(2, 3, 4), x), [(2, 3, 4)]),
    ("attention, constant queries", lambda x, y: sdpa(c(2, 3, 4), x, y), [(2, 3, 4), (2, 3, 4)]),
    ("attention, constant keys", lambda x, y: sdpa(x, c(2, 3, 4), y), [(2, 3, 4), (2, 3, 4)]),
    ("attention, constant values", lambda x, y: sdpa(x, y, c(2, 3, 4)), [(2, 3, 4), (2, 3, 4)]),
    ("attention of heads", lambda x: sdpa(heads(x), heads(x), heads(x)), [X]),
    ("attention, causal", lambda x: sdpa(heads(x), heads(x), heads(x), is_causal=True), [X]),
    ("attention, causal, over more keys", lambda x, y: sdpa(x, y, y, None, 0.0, True), [X, ("b", 5, 4)]),
    ("attention(scale=)", lambda x: sdpa(x, x, x, scale=0.3), [X]),
    ("attention(attn_mask=)", lambda x: sdpa(x, x, x, attn_mask=LOWER), [X]),
    ("attention under a bias", lambda x: sdpa(x, x, x, LOWER.to(D)), [X]),
    ("attention to nobody", lambda x: sdpa(x, x, x, attn_mask=NOBODY), [X]),
    ("attention to nobody under a bias", lambda x: sdpa(x, x, x, attn_mask=BIAS), [X]),
    ("attention, a mask a head", lambda x: sdpa(heads(x), heads(x), heads(x), c(2, 3, 3) > -0.5), [X]),
    ("attention, grouped", lambda x: sdpa(heads(x), heads(x)[:, :1], heads(x)[:, 1:], enable_gqa=True), [X]),
    ("attention, wider values", lambda x, y: sdpa(x, x, y), [X, ("b", 3, 5)]),
    ("attention by hand", lambda x: ((x @ x.mT / 2).masked_fill(~LOWER, -torch.inf).softmax(-1) @ x), [X]),
    ("nn.MultiheadAttention",
     functools.partial(lambda f, x: f(x, x, x)[0], nn.MultiheadAttention(4, 2, batch_first=True, dtype=D)), [X]),
]  # fmt: skip

PLAIN = [
    ("shape", lambda x: x * x.shape[-1] + x.size(0) * x.ndim + x.numel() + len(x), [X]),
    ("zeros_like", lambda x: x + torch.zeros_like(x) + torch.ones_like(input=x) + torch.full_like(x, 2), [X]),
    ("new_tensor", lambda x: x * x.new_tensor([1.0, 2.0, 3.0, 4.0]) + x.new_ones(4) + x.new_full((4,), 2.0), [X]),
    ("if", lambda x: x * 2 if bool((x.sum() > 0).any()) else x * 3, [X]),
    ("argmax", lambda x: x[..., int(x.flatten().argmax()) % 4], [X]),
    ("repr", lambda x: x * len(f"{x.sum():.0f} {x}"[:3]), [(3, 4)]),
    ("isnan", lambda x: x.masked_fill(torch.isnan(x) | ~x.isfinite(), 0.0), [X]),
    ("torch.finfo", lambda x: x.clamp(torch.finfo(x.dtype).min, torch.finfo(x.dtype).max), [X]),
    ("eq", lambda x: x * (x == x) + x * (x >= 0.3) + x * torch.ne(x, 0), [X]),
    ("result_type", lambda x: x.to(torch.result_type(x, 1)), [X]),
]  # fmt: skip

TABLE = {}
for group in (*map(forms, UNARY), ARITHMETIC, ACTIVATIONS, SHAPES, SUMS, NORMS, PRODUCTS, ATTENTION, PLAIN):
    for name, f, shapes in group:
        assert name not in TABLE, name
        TABLE[name] = f, shapes
for name, view, step, shapes in VIEWS:
    TABLE[f"written through {name}" if "copy" not in name else name] = through(view, step), shapes

# what torch 2.13 cannot differentiate forwards: at x = 2 it has 6 for x² in place and ∞ for the variance over no axes,
# it refuses NumPy's scalars; the oracle is then the derivative of the same function written otherwise
OTHERWISE = {
    "x.mul_(x)": lambda x: (x * x * 2, (x * x)[..., 0] + 1),
    "torch.var over no axes": lambda x: 2 * x.var(dim=(0, 1, 2)),
    "numpy scalar": lambda x: x * c(4)[1].item() + x / c(4)[0].item(),
}


def stacks_of(shapes, k, batch):
    sizes = [[batch if s == "b" else s for s in shape] for shape in shapes]
    return [draw(size, 7 * i + batch, 1 + k) for i, size in enumerate(sizes)]


def carried(f, stacks):
    with torch.no_grad():
        return pytree.tree_leaves(f(*(joined(s.clone()) for s in stacks)))


def jvps(f, values, directions):
    """The tangents of every result along one direction after the other, by `torch.func.jvp`."""
    with differentiable():
        moved = [pytree.tree_leaves(torch.func.jvp(f, values, v)[1]) for v in directions]
    return [torch.stack(list(parts)) for parts in zip(*moved, strict=True)]


def check(f, shapes, batch, same=None, **close):
    """Compare k = 3 and k = 1 tangents with those of f, or of the same function written otherwise."""
    stacks = stacks_of(shapes, 3, batch)
    values = tuple(s[0] for s in stacks)
    with torch.no_grad():
        plain = pytree.tree_leaves(f(*(v.clone() for v in values)))
    moved = jvps(same or f, values, [tuple(s[i] for s in stacks) for i in (1, 2, 3)])
    for k in (3, 1):
        found = carried(f, [s[: 1 + k] for s in stacks])
        for got, value, tangents in zip(found, plain, moved, strict=True):
            assert type(got) is Dual
            assert got.shape == value.shape == got.stack.shape[1:]
            assert got.dtype == value.dtype == got.stack.dtype
            assert not got.stack.requires_grad
            torch.testing.assert_close(got.stack[0], value, **(close or CLOSE))
            torch.testing.assert_close(got.stack[1:], tangents[:k], **(close or CLOSE))


# -- every entry against the oracle ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLE)
def test_values_and_tangents_are_those_of_torch(name):
    f, shapes = TABLE[name]
    for batch in (1, 2) if any("b" in shape for shape in shapes) else (1,):
        check(f, shapes, batch, OTHERWISE.get(name))


class Heard(torch.Tensor):
    """A tensor that says under which name a call reaches `__torch_function__`."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return func


def arrives_as(key):
    heard = torch.ones(2).as_subclass(Heard)
    for args in ((heard, heard), (heard,)):
        try:
            return key(*args)
        except TypeError:
            continue
    return key


def test_every_rule_is_in_the_table(monkeypatch):
    """No rule is left out, save spellings that torch itself passes on under another name (`__add__` as `add`)."""
    seen = set()

    def tracked(key, found):
        @functools.wraps(found)
        def call(*args, **kwargs):
            seen.add(key)
            return found(*args, **kwargs)

        return call

    rules = {key: found for key, found in numbers.RULES.items() if key not in numbers.PLAIN}
    for key, found in rules.items():
        monkeypatch.setitem(numbers.RULES, key, tracked(key, found))
    for f, shapes in TABLE.values():
        carried(f, stacks_of(shapes, 1, 2))
    for key in rules.keys() - seen:
        assert arrives_as(key) != key, f"no entry of the table calls {key}"
        assert arrives_as(key) in seen


# -- forms without a rule ----------------------------------------------------------------------------------------------


def constant_like(x):
    return torch.zeros_like(x)


REFUSED = {
    "out=": lambda x: torch.add(x, x, out=constant_like(x)),
    "out= of a list": lambda x: torch.cat([x], out=constant_like(x)),
    "out= without a rule": lambda x: torch.tan(x, out=constant_like(x)),
    "out= of a sum": lambda x: torch.sum(x, -1, out=torch.empty(2, 3, dtype=D)),
    "relu in place": lambda x: functional.relu(x, inplace=True),
    "nn.ReLU in place": nn.ReLU(inplace=True),
    "silu in place": lambda x: functional.silu(x, True),
    "leaky_relu in place": lambda x: functional.leaky_relu(x.clone(), inplace=True),
    "hardtanh in place": lambda x: functional.hardtanh(x.clone(), -1, 1, True),
    "aten in place": lambda x: torch.ops.aten.mul_.Tensor(x.clone(), x),
    "x.zero_()": lambda x: x.clone().zero_(),
    "x.addcmul_()": lambda x: x.clone().addcmul_(x, x),
    "x.index_add_()": lambda x: x.clone().index_add_(0, ints(0), x[:1]),
    "constant += x": lambda x: constant_like(x).add_(x),
    "constant.copy_(x)": lambda x: constant_like(x).copy_(x),
    "constant[i] = x": lambda x: constant_like(x).__setitem__(0, x[0]),
    "a division that rounds": lambda x: torch.div(x, 2, rounding_mode="floor"),
    "an exponent that is a tensor": lambda x: (x + 3) ** c(4),
    "an exponent that moves": lambda x: torch.pow(2, x),
    "bounds that are tensors": lambda x: torch.clamp(x, min=c(4)),
    "bounds that move": lambda x: torch.clamp(c(3, 4), min=x),
    "dropout": lambda x: functional.dropout(x),
    "dropout(train=)": lambda x: torch.dropout(x, 0.5, train=True),
    "alpha_dropout": lambda x: functional.alpha_dropout(x, training=True),
    "bernoulli": lambda x: torch.bernoulli(x.sigmoid()),
    "a linear map that moves": lambda x: functional.linear(c(3, 4), x[0]),
    "a bias that moves": lambda x: functional.linear(c(5, 4), c(3, 4), x[0, :, 0]),
    "gains that move": lambda x: functional.rms_norm(x, (4,), x[0, 0]),
    "gains of constants that move": lambda x: functional.rms_norm(c(3, 4), (4,), x[0, 0]),
    "an offset that moves": lambda x: functional.layer_norm(x, (4,), None, x[0, 0]),
    "x.var()": lambda x: x.var(),
    "x.var(unbiased)": lambda x: torch.var(x, False),
    "normalize in another norm": lambda x: functional.normalize(x, p=1.0),
    "softmax along no axis": lambda x: functional.softmax(x),
    "a point summed": lambda x: x.sum().sum(-1),
    "a point's softmax": lambda x: x.sum().softmax(0),
    "a point beside a vector of another dtype": lambda x: x.float().sum() * c(4),
    "a point that moves beside a vector of another dtype": lambda x: x.float() * x.sum(),
    "dropout in attention": lambda x: sdpa(x, x, x, None, 0.1),
    "a mask that moves": lambda x: sdpa(x, x, x, attn_mask=x @ x.mT),
    "attention that broadcasts": lambda x: sdpa(x, c(5, 2, 3, 4), c(5, 2, 3, 4)),
    "a mask that broadcasts": lambda x: sdpa(x, x, x, attn_mask=c(5, 2, 3, 3)),
    "several arrays in one index": lambda x: x[ints(0, 1), ints(2, 0)],
    "lists in lists as an index": lambda x: x[[[0, 1], [1, 0]]],
    "a view as another dtype": lambda x: x.view(torch.int64),
    "a view as another dtype, named": lambda x: x.view(dtype=torch.int64),
    "a conjugate view": lambda x: torch.view_as_complex(x.unflatten(-1, (2, 2))).conj(),
    "x.detach()": lambda x: x.detach(),  # a custom Function may hand it to NumPy, and have a derivative all the same
    "torch.detach(x)": lambda x: x * torch.detach(x),
    "aten.detach": lambda x: torch.ops.aten.detach(x),
    "torch.tensor([x])": lambda x: torch.tensor([x.sum(), 1.0]),
    "torch.from_dlpack(x)": lambda x: torch.from_dlpack(x),
    "x.new_tensor([x])": lambda x: x.new_tensor([x.sum(), 1.0]),
    "full_like by a point": lambda x: torch.full_like(x, x.sum()),
    "new_full by a point": lambda x: x.new_full((3,), x.sum()),
    "full by a point": lambda x: torch.full((3,), x.sum()),
    "a slope that moves": lambda x: functional.leaky_relu(x, x.sum()),
    "alpha that moves": lambda x: torch.add(x, x, alpha=x.sum()),
    "value= that moves": lambda x: torch.addcmul(x, x, c(4), value=x.sum()),
    "beta that moves": lambda x: functional.softplus(x, x.sum()),
    "eps that moves": lambda x: functional.rms_norm(x, (4,), eps=x.abs().sum()),
    "a scale that moves": lambda x: sdpa(x, x, x, scale=x.sum()),
    "nn.Parameter(x)": lambda x: nn.Parameter(x),
    "torch.func": lambda x: torch.func.grad(lambda y: (y**3).sum())(x),
    "autograd": lambda x: torch.autograd.grad(x.requires_grad_().sum(), x),
    "deepcopy": lambda x: copy.deepcopy(x),
    "complex variance": lambda x: torch.view_as_complex(x.unflatten(-1, (2, 2))).var(-1),
    "complex norm": lambda x: functional.normalize(torch.view_as_complex(x.unflatten(-1, (2, 2)))),
    "repeat_interleave(output_size=)": lambda x: x.repeat_interleave(2, 0, output_size=4),
    "gather(sparse_grad=)": lambda x: x.gather(0, torch.zeros(1, 1, 1, dtype=torch.long), sparse_grad=True),
    "x.data": lambda x: x.data,
    "x.grad": lambda x: x.grad,
    "x.item()": lambda x: x.sum().item(),
    "float(x)": lambda x: float(x.sum()),
    "if x": lambda x: 1 if x.sum() else 0,
    "x.tolist()": lambda x: x.tolist(),
    "x.numpy()": lambda x: x.numpy(),
    "np.asarray(x)": lambda x: np.asarray(x),
    "array - x": lambda x: np.ones(4) - x,
    "x.__rsub__(array)": lambda x: x.__rsub__(np.ones(4)),
    "vmap": lambda x: torch.vmap(torch.sin)(x),
    "torch.cdist": lambda x: torch.cdist(x, c(5, 4)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_rule_is_refused_by_name(name):
    (stack,) = stacks_of([X], 2, 2)
    with pytest.raises(NoRuleError) as caught, torch.no_grad():
        REFUSED[name](joined(stack))
    assert isinstance(caught.value, DerivativeError)
    assert "\n" not in str(caught.value)


def test_scripted_code_does_not_take_the_value_alone():
    """TorchScript calls kernels past `__torch_function__`."""
    scripted = torch.jit.script(scriptable)
    (stack,) = stacks_of([X], 2, 2)
    with pytest.raises(RuntimeError, match="TorchScript"):
        push_stack(lambda x: x + scripted(x), stack)


def scriptable(x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x) * x


# -- one pass through a whole function ---------------------------------------------------------------------------------


def test_push_stack_is_the_value_and_the_products():
    (stack,) = stacks_of([X], 3, 2)
    weights = [nn.Parameter(c(4, 4)), nn.Parameter(c(4))]
    found = push_stack(lambda x: functional.linear(x, *weights).tanh(), stack.clone())
    y = torch.tanh(stack[0] @ c(4, 4).T + c(4))
    torch.testing.assert_close(found[0], y.detach(), **CLOSE)
    torch.testing.assert_close(found[1:], stack[1:] @ c(4, 4).T * (1 - y**2), **CLOSE)
    assert not found.requires_grad
    assert torch.is_grad_enabled()


def test_push_stack_of_the_identity_is_the_stack():
    (stack,) = stacks_of([X], 3, 2)
    assert torch.equal(push_stack(lambda x: x, stack.clone()), stack)


@pytest.mark.parametrize(
    "f",
    [torch.zeros_like, torch.sign, lambda x: x.shape],
    ids=["constant", "sign", "no tensor"],
)
def test_lost_tangents_are_noticed(f):
    (stack,) = stacks_of([X], 3, 2)
    with pytest.raises(NoRuleError, match="lost"):
        push_stack(f, stack)


# -- compositions ------------------------------------------------------------------------------------------------------


def scaled_attention(x):
    q, k, v = (functional.linear(x, c(n, 4)[:4]).unflatten(-1, (2, 2)).transpose(1, 2) for n in (4, 5, 6))
    mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    return x + mixed.transpose(1, 2).flatten(-2)


def gated(x):
    a, b = functional.linear(x, c(8, 4)).chunk(2, dim=-1)
    return functional.silu(a) * b


def written(x):
    y = x.clone()
    y[..., 0] = x[..., 1] * x[..., 2]
    y[:, 0] *= 0.5
    return y


def summed_in_place(x):
    y = x * 0.5
    y += x.mean(-1, keepdim=True)
    y.view(-1).sub_(0.1)
    return y


STEPS = [
    scaled_attention,
    gated,
    written,
    summed_in_place,
    lambda x: functional.rms_norm(x, (4,), c(4), 1e-2),
    lambda x: functional.layer_norm(x, (4,), c(4), c(4), 1e-2),
    lambda x: x + functional.gelu(functional.linear(x, c(4, 4), c(4))),
    lambda x: x.softmax(1) * x,
    lambda x: x.roll(1, 1) - 0.5 * x,
    lambda x: torch.cat([x[..., 2:], -x[..., :2]], dim=-1),
    lambda x: torch.where(x > 0, x.tanh(), 0.1 * x),
    lambda x: x.cumsum(1) / (1 + x.square().sum(1, keepdim=True)),
    lambda x: torch.einsum("bij,bkj->bik", x, x).sigmoid() @ x,
    lambda x: x.transpose(1, 2).reshape(x.shape[0], -1, 4).contiguous() * c(4),
    lambda x: torch.stack([t.clamp(-1, 1) * 2 for t in x.unbind(1)], 1),
    lambda x: (x**2 + 1).log() - functional.normalize(x, dim=-1, eps=1e-2),
    lambda x: x / x.abs().amax(-1, keepdim=True).clamp_min(0.1),
]


@settings(max_examples=60)
@given(
    steps=st.lists(st.sampled_from(range(len(STEPS))), min_size=2, max_size=8),
    batch=st.integers(1, 3),
    tokens=st.integers(1, 4),
)
def test_compositions_are_carried_like_their_parts(steps, batch, tokens):
    def f(x):
        for i in steps:
            x = STEPS[i](x)
        return x

    check(f, [("b", tokens, 4)], batch, rtol=1e-8, atol=1e-8)
