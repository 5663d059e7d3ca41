"""Basins on grids: oracles of the field, independence of order and threads, resuming, and what is refused."""

import importlib

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.maps.compiled import jit

TURN = 2 * np.pi
GRID = importlib.import_module("dynloop.basins.grid")  # `dynloop.basins` is the function


def square(low, high, n, dim=2):
    return tuple(
        np.linspace(a, b, n) for a, b in zip(np.broadcast_to(low, dim), np.broadcast_to(high, dim), strict=True)
    )


def starts_of(grid):
    return np.stack(np.meshgrid(*grid, indexing="ij"), axis=-1).reshape(-1, len(grid))


GREBOGI = (np.linspace(0, TURN, 300), np.linspace(-0.5, 0.5, 300))


# -- oracles ----------------------------------------------------------------------------------------------------------


def test_grebogi_has_two_attractors_one_on_the_seam():
    m = dl.zoo.grebogi()
    found = dl.basins(m, GREBOGI)
    assert len(found.attractors) == 2
    for one, point in zip(found.attractors, m.facts["attractors"], strict=True):
        np.testing.assert_allclose(m.displacement(one.points[0], point), 0, atol=1e-12)
        assert one.spectral_radius == pytest.approx(0.34, abs=1e-9)
    np.testing.assert_allclose(found.fractions, [0.5003, 0.4997], atol=1e-3)
    assert found.fractions.sum() == pytest.approx(1)


def test_newton_has_three_attractors():
    found = dl.basins(dl.zoo.newton(), square(-1, 1, 300))
    np.testing.assert_allclose(found.fractions, [0.33214, 0.33214, 0.33571], atol=1e-5)
    roots = np.array([one.points[0] for one in found.attractors])
    np.testing.assert_allclose((roots[:, 0] + 1j * roots[:, 1]) ** 3, 1, atol=1e-12)


def test_henon_has_one_attractor_and_escape():
    grid = square(-2, 2, 301)
    found = dl.basins(dl.zoo.henon(), grid)
    assert [one.regime.name for one in found.attractors] == ["CHAOTIC"]
    assert found.fractions[0] == pytest.approx(0.43248, abs=4 * np.sqrt(0.25 / found.labels.size))
    assert found.fractions[0] + found.diverged == 1
    # what is labelled never leaves, what diverged has left, as plain iteration says
    x = starts_of(grid)
    with np.errstate(all="ignore"):
        for _ in range(2000):
            x = np.stack([1 - 1.4 * x[:, 0] ** 2 + x[:, 1], 0.3 * x[:, 0]], axis=1)
    bounded = (np.abs(x) < 10).all(axis=1)
    assert np.array_equal(found.labels.ravel() == 1, bounded)


@pytest.mark.slow
@pytest.mark.parametrize(("r", "period"), [(2.5, 1), (3.2, 2), (3.5, 4), (3.83, 3)])
def test_the_logistic_map_has_one_cycle(r, period):
    m = dl.zoo.logistic(r)
    found = dl.basins(m, (np.linspace(0.003, 0.997, 200),))
    assert [one.period for one in found.attractors] == [period]
    assert (found.labels == 1).all()
    assert (np.diff(found.attractors[0].points[:, 0])[:1] > 0).all()  # it begins at its lowest point


@pytest.mark.slow
def test_a_quasi_periodic_circle_is_one_attractor():
    found = dl.basins(dl.zoo.delayed_logistic(2.15), square(0.05, 0.8, 40))
    assert [one.regime.name for one in found.attractors] == ["QUASIPERIODIC"]
    assert found.fractions[0] > 0.85


