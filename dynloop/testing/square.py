"""The commuting square of an adapter: iterate the map, then decode; or run the model itself. Both give the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dynloop.adapters.base import Checkpoint
from dynloop.errors import ConformanceError, InvalidArgumentError
from dynloop.maps.base import Array

__all__ = ["Reference", "relative_gap", "square_gaps"]

Reference = Mapping[int, Mapping[str, Any]]


def square_gaps(
    block: Checkpoint, loops: Sequence[int], reference: Reference | None = None
) -> tuple[list[tuple[int, str, float]], list[int]]:
    """Measure how far the two ways round the square differ.

    Parameters
    ----------
    block : Checkpoint
        The map.
    loops : sequence of int
        Loop counts.
    reference : mapping of int to mapping, optional
        ``{n: {"state": …, "output": …}}``; without it the family's `own_output` is asked. ``{0: {"state": …}}`` says
        where it began, if not at the map's own first start.

    Returns
    -------
    compared : list of (int, str, float)
        Loop count, "state" or "output", and the relative gap.
    missing : list of int
        Loop counts with nothing to compare with.

    Raises
    ------
    InvalidArgumentError
        If a loop count is not positive, or `reference` has none of them.
    ConformanceError
        If the shapes differ.
    """
    wanted = sorted(set(loops))
    if not wanted or wanted[0] < 1:
        raise InvalidArgumentError(f"loops must be positive ints; got {tuple(loops)}. Pass loops=(1, 4, 16).")
    if reference is not None and not set(wanted) & set(reference):
        raise InvalidArgumentError(
            f"reference has the loop counts {sorted(reference)}, none of loops={tuple(wanted)}; pass "
            "loops=tuple(reference)"
        )
    compared: list[tuple[int, str, float]] = []
    missing: list[int] = []
    begun = (reference or {}).get(0, {}).get("state")
    x, done = block.start(), 0
    if begun is not None:
        x = block.native(_batched(block, begun, block.numpy(x), 0, "state"))
    for n in wanted:
        for _ in range(n - done):
            x = block(x)
        done = n
        expected = _expected(block, n, reference)
        if not expected:
            missing.append(n)
        for what, value in expected.items():
            found = block.numpy(x if what == "state" else block.decode(x))
            compared.append((n, what, relative_gap(found, _batched(block, value, found, n, what))))
    return compared, missing


def relative_gap(a: Array, b: Array) -> float:
    """Return max |a − b| / max |b|; nan where a number is not finite."""
    scale = np.abs(b).max(initial=0.0)
    return float(np.abs(a - b).max(initial=0.0) / (scale if scale > 0 else 1.0))


def _expected(block: Checkpoint, n: int, reference: Reference | None) -> Mapping[str, Any]:
    """Return what the model gives after n loops: "state" and "output", either or none."""
    if reference is not None:
        return {what: value for what, value in reference.get(n, {}).items() if what in ("state", "output")}
    own = None if block.family.own_output is None else block.family.own_output(block, n)
    return {} if own is None else {"output": own}


def _batched(block: Checkpoint, value: Any, found: Array, n: int, what: str) -> Array:
    expected = block.numpy(value)
    expected = expected[None] if expected.ndim == found.ndim - 1 else expected
    if expected.shape != found.shape:
        raise ConformanceError(
            f"{block.name} breaks the rule 'square {n}: {what}': the map gives shape {found.shape}, the model "
            f"{expected.shape}"
        )
    return expected
