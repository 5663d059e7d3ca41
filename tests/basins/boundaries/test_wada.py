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


def test_a_basin_without_a_boundary_is_not_applicable():
    found = dl.wada_test(np.array([1, 2, 2, -2, -2, -2, 3, -2, -2]))
    assert found.verdict == "not applicable"
    assert "basin 3 has no boundary" in found.reason


def test_on_a_grid_so_coarse_that_all_is_near_nothing_is_said():
    found = dl.wada_test(np.repeat([1, 2, 3], 3)[:, None] * np.ones((1, 9), dtype=int))
    assert found.verdict == "not applicable"
    assert "take a finer one" in found.reason


def test_errors():
    with pytest.raises(InvalidArgumentError, match="radius must be a positive int"):
        dl.wada_test(newton_labels(10), radius=0)
    with pytest.raises(InvalidArgumentError, match="64 are compared"):
        dl.wada_test(np.arange(1, 101))
