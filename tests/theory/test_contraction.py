"""T11: a contraction has one fixed point, to which every start comes as fast as Banach says."""

import numpy as np
from hypothesis import strategies as st

import dynloop as dl
from dynloop.calculus.jacobian import dense_jacobian
from dynloop.testing import strategies
from tests.theory.cases import cases


@cases(125, row=strategies.contractions(), loops=st.integers(1, 12))
def test_the_error_is_at_most_what_the_first_step_allows(row, loops):
    """‖x_t − x*‖ ≤ q^t / (1 − q) · ‖x_1 − x_0‖; x* by iterating far further."""
    m, q = row.map, row.q
    x = m.native(row.starts)
    far = m.watch(x, 250, x).states
    limit = m.numpy(far)
    seen = m.watch(x, loops, far)
    scale = 1 + np.abs(limit).max() + np.abs(row.starts).max()
    first = seen.steps[0, :, 0]
    bounds = q ** np.arange(1, loops + 1)[:, None] / (1 - q) * first
    assert (seen.returns[:, :, 0] <= bounds + 1e-9 * scale).all()
    np.testing.assert_allclose(limit, np.broadcast_to(limit[:1], limit.shape), rtol=0, atol=1e-9 * scale)


@cases(375, row=strategies.contractions())
def test_no_pair_of_states_moves_apart(row):
    m, x = row.map, row.starts
    y = m.numpy(m(m.native(x)))
    for i in range(len(x)):
        before, after = np.linalg.norm(x - x[i], axis=1), np.linalg.norm(y - y[i], axis=1)
        assert (after <= row.q * before + 1e-12 * (1 + np.abs(y).max())).all()
    assert np.linalg.norm(dense_jacobian(m, x[0]), 2) <= row.q + 1e-12


@cases(16, row=strategies.contractions(max_dim=3, max_q=0.8))
def test_a_search_finds_the_one_fixed_point(row):
    found = dl.find_fixed_points(row.map, row.starts)
    assert len(found) == 1
    assert (found.row == 0).all()
    x = found.points[0]
    np.testing.assert_allclose(row.map.numpy(row.map(row.map.native(x))), x, rtol=0, atol=1e-10 * (1 + np.abs(x).max()))
    assert np.abs(found.multipliers[0]).max() <= row.q + 1e-9
    assert found.stability[0] in ("sink", "superstable")


@cases(35, row=strategies.contractions(max_dim=3, max_q=0.8))
def test_every_start_gets_one_verdict_with_one_limit(row):
    found = dl.classify(row.map, row.starts)
    names = {regime.name for regime in found.regime} - {"UNDECIDED"}
    assert names <= {"CYCLIC"} or names <= {"VANISHING"}
    limits = row.map.numpy(found.states)[found.regime != dl.Regime.UNDECIDED]
    assert np.ptp(limits, axis=0).max(initial=0.0) <= 1e-8 * (1 + np.abs(limits).max(initial=0.0))
    assert (found.rate[~np.isnan(found.rate)] <= row.q + 1e-6).all()
