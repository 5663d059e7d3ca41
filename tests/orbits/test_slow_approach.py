"""Orbits that come to a point, or leave it, too slowly to be seen to: said only where every scale between agrees."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.orbits.slow_approach import _meets_a_resonance
from dynloop.testing.known import divergent, late_flip, slow_rate, slow_spiral, weak_flip

VANISHING, UNDECIDED = dl.Regime.VANISHING, dl.Regime.UNDECIDED


def turning(factor, angle=1.0):
    """Turn the plane by an angle, and stretch it by a factor that depends on the radius."""
    cos, sin = np.cos(angle), np.sin(angle)

    def step(z):
        x, y = z[..., 0], z[..., 1]
        f = factor(x * x + y * y)
        return torch.stack([f * (cos * x - sin * y), f * (sin * x + cos * y)], dim=-1)

    return dl.TorchMap([step], (2,))


@pytest.mark.parametrize("bend", [0.0, pytest.param(0.5, marks=pytest.mark.slow)])
@pytest.mark.parametrize("excess", [-1e-5, pytest.param(-1e-6, marks=pytest.mark.slow)])
def test_a_slow_spiral_comes_in(excess, bend):
    row = slow_spiral(np.random.default_rng(3), excess=excess, bend=bend)
    found = dl.classify(row.map, row.start)
    assert row.wrong(found) == []
    assert found.regime[()] is VANISHING
    assert found.rate[()] == pytest.approx(1 + excess, abs=1e-11)
    assert 0.1 < found.evidence.distance[()] < 2
    assert " scales from the distance " in str(found.reason)
    assert "spectral radius 1 - 1e-0" in str(found.reason)


@pytest.mark.parametrize("excess", [1e-5, pytest.param(1e-7, marks=pytest.mark.slow)])
def test_a_slow_spiral_goes_out(excess):
    row = slow_spiral(np.random.default_rng(3), excess=excess)
    found = dl.classify(row.map, row.start)
    assert found.regime[()] is dl.Regime.DIVERGENT
    assert found.evidence.growth[()] == pytest.approx(1 + excess, abs=1e-11)


def test_slow_growth_about_a_point_that_is_not_the_origin():
    row = divergent(np.random.default_rng(0), dim=10, layers=3, rate=1.001)
    assert dl.classify(row.map, row.start).regime[()] is dl.Regime.DIVERGENT


@pytest.mark.parametrize("dim", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_rate_near_one_or_near_minus_one(dim):
    rng = np.random.default_rng(0)
    row = slow_rate(rng, rate=0.9999, dim=dim, layers=1) if dim else late_flip(rng, below=1e-4)
    found = dl.classify(row.map, row.start)
    assert row.wrong(found) == []
    assert found.regime[()] is VANISHING
    assert found.rate[()] == pytest.approx(0.9999, abs=1e-9)


@pytest.mark.slow
def test_a_cycle_of_two_that_draws_weakly():
    row = weak_flip(np.random.default_rng(0), above=1e-5)
    found = dl.classify(row.map, row.start)
    assert row.wrong(found) == []
    assert (found.regime[()], found.period[()]) == (dl.Regime.PERIODIC, 2)


@pytest.mark.parametrize("pace", [1e-4, pytest.param(1e-6, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("inner", "outer"),
    [(0.5, 1.0), (0.97, 1.0), *(pytest.param(*c, marks=pytest.mark.slow) for c in ((0.9, 1.0), (0.03, 0.04)))],
)
def test_a_circle_on_the_way_stops_an_orbit_that_the_point_would_attract(inner, outer, pace):
    """The centre attracts, yet a pair of circles lies around it; from outside no orbit passes the outer one."""
    m = turning(lambda r2: 1 - pace * (1 - r2 / inner**2) * (1 - r2 / outer**2) * outer**4 / (1 + r2) ** 2)
    found = dl.classify(m, [1.3, 0.0])
    assert found.regime[()] in (UNDECIDED, dl.Regime.QUASIPERIODIC)


@pytest.mark.parametrize(("radius", "comes"), [(0.1, True), pytest.param(0.7, False, marks=pytest.mark.slow)])
def test_only_inside_the_inner_circle_it_comes_in(radius, comes):
    m = turning(lambda r2: 1 - 1e-5 * (1 - r2 / 0.25) * (1 - r2))
    assert (dl.classify(m, [radius, 0.0]).regime[()] is VANISHING) == comes


@pytest.mark.parametrize("gap", [-1e-6, *(pytest.param(gap, marks=pytest.mark.slow) for gap in (1e-6, 0.0))])
def test_a_pair_of_points_on_the_way_stops_it_too(gap):
    """Two points, their ghost, and one that attracts from one side."""
    m = dl.TorchMap([lambda x: x - 1e-4 * x * ((x - 0.5) ** 2 + gap)], (1,))
    found = dl.classify(m, [0.9])
    assert found.regime[()] is UNDECIDED or found.states[0] > 0.49


@pytest.mark.slow
def test_growth_that_stops_far_out_is_no_divergence():
    m = turning(lambda r2: 1 + 1e-5 * (1 - r2 / 1e6))
    assert dl.classify(m, [1.0, 0.0]).regime[()] is UNDECIDED


def _two_slow(z):
    """A well beside the straight line from (1, 1) to the sink at the origin, on which both coordinates are slow."""
    u, v = z[..., 0], z[..., 1]
    well = 2 * torch.exp(-4 * u * u - 100 * (v - 0.7) ** 2)
    return torch.stack([u - 2e-6 * u, v - 1e-6 * v * (1 - well)], dim=-1)


def _steep_near_the_sink(x):
    return x - 1e-5 * (x - 1.5 * (torch.tanh((x - 1) / 0.15) - torch.tanh((x - 1.3) / 0.15)))


def _one_to_three(z):
    """z ← (z − εz + c z̄² − d|z|²z) turned by a third: three points about the sink attract."""
    x, y = z[..., 0], z[..., 1]
    r2 = x * x + y * y
    u = x - 1e-7 * x + 1e-5 * (x * x - y * y) - 3e-6 * r2 * x
    v = y - 1e-7 * y - 2e-5 * x * y - 3e-6 * r2 * y
    cos, sin = np.cos(2 * np.pi / 3), np.sin(2 * np.pi / 3)
    return torch.stack([cos * u - sin * v, sin * u + cos * v], dim=-1)


def _straight_only_on_its_line(z):
    """Homogeneous far out from (1e-3, 1), though u overtakes v and the orbit comes to rest at (0.77, 0)."""
    u, v = z[..., 0], z[..., 1]
    q = 4 * u * u / (1 + u * u + v * v)
    return torch.stack([u + 1e-7 * u * (1.5 - q), v + 1e-7 * v * (1 - q)], dim=-1)


def _jordan_beside_growth(z):
    """A transient that grows, on the subspace u = 0 that the growth of u does not reach."""
    u, v, w = z[..., 0], z[..., 1], z[..., 2]
    return torch.stack([u * (1 + 1e-6), v - 1e-8 * v + 2e-6 * w, w - 1e-8 * w], dim=-1)


@pytest.mark.parametrize(
    ("rule", "start"),
    [
        (_two_slow, [1.0, 1.0]),
        (_steep_near_the_sink, [100.0]),
        pytest.param(_one_to_three, [-1.0, 0.01], marks=pytest.mark.slow),
        pytest.param(_straight_only_on_its_line, [1e-3, 1.0], marks=pytest.mark.slow),
        pytest.param(_jordan_beside_growth, [0.0, 1.0, 1.0], marks=pytest.mark.slow),
    ],
)
def test_a_point_that_does_not_take_the_orbit(rule, start):
    """Found by a review of 2026-11: on the line to the point all led inwards, and the orbit went elsewhere."""
    assert dl.classify(dl.TorchMap([rule], (len(start),)), start).regime[()] is UNDECIDED


@pytest.mark.parametrize("turn", [1 / 3, -1 / 3, 2 / 5, 0.5, 1e-5, -1e-5, 0.99999, 3 / 16])
def test_turns_by_simple_fractions_are_resonant_of_either_sign(turn):
    assert _meets_a_resonance(turn, turn, 1e-3)
    assert _meets_a_resonance(turn - 0.02, turn + 0.02, 0.0)


@pytest.mark.parametrize("turn", [np.sqrt(2) % 1, np.sqrt(5) % 1, -(np.sqrt(3) % 1), 1 / 17])
def test_other_turns_are_not(turn):
    assert not _meets_a_resonance(turn, turn + 1e-4, 1e-3)


@pytest.mark.parametrize(
    "angle", [-5e-4, *(pytest.param(a, marks=pytest.mark.slow) for a in (5e-4, 2 * np.pi / 3 + 2e-4))]
)
def test_a_spiral_that_hardly_slips_past_a_fraction_is_left_open(angle):
    """Its phases do not average out; here they happen not to matter, which nothing shows."""
    found = dl.classify(turning(lambda r2: torch.full_like(r2, 1 - 1e-6), angle), [1.0, 0.0])
    assert found.regime[()] is UNDECIDED


@pytest.mark.slow
def test_slow_random_networks_are_never_called_settled_elsewhere():
    """x ← x + ε(U tanh(Wx + b) − x): all directions are slow, and Newton finds points that are not the limit."""
    rng = np.random.default_rng(1)
    for _ in range(12):
        d = int(rng.integers(2, 5))
        U, W = (torch.tensor(rng.standard_normal(s) * 3) for s in ((d, 2 * d), (2 * d, d)))
        b = torch.tensor(rng.standard_normal(2 * d))

        def rule(x, U=U, W=W, b=b, pace=1e-6):
            return x + pace * (torch.tanh(x @ W.T + b) @ U.T - x)

        start = rng.standard_normal(d) * 5
        found = dl.classify(dl.TorchMap([rule], (d,)), start)
        if found.regime[()] is VANISHING:
            x = torch.tensor(start[None])
            for _ in range(20_000):
                x = rule(x, pace=1e-3)  # the same flow, a thousand times as fast
            assert np.linalg.norm(x[0].numpy() - found.states) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("pull", [0.0, 1e-4])
def test_orbits_on_circles_neither_come_nor_go(pull):
    found = dl.classify(turning(lambda r2: 1 - pull * (r2 - 1)), [1.0, 0.0])
    assert found.regime[()] in ((dl.Regime.QUASIPERIODIC, UNDECIDED) if pull else (dl.Regime.QUASIPERIODIC,))
