"""Path independence: maps with one sink, several, cycles in any phase, and ends that are no limits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.errors import InvalidArgumentError, PromptError, ShapeError

SPEED = 0.25


def towards(c, a=0.5):
    """x ← c + a (x − c) on vectors."""
    c = torch.as_tensor(c, dtype=torch.float64)
    return dl.TorchMap([lambda x: c.to(x.dtype) + a * (x - c.to(x.dtype))], tuple(c.shape))


def two_sinks(frame=((1.0, 0.0), (0.0, 1.0))):
    """Sinks at ±u, u the first column of an orthogonal frame; the plane between them is the boundary."""
    Q = torch.as_tensor(np.array(frame), dtype=torch.float64)

    def step(x):
        y = x @ Q
        return torch.stack([y[:, 0] + SPEED * y[:, 0] * (1 - y[:, 0] ** 2), 0.3 * y[:, 1]], dim=1) @ Q.T

    return dl.TorchMap([step], (2,))


def quarter_turns():
    """A circle of 4-cycles: the radius tends to 1, the angle grows by a quarter turn."""

    def step(x):
        r = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        return torch.stack([-x[:, 1], x[:, 0]], dim=1) * (1 + SPEED * (1 - r**2))

    return dl.TorchMap([step], (2,))


def tokens(*rules):
    return dl.TorchMap(
        [lambda x: torch.stack([f(x[..., 0]) for f in rules], 1)[..., None]], (len(rules), 1), causal=True
    )


def sink(x):
    return x[:, 0] + SPEED * x[:, 0] * (1 - x[:, 0] ** 2)


# -- oracles ---------------------------------------------------------------------------------------------------------


def test_a_contraction_forgets_every_start():
    rng = np.random.default_rng(0)
    c = rng.standard_normal((3, 4))
    found = dl.path_independence(towards(c), rng.standard_normal((5, 3, 4)))
    assert found.independent
    assert found.limit.tolist() == [0] * 5
    np.testing.assert_allclose(found.cosine, 1.0, atol=1e-12)
    assert found.cosine.shape == (5, 5, 3)
    assert found.distance.max() < 1e-12
    assert "all 5 starts tried came to one limit" in found.reason


@pytest.mark.parametrize("rate", [0.5, -0.9, 0.0])
def test_the_origin_is_one_limit(rate):
    """What is left of the starts at the origin is rounding, and its direction is nobody's."""
    found = dl.path_independence(towards([0.0, 0.0], rate), [[1.0, 2.0], [-2.0, 1.0], [1e-3, 0.0]])
    assert found.verdict == "path independent"
    assert np.isnan(found.cosine).all()


def test_two_sinks_are_told_apart_and_numbered():
    found = dl.path_independence(two_sinks(), [[0.5, 1.0], [-0.5, 0.2], [0.1, -3.0]])
    assert found.verdict == "path dependent"
    assert found.limit.tolist() == [0, 1, 0]
    np.testing.assert_allclose(found.cosine[:, :, 0], [[1, -1, 1], [-1, 1, -1], [1, -1, 1]], atol=1e-9)
    np.testing.assert_allclose(found.distance, [[0, 2, 0], [2, 0, 2], [0, 2, 0]], atol=1e-9)
    assert found.agreement == pytest.approx([-1 / 3])


def test_a_cycle_is_one_limit_whatever_the_phase():
    m = dl.zoo.logistic(3.5)
    start = np.array([[0.3]])
    found = dl.path_independence(m, np.concatenate([start, m(start), m(m(start)), [[0.77]]]))
    assert found.regime.tolist() == ["PERIODIC"] * 4
    assert found.independent
    assert found.distance.max() < 1e-9
    np.testing.assert_allclose(found.cosine, 1.0)


