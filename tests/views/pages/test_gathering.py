"""What belongs together on a page: by checkpoint and prompt, by the map's name, or by the user's titles."""

import numpy as np

import dynloop as dl
from dynloop.orbits.prompts import summarise
from dynloop.orbits.verdict import Regime
from dynloop.views.pages.contents import blocks
from dynloop.views.pages.gathering import gather
from dynloop.views.pages.subjects import Entry
from tests.views.made import made

HENON = dl.zoo.henon()


def kinds(subjects):
    return [[type(entry.result).__name__ for entry in subject.entries] for subject in subjects]


def test_results_of_one_map_are_one_subject_and_those_without_a_name_join_it():
    path, spectrum = dl.trajectory(HENON, [0.1, 0.1], 5), dl.multipliers(HENON, [0.6, 0.2])
    found = gather([Entry(spectrum), Entry(path), Entry(dl.multipliers(HENON, [0.6, 0.2]))])
    assert kinds(found) == [["Spectrum", "Trajectory", "Spectrum"]]
    assert [subject.title for subject in found] == ["henon"]


def test_a_second_result_of_a_kind_is_another_subject_and_so_is_another_map():
    a, b = dl.trajectory(HENON, [0.1, 0.1], 5), dl.trajectory(dl.zoo.lozi(), [0.1, 0.1], 5)
    found = gather([Entry(a), Entry(a), Entry(b)])
    assert [subject.title for subject in found] == ["henon, run 1", "henon, run 2", "lozi"]


def test_two_maps_of_one_name_are_not_mixed():
    maps = [dl.zoo.logistic(a) for a in (3.2, 4.0)]
    verdicts, paths = [dl.classify(m, [[0.3]], loops=64) for m in maps], [dl.trajectory(m, [[0.3]], 5) for m in maps]
    for results in (verdicts + paths, [*verdicts, paths[0]], [paths[1], *verdicts]):
        assert kinds(gather(map(Entry, results))) == [[type(one).__name__] for one in results]
    exponents = dl.lyapunov_spectrum(HENON, [0.1, 0.1], loops=64)
    found = gather([Entry(made([Regime.RAY])), Entry(verdicts[0]), Entry(exponents)])  # of either, or of a third
    assert kinds(found) == [["Classification"], ["Classification"], ["LyapunovSpectrum"]]
    assert [one.title for one in found] == ["a map", "logistic", "LyapunovSpectrum"]


def test_a_verdict_is_not_hidden_by_another_of_its_title():
    ray, drift = made([Regime.RAY]), made([Regime.DRIFT])
    path = dl.trajectory(HENON, [0.1, 0.1], 5)
    found = gather([Entry(one) for one in (ray, path, drift)], ["mine"] * 3)
    assert kinds(found) == [["Classification"], ["Trajectory"], ["Classification"]]
    assert [one.title for one in found] == ["mine, run 1", "mine, run 2", "mine, run 3"]
    said, _ = blocks(found)
    assert len({block.verdict.headline for block in said}) == 3
    found = gather([Entry(one) for one in (ray, path, drift)], ["before", "before", "after"])
    assert kinds(found) == [["Classification", "Trajectory"], ["Classification"]]
    assert [one.title for one in found] == ["before", "after"]


def test_one_verdict_is_not_given_of_two_runs_or_two_checkpoints():
    runs = [{"settings": {"loops": loops}} for loops in (64, 4096)]
    short, long = made([Regime.UNDECIDED]), made([Regime.CYCLIC])
    about = [{"checkpoint": "m", "prompt": prompt} for prompt in ("x", "y")]
    found, _ = blocks(gather([Entry(short, run=runs[0], about=about[0]), Entry(long, run=runs[1], about=about[1])]))
    assert [block.title for block in found] == ["m, prompt 1", "m, prompt 2"]
    entries = [Entry(long, run=runs[0], about={"checkpoint": c, "prompt": p}) for c in "ab" for p in ("x", "y")]
    assert [block.title for block in blocks(gather(entries))[0]] == ["a", "b"]
    assert [block.title for block in blocks(gather(entries, ["t"] * 4))[0]] == ["t, run 1", "t, run 2"]
    cuts = [{"settings": {"granularity": cut}} for cut in ("layer", "sublayer")]
    exponents = dl.lyapunov_spectrum(HENON, [0.1, 0.1], loops=64)
    apart = gather([Entry(long, run=cuts[0], about=about[0]), Entry(exponents, run=cuts[1], about=about[0])])
    assert len(apart) == 2  # its layers are others


