"""A verdict belongs to the orbit: no burn-in, cut of the loop, order of rows or coordinates changes it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.testing.known.coordinates import orthogonal

C, S = np.cos(2 * np.pi * np.sqrt(2)), np.sin(2 * np.pi * np.sqrt(2))


def ring(x):
    size = x.norm(dim=-1, keepdim=True)
    return (x * (1 + 0.5 * (1 - size))) @ torch.tensor([[C, -S], [S, C]], dtype=x.dtype)


def logistic(r):
    return lambda x: torch.cat([r * x[..., :1] * (1 - x[..., :1]), 0.5 * x[..., 1:]], -1)


def chain(x):
    return 0.8 * x + 0.6 * torch.roll(x, -1, -1) * torch.tensor([1.0] * (x.shape[-1] - 1) + [0.0], dtype=x.dtype)


CASES = {  # layers, start, regime, period
    "point": ([lambda x: 0.5 * x, lambda x: torch.tanh(x) + 0.1], np.array([0.3, -0.7]), "CYCLIC", 1),
    "transient growth": ([chain], np.array([0.1, 0.2, 0.5, 1.0, 1.0, 1.0]), "VANISHING", 1),
    "slow": ([lambda x: -0.98 * x], np.array([1.0, -0.4]), "VANISHING", 1),
    "cycle": ([logistic(3.5)], np.array([0.3, 0.2]), "PERIODIC", 4),
    "torus": ([ring], np.array([0.6, 0.2]), "QUASIPERIODIC", -1),
    "chaos": ([logistic(4.0)], np.array([0.3, 0.2]), "CHAOTIC", -1),
    "ray": ([lambda x: x + torch.tensor([1.0, 2.0]).to(x), torch.relu], np.array([0.3, 0.2]), "RAY", -1),
    "growth": ([lambda x: 1.1 * x + torch.tanh(x)], np.array([1.0, 0.3]), "DIVERGENT", -1),
}
DEAR = [pytest.param(n, marks=pytest.mark.slow) if n in ("torus", "chaos") else n for n in CASES]
CHEAP = ["point", "transient growth", "slow", "cycle", "growth"]


def verdict(layers, start, expected):
    # 1024 loops know a frequency too coarsely to exclude every period up to 10 000
    loops = 4096 if expected == "QUASIPERIODIC" else 1024
    found = dl.classify(dl.TorchMap(layers, start.shape), start, loops=loops)
    return found.regime[()].name, int(found.period[()])


def moved(layers, to, back):
    """Conjugate every layer."""
    return [lambda x, f=f: to(f(back(x))) for f in layers]


@pytest.mark.parametrize("name", DEAR)
def test_the_cases_are_what_they_are(name):
    layers, start, regime, period = CASES[name]
    assert verdict(layers, start, regime) == (regime, period)


@pytest.mark.parametrize("name", DEAR)
@pytest.mark.parametrize("loops", [1, 37])
def test_burn_in_changes_nothing(name, loops):
    layers, start, regime, period = CASES[name]
    m = dl.TorchMap(layers, start.shape)
    later = m.numpy(m.watch(m.native(start[None]), loops, m.native(start[None])).states)[0]
    assert verdict(layers, later, regime) == (regime, period)


@pytest.mark.parametrize("name", DEAR)
def test_an_orthogonal_change_of_coordinates_changes_nothing(name):
    layers, start, regime, period = CASES[name]
    Q = torch.as_tensor(orthogonal(np.random.default_rng(3), len(start)))
    turned = moved(layers, lambda x: x @ Q.T.to(x), lambda x: x @ Q.to(x))
    assert verdict(turned, Q.numpy() @ start, regime) == (regime, period)


@settings(max_examples=10, deadline=None)
@given(name=st.sampled_from(CHEAP), seed=st.integers(0, 999), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_coordinates_and_units_by_draw(name, seed, scale):
    layers, start, regime, period = CASES[name]
    Q = torch.as_tensor(orthogonal(np.random.default_rng(seed), len(start)))
    turned = moved(layers, lambda x: scale * x @ Q.T.to(x), lambda x: x @ Q.to(x) / scale)
    assert verdict(turned, scale * Q.numpy() @ start, regime) == (regime, period)


@pytest.mark.parametrize("name", DEAR)
def test_where_the_loop_is_cut_changes_nothing(name):
    layers, start, regime, period = CASES[name]
    whole = [*layers, lambda x: x]
    first = dl.TorchMap(whole[:1], start.shape)
    later = first.numpy(first(first.native(start[None])))[0]
    assert verdict([*whole[1:], whole[0]], later, regime) == (regime, period)


@pytest.mark.parametrize("name", ["point", "cycle", "growth", pytest.param("chaos", marks=pytest.mark.slow)])
def test_the_order_of_rows_changes_nothing(name):
    """Rows beside each other, each with the layers of a case; every order of them and of the starts."""
    layers, start, regime, period = CASES[name]
    rest = np.full_like(start, 0.1)
    order = [2, 0, 1]
    rows = np.stack([start, rest, start])
    m = dl.TorchMap(layers, rows.shape)
    for states in (rows, rows[order]):
        found = dl.classify(m, states, loops=1024)
        assert (found.regime[()].name, int(found.period[()])) == (regime, period)
    starts = np.stack([rows, rows[order], rows])
    found = dl.classify(m, starts, loops=1024)
    assert {r.name for r in found.regime} == {regime}
    assert set(found.period.tolist()) == {period}
