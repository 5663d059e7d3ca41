"""Views, pieces and stacks: operations that move numbers and do not change them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from dynloop.maps.dual.arithmetic import constant
from dynloop.maps.dual.numbers import Dual, NoRuleError, joined, rule, value_of


def axis(d: int, x: Dual) -> int:
    """Return the axis of the stack of `x` that is axis `d` of the tensor."""
    rank = x.stack.ndim - 1
    if not -rank <= d < rank:
        raise NoRuleError(f"no rule for axis {d} of a tensor of {rank} axes")
    return d + 1 if d >= 0 else d


def _sizes(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """Return the sizes of ``f(2, 3)`` and ``f((2, 3))`` alike."""
    return tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else tuple(shape)


def _every(dims: Any, x: Dual) -> tuple[int, ...]:
    """Return the axes of the stack that are an axis, or some, of the tensor."""
    return (axis(dims, x),) if isinstance(dims, int) else tuple(axis(d, x) for d in dims)


@rule("reshape", "view", "_unsafe_view")
def reshape(x: Dual, *shape: Any) -> Dual:
    """Return x in another shape."""
    if shape and isinstance(shape[0], torch.dtype):
        raise NoRuleError("no derivative through a view in another dtype")
    sizes = _sizes(shape)
    stack = x.stack
    if -1 in sizes and stack.shape[0] and stack[0].numel():
        known = -1
        for s in sizes:
            known *= s
        sizes = tuple(stack[0].numel() // known if s == -1 else s for s in sizes)
    return joined(stack.reshape(stack.shape[0], *sizes))


@rule("view_as", "reshape_as")
def reshape_as(x: Any, other: Any) -> Any:
    """Return x in the shape of another."""
    return x.reshape(value_of(other).shape)


@rule("expand", "broadcast_to")
def expand(x: Dual, *shape: Any) -> Dual:
    """Return x repeated along axes of length 1."""
    sizes, stack = _sizes(shape), x.stack
    missing = len(sizes) + 1 - stack.ndim
    stack = stack.reshape(stack.shape[0], *[1] * missing, *stack.shape[1:])
    return joined(stack.expand(stack.shape[0], *sizes))


@rule("expand_as")
def expand_as(x: Any, other: Any) -> Any:
    """Return x repeated to the shape of another, whose tangents do not matter."""
    return x.expand(value_of(other).shape)


@rule("flatten")
def flatten(x: Dual, start_dim: int = 0, end_dim: int = -1) -> Dual:
    """Return x with a run of axes made one."""
    if x.stack.ndim == 1:
        return joined(x.stack[:, None])
    return joined(torch.flatten(x.stack, axis(start_dim, x), axis(end_dim, x)))


@rule("unflatten")
def unflatten(x: Dual, dim: int, sizes: Any) -> Dual:
    """Return x with one axis made several."""
    return joined(torch.unflatten(x.stack, axis(dim, x), sizes))


@rule("transpose", "swapaxes", "swapdims")
def transpose(x: Dual, dim0: int, dim1: int) -> Dual:
    """Return x with two axes exchanged."""
    return joined(x.stack.transpose(axis(dim0, x), axis(dim1, x)))


@rule("permute")
def permute(x: Dual, *dims: Any) -> Dual:
    """Return x with its axes in another order."""
    return joined(x.stack.permute(0, *(axis(d, x) for d in _sizes(dims))))


@rule("movedim", "moveaxis")
def movedim(x: Dual, source: Any, destination: Any) -> Dual:
    """Return x with axes moved."""
    return joined(torch.movedim(x.stack, _every(source, x), _every(destination, x)))


@rule("t")
def t(x: Dual) -> Dual:
    """Return the transpose of a matrix."""
    return joined(x.stack.mT) if x.stack.ndim == 3 else x


@rule("unsqueeze")
def unsqueeze(x: Dual, dim: int) -> Dual:
    """Return x with a new axis."""
    return joined(x.stack.unsqueeze(dim + 1 if dim >= 0 else dim))


@rule("squeeze")
def squeeze(x: Dual, dim: Any = None) -> Dual:
    """Return x without axes of length 1."""
    rank = x.stack.ndim
    gone = {d % rank for d in (range(1, rank) if dim is None else _every(dim, x))}
    return joined(x.stack.reshape([s for d, s in enumerate(x.stack.shape) if s != 1 or d not in gone]))


@rule("chunk")
def chunk(x: Dual, chunks: int, dim: int = 0) -> tuple[Dual, ...]:
    """Return x cut into a number of pieces."""
    return tuple(joined(part) for part in x.stack.chunk(chunks, axis(dim, x)))


@rule("split")
def split(tensor: Dual, split_size_or_sections: Any, dim: int = 0) -> tuple[Dual, ...]:
    """Return a tensor cut into pieces of given length."""
    return tuple(joined(part) for part in torch.split(tensor.stack, split_size_or_sections, axis(dim, tensor)))


@rule("unbind")
def unbind(x: Dual, dim: int = 0) -> tuple[Dual, ...]:
    """Return the slices of x along an axis."""
    return tuple(joined(part) for part in x.stack.unbind(axis(dim, x)))


@rule("narrow")
def narrow(x: Dual, dim: int, start: int, length: int) -> Dual:
    """Return a run of x along an axis."""
    return joined(x.stack.narrow(axis(dim, x), start, length))


@rule("select")
def select(x: Dual, dim: int, index: int) -> Dual:
    """Return one slice of x."""
    return joined(x.stack.select(axis(dim, x), index))


def _index(index: Any) -> tuple[Any, ...]:
    """Return the index of the stack; at most one array may stand in it, else its axes would come out elsewhere."""
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(i, Dual) for i in parts):
        raise NoRuleError("no rule for an index that depends on the state")
    if sum(not isinstance(i, int | slice | type(None) | type(Ellipsis)) or isinstance(i, bool) for i in parts) > 1:
        raise NoRuleError("no rule for several arrays in one index")
    if any(isinstance(i, list) and not all(isinstance(j, int) for j in i) for i in parts):
        raise NoRuleError("no rule for lists in lists as an index, which torch reads in more than one way")
    return (slice(None), *parts)


@rule("__getitem__")
def getitem(x: Any, index: Any) -> Dual:
    """Return x[index]."""
    if not isinstance(x, Dual):
        raise NoRuleError("no rule for an index that depends on the state")
    return joined(x.stack[_index(index)])


@rule("__setitem__")
def setitem(x: Any, index: Any, value: Any) -> None:
    """Write into x, whose views see it as torch's do."""
    if not isinstance(x, Dual):
        raise NoRuleError("no rule for writing into a tensor that was made without tangents")
    where = _index(index)
    if isinstance(value, Dual):
        rank, (k, *sizes) = x.stack[where].ndim - 1, value.stack.shape
        more = len(sizes) - rank  # axes of length 1 that torch lets the written tensor have in front
        x.stack[where] = value.stack.reshape(k, *[1] * -more, *sizes[max(0, more) :])
    else:
        x.stack[where] = 0
        x.stack[(0, *where[1:])] = value


