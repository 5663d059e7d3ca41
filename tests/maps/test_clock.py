"""A loop that depends on its index is a map with a clock: its limits are those of the composed schedule."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.errors import InvalidArgumentError, ShapeError

ADDED = (1.0, -2.0, 0.5)


def schedule(x, t):
    return 0.5 * x + ADDED[t]


def test_it_runs_the_schedule_in_order_whatever_the_clock_of_a_row():
    m = dl.with_clock(schedule, 3, (2, 2))
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    states = torch.cat([x, torch.tensor([[0.0], [1.0], [2.0]], dtype=torch.float64)], 1)
    after = m(m(states))
    for row, first in enumerate((0, 1, 2)):
        expected = schedule(schedule(x[row], first), (first + 1) % 3)
        assert torch.equal(after[row, :4], expected)
        assert after[row, 4] == (first + 2) % 3


def test_a_schedule_that_settles_has_its_period_and_the_states_of_the_composed_map():
    m = dl.with_clock(schedule, 3, (1,))
    found = dl.classify(m, m.start(0, 2))
    assert found.names().ravel().tolist() == ["PERIODIC(3)"] * 2
    fixed = (0.25 * 1.0 + 0.5 * -2.0 + 0.5) / (1 - 0.125)  # of F_2 ∘ F_1 ∘ F_0
    points = [found.states[0]]
    for _ in range(2):
        points.append(m.numpy(m(points[-1][None]))[0])
    [at_zero] = [point[0] for point in points if point[1] == 0]
    assert at_zero == pytest.approx(fixed, abs=1e-12)
    assert found.rate[0] == pytest.approx(0.5, abs=1e-9)


def test_the_derivative_is_that_of_the_loop_at_hand_and_none_of_the_clock():
    m = dl.with_clock(lambda x, t: torch.sin((t + 1) * x), 2, (1,))
    x = torch.tensor([0.3, 1.0], dtype=torch.float64)
    J = dl.jacobian(m, x)
    assert np.allclose(J, [[2 * np.cos(0.6), 0.0], [0.0, 0.0]], atol=1e-14)


@pytest.mark.parametrize("period", [1, 0, True, 2.0])
def test_a_schedule_has_two_loops_at_least(period):
    with pytest.raises(InvalidArgumentError, match="period must be an int of at least 2"):
        dl.with_clock(schedule, period, (1,))


def test_a_period_may_be_an_int_of_numpy():
    x = torch.tensor([[0.3, 0.0], [0.1, 1.0]], dtype=torch.float64)
    m = dl.with_clock(schedule, np.int8(2), (1,))
    assert torch.equal(m(x), dl.with_clock(schedule, 2, (1,))(x))
    assert m.periods[-1] == 2.0


@pytest.mark.parametrize("loop", [3, None, "f", lambda x: x])
def test_a_loop_is_a_function_of_the_states_and_of_the_time(loop):
    with pytest.raises(InvalidArgumentError, match=r"loop must be a function loop\(x, t\)"):
        dl.with_clock(loop, 2, (1,))


def test_a_start_is_a_function_and_a_shape_a_tuple():
    with pytest.raises(InvalidArgumentError, match=r"start must be a function start\(generator, n\)"):
        dl.with_clock(schedule, 3, (1,), start=[0.0])
    with pytest.raises(ShapeError, match="state_shape must be a tuple of ints"):
        dl.with_clock(schedule, 3, 1)
