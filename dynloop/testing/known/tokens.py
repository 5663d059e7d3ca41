"""Causal blocks whose tokens have classes of their own: skew products, one huge token, followers of moving tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from dynloop.maps.base import Array
from dynloop.maps.torch import TorchMap
from dynloop.testing.known import cores
from dynloop.testing.known.coordinates import Core, fixed, orthogonal
from dynloop.testing.known.record import KnownMap, known

__all__ = ["TOKENS", "huge_token", "token_chain"]

TOKENS = ("rest", "two", "three", "five", "torus", "chaos", "follow")


def token_chain(
    rng: np.random.Generator, *, kinds: Sequence[str], width: int = 4, layers: int = 1, scale: Sequence[float] = (),
    dtype: torch.dtype = torch.float64,
) -> KnownMap:  # fmt: skip
    """Make a causal block: each token a core of its own, or a contraction driven by the token before ("follow").

    Parameters
    ----------
    rng : Generator
        For coordinates and starts.
    kinds : sequence of str
        One of `TOKENS` a token; the first is no "follow".
    width : int
        Coordinates of a token, at least 2.
    layers : int
        1, or 2: a second layer shifts every token and the first takes that back, so tokens at rest are cyclic.
    scale : sequence of float, optional
        Size of every token.
    dtype : torch.dtype
        Working dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from dynloop.testing.known import token_chain
    >>> row = token_chain(np.random.default_rng(0), kinds=("two", "follow", "rest"))
    >>> [sorted(t) for t in row.truth], row.period
    ([['PERIODIC'], ['PERIODIC'], ['VANISHING']], (2, 2, 1))
    """
    count = len(kinds)
    sizes = np.ones(count) if len(scale) == 0 else np.asarray(scale, dtype=np.float64)
    frames = [fixed(orthogonal(rng, width)) for _ in kinds]
    centre, drive = fixed(rng.standard_normal((count, width))), fixed(rng.standard_normal((width, width)))
    shift = fixed(rng.standard_normal((count, width)) * sizes[:, None] if layers > 1 else np.zeros((count, width)))
    made = [_core(kind, rng) for kind in kinds]

    def step(x: torch.Tensor) -> torch.Tensor:
        x = x - shift(x)
        out: list[torch.Tensor] = []
        for i, (kind, (core, n, _)) in enumerate(zip(kinds, made, strict=True)):
            z = (x[:, i] / float(sizes[i]) - centre(x)[i]) @ frames[i](x)
            if kind == "follow":
                before = x[:, i - 1] / float(sizes[i - 1])
                z = 0.5 * z + 0.5 * torch.tanh(before @ drive(x))
            else:
                z = torch.cat([core(z[..., :n]), 0.4 * z[..., n:]], dim=-1)
            out.append((z @ frames[i](x).T + centre(x)[i]) * float(sizes[i]))
        return torch.stack(out, dim=1)

    def back(x: torch.Tensor) -> torch.Tensor:
        return x + shift(x)

    truth: list[str] = []
    periods: list[int] = []
    for i, kind in enumerate(kinds):
        name, period = (truth[i - 1], periods[i - 1]) if kind == "follow" else _class(kind, layers)
        truth.append(name)
        periods.append(period)
    start = np.zeros((count, width))
    for i, (_, n, first) in enumerate(made):
        z = np.concatenate([first, 0.2 * rng.standard_normal(width - n)])
        start[i] = z @ frames[i](torch.zeros(1).double()).numpy().T + centre(torch.zeros(1).double()).numpy()[i]
    start = start * sizes[:, None] + shift(torch.zeros(1).double()).numpy()
    name = f"tokens {', '.join(kinds)} width {width} layers {layers}"
    if len(scale):
        name += f" sizes {', '.join(f'{s:.0e}' for s in scale)}"
    m = TorchMap([step, back][:layers], (count, width), causal=True, dtype=dtype, name=name)
    return known(name, m, start, tuple(truth), period=tuple(periods))


def _class(kind: str, layers: int) -> tuple[str, int]:
    at_rest = "VANISHING" if layers == 1 else "CYCLIC"
    table = {"rest": (at_rest, 1), "two": ("PERIODIC", 2), "three": ("PERIODIC", 3), "five": ("PERIODIC", 5),
             "torus": ("QUASIPERIODIC", -1), "chaos": ("CHAOTIC", -1)}  # fmt: skip
    return table[kind]


def _core(kind: str, rng: np.random.Generator) -> tuple[Core, int, Array]:
    """Return the core of a token, its number of coordinates and where it starts."""
    angle, x = rng.uniform(0, 2 * math.pi), rng.uniform(0.1, 0.4)
    around = 1.2 * np.array([math.cos(angle), math.sin(angle)])
    steps = {"two": 2, "three": 3, "five": 5}
    if kind in steps:
        small = 0.5 / steps[kind]
        return cores.star(steps[kind], 1), 2, 1.2 * np.array([math.cos(small), math.sin(small)])
    if kind == "torus":
        return cores.rotation(math.sqrt(2) - 1), 2, around
    if kind == "chaos":
        return cores.logistic(4.0), 1, np.array([x])
    return cores.rest(0.7), 1, np.array([0.5])


def huge_token(
    rng: np.random.Generator, *, size: float, mover: str, causal: bool = True, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make a token of norm `size` at rest beside a moving one of norm 1 (C14); without `causal`, one state."""
    row = token_chain(rng, kinds=("rest", mover), scale=(size, 1.0), dtype=dtype)
    if causal:
        return row
    name = f"one state: {row.name}"
    m = TorchMap(list(row.map.layers), row.map.state_shape, dtype=dtype, name=name)  # type: ignore[attr-defined] # token_chain makes a TorchMap
    return known(name, m, row.start, " ".join(row.truth[1]), period=row.period[1])