@rule("index_select")
def index_select(x: Dual, dim: int, index: torch.Tensor) -> Dual:
    """Return chosen slices of x along an axis."""
    return joined(x.stack.index_select(axis(dim, x), index))


@rule("gather")
def gather(x: Dual, dim: int, index: torch.Tensor) -> Dual:
    """Return chosen entries of x along an axis."""
    return joined(torch.gather(x.stack, axis(dim, x), index.expand(x.stack.shape[0], *index.shape)))


@rule("repeat", "tile")
def repeat(x: Dual, *sizes: Any) -> Dual:
    """Return copies of x side by side."""
    times, stack = _sizes(sizes), x.stack
    missing = max(0, len(times) + 1 - stack.ndim)
    stack = stack.reshape(stack.shape[0], *[1] * missing, *stack.shape[1:])
    return joined(stack.repeat(1, *[1] * (stack.ndim - 1 - len(times)), *times))


@rule("repeat_interleave")
def repeat_interleave(x: Dual, repeats: Any, dim: int | None = None) -> Dual:
    """Return x with every entry along an axis repeated."""
    if dim is None:
        return joined(x.stack.flatten(1).repeat_interleave(repeats, 1))
    return joined(x.stack.repeat_interleave(repeats, axis(dim, x)))


@rule("roll")
def roll(x: Dual, shifts: Any, dims: Any = ()) -> Dual:
    """Return x shifted round along axes, or as one row where none is named."""
    axes = _every(dims, x)
    if not axes:
        return joined(torch.roll(x.stack.flatten(1), shifts, 1).reshape(x.stack.shape))
    return joined(torch.roll(x.stack, shifts, axes))


