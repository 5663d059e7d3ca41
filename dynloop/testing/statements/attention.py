"""T10: attention moves at most in proportion to the state, by the constants of its own weights."""

# ruff: noqa: ARG002 - statements share one signature

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.testing.statements.base import Statement
from dynloop.testing.statements.conditions import autonomous
from dynloop.testing.statements.orbit import Orbit
from dynloop.testing.statements.report import Hypothesis, Measured

__all__ = ["AttentionMoves"]

_LOOPS = 4  # pairs of successive loops that are compared
_SPREAD = 1.0 + 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """One call of an attention: its input (a column of ones added where there are biases), its maps, its constants."""

    x: Array  # (tokens, width)
    maps: Array  # (heads, tokens, tokens)
    sizes: Array  # (heads,): κ/√d
    rotary: bool


class AttentionMoves(Statement):
    """T10 (Proposition 4.2): ‖softmax A(X_t) − softmax A(X_{t−1})‖_F ≤ Bκ/√d · ‖X_t − X_{t−1}‖_F.

    X is the input of the attention. Without rotary positions κ = ‖W_Q W_Kᵀ‖₂ and B bounds ‖X‖₂; with them κ is
    ‖W_Q‖₂‖W_K‖₂ and B bounds ‖X‖_F, since turning every row by an angle of its own may raise a spectral norm. Biases
    count as one more input that is always 1.
    """

    name, title = "T10", "attention moves with the state"
    claim = "Attention maps change from loop to loop at most in proportion to the change of their input."

    def hypotheses(self, m: LoopMap, orbit: Orbit) -> Iterator[Hypothesis]:
        """Test that the loop is one map, shows its attention, and the inputs of that are bounded."""
        yield autonomous(orbit)
        shown = bool(_attentions(orbit.exact))
        why = "dynloop.nn.Attention within its layers" if shown else "this map does not expose its attention"
        yield Hypothesis(name="the map shows its attention, softmax of q·k/√d", holds=shown, reason=why)
        if shown:
            finite = bool(np.isfinite(_first_loop(orbit)).all())
            yield Hypothesis(name="the inputs of attention are bounded", holds=finite, reason="the orbit overflows")

    def conclusion(self, m: LoopMap, orbit: Orbit) -> Iterator[Measured]:
        """Compare the maps of successive loops: the first of the orbit, and beside its end."""
        m = orbit.exact
        worst, count = 0.0, 0
        for x in (m.native(orbit.map.numpy(orbit.start)), _beside(m, orbit.point)):
            before = _attended(m, x)
            for _ in range(_LOOPS):
                x = m(x)
                if not np.isfinite(m.numpy(x)).all():
                    break
                after = _attended(m, x)
                for a, b in zip(before, after, strict=True):
                    worst = max(worst, _ratio(a, b))
                    count += len(a.maps)
                before = after
        yield Measured(
            quantity=f"largest change / (Bκ/√d · ‖ΔX‖), of {count} pairs of maps", value=worst, bound=_SPREAD,
            source="softmax is ½-Lipschitz; B, κ measured",
        )  # fmt: skip


def _first_loop(orbit: Orbit) -> Array:
    m = orbit.exact
    return m.numpy(m(m.native(orbit.map.numpy(orbit.start))))


def _beside(m: LoopMap, state: Array) -> Any:
    rng = np.random.default_rng(0)
    size = float(np.sqrt(np.mean(state**2))) or 1.0
    return m.native((state + 0.1 * size * rng.standard_normal(state.shape))[None])


def _attentions(m: LoopMap) -> list[Any]:
    """Return the attentions of a map whose constants are known: those of `dynloop.nn`."""
    if m.kind == "map" or not hasattr(m, "layers"):
        return []
    import torch

    from dynloop.nn import Attention

    parts = (part for layer in m.layers if isinstance(layer, torch.nn.Module) for part in layer.modules())
    return [part for part in dict.fromkeys(parts) if isinstance(part, Attention)]


def _attended(m: LoopMap, states: Any) -> list[_Seen]:
    """Run one loop and return what every attention was given, and its maps: attention to the identity gives them."""
    import torch
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    found: list[_Seen] = []
    inputs: list[tuple[Any, Any]] = []

    class Watching(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            if func is functional.scaled_dot_product_attention and inputs:
                module, x = inputs.pop()
                q, k, v = args[:3]
                eye = torch.eye(k.shape[-2], dtype=v.dtype, device=v.device).expand(*k.shape[:-2], -1, -1)
                found.append(_seen(m, module, x, func(q, k, eye, *args[3:], **kwargs)))
            return func(*args, **kwargs)

    hooks = [a.register_forward_pre_hook(lambda part, given: inputs.append((part, given[0]))) for a in _attentions(m)]
    try:
        with torch.no_grad(), Watching():
            m(states)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def _seen(m: LoopMap, module: Any, x: Any, maps: Any) -> _Seen:
    """Read the input and the constants κ/√d of every head."""
    biased = module.q.bias is not None
    wide = m.numpy(x)[0]
    if biased:
        wide = np.concatenate([wide, np.ones((len(wide), 1))], axis=1)
    q, k = (_heads(m, part, module.head_size, biased) for part in (module.q, module.k))
    k = np.repeat(k, module.heads // module.kv_heads, axis=0)
    if module.rotary:
        size = np.linalg.norm(q, 2, axis=(1, 2)) * np.linalg.norm(k, 2, axis=(1, 2))
    else:
        size = np.linalg.norm(np.einsum("hdi,hdj->hij", q, k), 2, axis=(1, 2))
    return _Seen(wide, m.numpy(maps)[0], size / np.sqrt(module.head_size), module.rotary)


def _heads(m: LoopMap, part: Any, size: int, biased: bool) -> Array:
    """Return the weights of every head, ``(heads, size, width)``, the bias as one more column."""
    weight = m.numpy(part.weight)
    if biased:
        weight = np.concatenate([weight, m.numpy(part.bias)[:, None]], axis=1)
    return weight.reshape(-1, size, weight.shape[1])


def _ratio(a: _Seen, b: _Seen) -> float:
    """Return the largest change of a head's map over what is allowed; 0 where rounding is all there is."""
    change = np.linalg.norm(b.maps - a.maps, axis=(1, 2))
    bound = max(float(np.linalg.norm(one.x) if a.rotary else np.linalg.norm(one.x, 2)) for one in (a, b))
    allowed = bound * a.sizes * float(np.linalg.norm(b.x - a.x))
    noise = 1e3 * np.finfo(np.float64).eps * len(a.x)
    return float((np.maximum(change - noise, 0.0) / np.maximum(allowed, 1e-300)).max())
