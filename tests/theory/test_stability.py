"""T6: at a limit the largest exponent is log ρ; exponents add up to the mean of log|det DF|, scale with powers of the
map, and do not depend on orthogonal coordinates.
"""

import numpy as np
import pytest
from hypothesis import strategies as st

import dynloop as dl
from dynloop.calculus.jacobian import jacobians
from dynloop.testing import strategies
from tests.theory.cases import cases

SEEDS = st.integers(0, 2**31)


def stretched(m, starts, loops, seed=0, k=None):
    """log R_jj over a window, ``(loops, batch, k)``, from an orthonormal frame."""
    n = m.dimension
    frames = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(starts), n, n)))[0].swapaxes(1, 2)[:, :k]
    native = m.native(frames.reshape(-1, *m.state_shape)).reshape(*frames.shape[:2], *m.state_shape)
    return m.stretch(m.native(starts), native, loops).logs


# -- at limits ---------------------------------------------------------------------------------------------------------


@cases(280, r=st.floats(1.05, 2.97))
def test_the_exponent_at_a_fixed_point_is_the_logarithm_of_its_multiplier(r):
    """Logistic map: λ = ln|2 − r|; −∞ at r = 2."""
    found = dl.lyapunov_spectrum(dl.zoo.logistic(r), [0.3], loops=64, transient=2500)
    if abs(r - 2) > 1e-5:
        assert found.period == 1 or abs(2 - r) > 0.9  # near 1, rounding is amplified beyond what counts as settled
        assert found.exponents[0] == pytest.approx(np.log(abs(2 - r)), abs=1e-7 / abs(2 - r))


@cases(140, r=st.floats(3.05, 3.44))
def test_the_exponent_on_a_cycle_is_the_logarithm_of_its_multiplier_a_loop(r):
    found = dl.lyapunov_spectrum(dl.zoo.logistic(r), [0.3], loops=64, transient=2500)
    multiplier = abs(4 + 2 * r - r * r)
    if multiplier > 1e-4:
        assert found.period == 2 or multiplier > 0.8
        allowed = 1e-7 / multiplier if found.period else 3 * (found.standard_error[0] + found.bias[0])
        assert found.exponents[0] == pytest.approx(np.log(multiplier) / 2, abs=allowed)


@cases(50, row=strategies.affine_cycles(max_dim=3, max_rate=0.9, idle=False))
def test_exponents_of_affine_loops_are_logarithms_of_their_multipliers(row):
    found = dl.lyapunov_spectrum(row.map, row.start, loops=16, transient=64)
    size = np.sort(np.abs(np.linalg.eigvals(row.matrix)))[::-1]
    if found.period and row.rate > 0.01:
        assert found.exponents[0] == pytest.approx(np.log(row.rate), abs=1e-5)
        known = np.isfinite(found.exponents) & (found.standard_error < 1e-3)
        np.testing.assert_allclose(found.exponents[known], np.log(size[known]), rtol=0, atol=2e-2)


@cases(20, row=strategies.affine_cycles(max_dim=3, max_layers=3, idle=False))
def test_shares_of_the_layers_add_up_to_the_exponents(row):
    found = dl.lyapunov_spectrum(row.map, row.start, loops=16, transient=0, per_layer=True, k=1)
    assert found.by_layer.shape == (row.map.layer_count, 1)
    if np.isfinite(found.exponents).all():
        np.testing.assert_allclose(found.by_layer.sum(axis=0), found.exponents, rtol=1e-8, atol=1e-8)


@cases(140, row=strategies.affine_cycles(max_dim=3, max_rate=0.8), seed=SEEDS)
def test_orbits_come_to_the_limit_at_the_rate_of_the_spectral_radius(row, seed):
    """For generic starts, whatever the norm of DF: ‖x_t − x*‖^(1/t) → ρ."""
    m, loops = row.map, 60
    if row.rate < 0.2:
        return
    start = row.limit + np.random.default_rng(seed).standard_normal((1, m.dimension))
    x = m.native(start)
    seen = m.watch(x, loops, m.native(row.limit[None]))
    first, second = seen.returns[19, 0, 0], seen.returns[59, 0, 0]
    values = np.abs(np.linalg.eigvals(row.matrix))
    if second > 1e-10 * (1 + np.linalg.norm(row.limit)):
        assert (second / first) ** (1 / 40) <= row.rate * 1.25 + 1e-9
        assert (second / first) ** (1 / 40) >= values.min() * 0.75 - 1e-9


# -- along any orbit ---------------------------------------------------------------------------------------------------


@cases(325, row=strategies.layered_maps(max_layers=3), loops=st.integers(1, 3), seed=SEEDS)
def test_stretches_of_a_full_frame_add_up_to_the_determinant(row, loops, seed):
    m, x, total = row.map, row.map.native(row.starts), 0.0
    logs = stretched(m, row.starts, loops, seed)
    condition = 1.0
    for _ in range(loops):
        x, J = jacobians(m, x)
        with np.errstate(divide="ignore"):
            total = total + np.linalg.slogdet(J)[1]
        condition *= np.linalg.cond(J).max()
    if condition < 1e8:
        np.testing.assert_allclose(logs.sum(axis=(0, 2)), total, rtol=0, atol=1e-7)


