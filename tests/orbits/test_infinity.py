"""The map far out: rays, exponential growth, and growth that only looks like either."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.orbits.infinity import grows_without_bound, rays

YES = np.array([True])


def after(m, x, loops):
    states = m.native(np.asarray(x, dtype=float)[None])
    return m.numpy(m.watch(states, loops, states).states)


def ray_of(m, x, loops):
    return rays(m, after(m, x, loops), loops, YES[None])[0]


def test_a_constant_push_is_a_ray_with_its_velocity():
    m = dl.TorchMap([lambda x: x + torch.tensor([3.0, 4.0]) + 1 / (1 + x**2)], (2,))
    ray = ray_of(m, [1.0, 0.0], 1000)
    assert ray.holds
    assert ray.velocity[0] == pytest.approx(5.0, rel=1e-3)
    assert ray.cosine[0] == pytest.approx(1.0, abs=1e-3)


def test_growth_that_will_saturate_is_no_ray():
    m = dl.TorchMap([lambda x: 0.9999 * x + 1.0], (2,))
    assert not ray_of(m, [0.0, 0.1], 500).holds


def test_growth_like_the_square_root_is_no_ray():
    m = dl.TorchMap([lambda x: x + x / (1 + (x**2).sum(-1, keepdim=True))], (2,))
    assert not ray_of(m, [1.0, 0.0], 2000).holds


def test_a_push_that_keeps_turning_is_no_ray():
    """The direction of x is turned by a fixed angle far out: dv/dτ = R v/|v| − v has no point of rest but a circle."""
    c, s = np.cos(0.7), np.sin(0.7)
    R = torch.tensor([[c, -s], [s, c]])
    m = dl.TorchMap([lambda x: x + (x / (1 + x.norm(dim=-1, keepdim=True))) @ R.T], (2,))
    assert not ray_of(m, [1.0, 0.0], 1000).holds


@pytest.mark.parametrize("rate", [0.5, -0.8, 0.9])
@pytest.mark.parametrize("push", [0.0, 2.0])
def test_a_ray_beside_coordinates_that_contract(rate, push):
    """Until 2026-11 s·x was scaled in the bounded coordinates too, and their return drowned the ray."""
    c, s = np.cos(0.4), np.sin(0.4)
    R = torch.tensor([[c, s], [-s, c]])

    def rule(x):
        z = x @ R
        return torch.stack([z[:, 0] + 1 + 1 / (1 + z[:, 0] ** 2), rate * z[:, 1] + push], 1) @ R.T

    ray = ray_of(dl.TorchMap([rule], (2,)), [1.0, 1.0], 1024)
    assert ray.holds
    assert ray.velocity[0] == pytest.approx(1, abs=1e-3)


def test_growth_that_saturates_beside_a_contraction_is_no_ray():
    m = dl.TorchMap([lambda x: x @ torch.diag(torch.tensor([0.99999, 0.5])).double() + 1.0], (2,))
    assert not ray_of(m, [0.0, 0.1], 1024).holds
    m = dl.TorchMap([lambda x: torch.stack([x[:, 0] + 1 / (1 + 1e-6 * x[:, 0] ** 2), 0.5 * x[:, 1]], 1)], (2,))
    assert not ray_of(m, [0.0, 0.1], 1024).holds


def test_exponential_growth_at_every_scale():
    m = dl.TorchMap([lambda x: 1.1 * x + torch.tanh(x)], (2,))
    assert grows_without_bound(m, after(m, [1.0, 0.3], 200)[0], 1.1, YES)


def test_growth_that_ends_further_out_is_not_without_bound():
    m = dl.TorchMap([lambda x: 1.1 * x / (1 + (x / 1e8) ** 2)], (2,))
    assert not grows_without_bound(m, after(m, [1.0, 0.3], 50)[0], 1.1, YES)


def test_linear_growth_is_not_exponential():
    m = dl.TorchMap([lambda x: x + 1.0], (2,))
    assert not grows_without_bound(m, after(m, [1.0, 0.3], 50)[0], 1.02, YES)


def test_classify_names_them():
    ray = dl.TorchMap([lambda x: x + 1.0 + 1 / (1 + x**2)], (2,))
    assert dl.classify(ray, np.zeros(2)).regime[()] is dl.Regime.RAY
    grows = dl.TorchMap([lambda x: 1.1 * x + torch.tanh(x)], (2,))
    assert dl.classify(grows, np.ones(2)).regime[()] is dl.Regime.DIVERGENT
    saturates = dl.TorchMap([lambda x: 0.99999 * x + 1.0], (2,))
    assert dl.classify(saturates, np.zeros(2)).regime[()] in (
        dl.Regime.UNDECIDED,
        dl.Regime.CYCLIC,
        dl.Regime.VANISHING,
    )


@pytest.mark.slow
@pytest.mark.parametrize("omega", [0.16, 0.159156, 0.1591551])
def test_an_angle_that_creeps_past_a_resonance_does_not_grow(omega):
    found = dl.classify(dl.zoo.circle(omega, 1.0), [[0.01]])  # the tongue of the fixed point ends at 1/2π
    assert found.regime[0] is dl.Regime.UNDECIDED
    assert "norm still grows" not in found.reason[0]


def test_angles_alone_are_never_scaled():
    assert not grows_without_bound(dl.zoo.circle(0.16, 1.0), np.array([0.1]), 1.5, np.ones(1, dtype=bool))
