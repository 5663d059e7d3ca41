"""A loop that depends on its index, made a map: its state is extended by a clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from dynloop.arguments import checked_function, checked_int
from dynloop.maps.base import Array, checked_shape
from dynloop.maps.torch import TorchMap

__all__ = ["with_clock"]


def with_clock(
    loop: Callable[[torch.Tensor, int], torch.Tensor],
    period: int,
    state_shape: Sequence[int],
    *,
    start: Callable[[np.random.Generator, int], Any] | None = None,
    dtype: torch.dtype | None = torch.float64,
    name: str = "loop with a clock",
) -> TorchMap:
    """Make a map of a loop whose schedule repeats: (x, t) ← (F_t(x), t + 1 mod period).

    Parameters
    ----------
    loop : callable
        ``loop(x, t)`` applies loop t = 0, …, period − 1 to states ``(batch, *state_shape)``, every row by itself.
    period : int
        After how many loops the schedule begins again; at least 2.
    state_shape : sequence of int
        Of x.
    start : callable, optional
        ``start(numpy_generator, n) -> (n, *state_shape)``; the clock starts at 0.
    dtype : torch.dtype, optional
        The working dtype.
    name : str
        What messages call the map.

    Returns
    -------
    TorchMap
        Its states are flat, ``(n + 1,)``: x in order, and the clock, an angle of length `period`.

    Raises
    ------
    InvalidArgumentError
        If `period` is no int of at least 2, or `loop` or `start` is no function of two arguments.
    ShapeError
        If `state_shape` is no tuple of positive ints.

    Notes
    -----
    The clock reads the nearest whole number, so that it has the multiplier 0 and never makes a limit neutral. A
    schedule that settles is PERIODIC(period), or a multiple: the clock moves for ever. A schedule that does not repeat
    is no map, with a clock or without. One application computes every F_t, so that rows may stand at different times;
    where all begin at 0, a `TorchMap` whose layers are those of F_0, …, F_{period − 1} does the same for less.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.with_clock(lambda x, t: 0.5 * x + t, 2, (1,))
    >>> found = dl.classify(m, [[0.3, 0.0]])
    >>> found.names().tolist()
    ['PERIODIC(2)']
    """
    checked_function(loop, "loop", "loop(x, t) of states and the number of a loop", 2)
    period = checked_int(
        period, "period", 2, meaning="the loops after which the schedule begins again",
        remedy="Where loops do not differ, pass TorchMap([loop], state_shape)",
    )  # fmt: skip
    shape = checked_shape(state_shape)
    if start is not None:
        checked_function(start, "start", "start(generator, n) of states (n, *state_shape)", 2)
    size = int(np.prod(shape))

    def step(states: torch.Tensor) -> torch.Tensor:
        x, clock = states[:, :size].reshape(-1, *shape), states[:, size:].round() % period
        after = torch.zeros_like(x)
        for t in range(period):  # every row is computed for each: no branch on values, so derivatives pass
            now = (clock == t).reshape(-1, *[1] * len(shape))
            after = torch.where(now, loop(x, t), after)
        return torch.cat([after.reshape(len(states), size), (clock + 1) % period], dim=1)

    def first(rng: np.random.Generator, n: int) -> Array:
        given = np.asarray(start(rng, n) if start is not None else rng.standard_normal((n, *shape)))
        return np.concatenate([given.reshape(n, size), np.zeros((n, 1))], axis=1)

    return TorchMap(
        [step], (size + 1,), layer_names=["loop"], periods=[None] * size + [float(period)], dtype=dtype, start=first,
        name=name,
    )  # fmt: skip
