"""Bounded motion: chaos for as long as was seen, turns that come back late, decay that outlasts the budget."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.orbits.leading_exponent import LeadingExponent
from dynloop.orbits.long_return import first_returns
from dynloop.testing.known import captured

TURN = 2 * np.pi
GOLDEN = (np.sqrt(5) - 1) / 2


@pytest.mark.parametrize("between", [(1200, 2000), (2000, 4000)])
@pytest.mark.parametrize("seed", range(3))
def test_chaos_that_a_sink_captures_within_the_budget_is_no_chaos(between, seed):
    """Bug of 2026-11: CHAOTIC after 512 loops of a budget that held the capture."""
    row = captured(np.random.default_rng(seed), between=between)
    found = dl.classify(row.map, row.start)
    assert found.regime[()] is dl.Regime.VANISHING
    np.testing.assert_allclose(found.states, row.limit)


def test_chaos_is_said_of_the_loops_that_were_seen():
    found = dl.classify(dl.zoo.logistic(4.0), [0.3], loops=1000)
    assert found.regime[()] is dl.Regime.CHAOTIC
    assert "bounded within 2000 loops" in str(found.reason)
    assert "over the last 1000 of them" in str(found.reason)
    assert abs(found.evidence.exponent - np.log(2)) < 0.01


@pytest.mark.parametrize(("p", "q"), [(233, 610), (377, 987), (40, 1501), (1000, 9973)])
def test_a_turn_by_a_fraction_is_a_cycle_of_its_denominator(p, q):
    """Bug of 2026-11: periods of more than half a window were called quasi-periodic."""
    found = dl.classify(dl.zoo.ring(TURN * p / q), [0.6, 0.2])
    assert found.regime[()] is dl.Regime.PERIODIC
    assert found.period[()] == q
    assert f"after {q} loops" in str(found.reason)


@pytest.mark.parametrize("number", [2, 3, 5, 13, 17, 19])
def test_a_turn_by_a_root_is_quasiperiodic_and_says_which_periods_are_excluded(number):
    found = dl.classify(dl.zoo.ring(TURN * np.sqrt(number)), [0.6, 0.2])
    assert found.regime[()] is dl.Regime.QUASIPERIODIC
    assert "no fraction with a denominator below" in str(found.reason)


def test_a_turn_beside_a_fraction_is_decided_by_the_missing_return():
    """1/300 of a turn and 1e-9 more: the fraction lies outside the error or the orbit does not come back to it."""
    found = dl.classify(dl.zoo.ring(TURN * (1 / 300 + 3e-10)), [0.6, 0.2])
    assert found.regime[()] in (dl.Regime.QUASIPERIODIC, dl.Regime.UNDECIDED)


def test_a_neutral_cycle_that_is_approached_slowly_is_not_called_quasiperiodic():
    """It never comes back exactly, and its frequency cannot be told from 233/610."""
    a = TURN * 233 / 610
    R = torch.tensor([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])

    def rule(x):
        size = x.norm(dim=-1, keepdim=True)
        return (x * (1 + 2e-4 * (1 - size))) @ R

    found = dl.classify(dl.TorchMap([rule], (2,)), np.array([0.9, 0.5]), loops=2048)
    assert found.regime[()] in (dl.Regime.PERIODIC, dl.Regime.UNDECIDED)


@pytest.mark.parametrize("rate", [0.9999, 0.99995, -0.9999, -0.99999])
@pytest.mark.parametrize("width", [1, 3])
def test_a_decay_that_outlasts_the_budget_is_no_line(rate, width):
    """Bug of 2026-11: an exponent of −1e-4 ± 1e-7 counted as zero, a decay over the window as a line of one turn."""
    m = dl.TorchMap([lambda x: torch.cat([rate * x[:, :1] + 1, 0.5 * x[:, 1:]], dim=1)], (width,))
    found = dl.classify(m, np.full(width, 2.0))
    assert found.regime[()] in (dl.Regime.UNDECIDED, dl.Regime.VANISHING)


def exponent(value, error):
    return LeadingExponent(value=value, error=error, half=value, half_error=error, loops=4096)


def test_zero_is_one_sided():
    """Growth of tangents like log n makes an exponent look positive, nothing makes it look negative."""
    assert exponent(5e-3, 1e-7).zero
    assert not exponent(-1e-4, 1e-7).zero
    assert exponent(-1e-4, 1e-7).negative
    assert exponent(-1e-4, 1e-4).zero
    assert not exponent(-1e-4, 1e-4).negative
    assert exponent(-2e-17, 2e-18).zero
    assert not exponent(-2e-17, 2e-18).negative
    assert not exponent(np.nan, np.nan).zero
    assert not exponent(np.nan, np.nan).negative


def test_first_returns_of_each_token_and_of_none():
    rotate = [dl.zoo.ring(TURN * f) for f in (1 / 3, np.sqrt(2), 2 / 1050)]
    turned = [r.numpy(dl.trajectory(r, [[0.6, 0.2]], loops=1, transient=100).states)[0, 0] for r in rotate]
    for r, x, expected in zip(rotate, turned, (3, 0, 525), strict=True):
        period, gap = first_returns(r, x, 2000)
        assert period.tolist() == [expected]
        assert (gap[0] < 1e-11) == (expected > 0)


@pytest.mark.slow
def test_returns_of_all_tokens_are_looked_for_once(monkeypatch):
    """Bug of 2026-11: every token that turned by a fraction iterated all of them through 10 000 loops again."""
    turn = TURN * 987 / 2584
    c, s = np.cos(turn), np.sin(turn)
    R = torch.tensor([[c, -s], [s, c]], dtype=torch.float64)
    asked = []
    monkeypatch.setattr("dynloop.orbits.motion.first_returns", lambda *args: asked.append(1) or first_returns(*args))
    m = dl.TorchMap([lambda x: x @ R], (3, 2), causal=True)
    found = dl.classify(m, [[0.6, 0.2], [0.1, 0.4], [0.3, -0.5]])
    assert found.period.tolist() == [2584] * 3
    assert len(asked) == 1


def test_a_token_that_returns_after_a_chaotic_one_is_not_called_chaotic():
    """Bug of 2026-11: every moving token after a chaotic one was, though it may not look at it."""

    def rule(x):
        return torch.stack([4 * x[:, 0] * (1 - x[:, 0]), 3.2 * x[:, 1] * (1 - x[:, 1])], 1)

    found = dl.classify(dl.TorchMap([rule], (2, 1), causal=True), np.array([[0.1], [0.2]]), loops=512)
    assert found.regime[0] is dl.Regime.CHAOTIC
    assert found.regime[1] in (dl.Regime.UNDECIDED, dl.Regime.PERIODIC)
    assert "returns after 2 loops" in found.reason[1]


def test_a_torus_beside_a_chaotic_token_is_not_called_chaotic_and_a_driven_token_is():
    c, s = np.cos(TURN * np.sqrt(2)), np.sin(TURN * np.sqrt(2))
    R = torch.tensor([[c, -s], [s, c]])

    def rule(x):
        chaos = torch.stack([4 * x[:, 0, 0] * (1 - x[:, 0, 0]), 0.5 * x[:, 0, 1]], -1)
        size = x[:, 1].norm(dim=-1, keepdim=True)
        driven = 0.5 * x[:, 2] + 0.1 * x[:, 0]
        return torch.stack([chaos, (x[:, 1] * (1 + 0.5 * (1 - size))) @ R, driven], 1)

    start = np.array([[0.1, 0.2], [0.6, 0.2], [0.1, 0.0]])
    found = dl.classify(dl.TorchMap([rule], (3, 2), causal=True), start, loops=1024)
    assert [r.name for r in found.regime] == ["CHAOTIC", "UNDECIDED", "CHAOTIC"]
    assert "moves in a few lines while an earlier token is chaotic" in found.reason[1]


@pytest.mark.slow
@pytest.mark.parametrize("a", [2.01, 2.05, 2.1, 2.12, 2.15, 2.17])
def test_the_circle_of_the_delayed_logistic_map_is_quasiperiodic(a):
    """Bug of 2026-11: from a = 2.12 small lines were counted as noise."""
    found = dl.classify(dl.zoo.delayed_logistic(a), np.array([0.5, 0.55]))
    assert found.regime[()] is dl.Regime.QUASIPERIODIC
    assert "predict the other" in str(found.reason)


@pytest.mark.parametrize("a", np.linspace(2.175, 2.26, 6))
def test_tongues_of_the_delayed_logistic_map_are_never_called_quasiperiodic_inside(a):
    """Truth from a hundred times as long: an orbit that comes back to within 1e-9 is a cycle."""
    m = dl.zoo.delayed_logistic(a)
    found = dl.classify(m, np.array([0.5, 0.55]))
    states = dl.trajectory(m, [[0.5, 0.55]], 2000, transient=400_000).states[:, 0]
    returns = (np.abs(states[1:] - states[0]).max(axis=1) < 1e-9).any()
    if returns:
        assert found.regime[()] in (dl.Regime.PERIODIC, dl.Regime.UNDECIDED)
    else:
        assert found.regime[()] is not dl.Regime.PERIODIC


@pytest.mark.parametrize(("omega", "k"), [(GOLDEN, 0.9), (np.sqrt(2) - 1, 0.9), (0.3141592, 0.8)])
def test_the_circle_map_below_criticality_is_quasiperiodic(omega, k):
    found = dl.classify(dl.zoo.circle(omega, k), np.array([0.1]))
    assert found.regime[()] is dl.Regime.QUASIPERIODIC


def test_the_edge_of_chaos_says_what_was_missed():
    found = dl.classify(dl.zoo.logistic(3.569945671870944), np.array([0.3]))
    assert found.regime[()] is dl.Regime.UNDECIDED
    assert "miss the other half" in str(found.reason)


@pytest.mark.slow
def test_angles_that_grow_within_a_window_do_not_leave():
    """Bug of 2026-11: an orbit of the standard map whose norm rose over one window raised ValueError."""
    found = dl.classify(dl.zoo.standard(0.9), np.array([0.5, 0.618 * TURN]))
    assert found.regime[()] in (dl.Regime.QUASIPERIODIC, dl.Regime.UNDECIDED)


def _beyond_the_fold(x, params, out):
    out[0] = x[0] + params[0] + x[0] * x[0]


@pytest.mark.slow
def test_an_orbit_that_is_lost_in_the_window_of_frequencies_is_divergent():
    """Past the ghost of the fold it blows up: not UNDECIDED with a warning of numpy."""
    m = dl.KernelMap(_beyond_the_fold, 1, params=(10**-4.5,))
    found = dl.classify(m, [[-0.5]], loops=64)
    assert found.regime[0] is dl.Regime.DIVERGENT
    assert "a state stopped being finite" in found.reason[0]


@pytest.mark.parametrize("rate", [1e-6, 1e-5])
def test_a_slow_contraction_is_not_quasiperiodic(rate):
    """Bug of 2026-11: what is left of a slow exponential after its mean was read as one line of 1.2 turns."""
    m = dl.TorchMap([lambda x: 1 + (1 - rate) * (x - 1)], (1,))
    assert dl.classify(m, [[1.5]]).regime[0] is not dl.Regime.QUASIPERIODIC


def test_a_short_budget_is_not_spent_four_times_over_on_exponents():
    """A loop of a large block takes seconds: 64 loops are no leave to push tangents through 300."""
    calls = []

    def step(x):
        calls.append(len(x))
        return 4 * x * (1 - x)

    found = dl.classify(dl.TorchMap([step], (1,)), [[0.3]], loops=64)
    assert found.regime[0] is dl.Regime.UNDECIDED
    assert "bounded and moving after 64 loops" in found.reason[0]
    assert len(calls) < 200
    assert dl.classify(dl.TorchMap([step], (1,)), [[0.3]], loops=1024).regime[0] is dl.Regime.CHAOTIC
