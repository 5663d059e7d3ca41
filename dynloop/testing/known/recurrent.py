"""Orbits that stay bounded and move for ever: cycles, tori and chaos, hidden in blocks of many coordinates."""

from __future__ import annotations

import math

import numpy as np
import torch

from dynloop.maps.base import Array
from dynloop.maps.zoo.interval import logistic as compiled_logistic
from dynloop.testing.known import cores
from dynloop.testing.known.coordinates import Core, hidden
from dynloop.testing.known.record import KnownMap, known

__all__ = [
    "CHAOS", "WINDOWS", "attention_cycle", "cascade", "chaos", "cycle", "near_return", "product_cycle", "rational",
    "torus", "twisted", "window",
]  # fmt: skip

CHAOS = ("logistic", "chebyshev 3", "chebyshev 4", "tent", "henon", "cat", "two tents", "coupled tents")
WINDOWS = {  # a map of the interval by name: (core, parameter between, period) in a window known by theory
    "logistic fixed": ("logistic", 1.2, 2.9, 1), "logistic 2": ("logistic", 3.05, 3.44, 2),
    "logistic 4": ("logistic", 3.455, 3.54, 4), "logistic 8": ("logistic", 3.5446, 3.5640, 8),
    "logistic 3": ("logistic", 3.8285, 3.8410, 3), "sine fixed": ("sine", 0.35, 0.70, 1),
    "sine 2": ("sine", 0.725, 0.825, 2), "sine 4": ("sine", 0.835, 0.855, 4),
}  # fmt: skip


def cycle(
    rng: np.random.Generator, *, period: int, dim: int = 2, layers: int = 1, bend: float = 0.3,
    dtype: torch.dtype = torch.float64,
) -> KnownMap:  # fmt: skip
    """Make one attracting cycle on a circle, of the given period, hidden in `dim` coordinates.

    Examples
    --------
    >>> import numpy as np
    >>> from dynloop.testing.known import cycle
    >>> row = cycle(np.random.default_rng(0), period=5, dim=7)
    >>> row.label, row.period, row.rate
    ('PERIODIC', (5,), 0.7)
    """
    winding = next(int(w) for w in rng.permutation(np.arange(1, period)) if math.gcd(int(w), period) == 1)
    pull = 0.3 if period < 32 else 0.5
    name = f"cycle of {period} dim {dim} layers {layers}"
    angle = 2 * math.pi * (0.2 / period + rng.integers(period) / period)
    start = [1.3 * math.cos(angle), 1.3 * math.sin(angle)]
    core = cores.star(period, winding, pull)
    m, first, _ = hidden(
        [core, *[cores.same] * (layers - 1)], start, rng, dim=dim, bend=bend, rest=0.45, dtype=dtype, name=name
    )
    return known(name, m, first, "PERIODIC", period=period, rate=1 - pull)


