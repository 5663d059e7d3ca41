"""The record of stages over depth and loops, `InferenceStages`, and how alike successive loops are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dynloop.maps.base import Array
from dynloop.result import Result

__all__ = ["ATTENTION", "LENS", "STREAM", "InferenceStages", "agreement", "repeats", "shaped"]

ATTENTION = ("concentration", "sink_rate", "mixing")
STREAM = ("matrix_entropy", "norm")
LENS = ("kl", "lens_entropy")
_CONSTANT = 1e-9  # spread, relative to its size, below which a curve has no shape


@dataclass(frozen=True, slots=True, eq=False, kw_only=True, repr=False)
class InferenceStages(Result):
    """Stage curves of a block, averaged over prompts.

    Attributes
    ----------
    curves : dict of str to ndarray
        ``(loops, attentions)``: ``"concentration"`` (ColSum concentration), ``"sink_rate"``, ``"mixing"`` (mean row
        entropy, nats), averaged over heads. ``(loops, layers)``, of the stream behind each layer: ``"matrix_entropy"``
        (nats), ``"norm"`` (of a token), and where the block has logits ``"kl"`` (to the answer after the last loop) and
        ``"lens_entropy"`` (nats).
    errors : dict of str to ndarray
        Their standard errors, of the same shapes; nan with one prompt.
    repeat : dict of str to ndarray, (loops − 1,)
        How alike the curves of loop t and t + 1 are: Lin's concordance over depth, 1 where they are equal; nan for a
        curve without shape.
    layers : tuple of str
        The layers of a loop.
    attentions : tuple of str
        The attentions of a loop, by their layer.
    attention_layer : ndarray of int, (attentions,)
        In which layer each is.
    samples : int
        Over how many prompts (of one block: starts) is averaged.
    settings : dict
        What made this result.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.synthetic.looped_transformer(layers=3, width=16, heads=2, tokens=5)
    >>> found = dl.inference_stages(m, loops=4)
    >>> found.layers, found.attention_layer.tolist(), found.at_attentions("matrix_entropy").shape
    (('adapter', 'block 0', 'block 1', 'block 2'), [1, 2, 3], (4, 3))
    """

    curves: Mapping[str, Array]
    errors: Mapping[str, Array]
    repeat: Mapping[str, Array]
    layers: tuple[str, ...]
    attentions: tuple[str, ...]
    attention_layer: Array
    samples: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def at_attentions(self, metric: str) -> Array:
        """Return the curve of `metric` at the layers that attend, ``(loops, attentions)``."""
        curve = self.curves[metric]
        return curve if metric in ATTENTION else curve[:, self.attention_layer]

    def __repr__(self) -> str:
        loops, sample = self.settings.get("loops", 0), "prompt" if self.settings.get("blocks", 1) > 1 else "start"
        lines = [
            f"InferenceStages of {self.settings.get('map', 'a map')}: {loops} loop{'s' if loops != 1 else ''} of "
            f"{len(self.layers)} layers, {len(self.attentions)} attentions, {self.samples} {sample}"
            f"{'s' if self.samples != 1 else ''}"
        ]
        for name, curve in self.curves.items():
            first, last = ("–".join(f"{v:.3g}" for v in (row.min(), row.max())) for row in (curve[0], curve[-1]))
            repeat = self.repeat[name]
            said = f", last repeat {repeat[-1]:.3f}" if len(repeat) and not np.isnan(repeat[-1]) else ""
            lines.append(f"  {name}: {first} in the first loop, {last} in the last{said}")
        return "\n".join(lines)


def agreement(a: Array, b: Array) -> Array:
    """Return Lin's concordance of curves over their last axis; nan where either has no shape.

    2·cov / (var_a + var_b + (mean_a − mean_b)²): 1 where they are equal, lower if one is shifted or scaled (Lin 1989,
    Biometrics 45, 255).
    """
    with np.errstate(all="ignore"):
        mean_a, mean_b = a.mean(-1), b.mean(-1)
        dev_a, dev_b = a - mean_a[..., None], b - mean_b[..., None]
        var_a, var_b = (dev_a**2).mean(-1), (dev_b**2).mean(-1)
        found = 2 * (dev_a * dev_b).mean(-1) / (var_a + var_b + (mean_a - mean_b) ** 2)
    return np.where(shaped(a) & shaped(b), found, np.nan)


def shaped(curves: Array) -> Array:
    """Say which curves ``(…, depth)`` are finite and vary over depth."""
    with np.errstate(all="ignore"):
        return np.asarray(np.isfinite(curves).all(-1) & (curves.std(-1) > _CONSTANT * np.abs(curves).max(-1)))


def repeats(curves: Mapping[str, Array]) -> dict[str, Array]:
    """Return the agreement of each loop's curve ``(loops, depth)`` with the next one's, ``(loops − 1,)``."""
    return {name: agreement(curve[:-1], curve[1:]) for name, curve in curves.items()}
