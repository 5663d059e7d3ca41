"""T0: the increments of one loop add up to its step, whatever the map; every operation of the loop is one of them."""

import numpy as np
import torch
from hypothesis import strategies as st

import dynloop as dl
from dynloop.testing import strategies
from tests.theory.cases import cases
from tests.theory.maps import kernels


def telescopes(m, states, tolerance=1e-12):
    """Increments of every layer, each evaluated by itself on its section, against the step of the loop."""
    x = m.native(states)
    sections = m.numpy(m.sections(x))
    assert sections.shape == (m.layer_count + 1, *states.shape)
    np.testing.assert_array_equal(sections[0], states)
    increments = [m.numpy(m.part(l)(m.native(sections[l]))) - sections[l] for l in range(m.layer_count)]
    step = m.numpy(m(x)) - states
    scale = 1 + np.abs(sections).max()
    np.testing.assert_allclose(sum(increments), step, rtol=0, atol=tolerance * scale * m.layer_count)
    np.testing.assert_allclose(sections[1:] - sections[:-1], increments, rtol=0, atol=tolerance * scale)
    return np.stack(increments), step


@cases(1110, row=strategies.layered_maps())
def test_increments_of_any_layers_add_up_to_the_step(row):
    telescopes(row.map, row.starts)


@cases(465, m=kernels(), seed=st.integers(0, 2**31))
def test_increments_of_compiled_layers_add_up_to_the_step(m, seed):
    telescopes(m, np.random.default_rng(seed).uniform(-1, 1, (3, m.dimension)))


@cases(185, row=strategies.blocks())
def test_increments_of_a_block_add_up_to_the_step(row):
    telescopes(row.map, row.starts)


@cases(185, row=strategies.layered_maps(), loops=st.integers(1, 6), p=st.integers(1, 4))
def test_steps_of_many_loops_telescope_too(row, loops, p):
    """F^p has p·k increments, and its orbit is every p-th state."""
    m = row.map
    found = dl.trajectory(m, row.starts, loops * p, sections=True)
    states, sections = m.numpy(found.states), m.numpy(found.sections)
    assert states.shape[0] == loops * p + 1
    np.testing.assert_array_equal(found.times, np.arange(loops * p + 1))
    np.testing.assert_array_equal(sections[:, 0], states)
    np.testing.assert_array_equal(sections[:-1, -1], states[1:])
    steps = np.diff(sections, axis=1).sum(axis=1)
    scale = 1 + np.abs(sections).max()
    np.testing.assert_allclose(steps[:-1], np.diff(states, axis=0), rtol=0, atol=1e-12 * scale)
    power = m.power(p)
    assert power.layer_count == p * m.layer_count
    _, step = telescopes(power, row.starts)
    np.testing.assert_allclose(step, states[p] - states[0], rtol=0, atol=1e-12 * scale)


@cases(140, row=strategies.blocks(granularity="layer"))
def test_layers_are_sections_of_their_sublayers(row):
    """The granularities cut one loop: the coarse sections are among the fine ones, and increments add up."""
    coarse = row.map
    fine = refined(row)
    x = coarse.native(row.starts)
    two, one = fine.numpy(fine.sections(x)), coarse.numpy(coarse.sections(x))
    kept = [0]
    for name in coarse.layer_names:
        kept.append(kept[-1] + (2 if name.startswith("block") else 1))
    assert kept[-1] == fine.layer_count
    np.testing.assert_allclose(two[kept], one, rtol=1e-12, atol=1e-12)


def refined(row):
    f, shape = row.map.facts, row.map.state_shape
    words = row.name.split()
    return dl.synthetic.looped_transformer(
        norm=f["norm"], injection=f["injection"], layers=f["layers"], width=shape[1], tokens=shape[0],
        heads=int(words[words.index("heads") + 1]), gain=f["gain"], seed=f["seed"], causal=row.map.causal,
        rope="rope" in words, granularity="sublayer",
    )  # fmt: skip


# -- C9: the adapter is a layer ----------------------------------------------------------------------------------------


@cases(140, row=strategies.blocks(injections=("add", "concat")))
def test_the_injection_is_the_first_layer_and_carries_the_prompt(row):
    """It is affine in x, the same for every token's own state, and does not vanish at 0: there it is the prompt's."""
    m = row.map
    assert m.layer_names[0] == {"add": "inject", "concat": "adapter"}[m.facts["injection"]]
    x, y = (m.native(row.starts[i : i + 1]) for i in (0, 1))
    first = m.part(0)
    zero = first(torch.zeros_like(x))
    torch.testing.assert_close(first(x + y) + zero, first(x) + first(y), rtol=0, atol=1e-12)
    assert bool((zero.abs().amax(dim=-1) > 0).all())
    if m.facts["injection"] == "add":
        torch.testing.assert_close(first(x) - x, zero, rtol=0, atol=1e-12)


@cases(90, row=strategies.blocks(injections=("add", "concat"), gains=(1.0, 0.3, 2.0)))
def test_leaving_the_adapter_out_is_detected(row):
    """Without the adapter the increments do not add up to the step of the loop, and the prompt does nothing."""
    m = row.map
    x = m.native(row.starts)
    sections = m.numpy(m.sections(x))
    step = m.numpy(m(x)) - row.starts
    lacking = np.diff(sections[1:], axis=0).sum(axis=0)
    gap = np.abs(step - lacking).max(axis=(1, 2))
    injected = np.abs(sections[1] - sections[0]).max(axis=(1, 2))
    assert (injected > 1e-6).all()
    np.testing.assert_allclose(gap, injected, rtol=1e-9, atol=1e-12)
    without = dl.TorchMap(m.layers[1:], m.state_shape, causal=m.causal)
    assert np.abs(m.numpy(without(x)) - m.numpy(m(x))).max() > 1e-9
