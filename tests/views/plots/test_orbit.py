"""Orbits: the points are the states up to a rotation, the polygon has the sections' corners, and closes if they do."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.errors import InvalidArgumentError
from dynloop.orbits.trajectory import Trajectory
from dynloop.views.orbit_points import orbit_points
from dynloop.views.principal import principal_plane

RNG = np.random.default_rng(0)
STARTS = RNG.standard_normal((2, 3, 8))


@pytest.mark.parametrize("shape", [(40, 7), (6, 50)])
def test_the_plane_holds_what_the_singular_value_decomposition_says(shape):
    rows = RNG.standard_normal(shape) * np.linspace(3, 1, shape[1])
    u, s, _ = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
    plane = principal_plane(rows)
    np.testing.assert_allclose(np.abs(plane.points), np.abs(u[:, :2] * s[:2]), atol=1e-9)
    np.testing.assert_allclose(plane.share, s[:2] ** 2 / (s**2).sum(), rtol=1e-9)
    assert (plane.points[0] <= 0).all()


def test_rows_on_a_line_have_no_second_coordinate_and_equal_rows_no_plane():
    line = np.outer(np.arange(5.0), RNG.standard_normal(9))
    plane = principal_plane(line)
    assert np.abs(plane.points[:, 1]).max() == 0
    np.testing.assert_allclose(np.abs(np.diff(plane.points[:, 0])), np.linalg.norm(line[1]))
    assert not principal_plane(np.ones((3, 4))).points.any()


def test_rows_of_a_plane_keep_their_distances():
    basis = np.linalg.qr(RNG.standard_normal((30, 2)))[0]
    rows = RNG.standard_normal((12, 2)) @ basis.T * 1e200  # squares overflow
    points = principal_plane(rows).points
    apart = [np.linalg.norm((one[3] - one[8]) / 1e200) for one in (rows, points)]
    assert apart[0] == pytest.approx(apart[1], rel=1e-9)


def looped():
    turn = np.linalg.qr(RNG.standard_normal((8, 8)))[0]
    turn = torch.as_tensor(turn)
    layers = [lambda x: 0.5 * x @ turn, lambda x: x + torch.arange(8.0, dtype=x.dtype), lambda x: x.flip(-1)]
    return dl.TorchMap(layers, (3, 8), layer_names=("turn", "shift", "flip"), dtype=torch.float64)


def test_the_polygon_of_a_limit_closes_and_that_of_a_step_does_not():
    m = looped()
    found = dl.trajectory(m, STARTS, 60, sections=True)
    assert orbit_points(found, token=1).closed
    assert orbit_points(found).layers == m.layer_names
    first = dl.trajectory(m, STARTS, 1, sections=True)
    cut = Trajectory(states=first.states, times=first.times, sections=first.sections[:1], settings=first.settings)
    assert not orbit_points(cut).closed
    labels = [text.get_text() for text in dl.draw_orbit(found).get_legend().get_texts()]
    assert labels == ["after 0 loops", "after 60 loops", "layers of the last loop, closed"]


def test_the_same_orbit_is_drawn_with_and_without_a_batch_axis_and_after_saving(tmp_path):
    m = looped()
    single = dl.trajectory(m, STARTS[0], 30, sections=True)
    batch = dl.trajectory(m, STARTS, 30, sections=True)
    loaded = dl.load(batch.save(tmp_path / "t"))
    wanted = orbit_points(single, token=1)
    for other in (batch, loaded):
        np.testing.assert_allclose(orbit_points(other, token=1).points, wanted.points, atol=1e-12)
        np.testing.assert_allclose(orbit_points(other, token=1).polygon, wanted.polygon, atol=1e-12)
    assert orbit_points(batch, start=1).points.shape == (31, 2)


def test_one_and_two_coordinates_are_drawn_as_they_are():
    found = dl.trajectory(dl.zoo.henon(), [[0.1, 0.2], [0.0, 0.0]], 5)
    np.testing.assert_array_equal(orbit_points(found, start=1).points, found.states[:, 1])
    found = dl.trajectory(dl.zoo.logistic(2.5), [0.1], 4, transient=3)
    drawn = orbit_points(found)
    np.testing.assert_array_equal(drawn.points, np.column_stack([[3, 4, 5, 6, 7], found.states]))
    assert drawn.labels == ("loops", "state")


def test_states_that_overflow_are_left_out():
    found = dl.trajectory(dl.zoo.logistic(4.5), [0.3], 40)
    assert np.isfinite(orbit_points(found).points).all()
    lost = Trajectory(states=np.full((3, 2), np.nan), times=np.arange(3))
    with pytest.raises(InvalidArgumentError, match="fewer than two finite states"):
        dl.draw_orbit(lost)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"start": 2}, "start must be an int below 2"), ({"start": True}, "start must be"), ({"token": 0}, "no tokens")],
)
def test_what_is_not_there_is_refused(options, said):
    found = dl.trajectory(dl.zoo.henon(), [[0.1, 0.2], [0.0, 0.0]], 5)
    with pytest.raises(InvalidArgumentError, match=said):
        dl.draw_orbit(found, **options)
