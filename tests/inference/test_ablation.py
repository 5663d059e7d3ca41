"""Ablation: maps of known regimes fill its rows, errors are those over seeds, and what is refused."""

import math
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.errors import InvalidArgumentError, NoStartError
from dynloop.inference.ablation import joined


def affine(*, norm, injection, layers, gain, seed, shift=0.0):
    """Layers x ↦ x + 1 and x ↦ gain·x + (seed − 1): fixed points, rays, powers, all known."""
    made = [lambda x: x + 1 + shift, lambda x: gain * x + (seed - 1.0)]
    return dl.TorchMap(
        made * (layers // 2), (2,), dtype=torch.float64, start=lambda rng, n: rng.standard_normal((n, 2))
    )


def run(**options):
    return dl.ablate(make=affine, **{"layers": 2, "seeds": 3, "loops": 128} | options)


def test_regimes_rates_and_closure_of_maps_known_by_hand():
    found = run(gain=[0.5, 0.8, 1.0, 1.5])
    assert found.gain.tolist() == [0.5, 0.8, 1.0, 1.5]
    said = [found.said(i) for i in range(4)]
    assert said[:2] == ["CYCLIC 100 ± 0"] * 2
    # gain 1: x ↦ x + seed: seed 0 stands still in a cycle of its two layers, the others go on for ever
    assert "RAY 66.7 ± 33" in said[2]
    assert said[3] == "DIVERGENT 100 ± 0"
    np.testing.assert_allclose(found.rate[:2], [0.5, 0.8], atol=1e-9)
    np.testing.assert_allclose(found.rate_error[:2], 0, atol=1e-9)
    assert np.isnan(found.rate[3])
    assert (found.closure[:2] < 1e-12).all()
    assert found.defined["rate"].tolist()[:2] == [3, 3]
    # on the ray the increments are 1 and seed − 1: closure seed / (1 + |seed − 1|) = 1, 1 for seeds 1, 2
    np.testing.assert_allclose(found.by_seed["closure"][2, 1:], 1, atol=1e-9)
    np.testing.assert_allclose(found.by_seed["fall"][2, 1:], -1, atol=0.05)
    assert np.isnan(found.by_seed["fall"][0]).all()


@pytest.mark.parametrize("gain", [0.5, 1.0, 1.5])
def test_an_orbit_is_iterated_once(gain, monkeypatch):
    watched, right = [], dl.TorchMap.watch

    def watch(self, states, loops, reference):
        watched.append(loops)
        return right(self, states, loops, reference)

    monkeypatch.setattr(dl.TorchMap, "watch", watch)
    found = run(gain=gain, seeds=[2])
    assert sum(n for n in watched if n > 1) == 128  # single loops look at a solved point from both sides
    # x ↦ gain·(x + 1) + 1 by hand
    m = affine(norm="pre", injection="none", layers=2, gain=gain, seed=2)
    x = m.start(2, 1)[0].numpy()
    for _ in range(128):
        x, before = gain * (x + 1) + 1, x
    step = np.linalg.norm(x - before) / np.linalg.norm(x)
    np.testing.assert_allclose(found.by_seed["step"][0, 0], step, rtol=1e-12, atol=1e-15)


def test_distinctness_is_the_least_distance_of_sections():
    """Fixed point of x ↦ (x + 1)/2 − 1/2 (seed 0.5 is not to be had; seed 0): x = −1, sections −1 and 0."""
    found = run(gain=0.5, seeds=[0])
    x = -1.0  # 0.5·(x + 1) − 1 = x
    np.testing.assert_allclose(found.distinctness, [1 / abs(x)])
    assert np.isnan(found.distinctness_error).all()
    assert np.isnan(found.share_error).all()


def test_means_and_errors_are_those_over_seeds():
    found = run(gain=[0.9, 1.0])
    for name in ("closure", "step", "distinctness"):
        each = found.by_seed[name]
        np.testing.assert_allclose(getattr(found, name), np.nanmean(each, axis=1))
        np.testing.assert_allclose(getattr(found, f"{name}_error"), np.nanstd(each, axis=1, ddof=1) / math.sqrt(3))
    np.testing.assert_allclose(found.share, found.by_seed["share"].mean(axis=1))
    np.testing.assert_allclose(found.share.sum(axis=1), 1)


def test_every_combination_is_a_row():
    found = run(norm=["pre", "post"], injection=["add", "none"], layers=[2, 4], gain=0.5, seeds=[4])
    rows = list(zip(found.norm, found.injection, found.layers.tolist(), strict=True))
    assert rows == [(n, i, l) for n in ("pre", "post") for i in ("add", "none") for l in (2, 4)]
    assert found.seeds.tolist() == [4]
    np.testing.assert_allclose(found.rate, [0.5, 0.25] * 4, atol=1e-9)


def test_random_blocks_a_ray_is_not_a_fixed_point():
    found = dl.ablate(injection=["add", "concat"], layers=2, width=16, heads=2, tokens=3, seeds=[0], loops=128)
    assert found.said(0) == "RAY 100"
    assert found.said(1) == "CYCLIC 100"
    assert found.closure[0] > 0.1
    assert found.fall[0] == pytest.approx(-1, abs=0.1)
    assert found.closure[1] < 1e-12
    assert found.settings["width"] == 16


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_an_executor_gives_the_same(kind):
    pool = ThreadPoolExecutor(2) if kind == "threads" else ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    seen = []
    with pool:
        found = run(gain=[0.5, 1.0], seeds=2, executor=pool, progress=lambda done, total: seen.append((done, total)))
    assert found.table() == run(gain=[0.5, 1.0], seeds=2).table()
    assert seen == [(i, 4) for i in range(1, 5)]


def test_parts_are_joined_by_setting_and_seed(tmp_path):
    whole = run(gain=[0.5, 1.0], seeds=[2, 0])
    parts = [run(gain=g, seeds=[s]) for s in (2, 0) for g in (0.5, 1.0)]
    saved = [dl.load(one.save(tmp_path / str(i))) for i, one in enumerate(parts)]
    both = joined(saved)
    assert both.table() == whole.table()
    assert both.seeds.tolist() == [2, 0]
    for name, values in whole.by_seed.items():
        np.testing.assert_array_equal(both.by_seed[name], values)
    with pytest.raises(InvalidArgumentError, match=r"parts lack seed 0 of \{'norm': 'pre'"):
        joined(saved[:3])
    with pytest.raises(InvalidArgumentError, match="parts must share their settings"):
        joined([saved[0], run(gain=0.5, seeds=[0], loops=64)])
    with pytest.raises(InvalidArgumentError, match="parts is empty"):
        joined([])


def test_the_table_is_markdown_and_says_where_a_number_is_missing():
    found = run(gain=[0.5, 1.0, 1.5])
    lines = found.table().splitlines()
    assert len(lines) == 5
    assert len({line.count("|") for line in lines}) == 1
    assert "(1 of 3)" in lines[3]
    assert " – " in lines[4]
    assert repr(found).startswith("Ablation: 3 settings × 3 seeds\n| norm")
    assert found.to_dict()["regimes"] == list(found.regimes)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seeds": 0}, "seeds must be a positive int, or distinct ints of at least 0; got 0"),
        ({"seeds": [1, 1]}, "seeds must be a positive int, or distinct ints"),
        ({"seeds": [0.5]}, "seeds must be a positive int"),
        ({"seeds": True}, "seeds must be a positive int"),
        ({"gain": []}, "gain is empty; give at least one value"),
        ({"loops": 4}, "loops must be an int of at least 8"),
        ({"make": lambda **_: 1}, "make must return a map, such as a TorchMap; got int for"),
        ({"make": None, "norm": ["pre", "odd"]}, "norm must be one of pre, post"),
        ({"make": None, "injection": "mul"}, "injection must be one of none, add, concat; got 'mul'"),
        ({"gain": "high"}, "gain must be numbers; got 'high'"),
    ],
)
def test_bad_arguments_are_named(options, said):
    with pytest.raises(InvalidArgumentError, match=said):
        dl.ablate(**{"make": affine} | options)


def test_a_map_without_starts_is_refused():
    with pytest.raises(NoStartError, match="knows no starts of its own"):
        dl.ablate(make=lambda **_: dl.TorchMap([torch.tanh], (2,)), seeds=1)


def shrinking(*, norm, injection, layers, gain, seed):
    """x ↦ 0: at the origin after one loop."""
    return dl.TorchMap([lambda x: 0 * x], (2,), dtype=torch.float64, start=lambda rng, n: rng.standard_normal((n, 2)))


def test_a_block_that_ends_at_the_origin_has_steps_of_zero():
    found = dl.ablate(make=shrinking, seeds=2, loops=16)
    assert found.said(0) == "VANISHING 100 ± 0"
    assert found.step.tolist() == [0]
    assert np.isnan(found.closure).all()
    assert found.defined["closure"].tolist() == [0]
