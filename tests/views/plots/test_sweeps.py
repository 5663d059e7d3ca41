"""Plots: what is on the Axes is what is in the record."""

import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import InvalidArgumentError, MissingPackageError

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
R = np.array([2.5, 3.2, 4.0, 4.1])


@pytest.fixture(autouse=True)
def _close():
    yield
    from matplotlib import pyplot as plt

    plt.close("all")


def test_orbits_are_drawn_at_their_values():
    found = dl.orbit_diagram(dl.zoo.logistic(), R, loops=5)
    (line,) = dl.draw_orbit_diagram(found, color="k").lines
    np.testing.assert_array_equal(line.get_xdata(), np.repeat(R, 5))
    np.testing.assert_array_equal(line.get_ydata(), found.states.ravel())
    assert line.get_color() == "k"


def test_exponents_are_drawn_with_their_bands():
    found = dl.exponent_diagram(dl.zoo.henon(), [1.0, 1.4], k=2)
    ax = dl.draw_exponent_diagram(found)
    zero, *lines = ax.lines
    assert list(zero.get_ydata()) == [0, 0]
    for j, line in enumerate(lines):
        np.testing.assert_array_equal(line.get_ydata(), found.exponents[:, j])
    assert len(ax.collections) == 2


def test_periods_and_what_has_none():
    ax = dl.draw_period_diagram(dl.period_diagram(dl.zoo.logistic(), R))
    known, none, lost = ax.lines
    assert list(known.get_ydata()) == [1, 2]
    assert list(none.get_xdata()) == [4.0]
    assert list(lost.get_xdata()) == [4.1]


def test_regimes_are_bars_that_add_up():
    found = dl.regime_diagram(dl.zoo.logistic(), [2.5, 3.2, 3.9])
    ax = dl.draw_regime_diagram(found)
    assert [label.get_text() for label in ax.get_legend().get_texts()] == ["VANISHING", "PERIODIC", "CHAOTIC"]
    heights = np.array([[bar.get_height() for bar in container] for container in ax.containers])
    np.testing.assert_array_equal(heights, np.eye(3))
    named = dl.regime_diagram(lambda name: dl.zoo.logistic({"low": 2.5, "high": 3.9}[name]), ["low", "high"])
    assert [tick.get_text() for tick in dl.draw_regime_diagram(named).get_xticklabels()] == ["low", "high"]


def test_a_branch_is_solid_where_stable_and_marked_where_it_changes():
    found = dl.continue_fixed_point(dl.zoo.logistic, [0.6], [2.5, 3.2])
    solid, dashed, mark = dl.draw_branch(found).lines
    stable = found.unstable == 0
    np.testing.assert_array_equal(solid.get_ydata(), np.where(stable, found.points[:, 0, 0], np.nan))
    assert np.isfinite(dashed.get_ydata()).sum() == (~stable).sum() + 1
    assert list(mark.get_xdata()) == [found.bifurcations[0].value]
    with pytest.raises(InvalidArgumentError, match="coordinate must index a state"):
        dl.draw_branch(found, coordinate=1)


def test_the_axes_given_are_used():
    from matplotlib import pyplot as plt

    ax = plt.subplots()[1]
    assert dl.draw_period_diagram(dl.period_diagram(dl.zoo.logistic(), R), ax=ax) is ax


def test_errors():
    found = dl.orbit_diagram(dl.zoo.logistic(), R, loops=2)
    with pytest.raises(InvalidArgumentError, match=r"coordinate must index a state of shape \(1,\); got 1"):
        dl.draw_orbit_diagram(found, coordinate=1)
    with pytest.raises(InvalidArgumentError, match=r"coordinate must index a state of shape .*; got 'x'"):
        dl.draw_orbit_diagram(found, coordinate="x")
    named = dl.period_diagram(lambda _: dl.zoo.logistic(3.2), ["one"])
    with pytest.raises(InvalidArgumentError, match="values must be numbers to be an axis"):
        dl.draw_period_diagram(named)


def test_without_matplotlib_the_remedy_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'dynloop\[plot\]'"):
        dl.draw_period_diagram(dl.period_diagram(dl.zoo.logistic(), R))
