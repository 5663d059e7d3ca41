"""Alignment: a copy matches itself, a reversed copy does not, noise matches by chance, p-values are exact."""

import itertools
import math

import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import InvalidArgumentError
from dynloop.inference.alignment import _costs, _matched
from dynloop.inference.curves import InferenceStages, repeats


def stages(curves, name="made"):
    """A record of given curves ``(loops, depth)``, all taken at attentions."""
    curves = {key: np.asarray(value, dtype=float) for key, value in curves.items()}
    depth = next(iter(curves.values())).shape[1]
    names = tuple(f"layer {i}" for i in range(depth))
    return InferenceStages(
        curves=curves, errors={k: np.full_like(v, np.nan) for k, v in curves.items()}, repeat=repeats(curves),
        layers=names, attentions=names, attention_layer=np.arange(depth), samples=1, settings={"map": name},
    )  # fmt: skip


def drawn(seed, loops, depth, metrics=("mixing", "norm", "kl")):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal((loops, depth)) for name in metrics}


def test_a_copy_matches_itself_layer_by_layer():
    curves = drawn(0, 1, 6)
    found = dl.align_stages(stages(curves), stages(curves))
    assert found.depth.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert found.distance.tolist() == [0]
    assert found.p_value[0] == pytest.approx(1 / 720)
    assert found.p_joint == found.least_p == pytest.approx(1 / 720)


def test_a_part_of_a_deeper_model_is_found_where_it_is():
    deep = drawn(1, 1, 12, ("mixing", "norm"))
    part = {name: curve[:, 3:10] for name, curve in deep.items()}
    inner = {name: (c - c.mean()) / c.std() for name, c in part.items()}
    whole = {name: np.concatenate([np.zeros((1, 3)), c, np.zeros((1, 2))], axis=1) for name, c in inner.items()}
    found = dl.align_stages(stages(part), stages(whole))
    assert found.depth[0].tolist() == list(range(3, 10))
    assert found.p_value[0] < 0.01


def test_levels_and_scales_do_not_count_but_order_does():
    curves = drawn(2, 1, 7)
    scaled = {name: 5 + 3 * curve for name, curve in curves.items()}
    assert dl.align_stages(stages(scaled), stages(curves)).distance[0] == pytest.approx(0, abs=1e-14)
    reverse = {name: curve[:, ::-1] for name, curve in curves.items()}
    assert dl.align_stages(stages(reverse), stages(curves)).p_value[0] > 0.05


def test_p_values_of_noise_are_uniform():
    """Under the null of exchangeable layers p ≤ a has a probability of a at most; 200 draws."""
    p = [
        dl.align_stages(stages(drawn(i, 1, 5)), stages(drawn(1000 + i, 1, 8))).p_value[0]
        for i in range(200)
    ]  # fmt: skip
    assert np.mean(np.array(p) <= 0.1) < 0.1 + 3 * math.sqrt(0.09 / 200)
    assert np.mean(np.array(p) <= 0.5) == pytest.approx(0.5, abs=3 * math.sqrt(0.25 / 200))


def test_the_match_is_the_best_of_all_that_never_decrease():
    rng = np.random.default_rng(0)
    for _ in range(50):
        gaps = rng.random((4, 5))
        paths = [p for p in itertools.product(range(5), repeat=4) if list(p) == sorted(p)]
        best = min(sum(gaps[l, j] for l, j in enumerate(p)) for p in paths)
        found = _matched(gaps)
        assert (np.diff(found) >= 0).all()
        assert gaps[np.arange(4), found].sum() == pytest.approx(best)
        orders = np.array(list(itertools.permutations(range(4))))
        each = [gaps[order][np.arange(4), _matched(gaps[order])].mean() for order in orders]
        np.testing.assert_allclose(_costs(gaps, orders), each)


def test_many_layers_take_random_orders():
    curves = drawn(3, 2, 12)
    found = dl.align_stages(stages(curves), stages({k: v[:1] for k, v in curves.items()}), permutations=99)
    assert found.least_p == 0.01
    assert found.p_value[0] == 0.01
    assert found.settings["exact"] is False


def test_a_curve_without_shape_drops_out():
    curves = drawn(4, 2, 5, ("mixing", "norm"))
    flat = {"mixing": curves["mixing"], "norm": np.ones((2, 5))}
    once = {name: curve[:1] for name, curve in curves.items()}
    found = dl.align_stages(stages(flat), stages(once))
    alone = dl.align_stages(stages(curves), stages(once), metrics=["mixing"])
    np.testing.assert_array_equal(found.depth, alone.depth)
    nothing = dl.align_stages(stages({"norm": np.ones((2, 5))}), stages({"norm": curves["norm"][:1]}))
    assert nothing.depth.tolist() == [[-1] * 5] * 2
    assert np.isnan(nothing.p_value).all()
    assert np.isnan(nothing.p_joint)


def test_a_block_looped_and_once():
    m = dl.synthetic.looped_transformer(layers=4, width=16, heads=2, tokens=6, norm="ouro", injection="none")
    looped, once = (dl.inference_stages(m, loops=t) for t in (3, 1))
    found = dl.align_stages(looped, once)
    assert found.depth[0].tolist() == [0, 1, 2, 3]
    assert "p = " in repr(found)


def test_bad_arguments_are_named():
    once, twice = stages(drawn(0, 1, 3)), stages(drawn(0, 2, 3))
    with pytest.raises(InvalidArgumentError, match="feed_forward must have one loop; got 2"):
        dl.align_stages(once, twice)
    with pytest.raises(InvalidArgumentError, match="looped must be what inference_stages returned; got dict"):
        dl.align_stages({}, once)
    with pytest.raises(InvalidArgumentError, match="metrics must be among mixing, norm, kl"):
        dl.align_stages(twice, once, metrics=["sinks"])
    with pytest.raises(InvalidArgumentError, match="permutations must be a positive int; got 0"):
        dl.align_stages(twice, once, permutations=0)
