import math

import numpy as np
import pytest

import dynloop as dl
from dynloop.basins.boundaries.power_law import jackknifed_slope, weighted_slope
from dynloop.errors import InvalidArgumentError, ShapeError
from tests.basins.pictures import newton_labels

CANTOR = 1 - math.log(2) / math.log(3)


def cantor_labels(starts):
    """1 or 2 by the level of the gap of the Cantor set that a number of [0, 1] lies in."""
    x = np.array(starts, dtype=float)[:, 0]
    level = np.zeros(len(x), dtype=int)
    left = np.ones(len(x), dtype=bool)
    for k in range(30):
        x = 3 * x
        digit = np.floor(x)
        level[left & (digit != 0) & (digit != 2)] = k
        left &= (digit == 0) | (digit == 2)
        x = x - digit
    return 1 + level % 2


@pytest.fixture(scope="module")
def line():
    def step(x, params, out):
        out[0] = x[0]

    return dl.KernelMap(step, 1, name="line")


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_straight_boundary_has_exponent_1(d):
    n = 60
    labels = np.broadcast_to((np.arange(n) >= 31).reshape(-1, *(1,) * (d - 1)), (n,) * d) + 1
    found = dl.uncertainty_exponent(labels)
    assert found.exponent == pytest.approx(1, abs=1e-12)
    assert found.boundary_dimension == pytest.approx(d - 1, abs=1e-12)
    assert np.allclose(found.local, 1)


def test_newton_has_the_reference_exponent():
    labels = newton_labels(300)
    for found in (dl.uncertainty_exponent(labels, boxes=range(5, 31)), dl.uncertainty_exponent(labels)):
        assert found.exponent == pytest.approx(0.615, abs=0.05)
        assert 0.005 < found.standard_error < 0.06
    turned = dl.uncertainty_exponent(labels.T[::-1], boxes=range(5, 31, 2))
    straight = dl.uncertainty_exponent(labels, boxes=range(5, 31, 2))
    assert turned.exponent == pytest.approx(straight.exponent, abs=1e-12)


def test_shares_are_those_of_windows_counted_by_hand():
    labels = np.random.default_rng(1).choice([-2, -1, 1, 2], (24, 20), p=[0.1, 0.1, 0.4, 0.4])
    labels[:, 10:] = 1
    labels[5:8, 3:6] = -2
    found = dl.uncertainty_exponent(labels, boxes=[2, 3, 5])
    for b, share in zip([2, 3, 5], found.uncertain, strict=True):
        seen = []
        for i in range(2, 22):  # centres for which a box of 5 fits
            for j in range(2, 18):
                cells = labels[i - b // 2 : i - b // 2 + b, j - b // 2 : j - b // 2 + b]
                kinds = np.setdiff1d(cells, [-2])
                if kinds.size:
                    seen.append(kinds.size > 1)
        assert share == pytest.approx(np.mean(seen))
    assert found.unknown == pytest.approx((labels == -2).mean())


def test_one_basin_has_no_exponent():
    found = dl.uncertainty_exponent(np.ones((50, 50), dtype=int))
    assert math.isnan(found.exponent)
    assert not found.uncertain.any()


def test_perturbed_starts_give_the_exponent_of_a_cantor_set_and_the_error_covers(line):
    sizes = 3.0 ** np.arange(-11, -4)  # one a level, so that its steps are not seen; small beside the largest gap
    runs = [
        dl.uncertainty_exponent(line, ((0, 1),), perturbations=sizes, mapper=cantor_labels, samples=4000, rng=seed)
        for seed in range(40)
    ]
    z = np.array([(found.exponent - CANTOR) / found.standard_error for found in runs])
    assert abs(np.mean([found.exponent for found in runs]) - CANTOR) < 0.02
    assert (abs(z) < 2).mean() > 0.8
    assert (abs(z) < 1).mean() < 0.9  # nor is it far too large
    assert runs[0].method == "perturbed"


def test_a_grid_of_cells_gives_it_too():
    x = (np.arange(3**9) + 0.5) / 3**9
    found = dl.uncertainty_exponent(cantor_labels(x[:, None]), boxes=[1 + 3**k for k in range(7)])
    assert found.local[-2:] == pytest.approx([CANTOR] * 2, abs=0.003)  # below, cells are not small beside the boxes


@pytest.mark.slow
def test_the_map_in_place_of_labels():
    axis = np.linspace(-1, 1, 100)
    m = dl.zoo.newton()
    by_map = dl.uncertainty_exponent(m, (axis, axis))
    assert by_map.exponent == pytest.approx(dl.uncertainty_exponent(newton_labels(100)).exponent, abs=0.02)
    sides = lambda starts: np.where(np.array(starts)[:, 0] > 0.1, 1, 2)
    assert dl.uncertainty_exponent(m, (axis, axis), mapper=sides).exponent == pytest.approx(1)
    found = dl.uncertainty_exponent(m, (axis, axis), perturbations=np.geomspace(1e-4, 1e-1, 6), samples=2000)
    assert found.exponent == pytest.approx(
        0.571, abs=4 * found.standard_error
    )  # 2 − the dimension 1.429 of its Julia set
    assert found.unknown < 0.01


def test_slopes():
    sizes = np.array([1.0, 2.0, 4.0, 8.0])
    counts = np.outer([1, 2, 3], sizes**0.5)
    assert jackknifed_slope(sizes, counts, np.ones((3, 4)) * 100) == pytest.approx((0.5, 0.0), abs=1e-12)
    b, error = weighted_slope(sizes, 1000 * sizes**0.5 / 10, np.full(4, 1000))
    assert b == pytest.approx(0.5)
    assert 0 < error < 0.2
    assert math.isnan(weighted_slope(sizes, np.array([0, 0, 0, 5]), np.full(4, 10))[0])


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"boxes": [5]}, InvalidArgumentError, "two or more sizes"),
        ({"boxes": [1, 5]}, InvalidArgumentError, "between 2 and the 60 cells"),
        ({"boxes": [2, 61]}, InvalidArgumentError, "between 2 and the 60 cells"),
        ({"grid": ((0, 1),)}, InvalidArgumentError, "labels are given"),
        ({"perturbations": [0.1, 0.2]}, InvalidArgumentError, "labels are given"),
    ],
)
def test_errors(options, error, words):
    with pytest.raises(error, match=words):
        dl.uncertainty_exponent(np.ones((60, 60), dtype=int), **options)


def test_errors_of_perturbations_and_of_small_grids(line):
    with pytest.raises(InvalidArgumentError, match="two or more positive, finite sizes"):
        dl.uncertainty_exponent(line, ((0, 1),), perturbations=[0.1], mapper=cantor_labels)
    with pytest.raises(InvalidArgumentError, match="samples must be an int of at least 2"):
        dl.uncertainty_exponent(line, ((0, 1),), perturbations=[0.1, 0.2], mapper=cantor_labels, samples=1)
    with pytest.raises(ShapeError, match="too small for boxes"):
        dl.uncertainty_exponent(np.ones((30, 30), dtype=int))
