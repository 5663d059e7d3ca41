"""The small examples of the notes that are no maps of the zoo do what the notes say of them."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.nn import RMSNorm


def orbit(F, x, loops):
    states = [x]
    for _ in range(loops):
        states.append(F(states[-1]))
    return states


def slope(values, first, last):
    """The power of t by which values fall between two loops."""
    return math.log(values[last] / values[first]) / math.log(last / first)


def test_t0_an_adapter_left_out_opens_the_polygon():
    def block(x):
        return x + 0.5

    counted = dl.TorchMap([lambda x: x / 2 + 1, block], (1,))
    sections = counted.numpy(counted.sections([[3.0]]))[:, 0, 0]
    assert np.diff(sections).tolist() == [-0.5, 0.5]
    assert block(3.0) - 3.0 == 0.5


def test_t2_a_limit_where_the_map_jumps_is_no_fixed_point():
    def step(x):
        return x / 2 if x != 0 else 1.0

    assert orbit(step, 1.0, 1000)[-1] < 1e-300
    assert step(0.0) == 1.0


def test_t4_products_in_either_order():
    A, B = np.diag([1.0, 2.0]), np.array([[1.0, 1.0], [0.0, 1.0]])
    assert sorted(np.linalg.eigvals(B @ A)) == sorted(np.linalg.eigvals(A @ B)) == [1, 2]
    assert [np.sum((B @ A) ** 2), np.sum((A @ B) ** 2)] == [9, 6]
    A, B = np.array([[1, 0], [0, 0]]), np.array([[0, 1], [0, 0]])
    assert not np.any(B @ A)
    assert np.any(A @ B)


def test_t4_a_derivative_that_is_singular_once_divides_the_sections():
    m = dl.TorchMap([lambda x: x**2, lambda y: 1 - 2 * y], (1,), dtype=torch.float64)
    ahead, cut = m.power(20), m.rotate(1).power(20)
    assert dl.jacobian(ahead, [0.0])[0, 0] == 0
    assert math.log(abs(dl.jacobian(cut, [0.0])[0, 0])) / 20 == pytest.approx(math.log(4))


def test_t5_a_limit_set_that_is_not_compact_is_not_mapped_onto_itself():
    def step(state):
        r, y = state
        h = min(max(abs(y) - 1, 0), 1)
        return ((1 - h) * (r + 1), (1 - h) * 2 * y + h * 2.0**-r)

    states = orbit(step, (0.0, 0.5), 2000)
    assert min(y for r, y in states if r == 0) < 1e-12
    assert max(r for r, _ in states) > 50
    before = [r for (r, _), (after, y) in pairwise(states) if after == 0 and y < 1e-9]
    assert min(before) >= 30  # (0, 0) is reached from ever further out, and from no limit point


def test_t5_a_jump_tears_a_basin_from_its_image():
    def first(x):
        return 0.0 if x == 0 else 1 + x

    def second(y):
        return 0.0 if y == 0 else (y - 1) / 2

    assert first(second(0.0)) == second(first(0.0)) == 0
    assert orbit(lambda x: second(first(x)), 1.0, 40)[-1] < 1e-11
    assert orbit(lambda y: first(second(y)), first(1.0), 40)[-1] == pytest.approx(1.0)


def test_t6_the_exceptional_set_and_a_norm_that_grows():
    A = np.diag([0.8, 0.5])
    for start, rate in (([0.0, 1.0], 0.5), ([1e-6, 1.0], 0.8)):
        states = [np.linalg.norm(x) for x in orbit(lambda x: A @ x, np.array(start), 200)]
        assert states[-1] / states[-2] == pytest.approx(rate, abs=1e-12)
    J = np.array([[0.5, 10], [0, 0.5]])
    assert max(abs(np.linalg.eigvals(J))) == 0.5
    assert np.linalg.norm(J, 2) > 10


def test_t7_an_orbit_that_is_not_regular():
    b, both, rates = 0.0, np.array([0.0, -np.inf]), []  # logarithms of P, and of Q beside C
    for t in range(1, 2**15):
        up = 1 if int(math.log2(t)) % 2 == 0 else -1
        both = np.array([both[0] - up, np.logaddexp(both[1] - up, b)])
        b += up
        rates.append((b / t, both[0] / t, both[1] / t))
    own, other, full = np.max(rates[2**12 :], axis=0)
    assert [own, other] == pytest.approx([1 / 3, 1 / 3], abs=0.01)
    assert full == pytest.approx(2 / 3, abs=0.01)


@pytest.mark.parametrize("eps", [1e-2, 1e-6])
def test_t8_the_determinant_of_a_norm_and_a_quarter_turn(eps):
    D, gamma, u = 5, torch.linspace(0.5, 2, 5, dtype=torch.float64), torch.linspace(-1, 3, 5, dtype=torch.float64)
    norm = RMSNorm(D, eps=eps, dtype=torch.float64)
    norm.weight.data = gamma
    J = torch.autograd.functional.jacobian(norm, u)
    m = float(torch.mean(u**2))
    stated = math.log(eps) - (D + 2) / 2 * math.log(m + eps) + float(gamma.log().sum())
    assert float(torch.linalg.slogdet(J)[1]) == pytest.approx(stated, rel=1e-9)
    turn = np.array([[0, -eps], [1, 0]])
    np.testing.assert_allclose(abs(np.linalg.eigvals(turn)), math.sqrt(eps))


def test_t9_orbits_that_converge_though_their_steps_do_not_sum():
    states = orbit(lambda x: -x / (1 + abs(x)), 1.0, 1000)
    np.testing.assert_allclose(states, [(-1) ** t / (t + 1) for t in range(1001)])
    states = np.array(orbit(lambda x: 3 * x * (1 - x), 0.3, 200_000))
    steps, returns = abs(np.diff(states)), abs(states[2:] - states[:-2])
    assert slope(steps, 10_000, 190_000) == pytest.approx(-0.5, abs=0.01)
    assert slope(returns, 10_000, 190_000) == pytest.approx(-1.5, abs=0.01)


def test_t10_a_bound_of_the_rows_is_exceeded():
    n, s, change = 8, 1e-6, 1e-6

    def attention(s):
        x = np.tile([1.0, -1.0], n)
        weights = np.exp(np.stack([x * s, -x * s], axis=1))
        return weights / weights.sum(axis=1, keepdims=True)

    quotient = np.linalg.norm(attention(s + change) - attention(s)) / (math.sqrt(2) * change)
    assert quotient == pytest.approx(math.sqrt(2 * n) / 2, rel=1e-6)
    assert quotient > 1  # the bound with B = max |x_i|, κ = d = 1


def test_t12_a_direction_that_turns_for_ever():
    states = np.array(orbit(lambda x: x + (1 + 1j) * x / abs(x), 1.0 + 0j, 20_000))
    assert abs(states[-1]) / 20_000 == pytest.approx(1, abs=0.01)
    turned = np.unwrap(np.angle(states))
    assert turned[-1] - turned[2000] == pytest.approx(math.log(10), abs=0.01)