@pytest.mark.slow
def test_cycles_of_different_periods_side_by_side():
    """x ← ±r x(1 − |x|): two logistic maps, of periods 2 and 4, on either side of zero."""

    def step(x, params, out):
        r = 3.2 if x[0] < 0 else 3.5
        out[0] = r * x[0] * (1 - abs(x[0]))

    found = dl.basins(dl.KernelMap(step, 1), (np.linspace(-0.99, 0.99, 200),))
    assert [one.period for one in found.attractors] == [2, 4]
    assert np.array_equal(found.labels, np.where(found.axes[0] < 0, 1, 2))


@pytest.mark.slow
def test_two_chaotic_attractors_side_by_side():
    """x ← 2.55 x − x³: [0, 1.567] is invariant, so is its mirror image, and both hold chaos."""
    m = cubic(2.55, -1)
    grid = (np.linspace(-1.56, 1.56, 40), np.linspace(-1, 1, 5))
    found = dl.basins(m, grid)
    assert [one.regime.name for one in found.attractors] == ["CHAOTIC", "CHAOTIC"]
    assert np.array_equal(found.labels, np.repeat(np.where(grid[0] < 0, 1, 2)[:, None], 5, axis=1))


def test_a_contraction_to_the_origin_is_one_fixed_point():
    """Its orbits end at 1e-200 and 1e-300, which are one point of the region."""
    found = dl.basins(cubic(0.5, 0.1), (LINE, LINE))
    assert len(found.attractors) == 1
    assert (found.labels == 1).all()


# -- what is no attractor ---------------------------------------------------------------------------------------------


@jit
def cubic_step(x, params, out):
    out[0] = params[0] * x[0] + params[1] * x[0] ** 3
    out[1] = params[2] * x[1]


@jit
def cubic_jacobian(x, params, out):
    out[0, 0] = params[0] + 3 * params[1] * x[0] ** 2
    out[0, 1] = 0.0
    out[1, 0] = 0.0
    out[1, 1] = params[2]


def cubic(a, b, c=0.5):
    """x ← a x + b x³, y ← c y: one compiled step for all that follows."""
    return dl.KernelMap(cubic_step, 2, params=(a, b, c), jacobian=cubic_jacobian, name="cubic")


LINE = np.linspace(-1, 1, 21)


def test_starts_on_the_stable_set_of_a_saddle_are_unmatched():
    grid = (np.where(np.abs(LINE) < 1e-12, 0, LINE), LINE)
    found = dl.basins(cubic(1.25, -0.25), grid)  # 0 repels, ±1 attract
    np.testing.assert_allclose([one.points[0] for one in found.attractors], [[-1, 0], [1, 0]], atol=1e-12)
    wanted = np.where(grid[0] < 0, 1, np.where(grid[0] > 0, 2, -3))
    assert np.array_equal(found.labels, np.repeat(wanted[:, None], 21, axis=1))


def test_lingering_at_a_saddle_of_multiplier_near_one_founds_no_attractor():
    starts = np.linspace(-1, 1, 20) * 1e-2
    found = dl.basins(cubic(1.001, -0.001), (starts, np.linspace(-1, 1, 5)), loops=40_000)
    np.testing.assert_allclose([one.points[0] for one in found.attractors], [[-1, 0], [1, 0]], atol=1e-9)
    assert np.array_equal(found.labels, np.repeat(np.where(starts < 0, 1, 2)[:, None], 5, axis=1))


def test_a_budget_that_does_not_suffice_is_undecided():
    found = dl.basins(cubic(1.001, -0.001), (np.array([1e-3, 0.9999]), np.zeros(1)), loops=100)
    assert found.labels[0, 0] == -2
    assert found.labels[1, 0] == len(found.attractors)


def test_a_line_of_fixed_points_has_no_attractor():
    found = dl.basins(cubic(1, 0), (LINE, LINE))
    assert found.attractors == ()
    assert found.unmatched == 1


def test_everything_diverges():
    found = dl.basins(cubic(2, 0), (LINE[11:], LINE))
    assert found.diverged == 1
    assert found.attractors == ()
    assert found.fractions.shape == (0,)