@rule("flip")
def flip(x: Dual, *dims: Any) -> Dual:
    """Return x in reverse along axes."""
    return joined(torch.flip(x.stack, _every(_sizes(dims), x)))


@rule("tril")
def tril(x: Dual, diagonal: int = 0) -> Dual:
    """Return x with zeros above a diagonal."""
    return joined(x.stack.tril(diagonal))


@rule("triu")
def triu(x: Dual, diagonal: int = 0) -> Dual:
    """Return x with zeros below a diagonal."""
    return joined(x.stack.triu(diagonal))


@rule("contiguous")
def contiguous(x: Dual, **_: Any) -> Dual:
    """Return x, laid out in order; itself if it is."""
    return x if x.stack[0].is_contiguous() else joined(x.stack.contiguous())


@rule("clone")
def clone(x: Dual, **_: Any) -> Dual:
    """Return a copy of x."""
    return joined(x.stack.clone())


@rule("to")
def to(x: Any, *args: Any, **kwargs: Any) -> Any:
    """Return x in another dtype or on another device; in a dtype without fractions it has no tangents."""
    args, kwargs = tuple(map(value_of, args)), {name: value_of(a) for name, a in kwargs.items()}
    if not isinstance(x, Dual):
        return x.to(*args, **kwargs)
    found = x.stack.to(*args, **kwargs)
    return joined(found) if found.is_floating_point() or found.is_complex() else found[0]


@rule("type_as")
def type_as(x: Any, other: Any) -> Any:
    """Return x in the dtype of another."""
    return x.to(value_of(other).dtype)


@rule("float")
def as_float(x: Dual) -> Dual:
    """Return x in float32."""
    return joined(x.stack.float())


@rule("double")
def as_double(x: Dual) -> Dual:
    """Return x in float64."""
    return joined(x.stack.double())


@rule("bfloat16")
def as_bfloat16(x: Dual) -> Dual:
    """Return x in bfloat16."""
    return joined(x.stack.bfloat16())


@rule("half")
def as_half(x: Dual) -> Dual:
    """Return x in float16."""
    return joined(x.stack.half())


def _duals(parts: Sequence[Any]) -> list[torch.Tensor]:
    """Return the stacks of a sequence of tensors, those without tangents filled up with zeros."""
    like = next(part for part in parts if isinstance(part, Dual))
    return [part.stack if isinstance(part, Dual) else constant(part, like).stack for part in parts]


@rule("cat", "concat", "concatenate")
def cat(tensors: Sequence[Any], dim: int = 0) -> Dual:
    """Return tensors joined along an axis."""
    like = next(part for part in tensors if isinstance(part, Dual))
    return joined(torch.cat(_duals(tensors), axis(dim, like)))


@rule("stack")
def stack(tensors: Sequence[Any], dim: int = 0) -> Dual:
    """Return tensors stacked on a new axis."""
    return joined(torch.stack(_duals(tensors), dim + 1 if dim >= 0 else dim))


@rule("view_as_real")
def view_as_real(x: Dual) -> Dual:
    """Return complex numbers as pairs."""
    return joined(torch.view_as_real(x.stack))


@rule("view_as_complex")
def view_as_complex(x: Dual) -> Dual:
    """Return pairs as complex numbers."""
    return joined(torch.view_as_complex(x.stack))


@rule("mT")
def matrix_transpose(x: Dual) -> Dual:
    """Return x with its last two axes exchanged."""
    return joined(x.stack.mT)


@rule("T")
def reverse_axes(x: Dual) -> Dual:
    """Return x with its axes reversed."""
    return joined(x.stack.permute(0, *range(x.stack.ndim - 1, 0, -1)))
