"""Attention over loops: maps of every layer, head and loop, their distances, and when each head stands still."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from dynloop.arguments import checked_int
from dynloop.errors import InvalidArgumentError
from dynloop.inference.attention_metrics import mixing
from dynloop.inference.bound import Constants, allowed, constants
from dynloop.inference.seen import Seen, Step, Watcher, at_once, attention_names, check_same, stacked
from dynloop.inference.stability import AttentionStability, stabilised
from dynloop.maps.base import Array, LoopMap, as_map
from dynloop.maps.memory import free_bytes
from dynloop.maps.torch import TorchMap

__all__ = ["attention_stability", "torch_map"]

Progress = Callable[[int, int], None]


def attention_stability(
    m: LoopMap,
    starts: Any = None,
    *,
    loops: int = 64,
    every: int = 1,
    tol: float = 1e-3,
    hold: int = 3,
    pairwise: bool = True,
    maps: bool = False,
    rng: int | np.random.Generator | None = 0,
    progress: Progress | None = None,
) -> AttentionStability:
    """Follow the attention maps of a block over its loops.

    Parameters
    ----------
    m : LoopMap
        The block: a checkpoint, a synthetic block, or a `TorchMap` of one's own layers.
    starts : array, (batch, *state_shape) or state_shape, optional
        Where orbits begin; ``m.start(rng)`` if left out.
    loops : int
        How many loops to follow.
    every : int
        Loops between two records; the first loop is recorded.
    tol : float
        Frobenius distance of successive maps within which a head stands still. One map of T tokens has a norm between 1
        and √T.
    hold : int
        How many changes at the end must be within it, at the least.
    pairwise : bool
        Whether to compare all pairs of loops. All maps are then kept until the end; otherwise memory does not grow.
    maps : bool
        Whether to return the maps themselves.
    rng : int or Generator
        For starts.
    progress : callable, optional
        Called as ``progress(loops done, loops)``.

    Returns
    -------
    AttentionStability
        Changes, the bound T10 beside them, entropies and distances.

    Raises
    ------
    InvalidArgumentError
        If an argument is out of range, no attention is seen in the block, or maps do not fit into memory.
    NotAutonomousError
        If recorded loops differ in how often they attend.
    ShapeError
        If `starts` does not fit the map.

    Notes
    -----
    Maps are those of the calls themselves: softmax of the queries, keys, mask and scale that the layer passes to
    `scaled_dot_product_attention`, what `torch.nn.MultiheadAttention` returns, or the softmax that eager code takes.

    The bound is Proposition 4.2 of Blayney et al. 2026 (arXiv 2604.11791) in the form of theory note T10: Bκ/√d·‖ΔX‖_F,
    X the input of the attention, B its spectral norm (with rotary positions its Frobenius norm).

    A frozen attention map does not certify a fixed point: on a ray the normalised input converges while the state moves
    for ever. Nor does a window prove that a head stays as it is: `stabilised_at` speaks of the loops recorded.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.synthetic.looped_transformer(layers=2, width=16, heads=2, tokens=5)
    >>> found = dl.attention_stability(m, loops=24)
    >>> found.attentions, found.distances.shape
    (('block 0', 'block 1'), (1, 2, 2, 24, 24))
    >>> bool((found.stabilised_at >= 0).all() and (found.change <= found.bound).all())
    True
    """
    _check(loops, every, hold, tol)
    m = torch_map(m)
    states, single = m.batch(starts, rng)
    m = m.in_dtype_of(states)
    times = np.arange(0, loops, every)
    if len(times) < 2:
        raise InvalidArgumentError(
            f"loops must span two records at least; got loops={loops} with every={every}. Give more loops"
        )
    record = _Record(m, 4 if maps else 2 if pairwise else 0, len(times))
    watcher = Watcher(m)
    for t in range(int(times[-1]) + 1):
        if t % every:
            with torch.no_grad():
                states = m.loop(states)
        else:
            steps = watcher.loop(states)
            record.add(steps)
            states = steps[-1].after
        if progress is not None:
            progress(t + 1, int(times[-1]) + 1)
    change, bound, section, entropy = record.series()
    kept = record.kept() if pairwise or maps else []
    fields: dict[str, Any] = {
        "stabilised_at": stabilised(change, times, tol, hold), "change": change, "bound": bound,
        "section_step": section, "entropy": entropy,
        "distances": _stacked([_distances(one) for one in kept]) if pairwise else None,
        "maps": _stacked([one.double().cpu().numpy() for one in kept]) if maps else None,
    }  # fmt: skip
    if single:
        fields = {name: None if array is None else array[0] for name, array in fields.items()}
    settings = {
        "map": m.name, "dtype": m.dtype_name, "loops": loops, "every": every, "tol": tol, "hold": hold,
        "tokens": record.tokens,
    }  # fmt: skip
    reasons = tuple(one.reason for one in record.constants)
    return AttentionStability(**fields, times=times, attentions=record.names, unbounded=reasons, settings=settings)


class _Record:
    """Gathers what becomes of the maps of one block, some loops at a time."""

    def __init__(self, m: TorchMap, copies: int, records: int) -> None:
        self.m, self.copies, self.records = m, copies, records
        self.names: tuple[str, ...] = ()
        self.constants: list[Constants] = []
        self.tokens = 0
        self._series: tuple[list[Array], ...] = ([], [], [], [])  # change, bound, section step, entropy
        self._waiting: list[list[Step]] = []
        self._at_once = 1
        self._last: tuple[list[Seen], torch.Tensor, torch.Tensor] | None = None
        self._kept: list[torch.Tensor] = []

    def add(self, steps: list[Step]) -> None:
        """Take in the attentions of one loop."""
        if not self.names:
            self._first(steps)
        check_same(self.m, len(self.names), steps)
        self._waiting.append(steps)
        if len(self._waiting) >= self._at_once:
            self._take()

    def series(self) -> tuple[Array, ...]:
        """Return changes, bounds, changes of sections, and entropies, records last."""
        self._take()
        return tuple(np.moveaxis(np.concatenate(one), 0, -1) for one in self._series)

    def kept(self) -> list[torch.Tensor]:
        """Return the maps of every attention ``(batch, heads, records, tokens, tokens)``."""
        whole = torch.cat(self._kept)
        return [whole[:, i].movedim(0, 2) for i in range(len(self.names))]

    def _take(self) -> None:
        """Measure the loops that wait, all together; arrays are ``(loops, attentions, batch, …)`` here."""
        if not self._waiting:
            return
        seen = [[one for step in steps for one in step.seen] for steps in self._waiting]
        depth = len(self.names)
        maps = _split(stacked([one for row in seen for one in row]), depth)
        sections = torch.stack([step.before for steps in self._waiting for step in steps for _ in step.seen])
        sections = _split(sections, depth)
        if self.copies:
            self._kept.append(maps)
        self._put(3, mixing(maps))
        if self._last is not None:
            seen = [self._last[0], *seen]
            maps, sections = torch.cat([self._last[1], maps]), torch.cat([self._last[2], sections])
        self._last, self._waiting = (seen[-1], maps[-1:], sections[-1:]), []
        if len(seen) < 2:
            return
        self._put(0, torch.linalg.vector_norm((maps[1:] - maps[:-1]).double(), dim=(-2, -1)))
        before, after = ([one for row in rows for one in row] for rows in (seen[:-1], seen[1:]))
        bound = allowed(self.constants * (len(seen) - 1), before, after)
        self._put(1, _split(bound.transpose(0, 1), depth))
        self._put(2, self._moved(sections[:-1], sections[1:]))

    def _put(self, which: int, numbers: torch.Tensor) -> None:
        """Keep numbers ``(loops, attentions, batch, …)`` as ``(loops, batch, attentions, …)``."""
        self._series[which].append(numbers.transpose(1, 2).double().cpu().numpy())

    def _first(self, steps: list[Step]) -> None:
        self.names = attention_names(self.m, steps)
        now = [one for step in steps for one in step.seen]
        self.constants = [constants(one) for one in now]
        self._at_once = at_once(steps)
        self.tokens = now[0].shape[-1]
        # maps are held as they come, once more for every attention by itself, and twice in float64 to be returned
        needed = self.copies * self.records * sum(one.weights.numel() * one.weights.itemsize for one in now)
        free = free_bytes(now[0].weights.device)
        if free is not None and needed > free:
            raise InvalidArgumentError(
                f"the maps of {self.records} loops need {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free; "
                "record fewer with every=, or pass pairwise=False, maps=False"
            )

    def _moved(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return the relative change of sections ``(loops, attentions, batch, *state_shape)``, without the last."""
        b = b.double()
        size = torch.linalg.vector_norm(b.flatten(3), dim=-1).cpu()
        if self.m.periods is None:
            gap = b - a.double()
        else:
            with np.errstate(all="ignore"):
                gap = torch.from_numpy(self.m.displacement(self.m.numpy(b), self.m.numpy(a)))
        moved: torch.Tensor = torch.linalg.vector_norm(gap.flatten(3), dim=-1).cpu()
        relative: torch.Tensor = moved / size.clamp_min(np.finfo(np.float64).tiny)
        return relative