@pytest.mark.slow
def test_algebraic_convergence_is_an_attractor_or_not_decided():
    found = dl.basins(cubic(1, -1), (LINE * 0.9, LINE))
    assert set(np.unique(found.labels)) <= {1, -2, -3}
    if found.attractors:
        np.testing.assert_allclose(found.attractors[0].points, 0, atol=1e-3)


def test_loops_count_to_the_capture():
    found = dl.basins(cubic(0.5, 0), (np.arange(-64.0, 65.0), np.zeros(1)))
    nearer = np.argsort(np.abs(found.axes[0]), kind="stable")
    assert (np.diff(found.loops[nearer, 0]) >= 0).all()
    assert found.loops[64, 0] == 0


@pytest.mark.slow
def test_chaos_that_keeps_areas_is_no_attractor():
    found = dl.basins(dl.zoo.standard(6.0), square(0.1, 6.1, 4))
    assert found.attractors == ()
    assert found.undecided == 1


@pytest.mark.slow
def test_an_area_preserving_twist_has_no_attractor():
    def step(x, params, out):
        out[0] = (x[0] + x[1]) % 1.0
        out[1] = x[1]

    found = dl.basins(dl.KernelMap(step, 2, periods=(1.0, None)), (np.linspace(0, 0.9, 8), np.linspace(0.1, 0.9, 8)))
    assert found.attractors == ()
    assert not (found.labels > 0).any()


# -- independence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [dl.zoo.grebogi, dl.zoo.newton])
def test_the_order_of_the_axes_changes_nothing(make):
    m, rng = make(), np.random.default_rng(1)
    grid = GREBOGI if m.name == "grebogi" else square(-1, 1, 100)
    grid = tuple(axis[::3] for axis in grid)
    found = dl.basins(m, grid)
    orders = [rng.permutation(len(axis)) for axis in grid]
    again = dl.basins(m, tuple(axis[order] for axis, order in zip(grid, orders, strict=True)))
    assert np.array_equal(again.labels, found.labels[np.ix_(*orders)])
    assert np.array_equal(again.loops, found.loops[np.ix_(*orders)])
    for one, other in zip(found.attractors, again.attractors, strict=True):
        assert np.array_equal(one.points, other.points)


def test_threads_change_nothing(monkeypatch):
    m = dl.zoo.grebogi()
    found = dl.basins(m, GREBOGI)
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 1 if numba.config.NUMBA_NUM_THREADS > 1 else 4)
    again = dl.basins(m, GREBOGI)
    assert np.array_equal(again.labels, found.labels)
    assert np.array_equal(again.loops, found.loops)


def test_a_start_is_labelled_alone():
    m = dl.zoo.newton()
    mapper = dl.by_recurrence(m, m.start(0, 100))
    starts = m.start(3, 500)
    alone = np.concatenate([mapper(start[None]) for start in starts])
    assert np.array_equal(alone, mapper(starts))
    order = np.random.default_rng(0).permutation(len(starts))
    assert np.array_equal(mapper(starts[order]), alone[order])
    shuffled = dl.by_recurrence(m, m.start(0, 100)[::-1])
    assert np.array_equal(shuffled(starts), alone)


@pytest.mark.slow
def test_an_attractor_that_few_starts_lead_to_is_found_among_those_left():
    """A basin of one start in 4000: it is among none of the first 64."""

    def step(x, params, out):
        out[0] = 0.5 * x[0] if x[0] < 0.99975 else 0.5 * (x[0] - 1) + 1

    grid = (np.linspace(0, 1, 4001),)
    found = dl.basins(dl.KernelMap(step, 1), grid)
    np.testing.assert_allclose([one.points[0, 0] for one in found.attractors], [0, 1], atol=1e-12)
    assert np.array_equal(found.labels, np.where(grid[0] < 0.99975, 1, 2))


