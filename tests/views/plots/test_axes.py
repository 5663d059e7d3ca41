"""What all pictures share: the Axes given are used, nothing is iterated, the wrong result is refused in one line."""

import inspect
import sys

import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import InvalidArgumentError, MissingPackageError
from dynloop.maps.base import LoopMap
from dynloop.maps.kernel import KernelMap
from tests.views.made import mixed

HENON = dl.zoo.henon()
BLOCK = dl.synthetic.looped_transformer(layers=1, width=8, heads=1, tokens=2)
PICTURES = {
    dl.draw_orbit: lambda: dl.trajectory(HENON, [0.1, 0.1], 20, sections=True),
    dl.draw_convergence: lambda: dl.trajectory(HENON, [0.1, 0.1], 20),
    dl.draw_multipliers: lambda: dl.multipliers(HENON, [0.6, 0.2]),
    dl.draw_lyapunov: lambda: dl.lyapunov_spectrum(HENON, [0.1, 0.1], loops=64),
    dl.draw_regimes: mixed,
    dl.draw_basins: lambda: dl.basins(dl.zoo.newton(), (np.linspace(-1, 1, 8), np.linspace(-1, 1, 8))),
    dl.draw_branch: lambda: dl.continue_fixed_point(dl.zoo.logistic, [0.6], [2.5, 2.6]),
    dl.draw_orbit_diagram: lambda: dl.orbit_diagram(dl.zoo.logistic(), [2.5, 3.2], loops=4),
    dl.draw_exponent_diagram: lambda: dl.exponent_diagram(dl.zoo.logistic(), [3.2, 4.0]),
    dl.draw_period_diagram: lambda: dl.period_diagram(dl.zoo.logistic(), [2.5, 3.2]),
    dl.draw_regime_diagram: lambda: dl.regime_diagram(dl.zoo.logistic(), [2.5, 3.2]),
    dl.draw_attention: lambda: dl.attention_stability(BLOCK, loops=4),
    dl.draw_stages: lambda: dl.inference_stages(BLOCK, loops=2),
    dl.draw_ablation: lambda: dl.ablate(
        injection=["concat"], layers=1, width=8, heads=1, tokens=2, seeds=[0], loops=64
    ),
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
    kind = inspect.signature(draw).parameters["found"].annotation.split(" | ")[0]
    for given, said in ((wrong, "Normality"), (HENON, "KernelMap"), (3, "int")):
        with pytest.raises(
            InvalidArgumentError, match=rf"^found must be an? {kind}.*; got {said}\. Make one with dynloop\."
        ) as e:
            draw(given)
        assert "\n" not in str(e.value)


@pytest.mark.parametrize("draw", PICTURES, ids=NAMES)
def test_without_matplotlib_the_remedy_is_named(draw, monkeypatch):
    found = PICTURES[draw]()
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"] + ["matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackageError, match=r"pip install 'dynloop\[plot\]'"):
        draw(found)


@pytest.mark.parametrize("draw", PICTURES, ids=NAMES)
def test_what_is_no_axes_is_refused(draw):
    from matplotlib import pyplot as plt

    with pytest.raises(InvalidArgumentError, match=r"^ax must be an Axes; got Figure\. Make one with matplotlib"):
        draw(PICTURES[draw](), ax=plt.figure())


def test_every_picture_is_here():
    assert {draw.__name__ for draw in PICTURES} == {name for name in dl.__all__ if name.startswith("draw_")}


def test_the_record_is_not_changed():
    found = dl.trajectory(HENON, [0.1, 0.1], 20, sections=True)
    before = found.states.copy(), found.sections.copy()
    dl.draw_orbit(found)
    dl.draw_convergence(found)
    np.testing.assert_array_equal(found.states, before[0])
    np.testing.assert_array_equal(found.sections, before[1])
