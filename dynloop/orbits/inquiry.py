"""What is known of a batch of orbits while they are classified, and the verdicts found so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from dynloop.calculus.tangent import check_derivative
from dynloop.maps.base import Array, LoopMap
from dynloop.maps.measured import Watch
from dynloop.orbits.candidate import Candidate
from dynloop.orbits.finding import Finding
from dynloop.orbits.floor import measured_floor, row_norms
from dynloop.orbits.ledger import Ledger
from dynloop.orbits.survey import surveyed
from dynloop.orbits.unfinished import Unfinished
from dynloop.orbits.upcast import upcast
from dynloop.orbits.verdict import Classification
from dynloop.orbits.watcher import Watcher

__all__ = ["Inquiry", "picked"]

_EPS = float(np.finfo(np.float64).eps)


def picked(states: Any, rows: Array) -> Any:
    """Return a copy of some of the states, given by index; NumPy takes rows ten times faster than it indexes them."""
    return states.take(rows, axis=0) if isinstance(states, np.ndarray) else states[rows]


class Inquiry:
    """One run of the classifier over a batch of starts.

    A *group* is what gets a verdict of its own: a token of a causal map, or the whole state. A *row* is what is
    measured by itself (see `Watch`). In a causal map they are the same.

    Parameters
    ----------
    m : LoopMap
        The map, its dtype fixed.
    starts : native array, (batch, *state_shape)
        Where the orbits begin; left alone.
    budget : int
        Loops per start.
    polish : {"auto", "never", "float64", "float32"}
        Whether a twin of higher precision may be used.
    rng : Generator
        For tangents and projections.

    Attributes
    ----------
    twin : LoopMap or None
        The map in float64, in which limits are solved for and tangents carried.
    upcast : LoopMap or None
        A twin of higher precision, asked where rounding may decide what the orbit does.
    before : native array, (batch, *state_shape)
        The state of every start before its last window.
    final : ndarray, (batch, *state_shape)
        The last state of every start, or the point that was solved for.
    floor : ndarray, (batch, rows)
        Relative precision floor.
    decided : ndarray of bool, (batch, groups)
        Which groups have a verdict.
    algebraic, slow : int
        How many starts were tested for algebraic convergence, and for a slow approach, which are dear.
    left : list of Unfinished
        Orbits of the twin that ran out of loops.
    remarks : dict
        Why the last test of a start (by its index) did not decide.
    kept : list of Watch, or None
        The series of every window, if they are wanted; where a map measures without them there are none.
    """

    def __init__(self, m: LoopMap, starts: Any, budget: int, polish: str, rng: np.random.Generator) -> None:
        self.m, self.starts, self.budget, self.polish, self.rng = m, starts, budget, polish, rng
        self.low = m.precision > _EPS
        self.upcast, self.why_no_twin = upcast(m, polish)
        self.twin = next((t for t in (m, self.upcast) if polish != "never" and t and t.precision <= _EPS), None)
        self.groups = m.state_shape[0] if m.causal else 1
        self.states = picked(starts, np.arange(len(starts)))  # a copy: the starts belong to the caller
        self.before = picked(starts, np.arange(len(starts)))
        self.final = m.numpy(starts)
        self.watcher = Watcher(m, len(starts), row_norms(m, m.displacement(self.final, np.zeros(m.state_shape))))
        self.floor = np.full((len(starts), m.rows), 4 * m.precision)
        self._ledger = Ledger(len(starts), self.groups, m.layer_count)
        self.decided = self._ledger.decided
        self.remarks: dict[int, str] = {}
        self.algebraic = self.slow = 0
        self.left: list[Unfinished | None] = []
        self.kept: list[Watch] | None = None
        self._differentiable = False

    @classmethod
    def resumed(cls, m: LoopMap, left: Unfinished, budget: int, polish: str, rng: np.random.Generator) -> Inquiry:
        """Return an inquiry that goes on with unfinished orbits."""
        q = cls(m, m.native(left.states), budget, polish, rng)
        q.floor = np.array(left.memory["floor"])
        q.watcher.recall(left.memory)
        return q

    def advance(self, active: Array, loops: int) -> None:
        """Iterate the starts `active` (indices) by one window and measure it."""
        done = int(self.watcher.loops[active[0]]) + loops
        at = slice(None) if len(active) == len(self.final) else active  # a slice is copied ten times faster

        def floor(states: Any) -> Array:
            if self.low:
                self.floor[at] = measured_floor(self.m, self.upcast, states)
            return np.asarray(self.floor[at])

        begun = self.states[at] if at is not active else picked(self.states, active)
        seen = surveyed(
            self.m, begun, loops, self.watcher.largest[at], floor,
            trend=(done >= 256 and done & (done - 1) == 0) or done + loops >= self.budget,
            rate=self.twin is None or self.m.causal, kept=self.kept,
        )  # fmt: skip
        self.before[at] = begun
        self.states[at] = seen.states
        self.final[at] = self.m.numpy(seen.states)
        self.watcher.see(at, done, loops, seen)

    # -- rows and groups ---------------------------------------------------------------------------------------------

    def every(self, rows: Array) -> Array:
        """Reduce booleans per row, ``(…, rows)``, to booleans per group: whether all rows of it are true."""
        return rows if self.m.causal else np.asarray(rows.all(axis=-1, keepdims=True))

    def most(self, rows: Array) -> Array:
        """Reduce numbers per row, ``(…, rows)``, to the largest per group; nan where every row is nan."""
        return rows if self.m.causal else np.asarray(np.fmax.reduce(rows, axis=-1, keepdims=True))

    def rows(self, group: int) -> slice:
        """Return the rows of a group."""
        return slice(group, group + 1) if self.m.causal else slice(None)

    # -- verdicts ----------------------------------------------------------------------------------------------------

    @property
    def unfinished(self) -> Array:
        """Which groups more loops may decide, ``(batch, groups)``."""
        return self._ledger.unfinished

    @property
    def verdicts(self) -> int:
        """How many groups have a verdict."""
        return self._ledger.count

    def open(self, b: int) -> list[int]:
        """Return the groups of a start that have no verdict yet."""
        return [int(g) for g in np.flatnonzero(~self.decided[b])]

    def put(self, b: int, groups: Iterable[int], findings: Iterable[Finding]) -> None:
        """Record verdicts for those of the groups that have none yet; a solved point becomes the final state."""
        start = np.array([b])
        for g, finding in zip(groups, findings, strict=True):
            self.share(start, g, finding)

    def share(self, starts: Array, group: int, finding: Finding, **own: Array) -> None:
        """Record one verdict for a group of many starts, as `put`; `own` are numbers by start, ``(starts,)``."""
        if finding.point is not None:
            self.final[starts[~self.decided[starts, group]]] = finding.point
        self._ledger.write(starts, group, finding, own)

    def copy(self, starts: Array, twin: Inquiry, note: str) -> None:
        """Record the verdicts of an inquiry into the twin from these starts, a remark added to their reasons."""
        left = Unfinished.of(twin)
        self.left.append(None if left is None else left.under(starts))
        twin._close()
        self._ledger.copy(starts, twin._ledger, note)
        self.final[starts] = twin.final

    def candidate(self, b: int, *, period: int = 1) -> Candidate:
        """Return the last state of a start as a candidate limit."""
        w, rate = self.watcher, self.most(self.watcher.rate[b])
        slowest = np.argmax(np.nan_to_num(w.rate[b], nan=-1.0))
        return Candidate(
            state=self.final[b], groups=self.groups, floor=self.floor[b], largest=w.largest[b], rate=rate,
            rate_error=w.rate_error[b] if self.m.causal else w.rate_error[b, [slowest]], period=period,
        )  # fmt: skip

    def ready_tangents(self) -> LoopMap:
        """Return the float64 map, its derivative checked once, before the first verdict that rests on it."""
        assert self.twin is not None  # noqa: S101 - callers look
        if not self._differentiable:
            check_derivative(self.twin, self.twin.native(self.m.numpy(self.states[:1])), self.rng)
            self._differentiable = True
        return self.twin

    def _close(self) -> None:
        """Add the numbers of the last window to every verdict."""
        w, causal = self.watcher, self.m.causal
        norm = w.norm if causal else np.linalg.norm(w.norm, axis=1, keepdims=True)
        numbers = {name: self.most(getattr(w, name)) for name in ("step", "growth")}
        loops = np.repeat(w.loops[:, None], self.groups, axis=1)
        self._ledger.fill(numbers | {"loops": loops, "norm": norm, "floor": self.most(self.floor)})

    def close(self, **record: Any) -> Classification:
        """Return every verdict with the numbers of its window; `record` as in `Ledger.assemble`."""
        self._close()
        left = Unfinished.of(self) if self.upcast is None or not self.low else Unfinished.join(self.left)
        return self._ledger.assemble(**record, unfinished=left)
