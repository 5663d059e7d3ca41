"""No exponent is stated more exactly than it is known: lost directions, rounding, slow alignment, short windows."""

import math

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.result import Status

D = torch.float64


def linear(matrix):
    A = torch.as_tensor(np.asarray(matrix, dtype=float))
    return dl.TorchMap([lambda x: x @ A.T], (len(A),))


def rotated(*sizes):
    Q = np.linalg.qr(np.random.default_rng(2).standard_normal((len(sizes), len(sizes))))[0]
    return Q @ np.diag(sizes) @ Q.T


# -- a direction that one loop annihilates -----------------------------------------------------------------------------


def test_a_singular_jacobian_in_the_transient_is_forgotten():
    found = dl.lyapunov_spectrum(dl.zoo.logistic(3.9), [0.5])  # where the slope is 0
    assert abs(found.exponents[0] - 0.4945) < 0.05
    assert found.status is Status.CONVERGED


def test_a_singular_jacobian_in_the_transient_of_a_torch_map_is_forgotten():
    pair = dl.TorchMap([lambda x: 3.9 * x * (1 - x)], (2,))
    found = dl.lyapunov_spectrum(pair, [0.5, 0.3])
    np.testing.assert_allclose(found.exponents, 0.4945, atol=0.1)


@pytest.mark.parametrize("m", [dl.zoo.logistic(3.9), dl.TorchMap([lambda x: 3.9 * x * (1 - x)], (1,))])
def test_in_the_window_it_counts(m):
    found = dl.lyapunov_spectrum(m, [0.5], transient=0, loops=64)
    assert found.exponents[0] == -np.inf
    assert np.isnan(found.standard_error[0])
    assert found.status is Status.BELOW_RANK_TOLERANCE


def test_a_lost_direction_comes_back_orthonormal():
    from dynloop.maps.frames import orthonormalise

    frames = torch.zeros(3, 2, 5, dtype=D)
    frames[0, 0, 1] = frames[1, 0, 1] = frames[2, 0, 3] = (
        1.0  # of the first frame one direction is lost, of the second all
    )
    new, logs = orthonormalise(frames.clone(), 1e-15)
    for b in range(2):
        torch.testing.assert_close(new[:, b] @ new[:, b].T, torch.eye(3, dtype=D))
    assert torch.isneginf(logs).sum() == 4


# -- rounding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("smallest", [1e-8, 1e-10, 1e-14])
def test_an_exponent_far_below_the_largest_is_known_to_rounding_alone(smallest):
    m = linear(rotated(1.1, 0.5, smallest))
    found = dl.lyapunov_spectrum(m, np.ones(3), loops=300)
    truth = np.linalg.slogdet(rotated(1.1, 0.5, smallest))[1] - math.log(1.1) - math.log(0.5)
    assert abs(found.exponents[2] - truth) <= 5 * found.standard_error[2]


def test_bfloat16_states_its_rounding():
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 3).bfloat16()
    m = dl.TorchMap([lambda x: torch.tanh(layer(x))], (3,), dtype=torch.bfloat16)
    exact = dl.TorchMap([lambda x: torch.tanh(x @ layer.weight.double().T + layer.bias.double())], (3,))
    found = dl.lyapunov_spectrum(m, np.ones(3), k=1, loops=200)
    truth = dl.lyapunov_spectrum(exact, np.ones(3), k=1).exponents[0]
    assert abs(found.exponents[0] - truth) <= 3 * (found.standard_error[0] + found.bias[0])


@pytest.mark.parametrize("matrix", [[[0.5, 1e4], [0, 1e-7]], [[0.9, 0.0], [0.0, 1e-17]]])
def test_minus_infinity_by_rounding_has_no_error_of_zero(matrix):
    found = dl.lyapunov_spectrum(linear(matrix), np.ones(2))
    assert found.exponents[1] == -np.inf
    assert np.isnan(found.standard_error[1])


