"""From evidence to a regime: `classify`, the order in which evidence is asked for.

A finite window gives candidates; each candidate is tested by evaluating the map where the claim would show:

0. not finite: DIVERGENT (`growing`).
1. steps at the precision floor: solve for the point, its stability there, its polygon (`resting`, `convergence`).
2. growing norms: the map far out says RAY or DIVERGENT, or neither (`growing`, `infinity`).
3. returns: solve for the cycle, its stability there, its least period (`resting`, `convergence`).
4. steps that fall without reaching the floor, or near returns: solve ahead of the orbit (`falling`, `closing`).
5. at the end of the budget, bounded and moving: the largest exponent, then frequencies (`motion`).
6. at the end of the budget: the law of octaves (`falling`).

What is left is UNDECIDED, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap, as_rng
from dynloop.orbits.closing import closing_in
from dynloop.orbits.falling import octaves, solving_ahead
from dynloop.orbits.growing import diverged, growing
from dynloop.orbits.inquiry import Inquiry
from dynloop.orbits.motion import moving
from dynloop.orbits.resting import Limits, at_floor, in_part_at_floor, returning, returning_in_part
from dynloop.orbits.verdict import Classification
from dynloop.orbits.watcher import windows

__all__ = ["classify"]

Progress = Callable[[int, int], None]
DEFAULT_LOOPS = 4096
_RAY_LOOPS = 64, 1024, 16384  # loops after which rays are tested: directions move in the logarithm of time
_PATIENCE = 128  # loops after which an orbit of low precision that has not settled is left to its float64 twin


def classify(
    m: LoopMap,
    starts: Any = None,
    *,
    loops: int | None = None,
    polish: Literal["auto", "never"] = "auto",
    rng: int | np.random.Generator | None = 0,
    progress: Progress | None = None,
) -> Classification:
    """Say which regime each orbit is in, with the evidence.

    Parameters
    ----------
    m : LoopMap
        The map.
    starts : array, (batch, *state_shape) or state_shape, optional
        Where the orbits begin; ``m.start(rng)`` if left out.
    loops : int, optional
        Budget of loops per start, 4096 if left out; an orbit may be decided earlier. Exponents and frequencies may take
        up to as many loops again.
    polish : {"auto", "never"}
        Whether a candidate may be solved for, and tangents used, in float64 (a float64 twin of a lower dtype where one
        is to be had). "never" uses only what iteration in the map's own dtype shows.
    rng : int or Generator
        For starts, tangents and projections.
    progress : callable, optional
        Called as ``progress(loops done, budget)`` after every window.

    Returns
    -------
    Classification
        One verdict a start, or one a start and token if the map is causal.

    Raises
    ------
    InvalidArgumentError
        If an argument is out of range or a start is not finite.
    ShapeError
        If `starts` does not fit the map.
    DerivativeError
        If tangents are needed and the map's derivative is silently zero.

    Notes
    -----
    In a dtype below float64 only "settled at the floor" is read from the orbit itself; every other label is given to
    the float64 twin of the same start, and the reason says so.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.classify(dl.zoo.logistic(3.2), [[0.3]])
    >>> found.regime[0].name, int(found.period[0])
    ('PERIODIC', 2)
    """
    budget = _checked(loops, polish)
    generator = as_rng(rng)
    states, single = m.batch(starts, generator)
    m = m.in_dtype_of(states)
    q = Inquiry(m, states, budget, polish, generator)
    _decide(q, progress)
    final = m.native(q.final)
    shape: tuple[int, ...] = (len(states), m.state_shape[0]) if m.causal else (len(states),)
    if single:
        shape, final = shape[1:], final[0]
    settings = {
        "map": m.name, "layers": m.layer_names, "causal": m.causal, "state_shape": m.state_shape, "dtype": m.dtype_name,
        "loops": budget, "polish": polish,
    }  # fmt: skip
    return q.close(states=final, shape=shape, settings=settings)


def _checked(loops: int | None, polish: str) -> int:
    if loops is None:
        loops = DEFAULT_LOOPS
    if isinstance(loops, bool) or not isinstance(loops, int | np.integer) or loops < 8:
        raise InvalidArgumentError(f"loops must be an int of at least 8, the budget per start; got {loops!r}")
    if polish not in ("auto", "never"):
        raise InvalidArgumentError(f"polish must be 'auto' or 'never'; got {polish!r}")
    return int(loops)


def _decide(q: Inquiry, progress: Progress | None) -> None:
    """Watch a batch of orbits window by window; each leaves when its evidence suffices."""
    active, limits = np.arange(len(q.starts)), Limits()
    for length in windows(q.budget):
        q.advance(active, length)
        done = int(q.watcher.loops[active[0]])
        _weigh(q, active, limits, done)
        if q.low and q.twin is not None and done >= min(_PATIENCE, q.budget):
            _ask_twin(q, active[~q.decided[active].all(axis=1)], progress)
        if progress is not None:
            progress(done, q.budget)
        active = active[~q.decided[active].all(axis=1)]
        if len(active) == 0:
            return


def _weigh(q: Inquiry, active: Array, limits: Limits, done: int) -> None:
    """Ask for evidence in order, after a window that ends at loop `done`."""
    known = q.verdicts
    last, octave = done >= q.budget, done & (done - 1) == 0  # octaves end at powers of two

    def still() -> Array:
        nonlocal active, known
        if q.verdicts != known:
            active, known = active[~q.decided[active].all(axis=1)], q.verdicts
        return active

    diverged(q, still())
    unsolved = at_floor(q, still(), limits)
    if q.low and q.twin is not None:
        _ask_twin(q, np.array(unsolved, dtype=int), None)
        return
    growing(q, still(), far=last or done in _RAY_LOOPS)
    returning(q, still(), limits)
    if last or (octave and done >= 256):
        solving_ahead(q, still(), limits)
        closing_in(q, still(), limits)
    if last:
        returning_in_part(q, still(), limits)
        moving(q, still())
        in_part_at_floor(q, still(), limits)
        for b in still():
            octaves(q, int(b))


def _ask_twin(q: Inquiry, starts: Array, progress: Progress | None) -> None:
    """Classify the float64 twin of the same starts; the label is about the twin, and says so."""
    if len(starts) == 0:
        return
    assert q.twin is not None  # noqa: S101 - callers look
    twin = Inquiry(q.twin, q.twin.native(q.m.numpy(q.starts[starts])), q.budget, q.polish, q.rng)
    _decide(twin, progress)
    note = f"said of the float64 twin from the same start: in {q.m.dtype_name} rounding may decide what the orbit does"
    q.copy(starts, twin, note)
