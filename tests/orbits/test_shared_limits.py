"""Orbits that share a limit share its verdict: the same, one by one or together, in any order."""

import numpy as np
import pytest

import dynloop as dl
from dynloop.orbits import limits
from dynloop.orbits.candidate import Candidate
from dynloop.orbits.convergence import conclude

FIELDS = ("regime", "period", "rate", "dichotomy")


def same(one, other, order=slice(None)):
    for name in FIELDS:
        a, b = getattr(one, name)[order], getattr(other, name)
        np.testing.assert_array_equal(a, b) if a.dtype.kind != "f" else np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("m", [dl.zoo.henon(a=0.3), dl.zoo.henon(a=0.9), dl.zoo.logistic(3.5), dl.zoo.logistic(0.9)])
def test_together_is_one_by_one(m):
    starts = m.start(1, 12)
    together = dl.classify(m, starts, loops=1024)
    alone = [dl.classify(m, start, loops=1024) for start in starts]
    for i, one in enumerate(alone):
        assert (one.regime, int(one.period)) == (together.regime[i], int(together.period[i]))
    same(together, dl.classify(m, starts[::-1], loops=1024), slice(None, None, -1))


def test_a_flip_that_returns_nearer_after_two_rounds_is_the_shorter_cycle():
    found = dl.classify(dl.zoo.henon(a=0.9), dl.zoo.henon(a=0.9).start(0, 20))
    assert set(found.period.tolist()) == {2}
    multiplier = dl.spectral_radius(dl.zoo.henon(a=0.9), found.states[0], period=2)
    np.testing.assert_allclose(found.evidence.spectral_radius, multiplier, rtol=1e-6)


def test_an_orbit_that_seems_to_return_after_a_multiple_is_solved_for_its_least_period(monkeypatch):
    """Some of many starts are first seen to return after 4 loops: all share the one cycle of 2, and its multiplier."""
    m, solved = dl.zoo.henon(a=0.9), []
    monkeypatch.setattr(limits, "conclude", lambda m, found: solved.append(found.period) or conclude(m, found))
    found = dl.classify(m, m.start(0, 10_000))
    assert len(solved) == 1
    assert set(found.period.tolist()) == {2}
    multiplier = dl.spectral_radius(m, found.states[0], period=2)
    np.testing.assert_allclose(found.evidence.spectral_radius, multiplier, rtol=1e-6)


@pytest.mark.parametrize("period", [2, 4, 6])
def test_a_multiple_of_the_period_says_the_same(period):
    m = dl.zoo.henon(a=0.9)
    state = dl.trajectory(m, m.start(0, 1), 1, transient=2000).states[-1, 0]
    one, number = np.ones(1), np.full(1, np.nan)
    candidate = Candidate(
        state=state, groups=1, floor=1e-15 * one, largest=one, rate=number, rate_error=number, period=period
    )
    (finding,) = conclude(m, candidate)
    assert (finding.regime, finding.period) == (dl.Regime.PERIODIC, 2)
    assert "DF^2 " in finding.reason
    np.testing.assert_allclose(finding.numbers["spectral_radius"], dl.spectral_radius(m, state, period=2), rtol=1e-6)


def test_a_cycle_is_solved_ahead_of_its_orbit():
    m = dl.zoo.logistic(3.44)
    found = dl.classify(m, m.start(0, 5))
    assert [r.name for r in found.regime] == ["PERIODIC"] * 5
    assert found.evidence.loops.max() <= 256
    assert found.evidence.distance.min() > 1e-8  # the orbit itself has not arrived
    points = m.numpy(found.states)[:, 0]
    np.testing.assert_allclose(m(m(found.states))[:, 0], points, rtol=1e-14)
    assert (np.abs(3.44**2 * (1 - 2 * points) * (1 - 2 * m(found.states)[:, 0])) < 1).all()


def test_chaotic_starts_share_a_sentence_and_keep_their_numbers():
    m = dl.zoo.logistic(4.0)
    found = dl.classify(m, m.start(0, 80), loops=512)
    chaotic = np.array([r.name == "CHAOTIC" for r in found.regime])
    assert chaotic.mean() > 0.9
    values, errors = found.evidence.exponent[chaotic], found.evidence.exponent_error[chaotic]
    assert len(np.unique(values)) == chaotic.sum()
    assert (np.abs(values - np.log(2)) <= 6 * errors + np.log(512) / 512).all()


def test_each_start_has_its_own_distance():
    m = dl.zoo.henon(a=0.3)
    found = dl.classify(m, m.start(0, 30))
    assert len(np.unique(found.evidence.distance)) == 30
    assert len(set(found.reason.tolist())) == 1


def test_orbits_that_turn_as_they_close_in_on_a_point_are_not_each_solved_for(monkeypatch):
    """The multiplier −0.92 brings them back after two loops long before their steps are at the floor."""
    asked = []
    monkeypatch.setattr(limits, "conclude", lambda m, found: asked.append(found.period) or conclude(m, found))
    found = dl.classify(dl.zoo.henon(a=0.3), np.random.default_rng(0).uniform(-0.3, 0.3, (2000, 2)))
    assert {r.name for r in found.regime} == {"VANISHING"}
    assert max(asked) > 1  # the case is there at all
    assert len(asked) <= 10