@pytest.mark.parametrize("angle", [0.1, 0.7, 1.2, 2.0])
def test_cycles_on_a_circle_are_as_far_apart_as_their_nearest_phases(angle):
    found = dl.path_independence(quarter_turns(), [[0.8, 0.0], [0.9 * np.cos(angle), 0.9 * np.sin(angle)]])
    assert found.regime.tolist() == ["PERIODIC"] * 2
    assert found.verdict == "path dependent"
    away = angle % (np.pi / 2)
    away = min(away, np.pi / 2 - away)
    assert found.distance[0, 1] == pytest.approx(2 * np.sin(away / 2), rel=1e-6)
    assert found.cosine[0, 1, 0] == pytest.approx(np.cos(away), rel=1e-6)


def test_the_asymptotic_alignment_is_the_cosine_with_the_run_from_another_prompts_end():
    m, other = two_sinks(), towards([-0.7, 0.1])
    found = dl.path_independence(
        m, [[0.5, 0.0]], others=[other_with_start(other), other_with_start(towards([0.2, 0.9]))]
    )
    assert found.sources == ("start 0", "other 0", "other 1")
    assert found.others == ("VANISHING", "VANISHING")
    np.testing.assert_allclose(found.alignment, [[-1.0], [1.0]], atol=1e-9)
    assert found.score == pytest.approx(0.0, abs=1e-9)
    assert found.limit.tolist() == [0, 1, 0]


def other_with_start(m):
    return dl.TorchMap(m.layers, m.state_shape, start=lambda rng, n: rng.standard_normal((n, *m.state_shape)))


def test_one_prompt_of_a_checkpoint_against_another():
    m = dl.open_checkpoint("demo")
    found = dl.path_independence(m, m.start(), others=["a b 1 2 1 c 1 2 3 4 5 6 b 1 2 3 1 1 2 3 4 d 1 2"])
    assert found.independent
    assert found.score == pytest.approx(1.0)
    assert found.alignment.shape == (1, 24)
    assert found.settings["dtype"] == "float32"


@pytest.mark.slow
def test_without_injection_another_prompt_is_another_start_of_one_map():
    found = dl.path_independence(dl.open_checkpoint("demo:hop-plain"), loops=256)
    assert found.verdict == "undecided"
    assert set(found.regime) <= {"RAY", "UNDECIDED"}  # 256 loops are few to see a direction come to rest


# -- what is no limit ------------------------------------------------------------------------------------------------


def test_two_chaotic_orbits_are_undecided():
    found = dl.path_independence(dl.zoo.henon(), [[0.1, 0.1], [0.2, 0.1]])
    assert found.verdict == "undecided"
    assert found.limit.tolist() == [-1, -1]
    assert "(CHAOTIC)" in found.reason


def test_chaos_and_escape_differ():
    found = dl.path_independence(dl.zoo.henon(), [[0.1, 0.1], [20.0, 0.1]])
    assert found.verdict == "path dependent"
    assert "(DIVERGENT)" in found.reason


def test_a_ray_has_no_limit():
    m = dl.TorchMap([lambda x: x + torch.tensor([3.0, 4.0], dtype=x.dtype)], (2,))
    found = dl.path_independence(m, [[0.0, 0.0], [0.0, 9.0]])
    assert found.verdict == "undecided"
    assert found.cosine[0, 1, 0] > 0.99


@pytest.mark.slow
def test_leading_tokens_that_settled_can_differ_alone():
    m = tokens(sink, lambda x: 4 * x[:, 1] * (1 - x[:, 1]))
    apart = dl.path_independence(m, [[[0.5], [0.3]], [[-0.5], [0.3]]])
    assert apart.verdict == "path dependent"
    alike = dl.path_independence(m, [[[0.5], [0.3]], [[0.9], [0.3]]])
    assert alike.verdict == "undecided"


def test_a_token_behind_a_moving_one_is_not_compared():
    m = tokens(lambda x: 4 * x[:, 0] * (1 - x[:, 0]), lambda x: 0.5 * x[:, 1])
    assert dl.path_independence(m, [[[0.3], [0.3]], [[0.4], [0.3]]]).verdict == "undecided"