def attention_cycle(
    rng: np.random.Generator, *, period: int, dim: int = 8, rate: float = 0.5, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make attention that answers each of `period` stored points by the next one."""
    points, gap = _apart(rng, period, dim)
    name = f"attention cycle of {period} dim {dim} rate {rate:.3g}"
    core = cores.match(points, 60 / gap**2, rate)
    m, start, _ = hidden([core], points[0] + 0.05 * gap * rng.standard_normal(dim), rng, dim=dim, bend=0.0, dtype=dtype,
                         name=name)  # fmt: skip
    return known(name, m, start, "PERIODIC", period=period, rate=rate)


def near_return(
    rng: np.random.Generator, *, period: int, apart: float, dim: int = 6, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make a cycle of twice `period` points whose second round lies `apart` from the first: nearly half as long."""
    points, _ = _apart(rng, period, dim)
    both = np.concatenate([points, points + apart * rng.standard_normal((period, dim)) / math.sqrt(dim)])
    gap = min(float(np.linalg.norm(a - b)) for a, b in zip(both[:period], both[period:], strict=True))
    name = f"near return: cycle of {2 * period}, {apart:.0e} from one of {period}"
    core = cores.match(both, 60 / gap**2, 0.3)
    m, start, _ = hidden([core], both[0] + 0.02 * gap * rng.standard_normal(dim) / math.sqrt(dim), rng, dim=dim,
                         bend=0.0, dtype=dtype, name=name)  # fmt: skip
    return known(name, m, start, "PERIODIC", period=2 * period, rate=0.3)


def _apart(rng: np.random.Generator, count: int, dim: int) -> tuple[Array, float]:
    """Draw points of the unit sphere and return them with their least distance; the best of a few draws."""
    best, gap = np.zeros((count, dim)), 0.0
    for _ in range(20):
        points = rng.standard_normal((count, dim))
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        distances = np.linalg.norm(points[:, None] - points[None], axis=2) + 9 * np.eye(count)
        if distances.min() > gap:
            best, gap = points, float(distances.min())
    return best, gap


def product_cycle(
    rng: np.random.Generator, *, periods: tuple[int, ...], dim: int, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make independent cycles side by side: the period of the block is the least common multiple."""
    parts, start = [], []
    for p in periods:
        winding = next(int(w) for w in rng.permutation(np.arange(1, p)) if math.gcd(int(w), p) == 1)
        parts.append((cores.star(p, winding), 2))
        start += [1.2 * math.cos(0.9 / p), 1.2 * math.sin(0.9 / p)]
    name = f"product of cycles {'×'.join(map(str, periods))} dim {dim}"
    m, first, _ = hidden([cores.beside(*parts)], start, rng, dim=dim, rest=0.4, dtype=dtype, name=name)
    return known(name, m, first, "PERIODIC", period=math.lcm(*periods), rate=0.7)


def window(
    rng: np.random.Generator, *, name: str, dim: int = 1, layers: int = 1, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make a map of the interval with its parameter drawn from a window of known period; see `WINDOWS`."""
    core, low, high, period = WINDOWS[name]
    parameter = float(rng.uniform(low, high))
    made = cores.logistic(parameter) if core == "logistic" else cores.sine(parameter)
    title = f"window {name} parameter {parameter:.6f} dim {dim} layers {layers}"
    m, start, _ = hidden(
        [made, *[cores.same] * (layers - 1)], [rng.uniform(0.1, 0.9)], rng, dim=dim, rest=0.5, dtype=dtype, name=title
    )
    if period > 1:
        return known(title, m, start, "PERIODIC", period=period)
    return known(title, m, start, "VANISHING" if layers == 1 else "CYCLIC")


def cascade(rng: np.random.Generator, *, doublings: int) -> KnownMap:
    """Make the compiled logistic map at the superstable parameter of period 2^doublings."""
    r = cores.superstable_logistic(doublings)
    truth = "PERIODIC" if doublings else "VANISHING"
    start = np.array([rng.uniform(0.1, 0.9)])
    return known(f"logistic superstable 2^{doublings}", compiled_logistic(r), start, truth, period=2**doublings)


def torus(
    rng: np.random.Generator, *, tones: int, dim: int, layers: int = 1, bend: float = 0.3,
    dtype: torch.dtype = torch.float64,
) -> KnownMap:  # fmt: skip
    """Make an attracting torus with `tones` incommensurate frequencies: square roots of primes, modulo 1."""
    primes = np.sqrt(np.array([2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0])) % 1.0
    turns = rng.permutation(primes)[:tones]
    parts = [(cores.rotation(float(t), rng.uniform(0.3, 0.8)), 2) for t in turns]
    start = np.concatenate([_on_circle(rng, 1.2) for _ in turns])
    name = f"torus of {tones} tones dim {dim} layers {layers}"
    m, first, _ = hidden(
        [cores.beside(*parts), *[cores.same] * (layers - 1)], start, rng, dim=dim, bend=bend, dtype=dtype, name=name
    )
    return known(name, m, first, "QUASIPERIODIC", period=-1)


def rational(
    rng: np.random.Generator, *, turns: tuple[int, int], dim: int = 2, dtype: torch.dtype = torch.float64
) -> KnownMap:
    """Make a turn by p/q on an attracting circle: every orbit there is a neutral cycle of period q."""
    p, q = turns
    name = f"turn by {p}/{q} dim {dim}"
    m, start, _ = hidden([cores.rotation(p / q)], _on_circle(rng, 1.2), rng, dim=dim, dtype=dtype, name=name)
    return known(name, m, start, "PERIODIC", period=q, rate=1.0)


def twisted(rng: np.random.Generator, *, dim: int = 3, dtype: torch.dtype = torch.float64) -> KnownMap:
    """Make an integrable twist at an irrational action: tangents grow like n, the exponent is 0."""
    action = float(np.sqrt(rng.choice([2.0, 3.0, 5.0, 7.0])) % 1.0)
    name = f"integrable twist dim {dim}"
    start = np.concatenate([_on_circle(rng, 1.0), [action]])
    m, first, _ = hidden([cores.twist], start, rng, dim=dim, bend=0.2, dtype=dtype, name=name)
    return known(name, m, first, "QUASIPERIODIC", period=-1)


def chaos(
    rng: np.random.Generator, *, kind: str, dim: int, layers: int = 1, bend: float = 0.3,
    dtype: torch.dtype = torch.float64,
) -> KnownMap:  # fmt: skip
    """Make a map whose chaos is known by theory (Hénon's by computation), hidden in `dim` coordinates; see `CHAOS`."""
    name = f"chaos {kind} dim {dim} layers {layers}"
    core, start = _chaotic(kind, rng)
    m, first, _ = hidden([core, *[cores.same] * (layers - 1)], start, rng, dim=dim, bend=bend, dtype=dtype, name=name)
    return known(name, m, first, "CHAOTIC", period=-1)


def _chaotic(kind: str, rng: np.random.Generator) -> tuple[Core, list[float]]:
    x, y = (float(v) for v in rng.uniform(0.1, 0.4, 2))
    slope = float(rng.uniform(1.45, 1.95))
    if kind == "logistic":
        return cores.logistic(4.0), [x]
    if kind.startswith("chebyshev"):
        return cores.chebyshev(int(kind[-1])), [x]
    if kind == "tent":
        return cores.tent(slope), [x]
    if kind == "henon":
        return cores.henon(), [0.2 * x, 0.2 * y]
    if kind == "cat":
        return cores.cat, [x, y]
    both = cores.beside((cores.tent(slope), 1), (cores.tent(1.7), 1))
    if kind == "two tents":
        return both, [x, y]

    def coupled(z: torch.Tensor) -> torch.Tensor:
        w = both(z)
        return 0.95 * w + 0.05 * w.flip(-1)

    return coupled, [x, y]


def _on_circle(rng: np.random.Generator, radius: float) -> Array:
    angle = rng.uniform(0, 2 * math.pi)
    return radius * np.array([math.cos(angle), math.sin(angle)])
