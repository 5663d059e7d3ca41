"""One checkpoint over many prompts."""

import json

import numpy as np
import pytest

import dynloop as dl
from dynloop.errors import InvalidArgumentError, PromptError
from dynloop.orbits.prompts import summarise

PROMPTS = [[1, 2, 3], [4, 5, 6, 7], [8, 9]]


@pytest.fixture(scope="module")
def found():
    return dl.classify_prompts("demo:hop-injected", PROMPTS, loops=256)


def test_each_prompt_as_by_itself(found):
    for prompt, one in zip(PROMPTS, found.results, strict=True):
        alone = dl.classify(dl.open_checkpoint("demo:hop-injected", prompt), loops=256)
        np.testing.assert_array_equal(one.regime, alone.regime)
    assert found.counts.tolist() == [3, 4, 2]
    assert found.prompts == tuple(PROMPTS)


def test_an_open_checkpoint_serves_as_well(found):
    again = dl.classify_prompts(dl.open_checkpoint("demo:hop-injected"), PROMPTS, loops=256)
    assert again.shares() == found.shares()


def test_a_file_of_prompts(found, tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(p) + "\n" for p in PROMPTS))
    assert dl.classify_prompts("demo:hop-injected", path, loops=256).shares() == found.shares()


def made(regimes):
    """A classification with one row of tokens."""
    from tests.views.made import made as by_hand

    return by_hand([[dl.Regime[name] for name in regimes]], causal=True)


def test_shares_are_over_tokens_and_errors_over_prompts():
    found = summarise([made(["CYCLIC"] * 3 + ["PERIODIC"]), made(["CYCLIC"] * 2)], ["a", "b"])
    assert found.shares() == {"CYCLIC": 5 / 6, "PERIODIC(2)": 1 / 6}
    np.testing.assert_allclose(found.by_prompt, [[3 / 4, 1 / 4], [1, 0]])
    # deviations n·(s_i − s): 3 − 4·5/6 = −1/3 and 2 − 2·5/6 = 1/3; √(2·2/9 / 1) / 6
    np.testing.assert_allclose(found.standard_error, np.sqrt(2 * 2 / 9) / 6)
    assert found.summary() == "83.3 ± 11 % of tokens CYCLIC, 16.7 ± 11 % PERIODIC(2), over 2 prompts"


def test_the_error_covers_the_true_share():
    """Prompts whose tokens agree with each other: 95 % of intervals cover, tokens taken as independent would not."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(200):
        sample = [made(["CYCLIC" if good else "PERIODIC"] * 5) for good in rng.random(40) < 0.7]
        found = summarise(sample, [""] * 40)
        at = found.regimes.index("CYCLIC")
        hits += abs(found.share[at] - 0.7) <= 2.02 * found.standard_error[at]
    assert 180 <= hits <= 199


def test_one_prompt_has_no_error():
    found = summarise([made(["CYCLIC"])], ["a"])
    assert np.isnan(found.standard_error).all()
    assert found.summary() == "100 % of tokens CYCLIC, over 1 prompt"


def test_it_prints_and_is_saved(found, tmp_path):
    assert repr(found).startswith("PromptSummary of ")
    again = dl.load(found.save(tmp_path / "prompts"))
    assert again.shares() == found.shares()
    assert len(again.results) == 3


@pytest.mark.parametrize(
    ("prompts", "options", "error", "kind"),
    [
        ([], {}, "prompts is empty; give at least one prompt", PromptError),
        ([[1, 2], [-1]], {}, r"prompts\[1\]: ", PromptError),
        (
            PROMPTS,
            {"starts": 0},
            "starts must be a positive int, the number of starts a prompt; got 0",
            InvalidArgumentError,
        ),
        ("nowhere.jsonl", {}, r"nowhere\.jsonl", PromptError),
    ],
)
def test_bad_input(prompts, options, error, kind):
    with pytest.raises(kind, match=error):
        dl.classify_prompts("demo:hop-injected", prompts, **options)


def test_a_map_without_prompts_is_refused():
    with pytest.raises(PromptError, match=r"prompts\[0\]: .* reads no prompt"):
        dl.classify_prompts(dl.zoo.henon(), PROMPTS)
