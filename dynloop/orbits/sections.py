"""The regime at every section of the loop: carried from the state by theorem where one applies, else classified there.

An orbit is seen k times over, once before every layer. A fixed point of F makes every section a fixed point of its own
cyclic permutation (theory T1); minimal periods and non-zero multipliers agree at all sections (T4, T5). An orbit that
is not bounded may look different at another section: a layer can squeeze a ray into a bounded set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynloop.errors import NoTwinError
from dynloop.maps.base import Array, LoopMap, as_map
from dynloop.orbits.floor import row_norms
from dynloop.orbits.regime import classify
from dynloop.orbits.resuming import checked_map, last_states
from dynloop.orbits.verdict import Classification, Regime
from dynloop.result import Result

__all__ = ["SectionClassification", "classify_sections"]

_CARRIED = {
    Regime.VANISHING: "every section of a fixed point is fixed by its cyclic permutation of the layers (T1)",
    Regime.CYCLIC: "every section of a fixed point is fixed by its cyclic permutation of the layers (T1)",
    Regime.PERIODIC: "the minimal period is the same at every section (T5)",
    Regime.QUASIPERIODIC: "the limit set is carried by every layer, and exponents agree at all sections (T4, T5)",
    Regime.CHAOTIC: "the limit set is carried by every layer, and exponents agree at all sections (T4, T5)",
    Regime.UNDECIDED: "undecided at the first section",
}
_NOISE = 1e4  # residuals above this many roundings, amplified by 1/(1 − ρ), are not those of a solved point


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class SectionClassification(Result):
    """What happens at every section.

    Attributes
    ----------
    regime : object array of Regime, (k, …)
        Axis 0 counts sections: entry l is the state just before layer l. The other axes are those of
        `Classification.regime`.
    period : ndarray of int64, (k, …)
        As in `Classification`.
    residual : ndarray, (k, …)
        ‖F_l^p(x_l) − x_l‖ / ‖x_l‖ with F_l the loop that begins before layer l, measured at the solved orbit; nan
        where there is none.
    increment : ndarray, (k, …)
        ‖L_l(x_l) − x_l‖ / ‖x_l‖.
    nearest : ndarray, (k, …)
        Distance from section l to the nearest other section, relative to ‖x_l‖; nan with one layer. Sections may
        coincide although layers act (x → y → x → y).
    reason : array of str, (k, …)
        One sentence each.
    layers : tuple of str, (k,)
        The layer that each section stands before.
    settings : dict
        Those of the classification.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.TorchMap([lambda x: 0.5 * x + 1, lambda x: x - 1], (1,), layer_names=["pull", "push"])
    >>> found = dl.classify_sections(m, dl.classify(m, [0.3]))
    >>> found.layers, [regime.name for regime in found.regime], found.period.tolist()
    (('pull', 'push'), ['CYCLIC', 'CYCLIC'], [1, 1])
    """

    regime: Array
    period: Array
    residual: Array
    increment: Array
    nearest: Array
    reason: Array
    layers: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        lines = [f"SectionClassification of {self.settings.get('map', 'a map')}: {len(self.layers)} sections"]
        for l, name in enumerate(self.layers):
            kinds, counts = np.unique([r.name for r in np.ravel(self.regime[l])], return_counts=True)
            shares = ", ".join(f"{c} {kind}" for kind, c in zip(kinds, counts, strict=True))
            with np.errstate(all="ignore"):
                worst = np.nanmax(self.residual[l], initial=-np.inf)
            measured = f", residual at most {worst:.1e}" if np.isfinite(worst) else ""
            lines.append(f"  before {name}: {shares}{measured}")
        return "\n".join(lines)


def classify_sections(m: LoopMap, found: Classification) -> SectionClassification:
    """Say which regime every section of the loop is in.

    Parameters
    ----------
    m : LoopMap
        The map.
    found : Classification
        What `classify` said of it.

    Returns
    -------
    SectionClassification
        One verdict a section, start and token.

    Raises
    ------
    InvalidArgumentError
        If `m` is no map, or `found` no classification of it.

    Notes
    -----
    Fixed points, cycles, tori and chaos are carried from the first section by T1, T4 and T5 (arXiv 2604.11791, Prop.
    4.1, for fixed points), and the residual is measured where a point was solved for. Of orbits that are not bounded
    every section is classified by itself, from where the orbit is.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.TorchMap([lambda x: 0.5 * x + 1, lambda x: x - 1], (1,), layer_names=["pull", "push"])
    >>> dl.classify_sections(m, dl.classify(m, [0.3]))
    SectionClassification of a TorchMap: 2 sections
      before pull: 1 CYCLIC, residual at most 0.0e+00
      before push: 1 CYCLIC, residual at most 0.0e+00
    """
    checked_map(as_map(m), found, "found")
    m = m.in_dtype(found.settings["dtype"])
    try:
        exact = m if found.settings["polish"] == "never" else m.twin()
    except NoTwinError:
        exact = m
    states = last_states(m, found)
    lines = (len(states), m.state_shape[0] if m.causal else 1)
    regimes, periods = np.reshape(found.regime, lines), np.reshape(found.period, lines)
    sections = _sections(exact, states)
    norms = _lengths(exact, sections, np.zeros_like(sections))
    size = np.maximum(norms, np.finfo(float).tiny)
    k = m.layer_count
    residual = np.full((k, *lines), np.nan)
    for p in np.unique(periods[periods > 0]):
        later = exact.native(states)
        for _ in range(p):
            later = exact(later)
        gap = _lengths(exact, _sections(exact, exact.numpy(later)), sections) / size
        residual = np.where(periods == p, gap[:k], residual)
    apart = np.full((k, k, *lines), np.inf)
    for l in range(k):
        for other in range(l):
            apart[l, other] = apart[other, l] = _lengths(exact, sections[[l]], sections[[other]])[0]
    regime, period = np.stack([regimes] * k), np.stack([periods] * k)
    reason = np.full((k, *lines), "", dtype=object)
    for index in np.ndindex(*lines):
        why = str(np.reshape(found.reason, lines)[index])
        one: Any = regimes[index]
        reason[(slice(None), *index)] = f"{_CARRIED[one]}: {why}" if one in _CARRIED else why
    _refuse(regime, period, residual, reason, _allowed(found, lines, exact.precision))
    _unbounded(m, found, sections, (regime, period, reason))
    shape = (k, *np.shape(found.regime))
    return SectionClassification(
        regime=regime.reshape(shape), period=period.reshape(shape), residual=residual.reshape(shape),
        increment=(_lengths(exact, sections[1:], sections[:-1]) / size[:k]).reshape(shape),
        nearest=np.where(k > 1, apart.min(axis=1) / size[:k], np.nan).reshape(shape),
        reason=reason.astype(np.str_).reshape(shape), layers=tuple(m.layer_names), settings=found.settings,
    )  # fmt: skip


def _sections(m: LoopMap, states: Array) -> Array:
    """Return all sections of one loop, ``(k+1, batch, *state_shape)``."""
    return m.numpy(m.sections(m.native(states)))


def _lengths(m: LoopMap, a: Array, b: Array) -> Array:
    """Return the distance of states ``(k, batch, *state_shape)``, by group: ``(k, batch, groups)``."""
    rows = np.stack([row_norms(m, m.displacement(x, y)) for x, y in zip(a, b, strict=True)])
    return rows if m.causal else np.asarray(np.linalg.norm(rows, axis=2, keepdims=True))


def _allowed(found: Classification, lines: tuple[int, int], precision: float) -> Array:
    """Return how large a residual the solved orbit of every line explains."""
    e = found.evidence
    rate, residual, floor = (np.reshape(a, lines) for a in (found.rate, e.residual, e.floor))
    known = np.where(np.isnan(residual), 1e2 * floor, np.fmax(residual, precision))
    return np.asarray(_NOISE * known / np.maximum(1 - np.nan_to_num(rate, nan=1.0), 1e-4))


def _refuse(regime: Array, period: Array, residual: Array, reason: Array, allowed: Array) -> None:
    """Make UNDECIDED what was carried to a section where the residual speaks against it."""
    for index in np.argwhere(residual > allowed):
        at = tuple(index)
        regime[at], period[at] = Regime.UNDECIDED, -1
        reason[at] = (
            f"carried from the first section, but the residual here is {residual[at]:.1e} where {allowed[at[1:]]:.1e} "
            "would be explained by rounding: a layer amplifies it, or is not a function of the state"
        )


def _unbounded(m: LoopMap, found: Classification, sections: Array, verdicts: tuple[Array, Array, Array]) -> None:
    """Classify by themselves the later sections of orbits that are not bounded."""
    regime, period, reason = verdicts
    loose = np.asarray(sum(regime[0] == one for one in (Regime.RAY, Regime.DRIFT, Regime.DIVERGENT)), dtype=bool)
    starts = np.flatnonzero(loose.any(axis=1))
    if len(starts) == 0:
        return
    for l in range(1, len(regime)):
        states = sections[l][starts]
        fine = np.isfinite(states).reshape(len(states), -1).all(axis=1)
        for lost in starts[~fine]:
            reason[l, lost][loose[lost]] = "not finite"
        if fine.any():
            rows = starts[fine]
            own = classify(
                m.rotate(l), m.native(states[fine]), loops=found.settings["loops"], polish=found.settings["polish"]
            )
            for array, new in ((regime, own.regime), (period, own.period), (reason, own.reason)):
                part = array[l, rows]
                part[loose[rows]] = np.reshape(new, (len(rows), -1))[loose[rows]]
                array[l, rows] = part
