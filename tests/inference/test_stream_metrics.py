"""Stream metrics: streams whose singular values are known, and what the metrics do not depend on."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynloop.inference.stream_metrics import matrix_entropy, norm


def drawn(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_stream_of_rank_one_has_no_entropy():
    x = torch.outer(drawn(0, 5), drawn(1, 7))[None]
    assert matrix_entropy(x) == pytest.approx(0, abs=1e-13)


@pytest.mark.parametrize("shape", [(4, 4), (3, 8), (8, 3)])
def test_equal_directions_have_the_entropy_of_their_number(shape):
    x = 5 * torch.eye(*shape, dtype=torch.float64)[None]
    assert matrix_entropy(x) == pytest.approx(math.log(min(shape)))


def test_two_singular_values_by_hand():
    x = torch.diag(torch.tensor([3.0, 1.0, 0.0], dtype=torch.float64))[None]
    assert matrix_entropy(x) == pytest.approx(-(0.9 * math.log(0.9) + 0.1 * math.log(0.1)))


def test_streams_without_entropy():
    x = torch.stack([torch.zeros(2, 3), torch.ones(2, 3), torch.full((2, 3), math.inf), torch.full((2, 3), 1e30)])
    assert torch.isnan(matrix_entropy(1e200 * x.double())).tolist() == [True, False, True, False]


def test_the_norm_is_the_mean_over_tokens():
    x = torch.tensor([[[3.0, 4.0], [0.0, 1.0]]])
    assert norm(x).tolist() == [3.0]


@given(seed=st.integers(0, 2**31), T=st.integers(1, 6), D=st.integers(1, 6), scale=st.floats(1e-100, 1e100))
@settings(max_examples=60, deadline=None)
def test_entropy_is_bounded_and_blind_to_scale_and_rotation(seed, T, D, scale):
    x = drawn(seed, 2, T, D)
    found = matrix_entropy(x)
    assert (found >= -1e-12).all()
    assert (found <= math.log(min(T, D)) + 1e-12).all()
    P, Q = (torch.linalg.qr(drawn(seed + i, n, n))[0] for i, n in ((1, T), (2, D)))
    torch.testing.assert_close(matrix_entropy(scale * P @ x @ Q), found, atol=1e-11, rtol=0)
    torch.testing.assert_close(norm(x @ Q), norm(x))
    values = torch.linalg.svdvals(x) ** 2
    p = values / values.sum(-1, keepdim=True)
    torch.testing.assert_close(found, torch.special.entr(p).sum(-1), atol=1e-12, rtol=0)
