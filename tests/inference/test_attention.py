"""Attention over loops: distances by hand, standstill, the bound T10, rays, cycles, and what is refused."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

import dynloop as dl
from dynloop.errors import InvalidArgumentError
from dynloop.inference.bound import constants, spectral
from dynloop.inference.seen import seen_loop
from dynloop.inference.stability import stabilised


def block(**options):
    return dl.synthetic.looped_transformer(**{"layers": 2, "width": 16, "heads": 2, "tokens": 5} | options)


def flipping(x):
    """Two loops in turn: scores are q·qᵀ of a state that changes its sign, the second half turned by one place."""
    z = x[:, None]
    functional.scaled_dot_product_attention(z, torch.relu(z), z)
    return -x


def test_distances_are_those_of_the_maps():
    m = block()
    found = dl.attention_stability(m, loops=6, maps=True)
    assert found.maps.shape == (1, 2, 2, 6, 5, 5)
    for s in range(6):
        for t in range(6):
            gap = np.linalg.norm(found.maps[:, :, :, s] - found.maps[:, :, :, t], axis=(-2, -1))
            np.testing.assert_allclose(found.distances[..., s, t], gap, atol=1e-15)
    np.testing.assert_allclose(found.change, np.diagonal(found.distances, 1, -2, -1), atol=1e-15)
    np.testing.assert_allclose(np.diagonal(found.distances, 0, -2, -1), 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        rows = -np.where(found.maps > 0, found.maps * np.log(found.maps), 0).sum(-1)
    np.testing.assert_allclose(found.entropy, rows.mean(-1), atol=1e-14)


def test_a_single_start_has_no_batch_axis_and_records_may_be_apart():
    m = block()
    start = m.start(0)
    every = dl.attention_stability(m, start, loops=9)
    some = dl.attention_stability(m, start[0], loops=9, every=2, pairwise=False)
    assert some.distances is None
    assert some.maps is None
    assert some.times.tolist() == [0, 2, 4, 6, 8]
    assert some.change.shape == (2, 2, 4)
    np.testing.assert_allclose(some.entropy, every.entropy[0][..., ::2])
    np.testing.assert_allclose(some.change, every.distances[0][..., range(0, 7, 2), range(2, 9, 2)], atol=1e-15)


def test_at_a_fixed_point_attention_stands_still():
    found = dl.attention_stability(block(), loops=120, tol=1e-9)
    assert (found.stabilised_at > 20).all()
    assert (found.change[..., -1] < 1e-9).all()
    assert (found.section_step[..., -1] < 1e-9).all()
    at = found.stabilised_at[0, 0, 0]
    assert found.change[0, 0, 0, at - 1] > 1e-9 >= found.change[0, 0, 0, at:].max()


def test_on_a_ray_attention_freezes_while_the_state_moves_for_ever():
    m = block(injection="add")
    found = dl.attention_stability(m, loops=128, tol=1e-3)
    assert (found.stabilised_at >= 0).all()
    verdict = dl.classify(m, loops=128)
    assert {regime.name for regime in verdict.regime.ravel()} == {"RAY"}


def test_on_a_cycle_of_two_every_second_map_is_the_same():
    m = dl.TorchMap([flipping], (3, 4), dtype=torch.float64)
    start = np.random.default_rng(0).standard_normal((1, 3, 4))
    found = dl.attention_stability(m, start, loops=6)
    stripes = np.array([[(s - t) % 2 for t in range(6)] for s in range(6)], bool)
    assert (found.distances[0, 0, 0][stripes] > 0.1).all()
    assert (found.distances[0, 0, 0][~stripes] == 0).all()
    assert found.stabilised_at.tolist() == [[[-1]]]
    assert np.isnan(found.bound).all()
    assert found.unbounded == ("the weights of this attention are not known as W_Q and W_K alone",)


@pytest.mark.parametrize("rope", [True, False])
@pytest.mark.parametrize("norm", ["pre", "ouro", "none"])
def test_attention_moves_no_further_than_its_bound(norm, rope):
    for seed in range(3):
        m = block(norm=norm, rope=rope, seed=seed, gain=2.0)
        found = dl.attention_stability(m, m.start(seed, 2), loops=8)
        assert (found.change <= found.bound * (1 + 1e-6) + 1e-12).all()
        assert (found.bound > 0).all()


def test_the_bound_by_hand():
    """One attention without rotation: max‖X‖₂ · ‖W_Qᵀ W_K‖₂ / √d · ‖ΔX‖_F, of what its norm gives."""
    m = block(layers=1, rope=False, injection="none", heads=1)
    start = m.start(0)
    found = dl.attention_stability(m, start, loops=2)
    branch = m.layers[0][0]
    a, b = (branch.before(x)[0].numpy() for x in (start, m(start)))
    kappa = np.linalg.norm(branch.f.q.weight.numpy().T @ branch.f.k.weight.numpy(), 2)
    B = max(np.linalg.norm(a, 2), np.linalg.norm(b, 2))
    np.testing.assert_allclose(found.bound.ravel(), [B * kappa / 4 * np.linalg.norm(b - a)])


def test_the_bound_with_rotation_by_hand():
    """max‖X‖_F · ‖W_Q‖₂ · ‖W_K‖₂ of each head / √d · ‖ΔX‖_F."""
    m = block(layers=1, injection="none")
    start = m.start(0)
    found = dl.attention_stability(m, start, loops=2)
    branch = m.layers[0][0]
    a, b = (branch.before(x)[0].numpy() for x in (start, m(start)))
    B = max(np.linalg.norm(a), np.linalg.norm(b))
    q, k = (part.weight.numpy().reshape(2, 8, 16) for part in (branch.f.q, branch.f.k))
    kappa = np.linalg.norm(q, 2, axis=(1, 2)) * np.linalg.norm(k, 2, axis=(1, 2))
    np.testing.assert_allclose(found.bound[0, 0, :, 0], B * kappa / math.sqrt(8) * np.linalg.norm(b - a))


@pytest.mark.parametrize("shape", [(3, 2, 5, 7), (7, 5), (1, 1), (4, 4)])
def test_the_spectral_norm_is_the_largest_singular_value(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for factor in (1.0, 1e-200, 1e200):
        torch.testing.assert_close(spectral(factor * x), factor * torch.linalg.svdvals(x)[..., 0], rtol=1e-13, atol=0)
    assert (spectral(0 * x) == 0).all()
    assert torch.isnan(spectral(math.inf * x)).all()
    assert torch.isnan(spectral(math.nan * x)).all()


def test_an_orbit_that_is_lost_leaves_the_others_their_bound():
    f = drawn(dl.nn.Attention(8, 2, dtype=torch.float64))
    m = dl.TorchMap([lambda x: 1e100 * x + f(x)], (4, 8))
    x = torch.ones(2, 4, 8, dtype=torch.float64)
    x[1] = 0
    found = dl.attention_stability(m, x, loops=6)
    assert np.isnan(found.bound[0, ..., -1]).all()
    assert (found.bound[1] == 0).all()


class Named(torch.nn.Module):
    """A residual layer that calls its attention by name."""

    def __init__(self, attention):
        super().__init__()
        self.attention = attention

    def forward(self, x):
        return 0.5 * x + 0.1 * self.attention(x=x)


def drawn(attention):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in attention.parameters():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=generator, dtype=torch.float64))
    return attention.requires_grad_(requires_grad=False)


def test_an_attention_that_is_called_by_name_is_bounded_alike():
    f = drawn(dl.nn.Attention(8, 2, dtype=torch.float64))
    x = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    named, plain = (dl.TorchMap([layer], (4, 8)) for layer in (Named(f), lambda x: 0.5 * x + 0.1 * f(x)))
    found = dl.attention_stability(named, x, loops=4)
    np.testing.assert_array_equal(found.change, dl.attention_stability(plain, x, loops=4).change)
    assert found.unbounded == ("",)
    assert (found.change <= found.bound).all()


class Hot(dl.nn.Attention):
    """An attention that multiplies what it is given."""

    def forward(self, x):
        return super().forward(50 * x)


class Squared(dl.nn.Attention):
    """An attention whose heads are not its weights' alone."""

    def _split(self, x):
        return super()._split(x) ** 2


