"""Attention maps as a block computes them: one loop, layer by layer, with every attention in it looked at.

Three doors are watched while a layer runs: `scaled_dot_product_attention`, `multi_head_attention_forward` (the way of
`torch.nn.MultiheadAttention` and `TransformerEncoderLayer`) and, for eager code, a softmax over the last axis of scores
``(batch, heads, tokens, tokens)``. What the layer returns is left as it is.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from dynloop.errors import InvalidArgumentError, NotAutonomousError
from dynloop.inference.own_code import runs_own_code
from dynloop.maps.base import LoopMap
from dynloop.maps.torch import TorchMap
from dynloop.nn import onlooker

__all__ = ["Seen", "Step", "Watcher", "at_once", "attention_names", "check_same", "seen_loop", "stacked", "weights"]

_SOFTMAX = (functional.softmax, torch.softmax, torch.Tensor.softmax, torch.special.softmax)
_NAMES = ("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale", "enable_gqa")
_SIGNATURE = inspect.signature(functional.multi_head_attention_forward)


class Seen:
    """One call of an attention.

    Parameters
    ----------
    maps : tensor, (batch, heads, tokens, tokens), or tuple
        The maps, or the arguments of a call of `scaled_dot_product_attention` to compute them from when asked for.
    module : module or None
        The attention, if it is one of dynloop's own.
    given : tensor, (batch, tokens, width), or None
        Its input, if so.
    copied : bool
        Whether to copy the tensors: code of others may write into them before they are read.
    """

    __slots__ = ("_maps", "call", "given", "module", "shape")

    def __init__(
        self, maps: Any, module: torch.nn.Module | None, given: torch.Tensor | None, *, copied: bool = False
    ) -> None:
        keep: Callable[[Any], Any] = _copy if copied else _same
        self.module, self.given = module, keep(given)
        self.call: dict[str, Any] | None = None
        self._maps: torch.Tensor | None = None
        if isinstance(maps, torch.Tensor):
            self._maps, self.shape = keep(maps), tuple(maps.shape)
        else:
            args, kwargs = maps
            call = dict(zip(_NAMES, args, strict=False)) | kwargs
            self.call = {name: keep(value) for name, value in call.items() if name != "value"}
            self.shape = (*self.call["query"].shape[:-1], self.call["key"].shape[-2])

    @property
    def weights(self) -> torch.Tensor:
        """Row i says what token i takes from each token; rows sum to 1, or to 0 where everything is masked."""
        if self._maps is None and self.call is not None:
            self._maps = weights(**self.call)
        assert self._maps is not None  # noqa: S101 - one of the two was given
        return self._maps


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, torch.Tensor) else value


def _same(value: Any) -> Any:
    return value


def stacked(seen: Sequence[Seen]) -> torch.Tensor:
    """Return the maps of several calls of one shape ``(calls, batch, heads, tokens, tokens)``, computed together."""
    first = seen[0].call
    if first is None or any(one.call is None or _options(one.call) != _options(first) for one in seen):
        return torch.stack([one.weights for one in seen])
    calls = [one.call for one in seen if one.call is not None]
    together = _options(first) | {name: torch.stack([call[name] for call in calls]) for name in ("query", "key")}
    masks = [call["attn_mask"] for call in calls if call.get("attn_mask") is not None]
    if masks:
        if len(masks) < len(calls) or len({(mask.shape, mask.dtype) for mask in masks}) > 1:
            return torch.stack([one.weights for one in seen])
        together["attn_mask"] = torch.stack([mask.reshape((1,) * (4 - mask.ndim) + mask.shape) for mask in masks])
    return weights(**together)


def _options(call: dict[str, Any]) -> dict[str, Any]:
    left_out = {"query", "key", "attn_mask", "dropout_p"}
    return {name: value for name, value in call.items() if name not in left_out}


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One layer of a loop: its number, the states before and after it, and the attentions in it in order."""

    layer: int
    before: torch.Tensor
    after: torch.Tensor
    seen: list[Seen]


