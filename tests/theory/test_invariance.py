"""The class of a drawn orbit does not depend on burn-in, section, order of rows, coordinates, or company in a batch.

Fixed cases, scales and orthogonal coordinates among them: tests/orbits/test_invariance.py.
"""

import numpy as np
import torch
from hypothesis import strategies as st

import dynloop as dl
from dynloop.testing import strategies
from tests.theory.cases import cases
from tests.theory.test_periods import windows


def same(found, other):
    """Two verdicts may not contradict each other; UNDECIDED contradicts nothing."""
    a, b = found.regime[()], other.regime[()]
    if dl.Regime.UNDECIDED in (a, b):
        return
    assert a is b
    assert found.period[()] == other.period[()]
    if not np.isnan([found.rate[()], other.rate[()]]).any():
        assert abs(found.rate[()] - other.rate[()]) <= 1e-3


calm = strategies.converging(max_dim=4) | strategies.cycles(max_dim=3) | strategies.divergent(max_dim=3)


@cases(20, row=calm, loops=st.integers(1, 40))
def test_burn_in(row, loops):
    m = row.map
    later = m.numpy(m.watch(m.native(row.start[None]), loops, m.native(row.start[None])).states)[0]
    found = dl.classify(m, later)
    assert row.wrong(found) == []
    same(dl.classify(m, row.start), found)


@cases(165, window=windows(), loops=st.integers(1, 200), seed=st.integers(0, 2**31))
def test_burn_in_of_a_compiled_map(window, loops, seed):
    m = dl.zoo.logistic(window[1])
    start = np.random.default_rng(seed).uniform(0.05, 0.95, (1, 1))
    later = m.watch(start, loops, start).states
    here, there = dl.classify(m, start[0]), dl.classify(m, later[0])
    same(here, there)
    assert here.period[()] in (-1, window[0])


@cases(16, row=calm, turn=st.integers(1, 3))
def test_section(row, turn):
    m, l = row.map, turn % row.map.layer_count
    section = m.numpy(m.sections(m.native(row.start[None])))[l, 0]
    same(dl.classify(m, row.start), dl.classify(m.rotate(l), section))


@cases(12, row=strategies.converging(max_dim=3) | strategies.cycles(max_dim=2), seed=st.integers(0, 2**31))
def test_order_of_coordinates(row, seed):
    """A permutation of the coordinates of every layer."""
    order = torch.as_tensor(np.random.default_rng(seed).permutation(row.map.dimension))
    back = torch.argsort(order)
    layers = [lambda x, f=f: f(x[:, back])[:, order] for f in row.map.layers]
    other = dl.TorchMap(layers, row.map.state_shape)
    same(dl.classify(row.map, row.start), dl.classify(other, row.start[order.numpy()]))


@cases(12, decides=0.9, row=strategies.conjugations(strategies.converging(max_dim=3) | strategies.cycles(max_dim=2)))
def test_coordinates(row):
    """One change of coordinates for all sections keeps the side of the dichotomy too."""
    found = dl.classify(row.map, row.start)
    if found.regime[()] is dl.Regime.UNDECIDED:
        return False
    assert found.regime[()].name == row.original.label
    assert found.period[()] == row.original.period[0]
    return True


@cases(125, window=windows(1, 2, 4), seed=st.integers(0, 2**31))
def test_company_and_order_in_a_batch(window, seed):
    """Rows finish by themselves: a start has one verdict, alone, among others, and wherever it stands."""
    m, rng = dl.zoo.logistic(window[1]), np.random.default_rng(seed)
    starts, order = rng.uniform(0.05, 0.95, (5, 1)), rng.permutation(5)
    together, shuffled, alone = dl.classify(m, starts), dl.classify(m, starts[order]), dl.classify(m, starts[2])
    assert (shuffled.regime == together.regime[order]).all()
    assert (shuffled.period == together.period[order]).all()
    assert alone.regime[()] is together.regime[2]
    assert alone.period[()] == together.period[2]


@cases(20, rate=st.floats(1.05, 1.9), seed=st.integers(0, 2**31))
def test_divergence_is_seen_in_every_unit(rate, seed):
    unit = 10.0 ** np.random.default_rng(seed).integers(-5, 6)
    m = dl.TorchMap([lambda x: rate * x + unit * torch.sin(x / unit)], (1,))
    found = dl.classify(m, np.array([50.0 * unit]))
    assert found.regime[()] in (dl.Regime.DIVERGENT, dl.Regime.UNDECIDED)
    assert found.dichotomy[()] == "not applicable"


@cases(250, seed=st.integers(0, 2**31), turns=st.tuples(st.integers(-3, 3), st.integers(-3, 3)))
def test_whole_turns_of_an_angle_move_nothing(seed, turns):
    """The standard map lives on a torus: displacements go the shortest way round."""
    m = dl.zoo.standard()
    a, b = np.random.default_rng(seed).uniform(0, 1, (2, 3, 2)) * m.periods
    found, moved = m.displacement(a, b), m.displacement(a + np.array(turns) * m.periods, b)
    np.testing.assert_allclose(moved, found, rtol=0, atol=1e-9)
    assert (np.abs(found) <= m.periods / 2 + 1e-12).all()
    seen = m.watch(m.native(a), 1, m.native(b))
    step = np.linalg.norm(m.displacement(m(a), a), axis=1)
    np.testing.assert_allclose(seen.steps[0, :, 0], step, rtol=0, atol=1e-9)
