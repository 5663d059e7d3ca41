"""Sentences of verdicts: counts add up, one is singular, and no sentence claims another regime than was found."""

from dataclasses import replace

import numpy as np
import pytest

import dynloop as dl
from dynloop.orbits.verdict import Regime
from dynloop.views.pages.sentences import PLAIN, claim, say
from dynloop.views.pages.subjects import Entry, Subject
from tests.views.made import made, mixed


@pytest.mark.parametrize("regime", Regime)
def test_every_regime_has_a_sentence_of_its_own(regime):
    said = claim([made([[regime] * 4], causal=True)])
    assert said.headline.startswith("All 4 tokens ")
    assert said.meanings == ((regime.name, PLAIN[regime][2]),)
    assert claim([made(regime)]).headline.startswith("The orbit ")
    assert len({text for one in PLAIN.values() for text in one}) == 3 * len(Regime)


def test_counts_are_said_and_the_rest_is_not_hidden():
    said = claim([mixed()])
    assert said.headline == (
        "9 of 12 tokens settle into a closed cycle of the layers; of the other 3, 2 are PERIODIC(2) and 1 is UNDECIDED."
    )
    assert [text.partition(". ")[0] for _, text in said.meanings] == ["9 of 12", "2 of 12", "1 of 12"]
    two = claim([made([[Regime.RAY, Regime.RAY, Regime.UNDECIDED]], causal=True)])
    assert two.headline == "2 of 3 tokens grow for ever in a fixed direction; 1 of 3 tokens is undecided."


def test_periods_are_said_and_counted_apart():
    said = claim([made([[Regime.PERIODIC] * 3], causal=True, periods=[[2, 2, 6]])])
    assert said.headline == (
        "2 of 3 tokens go round 2 states for ever and never settle; "
        "1 of 3 tokens goes round 6 states for ever and never settles."
    )
    assert said.meanings == (("PERIODIC", PLAIN[Regime.PERIODIC][2]),)


def test_starts_of_tokens_are_orbits_and_the_caveat_counts_them():
    found = made([[Regime.RAY] * 2] * 3, causal=True)
    assert claim([found]).headline.startswith("All 6 orbits ")
    assert "from 3 starts." in claim([found]).caveat
    assert "from 2 starts under each of 2 prompts" in claim([made([Regime.RAY] * 2)] * 2).caveat


def test_many_kinds_are_counted_and_what_differs_is_said():
    periods = [2] * 4 + [3] * 3 + [4] * 2 + [5] * 2 + [6] * 2 + [7] + [8]
    said = claim([made([[Regime.PERIODIC] * 15], causal=True, periods=[periods])]).headline
    assert said.endswith("; of the other 11, 3 are PERIODIC(3), 2 are PERIODIC(4), 2 are PERIODIC(5), 2 are "
                         "PERIODIC(6) and 2 of 2 further kinds.")  # fmt: skip
    short, long = (replace(made([Regime.RAY]), settings={"dtype": d, "loops": n}) for d, n in (("a", 64), ("b", 4096)))
    assert "in a or b within 64 or 4096 loops from 1 start under" in claim([short, long]).caveat
    assert "from 1 to 2 starts under" in claim([short, made([Regime.RAY] * 2)]).caveat
    paths = [Entry(dl.trajectory(dl.zoo.henon(), [0.1, 0.1], n)) for n in (5, 6)]
    assert "the first of 2 such results" in say(Subject("m", None, paths)).headline


def test_what_says_most_speaks():
    exponents = dl.lyapunov_spectrum(dl.zoo.henon(), [0.1, 0.1], loops=64)
    points = dl.find_fixed_points(dl.zoo.henon(), [[0.6, 0.2]])
    states = 0.5 ** np.arange(80.0)[:, None] * [[1.0, 2.0]] + 1
    record = dl.classify_trajectory(states)
    assert say(Subject("m", None, [Entry(exponents), Entry(mixed())])) == claim([mixed()])
    assert say(Subject("m", None, [Entry(points)])).headline == f"{points.summary()}."
    assert say(Subject("m", None, [Entry(record)])).headline.startswith("The recorded states are settled: ")
