"""The prompt of an in-context regressor: pairs (x_i, y_i), two tokens each."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dynloop.adapters.prompts import named_inputs, numbers
from dynloop.errors import PromptError

__all__ = ["DEFAULT_SEED", "interleaved", "read_pairs"]

Pairs = dict[str, npt.NDArray[np.float64]]

DEFAULT_SEED = 0


def read_pairs(prompt: Any, where: str, *, dims: int, context: int) -> tuple[Pairs, str]:
    """Check a prompt, or draw the default one.

    Parameters
    ----------
    prompt : mapping or None
        ``{"xs": (n, dims), "ys": (n,)}``. None draws one linear regression: x_i ~ N(0, 1)^dims, y_i = w·x_i with
        w ~ N(0, 1)^dims, n = 2·dims + 1 pairs (or as many as the context takes), from ``numpy`` seed `DEFAULT_SEED`.
    where : str
        What messages call the checkpoint.
    dims, context : int
        Dimension of a point; the most tokens the model has positions for.

    Returns
    -------
    pairs : dict
        ``xs`` ``(n, dims)`` and ``ys`` ``(n,)``, float64.
    said : str
        The prompt in words.

    Raises
    ------
    PromptError
        If the arrays do not fit, or are longer than the context.
    """
    if prompt is None:
        n = min(2 * dims + 1, context // 2)
        draw = np.random.default_rng(DEFAULT_SEED)
        xs, w = draw.standard_normal((n, dims)), draw.standard_normal(dims)
        return {"xs": xs, "ys": xs @ w}, f"{n} standard normal pairs y = w·x drawn with seed {DEFAULT_SEED}"
    given = named_inputs(prompt, where, required=("xs", "ys"))
    xs = numbers(given["xs"], where, "xs", (None, dims))
    if 2 * len(xs) > context:
        raise PromptError(
            f"{where}: the prompt has {2 * len(xs)} tokens ({len(xs)} pairs), and the model has positions for "
            f"{context}; give at most {context // 2} pairs"
        )
    return {"xs": xs, "ys": numbers(given["ys"], where, "ys", (len(xs),))}, f"{len(xs)} given pairs"


def interleaved(pairs: Pairs) -> torch.Tensor:
    """Return the sequence x_1, y_1, x_2, y_2, … as vectors ``(2n, dims)``: y in coordinate 0, zeros elsewhere."""
    xs, ys = pairs["xs"], pairs["ys"]
    sequence = np.zeros((2 * len(xs), xs.shape[1]))
    sequence[0::2], sequence[1::2, 0] = xs, ys
    return torch.from_numpy(sequence)
