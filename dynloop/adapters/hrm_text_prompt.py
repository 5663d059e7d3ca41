"""The prompt of an HRM-Text: ids or text, and if wanted which tokens are padding and which form the instruction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from dynloop.adapters.base import Source
from dynloop.adapters.hrm_text_config import Options
from dynloop.adapters.language_prompt import LanguagePrompt, read_language_prompt
from dynloop.adapters.prompts import token_ids
from dynloop.errors import PromptError

__all__ = ["attention_pattern", "read_prompt"]

_TYPES = "token_type_ids"


def read_prompt(prompt: Any, source: Source, options: Options) -> LanguagePrompt:
    """Check a prompt, or draw the default one: see `read_language_prompt`.

    ``token_type_ids``, optional, is 1 for the tokens of the instruction, which attend to one another both ways.

    Raises
    ------
    PromptError
        If an input does not fit the vocabulary, the context or the other inputs, a token has nothing to attend to, or
        types are given to a model that does not read them.
    """
    types = prompt.get(_TYPES) if isinstance(prompt, Mapping) else None
    if isinstance(prompt, Mapping):
        prompt = {name: value for name, value in prompt.items() if name != _TYPES}
    where = source.name
    read = read_language_prompt(prompt, source, vocabulary=options.vocabulary, context=options.context)
    n = len(read.tokens)
    inputs = read.inputs | {_TYPES: np.zeros(n, dtype=np.int64)}
    said = read.said
    if types is not None:
        inputs[_TYPES] = token_ids(types, where, vocabulary=2, context=options.context, name=_TYPES)
        if len(inputs[_TYPES]) != n:
            raise PromptError(f"{where}: {_TYPES} has {len(inputs[_TYPES])} entries for {n} tokens; give one a token")
    if inputs[_TYPES].any():
        if not options.prefix:
            raise PromptError(f"{where}: its config says prefix_lm = false, so it reads no {_TYPES}; leave them out")
        said += f", {int(inputs[_TYPES].sum())} of them an instruction"
    checked = LanguagePrompt(inputs=inputs, tokens=read.tokens, said=said)
    pattern = attention_pattern(checked)
    if pattern is not None and not bool(pattern.any(-1).all()):
        raise PromptError(
            f"{where}: attention_mask leaves the first tokens nothing to attend to; put padding behind the prompt"
        )
    return checked


def attention_pattern(prompt: LanguagePrompt) -> torch.Tensor | None:
    """Return which token (row) attends to which (column), ``(tokens, tokens)``; None where it is plainly causal."""
    mask, types = (torch.from_numpy(prompt.inputs[name] == 1) for name in ("attention_mask", _TYPES))
    if bool(mask.all()) and not bool(types.any()):
        return None
    causal = torch.ones(len(mask), len(mask), dtype=torch.bool).tril()
    return (causal | (types[:, None] & types)) & mask
