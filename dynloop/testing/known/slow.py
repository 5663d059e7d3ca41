"""Orbits that deceive by their pace: slow passages, late capture, algebraic convergence, superstable points."""

from __future__ import annotations

import math

import numpy as np
import torch

from dynloop.maps.torch import TorchMap
from dynloop.maps.zoo.counter_maps import capture
from dynloop.testing.known import cores
from dynloop.testing.known.coordinates import Core, fixed, hidden
from dynloop.testing.known.record import KnownMap, known

__all__ = ["algebraic", "captured", "fold_passage", "late_flip", "slow_rate", "slow_spiral", "superstable", "weak_flip"]


def fold_passage(
    rng: np.random.Generator, *, gap: float, dim: int = 1, layers: int = 1, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make ``x ← x + 0.2 (ε + x²)(2 − x)``: about π/(0.4 √ε) loops in the bottleneck at 0, then the sink 2.

    Examples
    --------
    >>> import numpy as np
    >>> from dynloop.testing.known import fold_passage
    >>> row = fold_passage(np.random.default_rng(0), gap=1e-4)
    >>> row.label, abs(row.map.numpy(row.map(row.limit[None])) - row.limit).max() < 1e-14
    ('VANISHING', np.True_)
    """

    def core(z: torch.Tensor) -> torch.Tensor:
        return z + 0.2 * (gap + z * z) * (2 - z)

    name = f"passage of a fold, gap {gap:.0e} dim {dim} layers {layers}"
    start = [-float(rng.uniform(0.3, 0.9))]
    m, first, changes = hidden(
        [core, *[cores.same] * (layers - 1)], start, rng, dim=dim, rest=0.15, dtype=dtype, name=name
    )
    limit = changes[0].of(np.concatenate([[2.0], np.zeros(dim - 1)]))
    rate = max(abs(1 - 0.2 * (gap + 4)), 0.15 if dim > 1 else 0.0)
    return known(name, m, first, "VANISHING" if layers == 1 else "CYCLIC", limit=limit, rate=rate)


def slow_rate(
    rng: np.random.Generator, *, rate: float, dim: int, layers: int, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make a scalar contraction by `rate`, near 1, hidden beside a fast one."""
    name = f"slow rate {rate} dim {dim} layers {layers}"
    m, first, changes = hidden(
        [cores.rest(rate), *[cores.same] * (layers - 1)], [1.0], rng, dim=dim, dtype=dtype, name=name
    )
    return known(
        name, m, first, "VANISHING" if layers == 1 else "CYCLIC", limit=changes[0].of(np.zeros(dim)), rate=rate
    )


def slow_spiral(
    rng: np.random.Generator, *, excess: float, dim: int = 2, bend: float = 0.0, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make a turn by an irrational angle times 1 + `excess`: for 1/|excess| loops it looks like a torus.

    Examples
    --------
    >>> import numpy as np
    >>> from dynloop.testing.known import slow_spiral
    >>> [slow_spiral(np.random.default_rng(0), excess=e).label for e in (-1e-6, 1e-6)]
    ['VANISHING', 'DIVERGENT']
    """
    turn = 2 * math.pi * (float(np.sqrt(rng.choice([2.0, 3.0, 5.0, 7.0]))) % 1.0)
    matrix = fixed((1 + excess) * np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]]))
    name = f"slow spiral, factor 1 {excess:+.0e} dim {dim} bend {bend:g}"
    m, first, changes = hidden([lambda z: z @ matrix(z)], [1.0, 0.2], rng, dim=dim, bend=bend, dtype=dtype, name=name)
    if excess > 0:
        return known(name, m, first, "DIVERGENT", period=-1)
    return known(name, m, first, "VANISHING", limit=changes[0].of(np.zeros(dim)), rate=1 + excess)


def algebraic(
    rng: np.random.Generator, *, power: int, sign: int = 1, dim: int = 1, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make ``x ← ±(x − x^power)`` from x > 0: converges to 0 like t^(−1/(power − 1)), multiplier ±1."""

    def core(z: torch.Tensor) -> torch.Tensor:
        return sign * (z - z * torch.abs(z) ** (power - 1)) if sign < 0 else z - z**power

    name = f"algebraic, power {power} sign {sign} dim {dim}"
    m, first, changes = hidden([core], [rng.uniform(0.3, 0.6)], rng, dim=dim, dtype=dtype, name=name)
    return known(name, m, first, "VANISHING", limit=changes[0].of(np.zeros(dim)) if dtype is torch.float64 else None)


def weak_flip(
    rng: np.random.Generator, *, above: float, offset: float = 0.0, dim: int = 1, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make ``x ← −(1 + μ) x + x³``: period 2 of amplitude √μ about an unstable point, contracting by 1 − 2μ a loop."""

    def core(z: torch.Tensor) -> torch.Tensor:
        x = z - offset
        return offset - (1 + above) * x + x * x * x

    name = f"weak flip, {above:.0e} above, offset {offset:g} dim {dim}"
    start = [offset + math.sqrt(above) * rng.uniform(0.3, 2.0)]
    m, first, _ = hidden([core], start, rng, dim=dim, dtype=dtype, name=name)
    return known(name, m, first, "PERIODIC", period=2, rate=max(abs(1 - 2 * above), 0.6 if dim > 1 else 0.0))


def late_flip(rng: np.random.Generator, *, below: float, dtype: torch.dtype = torch.float64) -> KnownMap:
    """Make ``x ← −(1 − μ) x``: alternates for 1/μ loops, but converges to 0."""
    name = f"late flip, {below:.0e} below"
    m = TorchMap([cores.rest(-(1 - below))], (1,), dtype=dtype, name=name)
    return known(name, m, np.array([rng.uniform(0.5, 1.5)]), "VANISHING", limit=np.zeros(1), rate=1 - below)


def captured(rng: np.random.Generator, *, between: tuple[int, int], width: float = 1e-3) -> KnownMap:
    """Make ``4x(1 − x)`` until |x − s| < `width`, then contraction to s; the start is captured within given loops."""
    centre = float(rng.uniform(0.2, 0.8))
    m = capture(centre, width)
    t = -1
    while not between[0] <= t < between[1]:
        x = first = float(rng.uniform(0.01, 0.99))
        t = 0
        while abs(x - centre) >= width and t < between[1]:
            x, t = 4 * x * (1 - x), t + 1
    name = f"chaos until capture at loop {t}"
    return known(name, m, np.array([first]), "VANISHING", limit=np.array([centre]), rate=0.5)


def superstable(rng: np.random.Generator, *, kind: str, dim: int = 1, dtype: torch.dtype = torch.float64) -> KnownMap:
    """Make a point that attracts faster than geometrically: squaring, Newton's iteration for a root, or a constant."""
    cases: dict[str, tuple[Core, float, float]] = {
        "square": (lambda z: z * z, 0.5, 0.0),
        "newton": (lambda z: 0.5 * (z + 2 / z), 3.0, math.sqrt(2)),
        "halley": (lambda z: z * (z * z + 6) / (3 * z * z + 2), 3.0, math.sqrt(2)),
        "constant": (lambda z: 0 * z + 1, 0.3, 1.0),
        "logistic 2": (cores.logistic(2.0), 0.3, 0.5),
    }
    core, start, end = cases[kind]
    name = f"superstable {kind} dim {dim}"
    m, first, changes = hidden(
        [core], [start * rng.uniform(0.8, 1.1)], rng, dim=dim, bend=0.0, rest=1e-8, dtype=dtype, name=name
    )
    return known(name, m, first, "VANISHING", limit=changes[0].of(np.concatenate([[end], np.zeros(dim - 1)])))