def test_a_prompt_that_one_run_read_twice_has_two_titles():
    run = {"settings": {}}
    entries = [Entry(made([Regime.RAY]), run=run, about={"checkpoint": "m", "prompt": "x"}) for _ in range(2)]
    found = gather(entries)
    assert [one.title for one in found] == ["m, run 1", "m, run 2"]
    assert "2 prompts" in blocks(found)[0][0].verdict.caveat


def test_runs_over_one_prompt_meet_and_other_prompts_stay_apart():
    one = made([Regime.RAY])
    about = [{"checkpoint": "demo:a", "prompt": prompt} for prompt in ("x", "y")]
    exponents = dl.lyapunov_spectrum(HENON, [0.1, 0.1], loops=64)
    entries = [Entry(one, about=about[0]), Entry(one, about=about[1]), Entry(exponents, about=about[1]),
               Entry(exponents, about=about[0])]  # fmt: skip
    found = gather(entries)
    assert kinds(found) == [["Classification", "LyapunovSpectrum"]] * 2
    assert [subject.title for subject in found] == ["demo:a, prompt 1", "demo:a, prompt 2"]


def test_verdicts_are_given_together_of_prompts_of_one_run_alone():
    ray, drift = made([Regime.RAY]), made([Regime.DRIFT])
    about = [{"checkpoint": "demo:a", "prompt": prompt} for prompt in ("x", "y")]
    runs = [{"dynloop": "1"}, {"dynloop": "1"}]
    twice = gather([Entry(one, run=run, about=about[k]) for one, run in zip((ray, drift), runs, strict=True)
                    for k in (0, 1)])  # fmt: skip
    assert [subject.title for subject in twice] == [
        "demo:a, prompt 1, run 1", "demo:a, prompt 2, run 1", "demo:a, prompt 1, run 2", "demo:a, prompt 2, run 2",
    ]  # fmt: skip
    assert [block.verdict.headline.partition(" ")[2] for block in blocks(twice)[0]] == [
        "2 orbits grow for ever in a fixed direction.", "2 orbits slow down and never arrive.",
    ]  # fmt: skip
    apart = gather([Entry(ray), Entry(drift)])  # of one name, but who knows whether of one map
    assert len(blocks(apart)[0]) == 2
    titled = gather([Entry(ray), Entry(drift)], ["m, prompt 1", "m, prompt 2"])
    assert [block.title for block in blocks(titled)[0]] == ["m, prompt 1", "m, prompt 2"]


def test_a_summary_is_taken_apart_and_titles_are_the_users():
    parts = [made([Regime.RAY]), made([Regime.DRIFT])]
    found = gather([Entry(summarise(parts, ["a", "b"]))])
    assert [subject.prompt for subject in found] == ["a", "b"]
    assert [subject.title for subject in found] == ["a map, prompt 1", "a map, prompt 2"]
    found = gather([Entry(summarise(parts, ["a", "b"]))] * 2)
    assert [block.title for block in blocks(found)[0]] == ["a map, run 1", "a map, run 2"]
    assert len({subject.title for subject in found}) == 4


def test_other_weights_another_dtype_and_another_long_prompt_are_another_subject():
    """A folder that training wrote anew has the same name; the words of a long array are not all in its repr."""
    verdict, exponents = made([Regime.CYCLIC]), dl.lyapunov_spectrum(HENON, [0.1, 0.1], loops=64)
    about = {"checkpoint": "latest", "prompt": "x", "weights": "sha256:aa"}
    ids = [np.zeros(3000, dtype=int), np.zeros(3000, dtype=int)]
    ids[1][1500] = 1
    for other, run in (
        (about | {"weights": "sha256:bb"}, {}),
        (about, {"settings": {"dtype": "float64"}}),
        (about | {"prompt": ids[1]}, {}),
    ):
        first = about | {"prompt": ids[0]} if other["prompt"] is ids[1] else about
        found = gather([Entry(verdict, about=first), Entry(exponents, about=other, run=run)])
        assert kinds(found) == [["Classification"], ["LyapunovSpectrum"]]
    assert len(gather([Entry(verdict, about=about), Entry(exponents, about=dict(about))])) == 1
