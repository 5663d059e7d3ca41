import importlib

import numpy as np
import pytest
from scipy.sparse import csr_matrix

import dynloop as dl
from dynloop.basins.cells.chain import absorbed, closed_classes, lasting, stationary
from dynloop.errors import InvalidArgumentError, ShapeError
from dynloop.result import Status


def middles(n):
    return (np.arange(n) + 0.5) / n


def arcsine(n):
    """Masses of 1 / (π √(x (1 − x))) in n equal cells."""
    return np.diff(2 / np.pi * np.arcsin(np.sqrt(np.arange(n + 1) / n)))


def test_the_measure_of_the_logistic_map_is_the_arcsine_law():
    off = []
    for n in (64, 256, 1024):
        found = dl.ulam_matrix(dl.zoo.logistic(4.0), (middles(n),))
        assert found.residual < 1e-12
        assert found.status is Status.CONVERGED
        assert found.eigenvalue == 1
        assert found.invariant_measure.sum() == pytest.approx(1)
        off.append(abs(found.invariant_measure - arcsine(n)).sum())
    assert off[0] < 0.2
    assert off[2] < 0.06
    assert off[0] > off[1] > off[2]


@pytest.mark.parametrize("m", [dl.zoo.tent(), dl.zoo.baker(), dl.zoo.cat()], ids=lambda m: m.name)
def test_maps_that_keep_volume_have_the_uniform_measure(m):
    found = dl.ulam_matrix(m, (middles(32),) * m.dimension)
    assert np.allclose(found.invariant_measure * found.invariant_measure.size, 1, atol=1e-9)
    assert not found.leak.any()
    assert np.allclose(found.matrix.sum(axis=1), 1)


def test_attractors_are_classes_and_weights_are_fractions():
    axis = np.linspace(-1, 1, 61)
    found = dl.ulam_matrix(dl.zoo.newton(), (axis, axis))
    inside = found.weights / found.weights.sum()
    assert len(found.classes) == 3
    assert inside == pytest.approx([1 / 3] * 3, abs=0.12)
    assert found.weights.sum() < 1  # some starts near 0 leave the square, and do not come back here


def test_what_leaves_has_a_conditionally_invariant_measure():
    """x ← 3x mod 2 beyond a half: the middle third of [0, 1] escapes, so λ = 2/3 and the density is uniform."""

    def step(x, params, out):
        out[0] = 3 * x[0] if x[0] < 0.5 else 3 * x[0] - 2

    found = dl.ulam_matrix(dl.KernelMap(step, 1), (middles(81),), points=99)
    assert found.eigenvalue == pytest.approx(2 / 3, abs=1e-12)
    assert found.classes == ()
    assert found.residual < 1e-10
    assert "stays a loop longer" in found.reason
    assert found.invariant_measure == pytest.approx(np.full(81, 1 / 81), abs=1e-10)


def test_everything_leaves():
    def step(x, params, out):
        out[0] = x[0] + 10

    found = dl.ulam_matrix(dl.KernelMap(step, 1), (middles(5),))
    assert np.isnan(found.invariant_measure).all()
    assert found.status is Status.NOT_CONVERGED
    assert found.eigenvalue == 0
    assert (found.leak == 1).all()


def test_a_chain_with_two_classes_and_a_leak():
    T = csr_matrix(np.array([[0, 0.5, 0.2, 0.2], [0, 0.9, 0, 0.1], [0, 0, 1.0, 0], [0, 0.4, 0, 0.6]]))
    leak = np.array([0.1, 0, 0, 0])
    classes = closed_classes(T, leak)
    assert [c.tolist() for c in classes] == [[1, 3], [2]]
    assert stationary(T[[1, 3]][:, [1, 3]]) == pytest.approx([0.8, 0.2])
    weights, wandering = absorbed(T, classes, np.full(4, 0.25))
    assert weights == pytest.approx([0.5 + 0.25 * 0.7, 0.25 + 0.25 * 0.2])
    assert wandering < 1e-14


def test_a_chain_that_alternates_and_one_that_is_slow():
    assert stationary(csr_matrix([[0.0, 1.0], [1.0, 0.0]])) == pytest.approx([0.5, 0.5])
    e = 1e-7
    assert stationary(csr_matrix([[1 - e, e], [2 * e, 1 - 2 * e]])) == pytest.approx([2 / 3, 1 / 3])
    x, eigenvalue = lasting(csr_matrix([[0.0, 0.9], [0.9, 0.0]]), np.array([0.9, 0.1]))
    assert (x, eigenvalue) == (pytest.approx([0.5, 0.5]), pytest.approx(0.9))


def test_what_wanders_on_is_solved_for_or_said(monkeypatch):
    """From the first row one in 10⁹ goes on a step, to either class alike."""
    e = 1e-9
    T = csr_matrix([[1 - 2 * e, e, e], [0, 1.0, 0], [0, 0, 1.0]])
    classes = closed_classes(T, np.zeros(3))
    start = np.array([1.0, 0, 0])
    assert absorbed(T, classes, start) == (pytest.approx([0.5, 0.5]), 0.0)
    monkeypatch.setattr(importlib.import_module("dynloop.basins.cells.chain"), "_DIRECT", 0)
    weights, wandering = absorbed(T, classes, start)
    assert wandering == pytest.approx(1 - weights.sum(), abs=1e-8)
    assert wandering > 0.9


def test_three_coordinates_and_errors():
    m = dl.TorchMap([lambda x: 0.5 * x], (3,))
    axis = np.linspace(-1, 1, 5)
    found = dl.ulam_matrix(m, (axis,) * 3)
    assert found.invariant_measure[2, 2, 2] == pytest.approx(1)
    with pytest.raises(ShapeError, match="grid has 2 axes"):
        dl.ulam_matrix(m, (axis,) * 2)
    with pytest.raises(InvalidArgumentError, match="points must be a positive int"):
        dl.ulam_matrix(m, (axis,) * 3, points=101)
    with pytest.raises(InvalidArgumentError, match="up to 3 coordinates"):
        dl.ulam_matrix(dl.TorchMap([lambda x: x], (4,)), (axis,) * 4)
