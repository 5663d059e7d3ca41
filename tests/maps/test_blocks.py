"""Families of blocks: the ends are the blocks themselves, nothing is written into them, and what cannot be had."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.errors import InvalidArgumentError, ShapeError


def block(**options):
    return dl.synthetic.looped_transformer(**{"width": 8, "tokens": 3, "heads": 2, "layers": 1, **options})


def test_the_gain_is_that_of_a_block_drawn_with_it():
    m, family = block(), dl.vary(block(), "gain")
    before = m(m.start())
    for gain in (0.5, 3.0):
        assert torch.equal(family(gain)(m.start()), block(gain=gain)(m.start()))
    assert torch.equal(m(m.start()), before)


def test_injection_and_epsilon():
    m = block()
    assert torch.equal(dl.vary(m, "injection")(1.0)(m.start()), m(m.start()))
    assert not torch.equal(dl.vary(m, "injection")(2.0)(m.start()), m(m.start()))
    assert torch.equal(dl.vary(m, "eps")(1e-6)(m.start()), m(m.start()))
    assert not torch.equal(dl.vary(m, "eps")(1.0)(m.start()), m(m.start()))
    twice = dl.vary(dl.vary(m, "injection")(2.0), "injection")(0.5)
    assert torch.equal(twice(m.start()), m(m.start()))


def test_the_line_between_two_blocks():
    m0, m1 = block(seed=0), block(seed=1, gain=2.0)
    family = dl.interpolate(m0, m1, ends=(-1.0, 1.0))
    x = m0.start(3)
    torch.testing.assert_close(family(-1.0)(x), m0(x))
    torch.testing.assert_close(family(1.0)(x), m1(x))
    weights = [[p.detach() for f in m.layers for p in f.parameters()] for m in (m0, family(0.0), m1)]
    for a, half, b in zip(*weights, strict=True):
        torch.testing.assert_close(half, (a + b) / 2)
    assert dl.interpolate(block(dtype=torch.float32), block(seed=1))(0.5).dtype is torch.float64


def test_a_module_that_stands_twice_stays_one():
    m = block()
    twice = dl.TorchMap([*m.layers, *m.layers], m.state_shape, dtype=torch.float64)
    np.testing.assert_array_equal(dl.vary(twice, "gain")(2.0)(m.start()), dl.vary(m, "gain")(2.0).power(2)(m.start()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dl.vary(block(), "width"), "quantity must be one of gain, injection, eps; got 'width'"),
        (lambda: dl.vary(block(injection="none"), "injection"), "m has no injection among the modules"),
        (lambda: dl.vary(dl.zoo.henon(), "gain"), "m must be a TorchMap; got KernelMap"),
        (lambda: dl.vary(block(), "gain")(np.nan), "value must be a finite number"),
        (lambda: dl.interpolate(block(), block()), "m0 and m1 are the same map"),
        (lambda: dl.interpolate(block(), block(layers=2)), r"must have the same structure; got 2 and 3 layers"),
        (lambda: dl.interpolate(block(), block(norm="post")), "layer .* differs in its modules"),
        (lambda: dl.interpolate(block(), block(heads=4)), "differs between m0 and m1 and is no real number"),
        (lambda: dl.interpolate(block(), block(seed=1), ends=(1, 1)), "ends must be two different numbers"),
    ],
)
def test_misuse(call, message):
    with pytest.raises(InvalidArgumentError, match=message):
        call()


def test_prompts_of_two_lengths_do_not_mix():
    with pytest.raises(ShapeError, match="states of one shape"):
        dl.interpolate(block(), block(tokens=4))
