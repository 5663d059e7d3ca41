"""T7: with a causal mask DF is block lower triangular over tokens, and later tokens reach no earlier one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from dynloop.calculus.jacobian import DENSE, jacobian, token_jacobians
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap
from dynloop.testing.statements.base import Statement
from dynloop.testing.statements.conditions import autonomous
from dynloop.testing.statements.orbit import Orbit
from dynloop.testing.statements.report import Hypothesis, Measured
from dynloop.testing.statements.rounding import disturbed

__all__ = ["CausalTriangle"]

_LOOPS = 4
_CUTS = 8  # places at which later tokens are changed, at most
_POWERS = 4  # traces of DF, DF², … that are compared


class CausalTriangle(Statement):
    """T7: DF is block lower triangular over tokens; its spectrum is the union of those of the diagonal blocks."""

    name, title = "T7", "causal triangularity"
    claim = "With a causal mask later tokens do not reach earlier ones, and the spectrum is found token by token."

    def hypotheses(self, m: LoopMap, orbit: Orbit) -> Iterator[Hypothesis]:
        """Test that the loop is one map, and is declared causal."""
        yield autonomous(orbit)
        said = "causal=True is declared"
        if not m.causal:
            said = "the map is not declared causal"
            if len(m.state_shape) > 1 and m.state_shape[0] > 1:
                reach = _reach(orbit)
                said += f"; changing later tokens moves earlier ones by {reach:.1e} (relative)"
        yield Hypothesis(name="the loop has a causal mask", holds=m.causal, reason=said)

    def conclusion(self, m: LoopMap, orbit: Orbit) -> Iterator[Measured]:
        """Change later tokens, and look at the blocks of the Jacobian above the diagonal and on it."""
        exact = orbit.exact
        yield Measured(
            quantity=f"what changes of later tokens do to earlier ones in {_LOOPS} loops", value=_reach(orbit),
            bound=_rounding(orbit), source=f"rounding in {exact.dtype_name}, carried through the layers",
        )  # fmt: skip
        if not np.isfinite(orbit.point).all():
            return
        if m.dimension > DENSE:
            yield _pushed(orbit)
            return
        J = jacobian(exact, exact.native(orbit.point[None])[0])
        tokens, width = m.state_shape[0], m.dimension // m.state_shape[0]
        whole = J.reshape(tokens, width, tokens, width).transpose(0, 2, 1, 3)
        size = max(float(np.abs(J).max()), 1e-300)
        above = max((float(np.abs(whole[i, i + 1 :]).max()) for i in range(tokens - 1)), default=0.0)
        yield Measured(
            quantity="largest entry of DF above the diagonal / largest entry", value=above / size,
            bound=64 * exact.precision, source="rounding",
        )  # fmt: skip
        try:
            blocks = token_jacobians(exact, exact.native(orbit.point[None])[0])
        except InvalidArgumentError:  # it has seen a later token reach an earlier one, as the numbers above show
            return
        own, two_ways = whole[np.arange(tokens), np.arange(tokens)], max(1e-8, 1e3 * exact.precision)
        yield Measured(
            quantity="token_jacobians against the blocks of the whole Jacobian",
            value=float(np.abs(blocks - own).max() / size), bound=two_ways, source="two ways to one derivative",
        )  # fmt: skip
        yield Measured(
            quantity=f"traces of DF … DF^{_POWERS} against those of the blocks", value=_traces(J, blocks),
            bound=two_ways, source="two ways to one derivative",
        )  # fmt: skip


def _reach(orbit: Orbit) -> float:
    """Return how far earlier tokens move when later ones are replaced, relative to their size, over some loops."""
    m, tokens = orbit.exact, orbit.map.state_shape[0]
    x = m.numpy(m.native(orbit.map.numpy(orbit.start)))
    if not np.isfinite(x).all() or tokens == 1:
        return 0.0
    cuts = np.unique(np.linspace(1, tokens - 1, _CUTS).round().astype(int))
    other = np.random.default_rng(0).standard_normal(x.shape) * (float(np.sqrt(np.mean(x**2))) or 1.0)
    changed = np.concatenate([np.concatenate([x[:, :cut], x[:, cut:] + other[:, cut:]], axis=1) for cut in cuts])
    states = m.native(np.concatenate([x, changed]))
    gap = 0.0
    with np.errstate(all="ignore"):
        for _ in range(_LOOPS):
            states = m(states)
            found = m.numpy(states)
            if not np.isfinite(found).all():
                break
            for i, cut in enumerate(cuts, 1):
                size = max(float(np.abs(found[0, :cut]).max()), 1e-300)
                gap = max(gap, float(np.abs(m.displacement(found[i], found[0])[:cut]).max()) / size)
    return gap


def _rounding(orbit: Orbit) -> float:
    """Return how well a token is known after those loops, relative to its size: rows of a batch may round apart."""
    m = orbit.exact
    x = m.numpy(m.native(orbit.map.numpy(orbit.start)))[0]
    with np.errstate(all="ignore"):
        known = disturbed(m, x, m.layer_count * _LOOPS)[-1]
        later = orbit.sizes(m.numpy(m.watch(m.native(x[None]), _LOOPS, m.native(x[None])).states)[0])
    share = known / np.maximum(later, 1e-300)
    return max(64 * m.precision, float(share.max())) if np.isfinite(share).all() else 64 * m.precision


def _pushed(orbit: Orbit) -> Measured:
    """Push tangents of later tokens, of which no part may reach earlier ones."""
    m, tokens = orbit.exact, orbit.map.state_shape[0]
    cuts = np.unique(np.linspace(1, tokens - 1, _CUTS).round().astype(int)) if tokens > 1 else np.empty(0, dtype=int)
    vectors = np.random.default_rng(0).standard_normal((len(cuts), *m.state_shape))
    for vector, cut in zip(vectors, cuts, strict=True):
        vector[:cut] = 0
    above = 0.0
    if len(cuts):
        frames: Any = m.native(vectors)[None]
        pushed = m.numpy(m.push(m.native(orbit.point[None]), frames)[1])[0]
        above = max(
            float(np.abs(one[:cut]).max() / max(np.abs(one).max(), 1e-300))
            for one, cut in zip(pushed, cuts, strict=True)
        )
    return Measured(
        quantity="what tangents of later tokens do to earlier ones",
        value=above,
        bound=64 * m.precision,
        source="rounding",
    )


def _traces(J: Array, blocks: Array) -> float:
    """Return the largest gap of the traces of powers, which determine a spectrum, relative to n·‖J‖^q."""
    worst, whole, own = 0.0, J, blocks
    scale = max(float(np.linalg.norm(J, 2)), 1e-300)
    for q in range(1, _POWERS + 1):
        gap = abs(float(np.trace(whole)) - float(np.trace(own, axis1=1, axis2=2).sum()))
        worst = max(worst, gap / (len(J) * scale**q))
        whole, own = whole @ J, own @ blocks
    return worst
