"""The polygon of increments, and what its kind is."""

import math

import numpy as np
import torch

import dynloop as dl
from dynloop.orbits.polygon import polygon


def test_lengths_perimeter_and_closure_of_a_triangle():
    """From (1, 0) up by 1, left by 1, and back: sections (1,0), (1,1), (0,1)."""
    moves = torch.tensor([[0.0, 1.0], [-1.0, 0.0], [1.0, -1.0]], dtype=torch.float64)
    m = dl.TorchMap([lambda x, v=v: x + v for v in moves], (2,))
    shape = polygon(m, torch.tensor([[1.0, 0.0]], dtype=torch.float64), joint=True)
    size = np.sqrt(2)  # of the largest section, (1, 1)
    np.testing.assert_allclose(shape.increments, [[1 / size, 1 / size, 1]])
    np.testing.assert_allclose(shape.perimeter, [2 / size + 1])
    np.testing.assert_allclose(shape.closure, 0, atol=1e-16)
    np.testing.assert_allclose(shape.section_distance, 1 / size)
    assert shape.kind(np.array([1e-12])).tolist() == ["cyclic"]


def test_an_open_polygon_has_its_gap_as_closure():
    m = dl.TorchMap([lambda x: x + 1.0, lambda x: x + 2.0], (1,))
    shape = polygon(m, torch.zeros(1, 1, dtype=torch.float64), joint=True)
    np.testing.assert_allclose(shape.closure, [1.0])


def test_rows_have_polygons_of_their_own():
    moves = torch.tensor([[[1.0], [0.0]], [[-1.0], [0.0]]], dtype=torch.float64)
    m = dl.TorchMap([lambda x, v=v: x + v for v in moves], (2, 1), causal=True)
    shape = polygon(m, torch.ones(1, 2, 1, dtype=torch.float64), joint=False)
    assert shape.kind(np.full(2, 1e-12)).tolist() == ["cyclic", "vanishing"]
    np.testing.assert_allclose(shape.perimeter, [1.0, 0.0])


def test_one_increment_alone_above_its_error_is_unclear():
    m = dl.TorchMap([lambda x: x + 1e-13, lambda x: x], (1,))
    shape = polygon(m, torch.ones(1, 1, dtype=torch.float64), joint=True)
    assert shape.kind(np.array([1e-15])).tolist() == ["unclear"]
    assert shape.kind(np.array([1e-12])).tolist() == ["vanishing"]


def test_turns_that_go_once_round_a_circle_close():
    third = 2 * math.pi / 3

    def turn(x, params, out):
        out[0] = x[0] + params[0]

    m = dl.KernelMap((turn, turn, turn), 1, params=(third,), periods=(2 * math.pi,))
    shape = polygon(m, m.native(np.array([[0.3]])), joint=True)
    assert shape.perimeter[0] > 0
    assert shape.closure[0] < 1e-15
