"""Looped in-context regressors: options and prompts that do not work are refused by name."""

import json

import numpy as np
import pytest

from dynloop.adapters.registry import open_checkpoint
from dynloop.errors import CheckpointError, PromptError
from tests.adapters.golden import DATA, changed

FOLDER = DATA / "looped_icl"

# -- boundaries: what just works -------------------------------------------------------------------------------------


def test_longest_prompt_fits():
    assert open_checkpoint(FOLDER, {"xs": np.zeros((11, 5)), "ys": np.zeros(11)}).state_shape == (22, 32)


def test_config_without_a_section_is_read_too(tmp_path):
    folder = changed("looped_icl", tmp_path / "c")
    (folder / "config.json").write_text(json.dumps(json.loads((FOLDER / "config.json").read_text())["model"]))
    assert open_checkpoint(folder).family.name == "looped_icl"


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("loop_func", "z=f(z)", r"the config says loop_func = 'z=f\(z\)'"),
        ("family", "gpt2", "the config says family = 'gpt2'"),
        ("pred_type", "ranking", "the config says pred_type = 'ranking'"),
        ("bias", False, "the config says bias = False, which the looped_icl adapter does not know"),
        ("n_head", 5, "n_head must divide n_embd"),
        ("n_embd", "32", "needs n_embd to be a positive int; it says '32'"),
        ("n_positions", 12, "_backbone.transformer.wpe.weight has shape \\(23, 32\\), the config implies \\(25, 32\\)"),
    ],
)
def test_options_that_do_not_work_are_refused_by_name(tmp_path, field, value, said):
    folder = changed("looped_icl", tmp_path / "c", config=lambda c: c["model"].update({field: value}))
    with pytest.raises(CheckpointError, match=said):
        open_checkpoint(folder)


def test_a_missing_field_is_named(tmp_path):
    folder = changed("looped_icl", tmp_path / "c", config=lambda c: c["model"].pop("n_head"))
    with pytest.raises(CheckpointError, match="needs n_head to be a positive int; it says nothing"):
        open_checkpoint(folder)


XS, YS = np.zeros((3, 5)), np.zeros(3)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("some text", "reads a dict of xs, ys; got a str 'some text'"),
        ({"xs": XS}, "ys is missing"),
        ({"xs": XS, "ys": YS, "zs": 1}, "it has no input 'zs'"),
        ({"xs": XS[None], "ys": YS}, r"Leave the batch axis out: xs\[0\]"),
        ({"xs": XS[:, :4], "ys": YS}, r"xs must be numbers of shape \(n, 5\); got float64 of shape \(3, 4\)"),
        ({"xs": XS, "ys": YS[:2]}, r"ys must be numbers of shape \(3,\)"),
        ({"xs": XS * np.nan, "ys": YS}, "xs holds NaN or infinity"),
        ({"xs": [[1.0], [2.0, 3.0]], "ys": YS}, "every row must have the same length"),
        (
            {"xs": np.zeros((12, 5)), "ys": np.zeros(12)},
            "has 24 tokens .12 pairs., .* positions for 23; give at most 11",
        ),
    ],
)
def test_prompts_that_do_not_fit_are_refused(prompt, said):
    with pytest.raises(PromptError, match=said) as caught:
        open_checkpoint(FOLDER, prompt)
    assert "\n" not in str(caught.value)
