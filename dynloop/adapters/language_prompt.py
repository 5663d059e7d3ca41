"""The prompt of a causal language model: text or token ids, and if wanted an attention mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dynloop.adapters.base import Source
from dynloop.adapters.prompts import named_inputs, token_ids
from dynloop.adapters.text import tokenize
from dynloop.errors import PromptError

__all__ = ["DEFAULT_SEED", "DEFAULT_TOKENS", "LanguagePrompt", "read_language_prompt"]

DEFAULT_SEED = 0
DEFAULT_TOKENS = 16


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LanguagePrompt:
    """A checked prompt.

    Attributes
    ----------
    inputs : dict of str to ndarray of int64, (tokens,)
        ``input_ids`` and ``attention_mask``.
    tokens : tuple of str or int
        One a position.
    said : str
        The prompt in words.
    """

    inputs: dict[str, npt.NDArray[np.int64]]
    tokens: tuple[str | int, ...]
    said: str


def read_language_prompt(
    prompt: Any, source: Source, *, vocabulary: int, context: int, only_behind: bool = False
) -> LanguagePrompt:
    """Check a prompt, or draw the default one.

    Parameters
    ----------
    prompt : str, array of int (tokens,), mapping or None
        Text (if a tokenizer lies beside the weights), ids, or ``{"input_ids": …, "attention_mask": …}``, the latter
        optional. None draws `DEFAULT_TOKENS` ids uniformly with seed `DEFAULT_SEED`.
    source : Source
        The checkpoint.
    vocabulary, context : int
        How many ids there are, and the most tokens.
    only_behind : bool
        Whether masked tokens must stand behind all others: the model's own code reads no mask, and there alone the
        others do not see the difference.

    Raises
    ------
    PromptError
        If an input does not fit the vocabulary, the context or the other input.
    """
    said, names = "given ids", None
    if prompt is None:
        n = min(DEFAULT_TOKENS, context)
        prompt = np.random.default_rng(DEFAULT_SEED).integers(vocabulary, size=n)
        said = f"{n} token ids drawn with seed {DEFAULT_SEED}"
    elif isinstance(prompt, str):
        given, names = tokenize(prompt, source)
        prompt = {name: given[name] for name in ("input_ids", "attention_mask") if name in given}
        said = "text"
    if not isinstance(prompt, Mapping):
        prompt = {"input_ids": prompt}
    where = source.name
    read = named_inputs(prompt, where, required=("input_ids",), optional=("attention_mask",))
    ids = token_ids(read["input_ids"], where, vocabulary=vocabulary, context=context)
    mask = np.ones_like(ids)
    if read.get("attention_mask") is not None:
        mask = token_ids(read["attention_mask"], where, vocabulary=2, context=context, name="attention_mask")
    _check_mask(mask, len(ids), where, only_behind=only_behind)
    if not mask.all():
        said += f", {int((1 - mask).sum())} of them masked"
    inputs = {"input_ids": ids, "attention_mask": mask}
    return LanguagePrompt(inputs=inputs, tokens=tuple(names or ids.tolist()), said=said)


def _check_mask(mask: npt.NDArray[np.int64], tokens: int, where: str, *, only_behind: bool) -> None:
    if len(mask) != tokens:
        raise PromptError(f"{where}: attention_mask has {len(mask)} entries for {tokens} tokens; give one a token")
    if not mask.any():
        raise PromptError(f"{where}: attention_mask is zero everywhere; leave at least one token to attend to")
    if only_behind and (np.diff(mask) > 0).any():
        raise PromptError(
            f"{where}: attention_mask masks a token before one that counts, and the model's own code reads no mask; "
            "put padding behind the prompt, or leave it out"
        )
