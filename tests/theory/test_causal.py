"""T7: with a causal mask DF is block lower triangular over tokens; its spectrum is that of the diagonal blocks, and no
token's orbit or regime feels an edit to a later one.
"""

import numpy as np
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

import dynloop as dl
from dynloop.calculus.jacobian import dense_jacobian, diagonal_blocks
from dynloop.calculus.token_radius import token_radii
from dynloop.testing import strategies
from dynloop.testing.known.tokens import token_chain
from tests.theory.cases import cases

CALM = ("rest", "two", "three", "follow")


def blocks_of(m, J):
    tokens, width = m.state_shape
    return J.reshape(tokens, width, tokens, width).transpose(0, 2, 1, 3)


@cases(250, row=strategies.blocks(causal=True, max_tokens=4))
def test_blocks_above_the_diagonal_are_exactly_zero(row):
    J = blocks_of(row.map, dense_jacobian(row.map, row.start))
    for i in range(len(J)):
        for j in range(i + 1, len(J)):
            assert not J[i, j].any()


@cases(50, row=strategies.blocks(causal=False, max_tokens=3, injections=("none", "add"), gains=(1.0, 2.0)))
def test_they_are_not_without_the_mask(row):
    J = blocks_of(row.map, dense_jacobian(row.map, row.start))
    assert len(J) == 1 or J[0, 1].any()


@cases(50, row=strategies.blocks(causal=True, gains=(1.0, 0.3, 2.0)))
def test_token_jacobians_are_the_diagonal_blocks(row):
    m = row.map
    J = blocks_of(m, dense_jacobian(m, row.start))
    own = diagonal_blocks(m, row.start)
    scale = 1 + np.abs(J).max()
    np.testing.assert_allclose(own, J[np.arange(len(J)), np.arange(len(J))], rtol=0, atol=1e-10 * scale)
    radii = token_radii(m, m.native(row.starts[:1])).radius
    exact = np.abs(np.linalg.eigvals(own)).max(axis=1)
    np.testing.assert_allclose(radii, exact, rtol=0, atol=1e-8 * scale)


@cases(50, row=strategies.blocks(causal=True, gains=(1.0, 0.3, 2.0)))
def test_the_spectrum_is_the_union_of_those_of_the_blocks(row):
    m = row.map
    whole = np.linalg.eigvals(dense_jacobian(m, row.start))
    union = np.linalg.eigvals(diagonal_blocks(m, row.start)).ravel()
    distances = np.abs(whole[:, None] - union[None])
    # eigenvalues of a defective matrix are known to a root of the rounding only
    assert distances[linear_sum_assignment(distances)].max() <= 1e-3 * (1 + np.abs(whole).max())


@cases(250, row=strategies.blocks(causal=True, max_tokens=4), edited=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_no_section_of_a_token_feels_an_edit_to_a_later_one(row, edited, seed):
    m = row.map
    edited = min(edited, m.state_shape[0] - 1)
    other = row.starts.copy()
    other[:, edited:] += np.random.default_rng(seed).standard_normal(other[:, edited:].shape)
    for f in (m, m.rotate(1)):
        here, there = (f.numpy(f.sections(f.native(x)))[:, :, :edited] for x in (row.starts, other))
        np.testing.assert_allclose(there, here, rtol=0, atol=1e-12 * (1 + np.abs(here).max(initial=0.0)))


@cases(12, kinds=st.lists(st.sampled_from(CALM), min_size=1, max_size=2), tail=st.sampled_from(CALM),
       seed=st.integers(0, 2**31))  # fmt: skip
def test_no_regime_of_a_token_feels_an_edit_to_a_later_one(kinds, tail, seed):
    """Another start for the last token: the verdicts on the others stay, period and side of the dichotomy too."""
    chain = ["two" if kinds[0] == "follow" else kinds[0], *kinds[1:], tail]
    row = token_chain(np.random.default_rng(seed), kinds=chain, width=2)
    other = row.start.copy()
    other[-1] *= 0.9
    here, there = (dl.classify(row.map, start) for start in (row.start, other))
    assert row.wrong(here) == []
    for a, b in ((here.regime, there.regime), (here.period, there.period), (here.dichotomy, there.dichotomy)):
        both = (here.regime[:-1] != dl.Regime.UNDECIDED) & (there.regime[:-1] != dl.Regime.UNDECIDED)
        assert (a[:-1] == b[:-1])[both].all()


@cases(
    30, row=strategies.blocks(causal=True, injections=("add", "concat"), norms=("huginn",), max_tokens=2, max_layers=1)
)
def test_exponents_within_tokens_are_those_of_their_blocks(row):
    """One loop from one frame: log R_11 within token i is the growth of a tangent under ∂F_i/∂x_i."""
    m = row.map
    own = diagonal_blocks(m, row.start)
    x = m.native(row.starts[:1])
    token = m.within_tokens(x, np.random.default_rng(0))
    assert token is not None
    V = np.random.default_rng(1).standard_normal((1, 1, *m.state_shape))
    V /= np.linalg.norm(V, axis=-1, keepdims=True)
    logs = token.stretch(x, m.native(V[0])[None], 1).logs[0, 0, :, 0]
    grown = np.linalg.norm(np.einsum("tij,tj->ti", own, V[0, 0]), axis=1)
    np.testing.assert_allclose(np.exp(logs), grown, rtol=1e-6, atol=1e-9)


@cases(12, seed=st.integers(0, 2**31))
def test_each_token_has_a_period_of_its_own(seed):
    """Side by side, cycles of two and three return together after six loops; no token's period is six."""
    row = token_chain(np.random.default_rng(seed), kinds=("two", "three"), width=2)
    found = dl.classify(row.map, row.start)
    decided = found.regime != dl.Regime.UNDECIDED
    assert row.wrong(found) == []
    assert set(found.period[decided].tolist()) <= {2, 3}
    assert decided.all()
