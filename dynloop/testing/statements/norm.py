"""The norm that closes a loop, found by running it: the module whose output is the loop's, and its γ and β."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dynloop.maps.base import Array, LoopMap

__all__ = ["ClosingNorm", "closing_norm"]

_LARGE = 1e6  # at states of this size no eps is felt
_AGREE = 1e-9


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ClosingNorm:
    """``y = γ ⊙ (u − mean u) / √(var u + eps) + β``, the mean being left out of an RMSNorm.

    Attributes
    ----------
    kind : str
        ``"RMSNorm"`` or ``"LayerNorm"``.
    gamma, beta : ndarray, (width,)
        Weight and bias.
    left : ndarray, (rows,)
        eps / (ms(u) + eps) at the state it was found at: the share of the null direction that eps leaves.
    """

    kind: str
    gamma: Array
    beta: Array
    left: Array


def closing_norm(m: LoopMap, before: Array) -> ClosingNorm | None:
    """Return the norm that the last layer is or ends with; None if it is, and ends with, none.

    Parameters
    ----------
    m : LoopMap
        The map, in float64.
    before : ndarray, state_shape
        A state before the last layer.
    """
    last = m.layer_count - 1
    x = m.native(before[None])
    found: list[tuple[Callable[[Any], Any], Any]] = [(lambda u: m.layer(last, u), x)]
    layers = getattr(m, "layers", None)
    if layers is not None and hasattr(layers[last], "modules"):
        found += _ending_modules(layers[last], x)
    for apply, u in found:
        norm = _recognised(m, apply, m.numpy(u))
        if norm is not None:
            return norm
    return None


def _ending_modules(layer: Any, x: Any) -> list[tuple[Callable[[Any], Any], Any]]:
    """Return the norms within a module whose output is the module's own, with their inputs."""
    import torch

    seen: list[tuple[Any, Any, Any]] = []

    def note(module: Any, inputs: Any, output: Any) -> None:
        if inputs and isinstance(output, torch.Tensor) and output.shape == x.shape:
            seen.append((module, inputs[0].detach(), output.detach()))

    hooks = [part.register_forward_hook(note) for part in layer.modules() if "norm" in type(part).__name__.lower()]
    try:
        with torch.no_grad():
            out = layer(x)
    finally:
        for hook in hooks:
            hook.remove()
    return [(module, u) for module, u, y in seen if u.shape == x.shape and torch.equal(y, out)]


def _recognised(m: LoopMap, apply: Callable[[Any], Any], u: Array) -> ClosingNorm | None:
    """Read γ and β off the function at large states, and try them at others."""

    def run(states: Array) -> Array:
        try:
            with np.errstate(all="ignore"):
                return m.numpy(apply(m.native(states)))
        except (RuntimeError, TypeError, ValueError):
            return np.full(states.shape, np.nan)

    rng = np.random.default_rng(0)
    width = m.state_shape[-1]
    probe = rng.standard_normal((1, *m.state_shape)) * _LARGE
    high, low = run(probe).reshape(-1, width)[0], run(-probe).reshape(-1, width)[0]
    trials = (
        rng.standard_normal((3, *m.state_shape)) * _LARGE * np.array([1.0, 30.0, 0.2]).reshape(-1, *(1,) * u[0].ndim)
    )
    expected, flat = run(trials), probe.reshape(-1, width)[0]
    if width < 2 or not (np.isfinite(expected).all() and np.isfinite(high + low).all()):
        return None
    beta = 0.5 * (high + low)
    for kind in ("RMSNorm", "LayerNorm"):
        gamma = (high - beta) / _normed(flat, kind)[0]
        if not (np.isfinite(gamma).all() and np.abs(gamma).min() > 0):
            continue
        told = gamma * _normed(trials, kind)[0] + beta
        if np.abs(told - expected).max() <= _AGREE * max(float(np.abs(expected).max()), 1e-300):
            centred, square = _normed(u, kind)
            share = np.einsum("...i,...i->...", centred * gamma, run(u) - beta) / np.einsum(
                "...i,...i->...", centred * gamma, centred * gamma
            )  # √(ms / (ms + eps))
            left = np.where(square > 0, np.maximum(1 - share**2, 0.0), 1.0)
            return ClosingNorm(kind=kind, gamma=gamma, beta=beta, left=left.reshape(-1))
    return None


def _normed(u: Array, kind: str) -> tuple[Array, Array]:
    """Return u normed without eps, and its mean square."""
    centred = u - u.mean(axis=-1, keepdims=True) if kind == "LayerNorm" else u
    square = np.mean(centred**2, axis=-1, keepdims=True)
    return centred / np.sqrt(np.maximum(square, 1e-300)), square[..., 0]
