"""Radii and growth rates token by token, against the dense Jacobian and against each other."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.calculus import token_radius
from dynloop.calculus.token_growth import token_growth
from dynloop.calculus.token_radius import token_radii

TOKENS, WIDTH = 4, 16


def block(**kwargs):
    return dl.synthetic.looped_transformer(
        norm="huginn", injection="add", layers=2, width=WIDTH, heads=2, tokens=TOKENS, **kwargs
    )


def radii_of(m, x):
    return np.abs(np.linalg.eigvals(dl.token_jacobians(m, x))).max(axis=1)


@pytest.mark.parametrize("dense_width", [256, 0], ids=["blocks", "Arnoldi"])
def test_radii_are_those_of_the_blocks(dense_width, monkeypatch):
    monkeypatch.setattr(token_radius, "_DENSE_WIDTH", dense_width)
    m = block()
    x = m.start(0)
    radius, residual, error = token_radii(m, x)
    np.testing.assert_allclose(radius, radii_of(m, x[0]), rtol=1e-8)
    assert residual.max() <= 1e-9
    assert np.all(np.abs(radius - radii_of(m, x[0])) <= error)
    assert error.max() <= (1e-12 if dense_width else 1e-7)


def test_the_union_of_the_blocks_is_the_spectrum_of_the_whole():
    m = block()
    x = m.start(1)
    whole = np.sort(np.abs(np.linalg.eigvals(dl.jacobian(m, x[0]))))
    parts = np.sort(np.abs(np.linalg.eigvals(dl.token_jacobians(m, x[0])).ravel()))
    np.testing.assert_allclose(parts, whole, rtol=1e-6, atol=1e-10)


def test_the_first_tokens_alone():
    m = block()
    x = m.start(0)
    np.testing.assert_array_equal(token_radii(m, x, 2)[0], token_radii(m, x)[0][:2])


@pytest.mark.slow
def test_growth_at_a_fixed_point_is_the_logarithm_of_the_radius():
    m = block()
    x = m.watch(m.start(0), 400, m.start(0)).states
    logs = token_growth(m, x, 2000, np.random.default_rng(0)).logs[..., 0]
    assert logs.shape == (2000, 1, TOKENS)
    np.testing.assert_allclose(logs.mean(axis=0)[0], np.log(radii_of(m, x[0])), atol=5e-3)


def test_growth_without_attention_is_measured_token_by_token():
    """Token 0 doubles its angle, token 1 contracts by a third whatever token 0 does."""

    def layer(x):
        first = (2 * x[:, 0] + 0.1 * torch.sin(x[:, 0])) % 1.0
        return torch.stack([first, x[:, 1] / 3 + first], 1)

    m = dl.TorchMap([layer], (2, 1), causal=True)
    logs = token_growth(m, m.native(np.array([[[0.2], [0.1]]])), 256, np.random.default_rng(0)).logs[..., 0]
    np.testing.assert_allclose(logs.mean(axis=0)[0, 1], np.log(1 / 3), atol=1e-12)
    assert abs(logs.mean(axis=0)[0, 0] - np.log(2)) < 0.06


def test_a_lost_orbit_gives_nan():
    m = dl.TorchMap([lambda x: 1e3 * x**3], (2, 1), causal=True)
    with np.errstate(all="ignore"):
        logs = token_growth(m, m.native(np.full((1, 2, 1), 2.0)), 64, np.random.default_rng(0)).logs
    assert np.isnan(logs[-1]).all()
