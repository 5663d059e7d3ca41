"""Orbits that fall to one limit share its solution; orbits with limits of their own do not."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.orbits import limits


@pytest.fixture
def solved(monkeypatch):
    """Count the solutions that `classify` asks for."""
    calls = []

    def counted(m, found):
        calls.append(found.period)
        return conclude(m, found)

    conclude = limits.conclude
    monkeypatch.setattr(limits, "conclude", counted)
    return calls


def test_one_limit_is_solved_once_for_all_starts(solved):
    m = dl.TorchMap([lambda x: 0.5 * x + 1, lambda x: x + 1], (3,))
    found = dl.classify(m, np.random.default_rng(0).standard_normal((6, 3)))
    assert len(solved) == 1
    assert {r.name for r in found.regime} == {"CYCLIC"}
    np.testing.assert_allclose(found.states, 4.0)


def test_two_limits_are_solved_each_for_itself(solved):
    m = dl.TorchMap([lambda x: torch.tanh(2 * x)], (1,))
    found = dl.classify(m, np.array([[0.7], [-0.2], [0.1], [-3.0]]))
    assert len(solved) == 2
    np.testing.assert_allclose(np.sign(np.asarray(found.states)[:, 0]), [1, -1, 1, -1])
