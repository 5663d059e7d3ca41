"""Branches of blocks: where a fixed point loses stability in the gain, and what `classify` says on both sides."""

import numpy as np
import pytest

import dynloop as dl
from dynloop.orbits.branches import bordered, system


def settled(m, loops=400):
    state = m.start(0)
    for _ in range(loops):
        state = m(state)
    return state[0]


def loses_stability(family, low, high, off, loops=None):
    """The first bifurcation of the branch, with the verdicts `off` below and above it."""
    branch = dl.continue_fixed_point(family, settled(family(low)), [low, high], first_step=0.2, largest_step=0.4)
    assert branch.residual.max() < 1e-12
    assert len(branch.unexplained) == 0
    found = branch.bifurcations[0]
    assert found.unstable[0] == 0
    assert found.error < 1e-8
    critical = dl.multipliers(family(found.value), found.point[0], 2).values[0]
    assert abs(critical) == pytest.approx(1, abs=1e-8)  # an independent spectrum there
    beside = []
    for value in (found.value - off, found.value + off):
        m = family(value)
        start = found.point[0] + 1e-2 * np.random.default_rng(0).standard_normal(m.state_shape)
        beside.append(set(dl.classify(m, start, loops=loops).regime.ravel()))
    return found, beside


AT_REST = {dl.Regime.CYCLIC, dl.Regime.VANISHING}


@pytest.mark.slow
def test_a_small_block_loses_its_fixed_point_where_the_branch_says():
    block = dl.synthetic.looped_transformer(width=16, tokens=3, layers=2, heads=2, seed=4)
    found, (below, above) = loses_stability(dl.vary(block, "gain"), 1.0, 1.2, 0.04, loops=1200)
    assert (found.kind, found.criticality) == ("neimark-sacker", "supercritical")
    assert below <= AT_REST
    assert above & {dl.Regime.QUASIPERIODIC, dl.Regime.UNDECIDED, dl.Regime.PERIODIC}
    assert not above <= AT_REST


@pytest.mark.slow
def test_a_block_of_width_64_loses_its_fixed_point_where_the_branch_says():
    block = dl.synthetic.looped_transformer(width=64, tokens=2, layers=2, seed=0)
    found, (below, above) = loses_stability(dl.vary(block, "gain"), 1.5, 2.1, 0.03)
    assert found.kind == "neimark-sacker"
    assert found.criticality == "supercritical"
    assert found.value == pytest.approx(2.0137232573, abs=1e-8)
    assert below <= AT_REST
    assert dl.Regime.QUASIPERIODIC in above or dl.Regime.UNDECIDED in above
    assert not above <= AT_REST


@pytest.mark.slow
def test_products_alone_give_the_same_branch(monkeypatch):
    block = dl.synthetic.looped_transformer(width=8, tokens=2, layers=1, heads=2, seed=0)
    family, point = dl.vary(block, "gain"), settled(block)
    dense = dl.continue_fixed_point(family, point, [1.0, 1.1])
    monkeypatch.setattr(system, "DENSE_SOLVES", 1)
    products = dl.continue_fixed_point(family, point, [1.0, 1.1])
    assert bordered.DENSE_SOLVES > 1
    np.testing.assert_allclose(products.points[-1], dense.points[-1], atol=1e-9)
    np.testing.assert_allclose(products.multipliers[-1], dense.multipliers[-1], atol=1e-8)
