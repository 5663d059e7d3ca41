"""T3: at a fixed point either every increment is zero or at least two are not; which it is depends on granularity."""

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

import dynloop as dl
from dynloop.orbits.polygon import polygon
from dynloop.testing import strategies
from tests.theory.cases import cases


def active(m, point, tolerance=1e-9):
    """How many increments are not zero, beyond rounding, and what `Polygon.kind` calls it."""
    found = polygon(m, m.native(point[None]), joint=True, largest=1.0)
    return int((found.increments[0] > tolerance).sum()), str(found.kind(np.array([tolerance]))[0])


@cases(695, row=strategies.closed_loops())
def test_never_exactly_one_layer_is_active(row):
    count, kind = active(row.map, row.start)
    assert count != 1
    if kind != "unclear":
        assert kind == ("vanishing" if count == 0 else "cyclic")


@cases(695, row=strategies.affine_cycles(max_rate=0.9))
def test_nor_where_layers_are_idle(row):
    sides = np.linalg.norm(np.diff(row.sections, axis=0), axis=1)
    size = np.linalg.norm(row.sections, axis=1).max() or 1.0
    count, kind = active(row.map, row.limit)
    assert count == int((sides > 1e-9 * size).sum()) != 1
    assert kind in ("vanishing" if count == 0 else "cyclic", "unclear")


@cases(375, row=strategies.layered_maps(max_layers=1), points=st.integers(1, 4))
def test_layers_that_share_a_fixed_point_vanish_there(row, points):
    """Each layer is shifted so that it fixes the start: every section is that point."""
    m, x = row.map, torch.as_tensor(row.starts[:1])
    shift = x - m(x)
    still = dl.TorchMap([lambda y: m.layers[0](y) + shift] * points, m.state_shape)
    count, kind = active(still, row.start)
    assert (count, kind) == (0, "vanishing")


@cases(375, row=strategies.closed_loops())
def test_as_one_layer_every_fixed_point_vanishes(row):
    """The class belongs to the cut: the same loop as a single layer has a single increment, which is zero."""
    m = row.map
    whole = dl.TorchMap([m.loop], m.state_shape)
    count, kind = active(whole, row.start)
    assert (count, kind) == (0, "vanishing")


@cases(230, row=strategies.layered_maps(max_layers=1))
def test_two_layers_that_undo_each_other_are_a_cycle_of_two_edges(row):
    """Attention and MLP may cancel: vanishing as one layer, a 2-gon as two sublayers."""
    m, x = row.map, torch.as_tensor(row.starts[:1])
    step = m(x) - x
    there = dl.TorchMap([m.layers[0], lambda y: y - step], m.state_shape)
    count, kind = active(there, row.start)
    size = float(step.norm()) / max(float(x.norm()), float((x + step).norm()), 1e-300)
    assert count == (2 if size > 1e-9 else 0) or 1e-10 < size < 1e-8
    if size > 1e-7:
        assert kind == "cyclic"


@cases(35, row=strategies.converging(max_dim=5))
def test_the_classifier_names_the_side_of_the_dichotomy(row):
    found = dl.classify(row.map, row.start)
    assert row.wrong(found) == []
    if found.regime[()] is not dl.Regime.UNDECIDED:
        assert found.dichotomy[()] == row.label.lower()
        moving = found.evidence.increments > 1e-9
        assert moving.sum() != 1
        assert moving.any() == (row.label == "CYCLIC")


@cases(20, row=strategies.converging(max_dim=4))
def test_the_classifier_says_vanishing_of_the_same_loop_in_one_piece(row):
    m = dl.TorchMap([row.map.loop], row.map.state_shape)
    found = dl.classify(m, row.start)
    assert found.regime[()] in (dl.Regime.VANISHING, dl.Regime.UNDECIDED)


def test_a_closed_path_may_pass_one_point_twice():
    """What T3 does not say: that sections are pairwise distinct."""
    m = dl.TorchMap([lambda x: x + 1, lambda x: x - 1, lambda x: x + 1, lambda x: 0.5 * (x - 1)], (1,))
    found = polygon(m, m.native(np.zeros((1, 1))), joint=True, largest=1.0)
    assert found.section_distance[0] == 0
    assert found.increments[0] == pytest.approx([1, 1, 1, 1])
    assert found.kind(np.array([1e-9]))[0] == "cyclic"
