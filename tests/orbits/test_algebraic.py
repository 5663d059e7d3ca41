"""Algebraic convergence: said where the map leads to the point at every scale, never of ghosts and near misses."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.testing.known import algebraic


def classified(rule, start):
    start = np.atleast_1d(np.asarray(start, dtype=float))
    return dl.classify(dl.TorchMap([rule], start.shape), start)


@pytest.mark.parametrize("power", [2, 3, 5])
@pytest.mark.parametrize("limit", [0.0, 2.0])
def test_a_power_law_is_solved_for(power, limit):
    found = classified(lambda x: x - (x - limit) ** power, limit + 0.4)
    if power == 2 and limit:
        assert found.regime[()] in (dl.Regime.VANISHING, dl.Regime.UNDECIDED)  # to the last bit, or not at all
        return
    assert found.regime[()] is dl.Regime.VANISHING
    assert found.rate[()] == 1.0
    assert f"step ~ t^-{power / (power - 1):.3g}, multiplier 1;" in str(found.reason)
    assert abs(found.states[0] - limit) <= 1e-3 * limit


@pytest.mark.slow
@pytest.mark.parametrize("key", ["C18", "C18b"])
def test_the_fixtures_are_decided(key):
    row = dl.zoo.counter_example(key)
    found = dl.classify(row.make(), row.start)
    assert found.regime[()] is dl.Regime.VANISHING
    assert found.rate[()] == 1.0
    limit = {"C18": 0.0, "C18b": 2 / 3}[key]
    np.testing.assert_allclose(found.states, limit, atol=1e-9)


@pytest.mark.parametrize(
    ("power", "sign"), [(2, 1), pytest.param(3, 1, marks=pytest.mark.slow), pytest.param(3, -1, marks=pytest.mark.slow)]
)
def test_in_several_hidden_coordinates(power, sign):
    row = algebraic(np.random.default_rng(2), power=power, sign=sign, dim=4)
    found = dl.classify(row.map, row.start)
    assert row.wrong(found) == []
    if power == 3:
        assert found.regime[()] is dl.Regime.VANISHING


def test_two_layers_at_the_critical_pitchfork_are_cyclic():
    m = dl.TorchMap([lambda x: x - (x - 2) ** 3 + 1, lambda x: x - 1], (1,))
    found = dl.classify(m, np.array([2.4]))
    assert found.regime[()] is dl.Regime.CYCLIC
    assert found.rate[()] == 1.0


@pytest.mark.parametrize("centre", [0.0, 2.0])
@pytest.mark.parametrize("gap", [1e-8, 1e-10, 1e-12, 1e-13, 1e-14, 3e-15])
def test_the_ghost_of_a_fold_is_no_limit(gap, centre):
    found = classified(lambda x: x - gap - (x - centre) ** 2, centre + 0.4)
    assert found.regime[()] is dl.Regime.UNDECIDED
    assert "ghost of a fold" in str(found.reason)


@pytest.mark.parametrize("above", [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7])
def test_just_beyond_a_pitchfork_the_middle_is_not_the_limit(above):
    found = classified(lambda x: (1 + above) * x - x**3, 0.5)
    if found.regime[()] is dl.Regime.VANISHING:
        assert abs(found.states[0]) == pytest.approx(np.sqrt(above), rel=1e-3)
    else:
        assert found.regime[()] is dl.Regime.UNDECIDED
        assert above < 1e-4  # nearer to the pitchfork the budget ends before the limit is told from the middle


@pytest.mark.parametrize("above", [1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
def test_just_beyond_a_flip_the_middle_is_not_the_limit(above):
    found = classified(lambda x: -(1 + above) * x + x**3, 0.5)
    assert found.regime[()] in (dl.Regime.PERIODIC, dl.Regime.UNDECIDED)
    if found.regime[()] is dl.Regime.PERIODIC:
        assert found.period[()] == 2
        assert abs(found.states[0]) == pytest.approx(np.sqrt(above), rel=1e-3)
    else:
        assert above < 1e-3


@pytest.mark.parametrize("rate", [0.99, 0.999, -0.999, 0.9999, 0.99999, -0.99999])
def test_a_slow_geometric_decay_with_a_cubic_is_not_called_algebraic(rate):
    found = classified(lambda x: rate * x - np.sign(rate) * x**3, 0.5)
    assert found.regime[()] in (dl.Regime.VANISHING, dl.Regime.UNDECIDED)
    if found.regime[()] is dl.Regime.VANISHING:
        assert found.rate[()] == pytest.approx(abs(rate), rel=1e-9)
    else:
        assert abs(rate) > 0.999


def test_a_half_stable_point_on_the_way_is_not_passed_over():
    """x ← x − 20 x³ (x − 0.1)²: a second fixed point at 0.1, half stable, stops the orbit that comes from above."""
    found = classified(lambda x: x - 20 * x**3 * (x - 0.1) ** 2, 0.3)
    assert found.regime[()] is dl.Regime.UNDECIDED or found.states[0] == pytest.approx(0.1, abs=1e-6)


def test_several_slow_directions_stay_open():
    found = classified(lambda x: x - x**3 * torch.tensor([1.0, 2.0]), [0.5, 0.4])
    assert found.regime[()] is dl.Regime.UNDECIDED
