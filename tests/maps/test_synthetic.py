"""synthetic.looped_transformer: promised weights, every placement of norm and injection, causality, precision."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

import dynloop as dl
from dynloop.errors import InvalidArgumentError

SMALL = {"layers": 2, "width": 8, "heads": 2, "tokens": 3}


def make(**options):
    return dl.synthetic.looped_transformer(**{**SMALL, **options})


def rms(x):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def by_hand(block, x, norm):
    """The loop of a block without injection, written out after the table of norms."""
    for branch in block:
        f, gain = branch.f, branch.gain
        if norm == "pre":
            x = x + gain * f(rms(x))
        elif norm == "post":
            x = rms(x + gain * f(x))
        elif norm == "huginn":
            x = rms(x + gain * f(rms(x)))
        elif norm == "ouro":
            x = x + gain * rms(f(rms(x)))
        else:
            x = x + gain * f(x)
    return rms(x) if norm == "ouro" else x


@pytest.mark.parametrize("norm", ["pre", "post", "huginn", "ouro", "none"])
def test_norms_stand_where_the_table_says(norm):
    m = make(norm=norm, injection="none", gain=0.7, granularity="sublayer")
    branches = [layer for layer, name in zip(m.layers, m.layer_names, strict=True) if name != "norm"]
    x = m.start(0, 2)
    torch.testing.assert_close(m(x), by_hand(branches, x, norm), rtol=1e-13, atol=1e-13)
    assert (m.layer_names[-1] == "norm") == (norm == "ouro")


@pytest.mark.parametrize("injection", ["add", "concat"])
def test_the_injection_is_the_first_layer(injection):
    m = make(injection=injection)
    inject = m.layers[0]
    x = m.start(0, 2)
    if injection == "add":
        torch.testing.assert_close(m.sections(x)[1], x + inject.e)
        assert m.layer_names[0] == "inject"
    else:
        W = inject.module.adapter.weight
        torch.testing.assert_close(m.sections(x)[1], torch.cat([x, inject.e.expand_as(x)], -1) @ W.T)
        assert W.shape == (8, 16)
        assert m.layer_names[0] == "adapter"


def test_weights_have_the_promised_spread():
    m = dl.synthetic.looped_transformer(layers=3, width=128, heads=4, tokens=2, granularity="sublayer")
    std = math.sqrt(2 / (5 * 128))
    attention, mlp = m.layers[1].f, m.layers[2].f
    assert mlp.up.weight.shape == (512, 128)
    assert float(mlp.up.weight.std()) == pytest.approx(std, rel=0.02)
    assert float(attention.q.weight.std()) == pytest.approx(std, rel=0.03)
    assert float(mlp.down.weight.std()) == pytest.approx(std / math.sqrt(6), rel=0.02)
    assert float(attention.o.weight.std()) == pytest.approx(std / math.sqrt(6), rel=0.03)
    assert float(m.layers[0].module.adapter.weight.std()) == pytest.approx(std, rel=0.03)


def test_the_mlp_has_the_exact_gelu():
    mlp = make(granularity="sublayer").layers[2].f
    x = torch.randn(5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(mlp(x), functional.gelu(x @ mlp.up.weight.T) @ mlp.down.weight.T)


def test_gain_zero_leaves_the_injection_alone():
    x = make().start(0, 1)
    torch.testing.assert_close(make(gain=0.0)(x), make(gain=0.0).sections(x)[1])
    assert torch.equal(make(gain=0.0, injection="none")(x), x)


@pytest.mark.parametrize("granularity", ["layer", "sublayer"])
def test_granularity_changes_the_sections_not_the_map(granularity):
    m = make(granularity=granularity)
    x = m.start(0, 2)
    assert m.layer_count == (3 if granularity == "layer" else 5)
    torch.testing.assert_close(m(x), make()(x))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("rope", [True, False])
def test_causality_is_what_it_says(causal, rope):
    m = make(causal=causal, rope=rope)
    x = m.start(0, 1)
    y = x.clone()
    y[:, 2] += 1.0
    same = torch.equal(m(x)[:, :2], m(y)[:, :2])
    assert same == causal
    assert m.causal == causal


def test_rotary_positions_tell_tokens_apart():
    x = torch.randn(1, 1, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).repeat(1, 3, 1)
    x[:, 0] *= 2
    flat = make(rope=False, causal=False, injection="none")(x)
    turned = make(rope=True, causal=False, injection="none")(x)
    torch.testing.assert_close(flat[:, 1], flat[:, 2])
    assert not torch.allclose(turned[:, 1], turned[:, 2])


def test_a_seed_gives_one_block_in_every_dtype():
    x = make().start(0, 1)
    exact = make(seed=3)(x)
    assert torch.equal(make(seed=3)(x), exact)
    assert not torch.equal(make(seed=4)(x), exact)
    for dtype in (torch.float32, torch.bfloat16):
        found = make(seed=3, dtype=dtype)(x)
        assert found.dtype == dtype
        assert float((found.double() - exact).norm() / exact.norm()) < 8 * torch.finfo(dtype).eps
        twin = make(seed=3, dtype=dtype).twin()
        assert twin(x).dtype == torch.float64


def test_drawing_a_block_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    make(seed=11).start(2, 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_smallest_block():
    m = dl.synthetic.looped_transformer(layers=1, width=2, heads=1, tokens=1)
    assert m(m.start()).shape == (1, 1, 2)
    assert np.isfinite(m.numpy(m(m.start()))).all()


def test_sizes_may_be_ints_of_numpy():
    sizes = {"layers": 1, "width": 8, "heads": 2, "tokens": 3, "seed": 4}
    make_of = dl.synthetic.looped_transformer
    m, other = make_of(**sizes), make_of(**{name: np.int64(size) for name, size in sizes.items()})
    assert torch.equal(m(m.start()), other(other.start()))
    assert other.facts == m.facts
    assert {type(other.facts[name]) for name in ("layers", "seed")} == {int}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"norm": "layer"}, "norm must be one of pre, post, huginn, ouro, none; got 'layer'"),
        ({"injection": "mul"}, "injection must be one of none, add, concat"),
        ({"granularity": "block"}, "granularity must be one of layer, sublayer"),
        ({"heads": 3}, "heads must divide width; got heads=3, width=8. Choose width=9"),
        ({"heads": 8}, "even head width.*rope=False"),
        ({"layers": 0}, "layers must be a positive int"),
        ({"tokens": 0}, "tokens must be a positive int"),
        ({"gain": math.nan}, "gain must be a finite number"),
        ({"seed": "x"}, "seed must be an int"),
    ],
)
def test_misuse_is_named(options, words):
    with pytest.raises(InvalidArgumentError, match=words):
        make(**options)