# -- properties -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [dl.zoo.grebogi, dl.zoo.newton, dl.zoo.henon])
def test_labels_are_constant_along_orbits(make):
    m = make()
    starts = m.start(0, 400) * (2 if m.name == "henon" else 1)
    mapper = dl.by_recurrence(m, starts)
    labels = mapper(starts)
    images = starts
    for _ in range(3):
        with np.errstate(all="ignore"):
            images = m(images)
        finite = np.isfinite(images).all(axis=1)
        images = np.where(finite[:, None], images, 1e200)
        assert np.array_equal(mapper(images), labels)


@settings(max_examples=12)
@given(st.floats(1.2, 1.8), st.floats(-0.9, 0.9), st.integers(0, 2**32 - 1))
def test_every_pitchfork_has_the_basins_of_its_signs(a, c, seed):
    """x ← a x + (1 − a) x³ has the attractors ±1, of multiplier 3 − 2a, and keeps the sign of |x| < √(a/(a − 1))."""
    m, rng = cubic(a, 1 - a, c), np.random.default_rng(seed)
    starts = rng.uniform(-1.4, 1.4, (64, 2))
    mapper = dl.by_recurrence(m, starts)
    assert [one.spectral_radius for one in mapper.attractors] == pytest.approx([max(abs(3 - 2 * a), abs(c))] * 2)
    labels = mapper(starts)
    assert labels.tolist() == [1 if x < 0 else 2 for x in starts[:, 0]]
    order = rng.permutation(64)
    assert np.array_equal(dl.by_recurrence(m, starts[order])(m(starts[order])), labels[order])


@pytest.mark.slow
def test_labels_are_carried_by_every_layer():
    """T5: x is in the basin of x₁* exactly if L₁(x) is in that of L₁(x₁*) for the loop that starts one layer later."""
    m = dl.KernelMap([_half, _push], 2, jacobian=[_half_jacobian, _push_jacobian], name="two layers")
    starts = np.random.default_rng(0).uniform(-1.5, 1.5, (600, 2))
    before, after = dl.by_recurrence(m, starts), dl.by_recurrence(m.rotate(1), m.sections(starts)[1])
    sections = m.sections(starts)[1]
    carried = {one.label: int(after(m.sections(one.points[:1])[1])[0]) for one in before.attractors}
    assert len(before.attractors) == len(after.attractors) == 2
    labels = before(starts)
    assert (labels > 0).all()
    assert after(sections).tolist() == [carried[label] for label in labels.tolist()]


@jit
def _half_jacobian(x, params, out):
    out[0, 0], out[0, 1], out[1, 0], out[1, 1] = 2.0, -0.5, 0.0, 0.5


@jit
def _push_jacobian(x, params, out):
    out[0, 0], out[0, 1], out[1, 0], out[1, 1] = 1 - np.tanh(x[0]) ** 2, 0.0, 0.3, 1.0


@jit
def _half(x, params, out):
    out[0] = 2 * x[0] - 0.5 * x[1]
    out[1] = 0.5 * x[1] + 0.2


@jit
def _push(x, params, out):
    out[0] = np.tanh(x[0])
    out[1] = 0.3 * x[0] + x[1]


def test_a_symmetric_map_has_symmetric_fractions():
    found = dl.basins(dl.zoo.newton(), square(-1, 1, 150))
    assert found.fractions[0] == pytest.approx(found.fractions[1], abs=2 / 150)
    flipped = np.where(found.labels == 1, 2, np.where(found.labels == 2, 1, found.labels))
    assert np.mean(flipped[:, ::-1] == found.labels) > 0.999


# -- keeping, progress, records ---------------------------------------------------------------------------------------


