"""The dual tensor: a tensor that carries k tangents through every operation applied to it.

Forward mode with all tangents at once (Wengert 1964; for vector mode Griewank and Walther, *Evaluating Derivatives*,
2008, §3.2). Value and tangents lie in one array, so a linear layer is one matrix product for all of them. A rule says
how a torch function acts on such an array; functions without a rule are differentiated by `torch.func`, one by one.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import lru_cache, wraps
from typing import Any, NoReturn, TypeVar

import torch
from torch.nn import functional
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from dynloop.errors import DerivativeError

__all__ = ["PLAIN", "RULES", "Dual", "NoRuleError", "Rule", "aligned", "joined", "names_of", "rule", "value_of"]

Rule = Callable[..., Any]
R = TypeVar("R", bound=Rule)
RULES: dict[Any, Rule] = {}
PLAIN: set[Any] = set()
_NAMESPACES = (torch, torch.Tensor, functional, torch._C._nn, torch.special)
_NAMES = {
    "input": "x", "self": "x", "a": "x", "x1": "x", "other": "y", "x2": "y", "mat2": "y",
    "axis": "dim", "keepdims": "keepdim", "axis0": "dim0", "axis1": "dim1", "train": "training",
    "size": "shape", "repeats": "sizes", "dims": "sizes", "split_size": "split_size_or_sections",
}  # fmt: skip  # what torch calls an argument, and what the rules call it


class NoRuleError(DerivativeError):
    """A dual tensor met an operation that it cannot be carried through."""


class Dual(torch.Tensor):
    """A tensor with its derivatives along k directions; to its user it looks like the tensor alone.

    Attributes
    ----------
    stack : Tensor, (1 + k, *shape)
        The value, then its k tangents. The tensor itself is ``stack[0]``.
    """

    stack: torch.Tensor
    # read at every step: plain properties cost a twentieth of the way through `__torch_function__`
    shape = property(lambda self: self.stack.shape[1:])
    dtype = property(lambda self: self.stack.dtype)
    device = property(lambda self: self.stack.device)
    ndim = property(lambda self: self.stack.ndim - 1)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry the tangents through a torch function."""
        found = RULES.get(func)
        if found is None:
            return _without_rule(func, args, kwargs or {})
        try:
            return _by_name(found, args, kwargs) if kwargs else found(*args)
        except TypeError as error:
            if func in PLAIN:
                raise
            raise NoRuleError(f"no rule for {func.__name__!r} called in this way: {error}") from error

    @classmethod
    def __torch_dispatch__(  # type: ignore[override] # torch annotates the method as though it were no class method
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> NoReturn:
        """Refuse what passes the rules by, such as scripted code or vmap: it would see the value alone."""
        raise NoRuleError(f"no derivative through {func}, which acts on the value alone")


def joined(stack: torch.Tensor) -> Dual:
    """Return the dual tensor of a stack ``(1 + k, *shape)``."""
    dual: Dual = torch.Tensor._make_subclass(Dual, stack[0])
    dual.stack = stack
    return dual


def value_of(x: Any) -> Any:
    """Return the value of a dual tensor; anything else as it is."""
    return x.stack[0] if isinstance(x, Dual) else x


def aligned(x: Dual, rank: int) -> torch.Tensor:
    """Return the stack of `x` with axes of length 1 behind the first, so that it broadcasts against `rank` axes."""
    stack = x.stack
    missing = rank + 1 - stack.ndim
    return stack if missing <= 0 else stack.reshape(stack.shape[0], *[1] * missing, *stack.shape[1:])


def rule(*names: str, in_place: bool = False) -> Callable[[R], R]:
    """Register a rule for the torch functions and methods of these names, wherever torch keeps them.

    Parameters
    ----------
    *names : str
        What torch calls the function.
    in_place : bool
        Whether the methods ``name_`` follow the rule too; it must keep the shape of its first argument.
    """

    def register(f: R) -> R:
        for name in names:
            for found in names_of(name):
                RULES[found] = f
            for method in (f"{name}_", f"__i{name}__") if in_place else ():
                if hasattr(torch.Tensor, method):
                    RULES[getattr(torch.Tensor, method)] = _written_back(f)
        return f

    return register


def names_of(name: str) -> Iterator[Any]:
    """Yield the functions and methods of a name, and what reads a property of it."""
    for namespace in _NAMESPACES:
        found = getattr(namespace, name, None)
        if callable(found):
            yield found
        elif namespace is torch.Tensor and found is not None:
            yield found.__get__


@lru_cache(None)
def _kinds(f: Rule) -> Mapping[str, Any]:
    """Return the kind of every parameter of a rule."""
    return {name: parameter.kind for name, parameter in inspect.signature(f).parameters.items()}


def _by_name(f: Rule, args: Any, kwargs: Mapping[str, Any]) -> Any:
    """Call a rule with keywords that are torch's."""
    kinds, named = _kinds(f), {}
    for name, value in kwargs.items():
        if name == "out" and value is not None:
            raise NoRuleError("no rule for a result written into a given tensor")
        if name != "out":
            own = _NAMES.get(name, name)
            named[own if name not in kinds and own in kinds else name] = value
    many = [name for name, kind in kinds.items() if kind is inspect.Parameter.VAR_POSITIONAL and name in named]
    if many:  # ``f(x, shape=(2, 3))``
        args = (*(args or (named.pop("x"),)), named.pop(many[0]))
    return f(*args, **named)


def _written_back(f: Rule) -> Rule:
    @wraps(f)
    def call(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, Dual):
            raise NoRuleError("no rule for writing into a tensor that was made without tangents")
        x.stack.copy_(f(x, *args, **kwargs).stack)
        return x

    return call


def _without_rule(func: Any, args: Any, kwargs: Any) -> Any:
    """Differentiate one function by vmap(jvp) along the tangents of its arguments."""
    name = getattr(func, "__name__", str(func))
    if name in ("__get__", "__set__") or (name.endswith("_") and not name.endswith("__")):
        raise NoRuleError(f"no derivative through {name!r} in place")
    leaves, tree = pytree.tree_flatten((args, kwargs))
    before = _versions(leaves)
    where = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Dual)]
    stacks = [leaves[i].stack for i in where]

    def of_values(*values: torch.Tensor) -> Any:
        filled = list(leaves)
        for i, value in zip(where, values, strict=True):
            filled[i] = value
        inner_args, inner_kwargs = pytree.tree_unflatten(filled, tree)
        return func(*inner_args, **inner_kwargs)

    values = tuple(stack[0] for stack in stacks)
    along = torch.func.vmap(
        lambda *tangents: torch.func.jvp(of_values, values, tangents),
        in_dims=0,
        out_dims=(None, 0),  # type: ignore[arg-type] # None is allowed, the type says int
    )
    points = any(stack.ndim == 1 for stack in stacks)
    reading = _NoReading() if points else nullcontext()  # type: ignore[no-untyped-call] # torch's class has no types
    try:
        with warnings.catch_warnings(), reading:
            warnings.filterwarnings("ignore", "There is a performance drop", UserWarning)
            warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
            out, tangents = along(*(stack[1:] for stack in stacks))  # type: ignore[misc] # vmap is typed to return one tensor
    except Exception as error:  # torch raises many kinds here; the caller has another way to differentiate
        raise NoRuleError(f"no derivative through {name!r}: {(str(error).splitlines() or ['?'])[0]}") from error
    if _versions(leaves) != before:
        raise NoRuleError(f"no derivative through {name!r} in place")
    pairs = zip(pytree.tree_leaves(out), pytree.tree_leaves(tangents), strict=True)
    made = [_rejoined(value, tangent, stacks) for value, tangent in pairs]
    return pytree.tree_unflatten(made, pytree.tree_structure(out))


