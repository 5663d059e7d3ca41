import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dynloop as dl
from dynloop.basins.attractors import Attractor, Mapper
from dynloop.errors import InvalidArgumentError, NoStartError, ShapeError
from dynloop.result import Status

SQUARE = ((-1.0, 1.0), (-1.0, 1.0))


def below(p):
    """Two basins of a line, the first of length p."""
    return lambda starts: np.where(np.array(starts)[:, 0] < p, 1, 2)


@pytest.fixture(scope="module")
def line():
    def step(x, params, out):
        out[0] = x[0]

    return dl.KernelMap(step, 1, name="line")


def test_newton_has_equal_fractions_that_sum_to_one():
    found = dl.basin_fractions(dl.zoo.newton(), SQUARE, samples=6000)
    reference = np.array([0.33214, 0.33214, 0.33571])  # conjugate roots are alike
    assert found.fractions.sum() + found.rest.sum() == pytest.approx(1, abs=1e-12)
    assert (abs(found.fractions - reference) < 4 * found.standard_error).all()
    a, b = found.fractions[:2]
    assert abs(a - b) < 4 * np.hypot(*found.standard_error[:2])
    assert [one.label for one in found.attractors] == [1, 2, 3]
    assert found.status is Status.CONVERGED


def test_henon_attracts_the_reference_share_and_the_rest_escapes():
    found = dl.basin_fractions(dl.zoo.henon(), ((-2, 2), (-2, 2)), precision=0.01)
    assert found.fractions.sum() == pytest.approx(0.43248, abs=4 * found.standard_error.max())
    assert found.diverged == pytest.approx(1 - found.fractions.sum(), abs=1e-12)
    assert found.precision <= 0.01
    assert found.samples < 15_000
    assert found.rest_interval[0, 0] < 0.56752 < found.rest_interval[0, 1]


def test_grebogi_is_symmetric():
    found = dl.basin_fractions(dl.zoo.grebogi(), ((0, 2 * np.pi), (-0.5, 0.5)), samples=5000)
    assert found.fractions == pytest.approx([0.5, 0.5], abs=4 * found.standard_error[0])


@pytest.mark.parametrize("p", [0.03, 0.4])
def test_intervals_and_errors_cover_over_seeds(line, p):
    runs = [dl.basin_fractions(line, ((0, 1),), mapper=below(p), precision=0.03, rng=seed) for seed in range(300)]
    covered = np.mean([r.interval[0, 0] <= p <= r.interval[0, 1] for r in runs])
    assert 0.95 - 4 * np.sqrt(0.95 * 0.05 / 300) < covered  # 4 standard deviations of a count
    spread, said = np.std([r.fractions[0] for r in runs]), np.mean([r.standard_error[0] for r in runs])
    assert spread == pytest.approx(said, rel=0.25)
    assert all(r.precision <= 0.03 and r.status is Status.CONVERGED for r in runs)


@settings(max_examples=25)
@given(st.lists(st.sampled_from([-3, -2, -1, 1, 2, 3]), min_size=1, max_size=40))
def test_any_labels_sum_to_one(labels):
    m = dl.zoo.logistic()
    found = dl.basin_fractions(m, np.full((len(labels), 1), 0.5), mapper=lambda starts: np.array(labels))
    assert found.fractions.sum() + found.rest.sum() == pytest.approx(1, abs=1e-12)
    for k, share in enumerate(found.fractions, 1):
        assert share == labels.count(k) / len(labels)
    assert [found.diverged, found.undecided, found.unmatched] == [labels.count(k) / len(labels) for k in (-1, -2, -3)]
    assert (found.standard_error > 0).all()
    inside = (found.interval[:, 0] <= found.fractions) & (found.fractions <= found.interval[:, 1])
    assert inside.all()


def test_a_budget_ends_it_and_is_said(line):
    found = dl.basin_fractions(line, ((0, 1),), mapper=below(0.5), precision=0.001, budget=1000)
    assert (found.samples, found.status) == (1000, Status.OUT_OF_LOOPS)
    assert found.precision > 0.001