class _Watching(TorchFunctionMode):
    """Keeps the maps of every attention that is computed."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.batch, self.tokens = 0, tokens
        self._told: tuple[torch.nn.Module, torch.Tensor] | None = None  # of the next call
        self.found: list[Seen] = []
        self.name, self.copied = "", True

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.multi_head_attention_forward:
            given = _SIGNATURE.bind(*args, **kwargs)
            given.arguments |= {"need_weights": True, "average_attn_weights": False}
            found: Any = func(*given.args, **given.kwargs)
            self._keep(found[1])
            return func(*args, **kwargs)
        out = func(*args, **kwargs)
        if func is functional.scaled_dot_product_attention:
            self._keep((args, kwargs))
        elif func in _SOFTMAX and self._is_attention(out, args, kwargs):
            self._keep(out)
        return out

    def _is_attention(self, out: Any, args: Any, kwargs: Any) -> bool:
        dim = kwargs.get("dim", args[1] if len(args) > 1 else None)
        return out.ndim == 4 and dim in (-1, 3) and tuple(out.shape[2:]) == (self.tokens, self.tokens)

    def begin(self, name: str, batch: int, *, copied: bool) -> None:
        """Forget what was found; a layer comes."""
        self.name, self.batch, self.copied, self.found, self._told = name, batch, copied, [], None

    def tell(self, module: torch.nn.Module, x: torch.Tensor, *_: Any) -> None:
        """Hear of a call that is seen next; see `dynloop.nn.onlooker`."""
        self._told = module, x

    def keep_told(self, module: torch.nn.Module, x: torch.Tensor, *call: Any) -> None:
        """Hear of a call that is not seen otherwise."""
        self.tell(module, x)
        self._keep(call)

    def _keep(self, maps: Any) -> None:
        module, given = self._told or (None, None)
        self._told = None
        one = Seen(maps, module, given, copied=self.copied)
        if len(one.shape) != 4 or one.shape[0] != self.batch or one.shape[2] != one.shape[3]:
            raise InvalidArgumentError(
                f"an attention in {self.name} has maps of shape {one.shape}; self-attention over all tokens, (batch="
                f"{self.batch}, heads, tokens, tokens), is what can be followed. Give a block of such layers."
            )
        self.found.append(one)


def weights(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor | None = None,  # noqa: ARG001 - the signature of scaled_dot_product_attention
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,  # noqa: ARG001 - a map has no dropout
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """Return the attention maps of a call of `scaled_dot_product_attention`, ``(…, heads, queries, keys)``.

    In the dtype of the queries, or float32 if that is lower. A row with everything masked is 0, as in torch.
    """
    wide = query.dtype if query.dtype.itemsize >= 4 else torch.float32
    query, key = query.to(wide), key.to(wide)
    if enable_gqa:
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)
    scores = (query * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)) @ key.mT
    if is_causal:
        scores = scores.masked_fill(~scores.new_ones(scores.shape[-2:], dtype=torch.bool).tril(), -math.inf)
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    maps = scores.softmax(-1)
    return maps if attn_mask is None else maps.masked_fill((scores == -math.inf).all(-1, keepdim=True), 0.0)


class Watcher:
    """Runs loops of a block and looks at its attention.

    Parameters
    ----------
    m : TorchMap
        The block.

    Raises
    ------
    InvalidArgumentError
        If an attention is not self-attention over the tokens of the state.
    """

    def __init__(self, m: TorchMap) -> None:
        self.m = m
        tokens = m.state_shape[-2] if len(m.state_shape) > 1 else 1
        self._watching = _Watching(tokens)
        # layers of dynloop's own code: it writes into no tensor that it gave away, and tells of its attentions
        self._own = [runs_own_code(layer) for layer in m.layers]
        self._narrow: set[int] = set()  # those of them whose first loop showed no attention that it did not tell of

    def loop(self, states: torch.Tensor) -> list[Step]:
        """Run one loop from native states ``(batch, *state_shape)``; return what every layer does and attends to."""
        m, watching, steps = self.m, self._watching, []
        for l, own in enumerate(self._own):
            watching.begin(f"layer {m.layer_names[l]!r} of {m.name}", len(states), copied=not own)
            narrow = l in self._narrow
            before = onlooker.set(watching.keep_told if narrow else watching.tell)
            try:
                with torch.no_grad(), nullcontext() if narrow else watching:
                    after = m.layer(l, states)
            finally:
                onlooker.reset(before)
            if own and all(one.module is not None for one in watching.found):
                self._narrow.add(l)
            steps.append(Step(l, states, after if own else after.detach().clone(), watching.found))
            states = steps[-1].after
        return steps


def at_once(steps: Sequence[Step], most: int = 16) -> int:
    """Return how many loops may wait to be measured together: `most`, or as many maps as take 64 MiB."""
    size = sum(math.prod(one.shape) for step in steps for one in step.seen)
    return max(1, min(most, 2**23 // max(size, 1)))


def seen_loop(m: TorchMap, states: torch.Tensor) -> list[Step]:
    """Run a single loop under a `Watcher`."""
    return Watcher(m).loop(states)


def attention_names(m: LoopMap, steps: list[Step]) -> tuple[str, ...]:
    """Name the attentions of a loop: by their layer, numbered where it has several.

    Raises
    ------
    InvalidArgumentError
        If there is none, or they differ in heads or tokens.
    """
    shapes = {one.shape for step in steps for one in step.seen}
    if not shapes:
        raise InvalidArgumentError(
            f"no attention was seen in a loop of {m.name}: supported are scaled_dot_product_attention, "
            "torch.nn.MultiheadAttention and a softmax over scores (batch, heads, tokens, tokens). Kernels of other "
            "packages (flash_attn, flex_attention) hide their maps; set the model to 'sdpa' or 'eager' attention."
        )
    if len(shapes) > 1:
        raise InvalidArgumentError(
            f"the attentions of {m.name} differ in shape: {', '.join(map(str, sorted(shapes)))}; maps are compared "
            "where heads and tokens are as many in each. Analyse the parts one by one: m.part(l)."
        )
    names: list[str] = []
    for step in steps:
        name, count = m.layer_names[step.layer], len(step.seen)
        names += [name] if count == 1 else [f"{name}, attention {i + 1}" for i in range(count)]
    return tuple(names)


def check_same(m: LoopMap, expected: int, steps: list[Step]) -> None:
    """Refuse a loop that calls attention more or less often than the first did."""
    found = sum(len(step.seen) for step in steps)
    if found != expected:
        raise NotAutonomousError(
            f"{m.name} computed {expected} attentions in its first loop and {found} in a later one, so its loop is not "
            "one map; give a block that does the same in every loop"
        )
