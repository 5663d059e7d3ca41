"""From evidence to a regime: `classify`, the order in which evidence is asked for.

A finite window gives candidates; each candidate is tested by evaluating the map where the claim would show:

0. not finite: DIVERGENT (`growing`).
1. steps at the precision floor: solve for the point, its stability there, its polygon (`resting`, `convergence`).
2. growing norms: the map far out says RAY or DIVERGENT, or neither (`growing`, `infinity`).
3. returns: solve for the cycle, its stability there, its least period (`resting`, `convergence`).
4. steps that fall without reaching the floor, or near returns: solve ahead of the orbit (`falling`, `closing`).
5. at the end of the budget, bounded and moving: the largest exponent (`motion`); where it is not positive, a solved
   point that the orbit comes to slowly or leaves (`slow_approach`, `algebraic`, `slow_escape`), then frequencies
   (`turning`).
6. at the end of the budget: a slow approach or escape, the law of octaves, or of a power (`falling`).

What is left is UNDECIDED, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from dynloop.arguments import checked_int
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap, as_map, as_rng
from dynloop.maps.measured import Watch
from dynloop.orbits.closing import closing_in
from dynloop.orbits.falling import octaves, solving_ahead
from dynloop.orbits.growing import diverged, growing
from dynloop.orbits.inquiry import Inquiry
from dynloop.orbits.limits import Limits
from dynloop.orbits.motion import moving
from dynloop.orbits.resting import at_floor, in_part_at_floor, returning, returning_in_part
from dynloop.orbits.resuming import checked_resume, merged
from dynloop.orbits.upcast import checked_polish
from dynloop.orbits.verdict import Classification
from dynloop.orbits.watcher import windows

__all__ = ["classify", "followed"]

Progress = Callable[[int, int], None]
DEFAULT_LOOPS = 4096
_RAY_LOOPS = 64, 1024, 16384  # loops after which rays are tested: directions move in the logarithm of time
_PATIENCE = 128  # loops after which an orbit of low precision that has not settled is left to its float64 twin


def classify(
    m: LoopMap,
    starts: Any = None,
    *,
    loops: int | None = None,
    polish: Any = "auto",
    resume: Classification | None = None,
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
    polish : {"auto", "never"} or dtype
        Whether a candidate may be solved for, and tangents used, in a twin of higher precision. "auto" takes float64,
        or float32 where memory has no room for the weights in float64; float64 and float32 (names, or dtypes of torch
        or numpy) take that one; "never" uses only what iteration in the map's own dtype shows.
    resume : Classification, optional
        What `classify` found within a smaller budget: starts of which a token ran out of loops go on from where they
        stopped, all others stay. `loops` is then the budget in total, four times the earlier one if left out.
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
        If an argument is out of range, a start is not finite, or `resume` was made with another map.
    NoTwinError
        If `polish` names a dtype in which the map cannot run, or for which memory has no room.
    ShapeError
        If `starts` does not fit the map.
    DerivativeError
        If tangents are needed and the map's derivative is silently zero.

    Notes
    -----
    In a dtype below float64 only "settled at the floor" is read from the orbit itself; every other label is given to
    the float64 twin of the same start, and the reason says so. A float32 twin is itself classified by what iteration
    shows, since limits are solved for in float64 alone.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.classify(dl.zoo.logistic(3.2), [[0.3]])
    >>> found.regime[0].name, int(found.period[0])
    ('PERIODIC', 2)

    >>> slow = dl.zoo.logistic(2.9995)
    >>> found = dl.classify(slow, [[0.3]], loops=64)
    >>> found.regime[0].name, dl.classify(slow, resume=found, loops=4096).regime[0].name
    ('UNDECIDED', 'VANISHING')
    """
    polish, generator = checked_polish(polish), as_rng(rng)
    if resume is not None:
        if starts is not None:
            raise InvalidArgumentError("starts and resume were both given; resume goes on with the starts it has")
        return _resumed(m, resume, checked_resume(m, resume, loops, polish), generator, progress)
    return _classified(m, starts, _checked(loops), polish, generator, progress, None)


