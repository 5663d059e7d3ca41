"""Dual numbers in compiled steps: every operation against its exact derivative, and against differences."""

import math
from functools import lru_cache

import numba
import numpy as np
import pytest

import dynloop as dl
from dynloop.maps.compiled.jit import jit
from dynloop.maps.compiled.tangents import central_tangent, dual_tangent

pytestmark = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="nothing is compiled")


@lru_cache
def tangents(step, n):
    """The two tangents of a step; each costs seconds to compile."""
    return dual_tangent(jit(step), n), central_tangent(jit(step), n, (0.0,) * n)


def products(step, x, params=(0.7, 3.0)):
    """The Jacobian of a step by dual numbers, (n, n), and by differences."""
    n, x, params = len(x), np.array(x, dtype=float), np.array(params)
    found = []
    for tangent in tangents(step, n):
        y, W = np.empty(n), np.empty((n, n))
        tangent.call(x, np.eye(n), params, y, W, np.empty(max(4, tangent.fixed)))
        out = np.empty(n)
        step(x, params, out)
        np.testing.assert_allclose(y, out, rtol=1e-15)
        found.append(W.T)
    return found


def arithmetic(x, params, out):
    out[0] = (x[0] + x[1]) * (x[0] - 2) / (1 + x[1] * x[1]) - params[0] / x[0]
    out[1] = -(x[0] ** 3) + x[1] ** 0.5 + 2.0 - (+x[1]) % 0.4
    out[1] -= 0.5 * x[0]
    out[1] *= x[1]
    out[1] /= 2


def functions(x, params, out):
    out[0] = np.sin(x[0]) * math.cos(x[1]) + np.tan(x[0]) + math.exp(x[1]) - np.log(x[0]) + math.sqrt(x[1])
    out[1] = np.tanh(x[0]) + math.atan(x[1]) + np.exp(-x[0]) * np.sqrt(x[1]) + math.log(1 + x[0]) + np.cos(x[1])


def kinks(x, params, out):
    out[0] = abs(x[0] - 0.5) + np.abs(x[1]) + max(x[0], 0.1) * min(x[1], 0.4) + np.maximum(x[0], x[1])
    out[1] = np.floor(params[1] * x[0]) + x[1] + np.sign(x[0]) * np.minimum(0.2, x[1]) + np.fabs(x[0])


def branches(x, params, out):
    y = 0.0
    for j in range(2):
        y += x[j] * (j + 1)
    if x[0] > params[0]:
        y = y * y
    elif x[0] + x[1] <= 0.93:
        y = 2 * y
    while y > 1.37:
        y = y - 1.0
    out[0] = y
    out[1] = 1.0 if x[1] < 0.3 else x[1] * x[1]


def helped(x, params, out):
    out[0] = _helper(x[0], x[1])
    out[1] = 3


@numba.njit
def _helper(a, b):
    return a * b if a != b else a


@pytest.mark.slow
@pytest.mark.parametrize("step", [arithmetic, functions, kinks, branches, helped])
@pytest.mark.parametrize("x", [(0.3, 0.7), (0.8, 0.25), (0.45, 0.15)])
def test_agrees_with_differences(step, x):
    exact, near = products(step, x)
    np.testing.assert_allclose(exact, near, rtol=1e-7, atol=1e-8)


def test_is_exact():
    exact, _ = products(arithmetic, (0.5, 0.7))
    x, y = 0.5, 0.7
    d = 1 + y * y
    assert exact[0, 0] == pytest.approx((2 * x + y - 2) / d + 0.7 / x**2, rel=1e-15)
    assert exact[0, 1] == pytest.approx((x - 2) / d - (x + y) * (x - 2) * 2 * y / d**2, rel=1e-15)


@pytest.mark.slow
def test_a_map_without_a_jacobian_that_compares_is_exact():
    def tent(x, params, out):
        out[0] = params[0] * min(x[0], 1 - x[0])

    found = dl.lyapunov_spectrum(dl.KernelMap(tent, 1, params=(1.9,)), [0.3], loops=500)
    assert found.exponents[0] == pytest.approx(math.log(1.9), abs=1e-14)


@pytest.mark.slow
def test_an_angle_and_many_coordinates():
    def shift(x, params, out):
        for j in range(x.shape[0]):
            out[j] = (x[j] + 0.3 * abs(x[j - 1]) + 0.75) % 1.0

    m = dl.KernelMap(shift, 12, periods=[1.0] * 12)
    x = np.random.default_rng(0).uniform(0.1, 0.9, 12)
    exact = np.eye(12) + 0.3 * np.roll(np.eye(12), -1, axis=1)
    np.testing.assert_allclose(dl.jacobian(m, x), exact, atol=1e-15)


@pytest.mark.slow
def test_what_dual_numbers_cannot_do_is_differenced():
    def through_arrays(x, params, out):
        out[0] = np.sum(x * x) + abs(x[0])

    m = dl.KernelMap(through_arrays, 1)
    np.testing.assert_allclose(dl.jacobian(m, [0.4]), 1.8, rtol=1e-9)
