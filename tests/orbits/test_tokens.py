"""Verdicts token by token: leading tokens are a map of their own, later ones follow (theory notes T7, C13)."""

import numpy as np
import torch

import dynloop as dl


def tokens(*layers):
    """Return a causal map of scalar tokens; each rule takes all tokens and gives its own."""
    return dl.TorchMap(
        [lambda x: torch.stack([f(x[..., 0]) for f in layers], 1)[..., None]], (len(layers), 1), causal=True
    )


def names(found):
    return [regime.name for regime in found.regime]


START = np.array([[0.1], [0.2], [0.3]])


def test_each_token_has_its_own_verdict():
    m = tokens(lambda x: 0.5 * x[:, 0] + 1, lambda x: 4 * x[:, 1] * (1 - x[:, 1]), lambda x: 0.3 * x[:, 2] + 2)
    found = dl.classify(m, START)
    assert names(found) == ["VANISHING", "CHAOTIC", "VANISHING"]
    np.testing.assert_allclose(found.rate, [0.5, np.nan, 0.3], rtol=0.02)
    assert abs(found.evidence.exponent[1] - np.log(2)) < 5 * found.evidence.exponent_error[1] + 0.01


def test_tokens_at_rest_are_decided_where_others_stay_undecided():
    """Bug of 2026-11: what rested before a token without a verdict was called moving."""
    turn = np.sqrt(2.0)
    m = tokens(lambda x: 0.5 * x[:, 0] + 1, lambda x: (x[:, 1] + turn) % 3.0, lambda x: 0.3 * x[:, 2] + 2)
    found = dl.classify(m, START, loops=512)
    assert names(found)[0] == "VANISHING"
    assert "solved to a residual" in found.reason[0]
    assert names(found)[2] == "VANISHING"
    assert "an earlier token is not at rest" in found.reason[2]


def test_a_token_driven_by_chaos_is_chaotic_though_its_own_exponent_is_negative():
    m = tokens(lambda x: 4 * x[:, 0] * (1 - x[:, 0]), lambda x: 0.5 * x[:, 1] + x[:, 0])
    found = dl.classify(m, START[:2])
    assert names(found) == ["CHAOTIC", "CHAOTIC"]


def test_a_common_period_is_the_least_one_of_each_token():
    m = tokens(
        lambda x: 3.2 * x[:, 0] * (1 - x[:, 0]), lambda x: 3.5 * x[:, 1] * (1 - x[:, 1]), lambda x: 0.3 * x[:, 2] + 2
    )
    found = dl.classify(m, START)
    assert names(found) == ["PERIODIC", "PERIODIC", "VANISHING"]
    assert found.period.tolist() == [2, 4, 1]


def test_tokens_that_return_are_decided_before_one_that_does_not():
    """Until 2026-11 a cycle was solved for only where every token returned."""
    m = tokens(
        lambda x: 0.5 * x[:, 0] + 1, lambda x: 3.2 * x[:, 1] * (1 - x[:, 1]) + 1e-3 * (x[:, 0] - 2),
        lambda x: 4 * x[:, 2] * (1 - x[:, 2]),
    )  # fmt: skip
    found = dl.classify(m, START, loops=512)
    assert names(found) == ["VANISHING", "PERIODIC", "CHAOTIC"]
    assert found.period.tolist() == [1, 2, -1]
    np.testing.assert_allclose(found.rate[:2], 0.5)  # of a token and all before it


def test_one_token_alone_keeps_the_axis_of_tokens():
    found = dl.classify(tokens(lambda x: 0.5 * x[:, 0] + 1), START[:1])
    assert found.regime.shape == (1,)


def test_a_causal_synthetic_block_gives_each_token_the_radius_of_its_prefix():
    m = dl.synthetic.looped_transformer(norm="huginn", injection="add", layers=2, width=16, heads=2, tokens=4)
    found = dl.classify(m)
    J = dl.jacobian(m, found.states[0])
    expected = [np.abs(np.linalg.eigvals(J[: 16 * (i + 1), : 16 * (i + 1)])).max() for i in range(4)]
    assert set(np.ravel(found.regime)) == {dl.Regime.CYCLIC}
    np.testing.assert_allclose(found.rate[0], expected, rtol=1e-6)
