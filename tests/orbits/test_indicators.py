"""GALI, 0–1 test, rotation number, weighted Birkhoff averages: first on the boring orbit, a contraction."""

import math

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.calculus.tangent import check_derivative, random_frames
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.result import Status

D = torch.float64
GOLDEN = (math.sqrt(5) - 1) / 2


def linear(matrix):
    A = torch.as_tensor(np.asarray(matrix, dtype=float))
    return dl.TorchMap([lambda x: x @ A.T], (len(A),))


def orbit(m, start, loops, transient=1000):
    return dl.trajectory(m, start, loops, transient=transient).states[:, 0]


# -- a contraction -----------------------------------------------------------------------------------------------------


def test_gali_on_a_contraction_falls_without_chaos_and_its_exponents_say_so():
    found = dl.gali(linear(np.diag([0.5, 0.3])), [1.0, 1.0], transient=0, loops=200)
    assert found.rate == pytest.approx(math.log(0.3 / 0.5), abs=1e-6)
    np.testing.assert_allclose(found.exponents, np.log([0.5, 0.3]), atol=1e-6)


def test_gali_on_a_contraction_alike_in_all_directions_stays():
    found = dl.gali(linear(0.5 * np.eye(3)), np.ones(3), k=3)
    np.testing.assert_allclose(found.log, 0, atol=1e-9)


@pytest.mark.parametrize("transient", [0, 1000])
def test_zero_one_on_a_contraction_is_zero(transient):
    settling = orbit(dl.zoo.logistic(2.5), [0.3], 2000, transient)
    assert abs(dl.zero_one_test(settling).K) < 0.1


def test_zero_one_on_a_settled_orbit_is_exactly_zero():
    found = dl.zero_one_test(orbit(dl.zoo.logistic(2.5), [0.3], 1000))
    assert (found.K, found.spread) == (0.0, 0.0)


def test_a_weighted_average_forgets_the_transient_of_a_contraction():
    found = dl.weighted_birkhoff(1 + 0.5 ** np.arange(2000.0))
    assert abs(found.value - 1) < 1e-12
    assert dl.weighted_birkhoff(np.full(100, 0.1)).error == 0


def test_a_contraction_to_the_centre_has_no_rotation_number():
    turn = 0.5 * np.array([[math.cos(1), -math.sin(1)], [math.sin(1), math.cos(1)]])
    found = dl.rotation_number(linear(turn), [1.0, 0.0], centre=(0, 0), transient=100)
    assert found.status is Status.NOT_CONVERGED
    assert np.isnan(found.value)


# -- oracles -----------------------------------------------------------------------------------------------------------


def test_gali_of_the_cat_map():
    two = dl.gali(dl.zoo.cat(), [0.3, 0.2], loops=500)
    assert two.rate == pytest.approx(-2 * 0.9624236501192069, abs=1e-9)
    assert two.log[-1] < -900  # and did not underflow


def test_gali_of_an_integrable_map_falls_as_a_power():
    twist = dl.gali(dl.zoo.standard(1e-12), [0.3, 0.2], loops=4000)
    assert twist.log[-1] - twist.log[999] == pytest.approx(-2 * math.log(4), abs=0.01)  # t⁻² of a shear
    assert abs(twist.rate) < 1e-3


def test_sali_is_the_smaller_alignment():
    m, rng = dl.zoo.henon(), np.random.default_rng(3)
    found = dl.gali(m, [0.1, 0.1], loops=20, transient=100, rng=3)
    check_derivative(m, np.array([[0.1, 0.1]]), rng)  # which draws first inside, too
    states, V = m.watch(np.array([[0.1, 0.1]]), 100, np.array([[0.1, 0.1]])).states, random_frames(m, 1, 2, rng)
    for t in range(20):
        states, V = m.push(states, V)
        V = V / np.linalg.norm(V, axis=2, keepdims=True)
        one, two = V[0]
        smaller = min(np.linalg.norm(one - two), np.linalg.norm(one + two))
        assert found.sali[t] == pytest.approx(smaller, abs=1e-7)


def test_gali_where_a_direction_is_annihilated():
    found = dl.gali(linear(np.diag([0.5, 0.0])), [1.0, 1.0], loops=20)
    assert found.status is Status.BELOW_RANK_TOLERANCE
    assert np.isneginf(found.log).all()


