"""Plan files: what they say, what is refused in one line before anything runs, and what the analyses return."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.adapters.address import open_address
from dynloop.adapters.registry import checkpoint_files
from dynloop.analyses import opening
from dynloop.analyses.opening import open_map, with_parameters
from dynloop.errors import InvalidArgumentError, PromptError

HENON = ["zoo:henon"]
CLASSIFY = {"analysis": "classify"}


def write(folder, text):
    path = folder / "plan.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_and_the_mapping_it_holds_make_the_same_plan(tmp_path):
    text = """
analysis = "lyapunov"
[settings]
loops = 200
checkpoint = "zoo:henon"
[grid]
seed = [0, 1]
map.a = {from = 0.2, to = 1.4, count = 3}
"""
    plan = dl.read_plan(write(tmp_path, text))
    same = dl.read_plan(
        {
            "analysis": "lyapunov",
            "settings": {"loops": 200, "checkpoint": "zoo:henon"},
            "grid": {"seed": [0, 1], "map.a": [0.2, 0.8, 1.4]},
        }
    )
    assert plan.keys == same.keys
    assert plan.parameters(5) == {"loops": 200, "checkpoint": "zoo:henon", "seed": 1, "map.a": 1.4}


def test_ranges_of_whole_numbers_stay_whole():
    plan = dl.read_plan({**CLASSIFY, "grid": {"checkpoint": HENON, "seed": {"from": 0, "to": 8, "count": 5}}})
    assert plan.axes["seed"] == [0, 2, 4, 6, 8]
    assert {type(value) for value in plan.axes["seed"]} == {int}


def test_checkpoints_change_slowest_and_demo_stands_for_all():
    plan = dl.read_plan({**CLASSIFY, "grid": {"seed": [0, 1], "checkpoint": ["demo", "zoo:henon"]}})
    assert list(plan.axes) == ["checkpoint", "seed"]
    assert len(plan.axes["checkpoint"]) == 4
    assert plan.inputs["checkpoint"].keys() == {f'"{name}"' for name in plan.axes["checkpoint"][:3]}


def test_prompts_and_checkpoints_are_looked_for_beside_the_plan(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (tmp_path / "prompts.jsonl").write_text('"text"\n[1, 2]\n{"xs": [[1.5]]}\n')
    text = 'analysis = "classify"\nprompts = "prompts.jsonl"\n[grid]\ncheckpoint = ["model"]\n'
    plan = dl.read_plan(write(tmp_path, text))
    assert plan.axes["prompt"] == ["text", [1, 2], {"xs": [[1.5]]}]
    assert plan.axes["checkpoint"] == [str(folder)]
    before = plan.keys
    (folder / "config.json").write_text('{"other": 1}')
    assert set(before).isdisjoint(dl.read_plan(tmp_path / "plan.toml").keys)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ({}, "analysis must be one of classify, fixed_points, lyapunov; it is missing"),
        ({"analysis": "os:system"}, "got 'os:system'"),
        ({"analysis": ["classify"]}, "analysis must be one of"),
        ({"analysis": "clasify"}, r"did you mean classify\?"),
        ({"analysis": "classify", "gird": {}}, r"no key 'gird' \(did you mean grid\?\)"),
        ({"analysis": "classify"}, r"give \[grid\] or \[\[cells\]\], one of them"),
        ({**CLASSIFY, "grid": {"checkpoint": HENON}, "cells": [{}]}, "one of them"),
        ({**CLASSIFY, "grid": 3}, "grid must be a table"),
        ({"analysis": "classify", "cells": [3]}, "cells must be a list of tables"),
        ({**CLASSIFY, "grid": {"checkpoint": []}}, "grid.checkpoint is empty"),
        ({**CLASSIFY, "grid": {"checkpoint": "zoo:henon"}}, "must be a list of values or a table"),
        ({**CLASSIFY, "grid": {"checkpoint": HENON, "sed": [1]}}, r"no setting 'sed' \(did you mean seed\?\)"),
        ({**CLASSIFY, "grid": {"checkpoint": HENON, "loops": ["9"]}}, "loops must be a whole number; got '9'"),
        ({**CLASSIFY, "grid": {"checkpoint": HENON, "loops": [True]}}, "loops must be a whole number"),
        ({**CLASSIFY, "grid": {"checkpoint": [3]}}, "grid.checkpoint must be text; got 3"),
        ({**CLASSIFY, "grid": {"checkpoint": HENON, "polish": ["x"]}}, "must be one of auto, never"),
        ({**CLASSIFY, "grid": {"checkpoint": HENON, "dtype": ["int8"]}}, "must be one of float32, float64"),
        ({"analysis": "fixed_points", "grid": {"checkpoint": HENON, "tol": ["x"]}}, "tol must be a number"),
        ({**CLASSIFY, "settings": {"checkpoint": "zoo:henon", "map": 3}, "grid": {"seed": [1]}}, "settings.map"),
        ({**CLASSIFY, "grid": {"checkpoint": HENON, "map": {"a": [{}]}}}, "map.a must be a number, text"),
        ({**CLASSIFY, "grid": {"seed": [1]}}, "checkpoint is missing"),
        ({"analysis": "classify", "cells": [{"checkpoint": "zoo:henon"}, {"seed": 1}]}, "checkpoint is missing"),
        ({**CLASSIFY, "grid": {"checkpoint": ["nowhere"]}}, "no folder or file at nowhere"),
        ({**CLASSIFY, "grid": {"checkpoint": HENON, "seed": {"from": 0, "to": 1}}}, "{from, to, count}"),
        ({**CLASSIFY, "grid": {"checkpoint": HENON, "seed": {"from": 0, "to": 1, "count": 0}}}, "at least 1"),
        (
            {**CLASSIFY, "grid": {"checkpoint": HENON, **{f"map.{c}": list(range(100)) for c in "abcd"}}},
            "more than 10000000",
        ),
        ({"analysis": "classify", "prompts": 3, "grid": {"checkpoint": HENON}}, "prompts must be the path"),
        ({**CLASSIFY, "settings": {"seed": 1}, "grid": {"checkpoint": HENON, "seed": [1]}}, "fixed too"),
    ],
)  # fmt: skip
def test_what_a_plan_may_not_say(plan, said):
    with pytest.raises(InvalidArgumentError, match=said) as caught:
        dl.read_plan(plan)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["analysis = ", "\x00", "a = 1\na = 2", "[" * 5000])
def test_what_is_not_toml_is_refused_in_one_line(text, tmp_path):
    with pytest.raises(InvalidArgumentError, match=r"plan\.toml is not TOML") as caught:
        dl.read_plan(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(InvalidArgumentError, match="cannot read the plan"):
        dl.read_plan(tmp_path / "none.toml")
    with pytest.raises(PromptError, match="cannot read the prompts"):
        dl.read_plan({"analysis": "classify", "prompts": str(tmp_path / "none"), "grid": {"checkpoint": HENON}})


@pytest.mark.slow
def test_classify_is_what_classify_says(tmp_path):
    plan = dl.read_plan({**CLASSIFY, "settings": {"starts": 3}, "grid": {"checkpoint": HENON, "map.a": [0.2]}})
    done = dl.study(plan, tmp_path / "out")
    m = dl.zoo.henon(a=0.2)
    found = dl.classify(m, m.start(0, 3), rng=0)
    kept = done.result(0).result
    for field in ("rate", "period", "states"):
        np.testing.assert_array_equal(getattr(kept, field), getattr(found, field))
    [row] = done.table().rows()
    assert (row["regime"], row["share"], row["decided"]) == ("VANISHING", 1.0, 1.0)
    assert row["rate"] == float(np.median(found.rate))


def test_keep_verdict_leaves_the_states_out(tmp_path):
    plan = dl.read_plan({**CLASSIFY, "grid": {"checkpoint": ["demo:hop-injected"], "keep": ["all", "verdict"]}})
    done = dl.study(plan, tmp_path / "out")
    whole, brief = (record.result for _, record in done.results())
    assert whole.states.shape[0] == 1
    assert brief.states.shape[0] == 0
    np.testing.assert_array_equal(whole.rate, brief.rate)
    assert brief.summary() == whole.summary()


def test_lyapunov_and_fixed_points_are_what_they_say(tmp_path):
    cells = [{"checkpoint": "zoo:henon", "seed": 1, "loops": 300}]
    done = dl.study(dl.read_plan({"analysis": "lyapunov", "cells": cells}), tmp_path / "lyapunov")
    m = dl.zoo.henon()
    found = dl.lyapunov_spectrum(m, m.start(1, 1), loops=300, rng=1)
    np.testing.assert_array_equal(done.result(0).result.exponents, found.exponents)
    assert done.table().columns["exponent"] == (float(found.exponents[0]),)
    plan = dl.read_plan(
        {"analysis": "fixed_points", "cells": [{"checkpoint": "zoo:henon", "period": p} for p in (1, 2)]}
    )
    table = dl.study(plan, tmp_path / "points").table()
    assert table.columns["count"] == (2, 1)
    assert table.columns["saddles"] == (2, 1)


def test_a_wrong_parameter_of_the_map_is_an_error_of_the_cell(tmp_path):
    plan = dl.read_plan({**CLASSIFY, "grid": {"checkpoint": HENON, "map.c": [1.0]}})
    done = dl.study(plan, tmp_path / "out")
    assert "no parameter 'c'" in done.table().columns["error"][0]
    assert done.provenance()[0]["attempts"] == 1  # it would say the same again


def test_parameters_are_added_to_an_address():
    assert with_parameters("zoo:henon", {}) == "zoo:henon"
    assert with_parameters("zoo:henon?a=1", {"map.b": 0.3, "map.c": [1, 2]}) == "zoo:henon?a=1&b=0.3&c=1,2"
    with pytest.raises(InvalidArgumentError, match="no setting 'b'; a parameter of the map is called"):
        with_parameters("zoo:henon", {"b": 1})
    with pytest.raises(InvalidArgumentError, match=r"map\.a must be one value, or a list of values; got '0\.2&b=0\.9'"):
        with_parameters("zoo:henon", {"map.a": "0.2&b=0.9"})


def test_a_checkpoint_is_opened_once_with_prompts_and_without(monkeypatch):
    opened = []

    def counted(address, **options):
        opened.append(address)
        return open_address(address, **options)

    monkeypatch.setattr(opening, "open_address", counted)
    monkeypatch.setattr(opening, "_kept", {})
    maps = [opening.open_map("demo:hop-injected", p, None, None, None, {}) for p in (None, [1, 2, 3], None, [1, 2, 3])]
    assert opened == ["demo:hop-injected"]
    for one, other in ((maps[0], open_address("demo:hop-injected")), (maps[2], maps[0]), (maps[1], maps[3])):
        x = other.start(0, 1)
        assert torch.equal(x, one.start(0, 1))
        assert torch.equal(one(x), other(x))
    assert maps[1].state_shape != maps[0].state_shape


def test_a_checkpoint_is_kept_and_read_again_when_it_changes(tmp_path):
    import shutil

    from dynloop.adapters.registry import _DEMOS

    folder = tmp_path / "model"
    shutil.copytree(_DEMOS / "hop-injected", folder)
    options = {"granularity": None, "dtype": None, "device": None, "more": {}}
    prompt = dl.open_checkpoint(folder).source and [1, 2, 3, 4]
    first = open_map(str(folder), prompt, **options)
    assert open_map(str(folder), prompt, **options).source is first.source
    weights = next(p for p in checkpoint_files(str(folder)) if p.suffix == ".safetensors")
    weights.write_bytes(weights.read_bytes())
    assert open_map(str(folder), prompt, **options).source is not first.source


def test_files_of_a_checkpoint(tmp_path):
    for name in ("config.json", "one.pt", "two.pt", ".hidden"):
        (tmp_path / name).write_text(name)
    assert [p.name for p in checkpoint_files(str(tmp_path))] == ["config.json", "one.pt", "two.pt"]
    assert [p.name for p in checkpoint_files(str(tmp_path / "one.pt"))] == ["config.json", "one.pt"]
    assert checkpoint_files(str(tmp_path / "none")) == []
    assert {p.name for p in checkpoint_files("demo")} >= {"config.json"}
