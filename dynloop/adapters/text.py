"""Text prompts: the tokenizer that lies beside a checkpoint, through transformers, which is imported only then."""

from __future__ import annotations

import importlib
from typing import Any

from dynloop.adapters.base import Source
from dynloop.errors import PromptError

__all__ = ["tokenize"]

_FILES = ("tokenizer.json", "tokenizer_config.json", "spiece.model", "tokenizer.model", "vocab.txt", "vocab.json")


def tokenize(text: str, source: Source) -> tuple[dict[str, Any], list[str]]:
    """Turn text into the inputs of a model.

    Parameters
    ----------
    text : str
        Special tokens are added as the tokenizer does by default.
    source : Source
        The checkpoint; its folder holds the tokenizer.

    Returns
    -------
    inputs : dict of str to list
        ``input_ids`` and whatever else the tokenizer gives.
    tokens : list of str
        One a position.

    Raises
    ------
    PromptError
        If there is no tokenizer, it cannot be read, or transformers is not installed.
    """
    if not text.strip():
        raise PromptError(f"{source.name}: the prompt is empty text; give one word or more")
    folder = source.folder
    if folder is None or not any((folder / name).is_file() for name in _FILES):
        raise PromptError(
            f"{source.name}: a text prompt needs a tokenizer, and none lies beside the weights; give token ids, or put "
            "tokenizer.json there"
        )
    try:
        transformers = importlib.import_module("transformers")
    except ImportError as error:
        raise PromptError(
            f"{source.name}: a text prompt needs the package transformers, which is not installed; run `pip install "
            "'dynloop[models]'`, or give token ids"
        ) from error
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        inputs = dict(tokenizer(text))
        return inputs, tokenizer.convert_ids_to_tokens(inputs["input_ids"])
    except Exception as error:  # every tokenizer fails in its own way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise PromptError(f"{source.name}: its tokenizer cannot be used ({reason}); give token ids") from error
