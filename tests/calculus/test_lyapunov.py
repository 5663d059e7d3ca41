"""Lyapunov exponents: against exact values, against determinants and multipliers, and against each other."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import dynloop as dl
from dynloop.errors import DerivativeError, InvalidArgumentError, ShapeError
from dynloop.nn import LayerNorm, Linear, RMSNorm

D = torch.float64
LN2 = math.log(2)


def block(**kwargs):
    settings = {"norm": "huginn", "layers": 2, "width": 16, "heads": 2, "tokens": 4} | kwargs
    return dl.synthetic.looped_transformer(**settings)


def linear(matrix):
    A = torch.as_tensor(matrix, dtype=D)
    return dl.TorchMap([lambda x: x @ A.T], (len(A),))


def settled_block(**kwargs):
    """A block with a fixed point that is reached within the default transient."""
    return block(injection="concat", norm="pre", gain=0.7, **kwargs)


# -- oracles ----------------------------------------------------------------------------------------------------------


def test_a_contraction_first():
    found = dl.lyapunov_spectrum(linear([[0.5, 0.1], [0.0, 0.8]]), [1.0, 1.0])
    np.testing.assert_allclose(found.exponents, np.log([0.8, 0.5]), atol=1e-12)
    assert (found.status, found.period, found.loops) == (dl.Status.CONVERGED, 1, 0)
    assert found.kaplan_yorke_dimension == found.entropy_bound == 0


def test_an_expansion():
    found = dl.lyapunov_spectrum(linear([[1.1, 0.0], [0.0, 0.8]]), [1.0, 1.0])
    np.testing.assert_allclose(found.exponents, np.log([1.1, 0.8]), atol=1e-12)
    assert found.period == 0


@pytest.mark.parametrize("r", [1.5, 2.5, 2.9])
def test_logistic_fixed_points(r):
    found = dl.lyapunov_spectrum(dl.zoo.logistic(r), [0.3])
    np.testing.assert_allclose(found.exponents, [math.log(abs(2 - r))], atol=1e-9)
    assert found.period == 1


def test_logistic_two_cycle():
    found = dl.lyapunov_spectrum(dl.zoo.logistic(3.2), [0.3])
    np.testing.assert_allclose(found.exponents, [math.log(abs(4 + 2 * 3.2 - 3.2**2)) / 2], atol=1e-9)
    assert found.period == 2
    assert found.standard_error[0] < 1e-9


@pytest.mark.parametrize("r", [2.0, 1 + math.sqrt(5), 3.498561699327702, 3.8318740552833])
def test_superstable_cycles_have_an_exponent_of_minus_infinity(r):
    found = dl.lyapunov_spectrum(dl.zoo.logistic(r), [0.3])
    assert found.exponents[0] == -np.inf
    assert found.status is dl.Status.BELOW_RANK_TOLERANCE


def test_henon():
    found = dl.lyapunov_spectrum(dl.zoo.henon(), [0.1, 0.1], loops=100_000)
    assert abs(found.exponents[0] - 0.41922) < 4 * math.hypot(found.standard_error[0], 0.00017)
    np.testing.assert_allclose(found.exponents.sum(), math.log(0.3), atol=1e-9)
    np.testing.assert_allclose(found.kaplan_yorke_dimension, 1.2583, atol=4e-3)
    np.testing.assert_allclose(found.entropy_bound, found.exponents[0])
    assert found.status is dl.Status.CONVERGED
    assert found.effective_size[0] > 1000


def test_tent_baker_and_cat():
    np.testing.assert_allclose(dl.lyapunov_spectrum(dl.zoo.tent(), [0.3]).exponents, [LN2], atol=1e-9)
    np.testing.assert_allclose(dl.lyapunov_spectrum(dl.zoo.baker(), [0.3, 0.2]).exponents, [LN2, -LN2], atol=1e-9)
    largest = math.log((3 + math.sqrt(5)) / 2)
    np.testing.assert_allclose(
        dl.lyapunov_spectrum(dl.zoo.cat(), [0.3, 0.2]).exponents, [largest, -largest], atol=1e-12
    )


def test_standard_map():
    found = dl.lyapunov_spectrum(dl.zoo.standard(6.0), [1.0, 2.0], loops=200_000)
    assert abs(found.exponents[0] - 1.13612) < 4 * math.hypot(found.standard_error[0], 0.00055)
    np.testing.assert_allclose(found.exponents.sum(), 0.0, atol=1e-9)


def test_a_torus_states_its_bias():
    found = dl.lyapunov_spectrum(dl.zoo.delayed_logistic(2.15), [0.4, 0.41], loops=100_000, transient=2000)
    assert abs(found.exponents[0]) < 1e-4
    assert abs(found.exponents[0]) < 2 * found.bias[0] + found.standard_error[0]
    assert abs(found.exponents[1] + 0.2240) < 3e-4
    short = dl.lyapunov_spectrum(dl.zoo.delayed_logistic(2.15), [0.4, 0.41], loops=1000, transient=2000)
    assert 20 < short.bias[0] / found.bias[0] < 500  # of order 1 / loops


def test_the_spectrum_of_a_settled_block_is_that_of_its_jacobian():
    m = settled_block()
    found = dl.lyapunov_spectrum(m, rng=0)
    x = m.watch(m.start(0), 2000, m.start(0)).states[0]
    exact = -np.sort(-np.log(np.abs(np.linalg.eigvals(dl.jacobian(m, x)))))
    assert found.period == 1
    np.testing.assert_allclose(found.exponents, exact, atol=1e-9)
    np.testing.assert_allclose(dl.lyapunov_spectrum(m, k=5).exponents, exact[:5], atol=1e-9)
    np.testing.assert_allclose(dl.lyapunov_spectrum(m, per_token=True).exponents, exact, atol=1e-9)


@pytest.mark.slow
def test_qr_agrees_with_the_multipliers_up_to_its_bias():
    m = dl.zoo.coupled_logistic(2.8, 0.05)
    settled = dl.lyapunov_spectrum(m, [0.4, 0.6])
    started = dl.lyapunov_spectrum(m, [0.4, 0.6], transient=0, loops=60)
    assert (settled.period, started.period) == (1, 0)
    np.testing.assert_allclose(started.exponents, settled.exponents, atol=0.1)


# -- invariants -------------------------------------------------------------------------------------------------------


def orbit(m, x, loops):
    found = [m.native(np.asarray(x)[None])]
    for _ in range(loops - 1):
        found.append(m(found[-1]))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["henon", "folded_towel", "ikeda"])
def test_the_exponents_add_up_to_the_mean_logarithm_of_the_determinant(name):
    m = getattr(dl.zoo, name)()
    x = m.start(0)[0]
    found = dl.lyapunov_spectrum(m, x, loops=200, transient=0)
    logs = [np.linalg.slogdet(dl.jacobian(m, y[0]))[1] for y in orbit(m, x, 200)]
    np.testing.assert_allclose(found.exponents.sum(), np.mean(logs), atol=1e-9)


def test_the_exponents_of_a_block_add_up_to_the_determinant():
    m = block(norm="none", gain=0.5, seed=3, tokens=3, width=8)
    x = m.start(0)
    found = dl.lyapunov_spectrum(m, x[0], loops=12, transient=0)
    logs = [np.linalg.slogdet(dl.jacobian(m, y[0]))[1] for y in orbit(m, m.numpy(x)[0], 12)]
    np.testing.assert_allclose(found.exponents.sum(), np.mean(logs), atol=1e-9)


def test_an_orthogonal_change_of_coordinates_changes_nothing():
    rng = np.random.default_rng(0)
    P = torch.as_tensor(np.linalg.qr(rng.standard_normal((6, 6)))[0])
    A = torch.as_tensor(rng.standard_normal((6, 6)))
    m = dl.TorchMap([lambda x: torch.tanh(x @ A.T), lambda x: 1.3 * x], (6,))
    turned = dl.TorchMap([lambda x: 1.3 * torch.tanh(x @ P @ A.T) @ P.T], (6,))
    x, V = torch.as_tensor(rng.standard_normal(6)), torch.as_tensor(rng.standard_normal((4, 6)))
    settings = {"loops": 40, "transient": 0}
    one = dl.lyapunov_spectrum(m, x, frame=V, **settings)
    other = dl.lyapunov_spectrum(turned, P @ x, frame=V @ P.T, **settings)
    np.testing.assert_allclose(other.exponents, one.exponents, atol=1e-9)


def test_the_exponents_of_a_power_are_multiples():
    m, x, V = dl.zoo.henon(), [0.1, 0.1], np.eye(2)
    one = dl.lyapunov_spectrum(m, x, frame=V, loops=40, transient=0)
    three = dl.lyapunov_spectrum(m.power(4), x, frame=V, loops=10, transient=0)
    np.testing.assert_allclose(three.exponents, 4 * one.exponents, atol=1e-9)


def test_an_orbit_that_is_still_settling_is_followed():
    found = dl.lyapunov_spectrum(settled_block(), k=2)
    assert (found.period, found.loops) == (1, 0)
    assert 100 < found.transient < 400
    moving = dl.lyapunov_spectrum(moving_block(), k=2, loops=64)
    assert (moving.period, moving.loops, moving.transient) == (0, 64, 100)


def test_every_section_has_the_same_exponents():
    m = settled_block()
    whole = dl.lyapunov_spectrum(m, k=6).exponents
    for l in range(1, m.layer_count):
        np.testing.assert_allclose(dl.lyapunov_spectrum(m.rotate(l), k=6).exponents, whole, atol=1e-9)


def test_every_section_of_an_orbit_that_moves_has_the_same_exponents():
    A = torch.tensor([[0.2, 1.0], [-1.0, 0.3]], dtype=D)
    m = dl.TorchMap([lambda x: x @ A.T, lambda x: torch.stack([1 - 1.4 * x[:, 0] ** 2, 0.3 * x[:, 1]], 1)], (2,))
    x = torch.tensor([0.1, 0.1], dtype=D)
    settings = {"loops": 4000, "transient": 100}
    one = dl.lyapunov_spectrum(m, x, **settings)
    other = dl.lyapunov_spectrum(m.rotate(1), m.sections(x[None])[1][0], **settings)
    np.testing.assert_allclose(other.exponents, one.exponents, atol=math.log(50) / 4000)


def test_the_choice_of_start_and_the_number_of_exponents_do_not_matter():
    m = dl.zoo.folded_towel()
    full = dl.lyapunov_spectrum(m, [0.085, -0.121, 0.075], loops=20_000)
    leading = dl.lyapunov_spectrum(m, [0.086, -0.120, 0.074], k=2, loops=20_000, rng=1)
    error = np.hypot(full.standard_error[:2], leading.standard_error)
    assert np.all(np.abs(full.exponents[:2] - leading.exponents) < 5 * error)


@pytest.mark.parametrize("every", [2, 5])
def test_rarer_decompositions_give_the_same(every):
    m = dl.zoo.henon()
    often = dl.lyapunov_spectrum(m, [0.1, 0.1], loops=1000, frame=np.eye(2), transient=0)
    rarely = dl.lyapunov_spectrum(m, [0.1, 0.1], loops=1000, frame=np.eye(2), transient=0, qr_every=every)
    np.testing.assert_allclose(rarely.exponents, often.exponents, atol=1e-9)
    assert rarely.qr_every == every


def test_windows_and_history_are_those_of_the_exponents():
    found = dl.lyapunov_spectrum(dl.zoo.henon(), [0.1, 0.1], loops=6400)
    np.testing.assert_allclose(found.history[-1], found.exponents)
    np.testing.assert_allclose(found.finite_time.mean(axis=0), found.exponents, atol=1e-12)
    assert found.finite_time.shape == found.history.shape == (64, 2)


# -- layers -----------------------------------------------------------------------------------------------------------


def moving_block():
    """A block that never settles: chaotic at this gain and seed."""
    return block(norm="pre", gain=6.0, seed=0)


@pytest.mark.parametrize("make", [settled_block, moving_block], ids=["settled", "moving"])
@pytest.mark.parametrize("granularity", ["layer", "sublayer"])
def test_the_shares_of_the_layers_add_up(make, granularity):
    m = make() if granularity == "layer" else block(norm="pre", gain=0.7, granularity="sublayer")
    found = dl.lyapunov_spectrum(m, k=6, loops=100, per_layer=True)
    assert found.by_layer.shape == (m.layer_count, 6)
    np.testing.assert_allclose(found.by_layer.sum(axis=0), found.exponents, atol=1e-9)


def test_the_share_of_a_layer_that_only_scales_is_its_logarithm():
    A = torch.as_tensor(np.random.default_rng(0).standard_normal((5, 5)))
    m = dl.TorchMap([lambda x: 0.25 * x, lambda x: torch.tanh(x @ A.T), lambda x: 8 * x], (5,))
    found = dl.lyapunov_spectrum(m, np.ones(5), loops=200, per_layer=True)
    np.testing.assert_allclose(found.by_layer[0], math.log(0.25), atol=1e-12)
    np.testing.assert_allclose(found.by_layer[2], math.log(8), atol=1e-12)


@pytest.mark.slow
def test_shares_of_compiled_layers():
    def turn(x, params, out):
        out[0] = x[1]
        out[1] = 0.3 * x[0]

    def bend(x, params, out):
        out[0] = 1 - 1.4 * x[1] * x[1] / 0.09 + x[0]
        out[1] = x[1]

    m = dl.KernelMap([turn, bend], 2)
    x = [0.1, 0.1]
    found = dl.lyapunov_spectrum(m, x, loops=500, per_layer=True)
    np.testing.assert_allclose(found.by_layer[0].sum(), math.log(0.3), atol=1e-9)
    np.testing.assert_allclose(found.by_layer[1].sum(), 0.0, atol=1e-9)
    np.testing.assert_allclose(found.exponents, dl.lyapunov_spectrum(m, x, loops=500).exponents, atol=1e-9)


# -- tokens -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_union_of_the_tokens_is_the_spectrum_up_to_its_bias():
    m = moving_block()
    loops = 400
    whole = dl.lyapunov_spectrum(m, loops=loops)
    union = dl.lyapunov_spectrum(m, loops=loops, per_token=True)
    assert whole.period == union.period == 0
    assert union.by_token.shape == (4, 16)
    np.testing.assert_allclose(np.sort(union.by_token.ravel()), np.sort(union.exponents))
    allowed = 5 * np.hypot(whole.standard_error, union.standard_error) + 4 * math.log(loops) / loops
    assert np.all(np.abs(whole.exponents - union.exponents) < allowed)


def test_leading_exponents_of_every_token():
    m = settled_block()
    found = dl.lyapunov_spectrum(m, k=1, per_token=True)
    every = dl.lyapunov_spectrum(m, per_token=True)
    np.testing.assert_allclose(found.by_token[:, 0], every.by_token[:, 0], atol=1e-12)
    assert found.exponents == every.exponents[0]


def test_tokens_mixed_by_other_means_have_the_same_union():
    lower = torch.ones(3, 3, dtype=torch.bool).tril()

    def layer(x):
        scores = (x @ x.mT).masked_fill(~lower, -torch.inf)
        return 1.6 * torch.tanh(x) + 0.5 * scores.softmax(-1) @ x.roll(1, -1)

    m = dl.TorchMap([layer], (3, 2), causal=True)
    x = np.array([[0.3, -0.2], [0.1, 0.4], [-0.3, 0.2]])
    whole, union = (dl.lyapunov_spectrum(m, x, loops=300, per_token=flag) for flag in (False, True))
    np.testing.assert_allclose(union.exponents, whole.exponents, atol=3 * math.log(300) / 300)


@pytest.mark.slow
def test_a_driven_token_is_conditionally_stable():
    """Token 0 is chaotic, token 1 contracts whatever token 0 does: its own exponent is negative (T7)."""

    def layer(x):
        first = 4 * x[:, 0] * (1 - x[:, 0])
        return torch.stack([first, x[:, 1] / 3 + first], 1)

    found = dl.lyapunov_spectrum(dl.TorchMap([layer], (2, 1), causal=True), [[0.3], [0.1]], loops=2000, per_token=True)
    np.testing.assert_allclose(found.by_token[1], [math.log(1 / 3)], atol=1e-12)
    assert abs(found.by_token[0, 0] - LN2) < 0.05


# -- null directions --------------------------------------------------------------------------------------------------


def closed(norm, seed=0, tokens=3, width=8):
    """A loop that turns, bends and ends in a norm."""
    generator = torch.Generator().manual_seed(seed)
    mix = Linear(width, width, dtype=D)
    mix.weight.data = 1.5 * torch.randn(width, width, generator=generator, dtype=D)
    e = torch.randn(tokens, width, generator=generator, dtype=D)
    return dl.TorchMap([mix, lambda x: torch.tanh(x) + 0.5 * x + e, norm], (tokens, width), causal=True)


def test_a_closing_rms_norm_leaves_one_direction_a_token_that_eps_predicts():
    lowest = []
    for eps in (1e-3, 1e-5, 1e-7):
        found = dl.lyapunov_spectrum(closed(RMSNorm(8, eps=eps).double()), np.ones((3, 8)), loops=200)
        order = np.sort(found.exponents)
        assert np.isfinite(order).all()
        assert order[3] - order[2] > 3  # three of them, far below the others
        lowest.append(order[:3].mean())
        assert abs(lowest[-1] - math.log(eps)) < 5
    np.testing.assert_allclose(np.diff(lowest), 2 * math.log(0.1), atol=0.15)


def test_a_closing_layer_norm_loses_one_direction_a_token():
    found = dl.lyapunov_spectrum(closed(LayerNorm(8).double()), np.ones((3, 8)), loops=100)
    assert np.isneginf(found.exponents).sum() == 3
    assert found.status is dl.Status.BELOW_RANK_TOLERANCE
    tokens = dl.lyapunov_spectrum(closed(LayerNorm(8).double()), np.ones((3, 8)), loops=100, per_token=True)
    assert np.isneginf(tokens.by_token).sum(axis=1).tolist() == [1, 1, 1]


def test_an_adapter_that_forgets_the_state_has_minus_infinity_alone():
    adapter = nn.Linear(8, 4, bias=False, dtype=D)
    adapter.weight.data = torch.cat([torch.zeros(4, 4), torch.eye(4)], 1).to(D)
    e = torch.randn(2, 4, dtype=D, generator=torch.Generator().manual_seed(0))
    m = dl.TorchMap([lambda x: adapter(torch.cat([x, e.expand_as(x)], -1)), torch.tanh], (2, 4), causal=True)
    for flag in (False, True):
        found = dl.lyapunov_spectrum(m, np.ones((2, 4)), per_token=flag)
        assert np.isneginf(found.exponents).all()
        assert found.status is dl.Status.BELOW_RANK_TOLERANCE
        assert (found.kaplan_yorke_dimension, found.entropy_bound) == (0, 0)


@pytest.mark.slow
def test_a_rank_of_one_on_an_orbit_that_moves():
    m = dl.TorchMap([lambda x: (4 * x[:, :1] * (1 - x[:, :1])).expand(-1, 2)], (2,))
    found = dl.lyapunov_spectrum(m, [0.3, 0.6], loops=4000)
    assert abs(found.exponents[0] - LN2) < 0.03
    assert found.exponents[1] == -np.inf
    assert found.kaplan_yorke_dimension == 1


# -- precision --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_low_precision_gives_the_exponents_of_the_twin(dtype):
    exact = dl.lyapunov_spectrum(settled_block(), k=4).exponents
    found = dl.lyapunov_spectrum(settled_block(dtype=dtype), k=4, loops=400, transient=200)
    np.testing.assert_allclose(found.exponents, exact, atol=0.03 if dtype is torch.bfloat16 else 2e-3)


# -- boundaries -------------------------------------------------------------------------------------------------------


def test_an_orbit_that_is_lost_has_no_exponents():
    m = dl.TorchMap([lambda x: 3 * x**3], (2,))
    found = dl.lyapunov_spectrum(m, [2.0, 0.1], loops=100, transient=0)
    assert np.isnan(found.exponents).all()
    assert found.status is dl.Status.DIVERGED
    assert np.isnan(found.kaplan_yorke_dimension)
    assert np.isnan(found.entropy_bound)


@pytest.mark.slow
def test_nan_met_on_the_way_in_the_transient():
    def cube(x, params, out):
        out[0] = 3 * x[0] ** 3

    found = dl.lyapunov_spectrum(dl.KernelMap(cube, 1), [2.0], loops=100, transient=50)
    assert np.isnan(found.exponents).all()
    assert found.status is dl.Status.DIVERGED


def test_one_exponent_of_one_coordinate():
    found = dl.lyapunov_spectrum(dl.zoo.logistic(4.0), [0.3], loops=20_000)
    assert abs(found.exponents[0] - LN2) < 3 * found.standard_error[0] + 2e-3
    assert found.kaplan_yorke_dimension == 1


def test_entropy_and_dimension_are_unknown_where_the_k_exponents_do_not_tell():
    found = dl.lyapunov_spectrum(dl.zoo.folded_towel(), [0.085, -0.121, 0.075], k=2, loops=2000)
    assert np.isnan(found.kaplan_yorke_dimension)
    assert np.isnan(found.entropy_bound)


def test_progress_is_told_to_the_end():
    told = []
    dl.lyapunov_spectrum(dl.zoo.henon(), [0.1, 0.1], loops=500, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (600, 600)
    assert told == sorted(told)


def test_the_record_can_be_kept(tmp_path):
    found = dl.lyapunov_spectrum(settled_block(), k=3, per_layer=True)
    again = dl.load(found.save(tmp_path / "exponents"))
    np.testing.assert_array_equal(again.by_layer, found.by_layer)
    assert again.status is found.status


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"k": 3}, InvalidArgumentError, "k must be an int from 1 to 2, the dimension; got 3"),
        ({"k": 0}, InvalidArgumentError, "k must be an int from 1 to 2, the dimension; got 0"),
        ({"k": True}, InvalidArgumentError, "k must be"),
        ({"loops": 1}, InvalidArgumentError, "loops must be an int of at least 2; got 1"),
        ({"transient": -1}, InvalidArgumentError, "transient must be"),
        ({"qr_every": 0}, InvalidArgumentError, "qr_every must be"),
        ({"qr_every": 40}, InvalidArgumentError, "Pass qr_every=1[0-9]"),
        ({"per_token": True}, InvalidArgumentError, "per_token needs a causal map"),
        ({"per_layer": True, "qr_every": 2}, InvalidArgumentError, "leave out qr_every=2"),
        ({"frame": np.ones((2, 2))}, InvalidArgumentError, "full rank; its 2 tangents span 1"),
        ({"frame": np.zeros((1, 2))}, InvalidArgumentError, "full rank"),
        ({"frame": [[np.nan, 1.0]]}, InvalidArgumentError, "NaN"),
        ({"frame": np.ones(2)}, ShapeError, "frame must have shape"),
        ({"frame": np.ones((3, 2))}, InvalidArgumentError, "3"),
        ({"frame": np.eye(2), "k": 1}, InvalidArgumentError, "leave k out"),
        ({"rng": "seven"}, InvalidArgumentError, "rng"),
    ],
    ids=str,
)
def test_bad_input_is_named(settings, error, words):
    with pytest.raises(error, match=words):
        dl.lyapunov_spectrum(dl.zoo.henon(), [0.1, 0.1], **settings)


def test_tokens_and_layers_are_not_asked_for_together():
    with pytest.raises(InvalidArgumentError, match="leave out per_layer"):
        dl.lyapunov_spectrum(block(), per_token=True, per_layer=True)


def test_a_batch_of_starts_is_refused():
    with pytest.raises(ShapeError, match=r"Pass start\[0\]"):
        dl.lyapunov_spectrum(dl.zoo.henon(), np.ones((2, 2)))


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: 0.5 * x.detach(),
        lambda x: x + 0.1 * torch.tanh(x).detach(),
        lambda x: x.data * 0.5,
        lambda x: torch.as_tensor(0.5 * x.detach().numpy()),
    ],
    ids=["detach", "partly detached", "data", "numpy"],
)
def test_a_silent_zero_is_detected(layer):
    with pytest.raises(DerivativeError, match=r"cut|zero|cannot be differentiated"):
        dl.lyapunov_spectrum(dl.TorchMap([layer], (2,)), [0.3, 0.4])
