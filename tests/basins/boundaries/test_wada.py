import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import InvalidArgumentError
from tests.basins.pictures import newton_labels, sectors


def test_newton_is_consistent_with_wada_at_two_resolutions():
    for n in (150, 300):
        found = dl.wada_test(newton_labels(n))
        assert found.verdict == "consistent with Wada"
        assert found.distance.max() <= found.radius
        assert (found.share == 1).all()


def test_basins_that_meet_at_a_point_are_not():
    found = dl.wada_test(sectors(200))
    assert found.verdict == "not Wada at this resolution"
    assert found.distance.max() > 90
    assert found.coarse_distance.max() == pytest.approx(found.distance.max() / 2, abs=2)


def test_distances_are_those_counted_by_hand():
    labels = np.repeat([1, 1, 2, 3, -2], [4, 1, 6, 5, 3])  # boundaries between 4|5, 10|11; 15|16 is with an unknown
    found = dl.wada_test(labels, radius=2)
    assert found.labels == (1, 2, 3)
    # slim boundaries: of 1 {4, 5}, of 2 {4, 5, 10, 11}, of 3 {10, 11}
    assert found.distance.tolist() == [[0, 0, 6], [6, 0, 6], [6, 0, 0]]
    assert found.unknown == pytest.approx(3 / 19)
    assert found.share[1, 0] == 0.5


def test_names_and_axes_do_not_matter():
    labels = newton_labels(80)
    found, again = dl.wada_test(labels), dl.wada_test(np.array([0, 3, 1, 2])[labels].T)
    order = [1, 2, 0]  # label k + 1 is called 3, 1, 2
    assert (again.distance == found.distance[np.ix_(order, order)]).all()


@pytest.mark.parametrize("labels", [[[1, 1], [2, 2]], [[1, 1], [1, 1]], [[-2, -2], [-3, -3]]])
def test_fewer_than_three_basins_are_not_asked(labels):
    found = dl.wada_test(np.array(labels))
    assert found.verdict == "not applicable"
    assert "three or more" in found.reason


def test_a_basin_without_a_boundary_is_undecided():
    found = dl.wada_test(np.array([1, 2, 2, -2, -2, -2, 3, -2, -2]))
    assert found.verdict == "undecided"
    assert "basin 3 has no boundary" in found.reason


def test_on_a_grid_so_coarse_that_all_is_near_nothing_is_said():
    found = dl.wada_test(np.repeat([1, 2, 3], 3)[:, None] * np.ones((1, 9), dtype=int))
    assert found.verdict == "not applicable"
    assert "take a finer one" in found.reason


def disc(radius, n=200):
    """A disc cut in two within a third basin: two points are shared by all, the rest by two."""
    y, x = np.mgrid[:n, :n] - n // 2
    return np.where(x * x + y * y > radius**2, 1, np.where(x < 0, 2, 3))


def test_where_all_boundaries_are_near_whatever_they_are_it_is_undecided():
    found = dl.wada_test(disc(3.5))
    assert (found.verdict, found.distance.max()) == ("undecided", 4)
    assert "all boundaries lie within 9 cells" in found.reason
    assert dl.wada_test(disc(50)).verdict == "not Wada at this resolution"


def test_three_cells_of_known_destination_are_no_evidence():
    labels = np.full((200, 200), -2)
    labels[100, 100:103] = [1, 2, 3]
    found = dl.wada_test(labels)
    assert found.verdict == "undecided"
    assert "cells without a destination lie up to 101 cells from the boundary of basin 3" in found.reason


def test_unknown_cells_on_the_boundary_leave_it_undecided():
    """Starts at a boundary are slow; what is left of that of three sectors is the corner, where all are near."""
    labels = sectors(200)
    shared = np.ones(labels.shape, bool)
    y, x = np.mgrid[:200, :200] - 100
    for axis in (0, 1):
        for shift in (-1, 1):
            shared &= labels == np.roll(labels, shift, axis)
    labels[~shared & (x * x + y * y > 9)] = -2
    found = dl.wada_test(labels)
    assert found.verdict == "undecided"
    assert "may hide another" in found.reason


@pytest.mark.parametrize("unknown", [-2, -3])
def test_no_labels_of_the_unknown_cells_contradict_the_verdict(unknown):
    rng = np.random.default_rng(0)
    for labels in (newton_labels(150), sectors(150), disc(40, 150)):
        hidden = labels.copy()
        hidden[rng.random(labels.shape) < 0.02] = unknown
        said = dl.wada_test(hidden).verdict
        assert said in ("undecided", dl.wada_test(labels).verdict)


def test_curves_side_by_side_are_undecided_though_near():
    found = dl.wada_test(1 + (np.arange(200)[:, None] // 3 % 3) * np.ones((1, 200), dtype=int))
    assert (found.verdict, found.distance.max(), found.coarse_distance.max()) == ("undecided", 3, 1)
    assert "as curves side by side are" in found.reason


def test_errors():
    with pytest.raises(InvalidArgumentError, match="radius must be a positive int"):
        dl.wada_test(newton_labels(10), radius=0)
    with pytest.raises(InvalidArgumentError, match="64 are compared"):
        dl.wada_test(np.arange(1, 101))
