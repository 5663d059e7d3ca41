"""Derivatives against differences: the gap between J·V and central differences, and the adjoint identity."""

from __future__ import annotations

import numpy as np

from dynloop.maps.base import Array, LoopMap

__all__ = ["adjoint_gap", "derivative_gaps"]

_DIRECTIONS = 2


def derivative_gaps(m: LoopMap, x: object, generator: np.random.Generator) -> tuple[Array, int, int]:
    """Compare J·v with central differences along random directions.

    Parameters
    ----------
    m : LoopMap
        The map.
    x : native array, (batch, *state_shape)
        Where.
    generator : Generator
        Draws the directions.

    Returns
    -------
    gaps : ndarray
        One a probe and direction at which the map is differentiable: the least relative gap over a ladder of steps. A
        derivative that is right agrees at some step; one that is wrong agrees at none.
    kinks : int
        How many probes and directions were left out because the one-sided differences disagree at every small step.
    vanished : int
        How many have J·v = 0 where the differences are not small.
    """
    states = m.numpy(x)
    axes = tuple(range(1, states.ndim))
    size = np.sqrt((states**2).sum(axis=axes, keepdims=True))
    size = np.where(size > 0, size, 1.0)
    exponent = np.log10(m.precision)
    ladder = 10.0 ** np.linspace(exponent / 5, exponent / 2.2, 6)
    # one-sided differences that disagree by more, relative to their size, do so because of a kink
    jump = 0.01 + 10 * (m.precision / ladder[-1] + ladder[-1])
    gaps: list[float] = []
    kinks = vanished = 0
    here = m.numpy(m(x))
    natural = 1e-4 * (np.sqrt((here**2).sum(axis=axes)) + size.ravel()) / size.ravel()
    for _ in range(_DIRECTIONS):
        v = generator.standard_normal(states.shape)
        v /= np.sqrt((v**2).sum(axis=axes, keepdims=True))
        Jv = m.numpy(m.push(x, m.native(v)[:, None])[1])[:, 0]
        central, split = [], []
        for h in ladder:
            up, down = (m.numpy(m(m.native(states + s * h * size * v))) for s in (1, -1))
            with np.errstate(all="ignore"):
                central.append(m.displacement(up, down) / (2 * h * size))
                forward, backward = m.displacement(up, here) / (h * size), m.displacement(here, down) / (h * size)
            split.append(_norms(forward - backward))
        slopes, splits = np.array(central), np.array(split)  # (steps, batch, *s), (steps, batch)
        for b in range(len(states)):
            scale = max(np.linalg.norm(Jv[b]), natural[b])
            differences = np.array([np.linalg.norm(s[b] - Jv[b]) for s in slopes])
            lengths = np.array([np.linalg.norm(s[b]) for s in slopes])
            with np.errstate(invalid="ignore"):
                relative = differences / np.maximum(scale, lengths)
            gap = float(np.nanmin(relative, initial=np.inf))
            if splits[-3:, b].min() > jump * max(lengths[-3:].max(), natural[b]):
                kinks += 1
            elif gap > 0.5 and not np.any(Jv[b]):
                vanished += 1
            else:
                gaps.append(gap)
    return np.array(gaps), kinks, vanished


def adjoint_gap(m: LoopMap, x: object, generator: np.random.Generator) -> float:
    """Return the largest |⟨w, J v⟩ − ⟨Jᵀ w, v⟩| over a few random pairs, relative to ‖w‖‖J v‖ + ‖Jᵀ w‖‖v‖."""
    states = m.numpy(x)
    shape = (len(states), _DIRECTIONS, *m.state_shape)
    V, W = generator.standard_normal(shape), generator.standard_normal(shape)
    V, W = m.numpy(m.native(V.reshape(-1, *m.state_shape))), m.numpy(m.native(W.reshape(-1, *m.state_shape)))
    JV = m.numpy(m.push(x, m.native(V).reshape(shape))[1]).reshape(V.shape)
    JTW = m.numpy(m.pull(x, m.native(W).reshape(shape))[1]).reshape(V.shape)
    axes = tuple(range(1, V.ndim))
    left, right = (W * JV).sum(axis=axes), (JTW * V).sum(axis=axes)
    scale = _norms(W) * _norms(JV) + _norms(JTW) * _norms(V)
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.max(np.where(scale > 0, np.abs(left - right) / scale, 0.0), initial=0.0))


def _norms(x: Array) -> Array:
    """Return the norm of every row, axis 0 kept."""
    return np.asarray(np.sqrt((x.reshape(len(x), -1) ** 2).sum(axis=1)))
