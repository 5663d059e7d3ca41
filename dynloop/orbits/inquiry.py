"""What is known of a batch of orbits while they are classified, and the verdicts found so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from dynloop.calculus.tangent import check_derivative
from dynloop.errors import NoTwinError
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.convergence import Candidate
from dynloop.orbits.finding import Finding
from dynloop.orbits.floor import precision_floor, row_norms
from dynloop.orbits.watcher import Watcher

__all__ = ["Inquiry"]

_EPS = float(np.finfo(np.float64).eps)


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
    polish : {"auto", "never"}
        Whether a float64 twin may be used.
    rng : Generator
        For tangents and projections.

    Attributes
    ----------
    final : ndarray, (batch, *state_shape)
        The last state of every start, or the point that was solved for.
    floor : ndarray, (batch, rows)
        Relative precision floor.
    decided : ndarray of bool, (batch, groups)
        Which groups have a verdict.
    remarks : dict
        Why the last test of a start (by its index) did not decide.
    """

    def __init__(self, m: LoopMap, starts: Any, budget: int, polish: str, rng: np.random.Generator) -> None:
        self.m, self.starts, self.budget, self.polish, self.rng = m, starts, budget, polish, rng
        self.low = m.precision > _EPS
        self.twin, self.why_no_twin = self._find_twin()
        self.groups = m.state_shape[0] if m.causal else 1
        self.states = starts[np.arange(len(starts))]  # a copy: the starts belong to the caller
        self.final = m.numpy(starts)
        self.watcher = Watcher(m, len(starts), row_norms(m, m.displacement(self.final, np.zeros(m.state_shape))))
        self.floor = np.full((len(starts), m.rows), self.watcher.nominal)
        self.decided = np.zeros((len(starts), self.groups), dtype=bool)
        self._found: list[list[Finding | None]] = [[None] * self.groups for _ in range(len(starts))]
        self.remarks: dict[int, str] = {}
        self._differentiable = False

    def _find_twin(self) -> tuple[LoopMap | None, str]:
        if self.polish == "never":
            return None, f"not polished, so this is said at the precision of {self.m.dtype_name}"
        try:
            return self.m.twin(), ""
        except NoTwinError:
            return None, f"the map has no float64 twin, so this is said at the precision of {self.m.dtype_name}"

    def advance(self, active: Array, loops: int) -> None:
        """Iterate the starts `active` (indices) by one window and measure it."""
        window = self.m.watch(self.states[active], loops, self.states[active])
        self.states[active] = window.states
        self.final[active] = self.m.numpy(window.states)
        if self.low:
            self.floor[active] = precision_floor(self.m, window.states)
        self.watcher.see(active, window, self.floor[active])

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

    def open(self, b: int) -> list[int]:
        """Return the groups of a start that have no verdict yet."""
        return [int(g) for g in np.flatnonzero(~self.decided[b])]

    def put(self, b: int, groups: Iterable[int], findings: Iterable[Finding]) -> None:
        """Record verdicts for those of the groups that have none yet; a solved point becomes the final state."""
        for g, finding in zip(groups, findings, strict=True):
            if self._found[b][g] is None:
                self._found[b][g], self.decided[b, g] = finding, True
                if finding.point is not None:
                    self.final[b] = finding.point

    def candidate(self, b: int, *, period: int = 1) -> Candidate:
        """Return the last state of a start as a candidate limit."""
        w = self.watcher
        return Candidate(
            state=self.final[b], groups=self.groups, floor=self.floor[b], largest=w.largest[b],
            rate=self.most(w.rate[b]), period=period,
        )  # fmt: skip

    def ready_tangents(self) -> LoopMap:
        """Return the float64 map, its derivative checked once, before the first verdict that rests on it."""
        assert self.twin is not None  # noqa: S101 - callers look
        if not self._differentiable:
            check_derivative(self.twin, self.twin.native(self.m.numpy(self.states[:1])), self.rng)
            self._differentiable = True
        return self.twin

    def closed(self) -> list[list[Finding]]:
        """Return every verdict with the numbers of its window."""
        w = self.watcher
        done: list[list[Finding]] = []
        for b, row in enumerate(self._found):
            done.append([])
            for g, finding in enumerate(row):
                assert finding is not None  # noqa: S101 - every start ends decided or undecided
                rows = self.rows(g)
                numbers = {
                    "loops": int(w.loops[b]),
                    "step": float(w.step[b, rows].max()),
                    "norm": float(np.linalg.norm(w.norm[b, rows])),
                    "floor": float(self.floor[b, rows].max()),
                    "growth": float(np.fmax.reduce(w.growth[b, rows])),
                }
                done[-1].append(finding.knowing(**numbers))
        return done
