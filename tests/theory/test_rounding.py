"""Finite precision: the floor is measured and respected, and rounding never turns a fixed point into motion."""

import numpy as np
import torch
from hypothesis import strategies as st

import dynloop as dl
from dynloop.testing import known, strategies
from tests.theory.cases import cases

AT_REST = (dl.Regime.VANISHING, dl.Regime.CYCLIC, dl.Regime.UNDECIDED)
SEEDS = st.integers(0, 2**31)
LOW = st.sampled_from([torch.bfloat16, torch.float16, torch.float32])


@cases(230, row=strategies.contractions(), dtype=LOW)
def test_the_floor_is_the_rounding_of_one_loop(row, dtype):
    """Of this state, relative to its image; never below one unit of roundoff."""
    m = dl.TorchMap(row.map.layers, row.map.state_shape, dtype=dtype)
    x = m.native(row.starts)
    floor = dl.precision_floor(m, x)[:, 0]
    low, exact = m.numpy(m(x)), row.map.numpy(row.map(row.map.native(m.numpy(x))))
    error, size = np.linalg.norm(low - exact, axis=1), np.linalg.norm(exact, axis=1)
    eps = torch.finfo(dtype).eps
    assert (floor >= eps).all()
    np.testing.assert_allclose(floor, np.maximum(error / np.maximum(size, 1e-300), eps), rtol=1e-6)


@cases(65, row=strategies.contractions(max_q=0.7))
def test_rounded_states_stay_near_the_limit(row):
    """A contraction in a grid of bfloat16: no state strays farther than rounding over 1 − q."""
    m = row.map
    rounded = dl.TorchMap([*m.layers, lambda x: x.bfloat16().to(x)], m.state_shape)
    x = m.native(row.starts)
    limit = m.numpy(m.watch(x, 150, x).states)
    seen = rounded.watch(x, 60, m.native(limit))
    largest = np.maximum(seen.norms[-20:].max(), np.linalg.norm(limit, axis=1).max())
    assert seen.returns[-20:].max() <= (2**-8 * largest + row.q**40 * 100 + 1e-12) / (1 - row.q)


@cases(35, seed=SEEDS, dim=st.integers(1, 4), layers=st.integers(1, 3), kind=st.sampled_from(["vanishing", "cyclic"]),
       rate=st.floats(0.1, 0.9), dtype=st.sampled_from([torch.bfloat16, torch.float32]))  # fmt: skip
def test_a_fixed_point_in_low_precision_is_never_called_motion(seed, dim, layers, kind, rate, dtype):
    layers = max(layers, 2 if kind == "cyclic" else 1)
    row = known.affine(np.random.default_rng(seed), dim=dim, layers=layers, kind=kind, rate=rate, dtype=dtype)
    found = dl.classify(row.map, row.start)
    assert found.regime[()] in AT_REST
    assert row.wrong(found) == []


@cases(35, seed=SEEDS, dim=st.integers(1, 3), rate=st.floats(0.1, 0.9))
def test_without_a_twin_it_is_not_either(seed, dim, rate):
    """polish="never": what the bfloat16 orbit itself shows."""
    row = known.affine(np.random.default_rng(seed), dim=dim, layers=2, kind="cyclic", rate=rate, dtype=torch.bfloat16)
    found = dl.classify(row.map, row.start, polish="never", loops=256)
    assert found.regime[()] in (*AT_REST, dl.Regime.PERIODIC)
    assert found.evidence.floor >= 2**-8
    if found.regime[()] is dl.Regime.CYCLIC:
        gap = np.abs(row.map.numpy(found.states) - row.limit).max()
        assert gap <= 64 * 2**-8 * (1 + np.abs(row.limit).max()) / (1 - rate)


@cases(35, row=strategies.contractions(max_q=0.8, max_dim=3))
def test_rounding_inside_a_float64_map_makes_no_chaos_of_a_fixed_point(row):
    """The last layer rounds to bfloat16: orbits end in a point or a short cycle of the grid, which is no chaos."""
    m = dl.TorchMap([*row.map.layers, _rounded], row.map.state_shape)
    try:
        found = dl.classify(m, row.start, loops=256)
    except dl.errors.DerivativeError:
        return  # a staircase has no derivative: refused, not guessed
    assert found.regime[()] not in (dl.Regime.CHAOTIC, dl.Regime.QUASIPERIODIC, dl.Regime.RAY, dl.Regime.DIVERGENT)


def _rounded(x):
    return x.bfloat16().to(x)


@cases(12, row=strategies.blocks(norms=("huginn",), injections=("concat",), gains=(0.3,), max_layers=1, max_tokens=2,
                                 dtype=torch.bfloat16))  # fmt: skip
def test_blocks_that_rest_in_float64_do_not_move_in_bfloat16(row):
    high = row.map.twin()
    x = high.native(row.starts[:1])
    if high.watch(x, 300, x).steps[-1].max() > 1e-12:
        return
    twin = dl.classify(high, row.start, loops=1024)
    low = dl.classify(row.map, row.start, loops=1024)
    for high, found in zip(np.ravel(twin.regime), np.ravel(low.regime), strict=True):
        if high in AT_REST[:2]:
            assert found in AT_REST
