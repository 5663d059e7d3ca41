"""Passage of the ghost that a fold leaves: its time and the multiplier on the other side of the fold know each other.

For ``x ← x + ε + x²``, loops from x = 0 on, times 1 − λ(−ε), tend to π; all the way through, to 2π (arXiv 2608.26556).
λ(−ε) = 1 − 2√ε is the multiplier of the sink at −√ε before the fold.
"""

import numpy as np
from hypothesis import strategies as st

import dynloop as dl
from dynloop.calculus.spectrum import point_multipliers
from dynloop.maps.compiled.jit import jit
from tests.theory.cases import cases

FAR = 10.0  # what is beyond takes no loop more than 1/10


def _fold(x, params, out):
    out[0] = x[0] + params[0] + x[0] * x[0]


FOLD = jit(_fold)


def sink_gap(gap):
    """1 − λ at the sink of the fold at −gap, as multipliers tell it."""
    m = dl.KernelMap(FOLD, 1, params=(-gap,))
    return 1 - point_multipliers(m, np.array([-np.sqrt(gap)]), 1).values[0].real


def passage(gap, start):
    """Loops until x passes FAR."""
    m = dl.KernelMap(FOLD, 1, params=(gap,))
    budget = int(7 / np.sqrt(gap)) + 40
    states = m.record(np.array([[start]]), budget, 0)[0, :, 0]
    beyond = np.flatnonzero(~(states <= FAR))
    return int(beyond[0])


@cases(250, exponent=st.floats(-5.5, -3))
def test_the_time_from_the_ghost_tends_to_pi(exponent):
    gap = 10.0**exponent
    assert abs(sink_gap(gap) - 2 * np.sqrt(gap)) < 1e-12
    product = passage(gap, 0.0) * sink_gap(gap)
    assert abs(product - np.pi) <= 12 * np.sqrt(gap) * (1 + abs(np.log(gap)))


@cases(140, exponent=st.floats(-5.5, -3))
def test_the_time_all_the_way_through_tends_to_two_pi(exponent):
    gap = 10.0**exponent
    product = passage(gap, -0.5) * sink_gap(gap)
    assert abs(product - 2 * np.pi) <= 24 * np.sqrt(gap) * (1 + abs(np.log(gap)))


@cases(90, exponent=st.floats(-6, -3), shift=st.floats(-0.2, 0.2))
def test_before_the_fold_orbits_settle_at_the_sink_and_after_it_nowhere(exponent, shift):
    gap = 10.0**exponent
    before, after = (dl.KernelMap(FOLD, 1, params=(s * gap,)) for s in (-1, 1))
    start = np.array([[-np.sqrt(gap) + shift * np.sqrt(gap)]])
    end = before.watch(start, int(20 / np.sqrt(gap)), start).states
    assert abs(end.item() + np.sqrt(gap)) <= 1e-9
    assert (np.diff(dl.trajectory(after, start, 50).states[:, 0, 0]) > 0).all()


@cases(50, exponent=st.floats(-8, -7))
def test_a_passage_is_no_limit(exponent):
    """At the ghost steps are ε, nothing is fixed, and no verdict says that anything is."""
    m = dl.KernelMap(FOLD, 1, params=(10.0**exponent,))
    found = dl.classify(m, [[-0.5]], loops=64)
    assert found.regime[0] not in (dl.Regime.VANISHING, dl.Regime.CYCLIC, dl.Regime.PERIODIC)