def test_a_subclass_with_another_forward_has_no_bound():
    x = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for kind in (Hot, Squared):
        found = dl.attention_stability(dl.TorchMap([Named(drawn(kind(8, 2, dtype=torch.float64)))], (4, 8)), x, loops=4)
        assert np.isnan(found.bound).all()
        assert found.unbounded == (f"the weights of {kind.__name__} are not known as W_Q and W_K alone",)
    f = drawn(dl.nn.Attention(8, 2, dtype=torch.float64))
    hook = f.q.register_forward_hook(lambda module, args, out: 10 * out)
    assert np.isnan(dl.attention_stability(dl.TorchMap([Named(f)], (4, 8)), x, loops=4).bound).all()
    hook.remove()
    for part, name, own in (
        (f.q, "forward", lambda x: 100 * f.q.weight.new_ones(8) * x),
        (f.k, "forward", drawn(torch.nn.Linear(8, 8).double()).forward),
        (f.k, "_call_impl", lambda x: 100 * x),
        (f, "_split", drawn(dl.nn.Attention(8, 4, dtype=torch.float64))._split),
    ):
        setattr(part, name, own)
        found = dl.attention_stability(dl.TorchMap([Named(f)], (4, 8)), x, loops=4)
        assert np.isnan(found.bound).all()
        assert found.unbounded == ("the weights of Attention are not known as W_Q and W_K alone",)
        delattr(part, name)
    assert dl.attention_stability(dl.TorchMap([Named(f)], (4, 8)), x, loops=4).unbounded == ("",)
    f.q = torch.nn.Sequential(f.q, torch.nn.Tanh())
    assert np.isnan(dl.attention_stability(dl.TorchMap([Named(f)], (4, 8)), x, loops=4).bound).all()


