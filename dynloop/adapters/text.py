"""Text prompts: the tokenizer that lies beside a checkpoint, through packages that are imported only then."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from dynloop.adapters.base import Source
from dynloop.errors import PromptError

__all__ = ["tokenize"]

_FAST = "tokenizer.json"
_FILES = (_FAST, "tokenizer_config.json", "spiece.model", "tokenizer.model", "vocab.txt", "vocab.json")


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
        If there is no tokenizer, it cannot be read or comes as code, or the packages are not installed.
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
        if "auto_map" in source.config:  # transformers would ask whether to run the code that it names
            return _from_file(text, folder)
        try:
            return _from_transformers(text, folder)
        except ImportError:
            raise
        except Exception:  # every tokenizer fails in its own way; tokenizer.json may do without its class
            if not (folder / _FAST).is_file():
                raise
            return _from_file(text, folder)
    except ImportError as error:
        raise PromptError(
            f"{source.name}: a text prompt needs the packages transformers and tokenizers, which are not installed; "
            "run `pip install 'dynloop[models]'`, or give token ids"
        ) from error
    except Exception as error:  # every tokenizer fails in its own way
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise PromptError(f"{source.name}: its tokenizer cannot be used ({reason}); give token ids") from error


def _from_transformers(text: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    transformers = importlib.import_module("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    inputs = dict(tokenizer(text))
    return inputs, tokenizer.convert_ids_to_tokens(inputs["input_ids"])


def _from_file(text: str, folder: Path) -> tuple[dict[str, Any], list[str]]:
    """Use ``tokenizer.json`` alone: the whole of a fast tokenizer, with no code beside it."""
    if not (folder / _FAST).is_file():
        raise FileNotFoundError(f"it comes with code, which is never run, and without {_FAST}")
    tokenizer = importlib.import_module("tokenizers").Tokenizer.from_file(str(folder / _FAST))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    read = tokenizer.encode(text)
    return {"input_ids": read.ids, "attention_mask": read.attention_mask}, list(read.tokens)
