"""The dtype in which the model of a record worked: said by the user, or read off the numbers themselves."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array

__all__ = ["CEILING", "EPS", "named", "working_dtype"]

EPS = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23, "float64": 2.0**-52}
"""Machine epsilon: the distance from 1 to the next number."""
CEILING = {"bfloat16": 4 * 2.0**-7, "float16": 4 * 2.0**-10, "float32": 32 * 2.0**-23, "float64": 256 * 2.0**-52}
"""Largest relative step that rounding in the dtype explains: the stored state alone moves by a fraction of eps, the
activations of a deep block by a few; sums in float32 and float64 run over as many terms as the state is wide."""
_ENOUGH = 64  # non-zero numbers that must fit into a shorter format before it is believed


def named(dtype: Any) -> str:
    """Return the name of a dtype given as text, as a NumPy or as a torch dtype.

    Raises
    ------
    InvalidArgumentError
        If it is none of the four.
    """
    name = str(getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or dtype).removeprefix("torch.")
    if name not in EPS:
        raise InvalidArgumentError(
            f"dtype must be one of {', '.join(EPS)}, the dtype in which the model worked; got {dtype!r}"
        )
    return name


def working_dtype(states: Array, stored: str) -> tuple[str, str]:
    """Find the shortest format that holds every number of a record.

    Parameters
    ----------
    states : ndarray
        The numbers, in a dtype that holds them exactly.
    stored : str
        Name of the dtype in which they were stored.

    Returns
    -------
    dtype : str
        "bfloat16", "float16", "float32" or "float64".
    how : str
        How it is known.
    """
    if stored == "bfloat16":
        return stored, "the states are stored in it"
    for name in ("bfloat16", "float16", "float32"):
        if EPS[name] <= EPS[stored]:
            break
        if _fits(states, name):
            return name, f"every number of the states, stored in {stored}, is a {name}"
    return stored, "the states are stored in it"


def _fits(states: Array, name: str) -> bool:
    """Say whether all numbers are of the format, and there are enough that are no short fractions by nature."""
    if np.count_nonzero(states) < _ENOUGH:
        return False
    if name == "bfloat16":
        single = states.astype(np.float32)
        exact = bool(np.all(single.view(np.uint32) & 0xFFFF == 0)) and np.array_equal(single, states)
    else:
        with np.errstate(over="ignore"):
            exact = np.array_equal(states.astype(name), states)
    return exact and _full(states, name)


def _full(states: Array, name: str) -> bool:
    """Say whether the numbers use the last bits of the format: integers and short fractions fit any."""
    fraction, _ = np.frexp(states[states != 0].astype(np.float64))
    last = np.abs(fraction) / EPS[name]
    return bool(np.mean(last % 1 != 0) > 0.1)