@pytest.mark.parametrize(
    ("name", "known"), [("huginn", True), ("ouro", True), ("hrm_text", True), ("trm", True), ("albert", True),
                        ("retrofit_olmo", False), ("parcae", False)],
)  # fmt: skip
def test_the_bound_is_given_where_its_constants_are_known(name, known):
    from pathlib import Path

    m = dl.open_checkpoint(Path(__file__).parents[1] / "data" / name, dtype=torch.float64)
    found = dl.attention_stability(m, loops=5)
    assert all((reason == "") == known for reason in found.unbounded)
    if known:
        assert (found.change <= found.bound * (1 + 1e-6) + 1e-12).all()
    else:
        assert np.isnan(found.bound).all()


def test_standstill_by_hand():
    times = np.array([0, 2, 4, 6, 8])
    change = np.array([[0.5, 0.01, 0.5, 0.01], [0.5, 0.01, 0.01, 0.01], [0.5] * 4, [0.0] * 4, [0.0, 0.0, 0.0, np.nan]])
    assert stabilised(change, times, 0.1, 1).tolist() == [6, 2, -1, 0, -1]
    assert stabilised(change, times, 0.1, 3).tolist() == [-1, 2, -1, 0, -1]


def test_an_orbit_that_is_lost_leaves_no_standstill():
    m = dl.TorchMap([flipping, lambda x: 1e200 * x], (3, 4), dtype=torch.float64)
    found = dl.attention_stability(m, np.ones((1, 3, 4)), loops=6)
    assert found.stabilised_at.tolist() == [[[-1]]]


def test_rows_of_a_batch_do_not_mix_and_starts_permute():
    m = block(norm="ouro", injection="none")
    x = m.start(0, 3)
    found = dl.attention_stability(m, x, loops=4)
    turned = dl.attention_stability(m, x[[2, 0, 1]], loops=4)
    np.testing.assert_allclose(turned.distances, found.distances[[2, 0, 1]], atol=1e-10)


def test_progress_record_and_saving(tmp_path):
    seen = []
    found = dl.attention_stability(block(), loops=5, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(i, 5) for i in range(1, 6)]
    text = repr(found)
    assert "4 heads change by at most 0.001 to the last loop" in text
    assert "block 1: from loop" in text
    again = dl.load(found.save(tmp_path / "found"))
    np.testing.assert_array_equal(again.distances, found.distances)
    assert again.attentions == found.attentions


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"loops": 0}, "loops must be a positive int; got 0"),
        ({"hold": 0}, "hold must be a positive int; got 0"),
        ({"every": 2.0}, "every must be a positive int; got 2.0"),
        ({"loops": 4, "every": 4}, "loops must span two records at least; got loops=4 with every=4"),
        ({"tol": -1}, "tol must be a number of at least 0, a Frobenius distance; got -1"),
        ({"tol": float("nan")}, "tol must be a number of at least 0"),
    ],
)
def test_bad_arguments_are_named(options, said):
    with pytest.raises(InvalidArgumentError, match=said):
        dl.attention_stability(block(), **options)


def test_maps_that_do_not_fit_into_memory_are_refused(monkeypatch):
    from dynloop.inference import attention

    monkeypatch.setattr(attention, "free_bytes", lambda device: 1000)
    with pytest.raises(InvalidArgumentError, match=r"record fewer with every=, or pass pairwise=False, maps=False"):
        dl.attention_stability(block(), loops=64)
    assert dl.attention_stability(block(), loops=64, pairwise=False).distances is None


def stretched(factor):
    """An attention whose tables of cosines and sines are multiplied by a factor, as YaRN and LongRoPE do."""
    f = dl.nn.Attention(8, 1, tables=factor * dl.nn.rotary_tables(4, 8), dtype=torch.float64)
    return dl.TorchMap([drawn(f)], (4, 8), causal=True)


def test_tables_that_lengthen_queries_and_keys_lengthen_the_bound():
    """Scores grow by the square of the factor."""
    x = torch.randn(1, 4, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plain, long = (constants(seen_loop(stretched(factor), x)[0].seen[0]).sizes for factor in (1.0, 3.0))
    torch.testing.assert_close(long, 9 * plain)
    found = dl.attention_stability(stretched(3.0), x, loops=6)
    assert (found.change <= found.bound * (1 + 1e-9)).all()
