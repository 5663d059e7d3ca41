"""Orbit, period and exponent diagrams: exact facts of the logistic map, both roads, laws, boundaries, errors."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.result import Status

LOGISTIC = dl.zoo.logistic()


def torch_logistic(r):
    return dl.TorchMap([lambda x: r * x * (1 - x)], (1,), start=lambda rng, n: rng.uniform(0.1, 0.9, (n, 1)))


FAMILIES = pytest.mark.parametrize("family", [LOGISTIC, dl.zoo.logistic, torch_logistic], ids=["map", "zoo", "torch"])


# -- oracles -----------------------------------------------------------------------------------------------------------


@FAMILIES
def test_periods_of_the_logistic_map(family):
    found = dl.period_diagram(family, [2.5, 3.2, 3.5, 3.55, 3.83, 4.0, 4.1], starts=[0.3])
    np.testing.assert_array_equal(found.period, [1, 2, 4, 8, 3, -1, -1])
    assert [status.name for status in found.status] == ["CONVERGED"] * 5 + ["OUT_OF_LOOPS", "DIVERGED"]


@FAMILIES
def test_orbits_of_the_logistic_map(family):
    found = dl.orbit_diagram(family, [2.5, 3.2, 4.1], starts=[0.3], loops=4)
    root = math.sqrt(0.2 * 4.2)
    low, high = (4.2 - root) / 6.4, (4.2 + root) / 6.4
    np.testing.assert_allclose(found.states[0, :, 0], 0.6)
    np.testing.assert_allclose(np.sort(found.states[1, :, 0]), [low, low, high, high])
    assert np.isnan(found.states[2]).all()
    assert list(found.status) == [Status.CONVERGED, Status.CONVERGED, Status.DIVERGED]


@FAMILIES
def test_exponents_of_the_logistic_map(family):
    r = np.array([2.5, 3.2, 1 + math.sqrt(5), 4.1])
    found = dl.exponent_diagram(family, r, starts=[0.3])
    np.testing.assert_allclose(found.exponents[:2, 0], [math.log(0.5), math.log(0.16) / 2], atol=1e-9)
    assert found.exponents[2, 0] < -10  # superstable: −∞ but for the rounding of 1 + √5
    assert np.isnan(found.exponents[3, 0])
    assert found.status[3] is Status.DIVERGED


def test_both_exponents_of_henon_add_up():
    found = dl.exponent_diagram(dl.zoo.henon(), np.linspace(1.0, 1.4, 9), k=2, loops=4096)
    np.testing.assert_allclose(found.exponents.sum(axis=1), math.log(0.3), atol=1e-9)
    assert abs(found.exponents[-1, 0] - 0.41922) < 5 * (found.standard_error[-1, 0] + found.bias[-1, 0])
    by_b = dl.exponent_diagram(dl.zoo.henon(), [0.1, 0.2], k=2, parameter=1)
    np.testing.assert_allclose(by_b.exponents.sum(axis=1), np.log([0.1, 0.2]), atol=1e-9)


@pytest.mark.slow
def test_an_orbit_that_leaves_and_one_that_creeps_have_no_period():
    def away(x, params, out):
        out[0] = params[0] * x[0] + params[1]

    m = dl.KernelMap(away, 1, params=(1.0, 0.0))
    grow = dl.period_diagram(m, [1.5, 1.0, 0.5], starts=[1.0])
    np.testing.assert_array_equal(grow.period, [-1, 1, 1])
    creep = dl.period_diagram(m, [1e-10], starts=[1.0], parameter=1, transient=0)  # x + 1e-10
    np.testing.assert_array_equal(creep.period, [-1])
    alternating = dl.period_diagram(m, [-0.99999], starts=[1.0], transient=900_000)  # −0.99999 x, still at 1e-4
    np.testing.assert_array_equal(alternating.period, [-1])


# -- laws --------------------------------------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, derandomize=True)
@given(r=st.lists(st.floats(2.5, 4.0), min_size=1, max_size=5))
def test_a_row_does_not_depend_on_the_others(r):
    together = dl.orbit_diagram(LOGISTIC, r, starts=[0.3], loops=8)
    for row, value in enumerate(r):
        alone = dl.orbit_diagram(dl.zoo.logistic, [value], starts=[0.3], loops=8)
        np.testing.assert_array_equal(together.states[row], alone.states[0])


def test_numbers_do_not_depend_on_threads(monkeypatch):
    import numba

    r = np.linspace(2.5, 4.0, 300)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", threads)
        found.append((
            dl.exponent_diagram(LOGISTIC, r, loops=16384), dl.orbit_diagram(LOGISTIC, r, transient=20_000),
            dl.period_diagram(LOGISTIC, r, transient=20_000),
        ))  # fmt: skip
    for one, three in zip(*found, strict=True):
        for name, value in one.to_dict().items():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f":
                np.testing.assert_array_equal(value, three.to_dict()[name])
    np.testing.assert_array_equal(found[0][2].period, found[1][2].period)


def test_the_diagram_agrees_with_the_spectrum():
    for value in (3.7, 3.9):
        one = dl.exponent_diagram(LOGISTIC, [value], loops=8192).exponents[0]
        other = dl.lyapunov_spectrum(dl.zoo.logistic(value), [0.3], loops=8192)
        assert abs(one[0] - other.exponents[0]) < 8 * other.standard_error[0] + 2 * other.bias[0]


# -- blocks ------------------------------------------------------------------------------------------------------------


def block(gain):
    return dl.synthetic.looped_transformer(layers=2, width=8, heads=2, tokens=3, gain=float(gain))


@pytest.mark.slow
def test_a_family_of_blocks():
    gains = [0.5, 1.0]
    orbits = dl.orbit_diagram(block, gains, loops=3, transient=300)
    assert orbits.states.shape == (2, 3, 3, 8)
    periods = [dl.classify(block(gain)).period[0].max() for gain in gains]
    np.testing.assert_array_equal(dl.period_diagram(block, gains, transient=300).period, periods)
    found = dl.exponent_diagram(block, gains, k=2, loops=64)
    for row, gain in enumerate(gains):
        m = block(gain)
        np.testing.assert_allclose(found.exponents[row], dl.lyapunov_spectrum(m, m.start(0)[0], k=2).exponents)


def test_progress_and_values_that_are_no_numbers():
    told = []
    found = dl.orbit_diagram(
        lambda name: torch_logistic({"low": 2.0, "high": 2.5}[name]), ["low", "high"], loops=1,
        progress=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    np.testing.assert_allclose(found.states[:, 0, 0], [0.5, 0.6])
    assert told == [(1, 2), (2, 2)]
    assert list(found.values) == ["low", "high"]


# -- boundaries and errors ---------------------------------------------------------------------------------------------


def test_one_start_for_each_value_and_the_transient_of_zero():
    found = dl.orbit_diagram(LOGISTIC, [2.0, 3.0], starts=[[0.1], [0.2]], loops=1, transient=0)
    np.testing.assert_allclose(found.states[:, 0, 0], [0.18, 0.48])


def test_a_record_comes_back(tmp_path):
    found = dl.period_diagram(LOGISTIC, [3.2])
    again = dl.load(found.save(tmp_path / "p"))
    np.testing.assert_array_equal(again.period, found.period)
    assert again.status[0] is Status.CONVERGED


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ((LOGISTIC, []), InvalidArgumentError, "values must be a sequence of one or more"),
        ((LOGISTIC, [np.nan]), InvalidArgumentError, "values holds NaN"),
        ((LOGISTIC, ["a"]), InvalidArgumentError, "values must be numbers for a compiled map"),
        ((3.0, [1.0]), InvalidArgumentError, "family must be a KernelMap or a function"),
        ((lambda _: 7, [1.0]), InvalidArgumentError, "must return a map; got int"),
        ((lambda value: dl.zoo.henon() if value > 1 else LOGISTIC, [1.0, 2.0]), ShapeError, "states of one shape"),
    ],
)
def test_families_that_are_none(arguments, error, said):
    for diagram in (dl.orbit_diagram, dl.period_diagram, dl.exponent_diagram):
        with pytest.raises(error, match=said):
            diagram(*arguments)


@pytest.mark.parametrize(
    ("diagram", "options", "said"),
    [
        (dl.orbit_diagram, {"loops": 0}, "loops must be a positive int; got 0"),
        (dl.orbit_diagram, {"parameter": 1}, "parameter must be the number of one of the 1 parameters"),
        (dl.orbit_diagram, {"starts": [[0.1], [0.2], [0.3]]}, "one state, or one for each of the 2 values; got 3"),
        (dl.period_diagram, {"longest": 0}, "longest must be a positive int"),
        (dl.period_diagram, {"tolerance": 2.0}, "tolerance must be a number between 0 and 1"),
        (dl.exponent_diagram, {"k": 2}, "k must be between 1 and the dimension 1; got 2"),
        (dl.exponent_diagram, {"transient": True}, "transient must be an int"),
    ],
)
def test_options_out_of_range(diagram, options, said):
    with pytest.raises(InvalidArgumentError, match=said):
        diagram(LOGISTIC, [3.0, 3.5], **options)


def test_torch_states_keep_their_precision():
    found = dl.period_diagram(
        lambda r: dl.TorchMap([lambda x: r * x * (1 - x)], (1,), dtype=torch.float32), [3.2], starts=[0.3]
    )
    assert found.period[0] == 2


# -- regimes -----------------------------------------------------------------------------------------------------------


@FAMILIES
def test_regimes_of_the_logistic_map(family):
    found = dl.regime_diagram(family, [2.5, 3.2, 3.9, 4.1], starts=[0.3])
    assert [regime.name for regime in found.regime] == ["VANISHING", "PERIODIC", "CHAOTIC", "DIVERGENT"]
    np.testing.assert_array_equal(found.period, [1, 2, -1, -1])
    np.testing.assert_allclose(found.rate[:2], [0.5, 0.4], atol=1e-6)
    assert all(found.reason)


def test_regimes_of_blocks_have_a_verdict_a_token():
    found = dl.regime_diagram(block, [0.5, 1.0])
    for row, gain in enumerate([0.5, 1.0]):
        np.testing.assert_array_equal(found.regime[row], dl.classify(block(gain)).regime[0])
    assert found.period.shape == (2, 3)


def test_directions_that_turn_slowly_are_in_the_bias_of_a_diagram():
    def shear(x, params, out):
        out[0] = params[0] * (x[0] + x[1])
        out[1] = params[0] * x[1]

    found = dl.exponent_diagram(dl.KernelMap(shear, 2, params=(1.0,)), [1.0, 0.9], k=2, starts=[0.0, 0.0])
    off = np.abs(found.exponents - np.log([[1.0], [0.9]]))  # a Jordan block: like log t / t
    assert np.all(off > 3 * found.standard_error)
    assert np.all(off <= found.bias + 3 * found.standard_error)
