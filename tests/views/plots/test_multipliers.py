"""Multipliers: every known one is drawn, on the side of the unit circle that its error leaves no doubt of."""

import numpy as np
import pytest

import dynloop as dl
from dynloop.calculus.spectrum import Spectrum
from dynloop.errors import InvalidArgumentError
from dynloop.result import Status
from dynloop.views.plots.multipliers import sides

HENON = dl.zoo.henon()


def test_a_doubtful_multiplier_is_called_so():
    values = np.array([0.5, 1.5j, 0.999, 1.0, 0.2])
    errors = np.array([0.1, 0.1, 0.01, 0.0, np.nan])
    assert sides(values, errors).tolist() == ["inside", "outside", *["not told from 1 in modulus"] * 3]


def test_all_points_are_drawn_on_their_side():
    found = dl.find_fixed_points(HENON, HENON.start(0, 20))
    ax = dl.draw_multipliers(found)
    drawn = {line.get_marker(): line.get_xdata() + 1j * line.get_ydata() for line in ax.lines[2:]}
    flat = found.multipliers.ravel()
    np.testing.assert_array_equal(drawn["o"], flat[abs(flat) < 1])
    np.testing.assert_array_equal(drawn["^"], flat[abs(flat) > 1])
    one = dl.draw_multipliers(found, row=1)
    assert sum(len(line.get_xdata()) for line in one.lines[2:]) == 2
    assert ax.get_aspect() == 1


def test_a_spectrum_that_is_lost_is_refused_and_so_is_a_row_that_is_not_there():
    none = np.empty(0)
    lost = Spectrum(values=none, residuals=none, errors=none, radius=np.nan, status=Status.DIVERGED, period=1)
    with pytest.raises(InvalidArgumentError, match="no known multiplier"):
        dl.draw_multipliers(lost)
    with pytest.raises(InvalidArgumentError, match="row must be below 2"):
        dl.draw_multipliers(dl.find_fixed_points(HENON, HENON.start(0, 20)), row=2)
    with pytest.raises(InvalidArgumentError, match="row must be left out"):
        dl.draw_multipliers(dl.multipliers(HENON, [0.6, 0.2]), row=0)
