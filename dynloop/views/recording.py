"""A trajectory as pictures take it: float64, always with its batch axis, and what is known of its map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array
from dynloop.orbits.records.dtype import EPS, working_dtype
from dynloop.orbits.trajectory import Trajectory

__all__ = ["Recording", "recording"]


@dataclass(frozen=True, slots=True)
class Recording:
    """The numbers of a trajectory.

    Attributes
    ----------
    states : ndarray, (records, batch, *state_shape)
        With a batch of one where the start had none.
    sections : ndarray, (k + 1, batch, *state_shape), or None
        Those of the last recorded loop.
    times : ndarray, (records,)
        Loops done.
    periods : ndarray, state_shape, or None
        Lengths of the coordinates that are angles, nan for the others.
    layers : tuple of str
        Names of the layers; empty where they are not known.
    dtype : str
        In which the map worked.
    """

    states: Array
    sections: Array | None
    times: Array
    periods: Array | None
    layers: tuple[str, ...]
    dtype: str

    def of(self, start: int, token: int | None) -> tuple[Array, Array | None]:
        """Return the states ``(records, …)`` and sections of one start, and of one row of its state if asked.

        Raises
        ------
        InvalidArgumentError
            If there is no such start or token.
        """
        _check("start", start, self.states.shape[1])
        states = self.states[:, start]
        sections = None if self.sections is None else self.sections[:, start]
        if token is None:
            return states, sections
        if states.ndim < 3:
            raise InvalidArgumentError(f"token must be left out: a state of shape {states.shape[1:]} has no tokens")
        _check("token", token, states.shape[-2])
        return states[..., token, :], None if sections is None else sections[..., token, :]


def recording(found: Trajectory) -> Recording:
    """Read a trajectory; one that was made by hand, without settings, has a batch axis if it has three axes or more."""
    states, sections = _numbers(found.states), None if found.sections is None else _numbers(found.sections[-1])
    shape = found.settings.get("state_shape")
    single = states.ndim == 2 if shape is None else states.ndim == 1 + len(shape)
    if single:
        states = states[:, None]
        sections = None if sections is None else sections[:, None]
    known = str(found.settings.get("dtype", ""))
    layers = tuple(str(name) for name in found.settings.get("layers", ()))
    return Recording(
        states, sections, found.times, found.settings.get("periods"), layers,
        known if known in EPS else _dtype(found.states, states),
    )  # fmt: skip


def _numbers(values: Any) -> Array:
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    return np.asarray(values, dtype=np.float64)


def _dtype(native: Any, states: Array) -> str:
    """Return the dtype of states; of those that were saved as float64 it is read off their digits."""
    stored = str(native.dtype).removeprefix("torch.")
    return working_dtype(states[np.isfinite(states)], stored if stored in EPS else "float64")[0]


def _check(name: str, value: int, count: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not -count <= value < count:
        raise InvalidArgumentError(f"{name} must be an int below {count}, the number there are; got {value!r}")
