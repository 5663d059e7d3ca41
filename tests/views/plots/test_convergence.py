"""Convergence: the lines are the relative steps of the record, the floor is the one that was measured."""

import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import InvalidArgumentError
from dynloop.orbits.trajectory import Trajectory
from dynloop.views.recording import recording
from dynloop.views.steps import floor_of, relative_steps

HALF = dl.TorchMap([lambda x: 0.5 * x + 1.0], (3,))


def test_steps_of_a_linear_map_fall_by_its_factor():
    found = dl.trajectory(HALF, np.array([[0.0, 1.0, 5.0], [9.0, 9.0, 9.0]]), 20)
    ax = dl.draw_convergence(found)
    states = np.asarray(found.states)
    for j, line in enumerate(ax.lines[:3:2]):
        gap, size = np.diff(states[:, j], axis=0), states[:-1, j]
        np.testing.assert_allclose(line.get_ydata(), np.linalg.norm(gap, axis=1) / np.linalg.norm(size, axis=1))
    assert ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_legend().get_texts()][:2] == ["start 0", "start 1"]


def test_on_a_cycle_the_differences_shrink_after_its_period_alone():
    of = recording(dl.trajectory(dl.zoo.logistic(3.2), [0.3], 400))
    assert relative_steps(of, 1)[-1] > 0.1
    assert relative_steps(of, 2)[-1] < 1e-12


def test_angles_take_the_shorter_way():
    found = dl.trajectory(dl.zoo.circle(), [0.9], 6)
    assert np.nanmax(relative_steps(recording(found)) * np.abs(found.states[:-1])) <= 0.5


def test_a_step_of_zero_is_drawn_at_the_bottom_and_a_lost_state_is_a_gap():
    found = Trajectory(states=np.array([[1.0], [0.5], [0.5], [0.5], [np.nan]]), times=np.arange(5))
    np.testing.assert_array_equal(relative_steps(recording(found)), [[0.5], [0], [0], [np.nan]])
    line, zeros, *_ = dl.draw_convergence(found).lines
    assert np.isfinite(line.get_ydata()).tolist() == [True, False, False, False]
    assert list(zeros.get_xdata()) == [1, 2]
    at_rest = Trajectory(states=np.zeros((4, 2)), times=np.arange(4))
    assert not relative_steps(recording(at_rest)).any()
    dl.draw_convergence(at_rest).figure.canvas.draw()


def test_the_floor_is_measured_given_or_nominal(tmp_path):
    m = dl.open_checkpoint("demo:hop-injected")
    found = dl.trajectory(m, m.start(0), 30)
    known = dl.classify(m, loops=64)
    assert floor_of(recording(found), known) == (np.nanmax(known.evidence.floor), "precision floor")
    assert floor_of(recording(found), 1e-5)[0] == 1e-5
    for one in (found, dl.load(found.save(tmp_path / "a"))):
        assert floor_of(recording(one), None) == (4 * 2.0**-23, "precision floor of float32, nominal")
    by_hand = Trajectory(states=np.asarray(found.states, dtype=np.float64), times=found.times)
    assert recording(by_hand).dtype == "float32"  # read off the digits


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"period": 0}, "period must be an int from 1 to 5"),
        ({"period": 6}, "period must"),
        ({"floor": -1}, "floor must"),
    ],
)
def test_what_makes_no_sense_is_refused(options, said):
    with pytest.raises(InvalidArgumentError, match=said):
        dl.draw_convergence(dl.trajectory(dl.zoo.henon(), [0.1, 0.2], 5), **options)
