"""From evidence to a regime: `classify`, the order in which evidence is asked for.

A finite window gives candidates; each candidate is tested by evaluating the map where the claim would show:

0. not finite: DIVERGENT.
1. growing norms: the map far out (`infinity`) says RAY or DIVERGENT, or neither.
2. steps at the precision floor: solve for the point, its stability there, its polygon (`convergence`).
3. returns: solve for the cycle, its stability there, its least period (`convergence`).
4. bounded and moving: the largest exponent, then frequencies (`motion`).
5. steps that fall without reaching the floor: solve ahead of the orbit (`convergence`), or read the law of octaves.

What is left is UNDECIDED, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import lcm
from typing import Any, Literal

import numpy as np

from dynloop.calculus.tangent import check_derivative
from dynloop.errors import InvalidArgumentError, NoTwinError
from dynloop.maps.base import Array, LoopMap, as_rng
from dynloop.orbits.convergence import Candidate, conclude, conclude_unpolished
from dynloop.orbits.finding import Finding, assemble, undecided
from dynloop.orbits.floor import precision_floor, row_norms
from dynloop.orbits.infinity import grows_without_bound, ray
from dynloop.orbits.motion import chaotic, exponents, quasiperiodic
from dynloop.orbits.polygon import lengths, polygon
from dynloop.orbits.recurrence import octave_law, return_period
from dynloop.orbits.verdict import Classification, Regime
from dynloop.orbits.watcher import Watcher, windows
from dynloop.result import Status

__all__ = ["classify"]

Progress = Callable[[int, int], None]
Findings = list[Finding | None]
DEFAULT_LOOPS = 4096
_EPS = float(np.finfo(np.float64).eps)


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
        Whether a candidate may be solved for, and tangents used, in float64 (a float64 twin of a lower dtype where one is
        to be had). "never" uses only what iteration in the map's own dtype shows.
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
    In a dtype below float64 only "settled at the floor" is read from the orbit itself; every other label is given to the
    float64 twin of the same start, and the reason says so.

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
    inquiry = _Inquiry(m, states, budget, polish, generator, progress)
    findings, final = inquiry.run()
    shape = (len(states), m.state_shape[0]) if m.causal else (len(states),)
    settings = {
        "map": m.name, "layers": m.layer_names, "causal": m.causal, "dtype": m.dtype_name, "loops": budget, "polish": polish,
        "state_shape": m.state_shape,
    }  # fmt: skip
    if single:
        shape, final = shape[1:], final[0]
    return assemble(findings, m.layer_count, states=final, shape=shape, settings=settings)


def _checked(loops: int | None, polish: str) -> int:
    if loops is None:
        loops = DEFAULT_LOOPS
    if isinstance(loops, bool) or not isinstance(loops, int | np.integer) or loops < 8:
        raise InvalidArgumentError(f"loops must be an int of at least 8, the budget per start; got {loops!r}")
    if polish not in ("auto", "never"):
        raise InvalidArgumentError(f"polish must be 'auto' or 'never'; got {polish!r}")
    return int(loops)


class _Inquiry:
    """One run of `classify`: a batch of orbits, watched window by window; each leaves when its evidence suffices."""

    def __init__(
        self, m: LoopMap, states: Any, budget: int, polish: str, rng: np.random.Generator, progress: Progress | None
    ) -> None:
        self.m, self.budget, self.polish, self.rng, self.progress = m, budget, polish, rng, progress
        self.states = states[np.arange(len(states))]  # a copy: the starts belong to the caller
        self.begun = states
        self.low = m.precision > _EPS
        self.twin, self.why_no_twin = self._find_twin()
        self.groups = m.state_shape[0] if m.causal else 1
        self.watcher = Watcher(m, len(states), row_norms(m, m.displacement(m.numpy(states), np.zeros(m.state_shape))))
        self.found: list[Findings] = [[None] * self.groups for _ in range(len(states))]
        self.final = m.numpy(states)
        self.differentiable = False

    def _find_twin(self) -> tuple[LoopMap | None, str]:
        if self.polish == "never":
            return None, f"not polished, so this is said at the precision of {self.m.dtype_name}"
        try:
            return self.m.twin(), ""
        except NoTwinError:
            return None, f"the map has no float64 twin, so this is said at the precision of {self.m.dtype_name}"

    def run(self) -> tuple[list[list[Finding]], Any]:
        active = np.arange(len(self.states))
        self.floor = np.full((len(self.states), self.m.rows), self.watcher.nominal)
        for length in windows(self.budget):
            window = self.m.watch(self.states[active], length, self.states[active])
            self.states[active] = window.states
            if self.low:
                self.floor[active] = precision_floor(self.m, window.states)
            self.watcher.see(active, window, self.floor[active])
            last = int(self.watcher.loops[active[0]]) >= self.budget
            open_ = [b for b in active if not self._examine(int(b), last=last)]
            if self.progress is not None:
                self.progress(int(self.watcher.loops[active[0]]), self.budget)
            active = np.array(open_, dtype=int)
            if len(active) == 0:
                break
        return [self._closed(b) for b in range(len(self.states))], self.m.native(self.final)

    # -- one start ------------------------------------------------------------------------------------------------

    def _examine(self, b: int, *, last: bool) -> bool:
        """Look at one start after a window; return True once every group has a verdict."""
        w = self.watcher
        self.final[b] = self.m.numpy(self.states[b : b + 1])[0]
        if not w.finite[b].all():
            self._divergent(b)
            return True
        if self._settled(b):
            return True
        if self.low and self.twin is not None:
            if last:
                self._ask_twin(b)
            return last
        total = int(w.loops[b])
        octave = total & (total - 1) == 0 and total >= 64
        self._growing(b, octave=octave or last)
        if None in self.found[b]:
            self._returning(b)
        if None in self.found[b] and (last or (octave and total >= 256)):
            self._falling(b)
        if None in self.found[b] and (last or (octave and total >= 512)):
            self._moving(b, last=last)
        if None in self.found[b] and last:
            self._give_up(b)
        return None not in self.found[b]

    def _open(self, b: int) -> list[int]:
        return [g for g, finding in enumerate(self.found[b]) if finding is None]

    def _rows(self, values: Array) -> Array:
        """Reduce booleans per row to booleans per group: the rows themselves, or all of them."""
        return values if self.m.causal else np.array([values.all()])

    def _candidate(self, b: int, groups: int, period: int = 1) -> Candidate:
        w = self.watcher
        rate = (
            w.rate[b, :groups]
            if self.m.causal
            else np.array([np.nanmax(w.rate[b]) if np.isfinite(w.rate[b]).any() else np.nan])
        )
        return Candidate(
            state=self.final[b], groups=groups, floor=self.floor[b], largest=w.largest[b], rate=rate, period=period
        )

    def _put(self, b: int, groups: list[int], findings: list[Finding]) -> None:
        """Record verdicts for groups that have none yet."""
        for g, finding in zip(groups, findings, strict=True):
            if self.found[b][g] is None:
                self.found[b][g] = finding

    # -- the order of evidence -----------------------------------------------------------------------------------------

    def _divergent(self, b: int) -> None:
        finite = self._rows(self.watcher.finite[b])
        for g in self._open(b):
            if not finite[g]:
                self.found[b][g] = Finding(
                    regime=Regime.DIVERGENT, reason="a state stopped being finite", status=Status.DIVERGED
                )
        self._put(
            b,
            self._open(b),
            [
                undecided("a later token left every bound before this one was decided", Status.DIVERGED)
                for _ in self._open(b)
            ],
        )

    def _settled(self, b: int) -> bool:
        """Conclude where every group is at the floor; return True if the start is decided."""
        at_rest = self._rows(self.watcher.settled[b])
        waiting = [g for g in self._open(b) if not at_rest[g]]
        if waiting:
            return False
        if len(self._open(b)) < self.groups:  # some tokens move for ever: those at rest are judged where they are
            self._at_rest_beside_motion(b)
            return True
        if self.twin is None:
            candidate = self._candidate(b, self.groups)
            self._put(
                b,
                list(range(self.groups)),
                [conclude_unpolished(self.m, candidate, g, self.why_no_twin) for g in range(self.groups)],
            )
            return True
        self._ready_tangents()
        findings = conclude(self.twin, self._candidate(b, self.groups))
        if findings is not None and self.low and any(f.regime is Regime.UNDECIDED for f in findings):
            findings = None
        if findings is None:
            if self.low:
                self._ask_twin(b)
                return True
            return False
        if self.low:
            findings = [
                f.noting(f"the {self.m.dtype_name} orbit stalls at its floor, {self.floor[b].max():.1e}")
                for f in findings
            ]
        self._put(b, list(range(self.groups)), findings)
        self.final[b] = next((f.point for f in findings if f.point is not None), self.final[b])
        return True

    def _at_rest_beside_motion(self, b: int) -> None:
        candidate = self._candidate(b, self.m.rows if self.m.causal else 1)
        for g in self._open(b):
            self.found[b][g] = conclude_unpolished(self.m, candidate, g, "an earlier token moves for ever")

    def _growing(self, b: int, *, octave: bool) -> None:
        w = self.watcher
        factor = w.growth[b]
        total = int(w.loops[b])
        # a ray grows by the share of the window in all loops; less than a quarter of that is no growth
        growing = np.nan_to_num(factor, nan=1.0) > 1 + 0.05 / total
        growing &= np.array([self.found[b][g if self.m.causal else 0] is None for g in range(self.m.rows)])
        if not growing.any():
            return
        m = self.twin or self.m
        groups = np.flatnonzero(growing) if self.m.causal else np.array([0])
        slowest = float(factor[growing].min())
        if grows_without_bound(m, self.final[b], slowest, growing):
            for g in groups:
                self.found[b][g] = Finding(
                    regime=Regime.DIVERGENT, numbers={"growth": slowest},
                    reason=f"grows by a factor {slowest:.6g} per loop, and still does at s·x for every s up to overflow; T2 does not "
                    "apply: the orbit does not converge",
                )  # fmt: skip
            return
        if not octave or self.low:
            return
        found = ray(m, self.final[b], total, growing)
        if not found.holds:
            return
        shape = polygon(self.m, self.m.native(self.final[b : b + 1]), joint=not self.m.causal)
        for g in groups:
            speed = float(np.nanmin(found.velocity[g : g + 1] if self.m.causal else found.velocity))
            self.found[b][g] = Finding(
                regime=Regime.RAY, numbers={"growth": float(np.nanmax(factor)), **lengths(shape, g)},
                reason=f"the norm grows by {speed:.4g} per loop for ever and the direction converges ({found.reason}; cosine to the "
                f"solved ray {np.nanmin(found.cosine):.4f} by now): the relative step falls as 1/t while the increments tend to "
                "constants that do not close; T2 does not apply: the orbit is unbounded",
            )  # fmt: skip

    def _returning(self, b: int) -> None:
        """Look for a common period of all groups that are still open."""
        returns = self.watcher.returns[b]
        tolerance = 1e-8 if not self.low else 8 * float(self.floor[b].max())
        series = returns if self.m.causal else returns.max(axis=1, keepdims=True)
        at_rest = self._rows(self.watcher.settled[b])
        if self.twin is None or any(f is not None for f in self.found[b]):
            return
        periods = []
        for g in range(self.groups):
            p = 1 if at_rest[g] else return_period(series[:, g], tolerance)
            if p < 1:
                return
            periods.append(p)
        p = lcm(*periods)
        if p < 2 or 2 * p > len(series):
            return
        self._ready_tangents()
        findings = conclude(self.twin, self._candidate(b, self.groups, p))
        if findings is not None:
            self._put(b, list(range(self.groups)), findings)
            self.final[b] = findings[0].point if findings[0].point is not None else self.final[b]

    def _falling(self, b: int) -> None:
        """Solve ahead of an orbit whose steps fall geometrically but slowly."""
        w = self.watcher
        trend = w.trend[b]
        if self.twin is None or any(f is not None for f in self.found[b]):
            return
        with np.errstate(invalid="ignore"):
            if not np.all(((trend < 1) & (trend > 0)) | w.settled[b]) or not np.all(w.step[b] <= 1e-3):
                return
        self._ready_tangents()
        findings = conclude(self.twin, replace(self._candidate(b, self.groups), floor=np.full(self.m.rows, 1e-5)))
        if findings is None or any(f.regime is Regime.UNDECIDED for f in findings):
            return
        seen = np.nanmax(trend)
        if not all(
            abs(np.log(seen) - np.log(max(f.rate for f in findings))) <= 0.1 * abs(np.log(seen)) for f in findings[-1:]
        ):
            return
        self._put(
            b,
            list(range(self.groups)),
            [
                f.noting(
                    f"solved ahead of the orbit, whose steps still fall by {seen:.6g} per loop as the spectral radius asks"
                )
                for f in findings
            ],
        )
        self.final[b] = findings[-1].point if findings[-1].point is not None else self.final[b]

    def _moving(self, b: int, *, last: bool) -> None:
        """Ask the exponents of bounded motion, token by token until one is chaotic; then the later ones are too."""
        w = self.watcher
        moving = [g for g in self._open(b) if not self._rows(w.settled[b])[g] and self._keeps_moving(b, g)]
        if self.twin is None or not moving:
            return
        self._ready_tangents()
        loops = int(np.clip(w.loops[b], 256, 4096))
        found, _ = exponents(self.twin, self.final[b], moving[:1], loops, self.rng)
        if np.isnan(found[0].value):
            return
        if found[0].positive:
            for g in moving:
                self.found[b][g] = chaotic(found[0], prefix=self.m.causal)
            return
        if not last:
            return
        rest = exponents(self.twin, self.final[b], moving[1:], loops, self.rng)[0] if len(moving) > 1 else []
        for i, (g, one) in enumerate(zip(moving, [*found, *rest], strict=True)):
            if np.isnan(one.value):
                continue
            if one.positive:
                self._put(b, moving[i:], [chaotic(one, prefix=self.m.causal)] * len(moving[i:]))
                return
            if one.zero:
                self.found[b][g] = quasiperiodic(self.twin, self.final[b], g, one, max(loops, 1024), self.rng)
            elif one.value < 0:
                self.found[b][g] = undecided(
                    f"still moving after {w.loops[b]} loops although the largest exponent is {one.value:.3g} ± {one.error:.1g}: a "
                    "slow transient, or a cycle longer than the window; give more loops",
                    exponent=one.value, exponent_error=one.error,
                )  # fmt: skip

    def _keeps_moving(self, b: int, g: int) -> bool:
        """Say whether steps neither fall nor the norm grows."""
        w = self.watcher
        rows = slice(g, g + 1) if self.m.causal else slice(None)
        grows = np.nan_to_num(w.growth[b, rows], nan=1.0) > 1 + 0.05 / w.loops[b]
        return not grows.all() and not w.slowing(b, rows)

    def _give_up(self, b: int) -> None:
        """Read the law of octaves where steps fall; else say what was seen and what would decide."""
        w = self.watcher
        for g in self._open(b):
            rows = slice(g, g + 1) if self.m.causal else slice(None)
            paths = np.array([octave[b, rows].max() for octave in w.paths])
            shifts = np.array([octave[b, rows].max() for octave in w.shifts])
            falling, law = w.slowing(b, rows), octave_law(paths)
            if falling and law == "drift" and octave_law(shifts) == "drift" and self.twin is not None:
                self.found[b][g] = Finding(
                    regime=Regime.DRIFT,
                    reason=f"steps fall to zero (now {w.absolute_step[b, rows].max():.1e}) but the net displacement over every "
                    f"octave of loops stays the same or grows ({', '.join(f'{v:.4g}' for v in shifts[-4:])}): no limit is approached, "
                    "T2 does not apply",
                )  # fmt: skip
            elif falling and law == "summable":
                self.found[b][g] = undecided(
                    "steps fall like a power of the loop and seem to sum (algebraic convergence): no finite window certifies the "
                    "limit; solve for it with find_fixed_points"
                )
            elif np.nanmax(np.nan_to_num(w.growth[b, rows], nan=1.0)) > 1 + 0.05 / w.loops[b]:
                self.found[b][g] = undecided(
                    "the norm still grows, but neither along a ray nor exponentially at every scale: unbounded, no ray, or growth "
                    "that will saturate; give more loops"
                )
            elif falling:
                more = self._loops_to_floor(b, rows)
                self.found[b][g] = undecided(f"steps still fall after {w.loops[b]} loops{more}")
            else:
                self.found[b][g] = undecided(
                    f"bounded and moving after {w.loops[b]} loops; {self.why_no_twin or 'give more loops'}"
                )

    def _loops_to_floor(self, b: int, rows: slice) -> str:
        w = self.watcher
        rate, step = np.nanmax(w.trend[b, rows]), np.nanmax(w.step[b, rows])
        if not (0 < rate < 1 and step > 0):
            return ""
        return f"; at their present rate about {int(np.log(self.floor[b].max() / step) / np.log(rate))} more reach the floor"

    # -- precision ---------------------------------------------------------------------------------------------------------

    def _ask_twin(self, b: int) -> None:
        """Classify the float64 twin of the same start; the label is about the twin, and says so."""
        assert self.twin is not None  # noqa: S101 - callers look
        start = self.m.numpy(self.begun[b : b + 1])
        inquiry = _Inquiry(self.twin, self.twin.native(start), self.budget, self.polish, self.rng, None)
        findings, final = inquiry.run()
        note = f"said of the float64 twin; the {self.m.dtype_name} orbit itself is hidden by rounding"
        self.found[b] = [f.noting(note) for f in findings[0]]
        self.final[b] = self.m.numpy(final)[0]

    def _ready_tangents(self) -> None:
        """Check the derivative once, before the first verdict that rests on it."""
        if not self.differentiable and self.twin is not None:
            check_derivative(self.twin, self.twin.native(self.m.numpy(self.states[:1])), self.rng)
            self.differentiable = True

    def _closed(self, b: int) -> list[Finding]:
        w = self.watcher
        done = []
        for g, finding in enumerate(self.found[b]):
            rows = slice(g, g + 1) if self.m.causal else slice(None)
            assert finding is not None  # noqa: S101 - every start ends decided or undecided
            grown = w.growth[b, rows]
            done.append(
                finding.knowing(
                    loops=int(w.loops[b]), step=float(w.step[b, rows].max()), norm=float(np.linalg.norm(w.norm[b, rows])),
                    floor=float(self.floor[b, rows].max()), growth=float(np.nanmax(grown)) if np.isfinite(grown).any() else np.nan,
                )
            )  # fmt: skip
        return done