def _split(x: torch.Tensor, depth: int) -> torch.Tensor:
    """Turn ``(loops · depth, …)`` into ``(loops, depth, …)``."""
    return x.reshape(-1, depth, *x.shape[1:])


def _distances(kept: torch.Tensor) -> Array:
    """Return the distances of all pairs ``(batch, heads, records, records)``; differences are taken, not products."""
    flat = kept.flatten(-2)
    found = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist")
    return np.asarray(found.double().cpu().numpy())


def _stacked(found: list[Array]) -> Array:
    return np.stack(found, axis=1)


def torch_map(m: Any) -> TorchMap:
    """Return `m` if it is a map of torch layers; raise otherwise."""
    if isinstance(m, TorchMap):
        return m
    as_map(m)
    raise InvalidArgumentError(
        f"{m.name} is a {m.kind}, which computes no attention; give a checkpoint, a synthetic block or a TorchMap"
    )


def _check(loops: int, every: int, hold: int, tol: float) -> None:
    for name, value, usual in (("loops", loops, 64), ("every", every, 1), ("hold", hold, 3)):
        checked_int(value, name, 1, remedy=f"Leave it out for {usual}")
    real = isinstance(tol, int | float | np.integer | np.floating) and not isinstance(tol, bool)
    if not real or not 0 <= tol < np.inf:
        raise InvalidArgumentError(
            f"tol must be a number of at least 0, a Frobenius distance; got {tol!r}. Pass tol=1e-3"
        )
