"""Reading prompts: arrays named as the model's own inputs, one prompt without a batch axis."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from dynloop.errors import PromptError

__all__ = ["named_inputs", "numbers", "token_ids"]


def named_inputs(
    prompt: Any, where: str, *, required: Collection[str], optional: Collection[str] = ()
) -> dict[str, Any]:
    """Return the inputs of a prompt that must be a mapping with the given keys.

    Raises
    ------
    PromptError
        If `prompt` is no mapping, lacks a required input or names one that the model does not read.
    """
    expected = f"a dict of {', '.join(required)}" + (f" (and, if wanted, {', '.join(optional)})" if optional else "")
    if not isinstance(prompt, Mapping):
        raise PromptError(f"{where} reads {expected}; got {_brief(prompt)}")
    for key in required:
        if key not in prompt:
            raise PromptError(f"{where} reads {expected}; {key} is missing")
    for key in prompt:
        if key not in required and key not in optional:
            raise PromptError(f"{where} reads {expected}; it has no input {key!r}, so leave that out")
    return dict(prompt)


def token_ids(
    value: Any, where: str, *, vocabulary: int, context: int, name: str = "input_ids"
) -> npt.NDArray[np.int64]:
    """Return token ids ``(tokens,)``.

    Parameters
    ----------
    value : array of int, (tokens,)
    where : str
        What messages call the checkpoint.
    vocabulary : int
        Ids lie in ``0 … vocabulary − 1``.
    context : int
        The largest number of tokens.
    name : str
        The name of the input.

    Raises
    ------
    PromptError
        If it is not one row of such ids, or longer than the context.
    """
    array = _array(value, where, name)
    if array.dtype == bool and vocabulary == 2:  # a mask
        array = array.astype(np.int64)
    if array.size == 0:
        raise PromptError(f"{where}: {name} is empty; give at least one token")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        hint = f". Leave the batch axis out: {name}[0]" if array.ndim == 2 and len(array) == 1 else ""
        raise PromptError(f"{where}: {name} must be integers of shape (tokens,); got {_brief(array)}{hint}")
    if array.size > context:
        raise PromptError(
            f"{where}: the prompt has {array.size} tokens, and the model has positions for {context}; shorten it"
        )
    outside = array[(array < 0) | (array >= vocabulary)]
    if outside.size:
        raise PromptError(f"{where}: {name} holds {outside[0]}; ids lie in 0 … {vocabulary - 1}, so give others")
    return array.astype(np.int64)


def numbers(value: Any, where: str, name: str, shape: tuple[int | None, ...]) -> npt.NDArray[np.float64]:
    """Return finite real numbers of the given shape; None stands for any size.

    Raises
    ------
    PromptError
        If the shape differs or an entry is NaN or infinite.
    """
    array = _array(value, where, name)
    fits = array.ndim == len(shape) and all(want in (None, got) for want, got in zip(shape, array.shape, strict=True))
    if not fits or array.size == 0 or array.dtype.kind not in "iuf":
        wanted = ", ".join("n" if s is None else str(s) for s in shape) + ("," if len(shape) == 1 else "")
        hint = f". Leave the batch axis out: {name}[0]" if array.ndim == len(shape) + 1 and len(array) == 1 else ""
        raise PromptError(f"{where}: {name} must be numbers of shape ({wanted}); got {_brief(array)}{hint}")
    if not np.isfinite(array).all():
        raise PromptError(f"{where}: {name} holds NaN or infinity; every entry must be finite")
    return array.astype(np.float64)


def _array(value: Any, where: str, name: str) -> npt.NDArray[Any]:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        raise PromptError(f"{where}: {name} is no array of numbers; every row must have the same length") from None


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return f"a {type(value).__name__}" + (f" {value[:30]!r}" if isinstance(value, str) else "")