def followed(
    m: LoopMap, start: Any, loops: int, polish: Any, rng: int | np.random.Generator | None
) -> tuple[Classification, list[Watch]]:
    """Classify one orbit as `classify` does, and return what was measured on the way, window by window.

    The windows join from the start on, until the verdict; there are none where the map measures without a series, or a
    twin was asked at once.
    """
    kept: list[Watch] = []
    return _classified(m, start, _checked(loops), checked_polish(polish), as_rng(rng), None, kept), kept


def _classified(
    m: LoopMap, starts: Any, budget: int, polish: str, rng: np.random.Generator, progress: Progress | None,
    kept: list[Watch] | None,
) -> Classification:  # fmt: skip
    states, single = as_map(m).batch(starts, rng)
    m = m.in_dtype_of(states)
    q = Inquiry(m, states, budget, polish, rng)
    q.kept = kept
    _decide(q, progress)
    final = m.native(q.final)
    shape: tuple[int, ...] = (len(states), m.state_shape[0]) if m.causal else (len(states),)
    if single:
        shape, final = shape[1:], final[0]
    settings = {
        "map": m.name, "layers": m.layer_names, "causal": m.causal, "state_shape": m.state_shape, "dtype": m.dtype_name,
        "loops": budget, "polish": polish, **({"tokens": tuple(m.tokens)} if hasattr(m, "tokens") else {}),
    }  # fmt: skip
    return q.close(states=final, shape=shape, settings=settings)


def _resumed(
    m: LoopMap, earlier: Classification, budget: int, rng: np.random.Generator, progress: Progress | None
) -> Classification:
    """Go on with the orbits that ran out of loops, in the dtype in which they were iterated."""
    settings = {**earlier.settings, "loops": budget}
    m = m.in_dtype(settings["dtype"])
    left = earlier.unfinished
    if left is None:
        return replace(earlier, settings=settings)
    worked = m if left.dtype == m.dtype_name else m.twin(left.dtype)
    left.check(worked)
    # a low dtype was left alone because no twin was to be had: one that is to be had now has not seen the start
    polish = settings["polish"] if worked.precision <= np.finfo(np.float64).eps else "never"
    q = Inquiry.resumed(worked, left, budget, polish, rng)
    _decide(q, progress)
    shape = q.decided.shape if m.causal else q.decided.shape[:1]
    later = q.close(states=q.final, shape=shape, settings=settings)
    if worked is not m:
        note = _said_of_twin(worked, m)
        later = replace(later, reason=np.char.add(later.reason, f"; {note}"))
    return merged(earlier, later, left.starts, m)


def _checked(loops: int | None) -> int:
    if loops is None:
        return DEFAULT_LOOPS
    return checked_int(loops, "loops", 8, meaning="the budget per start", remedy="Leave it out to have one chosen")


def _decide(q: Inquiry, progress: Progress | None) -> None:
    """Watch a batch of orbits window by window; each leaves when its evidence suffices."""
    active, limits = np.flatnonzero(~q.decided.all(axis=1)), Limits()
    if q.low and q.upcast is not None and q.twin is None:
        _ask_twin(q, active, progress)
        return
    for length in windows(q.budget, int(q.watcher.loops[active[0]]), q.m.first_window):
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
    """Classify the twin of the same starts; the label is about the twin, and says so."""
    if len(starts) == 0:
        return
    assert q.upcast is not None  # noqa: S101 - callers look
    polish = q.polish if q.twin is not None else "never"  # limits are solved for in float64 alone
    twin = Inquiry(q.upcast, q.upcast.native(q.m.numpy(q.starts[starts])), q.budget, polish, q.rng)
    _decide(twin, progress)
    q.copy(starts, twin, _said_of_twin(q.upcast, q.m))


def _said_of_twin(twin: LoopMap, m: LoopMap) -> str:
    return (
        f"said of the {twin.dtype_name} twin from the same start: in {m.dtype_name} rounding may decide what the orbit "
        "does"
    )
