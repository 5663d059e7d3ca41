"""T12: on a ray the contribution vanishes relative to the state; increments tend to constants that do not close."""

import numpy as np
import torch
from hypothesis import strategies as st

import dynloop as dl
from dynloop.orbits.polygon import polygon
from dynloop.testing import strategies
from tests.theory.cases import cases


def shifts(seed, layers, dim):
    c = np.random.default_rng(seed).standard_normal((layers, dim))
    return dl.TorchMap([lambda x, b=b: x + b for b in torch.as_tensor(c)], (dim,)), c


@cases(325, seed=st.integers(0, 2**31), layers=st.integers(1, 4), dim=st.integers(1, 4), loops=st.integers(50, 10**6))
def test_the_relative_step_falls_as_one_over_t_while_the_closure_gap_is_the_step(seed, layers, dim, loops):
    """The plainest ray, ``x ← x + c_l``: after t loops it is at x_0 + t·Σc_l."""
    m, c = shifts(seed, layers, dim)
    total, perimeter = c.sum(axis=0), np.linalg.norm(c, axis=1).sum()
    x = np.random.default_rng(seed + 1).standard_normal((1, dim)) + loops * total
    found = polygon(m, m.native(x), joint=True)
    size = np.linalg.norm(m.numpy(m.sections(m.native(x)))[:, 0], axis=1).max()
    np.testing.assert_allclose(found.perimeter[0] * size, perimeter, rtol=1e-7)
    np.testing.assert_allclose(found.closure[0], np.linalg.norm(total) / perimeter, rtol=1e-6, atol=1e-9)
    relative = found.closure[0] * found.perimeter[0]
    np.testing.assert_allclose(relative * loops, np.linalg.norm(total) * loops / size, rtol=1e-6)
    if np.linalg.norm(total) > 0.1:
        assert abs(relative * loops - 1) < 0.1 + 30 * perimeter / (loops * np.linalg.norm(total))


@cases(50, row=strategies.rays(max_dim=4))
def test_increments_tend_to_constants_that_add_up_to_the_velocity(row):
    m = row.map
    x = m.native(row.start[None])
    seen = m.watch(x, 300, x)
    steps, norms = seen.steps[:, 0, 0], seen.norms[:, 0, 0]
    assert steps[-1] > 1e-3
    assert abs(steps[-1] / steps[-100] - 1) < 0.15
    assert steps[-1] / norms[-1] < 2.5 / 300 * 4
    found = polygon(m, seen.states, joint=True)
    last = m.numpy(m(seen.states)) - m.numpy(seen.states)
    size = np.linalg.norm(m.numpy(m.sections(seen.states))[:, 0], axis=1).max()
    np.testing.assert_allclose(found.closure[0] * found.perimeter[0] * size, np.linalg.norm(last), rtol=1e-9)


@cases(140, row=strategies.blocks(norms=("pre",), injections=("none", "add"), gains=(1.0, 2.0), max_tokens=2))
def test_increments_of_a_pre_norm_block_depend_on_directions_alone_far_out(row):
    """g_l(s·x) is the same at s = 10⁶ and 10⁷: a plain added injection counts as a constant."""
    m = row.map
    far, further = (m.numpy(m.sections(m.native(s * row.starts[:1]))) for s in (1e6, 1e7))
    one, other = np.diff(far, axis=0), np.diff(further, axis=0)
    np.testing.assert_allclose(other, one, rtol=0, atol=1e-3 * (1e-3 + np.abs(one).max()) + 1e-5)


@cases(20, row=strategies.rays(max_dim=3))
def test_the_classifier_calls_a_ray_a_ray_and_says_that_it_does_not_close(row):
    found = dl.classify(row.map, row.start)
    assert row.wrong(found) == []
    if found.regime[()] is dl.Regime.RAY:
        e = found.evidence
        assert found.dichotomy[()] == "not applicable"
        assert found.period[()] == -1
        assert e.closure * e.perimeter > 0
        end = row.map.native(row.map.numpy(found.states)[None])
        step = np.linalg.norm(row.map.numpy(row.map(end)) - row.map.numpy(end))
        np.testing.assert_allclose(e.step, step / e.norm, rtol=0.05)
        np.testing.assert_allclose(e.closure * e.perimeter * e.norm, step, rtol=0.05)


@cases(12, rate=st.floats(0.9, 0.9999), seed=st.integers(0, 2**31))
def test_growth_that_saturates_is_never_called_a_ray(rate, seed):
    """C17: 0.9999 x + c looks like a ray for thousands of loops."""
    c = np.random.default_rng(seed).uniform(0.5, 2, 2)
    m = dl.TorchMap([lambda x: rate * x + torch.as_tensor(c)], (2,))
    found = dl.classify(m, np.zeros(2), loops=256)
    assert found.regime[()] not in (dl.Regime.RAY, dl.Regime.DIVERGENT, dl.Regime.DRIFT)
