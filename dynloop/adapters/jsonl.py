"""A file of prompts: one JSON value a line."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from dynloop.errors import PromptError

__all__ = ["read_prompts"]

_FORMS = 'a string, a list of token ids, {"prompt": …}, or an object of arrays named as the model\'s inputs'


def read_prompts(path: str | os.PathLike[str]) -> list[tuple[int, Any]]:
    """Read every prompt of a JSONL file, or none: one bad line refuses the whole file.

    Parameters
    ----------
    path : path-like
        UTF-8 text. A line is a string (text), a list of token ids, ``{"prompt": one of these}`` (other keys are left
        alone), or an object of arrays named as the model's own inputs. Blank lines are skipped.

    Returns
    -------
    list of (int, prompt)
        The line's number, counted from 1, and a prompt as `dynloop.open_checkpoint` takes it.

    Raises
    ------
    PromptError
        If the file cannot be read, or a line is none of these; the message names the line.
    """
    try:
        lines = Path(path).read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PromptError(
            f"cannot read the prompts in {path} ({reason}); give a text file, one JSON value a line"
        ) from error
    found = [(number, _prompt(line, f"{path}, line {number}")) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise PromptError(f"{path} holds no prompt; write one JSON value a line: {_FORMS}")
    return found


def _prompt(line: bytes, where: str) -> Any:
    try:
        value = json.loads(line.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise PromptError(f"{where}: not UTF-8 text; save the file as UTF-8") from None
    except RecursionError:
        raise PromptError(f"{where}: nested too deeply; write {_FORMS}") from None
    except json.JSONDecodeError as error:
        raise PromptError(
            f'{where}: not JSON ({error.msg.lower()}, column {error.colno}); quote text with "…"'
        ) from None
    except ValueError as error:
        raise PromptError(f"{where}: {error}") from None
    if isinstance(value, dict) and "prompt" in value:
        value = value["prompt"]
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return _ids(value, where)
    if isinstance(value, dict) and value:
        return {name: _array(item, f"{where}: {name!r}") for name, item in value.items()}
    raise PromptError(f"{where}: a prompt must be {_FORMS}; got {json.dumps(value)[:60]}")


def _ids(value: list[Any], where: str) -> np.ndarray[Any, Any]:
    if value and all(isinstance(item, int) and not isinstance(item, bool) and abs(item) < 2**63 for item in value):
        return np.array(value, dtype=np.int64)
    raise PromptError(f"{where}: a list must hold token ids, one or more integers; got {json.dumps(value)[:60]}")


def _array(value: Any, what: str) -> np.ndarray[Any, Any]:
    try:
        array = np.array(value)
    except (ValueError, OverflowError):
        raise PromptError(f"{what} is ragged; every row of an array must have the same length") from None
    if array.dtype.kind not in "iufb" or array.size == 0:
        raise PromptError(
            f"{what} must be a list of numbers, nested as the model's input is; got {json.dumps(value)[:60]}"
        )
    return array


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number that a model can read; remove it")
