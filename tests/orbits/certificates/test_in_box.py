"""All fixed points in a box: exact counts where they are known, and nothing called complete that is not."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.errors import InvalidArgumentError, ShapeError

pytest.importorskip("flint")
TURN = 2 * math.pi


def step_map(step, dim=1, **options):
    return dl.KernelMap(step, dim, **options)


def complete(m, box, **options):
    found = dl.fixed_points_in_box(m, box, **options)
    assert found.complete, found.reason
    assert found.status is dl.Status.PROVED
    assert not len(found.undecided)
    assert (found.existence_radius < 1e-12).all()
    assert (found.existence_radius < found.uniqueness_radius).all()
    return found


def test_henon_has_two_fixed_points_in_the_box():
    found = complete(dl.zoo.henon(), [(-2, 2), (-2, 2)])
    exact = sorted(p.tolist() for p in dl.zoo.henon().facts["fixed_points"])
    assert found.points[:, 0] == pytest.approx(np.array(exact), abs=1e-14)
    assert found.inside.all()
    assert found.stability.tolist() == ["saddle"] * 2
    assert "no others" in found.reason


@pytest.mark.parametrize("period", [1, 2, 3, 4, 5, 6])
def test_prime_cycles_of_the_logistic_map(period):
    m = dl.zoo.logistic(4.0)
    found = complete(m, [(0, 1)], period=period)
    assert len(found.points) == m.facts["prime_orbits"][period - 1]
    assert found.inside.all()
    for row, radius in zip(found.points, found.existence_radius, strict=True):
        moved = 4 * row * (1 - row)
        assert np.abs(moved - np.roll(row, -1, axis=0)).max() < 5 * radius + 1e-15
    everything = np.array(
        [
            [math.sin(math.pi * ((k * 2**i) % q) / q) ** 2 for i in range(period)]
            for q in (2**period - 1, 2**period + 1)
            for k in range(q // 2 + 1)
        ]
    )  # all solutions of F^p(x) = x, each begun at each of its points
    for row, radius in zip(found.points[:, :, 0], found.uniqueness_radius, strict=True):
        distances = np.abs(everything - row).max(axis=1)
        distances = distances[distances > 1e-9]
        assert len(distances) >= 2**period - 1
        assert radius < distances.min()
    if period > 1:  # F^p has slope ±2^p on all its cycles but 0
        assert np.abs(found.multipliers) == pytest.approx(2.0**period)


@pytest.mark.parametrize(
    "period", [2, 3, pytest.param(4, marks=pytest.mark.slow), pytest.param(6, marks=pytest.mark.slow)]
)
def test_prime_cycles_of_henon(period):
    m = dl.zoo.henon()
    assert len(complete(m, [(-2, 2), (-2, 2)], period=period).points) == m.facts["prime_orbits"][period - 1]


@pytest.mark.parametrize("period", [1, 2, 3])
def test_prime_cycles_of_the_cat_map(period):
    counts = dl.zoo.cat().facts["fixed_point_counts"]
    found = complete(dl.zoo.cat(), [(0, 1), (0, 1)], period=period)
    prime = counts[period - 1] - (counts[0] if period > 1 else 0)
    assert len(found.points) * period == prime


def test_angles_wrap():
    found = complete(dl.zoo.standard(6.0), [(-1, TURN), (-1, TURN)])
    assert len(found.points) == 2
    assert np.sort(found.points[:, 0, 0]) == pytest.approx([0, math.pi], abs=1e-14)
    assert found.inside.all()
    touching = complete(dl.zoo.standard(6.0), [(1, 5), (0, 3)])  # (π, 0) is on the border
    assert touching.inside.tolist() == [False]
    assert "border" in touching.reason


@settings(max_examples=15)
@given(st.lists(st.integers(-40, 40), min_size=1, max_size=4, unique=True), st.sampled_from([-0.5, 0.25, 1.0]))
def test_all_roots_of_a_polynomial_are_found(roots, scale):
    roots = sorted(k / 32 for k in roots)

    def step(x, params, out):
        product = params[0]
        for i in range(1, params.shape[0]):
            product *= x[0] - params[i]
        out[0] = x[0] + product

    m = step_map(step, params=[scale, *roots])
    found = complete(m, [(-2, 2)])
    assert found.points[:, 0, 0] == pytest.approx(roots, abs=1e-14)
    for i, radius in enumerate(found.uniqueness_radius):
        assert radius < min((abs(roots[i] - other) for other in roots if other != roots[i]), default=np.inf)
    inner = complete(m, [(roots[0], 2)])  # a root on the border, exactly
    assert len(inner.points) == len(roots)
    assert inner.inside.all()
    after = complete(m, [(roots[0] + 1e-12, 2)])
    assert len(after.points) == len(roots) - 1


@settings(max_examples=25)
@given(st.integers(-32, 32), st.integers(-8, 8))
def test_fixed_points_of_every_henon_map(a, b):
    a, b = a / 16, b / 16
    assume(a != 0)
    discriminant = (1 - b) ** 2 + 4 * a
    assume(abs(discriminant) > 1e-6)
    found = complete(dl.zoo.henon(a, b), [(-40, 40), (-40, 40)])
    assert len(found.points) == (2 if discriminant > 0 else 0)


def fold(x, params, out):
    out[0] = x[0] + x[0] * x[0]


def identity(x, params, out):
    out[0] = x[0]


def leap(x, params, out):
    out[0] = -0.5 if x[0] > 0.125 else 0.75


@pytest.mark.parametrize(("step", "where"), [(fold, 0.0), (leap, 0.125)])
def test_a_fold_and_a_jump_stay_undecided(step, where):
    found = dl.fixed_points_in_box(step_map(step), [(-1, 1.3)])
    assert not found.complete
    assert found.status is dl.Status.UNPROVED
    assert not len(found.points)
    assert len(found.undecided) < 10
    assert np.abs(found.undecided - where).max() < 1e-6
    assert found.undecided[:, 0, 0].min() <= where <= found.undecided[:, 0, 1].max()


def test_what_is_fixed_everywhere_is_undecided_everywhere():
    found = dl.fixed_points_in_box(step_map(identity), [(0, 1)], budget=200)
    assert not found.complete
    assert not len(found.points)
    assert "budget" in found.reason
    sides = found.undecided[:, 0]
    assert np.sum(sides[:, 1] - sides[:, 0]) == pytest.approx(1)


def test_a_budget_hides_nothing():
    """Whatever the budget: every cycle is proved, or lies in a box that is said to be undecided."""
    m = dl.zoo.logistic(4.0)
    exact = np.sin(np.pi * np.arange(8) / 15) ** 2
    for budget in (1, 5, 20, 60, 120):
        found = dl.fixed_points_in_box(m, [(0, 1)], period=4, budget=budget)
        assert found.examined <= budget
        for x in exact[[1, 2, 3, 4, 6, 7]]:  # 5/15 = 1/3 and 0 have smaller periods
            known = len(found.points) and np.abs(found.points - x).min() < 1e-12
            assert known or ((found.undecided[:, 0, 0] <= x) & (x <= found.undecided[:, 0, 1])).any()


def test_what_is_outside_is_left_out():
    assert not len(complete(dl.zoo.henon(), [(0, 0.6), (-2, 2)]).points)
    assert len(complete(dl.zoo.henon(), [(0, 0.64), (-2, 2)]).points) == 1
    found = complete(dl.zoo.henon(), [(0.9, 1), (-2, 2)], period=2)
    assert found.points[0, 0, 0] == pytest.approx(0.97580005118)
    found = complete(dl.zoo.henon(), [(-1, 0), (-2, 2)], period=2)  # begun at the point in the box
    assert found.points[0, 0, 0] == pytest.approx(-0.47580005118)


def test_three_coordinates_and_kinks():
    assert len(complete(dl.zoo.folded_towel(), [(-1, 2), (-1, 1), (-1, 2)]).points) == 4
    assert len(complete(dl.zoo.lozi(), [(-2, 2), (-2, 2)]).points) == 2
    assert len(complete(dl.zoo.tent(2.0), [(-1, 2)]).points) == 2


def test_progress_is_reported():
    seen = []
    found = dl.fixed_points_in_box(
        dl.zoo.henon(), [(-2, 2), (-2, 2)], period=3, progress=lambda *counts: seen.append(counts)
    )
    assert len(seen) > 1
    assert seen[-1] == (found.examined, 0, seen[-1][2])
    assert all(a[0] < b[0] or b is seen[-1] for a, b in itertools.pairwise(seen))


def test_the_result_saves_and_loads(tmp_path):
    found = complete(dl.zoo.henon(), [(-2, 2), (-2, 2)])
    again = dl.load(found.save(tmp_path / "b"))
    assert np.array_equal(again.points, found.points)
    assert again.stability.tolist() == found.stability.tolist()


@pytest.mark.parametrize(
    ("make", "box", "options", "error", "text"),
    [
        (dl.zoo.henon, [(0, 1)], {}, ShapeError, "2 pairs"),
        (dl.zoo.henon, [(0, 1), (1, 1)], {}, InvalidArgumentError, r"box\[1\] must be finite with low < high"),
        (dl.zoo.henon, [(0, 1), (0, math.inf)], {}, InvalidArgumentError, r"box\[1\]"),
        (dl.zoo.henon, "box", {}, InvalidArgumentError, "box must be one pair"),
        (dl.zoo.henon, [(0, 1)] * 2, {"budget": 0}, InvalidArgumentError, "budget must be"),
        (dl.zoo.henon, [(0, 1)] * 2, {"resolution": 0}, InvalidArgumentError, "resolution must be"),
        (dl.zoo.henon, [(0, 1)] * 2, {"progress": 3}, InvalidArgumentError, "progress must be callable"),
        (lambda: dl.zoo.tanh_network(4), [(0, 1)] * 4, {}, InvalidArgumentError, "up to 3 coordinates"),
        (lambda: step_map(halved, periods=[1.0]), [(0, 1)], {}, InvalidArgumentError, "given as an angle"),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(make, box, options, error, text):
    with pytest.raises(error, match=text):
        dl.fixed_points_in_box(make(), box, **options)


def halved(x, params, out):
    out[0] = 0.5 * x[0]
