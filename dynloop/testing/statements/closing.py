"""T8: a loop that ends in a norm has one null direction in every token."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dynloop.maps.base import Array, LoopMap
from dynloop.testing.statements.base import Statement
from dynloop.testing.statements.conditions import autonomous
from dynloop.testing.statements.norm import ClosingNorm, closing_norm
from dynloop.testing.statements.orbit import Orbit
from dynloop.testing.statements.report import Hypothesis, Measured

__all__ = ["NullOfTheNorm"]

CLOSES = "the loop ends in a norm with no γ_j = 0"
_TOKENS = 16  # tokens that are measured, spread over all
_PROBES = 2  # random covectors that the null covector of a token is compared with


class NullOfTheNorm(Statement):
    """T8: y = γ ⊙ √D u/‖u‖ at the end of the loop ⇒ yᵀ diag(γ⁻²) DF = 0 in every token (y − β with a bias)."""

    name, title = "T8", "null of the closing norm"
    claim = "A loop that ends in a norm contracts one direction of every token to nothing, up to its eps."

    def hypotheses(self, m: LoopMap, orbit: Orbit) -> Iterator[Hypothesis]:
        """Test that the loop is one map and its last layer is, or ends with, a norm: found by running it."""
        yield autonomous(orbit)
        finite = bool(np.isfinite(orbit.sections).all())
        yield Hypothesis(name="the states are finite", holds=finite, reason="the orbit overflows")
        if not finite:
            return
        norm, last = closing_norm(orbit.exact, orbit.sections[-2]), m.layer_names[-1]
        if norm is None and m.precision > 1e-10 and not orbit.has_twin:
            said = f"there is no float64 twin in which to try the last layer, {last!r}"
            yield Hypothesis(name=CLOSES, holds=None, reason=said)
            return
        said = f"its last layer, {last!r}, neither is a norm nor ends with one" if norm is None else norm.kind
        yield Hypothesis(name=CLOSES, holds=norm is not None, reason=said)

    def conclusion(self, m: LoopMap, orbit: Orbit) -> Iterator[Measured]:
        """Pull the null covector of every token back through the loop, beside random ones."""
        m = orbit.exact
        for what, x in (
            ("at the end", orbit.point),
            ("at the start", m.numpy(m.native(orbit.map.numpy(orbit.start)))[0]),
        ):
            sections = m.numpy(m.sections(m.native(x[None])))[:, 0]
            norm = closing_norm(m, sections[-2])
            if norm is not None and np.isfinite(sections).all():
                yield from _nulls(m, x, norm, what)


def _nulls(m: LoopMap, x: Array, norm: ClosingNorm, what: str) -> Iterator[Measured]:
    """Measure what is left of the null covectors at one state."""
    y = m.numpy(m(m.native(x[None])))[0].reshape(m.rows, -1)
    tokens = np.unique(np.linspace(0, m.rows - 1, _TOKENS).round().astype(int))
    value, i = _left(m, x, (y - norm.beta) / norm.gamma**2, tokens)
    bound = 1e3 * float(norm.left[i]) + 1e6 * m.precision
    yield Measured(
        quantity=f"‖(y − β)ᵀ diag(γ⁻²) DF‖ against a random covector, {what}", value=value, bound=bound,
        source=f"eps of the {norm.kind}, rounding",
        unclear="the state before the norm is so small that its eps decides" if bound > 0.1 else "",
    )  # fmt: skip
    if norm.kind == "LayerNorm":
        value, _ = _left(m, x, np.broadcast_to(1 / norm.gamma, y.shape), tokens)
        yield Measured(
            quantity=f"‖(1/γ)ᵀ DF‖ against a random covector, {what}", value=value, bound=1e6 * m.precision,
            source="the mean that is taken away; rounding",
        )  # fmt: skip


def _left(m: LoopMap, x: Array, covectors: Array, tokens: Array) -> tuple[float, int]:
    """Return the largest share that is left of a null covector, and its token."""
    rng = np.random.default_rng(0)
    count = 1 + _PROBES
    frames = np.zeros((len(tokens), count, m.rows, m.state_shape[-1]))
    for i, token in enumerate(tokens):
        frames[i, 0, token] = covectors[token] / max(float(np.linalg.norm(covectors[token])), 1e-300)
        random = rng.standard_normal((_PROBES, m.state_shape[-1]))
        frames[i, 1:, token] = random / np.linalg.norm(random, axis=1, keepdims=True)
    pulled = []
    for some in np.array_split(frames, -(-len(tokens) // 4)):
        batch = m.native(some.reshape(-1, *m.state_shape))[None]
        pulled.append(m.numpy(m.pull(m.native(x[None]), batch)[1])[0].reshape(len(some), count, -1))
    lengths = np.linalg.norm(np.concatenate(pulled), axis=2)
    usual = np.maximum(lengths[:, 1:].max(axis=1), 1e-300)
    share = np.where(lengths[:, 0] > 0, lengths[:, 0] / usual, 0.0)
    i = int(np.argmax(share))
    return float(share[i]), int(tokens[i])
