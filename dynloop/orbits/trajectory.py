"""Iterate a map and record what is asked for: a stream of states, or a `Trajectory`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.maps.base import Array, LoopMap, as_map
from dynloop.result import Result

__all__ = ["Trajectory", "stream", "trajectory"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Trajectory(Result):
    """A finite record of an orbit.

    Attributes
    ----------
    states : native array, (records, batch, *state_shape)
        ``states[i]`` is the state after ``times[i]`` loops; no batch axis if the start had none.
    times : ndarray of int64, (records,)
        Loops done since the start, the transient counted.
    sections : native array, (records, k + 1, batch, *state_shape), or None
        ``sections[i]`` are the states before every layer, and after the last, of the loop that begins at
        ``states[i]``.
    settings : dict
        What made this record: the map, its layers, dtype, shape of a state and periods of its angles.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.trajectory(dl.zoo.logistic(2.0), [0.25], 2, transient=1, sections=True)
    >>> found.times.tolist(), found.states.shape, found.sections.shape
    ([1, 2, 3], (3, 1), (3, 2, 1))
    """

    states: Any
    times: Array
    sections: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def stream(m: LoopMap, states: Any, *, every: int = 1) -> Iterator[tuple[int, Any]]:
    """Iterate for ever, yielding ``(loops done, states)``; memory does not grow.

    Parameters
    ----------
    m : LoopMap
        The map.
    states : array, (batch, *state_shape)
        Where to begin; yielded first, with 0.
    every : int
        Loops between two yields.
    """
    states, done = m.native(states), 0
    while True:
        yield done, states
        states = m.watch(states, every, states).states
        done += every


def trajectory(
    m: LoopMap,
    starts: Any,
    loops: int,
    *,
    transient: int = 0,
    every: int = 1,
    sections: bool = False,
    progress: Progress | None = None,
) -> Trajectory:
    """Iterate a map and record the states.

    Parameters
    ----------
    m : LoopMap
        The map.
    starts : array, (batch, *state_shape) or state_shape
        Where to begin.
    loops : int
        Loops to record, after the transient. The record holds ``loops // every + 1`` states, the first one included.
    transient : int
        Loops dropped before the record begins.
    every : int
        Loops between two recorded states.
    sections : bool
        Whether to record the states between the layers too.
    progress : callable, optional
        Called as ``progress(done, all)`` after every recorded state.

    Returns
    -------
    Trajectory
        The record, in the map's own array type, detached.

    Raises
    ------
    InvalidArgumentError
        If a number of loops is out of range.
    ShapeError
        If `starts` does not fit the map.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.trajectory(dl.zoo.logistic(2.0), [0.25], 2).states.ravel()
    array([0.25   , 0.375  , 0.46875])
    """
    loops, transient = checked_int(loops, "loops", 1), checked_int(transient, "transient", 0)
    every = checked_int(every, "every", 1)
    states, single = as_map(m).batch(starts)
    m = m.in_dtype_of(states)
    if transient:
        states = m.watch(states, transient, states).states
    records, times, between = [], [], []
    for done, now in stream(m, states, every=every):
        records.append(now)
        times.append(transient + done)
        if sections:
            between.append(m.detached(m.sections(now)))
        if progress is not None:
            progress(done, loops)
        if done + every > loops:
            break
    kept = m.stack(records)
    cut = m.stack(between) if sections else None
    if single:
        kept = kept[:, 0]
        cut = cut[:, :, 0] if cut is not None else None
    settings = {
        "map": m.name, "layers": m.layer_names, "causal": m.causal, "state_shape": m.state_shape, "dtype": m.dtype_name,
        "loops": int(loops), "transient": int(transient), "every": int(every), "periods": m.periods,
    }  # fmt: skip
    return Trajectory(states=kept, times=np.array(times, dtype=np.int64), sections=cut, settings=settings)