def test_ends_nearer_than_they_are_known_are_not_called_one():
    """Every point is at rest: two starts stay as far apart as they were."""
    m = dl.TorchMap([lambda x: 1.0 * x], (1,))
    near = dl.path_independence(m, [[1.0], [1.0 + 1e-7]])
    assert near.verdict == "undecided"
    assert near.limit.tolist() == [0, -1]
    far = dl.path_independence(m, [[1.0], [1.1]])
    assert far.verdict == "path dependent"
    assert far.distance[0, 1] == pytest.approx(0.1 / 1.1)


def test_another_prompt_that_overflows_is_no_start():
    other = dl.TorchMap([lambda x: 2 * x**3], (2,), start=lambda _, n: np.full((n, 2), 4.0))
    found = dl.path_independence(towards([1.0, 1.0]), [[0.0, 0.0], [3.0, 3.0]], others=[other])
    assert found.verdict == "undecided"
    assert found.others == ("DIVERGENT",)
    assert "no finite state" in found.reason
    assert np.isnan(found.score)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_low_precision_is_said_of_the_twin(dtype):
    found = dl.path_independence(two_sinks(), torch.tensor([[0.5, 1.0], [0.1, 2.0], [-0.3, 0.0]], dtype=dtype))
    assert found.limit.tolist() == [0, 0, 1]
    assert found.settings["dtype"] == str(dtype).removeprefix("torch.")
    assert found.distance[0, 1] < 1e-12


# -- invariants ------------------------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(turn=st.floats(0, 6.3), signs=st.lists(st.sampled_from([-1, 1]), min_size=2, max_size=5))
def test_labels_follow_the_basins_in_every_orthogonal_frame(turn, signs):
    frame = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    starts = np.array([[0.5 * s, 0.1 * i] for i, s in enumerate(signs)]) @ frame.T
    found = dl.path_independence(two_sinks(frame), starts)
    assert (found.limit == (np.array(signs) != signs[0])).all()
    np.testing.assert_allclose(found.cosine[..., 0], np.outer(signs, signs), atol=1e-9)
    assert found.independent == (len(set(signs)) == 1)
    np.testing.assert_array_equal(found.distance, found.distance.T)


def test_the_default_is_the_checkpoints_own_start_and_noise():
    found = dl.path_independence(dl.open_checkpoint("demo:hop-injected"), loops=512)
    assert found.sources == ("start 0", "start 1", "start 2", "start 3")
    assert found.alignment.shape == (0, 24)
    assert np.isnan(found.score)


def test_cosines_of_angles_are_not_given():
    m = dl.TorchMap([lambda x: 0.5 * x], (1,), periods=[2 * np.pi])
    found = dl.path_independence(m, [[0.5], [1.0]])
    assert np.isnan(found.cosine).all()


def test_the_record_is_saved_and_says_itself(tmp_path):
    found = dl.path_independence(two_sinks(), [[0.5, 1.0], [-0.5, 0.2]])
    again = dl.load(found.save(tmp_path / "paths"))
    assert again.verdict == found.verdict
    np.testing.assert_array_equal(again.cosine, found.cosine)
    assert repr(found).startswith("PathIndependence of a TorchMap: path dependent\n  start 0 (VANISHING) and start 1")


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "options", "said"),
    [
        (InvalidArgumentError, {}, "got one start and no others. Give more starts, or others="),
        (InvalidArgumentError, {"others": "text"}, "others must be a list of maps or prompts; got str"),
        (PromptError, {"others": [[1, 2]]}, "reads no prompt"),
        (
            ShapeError,
            {"others": [dl.zoo.logistic()]},
            r"others\[0\] has states of shape \(1,\), and .* of shape \(2,\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused(error, options, said):
    with pytest.raises(error, match=said) as caught:
        dl.path_independence(two_sinks(), [[0.5, 0.1]], **options)
    assert "\n" not in str(caught.value)


def test_a_prompt_of_another_length_is_refused():
    m = dl.open_checkpoint("demo")
    with pytest.raises(ShapeError, match="give prompts with as many tokens"):
        dl.path_independence(m, m.start(), others=["a b c"])
