"""Arguments of the wrong kind, refused in one line that names the argument, what it is, the rule and the remedy."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from dynloop.errors import InvalidArgumentError

__all__ = ["checked_function", "checked_int", "checked_kind", "checked_list", "checked_numbers", "checked_path"]

Kind = TypeVar("Kind")


def checked_kind(value: Any, kinds: type[Kind] | tuple[type[Kind], ...], argument: str, remedy: str) -> Kind:
    """Return `value`, given as `argument`, if it is of one of the kinds; raise otherwise."""
    if isinstance(value, kinds):
        return value
    names = [kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,))]
    article = "an" if names[0][0] in "AEIOU" else "a"
    raise InvalidArgumentError(
        f"{argument} must be {article} {' or '.join(names)}; got {type(value).__name__}. {remedy}"
    )


def checked_int(
    value: Any, argument: str, least: int | None = None, most: int | None = None, *, meaning: str = "", remedy: str = ""
) -> int:
    """Return `value` if it is an int, NumPy's or Python's but no bool, from `least` to `most`; raise otherwise.

    The message says what the int means where `meaning` does; without a remedy it is to pass the least one.
    """
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        number = int(value)
        if (least is None or number >= least) and (most is None or number <= most):
            return number
    if most is not None:
        rule = f"an int from {least} to {most}"
    elif least == 1:
        rule = "a positive int"
    else:
        rule = "an int" if least is None else f"an int of at least {least}"
    first = 0 if least is None else least
    said = remedy or f"Pass {argument}={first}" + (" or more" if most is None and least is not None else "")
    raise InvalidArgumentError(f"{argument} must be {rule}{meaning and f', {meaning}'}; got {_said(value)}. {said}")


def checked_list(values: Any, argument: str, what: str, remedy: str) -> list[Any]:
    """Return what `values` holds if it is a sequence or its like, text and mappings not among them; raise otherwise."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise InvalidArgumentError(f"{argument} must be a list of {what}; got {_said(values)}. {remedy}")
    try:
        return list(values)
    except TypeError:  # an array or a tensor of no axis
        raise InvalidArgumentError(f"{argument} must be a list of {what}; got {_said(values)}. {remedy}") from None


def checked_numbers(values: Any, argument: str) -> npt.NDArray[np.float64]:
    """Return a float64 copy of an array, a tensor or nested lists of real numbers; raise otherwise."""
    if hasattr(values, "detach"):  # of torch, whose dtypes NumPy does not all have
        values = values.detach().cpu()
        values = (values if values.is_complex() else values.double()).numpy()
    try:
        given = np.asarray(values)
        if given.dtype.kind != "c":
            return np.array(given, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError):
        raise InvalidArgumentError(
            f"{argument} must be an array of numbers; got {type(values).__name__}. Convert it with numpy.asarray"
        ) from None
    raise InvalidArgumentError(f"{argument} must be real numbers; got complex ones. Stack real and imaginary parts")


def checked_path(value: Any, argument: str, remedy: str) -> Path:
    """Return `value` as a path if it is text or path-like; raise otherwise."""
    if isinstance(value, str | os.PathLike):
        return Path(value)
    raise InvalidArgumentError(f"{argument} must be a path; got {type(value).__name__}. {remedy}")


def checked_function(value: Any, argument: str, form: str, count: int) -> Callable[..., Any]:
    """Return `value` if it can be called with `count` arguments, as far as its signature tells; raise otherwise."""
    if not callable(value):
        raise InvalidArgumentError(
            f"{argument} must be a function {form}; got {_said(value)}. Write one that is called so"
        )
    function: Callable[..., Any] = value
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):  # what is written in C may have none
        return function
    try:
        signature.bind(*[None] * count)
    except TypeError as error:
        raise InvalidArgumentError(
            f"{argument} must be a function {form}; got one that cannot be called so ({error}). Give it that form"
        ) from None
    return function


def _said(value: Any) -> str:
    """Say a number or a short text as it is written, everything else by its type: messages are one line."""
    value = value.item() if isinstance(value, np.generic) else value
    shown = repr(value) if isinstance(value, str | int | float | None) else ""
    return shown if 0 < len(shown) <= 60 else type(value).__name__