@pytest.mark.parametrize(
    ("series", "low", "high"),
    [
        (lambda: orbit(dl.zoo.logistic(4.0), [0.3], 3000)[:], 0.95, 1.01),
        (lambda: orbit(dl.zoo.logistic(3.5), [0.3], 3000)[:], -0.1, 0.1),
        (lambda: orbit(dl.zoo.ring(), [0.6, 0.2], 3000), -0.1, 0.1),
        (lambda: orbit(dl.zoo.henon(), [0.1, 0.1], 3000), 0.95, 1.01),
    ],
    ids=["chaos", "a 4-cycle", "a circle", "Hénon"],
)
def test_zero_one(series, low, high):
    assert low < dl.zero_one_test(series()).K < high


@pytest.mark.parametrize("turn", [GOLDEN, 0.1, 0.25, 0.49])
def test_rotation_of_a_rigid_circle(turn):
    found = dl.rotation_number(dl.zoo.circle(turn, 0.0), [0.2])
    assert found.value == pytest.approx(turn, abs=1e-12)
    plane = dl.rotation_number(dl.zoo.ring(2 * math.pi * turn), [0.6, 0.2])
    assert plane.value == pytest.approx((turn + 0.5) % 1 - 0.5, abs=1e-10)
    back = dl.rotation_number(dl.zoo.ring(-2 * math.pi * turn), [0.6, 0.2])
    assert back.value == pytest.approx(-plane.value, abs=1e-10)


def test_rotation_is_locked_on_a_tongue_and_monotone():
    values = [dl.rotation_number(dl.zoo.circle(omega, 0.9), [0.2]).value for omega in np.linspace(0.1, 0.85, 31)]
    assert np.all(np.diff(values) >= -1e-9)
    assert dl.rotation_number(dl.zoo.circle(0.5, 0.9), [0.2]).value == pytest.approx(0.5, abs=1e-10)


def test_the_weighted_average_converges_far_faster_than_the_mean():
    series = np.cos(2 * math.pi * GOLDEN * np.arange(4000)) ** 2
    found = dl.weighted_birkhoff(series)
    assert abs(found.value - 0.5) < 1e-13
    assert abs(series.mean() - 0.5) > 1e-5
    assert found.digits > 10
    chaotic = dl.weighted_birkhoff(orbit(dl.zoo.logistic(4.0), [0.3], 4000))
    assert chaotic.digits < 4
    assert abs(chaotic.value - 0.5) < 5 * chaotic.error + 0.02


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (
            lambda: dl.gali(dl.zoo.henon(), k=3),
            InvalidArgumentError,
            "k must be an int from 2 to 2, the dimension; got 3. Leave it out for 2",
        ),
        (
            lambda: dl.gali(dl.zoo.logistic()),
            InvalidArgumentError,
            "k must be an int from 2 to 1, the dimension; got 2. Give a map on two coordinates",
        ),
        (lambda: dl.gali(dl.zoo.henon(), loops=0), InvalidArgumentError, "loops must be an int of at least 4"),
        (lambda: dl.zero_one_test(np.ones(20)), ShapeError, "200 loops at least"),
        (lambda: dl.zero_one_test(np.full(300, np.nan)), InvalidArgumentError, "signal holds NaN"),
        (lambda: dl.zero_one_test(np.ones(300), frequencies=0), InvalidArgumentError, "frequencies must be a positive"),
        (lambda: dl.weighted_birkhoff([1.0, 2.0]), ShapeError, "8 loops at least"),
        (lambda: dl.weighted_birkhoff([np.inf] * 9), InvalidArgumentError, "series holds NaN or infinity"),
        (lambda: dl.rotation_number(dl.zoo.logistic()), InvalidArgumentError, "no angle and no plane"),
        (lambda: dl.rotation_number(dl.zoo.henon(), coordinates=0), InvalidArgumentError, "is no angle of henon"),
        (lambda: dl.rotation_number(dl.zoo.henon(), coordinates=(0, 0)), InvalidArgumentError, "an angle or two of"),
        (lambda: dl.rotation_number(dl.zoo.henon(), centre=3), InvalidArgumentError, "centre must be two finite"),
        (lambda: dl.rotation_number(dl.zoo.henon(), np.zeros((3, 2))), ShapeError, "start must be one state"),
    ],
)
def test_errors(call, error, said):
    with pytest.raises(error, match=said):
        call()


def test_an_orbit_that_is_lost():
    assert dl.rotation_number(dl.zoo.henon(), [5.0, 5.0]).status is Status.DIVERGED
    assert dl.gali(dl.zoo.henon(), [5.0, 5.0], transient=0).status is Status.DIVERGED
