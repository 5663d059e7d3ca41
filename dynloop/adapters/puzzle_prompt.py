"""The prompt of a puzzle model (TRM, HRM): the tokens of one puzzle, and which puzzle it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dynloop.adapters.prompts import named_inputs, token_ids
from dynloop.adapters.puzzle_config import Options
from dynloop.errors import PromptError

__all__ = ["DEFAULT_SEED", "read_puzzle"]

DEFAULT_SEED = 0


def read_puzzle(prompt: Any, where: str, options: Options) -> tuple[dict[str, npt.NDArray[np.int64]], str]:
    """Check a prompt, or draw the default one.

    Parameters
    ----------
    prompt : mapping or None
        ``{"inputs": (seq_len,), "puzzle_identifiers": int}``; the identifier may be left out where the model has no
        puzzle embedding. None draws the inputs uniformly with seed `DEFAULT_SEED`, of puzzle 0.
    where : str
        What messages call the checkpoint.
    options : Options
        Of the model.

    Returns
    -------
    puzzle : dict
        ``inputs`` ``(seq_len,)`` and ``puzzle_identifiers`` ``()``, int64.
    said : str
        The prompt in words.

    Raises
    ------
    PromptError
        If an input is missing, has another length, or lies outside the vocabulary.
    """
    n = options.inputs
    if prompt is None:
        drawn = np.random.default_rng(DEFAULT_SEED).integers(options.vocabulary, size=n)
        said = f"{n} inputs drawn with seed {DEFAULT_SEED}, puzzle 0"
        return {"inputs": drawn, "puzzle_identifiers": np.array(0)}, said
    which = ("puzzle_identifiers",)
    needed, rest = (which, ()) if options.puzzle_width else ((), which)
    given = named_inputs(prompt, where, required=("inputs", *needed), optional=rest)
    inputs = token_ids(given["inputs"], where, vocabulary=options.vocabulary, context=n, name="inputs")
    if len(inputs) != n:
        raise PromptError(f"{where}: inputs has {len(inputs)} tokens, and the model was built for {n}; pad the puzzle")
    number = given.get("puzzle_identifiers", 0)
    shape = np.shape(number.detach().cpu() if hasattr(number, "detach") else number)
    if shape not in ((), (1,)):
        raise PromptError(f"{where}: puzzle_identifiers must be one int; got shape {shape}, so give that of the puzzle")
    row = [number] if shape == () else number
    puzzle = token_ids(row, where, vocabulary=options.puzzles, context=1, name="puzzle_identifiers")
    return {"inputs": inputs, "puzzle_identifiers": puzzle[0]}, f"{n} given inputs of puzzle {puzzle[0]}"
