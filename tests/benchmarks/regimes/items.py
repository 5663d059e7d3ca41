"""The rows of the benchmark: the catalogue of constructions, counter-examples, transformers that were settled."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import torch

import dynloop as dl
from dynloop.maps.zoo import COUNTER_EXAMPLES
from dynloop.testing.known import Item, KnownMap, catalogue, known

SETTLED = Path(__file__).with_name("transformers.json")


def every_item():
    """Return every row."""
    return [*catalogue(), *counter_examples(), *transformers()]


def counter_examples():
    """Return the counter-examples as rows; their starts are given, so the seed turns them by nothing."""
    return [
        Item(family="counter_example", key=f"counter_example {row.key}", make=partial(_counter, row), low=False)
        for row in COUNTER_EXAMPLES
    ]


def _counter(row, rng):
    truth = row.by_token or (row.acceptable,)
    names = tuple(" ".join(sorted(t - {"UNDECIDED"})) for t in truth)
    period = row.period if names == ("PERIODIC",) else tuple(row.period if n == "PERIODIC" else None for n in names)
    return known(f"{row.key}: {row.title}", row.make(), row.start, names, period=period)


def transformers():
    """Return the random blocks whose class long iteration settled; the seed draws nothing, the start is its own.

    A block of which 2^20 loops did not tell (a ray that may turn for ever) is no row.
    """
    if not SETTLED.exists():
        return []
    settled = json.loads(SETTLED.read_text(encoding="utf8"))
    return [
        Item(family="transformer", key=f"transformer {name}", make=partial(_transformer, name, row))
        for name, row in settled.items()
        if "UNCLEAR" not in row["regime"]
    ]


def _transformer(name, row, rng, *, dtype=torch.float64) -> KnownMap:
    m = dl.synthetic.looped_transformer(**row["options"], dtype=torch.float64)
    start = np.asarray(m.start(0)[0], dtype=np.float64)
    if dtype is not torch.float64:
        m = dl.TorchMap(m.layers, m.state_shape, layer_names=m.layer_names, causal=m.causal, dtype=dtype, name=m.name)
    return known(f"transformer {name}", m, start, tuple(row["regime"]), period=tuple(row["period"]))
