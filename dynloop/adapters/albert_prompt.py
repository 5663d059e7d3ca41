"""The prompt of an ALBERT: token ids, and if wanted the attention mask and the segments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dynloop.adapters.albert_config import Options
from dynloop.adapters.base import Source
from dynloop.adapters.prompts import named_inputs, token_ids
from dynloop.adapters.text import tokenize
from dynloop.errors import PromptError

__all__ = ["DEFAULT_SEED", "DEFAULT_TOKENS", "Prompt", "read_prompt"]

DEFAULT_SEED = 0
DEFAULT_TOKENS = 16
_OPTIONAL = ("attention_mask", "token_type_ids")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Prompt:
    """A checked prompt.

    Attributes
    ----------
    inputs : dict of str to ndarray of int64, (tokens,)
        ``input_ids``, ``attention_mask`` and ``token_type_ids``.
    tokens : tuple of str or int
        One a position.
    said : str
        The prompt in words.
    """

    inputs: dict[str, npt.NDArray[np.int64]]
    tokens: tuple[str | int, ...]
    said: str


def read_prompt(prompt: Any, source: Source, options: Options) -> Prompt:
    """Check a prompt, or draw the default one.

    Parameters
    ----------
    prompt : str, array of int (tokens,), mapping or None
        Text (if a tokenizer lies beside the weights), ids, or ``{"input_ids": …, "attention_mask": …,
        "token_type_ids": …}``, the last two optional. None draws `DEFAULT_TOKENS` ids uniformly with seed
        `DEFAULT_SEED`.

    Raises
    ------
    PromptError
        If an input does not fit the vocabulary, the context or the other inputs.
    """
    said, names = "given ids", None
    if prompt is None:
        n = min(DEFAULT_TOKENS, options.context)
        prompt = np.random.default_rng(DEFAULT_SEED).integers(options.vocabulary, size=n)
        said = f"{n} token ids drawn with seed {DEFAULT_SEED}"
    elif isinstance(prompt, str):
        given, names = tokenize(prompt, source)
        prompt = {name: given[name] for name in ("input_ids", *_OPTIONAL) if name in given}
        said = "text"
    if not isinstance(prompt, Mapping):
        prompt = {"input_ids": prompt}
    inputs = _inputs(prompt, source.name, options)
    if not inputs["attention_mask"].all():
        said += f", {int((1 - inputs['attention_mask']).sum())} of them masked"
    return Prompt(inputs=inputs, tokens=tuple(names or inputs["input_ids"].tolist()), said=said)


def _inputs(prompt: Mapping[str, Any], where: str, options: Options) -> dict[str, npt.NDArray[np.int64]]:
    given = named_inputs(prompt, where, required=("input_ids",), optional=_OPTIONAL)
    ids = token_ids(given["input_ids"], where, vocabulary=options.vocabulary, context=options.context)
    found = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    for name, kinds in (("attention_mask", 2), ("token_type_ids", options.types)):
        if given.get(name) is None:
            continue
        found[name] = token_ids(given[name], where, vocabulary=kinds, context=options.context, name=name)
        if len(found[name]) != len(ids):
            raise PromptError(f"{where}: {name} has {len(found[name])} entries for {len(ids)} tokens; give one a token")
    if not found["attention_mask"].any():
        raise PromptError(f"{where}: attention_mask is zero everywhere; leave at least one token to attend to")
    return found
