"""Every construction with arguments that span its range: the list that the benchmark of regimes runs over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch

from dynloop.testing.known import fixed_points, recurrent, slow, tokens, unbounded
from dynloop.testing.known.record import KnownMap

__all__ = ["Item", "catalogue"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Item:
    """One row of `catalogue`.

    Attributes
    ----------
    family : str
        Name of the construction.
    key : str
        Family and arguments, unique.
    make : callable
        ``make(rng)`` or ``make(rng, dtype=…)`` returns a `KnownMap`.
    low : bool
        Whether it makes sense in float32 and bfloat16.
    """

    family: str
    key: str
    make: Callable[..., KnownMap] = field(repr=False)
    low: bool = True

    def __call__(self, seed: int, dtype: torch.dtype = torch.float64) -> KnownMap:
        """Draw the map of this row by seed, in a dtype."""
        rng = np.random.default_rng([seed, *self.key.encode()])
        return self.make(rng, dtype=dtype) if self.low else self.make(rng)


def catalogue() -> list[Item]:
    """Return every row.

    Examples
    --------
    >>> from dynloop.testing.known import catalogue
    >>> rows = catalogue()
    >>> len(rows) >= 400 and len({row.key for row in rows}) == len(rows)
    True
    """
    return [*_converging(), *_returning(), *_wandering(), *_slow(), *_unbounded(), *_by_token()]


def _item(make: Callable[..., KnownMap], /, *, low: bool = True, **arguments: Any) -> Item:
    family = make.__name__
    words = " ".join(f"{k}={v}" for k, v in arguments.items())
    return Item(family=family, key=f"{family} {words}".strip(), make=partial(make, **arguments), low=low)


def _converging() -> list[Item]:
    f, rows = fixed_points, []
    rates = (0.3, 0.6, 0.8, 0.9, 0.97)
    kinds: tuple[fixed_points.Kind, ...] = ("vanishing", "cyclic")
    dims = (1, 2, 3, 5, 8, 16, 32, 64, 128, 200)
    for i, (dim, layers, kind) in enumerate(product(dims, (1, 2, 5), kinds)):
        if kind == "vanishing" or layers > 1:
            rows.append(_item(f.affine, dim=dim, layers=layers, kind=kind, rate=rates[i % 5], shear=(0.0, 1.5)[i % 2]))
    for i, (dim, layers, kind) in enumerate(product((2, 3, 5, 8, 16, 32, 64, 128, 200), (2, 4), kinds)):
        rows.append(_item(f.conjugated, dim=dim, layers=layers, kind=kind, rate=rates[i % 5]))
    for size, dim in product((1e-3, 1e-6, 1e-9), (2, 16)):
        rows.append(_item(f.affine, dim=dim, layers=3, kind="cyclic", rate=0.7, size=size, low=False))
    for dim, rate, above in ((2, 0.5, 10.0), (6, 0.9, 0.5), (12, 0.8, 0.5), (24, 0.5, 0.8), (40, 0.9, 0.5)):
        rows.append(_item(f.jordan, dim=dim, rate=rate, above=above, low=dim <= 6))
    for dim, kind in product((1, 3, 10, 40), kinds):
        rows.append(_item(f.nilpotent, dim=dim, layers=2, kind=kind))
    for dim, kind in product((2, 5, 20, 50, 100), kinds):
        rows.append(_item(f.projection, dim=dim, layers=2, kind=kind))
    return rows


def _returning() -> list[Item]:
    r, rows = recurrent, []
    for i, period in enumerate((2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 16, 21, 24, 32, 37, 48, 64)):
        dims = ((2, 10, 100), (3, 30, 200), (5, 50, 150))[i % 3]
        rows += [_item(r.cycle, period=period, dim=dim, layers=1 + i % 3) for dim in dims]
        rows.append(_item(r.attention_cycle, period=period, dim=(8, 24)[i % 2], rate=(0.2, 0.5, 0.9)[i % 3]))
    for periods, dim in (((2, 3), 5), ((4, 6), 10), ((5, 7), 30), ((7, 9), 8), ((2, 3, 5), 20), ((3, 16), 100)):
        rows.append(_item(r.product_cycle, periods=periods, dim=dim))
    for name, (dim, layers) in product(r.WINDOWS, ((1, 1), (4, 2), (40, 3))):
        rows.append(_item(r.window, name=name, dim=dim, layers=layers))
    rows += [_item(r.cascade, doublings=d, low=False) for d in range(7)]
    for period, apart in product((1, 2, 3, 8), (1e-2, 1e-4, 1e-6)):
        rows.append(_item(r.near_return, period=period, apart=apart, low=False))
    for turns in ((1, 3), (2, 7), (3, 16), (13, 34), (21, 55), (34, 89), (55, 144), (89, 233), (144, 377), (233, 610),
                  (377, 987)):  # fmt: skip
        rows.append(_item(r.rational, turns=turns, dim=2 if turns[1] > 20 else 10, low=turns[1] < 20))
    return rows


def _wandering() -> list[Item]:
    r, rows = recurrent, []
    for tones, dim, layers in ((1, 2, 1), (1, 3, 2), (1, 10, 1), (1, 50, 3), (1, 200, 1), (2, 4, 1), (2, 20, 2),
                               (2, 100, 1), (3, 6, 1), (3, 30, 2)):  # fmt: skip
        rows.append(_item(r.torus, tones=tones, dim=dim, layers=layers))
    rows += [_item(r.torus, tones=1, dim=dim, layers=1, bend=bend) for dim, bend in ((2, 0.0), (8, 0.8), (30, 0.6))]
    rows += [_item(r.twisted, dim=dim) for dim in (3, 8, 40)]
    for kind, (dim, layers) in product(r.CHAOS, ((2, 1), (6, 2), (40, 1), (150, 2))):
        rows.append(_item(r.chaos, kind=kind, dim=dim, layers=layers))
    return rows


def _slow() -> list[Item]:
    s, rows = slow, []
    for gap, (dim, layers) in product((1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7), ((1, 1), (6, 2))):
        rows.append(_item(s.fold_passage, gap=gap, dim=dim, layers=layers, low=gap >= 1e-3))
    for rate, (dim, layers) in product((0.99, 0.995, 0.998, 0.999, 0.9999), ((2, 1), (10, 2))):
        rows.append(_item(s.slow_rate, rate=rate, dim=dim, layers=layers))
    for excess, bend in product((-1e-3, -1e-5, -1e-6, -1e-7, 1e-7, 1e-6, 1e-5, 1e-3), (0.0, 0.5)):
        rows.append(_item(s.slow_spiral, excess=excess, dim=2, bend=bend, low=False))
    for power, sign in ((2, 1), (3, 1), (3, -1), (5, 1), (5, -1)):
        rows += [_item(s.algebraic, power=power, sign=sign, dim=dim, low=False) for dim in (1, 4)]
    for above, offset in product((0.1, 1e-2, 1e-3, 1e-5), (0.0, 10.0)):
        rows.append(_item(s.weak_flip, above=above, offset=offset, low=above >= 0.1))
    rows += [_item(s.weak_flip, above=above, dim=8, low=False) for above in (0.05, 1e-3)]
    rows += [_item(s.late_flip, below=below) for below in (0.1, 1e-2, 1e-3, 1e-4)]
    for between in ((60, 120), (200, 500), (500, 1000), (1200, 2000), (2000, 4000)):
        rows.append(_item(s.captured, between=between, low=False))
    for kind, dim in product(("square", "newton", "halley", "constant", "logistic 2"), (1, 5)):
        rows.append(_item(s.superstable, kind=kind, dim=dim))
    return rows


def _unbounded() -> list[Item]:
    u, rows = unbounded, []
    rows += [_item(u.line, kind=kind, dim=dim) for kind, dim in product(u.SCALAR, (1, 5))]
    rows += [_item(u.translation, dim=dim, layers=k) for dim, k in ((1, 1), (2, 2), (10, 3), (60, 2), (200, 2))]
    rows += [_item(u.weighted_ray, dim=dim, second=second) for dim, second in product((2, 8, 60), (0.0, 0.3, 0.6))]
    rows += [_item(u.turning, angle=angle) for angle in (0.1, 0.5, 1.2)]
    for (decay, turn), dim in product(((2, 1), (3, 1), (3, 2), (2, 2), (3, 4)), (2, 6)):
        rows.append(_item(u.spiral_drift, decay=decay, turn=turn, dim=dim, low=False))
    for (dim, layers), rate in product(((1, 1), (2, 2), (10, 3), (100, 2)), (2.0, 1.1, 1.01, 1.001)):
        rows.append(_item(u.divergent, dim=dim, layers=layers, rate=rate))
    return rows


def _by_token() -> list[Item]:
    t, rows = tokens, []
    chains: tuple[tuple[str, ...], ...] = (
        ("rest", "rest", "rest"), ("chaos", "follow"), ("rest", "two", "chaos"), ("two", "follow", "follow"),
        ("two", "rest", "three"), ("torus", "follow"), ("rest", "torus", "rest"), ("three", "follow", "rest", "two"),
        ("chaos", "rest"), ("chaos", "two"), ("five", "three", "two"), ("rest", "follow", "chaos", "follow"),
        ("torus", "chaos", "follow"), ("two", "chaos", "rest", "follow"),
    )  # fmt: skip
    for kinds, layers in product(chains, (1, 2)):
        rows.append(_item(t.token_chain, kinds=kinds, layers=layers, width=4 + 4 * (layers - 1)))
    for size, mover, causal in product((1e2, 1e4, 1e8), ("two", "chaos", "torus"), (True, False)):
        rows.append(_item(t.huge_token, size=size, mover=mover, causal=causal))
    return rows
