"""Exponents: dots at the exponents, bars of their margins, and stacks of shares that add up to them."""

from dataclasses import replace

import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import InvalidArgumentError
from dynloop.views.reading import margins

FOUND = dl.lyapunov_spectrum(dl.zoo.henon(), [0.1, 0.1], loops=200)
SHARED = replace(FOUND, by_layer=np.array([[0.7, -1.5], [-0.3, 0.5], [0.0, -0.6]]), exponents=np.array([0.4, -1.6]))


def test_dots_are_the_exponents_and_bars_their_margins():
    [container] = dl.draw_lyapunov(FOUND).containers
    np.testing.assert_array_equal(container.lines[0].get_ydata(), FOUND.exponents)
    ends = np.array([segment[:, 1] for segment in container.lines[2][0].get_segments()])
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], 2 * margins(FOUND))


def test_shares_are_stacked_from_zero_and_add_up():
    ax = dl.draw_lyapunov(SHARED, layers=["a", "b", "c"])
    *stacks, _ = ax.containers
    boxes = np.array([[(bar.get_y(), bar.get_height()) for bar in stack] for stack in stacks])
    np.testing.assert_allclose(boxes[:, :, 1], SHARED.by_layer, atol=1e-15)
    np.testing.assert_allclose(boxes[:, :, 1].sum(axis=0), SHARED.exponents)
    np.testing.assert_allclose(boxes[2, 1], [-1.5, -0.6])  # contraction stands on contraction
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"a", "b", "c", "exponent"}
    assert len({(bar.patches[0].get_facecolor(), bar.patches[0].get_hatch()) for bar in stacks}) == 3


def test_minus_infinity_is_a_triangle_at_the_bottom():
    ax = dl.draw_lyapunov(replace(FOUND, exponents=np.array([0.4, -np.inf])))
    [triangle] = [line for line in ax.lines if line.get_label() == "−∞"]
    assert list(triangle.get_xdata()) == [2]
    assert triangle.get_ydata()[0] == ax.get_ylim()[0]


def test_an_exponent_whose_error_is_not_known_does_not_look_exact():
    ax = dl.draw_lyapunov(replace(FOUND, standard_error=np.array([0.01, np.nan])))
    known, unknown = ax.containers
    assert list(unknown.lines[0].get_xdata()) == [2]
    assert known.lines[0].get_markerfacecolor() != unknown.lines[0].get_markerfacecolor() == "white"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["exponent", "error not known"]


def test_errors():
    with pytest.raises(InvalidArgumentError, match="layers has 2 names, and found has 3 layers"):
        dl.draw_lyapunov(SHARED, layers=["a", "b"])
    with pytest.raises(InvalidArgumentError, match="no shares of layers"):
        dl.draw_lyapunov(FOUND, layers=["a"])
    with pytest.raises(InvalidArgumentError, match="no known exponent"):
        dl.draw_lyapunov(replace(FOUND, exponents=np.full(2, np.nan)))
