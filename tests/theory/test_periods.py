"""T5: one minimal period at all sections, and what follows for powers, polygons of cycles and basins."""

import math

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

import dynloop as dl
from dynloop.calculus.settled import settled_period
from dynloop.maps.compiled.jit import jit
from dynloop.orbits.recurrence import return_period
from dynloop.testing import strategies
from tests.theory.cases import cases

SINKS = {1: (1.2, 2.9), 2: (3.05, 3.4), 3: (3.83, 3.8405), 4: (3.46, 3.53), 8: (3.5446, 3.563)}  # windows of r


def windows(*periods):
    """Draw a period and a parameter of the logistic map whose attractor has it."""
    chosen = periods or tuple(SINKS)
    return st.sampled_from(chosen).flatmap(lambda p: st.tuples(st.just(p), st.floats(*SINKS[p])))


def settled(row, loops=130):
    m, x = row.map, row.map.native(row.start[None])
    return m.numpy(m.watch(x, loops, x).states)[0]


@cases(185, decides=0.9, window=windows(), q=st.integers(1, 8), seed=st.integers(0, 2**31))
def test_the_period_of_a_power_is_the_period_over_its_common_divisor(window, q, seed):
    """For every start that settles: p / gcd(p, q)."""
    p, r = window
    starts = np.random.default_rng(seed).uniform(0.05, 0.95, (4, 1))
    found = dl.classify(dl.zoo.logistic(r).power(q), starts)
    expected = p // math.gcd(p, q)
    assert set(found.period[found.period > 0].tolist()) <= {expected}
    certain = found.regime != dl.Regime.UNDECIDED
    names = {regime.name for regime in found.regime[certain]}
    assert names <= ({"PERIODIC"} if expected > 1 else {"VANISHING", "CYCLIC"})
    return bool(certain.all())


@cases(185, decides=0.9, values=st.lists(windows(), min_size=3, max_size=3))
def test_periods_in_a_diagram_are_those_of_their_windows(values):
    found = dl.period_diagram(dl.zoo.logistic(), [r for _, r in values], transient=20000)
    assert all(p in (-1, expected) for p, (expected, _) in zip(found.period, values, strict=True))
    return -1 not in found.period


def slope(r, loops=3000, p=24):
    """Multiplier over p loops, near the attractor, by the chain rule; p is a multiple of every drawn period."""
    x, product = 0.3, 1.0
    for _ in range(loops):
        x = r * x * (1 - x)
    for _ in range(p):
        product *= r * (1 - 2 * x)
        x = r * x * (1 - x)
    return product


@cases(125, decides=0.9, window=windows(2, 3, 4), seed=st.integers(0, 2**31))
def test_the_rate_of_a_cycle_is_a_factor_per_loop(window, seed):
    p, r = window
    found = dl.classify(dl.zoo.logistic(r), np.random.default_rng(seed).uniform(0.1, 0.9, 1))
    if found.regime[()] is dl.Regime.UNDECIDED:
        return False
    assert found.regime[()] is dl.Regime.PERIODIC
    assert found.period[()] == p
    assert found.rate[()] == pytest.approx(abs(slope(r)) ** (1 / 24), abs=2e-3)
    return True


def _parabola(x, params, out):
    out[0] = x[0] * (1 - x[0])


def _scale(x, params, out):
    out[0] = params[0] * x[0]


HALVES = [jit(_parabola), jit(_scale)]


def least_period(m, states, largest):
    """The least period that is seen, and the gaps of one round relative to its size."""
    _, period, _ = settled_period(m, states, 48, np.array([largest]))
    path = m.numpy(dl.trajectory(m, states, max(period, 1)).states)[:, 0]
    return period, np.linalg.norm(path[1:] - path[0], axis=1) / np.linalg.norm(path, axis=1).max()


@cases(230, window=windows(1, 2, 3, 4), l=st.integers(0, 1), seed=st.integers(0, 2**31))
def test_the_minimal_period_is_the_same_at_both_sections_of_a_parabola(window, l, seed):
    """The logistic map in two layers, x(1 − x) and r x."""
    p, r = window
    if abs(slope(r)) > 0.05:
        return  # rounding, amplified near a bifurcation, exceeds what counts as settled
    m = dl.KernelMap(HALVES, 1, params=(r,))
    start = np.random.default_rng(seed).uniform(0.1, 0.9, (1, 1))
    here = m.watch(start, 2000, start).states
    period, gaps = least_period(m.rotate(l), m.sections(here)[l], 1.0)
    assert period == p
    assert gaps[-1] < 1e-9
    assert (gaps[:-1] > 1e-6).all()