def test_samplers_slices_and_given_starts(line):
    def sampler(rng, n):
        return rng.uniform(0, 1, (n, 1)) ** 2

    found = dl.basin_fractions(line, sampler, mapper=below(0.25), samples=4000)
    assert found.fractions[0] == pytest.approx(0.5, abs=4 * found.standard_error[0])
    found = dl.basin_fractions(line, [[0.1], [0.2], [0.9]], mapper=below(0.5))
    assert found.samples == 3
    assert found.fractions.tolist() == [2 / 3, 1 / 3]
    from dynloop.basins.slices import plane

    m = dl.TorchMap([lambda x: x], (3, 2))
    origin, u, v = np.zeros((3, 2)), np.zeros((3, 2)), np.zeros((3, 2))
    u[0, 0], v[2, 1] = 1.0, 1.0
    corner = lambda starts: np.where((m.numpy(starts)[:, 0, 0] < 0) & (m.numpy(starts)[:, 2, 1] < 0), 1, 2)
    found = dl.basin_fractions(m, plane(origin, u, v, extent=2, n=3), mapper=corner, samples=2000)
    assert found.fractions[0] == pytest.approx(0.25, abs=4 * found.standard_error[0])


class Growing(Mapper):
    """Knows the unit intervals that it was shown; the newest is number 1."""

    def __init__(self, m, cells):
        self.map, self.cells = m, cells
        self.attractors = tuple(
            Attractor(
                label=k, period=1, points=np.array([[c]]), regime=dl.Regime.CYCLIC, spectral_radius=0.5, error=0.0
            )
            for k, c in enumerate(cells, 1)
        )

    def label(self, starts, *, progress=None):  # noqa: ARG002 - the signature of a mapper
        cell = np.floor(np.array(starts)[:, 0])
        labels = np.full(len(cell), -3)
        for k, c in enumerate(self.cells, 1):
            labels[cell == c] = k
        return labels, np.zeros(len(cell), dtype=int)

    def extended(self, starts):
        return Growing(self.map, [float(np.floor(np.array(starts)[0, 0])), *self.cells])


def test_a_mapper_learns_what_it_could_not_match_and_all_is_labelled_anew(line):
    found = dl.basin_fractions(line, ((0, 4),), mapper=Growing(line, [0.0]), precision=0.02)
    assert found.unmatched == 0
    assert len(found.attractors) == 4
    assert found.fractions == pytest.approx([0.25] * 4, abs=4 * found.standard_error.max())
    starts = np.random.default_rng(0).uniform(0, 4, 128)
    again = dl.basin_fractions(line, starts[:, None], mapper=Growing(line, [0.0]))
    counts = np.bincount(np.floor(starts).astype(int), minlength=4) / 128
    places = [int(one.points[0, 0]) for one in again.attractors]
    assert again.fractions.tolist() == counts[places].tolist()


def test_it_is_reproducible():
    one, other = (dl.basin_fractions(dl.zoo.newton(), SQUARE, samples=500, rng=3) for _ in range(2))
    assert one.fractions.tolist() == other.fractions.tolist()


def test_it_is_saved_and_read_back(tmp_path):
    found = dl.basin_fractions(dl.zoo.newton(), SQUARE, samples=500)
    again = dl.load(found.save(tmp_path / "fractions"))
    assert again.fractions.tolist() == found.fractions.tolist()
    assert repr(again) == repr(found)


@pytest.mark.parametrize(
    ("starts", "options", "error", "words"),
    [
        ([[0.1]], {"precision": 0.1}, InvalidArgumentError, "starts are given"),
        (((0, 1),), {"precision": 0.1, "samples": 5}, InvalidArgumentError, "not both"),
        (((0, 1),), {"precision": 0.7}, InvalidArgumentError, "half-width between 0 and 0.5"),
        (((0, 1),), {"samples": 0}, InvalidArgumentError, "samples must be a positive int"),
        (((0, 1),), {"confidence": 1.0}, InvalidArgumentError, "confidence must be a number"),
        (((0, 1), (0, 1)), {}, ShapeError, "grid has 2 axes"),
        (((1, 0),), {}, InvalidArgumentError, "finite and increasing"),
        (None, {}, NoStartError, "knows no starts"),
        (lambda rng, n: rng.uniform(size=(3, 1)), {}, ShapeError, "the sampler gave 3 starts"),
        (((0, 1),), {"mapper": lambda s: np.zeros(len(s), dtype=int)}, InvalidArgumentError, "labels below −3 or 0"),
        (((0, 1),), {"mapper": lambda s: np.ones(len(s))}, InvalidArgumentError, "one integer a start"),
    ],
)
def test_errors(line, starts, options, error, words):
    with pytest.raises(error, match=words):
        dl.basin_fractions(line, starts, **options)
