"""Drawn maps are what they claim, and a broken property shrinks to a small one that its name describes."""

import numpy as np
import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.testing import strategies

QUICK = settings(max_examples=100, derandomize=True, database=None, deadline=None)


# -- shrinking ---------------------------------------------------------------------------------------------------------


def expands(row):
    """The broken claim that every loop is a contraction of its first two starts."""
    m = row.map
    x = m.native(row.starts[:2])
    return float((m(x)[0] - m(x)[1]).norm()) > float((x[0] - x[1]).norm()) * 1.001


@pytest.mark.parametrize(
    ("drawn", "claim", "least"),
    [
        (strategies.layered_maps(6, 5), expands, {"dim": 2, "layers": 2}),
        (strategies.affine_cycles(6, 5), lambda row: np.linalg.norm(row.matrix, 2) > 1, {"dim": 2, "layers": 2}),
        (strategies.contractions(6, 4), lambda row: row.q > 0.5, {"dim": 1, "layers": 1}),
        (strategies.closed_loops(6, 5), lambda row: np.abs(np.diff(row.map.numpy(row.map.sections(row.map.native(
            row.starts[:1]))), axis=0)).max() > 0.1, {"dim": 1, "layers": 2}),
        (strategies.converging(6), lambda row: row.map.layer_count > 1, {"dim": 1, "layers": 2}),
        (strategies.cycles(), lambda row: row.period[0] > 3, {"dim": 2, "layers": 1}),
    ],
    ids=["layers", "affine", "contraction", "closed", "converging", "cycles"],
)  # fmt: skip
def test_a_counter_example_shrinks_to_few_coordinates_and_layers(drawn, claim, least):
    row = find(drawn, claim, settings=QUICK)
    assert claim(row)
    assert row.map.dimension <= least["dim"]
    assert row.map.layer_count <= least["layers"]
    assert int(row.name.rsplit("seed ", 1)[1]) < 100


@pytest.mark.slow
def test_a_block_shrinks_to_the_plainest_one():
    row = find(strategies.blocks(), lambda row: not row.map.causal and "norm" in row.map.layer_names, settings=QUICK)
    assert row.name == "block ouro+none gain 1 layers 1 heads 1 of 2 tokens 1 not causal layer seed 0"


@pytest.mark.slow
def test_a_conjugation_shrinks_with_its_map():
    row = find(strategies.conjugations(strategies.layered_maps()), lambda row: row.matrix is None, settings=QUICK)
    assert row.map.dimension == 1
    assert row.name.endswith("in bent coordinates of seed 0")


# -- what they claim ---------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(row=strategies.affine_cycles())
def test_affine_loops_have_the_limit_and_the_rate_that_they_say(row):
    m = row.map
    back = m.numpy(m(m.native(row.limit[None])))[0]
    np.testing.assert_allclose(back, row.limit, rtol=0, atol=1e-9 * (1 + np.abs(row.sections).max()))
    assert np.abs(np.linalg.eigvals(row.matrix)).max() == pytest.approx(row.rate, abs=1e-5)


@settings(max_examples=60)
@given(row=strategies.closed_loops())
def test_closed_loops_fix_their_start(row):
    m = row.map
    back = m.numpy(m(m.native(row.starts[:1])))[0]
    np.testing.assert_allclose(back, row.start, rtol=0, atol=1e-12 * (1 + np.abs(row.start).max()) * 1e3)


@settings(max_examples=40)
@given(row=strategies.conjugations(strategies.layered_maps(max_layers=2)))
def test_conjugated_loops_do_the_same_elsewhere(row):
    m = row.original.map
    image = row.map.numpy(row.map(row.map.native(row.start[None])))[0]
    if row.matrix is not None:
        expected = row.matrix @ m.numpy(m(m.native(row.original.starts[:1])))[0]
        np.testing.assert_allclose(image, expected, rtol=0, atol=1e-9 * (1 + np.abs(expected).max()))
    assert row.map.layer_count == m.layer_count


@settings(max_examples=30)
@given(row=strategies.blocks(dtype=torch.bfloat16, causal=True), other=st.integers(0, 3))
def test_blocks_follow_the_options(row, other):
    assert row.map.causal
    assert row.map.dtype is torch.bfloat16
    assert row.starts.shape == (3, *row.map.state_shape)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: strategies.affine_cycles(0), "max_dim must be a positive int"),
        (lambda: strategies.layered_maps(3, 0), "max_layers must be a positive int"),
        (lambda: strategies.contractions(True), "max_dim must be a positive int; got True"),
        (lambda: strategies.cycles(1), "period must be an int of at least 2"),
        (lambda: strategies.blocks(norms=("batch",)), "norms must be one or more of pre, post"),
        (lambda: strategies.blocks(injections=()), "injections must be one or more of"),
        (lambda: strategies.conjugations(strategies.cycles(), kinds=("polar",)), "kinds must be one or more of"),
    ],
)
def test_arguments_out_of_range_are_refused(call, words):
    with pytest.raises(dl.errors.InvalidArgumentError, match=words):
        call()
