"""Attention metrics: maps whose numbers are known by hand, bounds, and what they do not depend on."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dynloop.inference.attention_metrics import concentration, mixing, sink_rate, sink_scores


def uniform(T):
    return torch.full((T, T), 1 / T, dtype=torch.float64)


def causal(T):
    return torch.ones(T, T, dtype=torch.float64).tril() / torch.arange(1, T + 1, dtype=torch.float64)[:, None]


def sink(T, token=0):
    maps = torch.zeros(T, T, dtype=torch.float64)
    maps[:, token] = 1
    return maps


@pytest.mark.parametrize("T", [2, 3, 7])
def test_uniform_attention(T):
    assert concentration(uniform(T)) == pytest.approx(0, abs=1e-14)
    assert mixing(uniform(T)) == pytest.approx(math.log(T), rel=1e-14)
    assert sink_scores(uniform(T)).tolist() == pytest.approx([1 / T] * T)


@pytest.mark.parametrize("T", [2, 3, 7])
def test_a_sink_takes_everything(T):
    assert concentration(sink(T, 1)) == 1
    assert mixing(sink(T, 1)) == 0
    assert sink_scores(sink(T, 1)).tolist() == [0, 1, *[0] * (T - 2)]


@pytest.mark.parametrize("T", [2, 3, 7])
def test_the_identity_neither_mixes_nor_concentrates(T):
    eye = torch.eye(T, dtype=torch.float64)
    assert concentration(eye) == pytest.approx(0, abs=1e-14)
    assert mixing(eye) == 0


@pytest.mark.parametrize("T", [1, 2, 5, 12])
def test_uniform_causal_attention_in_closed_form(T):
    """Row i mixes i tokens: the score is log(T!) / T; column j receives (H_T − H_{j−1}) / T."""
    assert mixing(causal(T)) == pytest.approx(math.lgamma(T + 1) / T, abs=1e-14)
    received = [sum(1 / i for i in range(j, T + 1)) / T for j in range(1, T + 1)]
    assert sink_scores(causal(T)).tolist() == pytest.approx(received)
    expected = 1 + sum(c * math.log(c) for c in received) / math.log(T) if T > 1 else 1
    assert concentration(causal(T)) == pytest.approx(expected, abs=1e-14)


def test_the_sink_rate_counts_heads():
    heads = torch.stack([sink(4), sink(4, 2), uniform(4), torch.eye(4, dtype=torch.float64)])
    assert sink_rate(heads) == 0.25
    assert sink_rate(heads, token=2) == 0.25
    assert sink_rate(heads, token=None) == 0.5
    assert sink_rate(heads, threshold=0.25) == 0.75  # 1/4 reaches it
    assert sink_rate(torch.stack([heads, heads.flip(-1)])).tolist() == [0.25, 0.0]


def test_a_lost_map_has_no_numbers():
    lost = uniform(3)
    lost[1, 1] = math.nan
    for found in (concentration(lost), mixing(lost), sink_rate(lost[None]), sink_rate(lost[None], token=None)):
        assert torch.isnan(found)


@given(seed=st.integers(0, 2**31), T=st.integers(1, 8), sharp=st.floats(0, 30))
@settings(max_examples=60, deadline=None)
def test_bounds_and_invariance_under_the_order_of_tokens(seed, T, sharp):
    generator = torch.Generator().manual_seed(seed)
    maps = (sharp * torch.randn(T, T, generator=generator, dtype=torch.float64)).softmax(-1)
    C, M = concentration(maps), mixing(maps)
    assert 0 <= C <= 1
    assert -1e-15 <= M <= math.log(T) + 1e-12
    rows, columns = torch.randperm(T, generator=generator), torch.randperm(T, generator=generator)
    assert concentration(maps[rows][:, columns]) == pytest.approx(float(C), abs=1e-12)
    assert mixing(maps[rows][:, columns]) == pytest.approx(float(M), abs=1e-12)
    assert sink_scores(maps).sum() == pytest.approx(1)