def test_an_interrupted_computation_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(GRID, "_PIECE", 500)
    m, grid = dl.zoo.grebogi(), tuple(axis[::6] for axis in GREBOGI)
    whole, seen = dl.basins(m, grid), []

    def stop(done, total):
        seen.append(done)
        if done >= 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dl.basins(m, grid, keep=tmp_path / "kept", progress=stop)
    kept = sorted(path.name for path in (tmp_path / "kept").glob("piece-*.npz"))
    assert len(kept) == 2
    again = dl.basins(m, grid, keep=tmp_path / "kept")
    assert np.array_equal(again.labels, whole.labels)
    assert np.array_equal(again.loops, whole.loops)
    # kept pieces are used, not made anew: a changed one shows
    path = tmp_path / "kept" / kept[0]
    piece = dict(np.load(path))
    np.savez(path, **{**piece, "loops": piece["loops"] + 1})
    assert np.array_equal(dl.basins(m, grid, keep=tmp_path / "kept").loops.ravel()[:500], whole.loops.ravel()[:500] + 1)
    path.write_bytes(b"damaged")
    assert np.array_equal(dl.basins(m, grid, keep=tmp_path / "kept").loops, whole.loops)


def test_pieces_of_another_computation_are_refused(tmp_path):
    grid = square(-1, 1, 20)
    dl.basins(dl.zoo.newton(), grid, keep=tmp_path / "kept")
    for m, other in ((dl.zoo.newton((1, 0, -1)), grid), (dl.zoo.newton(), square(-1, 0.9, 20))):
        with pytest.raises(dl.errors.InvalidArgumentError, match="of another map, grid, mapper or budget"):
            dl.basins(m, other, keep=tmp_path / "kept")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    with pytest.raises(dl.errors.InvalidArgumentError, match="is not empty and holds no pieces"):
        dl.basins(dl.zoo.newton(), grid, keep=tmp_path / "other")


def test_progress_and_the_record(tmp_path):
    calls = []
    found = dl.basins(dl.zoo.newton(), square(-1, 1, 30), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (900, 900)
    back = dl.load(found.save(tmp_path / "basins"))
    assert np.array_equal(back.labels, found.labels)
    assert repr(back) == repr(found)
    assert "3 attractors" in repr(found)
    assert len(repr(found).splitlines()) == 4


@pytest.mark.parametrize(
    ("grid", "kind", "said"),
    [
        ((np.linspace(0, 1, 5),), "ShapeError", "grid has 1 axes; newton has 2 coordinates"),
        ("no grid", "InvalidArgumentError", "grid must be a tuple of 1-D arrays"),
        ((np.eye(2), np.zeros(3)), "ShapeError", r"grid\[0\] must be a 1-D array"),
        ((np.array([0.0, np.nan]), np.zeros(3)), "InvalidArgumentError", r"grid\[0\] holds NaN"),
        (dl.plane(np.zeros(3), np.eye(3)[0], np.eye(3)[1]), "ShapeError", "the grid is a slice of states"),
    ],
)
def test_what_is_no_grid_is_refused(grid, kind, said):
    with pytest.raises(getattr(dl.errors, kind), match=said) as refused:
        dl.basins(dl.zoo.newton(), grid)
    assert "\n" not in str(refused.value)


def test_arguments_are_checked():
    m, grid = dl.zoo.newton(), square(-1, 1, 4)
    with pytest.raises(dl.errors.InvalidArgumentError, match="loops must be an int of at least 8"):
        dl.basins(m, grid, loops=3)
    with pytest.raises(dl.errors.InvalidArgumentError, match="mapper must be a mapper of newton"):
        dl.basins(m, grid, mapper=lambda x: x)
    mapper = dl.by_recurrence(m, m.start(0, 50))
    with pytest.raises(dl.errors.InvalidArgumentError, match="a mapper has its own budget"):
        dl.basins(m, grid, mapper=mapper, loops=100)
    assert (dl.basins(m, grid, mapper=mapper).labels > 0).all()


def test_the_public_name_is_the_function_whatever_was_imported():
    importlib.import_module("dynloop.basins.slices")
    assert callable(dl.basins)
