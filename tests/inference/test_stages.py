"""Stage curves: blocks whose stages are known by hand, averages with their errors, and what is refused."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

import dynloop as dl
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.inference.curves import agreement
from dynloop.inference.lens import lens

T, D = 4, 6


def uniform(x):
    """Attention that attends to all alike, causally, and changes nothing."""
    z = torch.zeros_like(x)[:, None]
    functional.scaled_dot_product_attention(z, z, z, is_causal=True)
    return x


def sinking(x):
    """Attention whose every row goes to token 0."""
    q = torch.ones_like(x)[:, None]
    k = torch.zeros_like(q)
    k[:, :, 0] = 1e6
    functional.scaled_dot_product_attention(q, k, q)
    return x


def flattening(x):
    """Gives every token the first one's state: a stream of rank one."""
    return x[:, :1].expand_as(x).clone()


def torch_map(*layers, names=None):
    return dl.TorchMap(
        list(layers),
        (T, D),
        dtype=torch.float64,
        layer_names=names,
        start=lambda rng, n: rng.standard_normal((n, T, D)),
    )


def block(**options):
    return dl.synthetic.looped_transformer(**{"layers": 3, "width": 16, "heads": 2, "tokens": 5} | options)


def test_stages_known_by_hand():
    m = torch_map(uniform, sinking, flattening, names=["even", "sink", "flat"])
    found = dl.inference_stages(m, np.eye(T, D)[None], loops=2)
    assert found.attentions == ("even", "sink")
    assert found.attention_layer.tolist() == [0, 1]
    received = [sum(1 / i for i in range(j, T + 1)) / T for j in range(1, T + 1)]
    C = 1 + sum(c * math.log(c) for c in received) / math.log(T)
    np.testing.assert_allclose(found.curves["concentration"], [[C, 1]] * 2, atol=1e-12)
    np.testing.assert_allclose(found.curves["mixing"], [[math.lgamma(T + 1) / T, 0]] * 2, atol=1e-12)
    np.testing.assert_array_equal(found.curves["sink_rate"], [[1, 1]] * 2)  # (1 + 1/2 + 1/3 + 1/4) / 4 = 0.52
    np.testing.assert_allclose(found.curves["matrix_entropy"], [[math.log(T), math.log(T), 0], [0, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(found.curves["norm"], 1)
    assert "kl" not in found.curves
    strict = dl.inference_stages(m, np.eye(T, D)[None], loops=1, sink_threshold=0.6, sink_token=0)
    assert strict.curves["sink_rate"].tolist() == [[0, 1]]
    other = dl.inference_stages(m, np.eye(T, D)[None], loops=1, sink_token=-1)
    assert other.curves["sink_rate"].tolist() == [[0, 0]]


def test_the_lens_by_hand():
    """Logits (x, 0) of one number: p = σ(x)."""
    sections = [torch.tensor([[[x]]], dtype=torch.float64) for x in (0.0, 2.0, -1.0)]
    kl, entropy = lens(lambda x: torch.cat([x, torch.zeros_like(x)], -1), sections)
    p = [1 / (1 + math.exp(-x)) for x in (0.0, 2.0, -1.0)]
    final = p[-1]
    for i, q in enumerate(p):
        expected = final * math.log(final / q) + (1 - final) * math.log((1 - final) / (1 - q))
        assert float(kl[i, 0]) == pytest.approx(expected, abs=1e-14)
        assert float(entropy[i, 0]) == pytest.approx(-q * math.log(q) - (1 - q) * math.log(1 - q))
    assert float(kl[-1, 0]) == 0


def test_the_lens_of_masked_and_of_lost_classes():
    """A class that is masked in both counts for nothing, in the section alone for ever; nan stays nan."""
    a, b, c = torch.tensor([[[1.0, 2.0, 0.0]], [[0.0, 1.0, 0.0]], [[2.0, 0.0, 0.0]]], dtype=torch.float64)
    out = torch.tensor([0.0, 0.0, -math.inf], dtype=torch.float64)
    kl, entropy = lens(lambda x: x + out, [a, b, c])
    apart, plain = lens(lambda x: x[..., :2], [a, b, c])
    torch.testing.assert_close(kl, apart)
    torch.testing.assert_close(entropy, plain)
    assert lens(lambda x: x, [a + out, c])[0].tolist() == [[math.inf], [0.0]]
    kl, entropy = lens(lambda x: x, [a * math.nan, c])
    assert math.isnan(kl[0, 0])
    assert math.isnan(entropy[0, 0])
    assert kl[1, 0] == 0


def test_the_lens_of_a_checkpoint_ends_at_its_answer():
    m = dl.open_checkpoint("demo:hop-injected", [1, 2, 3])
    found = dl.inference_stages(m, loops=3)
    assert found.curves["kl"].shape == (3, m.layer_count)
    assert found.curves["kl"][-1, -1] == 0
    x = m.sections(m.start())
    p, q = (m.decode(s).double().log_softmax(-1) for s in (m(m(m(m.start()))), x[2]))
    own = (p.exp() * (p - q)).sum(-1).mean()
    assert found.curves["kl"][0, 1] == pytest.approx(float(own), rel=1e-6)
    assert "kl" not in dl.inference_stages(m, loops=1, logits=False).curves


def test_curves_are_averaged_over_starts_or_prompts_with_their_error():
    m = block()
    x = m.start(0, 3)
    found = dl.inference_stages(m, x, loops=2)
    rows = [dl.inference_stages(m, x[i : i + 1], loops=2) for i in range(3)]
    for name, curve in found.curves.items():
        each = np.stack([one.curves[name] for one in rows])
        np.testing.assert_allclose(curve, each.mean(0), atol=1e-13)
        np.testing.assert_allclose(found.errors[name], each.std(0, ddof=1) / math.sqrt(3), atol=1e-13)
        assert np.isnan(rows[0].errors[name]).all()
    prompts = [dl.open_checkpoint("demo:hop-injected", prompt) for prompt in ([1, 2, 3], [3, 2, 1, 4])]
    both = dl.inference_stages(prompts, loops=2)
    apart = [dl.inference_stages(one, loops=2).curves["mixing"] for one in prompts]
    np.testing.assert_allclose(both.curves["mixing"], np.mean(apart, axis=0))
    assert both.samples == 2
    assert both.settings["tokens"] == [3, 4]


def test_at_a_fixed_point_every_loop_repeats_the_last():
    found = dl.inference_stages(block(seed=3), loops=120)
    for name in ("mixing", "concentration", "matrix_entropy", "norm"):
        assert found.repeat[name].shape == (119,)
        assert found.repeat[name][-1] == pytest.approx(1, abs=1e-9)
        assert found.repeat[name][0] < 1 - 1e-4


def test_agreement_by_hand():
    a = np.array([0.0, 1.0, 2.0])
    assert agreement(a, a) == 1
    assert agreement(a, -a + 2) == -1
    assert agreement(a, a + 1) == pytest.approx(2 * (2 / 3) / (4 / 3 + 1))
    assert agreement(a, 2 * a) == pytest.approx(2 * (4 / 3) / (2 / 3 + 8 / 3 + 1))
    assert np.isnan(agreement(a, np.ones(3)))
    assert np.isnan(agreement(np.ones(3) + 1e-15 * a, np.ones(3)))
    assert np.isnan(agreement(a, np.array([0, 1, np.nan])))


def test_stages_do_not_depend_on_the_basis_of_the_stream():
    """In an orthogonal basis every number stays: the stream is turned, attention is as it was."""
    m = block(norm="none", injection="none")
    P = torch.linalg.qr(torch.randn(16, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64))[0]
    turned = dl.TorchMap([lambda x, f=f: f(x @ P.T) @ P for f in m.layers], m.state_shape, causal=m.causal)
    x = m.start(0)
    a, b = dl.inference_stages(m, x, loops=2), dl.inference_stages(turned, x @ P, loops=2)
    for name, curve in a.curves.items():
        np.testing.assert_allclose(b.curves[name], curve, atol=1e-10)


@pytest.mark.parametrize("name", ["albert", "hrm", "huginn", "looped_icl", "trm"])
def test_numbers_of_checkpoints_are_within_their_bounds(name):
    from pathlib import Path

    m = dl.open_checkpoint(Path(__file__).parents[1] / "data" / name)
    found = dl.inference_stages(m, loops=2)
    for metric in ("concentration", "sink_rate"):
        assert ((found.curves[metric] >= 0) & (found.curves[metric] <= 1)).all()
    rows = math.prod(m.state_shape[:-1])
    assert (found.curves["matrix_entropy"] <= math.log(min(rows, m.state_shape[-1])) + 1e-6).all()
    assert ("kl" in found.curves) == (m.read_out == "logits")


def test_a_lost_orbit_has_no_numbers():
    m = torch_map(uniform, lambda x: 1e200 * x)
    found = dl.inference_stages(m, loops=3)
    assert np.isnan(found.curves["matrix_entropy"][-1, -1])
    assert not np.isfinite(found.curves["norm"][-1, -1])


def test_record_progress_and_saving(tmp_path):
    seen = []
    m = [dl.open_checkpoint("demo:hop-injected", prompt) for prompt in ([1, 2], [2, 3])]
    found = dl.inference_stages(m, loops=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert "2 prompts" in repr(found)
    again = dl.load(found.save(tmp_path / "found"))
    for name in found.curves:
        np.testing.assert_array_equal(again.curves[name], found.curves[name])


@pytest.mark.parametrize(
    ("blocks", "options", "said"),
    [
        ([], {}, "blocks is empty"),
        (block(), {"loops": 0}, "loops must be a positive int; got 0"),
        (block(), {"sink_token": 5}, "sink_token must be one of the 5 tokens"),
        (block(), {"sink_token": 0.5}, "sink_token must be an int, or None"),
        (block(), {"sink_threshold": 0}, "sink_threshold must be a number in"),
        (block(), {"logits": "yes"}, "logits must be True, False or a callable"),
        ([block(), block(layers=2)], {}, "blocks must have the same layers"),
        ([block()], {"starts": np.zeros((1, 5, 16))}, "starts go with one block"),
        (torch_map(flattening), {}, "no attention was seen"),
    ],
)
def test_bad_arguments_are_named(blocks, options, said):
    with pytest.raises(InvalidArgumentError, match=said):
        dl.inference_stages(blocks, **options)


def test_logits_of_the_wrong_shape_are_refused():
    with pytest.raises(ShapeError, match=r"two classes at least for 1 states; got \(1,\)"):
        dl.inference_stages(block(), loops=1, logits=lambda x: x[:, 0, 0])
