"""Orbits whose regime is known by construction: what the benchmark of regimes, property tests and strategies draw."""

from __future__ import annotations

from dynloop.testing.known.catalogue import Item, catalogue
from dynloop.testing.known.coordinates import Coordinates
from dynloop.testing.known.fixed_points import affine, conjugated, jordan, nilpotent, projection
from dynloop.testing.known.record import KnownMap, known
from dynloop.testing.known.recurrent import (
    CHAOS,
    attention_cycle,
    cascade,
    chaos,
    cycle,
    near_return,
    product_cycle,
    rational,
    torus,
    twisted,
    window,
)
from dynloop.testing.known.slow import (
    algebraic,
    captured,
    fold_passage,
    late_flip,
    slow_rate,
    slow_spiral,
    superstable,
    weak_flip,
)
from dynloop.testing.known.tokens import huge_token, token_chain
from dynloop.testing.known.unbounded import divergent, line, spiral_drift, translation, turning, weighted_ray

__all__ = [
    "CHAOS",
    "Coordinates",
    "Item",
    "KnownMap",
    "affine",
    "algebraic",
    "attention_cycle",
    "captured",
    "cascade",
    "catalogue",
    "chaos",
    "conjugated",
    "cycle",
    "divergent",
    "fold_passage",
    "huge_token",
    "jordan",
    "known",
    "late_flip",
    "line",
    "near_return",
    "nilpotent",
    "product_cycle",
    "projection",
    "rational",
    "slow_rate",
    "slow_spiral",
    "spiral_drift",
    "superstable",
    "token_chain",
    "torus",
    "translation",
    "turning",
    "twisted",
    "weak_flip",
    "weighted_ray",
    "window",
]
