"""Bounded motion: chaos for as long as was seen, turns that come back late, decay that outlasts the budget."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.orbits.leading_exponent import LeadingExponent
from dynloop.orbits.long_return import first_returns
from dynloop.testing.known import captured

TURN = 2 * np.pi


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
    assert not exponent(np.nan, np.nan).zero
    assert not exponent(np.nan, np.nan).negative


def test_first_returns_of_each_token_and_of_none():
    rotate = [dl.zoo.ring(TURN * f) for f in (1 / 3, np.sqrt(2), 2 / 1050)]
    turned = [r.numpy(dl.trajectory(r, [[0.6, 0.2]], loops=1, transient=100).states)[0, 0] for r in rotate]
    for r, x, expected in zip(rotate, turned, (3, 0, 525), strict=True):
        period, gap = first_returns(r, x, 2000)
        assert period.tolist() == [expected]
        assert (gap[0] < 1e-11) == (expected > 0)


def test_a_token_that_returns_after_a_chaotic_one_is_not_called_chaotic():
    """Bug of 2026-11: every moving token after a chaotic one was, though it may not look at it."""

    def rule(x):
        return torch.stack([4 * x[:, 0] * (1 - x[:, 0]), 3.2 * x[:, 1] * (1 - x[:, 1])], 1)

    found = dl.classify(dl.TorchMap([rule], (2, 1), causal=True), np.array([[0.1], [0.2]]), loops=512)
    assert found.regime[0] is dl.Regime.CHAOTIC
    assert found.regime[1] in (dl.Regime.UNDECIDED, dl.Regime.PERIODIC)
    assert "returns after 2 loops" in found.reason[1]
