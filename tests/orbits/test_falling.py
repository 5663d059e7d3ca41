"""Orbits on their way: solved ahead where they contract towards the solution, also if it is the origin."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.testing.known import late_flip, projection, slow_rate


@pytest.mark.parametrize("rate", [0.99, -0.99, 0.999, -0.999])
@pytest.mark.parametrize("offset", [0.0, 1.0, 1e3])
def test_a_slow_geometric_decay_is_solved_ahead(rate, offset):
    """Bugs of 2026-11: beside a limit at the origin no step is small; a rate of 0.999 was not waited for."""
    m = dl.TorchMap([lambda x: rate * (x - offset) + offset], (1,))
    found = dl.classify(m, np.array([offset + 1.3]))
    assert found.regime[()] is dl.Regime.VANISHING
    assert found.rate[()] == pytest.approx(abs(rate), rel=1e-9)
    np.testing.assert_allclose(found.states, offset, atol=1e-12 * max(offset, 1))


@pytest.mark.parametrize("seed", range(3))
def test_slow_rows_of_known_limit(seed):
    rng = np.random.default_rng(seed)
    for row in (late_flip(rng, below=1e-2), slow_rate(rng, rate=0.999, dim=10, layers=2)):
        found = dl.classify(row.map, row.start)
        assert row.wrong(found) == []
        assert found.regime[()].name in row.truth[0]


@pytest.mark.parametrize("above", [1e-2, 1e-3, 1e-4])
def test_a_small_cycle_about_the_origin_is_not_solved_ahead_to_it(above):
    """x ← −(1 + μ) x + x³ falls from 0.5 to ±√μ at first as if to the origin."""
    m = dl.TorchMap([lambda x: -(1 + above) * x + x**3], (1,))
    assert dl.classify(m, np.array([0.5])).regime[()] in (dl.Regime.PERIODIC, dl.Regime.UNDECIDED)


@pytest.mark.parametrize("gap", [1e-4, 1e-5, 1e-6])
def test_a_slow_passage_beside_a_solution_is_not_solved_ahead_to_it(gap):
    """The ghost of a fold at 0 slows the orbit down; a sink lies at −1 on the side that it leaves."""
    m = dl.TorchMap([lambda x: x + 0.2 * (gap + x**2) * (2 - x) * (x + 1).clamp(0, 1)], (1,))
    found = dl.classify(m, np.array([-0.3]))
    assert found.regime[()] in (dl.Regime.VANISHING, dl.Regime.UNDECIDED)
    if found.regime[()] is dl.Regime.VANISHING:
        assert found.states[0] == pytest.approx(2.0)


@pytest.mark.parametrize("kind", ["vanishing", "cyclic"])
@pytest.mark.parametrize("dim", [65, 100, 200])
def test_a_continuum_of_limits_in_many_dimensions(kind, dim):
    """Until 2026-11 neutral directions were followed in up to 64 dimensions only."""
    row = projection(np.random.default_rng(dim), dim=dim, layers=2, kind=kind)
    found = dl.classify(row.map, row.start)
    assert row.wrong(found) == []
    assert found.regime[()].name in row.truth[0]


def test_many_neutral_dimensions_that_fall_slowly_are_no_continuum_and_no_drift():
    """Bug of 2026-11: within 512 loops x ← x − 1e-3 x³ has hardly slowed down, and was called DRIFT."""
    A = torch.diag(torch.cat([torch.ones(50), torch.full((50,), 0.5)])).double()
    m = dl.TorchMap([lambda x: x @ A - 1e-3 * x**3], (100,))
    found = dl.classify(m, np.random.default_rng(0).standard_normal(100), loops=512)
    assert found.regime[()] is dl.Regime.UNDECIDED
