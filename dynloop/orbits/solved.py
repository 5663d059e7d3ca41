"""The record of fixed points and cycles that were found, with the starts that led to none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.result import Result, Status

__all__ = ["FixedPoints", "Unsolved"]

_SHOWN = 8  # rows that are printed
_SAID = {
    Status.SHORTER_PERIOD: "led to an orbit of a shorter period",
    Status.NOT_CONVERGED: "did not settle",
    Status.DIVERGED: "diverged",
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Unsolved(Result):
    """Starts from which no orbit of the wanted period was found.

    Attributes
    ----------
    start : ndarray of int, (starts,)
        Their indices among the starts.
    points : ndarray, (starts, *state_shape)
        Where the search from each ended: of a slow point, where ‖F^p(x) − x‖ has a local minimum.
    residual : ndarray, (starts,)
        Relative residual there, as in `FixedPoints`.
    status : ndarray of Status, (starts,)
        SLOW; NOT_CONVERGED; DIVERGED; SHORTER_PERIOD.
    """

    start: Array
    points: Array
    residual: Array
    status: Array

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class FixedPoints(Result):
    """Fixed points, or orbits of prime period p, each once.

    Attributes
    ----------
    points : ndarray, (rows, p, *state_shape)
        The points of every orbit in their order; angles in [0, period).
    multipliers : ndarray of complex128, (rows, k)
        Leading eigenvalues of DF^p, largest modulus first, the same for every point of an orbit; nan where unknown.
    stability : ndarray of str, (rows,)
        "sink", "saddle", "source", "marginal", "superstable"; "unstable" where small multipliers are not known,
        "unknown" where none are (see `dynloop.orbits.stability`).
    residual : ndarray, (rows,)
        The largest ‖F(x_i) − x_{i+1}‖ / ‖x_i‖ of the orbit's points.
    status : ndarray of Status, (rows,)
        SOLVED.
    error : ndarray, (rows,)
        Estimate of how far the points are off, to first order; infinite where DF^p has a multiplier 1 to within
        rounding, and the orbit is one of a continuum or a double one.
    multiplier_errors : ndarray, (rows, k)
        How far each multiplier may be off.
    unstable : ndarray of int, (rows,)
        How many of the multipliers lie outside the unit circle beyond their errors.
    row : ndarray of int, (starts,)
        The row that each start led to; −1 where it led to none.
    failed, slow : Unsolved
        Starts that led to none, those that ended at a slow point apart: a small residual, but no fixed point nearby.
    period : int
        p.
    settings : dict
        What made this result.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.find_fixed_points(dl.zoo.henon(), [[0.5, 0.2], [-1.0, -0.3]])
    >>> found.row.tolist(), found.unstable.tolist(), bool((found.residual < 1e-14).all())
    ([0, 1], [1, 1], True)
    """

    points: Array
    multipliers: Array
    stability: Array
    residual: Array
    status: Array
    error: Array
    multiplier_errors: Array
    unstable: Array
    row: Array
    failed: Unsolved
    slow: Unsolved
    period: int
    settings: dict[str, Any]

    def __len__(self) -> int:
        return len(self.points)

    def summary(self) -> str:
        """Say in one line how many were found, of which stability, and what became of the starts."""
        kinds = [f"{np.sum(self.stability == kind)} {kind}" for kind in dict.fromkeys(self.stability.tolist())]
        found = f"{_counted(len(self), self.period)}" + (f" ({', '.join(kinds)})" if kinds else "")
        ends = {"led there": int(np.sum(self.row >= 0)), "ended at a slow point": len(self.slow)}
        for status, said in _SAID.items():
            ends[said] = int(np.sum([one is status for one in self.failed.status]))
        told = ", ".join(f"{count} {said}" for said, count in ends.items() if count)
        return f"{found}; of {len(self.row)} start{'' if len(self.row) == 1 else 's'} {told}"

    def __repr__(self) -> str:
        lines = [f"FixedPoints: {self.summary()}"]
        for i in range(min(len(self), _SHOWN)):
            leading = ", ".join(f"{value:.6g}" for value in _tidy(self.multipliers[i, :3]))
            more = ", …" if self.multipliers.shape[1] > 3 else ""
            lines.append(
                f"  {i}: {self.stability[i]}, multipliers {leading}{more}; residual {self.residual[i]:.1e}, "
                f"error {self.error[i]:.1e}"
            )
        if len(self) > _SHOWN:
            lines.append(f"  … and {len(self) - _SHOWN} more")
        return "\n".join(lines)


def _counted(count: int, period: int) -> str:
    plural = "" if count == 1 else "s"
    return f"{count} fixed point{plural}" if period == 1 else f"{count} orbit{plural} of prime period {period}"


def _tidy(values: Array) -> list[Any]:
    """Return numbers, real where they are."""
    return [value.real if value.imag == 0 else value for value in values]