@cases(35, row=strategies.cycles(max_dim=3), turn=st.integers(0, 2), q=st.integers(2, 12))
def test_a_cycle_has_one_period_at_every_section_and_a_closed_polygon(row, turn, q):
    """Of p·k edges; a power cuts it into cycles of equal length."""
    m, p = row.map, row.period[0]
    here = settled(row)
    sections = m.sections(m.native(here[None]))
    l = turn % m.layer_count
    size = float(np.abs(here).max())
    period, gaps = least_period(m.rotate(l), sections[l], size)
    assert period == p
    assert gaps[-1] < 1e-9
    assert (gaps[:-1] > 1e-6).all()
    _, cut, _ = settled_period(m.power(q), m.native(here[None]), 40, np.array([size]))
    assert cut == p // math.gcd(p, q)
    corners = m.numpy(m.power(p).sections(m.native(here[None])))[:, 0]
    edges = np.diff(corners, axis=0)
    assert len(edges) == p * m.layer_count
    np.testing.assert_allclose(edges.sum(axis=0), 0, rtol=0, atol=1e-9 * (1 + np.abs(corners).max()))
    assert np.linalg.norm(edges, axis=1).max() > 1e-3


@cases(20, r=st.floats(3.1, 3.4), seed=st.integers(0, 2**31))
def test_fixed_points_are_no_cycles_of_two(r, seed):
    """A search for prime period 2 finds the one 2-cycle; the fixed points solve F²(x) = x too, and are told apart."""
    starts = np.concatenate([np.random.default_rng(seed).uniform(0.05, 0.95, (3, 1)), [[1 - 1 / r]]])
    found = dl.find_fixed_points(dl.zoo.logistic(r), starts, period=2)
    assert len(found) == 1
    exact = np.sort(np.roots([r * r, -(r * r + r), r + 1]))
    np.testing.assert_allclose(np.sort(found.points[0].ravel()), exact, rtol=0, atol=1e-9)
    assert dl.Status.SHORTER_PERIOD in found.failed.status.tolist()


@cases(20, row=strategies.cycles(max_dim=3), turn=st.integers(0, 2))
def test_the_classifier_gives_every_section_the_same_period(row, turn):
    m = row.map.rotate(turn)
    section = row.map.numpy(row.map.sections(row.map.native(row.start[None])))[turn % row.map.layer_count, 0]
    found = dl.classify(m, section)
    assert (found.regime[()].name, int(found.period[()])) == ("PERIODIC", row.period[0])
    assert found.rate[()] == pytest.approx(row.rate, abs=1e-3)


@cases(330, p=st.integers(1, 12), rounds=st.integers(2, 6), seed=st.integers(0, 2**31))
def test_the_first_return_whose_multiples_return_is_the_period(p, rounds, seed):
    """Of distances to the state t loops before, on a cycle of p points."""
    points = np.random.default_rng(seed).standard_normal((p, 2))
    times = np.arange(1, rounds * p + 1)
    distances = np.linalg.norm(points[times % p] - points[0], axis=1)
    assert return_period(distances, 1e-9) == p
    assert return_period(distances[: 2 * p - 1], 1e-9) == -1


# -- basins ------------------------------------------------------------------------------------------------------------


def two_sinks(seed, layers):
    """A loop with sinks ±s on a line, cut by layers x ← ±c x: F is odd and increasing, its basins the half lines."""
    rng = np.random.default_rng(seed)
    factors = rng.uniform(0.5, 2.0, layers - 1) * rng.choice([-1, 1], layers - 1)
    total, gain = float(np.prod(factors)), rng.uniform(1.5, 3.0)
    return dl.TorchMap([*[lambda x, c=c: c * x for c in factors], lambda x: torch.tanh(gain * x / total)], (1,))


@cases(85, seed=st.integers(0, 2**31), layers=st.integers(1, 3))
def test_basin_labels_are_constant_along_orbits_and_carried_by_every_layer(seed, layers):
    m = two_sinks(seed, layers)
    starts = np.random.default_rng(seed).uniform(-2, 2, (4, 1))
    x = m.native(starts)

    def end(loop, states):
        return loop.numpy(loop.watch(states, 60, states).states)

    first = end(m, x)
    np.testing.assert_array_equal(np.sign(first), np.sign(starts))
    np.testing.assert_allclose(end(m, m(x)), first, rtol=0, atol=1e-9)
    sections, of_limit = m.sections(x), m.sections(m.native(first))
    for l in range(m.layer_count):
        np.testing.assert_allclose(end(m.rotate(l), sections[l]), m.numpy(of_limit[l]), rtol=0, atol=1e-8)


@cases(35, seed=st.integers(0, 2**31), layers=st.integers(1, 2))
def test_the_classifier_ends_at_the_sink_of_the_basin(seed, layers):
    """Orbits of both basins side by side: each has its own limit, the same from later on its orbit."""
    m = two_sinks(seed, layers)
    start = np.random.default_rng(seed).uniform(0.1, 2, (1, 1))
    found = dl.classify(m, np.concatenate([start, m.numpy(m(m.native(start))), -start]))
    ends = m.numpy(found.states).ravel()
    assert ends[0] == pytest.approx(ends[1], abs=1e-9)
    assert ends[0] == pytest.approx(-ends[2], abs=1e-9)
    assert ends[0] > 0.1