class _NoReading(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch's class has no types
    """Refuses functions that read a tensor of no axes as a number, for its tangents would be lost."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default and args[0].is_floating_point():
            raise NoRuleError("a tensor is read as a number")
        return func(*args, **(kwargs or {}))


def _versions(leaves: list[Any]) -> list[int]:
    """Return how often every tensor has been written into."""
    tensors = (leaf.stack if isinstance(leaf, Dual) else leaf for leaf in leaves)
    return [t._version for t in tensors if isinstance(t, torch.Tensor) and not t.is_inference()]


def _rejoined(value: torch.Tensor, tangent: torch.Tensor, stacks: list[torch.Tensor]) -> torch.Tensor:
    """Return a result as a dual tensor: a view stays a view, and what is no real or complex number has no tangents."""
    if not (value.is_floating_point() or value.is_complex()):
        return value
    memory = value.untyped_storage().data_ptr()
    for stack in stacks:
        if memory and stack.untyped_storage().data_ptr() == memory:
            sizes, strides = (len(stack), *value.shape), (stack.stride(0), *value.stride())
            odd = value.dtype != stack.dtype or value.is_conj() or value.is_neg()
            view = stack if odd else stack.as_strided(sizes, strides, value.storage_offset())
            if odd or not torch.equal(view[1:], tangent):
                raise NoRuleError("no rule for this view")
            return joined(view)
    return joined(torch.cat([value[None], tangent]))
