"""The record of attention over loops: `AttentionStability`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.result import Result

__all__ = ["AttentionStability", "stabilised"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class AttentionStability(Result):
    """How attention maps change from loop to loop.

    Arrays have a leading batch axis unless the start came without one. An *attention* is one call in a loop; the map
    recorded at loop t is the one that acts on the state ``x_t``. nan where the orbit was lost.

    Attributes
    ----------
    stabilised_at : ndarray of int64, (batch, attentions, heads)
        The first recorded loop from which on no map differs from the one recorded before it by more than the tolerance;
        −1 where fewer than `hold` changes at the end are within it.
    change : ndarray, (batch, attentions, heads, records − 1)
        ‖A_{t+1} − A_t‖_F between successive records.
    bound : ndarray, (batch, attentions, heads, records − 1)
        What T10 allows it to be; nan where the constants are not known, see `unbounded`.
    section_step : ndarray, (batch, attentions, records − 1)
        Relative change of the section that the layer reads, ‖x_{l,t+1} − x_{l,t}‖ / ‖x_{l,t+1}‖.
    entropy : ndarray, (batch, attentions, heads, records)
        Mean entropy of the rows, in nats.
    distances : ndarray, (batch, attentions, heads, records, records), or None
        ‖A_s − A_t‖_F of all pairs.
    maps : ndarray, (batch, attentions, heads, records, tokens, tokens), or None
        The maps, if they were asked for.
    times : ndarray of int64, (records,)
        The loops that were recorded, counted from 0.
    attentions : tuple of str
        The attentions by their layer.
    unbounded : tuple of str
        Why T10 gives no bound, for every attention; empty where it does.
    settings : dict
        What made this result.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.synthetic.looped_transformer(layers=2, width=16, heads=2, tokens=5)
    >>> found = dl.attention_stability(m, loops=24)
    >>> found.change.shape, found.entropy.shape, found.times[:3].tolist()
    ((1, 2, 2, 23), (1, 2, 2, 24), [0, 1, 2])
    """

    stabilised_at: Array
    change: Array
    bound: Array
    section_step: Array
    entropy: Array
    distances: Array | None
    maps: Array | None
    times: Array
    attentions: tuple[str, ...]
    unbounded: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def summary(self) -> str:
        """Say in one line how many heads stand still, and from which loop."""
        at = self.stabilised_at
        still = at[at >= 0]
        said = f"{len(still)} of {at.size} heads change by at most {self.settings['tol']:g} to the last loop"
        return said + (f", half of them from loop {int(np.median(still))}" if len(still) else "")

    def __repr__(self) -> str:
        name, tokens = self.settings.get("map", "a map"), self.settings.get("tokens")
        lines = [f"AttentionStability of {name}: {self.summary()}", f"  {tokens} tokens, loops {_span(self.times)}"]
        batched = self.change.ndim == 4
        for i, attention in enumerate(self.attentions[:12]):
            at = self.stabilised_at[:, i] if batched else self.stabilised_at[i]
            last = (self.change[:, i] if batched else self.change[i])[..., -1]
            step = (self.section_step[:, i] if batched else self.section_step[i])[..., -1]
            heads = " ".join(map(str, np.ravel(at)[:16])) + (" …" if at.size > 16 else "")
            lines.append(
                f"  {attention}: from loop {heads}; last change ≤ {np.max(last):.1e}, of its section {np.max(step):.1e}"
            )
        return "\n".join(lines)


def stabilised(change: Array, times: Array, tol: float, hold: int) -> Array:
    """Return the first of `times` ``(records,)`` from which every later change ``(…, records − 1)`` is within `tol`.

    −1 where fewer than `hold` are; nan is not.
    """
    within = np.flip(np.logical_and.accumulate(np.flip(change <= tol, -1), axis=-1), -1)
    lasting = within.sum(axis=-1) >= hold
    return np.where(lasting, times[:-1][np.argmax(within, axis=-1)], -1).astype(np.int64)


def _span(times: Array) -> str:
    every = f", every {times[1] - times[0]}" if times[1] - times[0] > 1 else ""
    return f"{times[0]} to {times[-1]}{every}"
