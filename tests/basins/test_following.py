import numpy as np
import pytest

import dynloop as dl
from dynloop.basins.matching import matched
from dynloop.errors import InvalidArgumentError


def step(x, params, out):
    out[0] = x[0] + 0.25 * (x[0] - x[0] ** 3 + params[0])


pytestmark = pytest.mark.slow  # every family of maps is compiled anew

WELLS = dl.KernelMap(step, 1, params=(0.0,), name="wells")
FOLD = 2 / 3**1.5  # 0.3849: the left sink ends there


@pytest.fixture(scope="module")
def branch():
    values = [0.0, 0.1, 0.2, 0.3, 0.37, 0.4, 0.5, 0.4, 0.37, 0.2]
    return dl.continue_fractions(WELLS, values, ((-2, 2),), samples=2000)


def saddle(tilt):
    return sorted(np.roots([1, 0, -1, -tilt]).real)[1]


def test_fractions_are_the_lengths_of_the_basins(branch):
    for value, row, error in zip(branch.values, branch.fractions, branch.standard_error, strict=True):
        exact = (saddle(value) + 2) / 4 if value < FOLD else 0.0
        assert abs(row[0] - exact) < 4 * error[0]
        assert row.sum() == pytest.approx(1)


def test_numbers_are_kept_through_a_fold_and_back(branch):
    assert branch.fractions.shape == (10, 2)
    assert branch.found[:, 0].tolist() == [v < FOLD for v in branch.values]
    assert branch.found[:, 1].all()
    for own in branch.attractors:
        assert all((one.points[0, 0] < 0) == (one.label == 1) for one in own)


def test_how_far_they_moved(branch):
    right = [
        sorted(np.roots([1, 0, -1, -v]), key=lambda z: (abs(z.imag) < 1e-9, z.real))[-1].real for v in branch.values
    ]
    assert branch.moved[1:, 1] == pytest.approx(np.abs(np.diff(right)), abs=1e-9)
    assert np.isnan(branch.moved[0]).all()


def test_a_threshold_gives_new_numbers():
    found = dl.continue_fractions(WELLS, [0.0, 0.3], ((-2, 2),), samples=200, threshold=0.1)
    assert found.fractions.shape == (2, 4)
    assert found.found.tolist() == [[True, True, False, False], [False, False, True, True]]


def test_a_family_as_a_function_and_a_centroid():
    found = dl.continue_fractions(
        lambda r: dl.zoo.logistic(r), [2.9, 3.1, 3.2], ((0.01, 0.99),), samples=100, metric="centroid", threshold=0.2
    )
    assert found.fractions.tolist() == [[1.0]] * 3
    assert [own[0].period for own in found.attractors] == [1, 2, 2]


def test_matching_is_best_in_sum_and_heeds_the_threshold():
    m = dl.zoo.logistic()
    old = [np.array([[0.0]]), np.array([[1.0]]), np.array([[5.0]])]
    new = [np.array([[0.9]]), np.array([[0.2]])]
    match, gap = matched(m, old, new, "hausdorff", 0.5)
    assert match.tolist() == [1, 0]
    assert gap == pytest.approx([0.1, 0.2])
    match, gap = matched(m, old, new, "hausdorff", 0.15)
    assert match.tolist() == [1, -1]
    assert np.isnan(gap[1])
    # a near pair is not given up for two that are too far
    match, _ = matched(
        m, [np.array([[0.0]]), np.array([[0.5]])], [np.array([[0.5]]), np.array([[9.0]])], "centroid", 0.6
    )
    assert match.tolist() == [1, -1]
    assert matched(m, [], new, "hausdorff", 1.0)[0].tolist() == [-1, -1]


def test_a_large_set_may_change_by_a_share_of_itself():
    m = dl.zoo.logistic()
    old, new = [np.array([[0.0], [2.0]])], [np.array([[0.0], [1.2]])]
    assert matched(m, old, new, "hausdorff", 0.5)[0].tolist() == [-1]
    match, gap = matched(m, old, new, "hausdorff", 0.5, 0.7)
    assert (match.tolist(), gap.tolist()) == ([0], [pytest.approx(0.8)])
    assert matched(m, old, new, "hausdorff", 0.5, 0.6)[0].tolist() == [-1]


def test_the_attractor_of_henon_is_one_through_a_window():
    found = dl.continue_fractions(dl.zoo.henon(), [1.2, 1.25, 1.35, 1.4], ((-2, 2), (-2, 2)), samples=200)
    assert found.found.tolist() == [[True]] * 4
    assert [own[0].period for own in found.attractors] == [-1, 7, -1, -1]


def test_hausdorff_and_centroid_of_sets_round_a_circle():
    m = dl.KernelMap(lambda x, p, out: out.__setitem__(0, x[0]), 1, periods=[1.0])
    a, b = np.array([[0.95], [0.05]]), np.array([[0.97], [0.07]])
    assert matched(m, [a], [b], "hausdorff", 1.0)[1][0] == pytest.approx(0.02)
    assert matched(m, [a], [b], "centroid", 1.0)[1][0] == pytest.approx(0.02)
    assert matched(m, [np.array([[0.0], [0.5]])], [np.array([[0.0]])], "hausdorff", 1.0)[1][0] == pytest.approx(0.5)


def test_errors():
    for options, words in (
        ({"metric": "euclid"}, "metric must be"),
        ({"samples": 0}, "samples must be"),
        ({"threshold": -1.0}, "threshold must be a positive"),
        ({"parameter": 1}, "parameter must be the number"),
    ):
        with pytest.raises(InvalidArgumentError, match=words):
            dl.continue_fractions(WELLS, [0.0, 0.1], ((-2, 2),), **options)
    with pytest.raises(InvalidArgumentError, match="values must be one or more"):
        dl.continue_fractions(WELLS, [np.nan], ((-2, 2),))