# -- bias --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("matrix", "truth"),
    [
        (np.diag([0.999, 0.998, 0.5]), math.log(0.999)),
        (np.eye(2) + np.diag([1.0], 1), 0.0),
        (1.05 * np.eye(3) + np.diag([1.0, 1.0], 1), math.log(1.05)),
    ],
    ids=["slow", "Jordan block of 2", "Jordan block of 3"],
)
def test_directions_that_turn_slowly_are_in_the_bias(matrix, truth):
    found = dl.lyapunov_spectrum(linear(matrix), np.ones(len(matrix)))
    assert found.period == 0
    assert abs(found.exponents[0] - truth) <= found.bias[0] + 3 * found.standard_error[0]


def test_too_short_a_window_does_not_claim_to_have_settled():
    found = dl.lyapunov_spectrum(linear(np.diag([1.2, 1.1])), np.ones(2), loops=4)
    assert np.isnan(found.standard_error).all()
    assert found.status is Status.NOT_CONVERGED


@pytest.mark.parametrize("every", [7, 12, 15])
def test_a_transient_that_qr_every_does_not_divide(every):
    A = torch.tensor([[2.0, 1], [1, 1]], dtype=D)
    torch_cat = dl.TorchMap([lambda x: (x @ A.T) % 1.0], (2,))
    for m in (torch_cat, dl.zoo.cat()):
        found = dl.lyapunov_spectrum(m, [0.3, 0.2], qr_every=every, loops=200)
        np.testing.assert_allclose(found.exponents, [0.9624236501192069, -0.9624236501192069], atol=1e-9)


# -- records that gather many decompositions ---------------------------------------------------------------------------


@pytest.mark.parametrize("m", [dl.zoo.henon(), dl.zoo.logistic(3.9)], ids=["two", "one"])
@pytest.mark.parametrize("gather", [2, 5])
def test_a_record_is_the_sum_of_its_decompositions(m, gather):
    x, V = m.native(np.full((3, m.dimension), 0.1)), np.broadcast_to(np.eye(m.dimension), (3, m.dimension, m.dimension))
    single, many = m.stretch(x, V, 20), m.stretch(x, V, 20, gather=gather)
    summed = single.logs.reshape(20 // gather, gather, *single.logs.shape[1:]).sum(axis=1)
    np.testing.assert_allclose(many.logs, summed, atol=1e-12)
    np.testing.assert_array_equal(many.states, single.states)


def test_long_windows_keep_few_records():
    found = dl.lyapunov_spectrum(dl.zoo.henon(), [0.1, 0.1], loops=1_000_000)
    assert found.loops == 1_000_000
    assert abs(found.exponents[0] - 0.41922) < 5 * found.standard_error[0]
    np.testing.assert_allclose(found.exponents.sum(), math.log(0.3), atol=1e-9)
    assert dl.lyapunov_spectrum(dl.zoo.henon(), [0.1, 0.1], loops=1_000_003).loops - 1_000_003 < 200


def test_an_orbit_that_is_lost_has_no_exponents():
    for m in (dl.zoo.logistic(4.1), dl.TorchMap([lambda x: 4.1 * x * (1 - x)], (1,))):
        for options in ({}, {"transient": 0}, {"transient": 0, "qr_every": 2}):
            found = dl.lyapunov_spectrum(m, [0.3], loops=2000, **options)
            assert np.isnan(found.exponents).all(), options
            assert found.status is Status.DIVERGED


@pytest.mark.slow
def test_a_state_that_overflows_is_lost_though_its_derivative_is_not():
    def double(x, params, out):
        out[0] = 2 * x[0]

    for m in (dl.KernelMap(double, 1), dl.TorchMap([lambda x: 2 * x], (1,))):
        assert dl.lyapunov_spectrum(m, [1.0], loops=2000).status is Status.DIVERGED
        assert dl.lyapunov_spectrum(m, [1.0], loops=100, transient=0).exponents == pytest.approx([math.log(2)])
