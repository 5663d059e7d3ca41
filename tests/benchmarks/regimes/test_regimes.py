"""The benchmark of regimes as tests: a fast slice in float64 and bfloat16, every row by seed at night."""

import io
import json
import math

import numpy as np
import pytest
import torch

import dynloop as dl
from tests.benchmarks.regimes.compiled_block import loop, weights
from tests.benchmarks.regimes.items import SETTLED, every_item
from tests.benchmarks.regimes.run import report, weigh
from tests.benchmarks.regimes.settle_transformers import SIZES

ROWS = {row.key: row for row in every_item()}
SLICE = [
    "affine dim=1 layers=1 kind=vanishing rate=0.3 shear=0.0",
    "affine dim=5 layers=2 kind=cyclic rate=0.6 shear=1.5",
    "affine dim=200 layers=5 kind=cyclic rate=0.97 shear=1.5",
    "affine dim=16 layers=3 kind=cyclic rate=0.7 size=1e-06",
    "affine dim=16 layers=3 kind=cyclic rate=0.7 size=1e-09",
    "conjugated dim=5 layers=2 kind=vanishing rate=0.9",
    "conjugated dim=32 layers=4 kind=cyclic rate=0.9",
    "conjugated dim=128 layers=2 kind=vanishing rate=0.9",
    "nilpotent dim=10 layers=2 kind=cyclic",
    "projection dim=5 layers=2 kind=cyclic",
    "jordan dim=6 rate=0.9 above=0.5",
    "cycle period=2 dim=10 layers=1",
    "cycle period=7 dim=150 layers=3",
    "cycle period=12 dim=2 layers=1",
    "attention_cycle period=24 dim=8 rate=0.2",
    "product_cycle periods=(2, 3) dim=5",
    "window name=logistic fixed dim=4 layers=2",
    "window name=logistic 3 dim=1 layers=1",
    "window name=sine 2 dim=4 layers=2",
    "cascade doublings=1",
    "cascade doublings=4",
    "near_return period=2 apart=0.01",
    "near_return period=1 apart=1e-06",
    "rational turns=(2, 7) dim=10",
    "fold_passage gap=0.01 dim=1 layers=1",
    "fold_passage gap=0.001 dim=1 layers=1",
    "weak_flip above=0.1 offset=0.0",
    "late_flip below=0.1",
    "captured between=(60, 120)",
    "superstable kind=newton dim=1",
    "superstable kind=constant dim=5",
    "translation dim=10 layers=3",
    "weighted_ray dim=8 second=0.0",
    "divergent dim=10 layers=3 rate=1.1",
    "line kind=x² dim=1",
    "token_chain kinds=('rest', 'rest', 'rest') layers=2 width=8",
    "token_chain kinds=('two', 'follow', 'follow') layers=1 width=4",
    "counter_example C5b",
    "counter_example C7",
    "counter_example C16b",
]
LOW = [key for key in SLICE if ROWS[key].low and "200" not in key]


@pytest.mark.parametrize("key", SLICE)
def test_no_certain_verdict_of_the_slice_is_wrong(key):
    assert weigh(key, 0, "float64")["wrong"] == []


@pytest.mark.parametrize("key", LOW[::3])
def test_no_certain_verdict_of_the_slice_is_wrong_in_bfloat16(key):
    assert weigh(key, 0, "bfloat16")["wrong"] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("key", ROWS)
def test_no_certain_verdict_is_wrong(key, dtype, seed):
    if dtype != "float64" and not ROWS[key].low:
        pytest.skip("this row is about float64")
    assert weigh(key, seed, dtype)["wrong"] == []


class Clocked:
    """A layer that depends on how often it was called."""

    def __init__(self, of_loop):
        self.loop, self.of_loop = 0, of_loop

    def __call__(self, x):
        self.loop += 1
        return 0.5 * x + self.of_loop(self.loop)


@pytest.mark.parametrize(
    "of_loop",
    [
        lambda t: t % 3,
        lambda t: 1 / t,
        math.sin,
        lambda t: float(torch.randn((), generator=torch.Generator().manual_seed(t))),
    ],
    ids=["period 3", "fading", "loop index", "noise"],
)
def test_what_is_no_map_is_refused(of_loop):
    m = dl.TorchMap([Clocked(of_loop)], (2,))
    with pytest.raises(dl.errors.NotAutonomousError, match="two answers for one state"):
        dl.classify(m, np.array([0.3, 0.2]))


def test_the_report_counts_by_truth_and_verdict_and_lists_what_is_wrong():
    def record(truth, regime, wrong=()):
        verdict = {"truth": truth, "regime": regime, "period": 1, "reason": "after 12 loops", "loops": 12}
        return {"key": "a row", "family": "a family", "seed": 3, "dtype": "float64", "verdicts": [verdict],
                "wrong": list(wrong), "seconds": 0.5}  # fmt: skip

    out = io.StringIO()
    records = [
        record("VANISHING", "VANISHING"),
        record("VANISHING", "CHAOTIC", ["CHAOTIC, not VANISHING"]),
        record("CYCLIC", "UNDECIDED"),
        record("none fits", "UNDECIDED"),
    ]
    assert report(records, out) == 1
    said = out.getvalue()
    assert "4 orbits, 4 verdicts, 1 orbits with a wrong one, 1 UNDECIDED where a regime fits (25.0 %)" in said
    assert "WRONG  a row | seed 3\n       CHAOTIC, not VANISHING" in said
    assert "UNDECIDED    1 CYCLIC: after # loops [a family]" in said


def test_the_benchmark_has_400_rows_of_every_regime():
    assert len(ROWS) >= 400
    truths = {name for row in list(ROWS.values())[::5] for t in row(0).truth for name in t}
    assert truths == {
        "VANISHING", "CYCLIC", "PERIODIC", "QUASIPERIODIC", "CHAOTIC", "RAY", "DRIFT", "DIVERGENT",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("injection", dl.synthetic.INJECTIONS)
@pytest.mark.parametrize("norm", dl.synthetic.NORMS)
def test_the_compiled_block_that_settles_labels_is_the_block(norm, injection):
    for causal in (True, False):
        options = {**SIZES, "norm": norm, "injection": injection, "gain": 1.7, "seed": 3, "causal": causal}
        m = dl.synthetic.looped_transformer(**options)
        state = m.numpy(m.start(1))[0]
        expected = m.numpy(m(m.start(1)))[0]
        np.testing.assert_allclose(
            loop(state, weights(m, options)), expected, rtol=0, atol=1e-14 * np.abs(expected).max()
        )


def test_every_label_of_a_transformer_is_what_the_long_orbit_ends_in():
    """The loops of a label are at least those that its kind needs, and exponents beside it have its sign."""
    settled = json.loads(SETTLED.read_text(encoding="utf8"))
    for name, row in settled.items():
        numbers, largest = row["evidence"], np.maximum.accumulate(row["evidence"]["own_exponents"])
        for regime, period, exponent in zip(row["regime"], row["period"], largest, strict=True):
            assert (period >= 2) == (regime == "PERIODIC"), name
            assert (period == 1) == (regime in ("VANISHING", "CYCLIC")), name
            assert (exponent > 1e-3) == (regime == "CHAOTIC") or regime in ("RAY", "UNCLEAR"), name
            assert numbers["loops"] >= {"CHAOTIC": 65536, "QUASIPERIODIC": 131072, "RAY": 65536}.get(regime, 8192), name
