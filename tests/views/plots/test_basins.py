"""Pictures of basins: what is drawn where, and in which colours."""

import numpy as np
import pytest

import dynloop as dl
from dynloop.basins.attractors import Attractor
from dynloop.basins.grid import Basins

pyplot = pytest.importorskip("matplotlib.pyplot")
colors = pytest.importorskip("matplotlib.colors")


@pytest.fixture(autouse=True)
def _closed():
    yield
    pyplot.close("all")


def made(labels, plane=None, axes=None, count=None):
    labels = np.asarray(labels)
    count = max(0, labels.max()) if count is None else count
    attractors = tuple(
        Attractor(
            label=i + 1, period=1, points=np.full((1, 2), 0.25 * (i + 1)), regime=dl.Regime.VANISHING,
            spectral_radius=0.5, error=0.0,
        )
        for i in range(count)
    )  # fmt: skip
    shares = [float(np.mean(labels == i + 1)) for i in range(count)]
    lost, undecided, unmatched = (float(np.mean(labels == label)) for label in (-1, -2, -3))
    return Basins(
        labels=labels, attractors=attractors, fractions=np.array(shares), loops=np.zeros_like(labels), diverged=lost,
        undecided=undecided, unmatched=unmatched,
        axes=axes or tuple(np.linspace(0, 1, n) for n in labels.shape), plane=plane, settings={},
    )  # fmt: skip


def shown(ax, found):
    """The colour of every cell, (i, j) as in labels."""
    (mesh,) = ax.collections
    pixels = mesh.to_rgba(mesh.get_array()).reshape(*found.labels.shape[::-1], 4)
    return np.vectorize(lambda *c: colors.to_hex(c))(*np.moveaxis(pixels, 2, 0)).T


def test_every_label_has_its_colour_and_lies_at_its_place():
    found = made([[1, 2, -1], [2, -2, -3]])
    ax = dl.draw_basins(found)
    told = shown(ax, found)
    assert told[0, 1] == told[1, 0]
    assert len(set(told.ravel())) == 5
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["1: 16.7%", "2: 33.3%", "diverged: 16.7%", "undecided: 16.7%", "unmatched: 16.7%"]


def test_axes_in_any_order_are_drawn_in_theirs():
    one = made([[1, 2], [2, 2]])
    other = made([[2, 2], [2, 1]], axes=(np.array([1.0, 0.0]), np.array([1.0, 0.0])))
    assert np.array_equal(shown(dl.draw_basins(one), one), shown(dl.draw_basins(other), other))


def test_colours_are_told_apart_and_go_on_beyond_seven():
    from dynloop.views.plots.basins import colours

    for count in (1, 7, 30):
        assert len(set(colours(count))) == count


def test_marks_are_the_attractors_projected_on_a_plane():
    plane = dl.plane(np.zeros(2), [0.0, 0.5], [0.5, 0.0], 1.0, 3)
    found = made(np.ones((3, 3), dtype=int), plane=plane, axes=plane.axes)
    fig_ax = pyplot.subplots()[1]
    ax = dl.draw_basins(found, ax=fig_ax)
    assert ax is fig_ax
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[0.5, 0.5]])


def test_a_picture_has_two_axes():
    with pytest.raises(dl.errors.InvalidArgumentError, match="labels have 1 axes"):
        dl.draw_basins(made([1, 2, 1]))
