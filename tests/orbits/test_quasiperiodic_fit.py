"""Lines of one half of a signal predict the other on a torus, and on nothing else."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.orbits.quasiperiodic_fit import quasiperiodic_fit
from dynloop.orbits.turning import DENOMINATOR, turn

TURN = 2 * np.pi
GOLDEN = (np.sqrt(5) - 1) / 2
T = np.arange(4096)[:, None]


def is_torus(signals):
    found = turn(fit := quasiperiodic_fit(signals))
    return found.predicts and found.denominator > DENOMINATOR and found.slip <= fit.loops


def orbit(rule, x, seen, transient=3000):
    states = []
    for t in range(transient + len(T)):
        x = rule(x)
        if t >= transient:
            states.append(seen(x))
    return np.array(states) @ np.array([[0.3, 1.0], [-0.8, 0.4]])


def driven(rule, **how):
    """A map of x driven by the golden rotation of θ."""
    return orbit(lambda s: (rule(*s), (s[1] + GOLDEN) % 1), (0.4, 0.1), lambda s: (s[0], np.sin(TURN * s[1])), **how)


def standard(k, theta, p):
    def rule(s):
        p = s[1] + k * np.sin(s[0])
        return ((s[0] + p) % TURN, p % TURN)

    return orbit(rule, (theta, p), np.sin, transient=0)


@settings(max_examples=10, deadline=None)
@given(frequency=st.floats(0.02, 0.48), bend=st.floats(0.1, 2.0), phase=st.floats(0, 6))
def test_a_bent_circle_is_fitted_at_its_frequency(frequency, bend, phase):
    near = np.abs(frequency * np.arange(1, 40) - np.round(frequency * np.arange(1, 40))).min()
    assume(near > 0.01)  # else lines coincide
    fit = quasiperiodic_fit(np.tanh(bend * np.cos(TURN * frequency * T + phase) + 0.2))
    assert np.abs(fit.frequencies[0] - frequency) < 1e-9
    assert fit.prediction < 1e-6


@pytest.mark.parametrize("roots", [(2,), (3, 7), (2, 3), (2, 5, 7)])
def test_tori_are_predicted(roots):
    z = np.cos(TURN * np.sqrt(roots) * T)
    signals = np.stack([z.sum(axis=1), z[:, 0] + 0.4 * z.prod(axis=1)], axis=1)
    assert is_torus(signals)
    fit = quasiperiodic_fit(signals)
    assert len(fit.frequencies) == len(roots)
    assert fit.prediction < 1e-9


@pytest.mark.parametrize("k", [0.3, 0.6, 0.9])
def test_invariant_circles_of_the_standard_map_are_tori(k):
    assert is_torus(standard(k, 0.5, 0.618 * TURN))


def test_the_smooth_graph_of_a_driven_contraction_is_a_torus():
    assert is_torus(driven(lambda x, a: 2.8 * (1 + 0.1 * np.cos(TURN * a)) * x * (1 - x)))


@pytest.mark.parametrize("sigma", [1.1, 1.5, 2.0])
def test_a_strange_nonchaotic_attractor_is_no_torus(sigma):
    """x ← 2σ tanh(x) cos 2πθ over a golden turn: exponents 0 and below, a spectrum that is singular continuous."""
    signals = driven(lambda x, a: 2 * sigma * np.tanh(x) * np.cos(TURN * a))
    assert not turn(quasiperiodic_fit(signals)).predicts


@pytest.mark.parametrize(
    "r", [3.569945671870944, 3.569945671870944 - 1e-8, 3.569945671870944 + 1e-8, 1 + np.sqrt(8) - 1e-9]
)
def test_the_edge_of_chaos_and_intermittency_are_no_tori(r):
    signals = orbit(lambda s: (r * s[0] * (1 - s[0]), 0.0), (0.3, 0.0), lambda s: s)
    assert not is_torus(signals)


@pytest.mark.parametrize("k", [0.9, 0.97, 1.0, 1.2])
@pytest.mark.parametrize("theta", [0.01, 0.2])
def test_orbits_in_the_thin_chaos_of_the_standard_map_are_no_tori(k, theta):
    assert not turn(quasiperiodic_fit(standard(k, theta, 0.0))).predicts


@pytest.mark.slow
def test_chaos_beside_the_islands_of_the_standard_map_is_no_torus():
    """The chaotic side of a border, found by bisection: orbits that stay beside the island for thousands of loops.

    Whether an orbit is chaotic is read off the growth of a tangent over 40 000 loops: beyond e^60, where a shear gives
    less than e^20.
    """

    def chaotic(p):
        m = dl.zoo.standard(1.3)
        return (
            m.stretch(m.native(np.array([[np.pi, p]])), np.array([[[0.6, 0.8]]]), 40_000, gather=1000).logs.sum() > 60
        )

    low, high = 1.0, next(p for p in np.linspace(1.5, 3.0, 31) if chaotic(p))
    assert not chaotic(low)
    seen = 0
    for _ in range(16):
        middle = (low + high) / 2
        if chaotic(middle):
            high, seen = middle, seen + 1
            assert not turn(quasiperiodic_fit(standard(1.3, np.pi, middle))).predicts
        else:
            low = middle
    assert seen >= 3


@pytest.mark.parametrize("rate", [1e-5, 1e-4, 1e-3])
def test_a_decay_is_no_torus_nor_is_a_turn_that_still_decays(rate):
    decay = np.exp(-rate * T)
    assert not is_torus(decay)
    assert not is_torus(decay * (-1.0) ** T)
    assert not is_torus((1 + 0.1 * decay) * np.cos(TURN * GOLDEN * T))


@pytest.mark.parametrize(("p", "q"), [(1, 7), (3, 377), (233, 610), (1000, 9973)])
def test_a_fraction_is_named(p, q):
    wave = np.cos(TURN * p / q * T) + 0.2 * np.cos(2 * TURN * p / q * T + 1)
    assert turn(quasiperiodic_fit(wave)).denominator == q


def test_a_turn_that_has_not_slipped_past_a_fraction_says_how_long_that_takes():
    found = turn(quasiperiodic_fit(np.cos(TURN * (1 / 7 + 1e-6) * T)))
    assert found.denominator > DENOMINATOR
    assert found.slip == pytest.approx(1 / 7e-6, rel=1e-3)
    assert found.needs == found.slip


def test_noise_and_chaos_are_no_tori():
    noise = np.random.default_rng(0).standard_normal((4096, 2))
    assert not turn(quasiperiodic_fit(noise)).predicts
    assert not turn(quasiperiodic_fit(np.cos(TURN * GOLDEN * T) + 1e-3 * noise)).predicts


@pytest.mark.parametrize("signals", [np.ones((1000, 2)), np.cos(T[:100]), np.full((1000, 1), np.nan)])
def test_signals_without_lines(signals):
    fit = quasiperiodic_fit(signals)
    assert fit.lines == 0
    assert turn(fit).denominator == 0
    assert not turn(fit).predicts
