"""T9: where steps sum, the orbit converges, and what is left of the sum bounds the error; steps → 0 alone do not."""

import numpy as np
from hypothesis import strategies as st

import dynloop as dl
from dynloop.orbits.recurrence import octave_law
from dynloop.orbits.survey import surveyed
from dynloop.testing import strategies
from tests.theory.cases import cases


@cases(50, row=strategies.contractions(max_q=0.8))
def test_the_rest_of_the_path_bounds_the_distance_from_the_limit(row):
    """‖x_t − x*‖ ≤ R_t, by steps and distances that one watch of the orbit measures."""
    m, loops = row.map, 160
    x = m.native(row.starts)
    limit = m.watch(x, 400, x).states
    seen = m.watch(x, loops, limit)
    steps, distances = seen.steps[:, :, 0], seen.returns[:, :, 0]
    rest = np.cumsum(steps[::-1], axis=0)[::-1]  # after t loops: the steps from x_t on
    scale = 1 + np.abs(row.starts).max() + np.abs(m.numpy(limit)).max()
    assert (distances[:-1] <= rest[1:] + 1e-12 * scale).all()


@cases(375, row=strategies.layered_maps(), loops=st.integers(1, 5))
def test_what_is_watched_is_what_the_states_say(row, loops):
    m = row.map
    states = m.numpy(dl.trajectory(m, row.starts, loops).states)
    seen = m.watch(m.native(row.starts), loops, m.native(row.starts[::-1]))
    exact = [np.diff(states, axis=0), states[1:], states[1:] - row.starts[::-1]]
    for found, vectors in zip((seen.steps, seen.norms, seen.returns), exact, strict=True):
        np.testing.assert_allclose(found[:, :, 0], np.linalg.norm(vectors, axis=-1), rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(m.numpy(seen.states), states[-1])


@cases(230, row=strategies.layered_maps(), scale=st.integers(-4, 4))
def test_relative_steps_are_relative_and_paths_are_not(row, scale):
    """A survey of eight loops against the states: ‖x_{t+1} − x_t‖ / ‖x_{t+1}‖, and the plain sum of steps."""
    m = row.map
    x = 10.0**scale * row.starts
    states = m.numpy(dl.trajectory(m, x, 8).states)
    largest = np.linalg.norm(states, axis=-1).max(axis=0)
    found = surveyed(
        m,
        m.native(x),
        8,
        np.linalg.norm(x, axis=1)[:, None],
        lambda s: np.full((len(s), 1), 1e-15),
        trend=True,
        rate=True,
    )
    steps, last = np.linalg.norm(np.diff(states, axis=0), axis=-1), np.linalg.norm(states[-1], axis=-1)
    relative = steps[-1] / np.maximum(last, 4 * m.precision * largest)
    np.testing.assert_allclose(found.step[:, 0], relative, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(found.path[:, 0], steps.sum(axis=0), rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(found.norm[:, 0], last, rtol=1e-9, atol=1e-300)


@cases(280, power=st.floats(0.01, 0.9), loops=st.sampled_from([1024, 2048, 4096]), scale=st.floats(-5, 5))
def test_octaves_of_steps_that_do_not_sum_are_not_called_summable(power, loops, scale):
    """Steps t^(−a), a < 1: they vanish, and the path has no end."""
    assert octave_law(octaves(power, loops, scale)) == "drift"


@cases(185, power=st.floats(1.2, 3.0), loops=st.sampled_from([1024, 2048, 4096]), scale=st.floats(-5, 5))
def test_octaves_of_steps_that_sum_are_not_called_a_drift(power, loops, scale):
    assert octave_law(octaves(power, loops, scale)) == "summable"


def octaves(power, loops, scale):
    steps = 10.0**scale * np.arange(1, loops + 1) ** -power
    return np.array([steps[a : 2 * a].sum() for a in 2 ** np.arange(4, int(np.log2(loops)))])


@cases(5, row=strategies.drifts())
def test_steps_that_vanish_without_summing_are_never_called_convergence(row):
    found = dl.classify(row.map, row.start, loops=1024)
    assert found.regime[()] in (dl.Regime.DRIFT, dl.Regime.UNDECIDED)
    assert found.dichotomy[()] == "not applicable"
