"""What a mapper and kept pieces were made for: another map, other parameters, another budget are refused."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.basins.agreement import checked_mapper
from dynloop.basins.kept import Kept
from dynloop.basins.slices import Axes
from dynloop.errors import InvalidArgumentError

AXIS = (np.linspace(-1.5, 1.5, 61),)


def bump(x, params, out):
    """Two wells; a parameter that acts in a tenth of the line alone, between grid points that are looked at."""
    out[0] = x[0] + 0.25 * x[0] * (1 - x[0] * x[0]) - (params[0] if abs(x[0] - 0.3) < 0.15 else 0.0)


def wells(tilt=0.0, dtype=torch.float64):
    return dl.TorchMap([lambda x: x + 0.25 * (x - x**3 + tilt)], (1,), dtype=dtype)


def test_pieces_of_other_parameters_are_refused(tmp_path):
    here, there = (dl.KernelMap(bump, 1, params=(value,)) for value in (0.0, 0.6))
    for _ in range(2):
        Kept(tmp_path / "kept", here, Axes(AXIS), None, None)
    with pytest.raises(InvalidArgumentError, match="another map, grid, mapper or budget"):
        Kept(tmp_path / "kept", there, Axes(AXIS), None, None)


def test_pieces_of_another_mapper_or_its_budget_are_refused(tmp_path):
    m, starts = wells(), np.linspace(-1.5, 1.5, 9)[:, None]
    short, long = (dl.by_classification(m, starts, loops=loops) for loops in (16, 512))
    dl.basins(m, AXIS, mapper=short, keep=tmp_path / "kept")
    assert dl.basins(m, AXIS, mapper=short, keep=tmp_path / "kept").undecided == 0
    for mapper in (long, dl.by_proximity(m, [[1.0]]), None):
        with pytest.raises(InvalidArgumentError, match="another map, grid, mapper or budget"):
            dl.basins(m, AXIS, mapper=mapper, keep=tmp_path / "kept")


def test_a_mapper_of_another_map_is_refused():
    m = wells()
    mapper = dl.by_classification(m, np.linspace(-1.5, 1.5, 9)[:, None])
    same, low = wells(), wells(dtype=torch.float32)
    for one in (m, same, low):
        assert (dl.basins(one, AXIS, mapper=mapper).labels[:30] == 1).all()
    for call in (
        lambda: dl.basins(wells(0.01), AXIS, mapper=mapper),
        lambda: dl.basin_fractions(wells(0.01), ((-1.5, 1.5),), mapper=mapper, samples=10),
        lambda: dl.basins(m.power(2), AXIS, mapper=mapper),
        lambda: dl.basins(dl.zoo.henon(), (AXIS[0], AXIS[0]), mapper=mapper),
    ):
        with pytest.raises(InvalidArgumentError, match="this one was made for another map") as refused:
            call()
        assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_a_mapper_of_other_parameters_is_refused():
    here, there = (dl.KernelMap(bump, 1, params=(value,)) for value in (0.0, 0.6))
    mapper = dl.by_recurrence(here, AXIS[0][:, None])
    assert (dl.basins(here, AXIS, mapper=mapper).labels[:30] == 1).all()
    with pytest.raises(InvalidArgumentError, match="this one was made for another map"):
        dl.basins(there, AXIS, mapper=mapper)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("fixed", [True, False])
def test_a_mapper_of_a_map_that_differs_a_little_is_refused(dtype, fixed):
    """The difference of 0.03 is less than a twentieth of the largest image, as bfloat16 has been allowed."""
    one, other = (
        dl.TorchMap([lambda x, c=c: (2.0 * x + c).tanh()], (2,), dtype=dtype if fixed else None) for c in (0.0, 0.03)
    )
    starts = torch.tensor(np.random.default_rng(0).standard_normal((20, 2)), dtype=dtype)
    mapper = dl.by_classification(one, starts)
    states = np.random.default_rng(1).uniform(-1, 1, (64, 2))
    assert checked_mapper(one, mapper, states) is mapper
    with pytest.raises(InvalidArgumentError, match="this one was made for another map"):
        checked_mapper(other, mapper, states)


def bursting(c, dtype=None, far=5.0):
    return dl.TorchMap([lambda x: torch.where(x.abs() > far, torch.exp(200 * x.abs()), c * x)], (1,), dtype=dtype)


@pytest.mark.parametrize("far", [3.0, 5.0])
def test_states_that_overflow_or_nearly_hide_no_difference_elsewhere(far):
    """e^{200·3.5} is finite, e^{200·6} is not."""
    mapper = dl.by_proximity(bursting(0.5, far=far), [[0.0]])
    states = np.linspace(-3.5 if far < 5 else -6.0, 1.0, 40)[:, None]
    assert checked_mapper(bursting(0.5, far=far), mapper, states) is mapper
    for another in (bursting(-0.5, far=far), bursting(0.5, far=2.0)):
        with pytest.raises(InvalidArgumentError, match="this one was made for another map"):
            checked_mapper(another, mapper, states)


def test_a_lower_precision_may_overflow_where_the_other_is_large():
    mapper = dl.by_proximity(bursting(0.5, torch.float64, 0.4), [[0.0]])
    low = bursting(0.5, torch.float32, 0.4)
    assert checked_mapper(low, mapper, np.linspace(-1.0, 1.0, 40)[:, None]) is mapper
