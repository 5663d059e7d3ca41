"""Stages of inference: what each layer does, loop by loop, averaged over prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from dynloop.arguments import checked_int
from dynloop.errors import InvalidArgumentError
from dynloop.inference import attention_metrics as of_maps
from dynloop.inference import stream_metrics as of_streams
from dynloop.inference.attention import torch_map
from dynloop.inference.curves import LENS, InferenceStages, repeats
from dynloop.inference.lens import lens
from dynloop.inference.seen import Step, Watcher, at_once, attention_names, check_same, stacked
from dynloop.maps.base import Array, LoopMap
from dynloop.maps.torch import TorchMap

__all__ = ["inference_stages"]

Progress = Callable[[int, int], None]


def inference_stages(
    blocks: LoopMap | Sequence[LoopMap],
    starts: Any = None,
    *,
    loops: int = 8,
    sink_token: int | None = 0,
    sink_threshold: float = 0.3,
    logits: Callable[[Any], Any] | bool = True,
    rng: int | np.random.Generator | None = 0,
    progress: Progress | None = None,
) -> InferenceStages:
    """Measure the stage curves of a block over its layers and loops.

    Parameters
    ----------
    blocks : LoopMap or sequence of LoopMap
        One block, or one checkpoint under several prompts (maps of the same layers), which are averaged over. A
        feed-forward model is a block that is iterated once: ``loops=1``.
    starts : array, (batch, *state_shape) or state_shape, optional
        Where one block begins; each block's own ``start(rng)`` if left out.
    loops : int
        How many loops to follow.
    sink_token : int or None
        Whose sink score counts; None: that of any token.
    sink_threshold : float
        Score from which a head has a sink.
    logits : bool or callable
        The read-out of the decoder lens: the block's own, if it gives logits; False for none; or a callable, states to
        ``(batch, …, classes)``. It is called once a section.
    rng : int or Generator
        For starts.
    progress : callable, optional
        Called as ``progress(loops done, loops of all blocks)``.

    Returns
    -------
    InferenceStages
        Curves with their standard errors over prompts (of one block: over starts), and how alike loops are.

    Raises
    ------
    InvalidArgumentError
        If an argument is out of range, blocks differ in their layers, or no attention is seen.
    NotAutonomousError
        If loops differ in how often they attend.
    ShapeError
        If `starts` or the logits do not fit.

    Notes
    -----
    Formulas: the ColSum concentration and the uses of the others are those of Blayney et al. 2026 (arXiv 2604.11791);
    sinks are counted as by Gu et al. 2024 (arXiv 2410.10781). Rows of product states ``(2, tokens, width)`` are stacked
    for the matrix entropy and the norm.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.synthetic.looped_transformer(layers=3, width=16, heads=2, tokens=5, seed=3)
    >>> found = dl.inference_stages(m, loops=64)
    >>> found.curves["mixing"].shape, found.curves["matrix_entropy"].shape
    ((64, 3), (64, 4))
    >>> bool(found.repeat["mixing"][-1] > 0.999)
    True
    """
    several = isinstance(blocks, Sequence)
    maps = [torch_map(m) for m in (blocks if isinstance(blocks, Sequence) else [blocks])]
    _check(maps, several, starts, loops, sink_token, sink_threshold, logits)
    sink = {"token": sink_token, "threshold": float(sink_threshold)}
    found: list[dict[str, Array]] = []
    passes = []
    for i, m in enumerate(maps):
        states, _ = m.batch(starts, rng)
        done = None if progress is None else _shifted(progress, i * loops, len(maps) * loops)
        one = _Pass(m.in_dtype_of(states), sink, _read_out(m, logits))
        found.append(one.run(states, loops, done))
        passes.append(one)
    first = passes[0]
    for one in passes:
        if one.names != first.names or set(one.curves) != set(first.curves):
            raise InvalidArgumentError(
                f"blocks must be one checkpoint under several prompts; {one.m.name} attends in {one.names}, "
                f"{first.m.name} in {first.names}. Analyse them apart."
            )
    curves, errors, samples = _averaged(found)
    settings = {
        "map": maps[0].name, "dtype": maps[0].dtype_name, "loops": loops, "blocks": len(maps), "sink": sink,
        "tokens": [m.state_shape[-2] for m in maps],
    }  # fmt: skip
    return InferenceStages(
        curves=curves, errors=errors, repeat=repeats(curves), layers=maps[0].layer_names, attentions=first.names,
        attention_layer=np.array(first.layer, dtype=np.int64), samples=samples, settings=settings,
    )  # fmt: skip


class _Pass:
    """Follows one block, measuring ``(batch,)`` numbers at every attention and layer."""

    def __init__(self, m: TorchMap, sink: dict[str, Any], logits: Callable[[Any], Any] | None) -> None:
        self.m, self.sink, self.logits = m, sink, logits
        self.names: tuple[str, ...] = ()
        self.layer: list[int] = []
        self.curves: dict[str, list[torch.Tensor]] = {}
        self._waiting: list[list[Step]] = []

    def run(self, states: torch.Tensor, loops: int, progress: Callable[[int], None] | None) -> dict[str, Array]:
        """Return every curve, ``(batch, loops, depth)``."""
        sections: list[torch.Tensor] = []
        watcher = Watcher(self.m)
        for t in range(loops):
            steps = watcher.loop(states)
            if not self.names:
                self.names = attention_names(self.m, steps)
                self.layer = [step.layer for step in steps for _ in step.seen]
                self._check_token(steps)
            check_same(self.m, len(self.names), steps)
            self._waiting.append(steps)
            if len(self._waiting) >= at_once(steps) or t == loops - 1:
                self._measure()
            states = steps[-1].after
            if self.logits is not None:
                sections += [step.after for step in steps]
            if progress is not None:
                progress(t + 1)
        found = {name: torch.cat(rows).movedim(-1, 0).cpu().numpy() for name, rows in self.curves.items()}
        if self.logits is not None:
            for name, values in zip(LENS, lens(self.logits, sections), strict=True):
                self.curves[name] = []
                found[name] = values.T.reshape(len(states), loops, -1).cpu().numpy()
        return found

    def _measure(self) -> None:
        """Take in the numbers ``(loops, depth, batch)`` of the loops that wait, all together."""
        count, steps = len(self._waiting), [step for loop in self._waiting for step in loop]
        maps = stacked([one for step in steps for one in step.seen])
        maps = maps.reshape(count, -1, *maps.shape[1:])
        self._add("concentration", of_maps.concentration(maps).mean(-1))
        self._add("sink_rate", of_maps.sink_rate(maps, **self.sink))
        self._add("mixing", of_maps.mixing(maps).mean(-1))
        streams = torch.stack([step.after for step in steps]).double()
        streams = streams.reshape(count, -1, streams.shape[1], self.m.rows, self.m.state_shape[-1])
        self._add("matrix_entropy", of_streams.matrix_entropy(streams))
        self._add("norm", of_streams.norm(streams))
        self._waiting = []

    def _add(self, name: str, values: torch.Tensor) -> None:
        self.curves.setdefault(name, []).append(values.double())

    def _check_token(self, steps: list[Step]) -> None:
        tokens = next(one.shape[-1] for step in steps for one in step.seen)
        token = self.sink["token"]
        if token is not None and not -tokens <= token < tokens:
            raise InvalidArgumentError(
                f"sink_token must be one of the {tokens} tokens of {self.m.name}, or None for any; got {token}"
            )


def _averaged(found: list[dict[str, Array]]) -> tuple[dict[str, Array], dict[str, Array], int]:
    """Return means and standard errors; the sample is the blocks, or the starts of the only one."""
    curves, errors, count = {}, {}, 0
    for name in found[0]:
        sample = found[0][name] if len(found) == 1 else np.stack([one[name].mean(axis=0) for one in found])
        count = len(sample)
        curves[name] = sample.mean(axis=0)
        spread = sample.std(axis=0, ddof=1) if count > 1 else np.full(sample.shape[1:], np.nan)
        errors[name] = spread / np.sqrt(count)
    return curves, errors, count


def _read_out(m: TorchMap, logits: Callable[[Any], Any] | bool) -> Callable[[Any], Any] | None:
    if callable(logits):
        return logits
    own = logits and getattr(m, "read_out", None) == "logits"
    return m.decode if own else None  # type: ignore[attr-defined] # only a checkpoint has read_out


def _shifted(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    return lambda done: progress(before + done, total)


def _check(
    maps: list[TorchMap], several: bool, starts: Any, loops: Any, token: Any, threshold: Any, logits: Any
) -> None:
    if not maps:
        raise InvalidArgumentError("blocks is empty; give a block, or one checkpoint under each of several prompts")
    if several and starts is not None:
        raise InvalidArgumentError("starts go with one block; several begin at their own. Leave starts out.")
    for m in maps:
        if m.layer_names != maps[0].layer_names:
            raise InvalidArgumentError(
                f"blocks must have the same layers; {m.name} has {m.layer_count}, {maps[0].name} {maps[0].layer_count}"
                ", or other names. Analyse them apart, and compare with dynloop.align_stages."
            )
    checked_int(loops, "loops", 1, remedy="A feed-forward model takes loops=1.")
    if token is not None:
        checked_int(token, "sink_token", meaning="or None for any token", remedy="Leave it out for the first")
    real = isinstance(threshold, int | float | np.integer | np.floating) and not isinstance(threshold, bool)
    if not real or not 0 < threshold <= 1:
        raise InvalidArgumentError(f"sink_threshold must be a number in (0, 1]; got {threshold!r}")
    if not callable(logits) and not isinstance(logits, bool):
        raise InvalidArgumentError(
            f"logits must be True, False or a callable, states to logits; got {type(logits).__name__}"
        )