@cases(140, a=st.floats(1.0, 1.4), b=st.floats(0.05, 0.3), seed=SEEDS)
def test_exponents_add_up_to_the_logarithm_of_a_constant_determinant(a, b, seed):
    """Hénon: log b, on whatever attractor, as long as the orbit stays."""
    start = np.random.default_rng(seed).uniform(-0.1, 0.1, 2)
    found = dl.lyapunov_spectrum(dl.zoo.henon(a, b), start, loops=200)
    if found.status is not dl.Status.DIVERGED:
        assert found.exponents.sum() == pytest.approx(np.log(b), abs=1e-6)
        assert found.exponents[0] >= found.exponents[1]


@cases(165, row=strategies.layered_maps(max_layers=2), seed=SEEDS)
def test_one_tangent_grows_as_its_products_with_the_jacobians(row, seed):
    """The first column of the frame: log R_11 is the growth of one vector, sign and size."""
    m, loops = row.map, 4
    logs = stretched(m, row.starts, loops, seed, k=1)
    v = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, m.dimension, m.dimension)))[0][:, :, 0]
    x = m.native(row.starts)
    for t in range(loops):
        x, J = jacobians(m, x)
        v = np.einsum("bij,bj->bi", J, v)
        size = np.linalg.norm(v, axis=1)
        if (size < 1e-6).any():
            return
        np.testing.assert_allclose(logs[t, :, 0], np.log(size), rtol=0, atol=1e-8)
        v /= size[:, None]


@cases(115, row=strategies.layered_maps(max_layers=2), p=st.integers(2, 3), seed=SEEDS)
def test_stretches_of_a_power_are_those_of_its_loops_together(row, p, seed):
    m = row.map
    one, whole = stretched(m, row.starts, 2 * p, seed, k=1), stretched(m.power(p), row.starts, 2, seed, k=1)
    if np.isfinite(one).all():
        np.testing.assert_allclose(whole, one.reshape(2, p, *one.shape[1:]).sum(axis=1), rtol=0, atol=1e-7)


@cases(90, r=st.floats(1.2, 3.5), p=st.integers(2, 3))
def test_exponents_of_a_power_are_p_times_those_of_the_map(r, p):
    m = dl.zoo.logistic(r)
    one, power = (dl.lyapunov_spectrum(f, [0.3], loops=66, transient=1500) for f in (m, m.power(p)))
    if one.period and power.period and one.exponents[0] > -10:
        assert power.exponents[0] == pytest.approx(p * one.exponents[0], abs=1e-6)


@cases(140, row=strategies.conjugations(strategies.layered_maps(max_layers=2), kinds=("orthogonal",)), seed=SEEDS)
def test_exponents_do_not_depend_on_orthogonal_coordinates_with_the_frame_carried_along(row, seed):
    n, m = row.matrix.shape[0], row.original.map
    frame = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0].T
    here = m.stretch(m.native(row.original.starts[:1]), m.native(frame)[None], 3).logs
    there = row.map.stretch(row.map.native(row.start[None]), row.map.native(frame @ row.matrix.T)[None], 3).logs
    if np.isfinite(here).all() and here.min() > -15:
        np.testing.assert_allclose(there, here, rtol=0, atol=1e-6)


@cases(25, row=strategies.conjugations(strategies.affine_cycles(max_dim=3, max_rate=0.7)))
def test_multipliers_at_a_limit_do_not_depend_on_coordinates(row):
    """Nor does the class; general coordinates change norms and singular values, not ρ."""
    original = row.original
    image = row.map.numpy(row.map.watch(row.map.native(row.start[None]), 200, row.map.native(row.start[None])).states)[
        0
    ]
    assert dl.spectral_radius(row.map, image) == pytest.approx(original.rate, abs=1e-4)


# -- what a verdict of rest claims -------------------------------------------------------------------------------------


@cases(125, r=st.floats(0.2, 3.95), on_the_point=st.booleans())
def test_a_certain_limit_is_stable_by_its_multiplier(r, on_the_point):
    """Whatever the orbit does, and also from an unstable fixed point itself, which rounding may not leave."""
    m, fixed = dl.zoo.logistic(r), 1 - 1 / r
    found = dl.classify(m, [fixed if on_the_point and r > 1 else 0.37], loops=512)
    if found.regime[()] in (dl.Regime.VANISHING, dl.Regime.CYCLIC):
        x = found.states.item()
        assert abs(x - r * x * (1 - x)) <= 1e-9
        assert abs(r * (1 - 2 * x)) <= 1 + 1e-6
        assert found.rate[()] == pytest.approx(abs(r * (1 - 2 * x)), abs=1e-6)
    elif found.regime[()] is dl.Regime.PERIODIC:
        orbit = m.record(np.array([[found.states.item()]]), int(found.period[()]) + 1, 0)[0, :, 0]
        gaps = np.abs(orbit[1:] - orbit[0])
        assert gaps[-1] <= 1e-9
        assert (gaps[:-1] > 1e-9).all()
