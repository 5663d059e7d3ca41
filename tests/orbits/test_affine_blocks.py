"""Contracting affine blocks, whose limit, rate and polygon are linear algebra: what classify says of them, exactly."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dynloop as dl

N = 4
SEEDS = st.integers(0, 10_000)


def affine_layers(seed, layers):
    """Return (A_l, b_l) of affine layers x ↦ A_l x + b_l whose product contracts."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((layers, N, N)) / np.sqrt(N)
    A *= 0.6 / np.linalg.norm(A, 2, axis=(1, 2))[:, None, None] * rng.uniform(0.9, 1.4, (layers, 1, 1))
    return A, rng.standard_normal((layers, N))


def block(A, b, **kwargs):
    A, b = torch.as_tensor(A), torch.as_tensor(b)
    return dl.TorchMap([lambda x, i=i: x @ A[i].T + b[i] for i in range(len(A))], (N,), **kwargs)


def exact(A, b):
    """Return the limit, DF, and the sections there."""
    J, c = np.eye(N), np.zeros(N)
    for a, shift in zip(A, b, strict=True):
        J, c = a @ J, a @ c + shift
    sections = [np.linalg.solve(np.eye(N) - J, c)]
    for a, shift in zip(A, b, strict=True):
        sections.append(a @ sections[-1] + shift)
    return J, np.array(sections)


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, layers=st.integers(2, 4))
def test_the_verdict_carries_the_exact_limit_rate_and_polygon(seed, layers):
    A, b = affine_layers(seed, layers)
    J, sections = exact(A, b)
    found = dl.classify(block(A, b), np.random.default_rng(seed).standard_normal(N))
    lengths = np.linalg.norm(np.diff(sections, axis=0), axis=1)
    scale = np.linalg.norm(sections, axis=1).max()
    assert found.regime[()] is dl.Regime.CYCLIC
    assert (found.dichotomy[()], found.period[()]) == ("cyclic", 1)
    np.testing.assert_allclose(found.rate, np.abs(np.linalg.eigvals(J)).max(), rtol=1e-7)
    np.testing.assert_allclose(found.states, sections[0], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(found.evidence.increments, lengths / scale, rtol=1e-8)
    np.testing.assert_allclose(found.evidence.perimeter, lengths.sum() / scale, rtol=1e-8)
    assert found.evidence.closure <= 1e-12


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, turn=st.integers(0, 2))
def test_the_verdict_does_not_depend_on_where_the_loop_is_cut(seed, turn):
    A, b = affine_layers(seed, 3)
    m = block(A, b)
    here, there = dl.classify(m, np.zeros(N)), dl.classify(m.rotate(turn), np.ones(N))
    assert here.regime[()] is there.regime[()]
    np.testing.assert_allclose(here.rate, there.rate, rtol=1e-7)
    np.testing.assert_allclose(here.evidence.perimeter, there.evidence.perimeter, rtol=1e-8)
    np.testing.assert_allclose(np.roll(here.evidence.increments, -turn), there.evidence.increments, rtol=1e-8)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_the_verdict_does_not_depend_on_an_orthogonal_change_of_coordinates(seed):
    A, b = affine_layers(seed, 2)
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((N, N)))[0]
    here, there = dl.classify(block(A, b), np.zeros(N)), dl.classify(block(Q @ A @ Q.T, b @ Q.T), np.ones(N))
    assert here.regime[()] is there.regime[()]
    np.testing.assert_allclose(here.rate, there.rate, rtol=1e-7)
    np.testing.assert_allclose(here.evidence.increments, there.evidence.increments, rtol=1e-8)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS)
