"""Whether orbits from several starts ended in the same place: distances and cosines between limits, cycles in phase."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.floor import row_norms
from dynloop.orbits.paths.apart import rows_apart
from dynloop.orbits.verdict import Classification, Regime

__all__ = ["Agreement", "compare"]

SETTLED = (Regime.VANISHING, Regime.CYCLIC, Regime.PERIODIC)
_LONGEST = 4096  # loops of a common period up to which cycles are brought into phase
_SAFETY = 1e2  # non-normality lifts the error above residual / (1 − ρ)
_ZERO = 1e-8  # beside the size of the orbit: distances to an end smaller than this are relative to this
_BLURRED = 1e-2  # ends known no better than this are never called one
_APART = 1e-5  # a relative distance below this never counts as two limits


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Agreement:
    """Every pair of starts compared.

    Attributes
    ----------
    cosine : ndarray, (starts, starts, rows)
        Between the ends, row by row, cycles in phase; nan where an end is zero or not finite, and on angles.
    distance : ndarray, (starts, starts)
        Relative, the largest over rows, cycles in phase.
    same, different : ndarray of bool, (starts, starts)
        Whether two starts certainly came to one limit, or to different ends. Neither where that is not known.
    limit : ndarray of int64, (starts,)
        Which limit a start came to, from 0; −1 where it has none, or none that can be told from the others.
    """

    cosine: Array
    distance: Array
    same: Array
    different: Array
    limit: Array


def compare(m: LoopMap, said: Classification, starts: Array, ends: Array) -> Agreement:
    """Compare the ends of orbits pair by pair.

    Parameters
    ----------
    m : LoopMap
        The map.
    said : Classification
        Of all starts, with a batch axis.
    starts : ndarray, (starts, *state_shape)
        Where the orbits began: a limit that is tiny beside its start is known to rounding of the start only.
    ends : ndarray, (starts, *state_shape)
        Its final states.
    """
    n = len(ends)
    regimes, periods = np.reshape(said.regime, (n, -1)), np.reshape(said.period, (n, -1))
    settled = np.array([[r in SETTLED for r in row] for row in regimes])
    common = np.array([math.lcm(*map(int, p)) if s.all() else 1 for p, s in zip(periods, settled, strict=True)])
    has_limit = settled.all(axis=1) & (common <= _LONGEST)
    size = np.fmax(row_norms(m, starts), row_norms(m, ends))
    gap, cosine = _in_phase(m, ends, np.where(has_limit, common, 1), size)
    errors = _errors(m, said, n)
    errors = errors + _SAFETY * 4 * m.precision * _beside(size, row_norms(m, ends))[:, None]
    same, different = np.eye(n, dtype=bool), np.zeros((n, n), dtype=bool)
    for i, j in zip(*np.triu_indices(n, 1), strict=True):
        error, worst = errors[i] + errors[j], gap[i, j].max()
        if has_limit[i] and has_limit[j]:
            one = common[i] == common[j]
            same[i, j] = same[j, i] = one and worst <= error.max() <= _BLURRED
            different[i, j] = different[j, i] = not one or worst > max(_APART, 10 * error.max())
        else:
            apart = _differ_in_part(regimes[i], regimes[j], periods[i], periods[j], gap[i, j], error)
            different[i, j] = different[j, i] = apart
    limit = _limits(has_limit, same, different)
    return Agreement(cosine=cosine, distance=gap.max(axis=2), same=same, different=different, limit=limit)


def _beside(size: Array, ends: Array) -> Array:
    """Return how large an orbit was beside its end, the largest over rows; inf where the end is not finite."""
    with np.errstate(all="ignore"):
        ratio = np.where(size == 0, 1.0, size / np.maximum(ends, _ZERO * size))
    return np.asarray(np.where(np.isnan(ratio), np.inf, ratio).max(axis=1))


def _limits(has_limit: Array, same: Array, different: Array) -> Array:
    """Give numbers to the limits that can be told apart, in the order of the starts."""
    labels = np.full(len(same), -1, dtype=np.int64)
    first: list[int] = []
    for i in np.flatnonzero(has_limit):
        home = [label for label, j in enumerate(first) if same[i, j]]
        if home:
            labels[i] = home[0]
        elif all(different[i, j] for j in first):
            labels[i] = len(first)
            first.append(int(i))
    return labels


def _differ_in_part(a: Array, b: Array, p: Array, q: Array, gap: Array, error: Array) -> bool:
    """Say whether two ends, one of them without a limit, certainly differ: in regime, or in tokens that come first."""
    for g, (one, other) in enumerate(zip(a, b, strict=True)):
        if Regime.UNDECIDED in (one, other):
            return False  # later tokens of a causal map are driven by this one
        if (one in SETTLED) != (other in SETTLED) or p[g] != q[g]:
            return True
        if one not in SETTLED:
            return one is not other
        if p[g] == 1 and gap[g] > max(_APART, 10 * error[: g + 1].max()):
            return True
        if p[g] > 1:
            return False  # in which phase is not known here
    return False


def _errors(m: LoopMap, said: Classification, n: int) -> Array:
    """Return how far the end of every start and group may be from its limit, relative: ``(starts, groups)``.

    A solved limit is off by residual / (1 − ρ), times a factor for non-normality; one that was only iterated to is off
    by its last steps.
    """
    evidence = said.evidence
    residual, step, floor = (np.reshape(v, (n, -1)) for v in (evidence.residual, evidence.step, evidence.floor))
    radius = np.reshape(evidence.spectral_radius, (n, -1))
    slack = np.maximum(1 - np.where(np.isnan(radius), 0.9, radius), 1e-4)
    solved = _SAFETY * (4 * m.precision * m.layer_count + residual / slack)
    iterated = 10 * np.fmax(step, floor) / slack
    return np.asarray(np.where(np.isnan(residual), iterated, solved))


def _in_phase(m: LoopMap, ends: Array, periods: Array, size: Array) -> tuple[Array, ...]:
    """Return relative distances and cosines ``(starts, starts, rows)``, one of a pair moved on until they are nearest.

    A cycle of period p is moved on by 0 … p − 1 loops; what has no period is compared as it is.
    """
    n = len(ends)
    gap, cosine = np.full((n, n, m.rows), np.inf), np.full((n, n, m.rows), np.nan)
    states = m.native(ends)
    for k in range(int(periods.max())):
        now = m.numpy(states)
        for i in np.flatnonzero(periods > k):
            here = np.broadcast_to(now[i], ends.shape)
            near = rows_apart(m, here, ends, _ZERO * np.maximum(size, size[i]))
            aligned = _cosines(m, here, ends, size)
            better = (near.max(axis=1) < gap[i].max(axis=1)) | (k == 0)
            if k:
                better &= periods == periods[i]
            gap[i, better], cosine[i, better] = near[better], aligned[better]
        states = m.watch(states, 1, states).states if k + 1 < periods.max() else states
    upper = np.arange(n)[:, None] <= np.arange(n)
    return tuple(np.where(upper[..., None], one, one.transpose(1, 0, 2)) for one in (gap, cosine))


def _cosines(m: LoopMap, a: Array, b: Array, size: Array) -> Array:
    shape = (len(a), m.rows, m.state_shape[-1])
    if m.periods is not None:
        return np.full(shape[:2], np.nan)
    with np.errstate(all="ignore"):
        known = np.minimum(row_norms(m, a), row_norms(m, b)) > _SAFETY * 4 * m.precision * size
        product = (np.reshape(a, shape) * np.reshape(b, shape)).sum(axis=2)
        found = product / (row_norms(m, a) * row_norms(m, b))
    return np.where(np.isfinite(found) & known, np.clip(found, -1.0, 1.0), np.nan)
