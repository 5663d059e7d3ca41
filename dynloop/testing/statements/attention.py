"""T10: attention moves at most in proportion to the state, by the constants of its own weights."""

# ruff: noqa: ARG002 - statements share one signature

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap
from dynloop.testing.statements.base import Statement
from dynloop.testing.statements.conditions import autonomous
from dynloop.testing.statements.orbit import Orbit
from dynloop.testing.statements.report import Hypothesis, Measured

__all__ = ["AttentionMoves"]

_LOOPS = 4  # pairs of successive loops that are compared
_SPREAD = 1.0 + 1e-6


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
        why = _hidden(orbit.exact, _first_start(orbit))
        shown = not why
        why = why or "dynloop.nn.Attention within its layers"
        yield Hypothesis(name="the map shows its attention, softmax of q·k/√d", holds=shown, reason=why)
        if shown:
            finite = bool(np.isfinite(_first_loop(orbit)).all())
            yield Hypothesis(name="the inputs of attention are bounded", holds=finite, reason="the orbit overflows")

    def conclusion(self, m: LoopMap, orbit: Orbit) -> Iterator[Measured]:
        """Compare the maps of successive loops: the first of the orbit, and beside its end."""
        m = orbit.exact
        worst, count = 0.0, 0
        known: dict[Any, Any] = {}
        for x in (_first_start(orbit), _beside(m, orbit.point)):
            before = _attended(m, x)
            for _ in range(_LOOPS):
                x = m(x)
                if not np.isfinite(m.numpy(x)).all():
                    break
                after = _attended(m, x)
                for a, b in zip(before, after, strict=True):  # a bound that is not known is nan, and drops out
                    ratio = _ratio(a, b, known)
                    worst, count = max(worst, *ratio), count + len(ratio)
                before = after
        yield Measured(
            quantity=f"largest change / (Bκ/√d · ‖ΔX‖), of {count} pairs of maps", value=worst, bound=_SPREAD,
            source="softmax is ½-Lipschitz; B, κ measured",
        )  # fmt: skip


def _first_loop(orbit: Orbit) -> Array:
    m = orbit.exact
    return m.numpy(m(_first_start(orbit)))


def _first_start(orbit: Orbit) -> Any:
    return orbit.exact.native(orbit.map.numpy(orbit.start))


def _beside(m: LoopMap, state: Array) -> Any:
    rng = np.random.default_rng(0)
    size = float(np.sqrt(np.mean(state**2))) or 1.0
    return m.native((state + 0.1 * size * rng.standard_normal(state.shape))[None])


def _hidden(m: LoopMap, states: Any) -> str:
    """Say why no attention of a map can be held against its constants; empty if one can."""
    hidden = "this map does not expose its attention"
    if m.kind == "map" or not hasattr(m, "layers"):
        return hidden
    from dynloop.inference.bound import constants
    from dynloop.maps.torch import TorchMap

    if not isinstance(m, TorchMap):
        return hidden

    try:
        known = [constants(one) for one in _attended(m, states)]
    except InvalidArgumentError:
        return hidden
    if not known:
        return hidden
    return "" if any(one.sizes is not None for one in known) else known[0].reason


def _attended(m: LoopMap, states: Any) -> list[Any]:
    """Run one loop and return its attentions."""
    from dynloop.inference.seen import seen_loop

    return [one for step in seen_loop(m, states) for one in step.seen]  # type: ignore[arg-type] # T10 asked for a TorchMap


def _ratio(a: Any, b: Any, known: dict[Any, Any]) -> Array:
    """Return the change of every head's map over what is allowed ``(heads,)``; 0 where rounding is all there is."""
    from dynloop.inference.bound import allowed, constants

    if a.module not in known:
        known[a.module] = constants(a)
    change = (b.weights - a.weights).flatten(-2).norm(dim=-1)[0].double().cpu().numpy()
    most = allowed([known[a.module]], [a], [b])[0, 0].cpu().numpy()
    noise = 1e3 * np.finfo(np.float64).eps * a.weights.shape[-1]
    ratio = np.maximum(change - noise, 0.0) / np.maximum(most, 1e-300)
    return np.asarray(ratio[~np.isnan(most)])