def test_increments_that_all_vanish_at_the_limit_are_called_vanishing(seed):
    """Layers x ↦ x* + A_l(x − x*) share their fixed point, so the polygon is one point."""
    A, _ = affine_layers(seed, 3)
    common = np.random.default_rng(seed).standard_normal(N)
    found = dl.classify(block(A, np.stack([common - a @ common for a in A])), np.zeros(N))
    assert found.regime[()] is dl.Regime.VANISHING
    assert found.dichotomy[()] == "vanishing"


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, period=st.integers(2, 5))
def test_a_cycle_of_period_p_has_period_p(seed, period):
    """A turn by 2π/p, after a contraction towards the p points of the circle whose angles are multiples of 2π/p."""
    turn = 2 * np.pi / period
    R = torch.tensor([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    pull = 0.3

    def attract(z):  # contracts the radius to 1 and the angle to the multiples of 2π/p
        radius, angle = z.norm(dim=-1), torch.atan2(z[..., 1], z[..., 0])
        angle = angle - pull * torch.sin(period * angle) / period
        radius = 1 + 0.5 * (radius - 1)
        return radius[..., None] * torch.stack([torch.cos(angle), torch.sin(angle)], -1)

    m = dl.TorchMap([attract, lambda z: z @ R.T], (2,))
    found = dl.classify(m, np.random.default_rng(seed).standard_normal(2))
    assert found.regime[()] is dl.Regime.PERIODIC
    assert found.period[()] == period
    np.testing.assert_allclose(found.rate, 1 - pull if pull < 0.5 else 0.5, rtol=1e-6)


# -- shapes and dtypes -------------------------------------------------------------------------------------------------


def test_a_batch_has_one_verdict_a_start_and_a_single_start_none():
    A, b = affine_layers(0, 2)
    m = block(A, b)
    many, one = dl.classify(m, np.zeros((3, N))), dl.classify(m, np.zeros(N))
    assert many.regime.shape == many.rate.shape == many.period.shape == many.reason.shape == (3,)
    assert many.evidence.increments.shape == (3, 2)
    assert one.regime.shape == one.rate.shape == ()
    assert one.states.shape == (N,)


def test_the_starts_are_left_alone_and_the_result_does_not_share_their_memory():
    A, b = affine_layers(0, 2)
    starts = torch.ones(2, N, dtype=torch.float64)
    dl.classify(block(A, b), starts)
    assert torch.equal(starts, torch.ones(2, N, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_lower_dtype_without_a_twin_settles_at_its_own_floor(dtype):
    A, b = affine_layers(1, 2)
    sections = exact(A, b)[1]
    A, b = torch.as_tensor(A).to(dtype), torch.as_tensor(b).to(dtype)
    m = dl.TorchMap([lambda x, i=i: x @ A[i].T + b[i] for i in range(2)], (N,))
    found = dl.classify(m, torch.zeros(N, dtype=dtype), polish="never")
    assert found.regime[()] in (dl.Regime.CYCLIC, dl.Regime.UNDECIDED)
    assert found.evidence.floor >= torch.finfo(dtype).eps / 4
    precision = torch.finfo(dtype).eps
    np.testing.assert_allclose(found.states.double().numpy(), sections[0], atol=200 * precision)


def test_results_repeat_for_one_seed():
    first, second = (dl.classify(dl.zoo.henon(), [[0.1, 0.1]], rng=3) for _ in range(2))
    assert first.evidence.exponent[0] == second.evidence.exponent[0]
    assert first.reason[0] == second.reason[0]


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loops": 3}, "loops must be an int of at least 8"),
        ({"loops": 10.5}, "loops must be an int"),
        ({"polish": "yes"}, "polish must be 'auto', 'never', float64 or float32"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(dl.errors.InvalidArgumentError, match=words):
        dl.classify(dl.zoo.henon(), [[0.1, 0.1]], **options)


def test_a_start_of_the_wrong_shape_or_not_finite_is_refused():
    with pytest.raises(dl.errors.ShapeError, match=r"\(batch, 2\)"):
        dl.classify(dl.zoo.henon(), [[0.1, 0.1, 0.1]])
    with pytest.raises(dl.errors.InvalidArgumentError, match=r"finite|NaN"):
        dl.classify(dl.zoo.henon(), [[0.1, np.nan]])


def test_a_map_with_a_silent_zero_derivative_is_refused_where_tangents_are_needed():
    def cut(x):
        return 3.9 * x.detach() * (1 - x.detach())

    with pytest.raises(dl.errors.DerivativeError, match="zero although the map moves"):
        dl.classify(dl.TorchMap([cut], (1,)), np.array([0.3]))
