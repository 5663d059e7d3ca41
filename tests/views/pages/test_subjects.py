"""What belongs together on a page: by checkpoint and prompt, by the map's name, or by the user's titles."""

import dynloop as dl
from dynloop.orbits.prompts import summarise
from dynloop.orbits.verdict import Regime
from dynloop.views.pages.contents import blocks
from dynloop.views.pages.subjects import Entry, gather
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
    twice = gather([Entry(one, about=about[k]) for one in (ray, drift) for k in (0, 1)])
    assert [subject.title for subject in twice] == [
        "demo:a, prompt 1, run 1", "demo:a, prompt 2, run 1", "demo:a, prompt 1, run 2", "demo:a, prompt 2, run 2",
    ]  # fmt: skip
    assert [block.verdict.headline.partition(" ")[2] for block in blocks(twice)] == [
        "2 orbits grow for ever in a fixed direction.", "2 orbits slow down and never arrive.",
    ]  # fmt: skip
    apart = gather([Entry(ray), Entry(drift)])  # of one name, but who knows whether of one map
    assert len(blocks(apart)) == 2
    titled = gather([Entry(ray), Entry(drift)], ["m, prompt 1", "m, prompt 2"])
    assert [block.title for block in blocks(titled)] == ["m, prompt 1", "m, prompt 2"]


def test_a_summary_is_taken_apart_and_titles_are_the_users():
    parts = [made([Regime.RAY]), made([Regime.DRIFT])]
    found = gather([Entry(summarise(parts, ["a", "b"]))])
    assert [subject.prompt for subject in found] == ["a", "b"]
    found = gather([Entry(parts[0]), Entry(parts[1])], ["mine", "mine"])
    assert [(subject.title, len(subject.entries)) for subject in found] == [("mine", 2)]
