"""Hypothesis strategies: maps of known class, and maps of none in particular for statements that need no class.

===================  ==================================================================
`orbits`             an orbit of known regime: `KnownMap`
`affine`             affine layers, whose limit and sections are linear algebra: `Affine`
`contraction`        layers with a known Lipschitz constant below 1: `Contraction`
`layered`            smooth layers of many kinds, class not known: `Drawn`
`blocks`             looped transformer blocks, class not known: `Drawn`
`conjugation`        a drawn map in other coordinates: `Conjugated`
===================  ==================================================================

Every draw says in its `name` what made it, its seed included, and shrinks towards one layer of one coordinate (the
least that its kind allows) and seed 0.
"""

from __future__ import annotations

from dynloop.testing.strategies.affine import Affine, affine_cycles
from dynloop.testing.strategies.blocks import blocks
from dynloop.testing.strategies.conjugation import Conjugated, conjugations
from dynloop.testing.strategies.contraction import Contraction, contractions
from dynloop.testing.strategies.drawn import Drawn
from dynloop.testing.strategies.layered import LAYERS, closed_loops, layered_maps
from dynloop.testing.strategies.orbits import (
    chaotic,
    converging,
    cycles,
    cyclic,
    divergent,
    drifts,
    known_maps,
    periodic,
    quasiperiodic,
    rays,
    token_blocks,
    vanishing,
)

__all__ = [
    "LAYERS",
    "Affine",
    "Conjugated",
    "Contraction",
    "Drawn",
    "affine_cycles",
    "blocks",
    "chaotic",
    "closed_loops",
    "conjugations",
    "contractions",
    "converging",
    "cycles",
    "cyclic",
    "divergent",
    "drifts",
    "known_maps",
    "layered_maps",
    "periodic",
    "quasiperiodic",
    "rays",
    "token_blocks",
    "vanishing",
]
