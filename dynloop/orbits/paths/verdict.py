"""The record `PathIndependence`, and the verdict that pairs of ends support."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.orbits.paths.agreement import Agreement
from dynloop.orbits.verdict import Classification
from dynloop.result import Result

__all__ = ["PathIndependence", "names_of", "verdict_on"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class PathIndependence(Result):
    """Whether several starts came to one limit, and how well their ends agree.

    Attributes
    ----------
    verdict : str
        "path independent" (every start tried came to one limit or one cycle), "path dependent" (two ended
        differently), or "undecided".
    independent : bool
        Whether the verdict is "path independent".
    reason : str
        One sentence for the verdict.
    score : float
        Mean of `alignment`: the asymptotic alignment score of Anil et al.; nan without other prompts. Where an orbit
        has no limit (see `limit`) its last state stands for it, and the number says little.
    alignment : ndarray, (others, rows)
        Cosine between the end from the first start and the end from where another prompt had converged, row (token) by
        row.
    agreement : ndarray, (rows,)
        Mean cosine over all pairs of starts, row by row.
    cosine : ndarray, (starts, starts, rows)
        Between ends, row by row; two cycles are brought into phase. nan where an end is zero or not finite, and on
        angles.
    distance : ndarray, (starts, starts)
        Relative distance of the ends, the largest over rows, two cycles in phase.
    limit : ndarray of int64, (starts,)
        Which limit a start came to, from 0; −1 where it has none, or none that can be told from the others.
    regime : array of str, (starts,)
        What every start does.
    status : object array of Status, (starts,)
        Why the classification of every start stopped.
    sources : tuple of str
        Where every start is from: ``"start 0"``, …, ``"other 0"``, …
    others : tuple of str
        What every other prompt does from its own start. Only where it converges is its end a converged state.
    classification : Classification
        Of all starts, in the order of `sources`.
    settings : dict
        What made this result.

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.path_independence(dl.zoo.logistic(2.8), [[0.1], [0.3]])
    >>> found.independent, found.regime.tolist(), found.distance.shape
    (True, ['VANISHING', 'VANISHING'], (2, 2))
    """

    verdict: str
    independent: bool
    reason: str
    score: float
    alignment: Array
    agreement: Array
    cosine: Array
    distance: Array
    limit: Array
    regime: Array
    status: Array
    sources: tuple[str, ...]
    others: tuple[str, ...]
    classification: Classification
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        score = "" if np.isnan(self.score) else f"; asymptotic alignment {self.score:.4f}"
        lines = [f"PathIndependence of {self.settings.get('map', 'a map')}: {self.verdict}{score}", f"  {self.reason}"]
        lines += [f"  {s}: {r}, limit {l}" for s, r, l in zip(self.sources, self.regime, self.limit, strict=True)][:12]
        return "\n".join(lines)


def verdict_on(found: Agreement, said: Classification, sources: list[str], *, unusable: int) -> tuple[str, str]:
    """Return the verdict and its reason; `unusable` other prompts ended where no start can be."""
    rows = np.reshape(said.regime, (len(sources), -1))

    def pair(kind: Array) -> tuple[int, int, str]:
        i, j = (int(k) for k in np.argwhere(kind)[0])
        return i, j, f"{sources[i]} ({names_of(rows[i])}) and {sources[j]} ({names_of(rows[j])})"

    if found.different.any():
        i, j, both = pair(found.different)
        return "path dependent", f"{both} end differently: relative distance {found.distance[i, j]:.2g}"
    if unusable:
        return "undecided", f"{unusable} of the other prompts ended in no finite state, which is no start"
    if found.same.all():
        within = f"within a relative distance of {found.distance.max():.1e}"
        return "path independent", f"all {len(sources)} starts tried came to one limit, {within}"
    _, _, both = pair(~found.same)
    return "undecided", f"whether {both} end alike cannot be told from limits"


def names_of(regimes: Array) -> str:
    """Return the regimes that occur, each once, in order."""
    return " + ".join(dict.fromkeys(r.name for r in regimes))
