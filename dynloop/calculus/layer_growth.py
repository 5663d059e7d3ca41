"""How a frame grows within every layer of a loop, by a QR decomposition after each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dynloop.maps.base import LoopMap
from dynloop.maps.measured import Stretch

__all__ = ["LayerGrowth"]


class LayerGrowth:
    """The loop of a map, orthonormalised after every layer.

    QR is unique, so the log R_jj of the layers of one loop add up to that of the loop: each is the layer's share.

    Parameters
    ----------
    m : LoopMap
        The map.
    """

    def __init__(self, m: LoopMap) -> None:
        self.parts: Sequence[LoopMap] = [m.part(l) for l in range(m.layer_count)]

    def stretch(
        self,
        states: Any,
        frames: Any,
        loops: int,
        *,
        every: int = 1,  # noqa: ARG002 - after every layer
        gather: int = 1,
        overwrite: bool = False,
    ) -> Stretch:
        """Iterate, carrying frames ``(batch, k, *s)``; `logs` is ``(loops // gather, layers, batch, k)``."""
        logs = np.zeros((loops // gather, len(self.parts), *frames.shape[:2]))
        for t in range(loops):
            for l, part in enumerate(self.parts):
                found = part.stretch(states, frames, 1, overwrite=overwrite or t + l > 0)
                states, frames = found.states, found.frames
                logs[t // gather, l] += found.logs[0]
        return Stretch(states=states, frames=frames, logs=logs)
