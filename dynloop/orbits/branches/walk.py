"""The walk along a branch: Euler–Newton steps of pseudo-arclength, longer where Newton's method is quick."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.branches.corrector import correct, place_at
from dynloop.orbits.branches.place import Place
from dynloop.orbits.branches.segment import Segment
from dynloop.orbits.branches.system import System
from dynloop.result import Status

__all__ = ["Steps", "Walk"]

_QUICK, _LABOURED = 3, 6  # Newton steps, up to which a step may grow, and from which it shrinks
_GROWTH, _SHRINK = 1.5, 0.5
_BEND = 0.95  # least cosine between the directions at both ends of a step
_OFF = 0.4  # largest correction, as a share of the step
_ASIDE = 0.83  # of a step that ends on a bifurcation, the share that does not
_BEYOND = 1e6  # scaled size of a state that grows without bound
_RETURN = 1e-6  # distance at which a branch has come back to its first point


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Steps:
    """Lengths of the steps of a walk, scaled, and how many there may be."""

    first: float
    smallest: float
    largest: float
    budget: int


class Walk:
    """A walk from a place to where it ends; `status` and `reason` say why it did.

    Parameters
    ----------
    system : System
        The equations.
    start : Place
        Where it begins, and which way it sets off.
    end : float
        The value of the parameter that is to be reached.
    steps : Steps
        Their lengths.
    k : int
        Leading multipliers at a place of high dimension.
    """

    def __init__(self, system: System, start: Place, end: float, steps: Steps, k: int) -> None:
        self.system, self.start, self.end, self.steps, self.k = system, start, end, steps, k
        self.status, self.reason = Status.OUT_OF_STEPS, ""
        orbit = system.orbit(start.z)
        self._home = [system.pack(x, system.value(start.z)) for x in orbit[:-1]]
        self._failure = ""

    def segments(self) -> Iterator[Segment]:
        """Yield the steps one by one."""
        here, length, taken = self.start, self.steps.first, 0
        while taken < self.steps.budget:
            bound = self._bound_ahead(here)
            if bound is not None and self._reach(here, bound) <= 1e-13:
                self._arrive(bound)
                return
            there, used, quick = self._step(here, length, bound)
            if there is None:
                length *= _SHRINK
                if length < self.steps.smallest:
                    self.status, self.reason = Status.STEP_TOO_SMALL, self._failure
                    if "finite" in self._failure:
                        self.status = Status.DIVERGED
                    return
                continue
            taken += 1
            segment = Segment(self.system, here, there, self.k)
            yield segment
            if taken > 2 and self._home_again(segment):
                self.status, self.reason = Status.CLOSED, ""
                return
            if bound is not None and used == 0.0:
                self._arrive(bound)
                return
            here = there
            size = float(np.linalg.norm(here.z[:-1]))
            if size > _BEYOND:
                self.status, self.reason = Status.UNBOUNDED, f"at {self.system.value(here.z):.6g}"
                return
            length = min(self.steps.largest * max(1.0, size), used * (_GROWTH if quick else 1.0))
        self.reason = f"{self.steps.budget} steps; raise `budget` or `largest_step`"

    # -- one step ------------------------------------------------------------------------------------------------

    def _step(self, here: Place, length: float, bound: float | None) -> tuple[Place | None, float, bool]:
        """Try one step; return its end, the length taken (0 on arrival at a bound) and whether it was easy."""
        if bound is not None and self._reach(here, bound) <= length:
            there = self._land(here, bound)
            return there, 0.0, True
        for share in (1.0, _ASIDE):
            there, quick = self._corrected(
                here, here.z + share * length * here.direction, here.direction, share * length
            )
            if there is None or not (there.marginal and not here.marginal):
                break
        return there, share * length, quick

    def _land(self, here: Place, bound: float) -> Place | None:
        """Step to a bound of the window."""
        row = np.zeros(self.system.n + 1)
        row[-1] = 1.0
        reach = self._reach(here, bound)
        guess = here.z + reach * here.direction
        guess[-1] = self.system.scaled(bound)
        return self._corrected(here, guess, row, reach)[0]

    def _corrected(self, here: Place, guess: Array, row: Array, length: float) -> tuple[Place | None, bool]:
        """Correct a guess within a plane; refuse what is no continuation of the place it came from."""
        found = correct(self.system, guess, row)
        if found.z is None:
            self._failure = found.reason
            return None, False
        small = length <= 4 * self.steps.smallest
        if np.linalg.norm(found.z - guess) > _OFF * length and not small:
            self._failure = "the branch bends more than a step allows, or another branch is near"
            return None, False
        there = place_at(self.system, found.z, here.direction, self.k, found.linear)
        if there is None:
            self._failure = "the branch has no direction at a point of it: a bifurcation, or solutions not isolated"
            return None, False
        if float(there.direction @ here.direction) < _BEND:
            self._failure = "the branch bends more than a step allows, or another branch is near"
            return None, False
        return there, found.iterations <= _QUICK

    # -- ends ----------------------------------------------------------------------------------------------------

    def _bound_ahead(self, here: Place) -> float | None:
        rate = float(here.direction[-1])
        return None if rate == 0 else (self.system.high if rate > 0 else self.system.low)

    def _reach(self, here: Place, bound: float) -> float:
        """Return how far the bound is along the direction."""
        return (self.system.scaled(bound) - float(here.z[-1])) / float(here.direction[-1])

    def _arrive(self, bound: float) -> None:
        self.status = Status.END_OF_BRANCH if bound == self.end else Status.LEFT_WINDOW
        self.reason = "" if bound == self.end else f"at {bound!r}; give a wider `window` to follow it further"

    def _home_again(self, segment: Segment) -> bool:
        """Say whether the step passed the first point of the branch, or another point of the same cycle."""
        for home in self._home:
            gap = self._gap(home, segment.left.z)
            s = float(segment.row @ gap)
            if not 0 < s <= segment.length or np.linalg.norm(gap) > 2 * segment.length:
                continue
            passed = segment.solution(s).z
            if passed is not None and np.linalg.norm(self._gap(home, passed)) <= _RETURN:
                return True
        return False

    def _gap(self, a: Array, b: Array) -> Array:
        m = self.system.map_at(self.start.z)
        x = m.displacement(self.system.state(a), self.system.state(b)).reshape(-1) / self.system.x_unit
        return np.append(x, a[-1] - b[-1])
