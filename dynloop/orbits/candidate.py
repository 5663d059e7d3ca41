"""A state that looks like a limit, before it is solved for."""

from __future__ import annotations

from dataclasses import dataclass

from dynloop.maps.base import Array

__all__ = ["Candidate"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Candidate:
    """A state that looks like a limit, and what was measured on the way to it.

    Attributes
    ----------
    state : ndarray, state_shape
        The last state.
    groups : int
        How many groups (leading tokens of a causal map, or 1 for the whole state) are concerned.
    floor : ndarray, (rows,)
        Relative precision floor of the orbit.
    largest : ndarray, (rows,)
        Largest norm seen.
    rate, rate_error : ndarray, (groups,)
        Contraction factor fitted to the steps, and its standard error; nan where there was no decay to fit.
    period : int
        Loops after which it returns.
    ahead : bool
        Whether it is solved for ahead of an orbit that is still on its way: nearness is then measured by the largest
        norm too (a limit at the origin has no size of its own), and the orbit must be seen to come nearer.
    patience : int
        Loops that may be spent on seeing that.
    """

    state: Array
    groups: int
    floor: Array
    largest: Array
    rate: Array
    rate_error: Array
    period: int = 1
    ahead: bool = False
    patience: int = 1024
