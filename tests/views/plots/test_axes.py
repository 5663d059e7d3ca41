"""What all pictures share: the Axes given are used, nothing is iterated, the wrong result is refused in one line."""

import sys

import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import InvalidArgumentError, MissingPackageError
from dynloop.maps.base import LoopMap
from dynloop.maps.kernel import KernelMap
from tests.views.made import mixed

HENON = dl.zoo.henon()
PICTURES = {
    dl.draw_orbit: lambda: dl.trajectory(HENON, [0.1, 0.1], 20, sections=True),
    dl.draw_convergence: lambda: dl.trajectory(HENON, [0.1, 0.1], 20),
    dl.draw_multipliers: lambda: dl.multipliers(HENON, [0.6, 0.2]),
    dl.draw_lyapunov: lambda: dl.lyapunov_spectrum(HENON, [0.1, 0.1], loops=64),
    dl.draw_regimes: mixed,
}
NAMES = [draw.__name__ for draw in PICTURES]


@pytest.mark.parametrize("draw", PICTURES, ids=NAMES)
def test_the_axes_given_are_used_and_no_map_is_called(draw, monkeypatch):
    from matplotlib import pyplot as plt

    found = PICTURES[draw]()

    def refuse(*args, **kwargs):
        raise AssertionError("a picture iterated a map")

    for owner in (LoopMap, KernelMap):
        for name in ("__call__", "watch", "sections"):
            monkeypatch.setattr(owner, name, refuse, raising=False)
    ax = plt.subplots()[1]
    assert draw(found, ax=ax) is ax
    ax.figure.canvas.draw()


@pytest.mark.parametrize("draw", PICTURES, ids=NAMES)
def test_the_wrong_result_is_refused_in_one_line_that_names_the_remedy(draw):
    wrong = dl.normality(HENON, [0.6, 0.2])
    with pytest.raises(
        InvalidArgumentError, match=rf"{draw.__name__} draws a .*; got a Normality. Make one with dynl"
    ) as e:
        draw(wrong)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("draw", PICTURES, ids=NAMES)
def test_without_matplotlib_the_remedy_is_named(draw, monkeypatch):
    found = PICTURES[draw]()
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"] + ["matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=r"pip install 'dynloop\[plot\]'"):
        draw(found)


def test_the_record_is_not_changed():
    found = dl.trajectory(HENON, [0.1, 0.1], 20, sections=True)
    before = found.states.copy(), found.sections.copy()
    dl.draw_orbit(found)
    dl.draw_convergence(found)
    np.testing.assert_array_equal(found.states, before[0])
    np.testing.assert_array_equal(found.sections, before[1])
