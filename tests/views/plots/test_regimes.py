"""Regimes: one cell a verdict, shares with their errors, and looks that nobody confuses."""

from itertools import combinations

import numpy as np
import pytest

import dynloop as dl
from dynloop.orbits.prompts import summarise
from dynloop.orbits.verdict import Regime
from dynloop.views.palette import LOOKS
from tests.views.made import made, mixed

# Machado, Oliveira and Fernandes, IEEE Trans. Vis. Comput. Graph. 15 (2009) 1291: severity 1.0, on linear RGB
SIGHT = {
    "usual": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                            [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                              [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                            [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip


def cells(ax):
    """The regime of every cell of a grid, by the middle of the cell."""
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    return {
        tuple(np.round(path.vertices[:4].mean(axis=0)).astype(int).tolist()): name
        for collection, name in zip(ax.collections, texts, strict=True)
        for path in collection.get_paths()
    }


def test_every_verdict_is_a_cell():
    found = mixed()
    drawn = cells(dl.draw_regimes(found))
    assert drawn == {(i, 0): regime.name for i, regime in enumerate(found.regime[0])}
    ax = dl.draw_regimes(found)
    assert [text.get_text() for text in ax.texts] == ["2", "2"]  # periods


def test_prompts_of_different_length_are_rows_of_different_length():
    parts = [made([[Regime.RAY] * n], causal=True) for n in (3, 1)]
    ax = dl.draw_regimes(summarise(parts, ["a", "b"]))
    assert set(cells(ax)) == {(0, 0), (1, 0), (2, 0), (0, 1)}
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("prompt", "token")


def test_shares_are_bars_with_their_errors():
    parts = [made([Regime.RAY, Regime.RAY, Regime.CYCLIC]), made([Regime.CYCLIC, Regime.CYCLIC, Regime.CYCLIC])]
    found = summarise(parts, [None, None])
    ax = dl.draw_regimes(found, shares=True)
    assert [tick.get_text() for tick in ax.get_yticklabels()] == list(found.regimes)
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], 100 * found.share)
    assert [text.get_text() for text in ax.texts] == ["66.7 ± 33 %", "33.3 ± 33 %"]
    many = made([[Regime.RAY]] * 61, causal=True)
    assert len(dl.draw_regimes(many).patches) == 1  # too many rows for a grid


def test_one_start_without_a_batch_axis_is_one_cell():
    assert cells(dl.draw_regimes(made(Regime.CHAOTIC))) == {(0, 0): "CHAOTIC"}


def oklab(colour, sight):
    """Björn Ottosson's OKLab coordinates of a colour as it is seen."""
    s = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.clip(sight @ np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4), 0, 1)
    lms = np.array([[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
                    [0.0883024619, 0.2817188376, 0.6299787005]]) @ linear  # fmt: skip
    return np.array([[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
                     [0.0259040371, 0.7827717662, -0.8086757660]]) @ np.cbrt(lms)  # fmt: skip


@pytest.mark.parametrize("sight", SIGHT)
def test_any_two_regimes_differ_in_colour_to_every_sight_or_in_hatch(sight):
    assert set(LOOKS) == set(Regime)
    for a, b in combinations(LOOKS.values(), 2):
        apart = np.linalg.norm(oklab(a.colour, SIGHT[sight]) - oklab(b.colour, SIGHT[sight]))
        assert apart > 0.06, (a, b)
        assert apart > 0.2 or a.hatch != b.hatch  # in print


def test_text_on_a_regime_is_read():
    for look in LOOKS.values():
        light = [luminance(c) for c in (look.colour, look.ink)]
        assert (max(light) + 0.05) / (min(light) + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def luminance(colour):
    s = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
