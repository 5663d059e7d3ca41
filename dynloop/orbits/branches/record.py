"""What a continuation returns: `Branch`, the solutions along a curve, and each `Bifurcation` on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dynloop.maps.base import Array
from dynloop.result import Result, Status

__all__ = ["Bifurcation", "Branch"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Bifurcation(Result):
    """A point of a branch where the orbit changes its stability or the branch turns.

    Attributes
    ----------
    kind : str
        "fold": the branch turns back in the parameter (a multiplier 1). "flip": a multiplier −1; the doubled orbit
        begins here. "neimark-sacker": a complex pair on the unit circle; an invariant circle begins here. "branch":
        another branch crosses this one (a multiplier 1 without a turn): transcritical or pitchfork.
    value : float
        The parameter.
    error : float
        How far `value` may be off: rounding and the errors of the multipliers, to first order.
    point : ndarray, (p, *state_shape)
        The orbit there.
    multipliers : ndarray of complex, (k,)
        Leading multipliers there.
    unstable : tuple of int
        Multipliers outside the unit circle before and behind, along the branch.
    criticality : str
        Of a flip or a Neimark–Sacker: "supercritical", the new orbit is stable within the centre manifold, or
        "subcritical", it is unstable; "unknown" where the coefficient is not certain. Of a branch point "transcritical"
        where the quadratic coefficient is certain not to vanish, else "unknown". Empty for a fold.
    coefficient : float
        Of the normal form, the eigenvector having unit length: b of a flip, positive when supercritical; Re d of a
        Neimark–Sacker, negative when supercritical; the quadratic coefficient of a fold or a branch point. nan where
        it was not computed.
    coefficient_error : float
        How far two step sizes of its differences lie apart, with rounding.
    row : int
        The row of the branch behind which it lies.
    period : int
        p.
    direction : ndarray, (n + 1,)
        The unit tangent of the branch, coordinates of the state and then the parameter; for `switch_branch`.

    Examples
    --------
    >>> import dynloop as dl
    >>> flip = dl.continue_fixed_point(dl.zoo.logistic, [0.6], [2.5, 3.2]).bifurcations[0]
    >>> flip.kind, flip.unstable, flip.point.round(6).tolist(), bool(flip.coefficient > 0)
    ('flip', (0, 1), [[0.666667]], True)
    """

    kind: str
    value: float
    error: float
    point: Array
    multipliers: Array
    unstable: tuple[int, ...]
    criticality: str
    coefficient: float
    coefficient_error: float
    row: int
    period: int
    direction: Array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class Branch(Result):
    """Solutions of F^p(x) = x along a curve in state and parameter, in the order of the curve.

    Attributes
    ----------
    points : ndarray, (steps, p, *state_shape)
        The orbits.
    values : ndarray, (steps,)
        The parameter; it is not monotone where the branch folds.
    multipliers : ndarray of complex, (steps, k)
        Leading multipliers of F^p, nan where fewer are known.
    multiplier_errors : ndarray, (steps, k)
        How far each may be off.
    stability : object array of str, (steps,)
        "sink", "saddle", "source", "superstable" (all multipliers 0), "marginal" (one on the unit circle within its
        error), "unstable" (outside, but not all are known) or "unknown".
    unstable : ndarray of int, (steps,)
        How many multipliers lie outside the unit circle.
    residual : ndarray, (steps,)
        ‖F^p(x) − x‖ / ‖x‖, of an orbit at the origin ‖F^p(x) − x‖.
    arclength : ndarray, (steps,)
        Length of the curve up to each row, scaled: states by their root mean square, the parameter by its window.
    bifurcations : tuple of Bifurcation
        In the order of the curve.
    unexplained : ndarray, (changes, 2)
        Pairs of parameter values between which multipliers crossed the unit circle, or signs changed, and no
        bifurcation was found that explains it. Empty when all is explained.
    status : Status
        END_OF_BRANCH, LEFT_WINDOW, CLOSED, STEP_TOO_SMALL, DIVERGED or OUT_OF_STEPS.
    reason : str
        More of why the branch ended; empty where the status says it.
    period : int
        p.

    Examples
    --------
    >>> import dynloop as dl
    >>> branch = dl.continue_fixed_point(dl.zoo.logistic, [0.6], [2.5, 3.2])
    >>> str(branch.stability[0]), str(branch.stability[-1]), branch.status.name, branch.period
    ('sink', 'source', 'END_OF_BRANCH', 1)
    """

    points: Array
    values: Array
    multipliers: Array
    multiplier_errors: Array
    stability: Array
    unstable: Array
    residual: Array
    arclength: Array
    bifurcations: tuple[Bifurcation, ...]
    unexplained: Array
    status: Status
    reason: str
    period: int

    def rows_at(self, value: float) -> Array:
        """Return the rows that hold exactly this value of the parameter."""
        return np.flatnonzero(self.values == value)

    def summary(self) -> str:
        """Return the bifurcations and the end of the branch, one a line."""
        turns = int(sum(found.kind == "fold" for found in self.bifurcations))
        lines = [
            f"period {self.period}: {len(self.values)} solutions from {self.values[0]:.6g} to {self.values[-1]:.6g}, "
            f"{turns} fold{'' if turns == 1 else 's'}"
        ]
        for found in self.bifurcations:
            kind = f"{found.criticality} {found.kind}".strip()
            lines.append(
                f"{kind} at {found.value:.12g} ± {found.error:.1e}, unstable {found.unstable[0]} → {found.unstable[1]}"
            )
        lines += [f"unexplained change between {a:.12g} and {b:.12g}" for a, b in self.unexplained]
        lines.append(self.status.value + (f" ({self.reason})" if self.reason else ""))
        return "\n".join(lines)
