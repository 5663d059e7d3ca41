import importlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import dynloop as dl
from dynloop.errors import InvalidArgumentError, ShapeError
from tests.basins.pictures import newton_labels, sectors

LABELS = arrays(
    np.int64,
    array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=9),
    elements=st.sampled_from([-3, -2, -1, 1, 2, 7]),
)


def by_hand(labels, box):
    """Sb, Sbb, boxes, boundary boxes, counted box by box."""
    counts = [n // box for n in labels.shape]
    entropies = []
    for index in np.ndindex(*counts):
        cells = labels[tuple(slice(i * box, (i + 1) * box) for i in index)].ravel()
        cells = cells[(cells != -2) & (cells != -3)]
        if cells.size:
            p = np.unique(cells, return_counts=True)[1] / cells.size
            entropies.append((-(p * np.log(p)).sum(), len(p)))
    total = sum(s for s, _ in entropies)
    mixed = sum(k > 1 for _, k in entropies)
    return total / max(1, len(entropies)), total / max(1, mixed), len(entropies), mixed


def test_newton_has_the_reference_values():
    found = dl.basin_entropy(newton_labels(300), box=6)
    assert found.basin_entropy == pytest.approx(0.1218, abs=1e-3)
    assert found.boundary_basin_entropy == pytest.approx(0.6952, abs=1e-3)
    assert (found.boxes, found.labels, found.left_out, found.unknown) == (2500, 3, 0.0, 0.0)


@pytest.mark.slow
def test_grebogi_has_the_reference_values():
    found = dl.basin_entropy(
        dl.basins(dl.zoo.grebogi(), (np.linspace(0, 2 * np.pi, 300), np.linspace(-0.5, 0.5, 300))), 6
    )
    assert found.basin_entropy == pytest.approx(0.4030, abs=1e-3)
    assert found.boundary_basin_entropy == pytest.approx(0.6026, abs=1e-3)


@given(LABELS)
def test_it_is_what_is_counted_by_hand(labels):
    found = dl.basin_entropy(labels, box=2)
    Sb, Sbb, boxes, mixed = by_hand(labels, 2)
    assert (found.boxes, found.boundary_boxes) == (boxes, mixed)
    if boxes:
        assert found.basin_entropy == pytest.approx(Sb, abs=1e-12)
        assert found.boundary_basin_entropy == pytest.approx(Sbb, abs=1e-12)
    else:
        assert math.isnan(found.basin_entropy)


@given(LABELS, st.randoms(use_true_random=False))
def test_names_of_labels_and_order_of_axes_do_not_matter(labels, random):
    found = dl.basin_entropy(labels, box=2)
    names = [-1, 1, 2, 7]
    mixed = random.sample(names, 4)
    renamed = labels.copy()
    for old, new in zip(names, mixed, strict=True):
        renamed[labels == old] = new
    axes = random.sample(range(labels.ndim), labels.ndim)
    again = dl.basin_entropy(renamed.transpose(axes), box=2)
    for name in ("basin_entropy", "boundary_basin_entropy", "standard_error", "bias", "boxes", "unknown", "left_out"):
        assert getattr(again, name) == pytest.approx(getattr(found, name), abs=1e-12, nan_ok=True)


@given(LABELS)
def test_bounds(labels):
    found = dl.basin_entropy(labels, box=2)
    if found.boxes:
        assert -1e-15 <= found.basin_entropy <= math.log(max(1, found.labels)) + 1e-12
        assert found.boundary_basin_entropy >= found.basin_entropy - 1e-15
        assert found.bias <= 0


def test_one_basin_has_none():
    found = dl.basin_entropy(np.ones((20, 20), dtype=int), box=5)
    assert (found.basin_entropy, found.boundary_basin_entropy, found.boundary_boxes) == (0.0, 0.0, 0)
    assert not found.exceeds_log2


def test_what_fills_no_whole_box_is_left_out_and_said():
    labels = np.ones((11, 10), dtype=int)
    labels[10] = 2  # in no box
    found = dl.basin_entropy(labels, box=5)
    assert found.basin_entropy == 0
    assert found.left_out == pytest.approx(1 / 11)


def test_boxes_of_different_sides_and_a_chunk_at_a_time(monkeypatch):
    labels = np.random.default_rng(0).integers(1, 5, (60, 40))
    whole = dl.basin_entropy(labels, box=(6, 4))
    monkeypatch.setattr(importlib.import_module("dynloop.basins.boundaries.entropy"), "_AT_ONCE", 500)
    pieces = dl.basin_entropy(labels, box=(6, 4))
    assert pieces.basin_entropy == pytest.approx(whole.basin_entropy, abs=1e-14)
    assert whole.boxes == 100


def test_unknown_cells_are_no_destination():
    labels = np.ones((4, 4), dtype=int)
    labels[0, 0], labels[1, 1] = -2, -3
    found = dl.basin_entropy(labels, box=4)
    assert (found.basin_entropy, found.labels, found.unknown) == (0.0, 1, 2 / 16)
    labels[2, 2] = -1  # divergence is one
    assert dl.basin_entropy(labels, box=4).labels == 2


def test_the_standard_error_and_the_bias_are_those_of_random_cells():
    p, n = 0.3, 36
    truth = -(p * math.log(p) + (1 - p) * math.log(1 - p))
    runs = [
        dl.basin_entropy(np.where(np.random.default_rng(seed).random((60, 60)) < p, 1, 2), box=6) for seed in range(200)
    ]
    values = np.array([found.basin_entropy for found in runs])
    assert np.std(values) == pytest.approx(np.mean([found.standard_error for found in runs]), rel=0.15)
    corrected = values - [found.bias for found in runs]
    assert abs(corrected.mean() - truth) < 0.2 * abs(values.mean() - truth)
    assert values.mean() - truth == pytest.approx(-1 / (2 * n), rel=0.1)


@pytest.mark.parametrize("kinds", [2, 3])
def test_the_standard_error_at_equal_shares_is_of_second_order(kinds):
    """2n(log k − S) is χ² of k − 1 degrees, so S has variance (k − 1)/2n²; to first order it has none."""
    runs = [dl.basin_entropy(np.random.default_rng(seed).integers(0, kinds, (64, 64)), box=8) for seed in range(300)]
    expected = math.sqrt((kinds - 1) / 2) / 64 / 8  # 64 boxes of 64 cells
    assert np.std([found.basin_entropy for found in runs]) == pytest.approx(expected, rel=0.15)
    even = np.repeat(np.arange(kinds), 8)[:, None] * np.ones((1, 8), dtype=int)
    found = dl.basin_entropy(even, box=(8 * kinds, 8))
    assert found.standard_error == pytest.approx(math.sqrt((kinds - 1) / 2) / (64 * kinds), rel=1e-6)


@given(st.integers(1, 200), st.sampled_from([2, 4, 6, 10]))
def test_boxes_cut_in_halves_do_not_exceed_log_2_by_rounding(boxes, side):
    labels = np.ones((side * boxes, side), dtype=int)
    labels[:, side // 2 :] = 2
    assert not dl.basin_entropy(labels, box=side).exceeds_log2


def test_three_smooth_basins_exceed_log_2_in_a_box_and_not_in_a_picture():
    assert dl.basin_entropy(sectors(30), box=30).exceeds_log2  # the docstring warns of it
    assert not dl.basin_entropy(sectors(300), box=6).exceeds_log2


@pytest.mark.parametrize(
    ("labels", "box", "error", "words"),
    [
        (np.ones((4, 4)), 2, InvalidArgumentError, "integers, one a cell; got dtype float64"),
        (np.ones((0, 4), dtype=int), 2, ShapeError, "no empty one"),
        (np.ones((4, 4), dtype=int), 1, InvalidArgumentError, "2 cells or more"),
        (np.ones((4, 4), dtype=int), True, InvalidArgumentError, "2 cells or more"),
        (np.ones((4, 4), dtype=int), (2, 2, 2), InvalidArgumentError, "one an axis of 2"),
        (np.ones((4, 4), dtype=int), 5, InvalidArgumentError, "larger than the grid"),
    ],
)
def test_errors(labels, box, error, words):
    with pytest.raises(error, match=words):
        dl.basin_entropy(labels, box=box)
