"""Growth far out: Jordan blocks and chains grow for a while only, eigenvalues beyond 1 for ever."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.orbits.lasting_growth import lasting_growth
from dynloop.testing.known import jordan
from dynloop.testing.known.coordinates import orthogonal

ONE = np.array([True])


def linear(A):
    transposed = torch.as_tensor(np.ascontiguousarray(A.T))
    return dl.TorchMap([lambda x: x @ transposed], (len(A),))


def lasts(A, start, loops=4096, *, tangents=True):
    return lasting_growth(linear(A), start, np.ones(len(A), bool), ONE, loops, tangents=tangents)


def chain(n, rate, above):
    return rate * np.eye(n) + above * np.eye(n, k=1)


CHAINS = [(6, 0.9, 0.5), (24, 0.5, 0.8), (40, 0.9, 0.5), (24, 0.999, 0.5), (12, 0.9999, 0.1), (12, 0.99999, 0.01),
          (3, 0.99999, 10.0), (2, 1.0, 0.1), (5, 1.0, 1.0), (40, 0.0, 1.5), (300, 0.0, 1.01)]  # fmt: skip


@pytest.mark.parametrize("loops", [32, 512])
@pytest.mark.parametrize("tangents", [True, False])
@pytest.mark.parametrize(("n", "rate", "above"), CHAINS)
def test_a_chain_of_coordinates_grows_for_a_while_only(n, rate, above, tangents, loops):
    """Bug of 2026-11: a linear map is homogeneous, so growth at every scale was taken for growth for ever."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        Q = orthogonal(rng, n)
        assert not lasts(chain(n, rate, above), rng.standard_normal(n), loops, tangents=tangents)
        assert not lasts(Q @ chain(n, rate, above) @ Q.T, rng.standard_normal(n), loops, tangents=tangents)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 40), rate=st.floats(1.001, 3.0), angle=st.floats(0.1, 3.0), seed=st.integers(0, 99),
    loops=st.sampled_from([256, 1024]),
)  # fmt: skip
def test_no_contraction_lasts_and_a_plain_expansion_does(n, rate, angle, seed, loops):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n)) + 3 * np.triu(rng.standard_normal((n, n)), 1)
    radius = np.abs(np.linalg.eigvals(A)).max()
    assert not lasts(A / radius * 0.999, rng.standard_normal(n), loops)
    Q = orthogonal(rng, n)
    values = np.concatenate([[rate], rate * rng.uniform(0.1, 0.8, n - 1)])
    assert lasts((Q * values) @ Q.T, rng.standard_normal(n) + 2 * Q[:, 0], loops)


def test_a_turning_expansion_is_seen_when_the_window_is_long():
    c, s = np.cos(0.7), np.sin(0.7)
    S = np.diag([1, 0.01])
    A = S @ np.array([[c, -s], [s, c]]) @ np.linalg.inv(S)
    assert lasts(1.01 * A, np.ones(2))
    assert lasts(1.001 * A, np.ones(2))
    assert not lasts(0.999 * A, np.ones(2))


def test_without_tangents_only_a_window_long_beside_any_transient_counts():
    A = np.diag([1.1, *np.full(19, 0.5)])
    assert lasts(A, np.ones(20), 32)
    assert not lasts(A, np.ones(20), 32, tangents=False)
    assert lasts(A, np.ones(20), 4096, tangents=False)


@pytest.mark.parametrize(("dim", "rate", "above"), [(6, 0.9, 0.5), (24, 0.5, 0.8), (40, 0.9, 0.5)])
@pytest.mark.parametrize("polish", ["auto", "never"])
def test_classify_sees_jordan_blocks_converge(dim, rate, above, polish):
    for seed in range(2):
        row = jordan(np.random.default_rng(seed), dim=dim, rate=rate, above=above)
        found = dl.classify(row.map, row.start, polish=polish)
        assert found.regime[()] in (dl.Regime.VANISHING, dl.Regime.UNDECIDED)
        assert polish == "never" or found.regime[()] is dl.Regime.VANISHING
