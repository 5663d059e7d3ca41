"""Plans: what a key is made of, what is refused, and that a plan read back has the same keys."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynloop.errors import InvalidArgumentError, StoreError
from dynloop.studies import digest
from dynloop.studies.plan import Plan
from tests.studies import cells

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def test_the_first_axis_changes_slowest():
    plan = Plan.grid(cells.square, {"x": [1, 2], "y": [5, 6, 7]})
    assert [(c.parameters["x"], c.parameters["y"]) for c in plan] == [(1, 5), (1, 6), (1, 7), (2, 5), (2, 6), (2, 7)]
    assert len(set(plan.keys)) == 6


@settings(max_examples=25)
@given(st.lists(PLAIN, min_size=1, max_size=4), st.lists(PLAIN, min_size=1, max_size=4))
def test_a_grid_and_the_list_of_its_cells_have_the_same_keys(xs, ys):
    grid = Plan.grid(cells.square, {"y": ys, "x": xs})
    listed = Plan.listed(cells.square, [c.parameters for c in grid])
    assert grid.keys == listed.keys
    again = Plan.from_json(grid.to_json())
    assert again.keys == grid.keys
    assert [c.parameters for c in again] == [c.parameters for c in grid]


def test_equal_cells_have_equal_keys_and_others_do_not():
    plan = Plan.listed(cells.square, [{"x": 1}, {"x": 1}, {"x": 2}, {"x": 1, "y": 0}])
    first, second, *others = plan.keys
    assert first == second
    assert len({first, *others}) == 3


def test_a_key_names_function_and_code(monkeypatch):
    one = Plan.grid(cells.square, {"x": [1]}).keys
    assert Plan.grid(cells.failing, {"x": [1]}).keys != one
    assert Plan.grid(cells.square, {"x": [1]}, code="mine 2").keys != one
    monkeypatch.setattr(digest, "_package_digest", lambda: "other code")
    assert Plan.grid(cells.square, {"x": [1]}).keys != one


def test_a_file_counts_by_its_content(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, text in zip(paths, ["same", "same", "other"], strict=True):
        path.mkdir()
        (path / "weights").write_text(text)
    plan = Plan.grid(cells.square, {"x": [str(p) for p in paths]}, files=["x"])
    a, b, c = plan.keys
    assert a == b != c
    assert Plan.from_json(plan.to_json()).keys == plan.keys
    (paths[0] / "weights").write_text("new")
    assert Plan.grid(cells.square, {"x": [str(paths[0])]}, files=["x"]).keys[0] not in (a, c)
    assert plan.changed_input(0) == paths[0] / "weights"
    assert plan.changed_input(1) is None


def test_numpy_becomes_plain():
    plan = Plan.grid(cells.square, {"x": np.array([0.5, 1.5]), "y": [np.int64(3)]})
    assert plan.keys == Plan.grid(cells.square, {"x": [0.5, 1.5], "y": [3]}).keys
    assert type(plan.parameters(0)["x"]) is float


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Plan.grid(lambda x: x, {"x": [1]}), "top of a module"),
        (lambda: Plan.grid(cells.square, {"x": []}), r"axes\['x'\] is empty"),
        (lambda: Plan.grid(cells.square, {"z": [1]}), "cannot be called so"),
        (lambda: Plan.grid(cells.square, {"y": [1]}), "missing a required argument: 'x'"),
        (lambda: Plan.grid(cells.square, {"x": [1]}, fixed={"x": 2}), "an axis and fixed too"),
        (lambda: Plan.grid(cells.square, {"x": [float("nan")]}), "x must be finite"),
        (lambda: Plan.grid(cells.square, {"x": [{1: 2}]}), "text for keys"),
        (lambda: Plan.grid(cells.square, {"x": [object()]}), "x must be a number, text"),
        (lambda: Plan.grid(cells.square, {"x": [1]}, files=["w"]), "files names 'w'"),
        (lambda: Plan.listed(cells.square, []), "cells is empty"),
        (lambda: Plan.listed(cells.square, [{"x": 1}, {"y": 1}]), "missing a required argument"),
    ],
)
def test_what_cannot_run_is_refused_in_one_line(make, said):
    with pytest.raises(InvalidArgumentError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"plan": 1, "seal": ""}', None])
def test_a_damaged_plan_is_noticed(damage):
    text = Plan.grid(cells.square, {"x": [1, 2]}).to_json()
    with pytest.raises(StoreError, match="the plan of the study cannot be read"):
        Plan.from_json(text.replace("[1, 2]", "[1, 3]") if damage is None else damage)


def test_a_plan_that_is_read_back_names_code_and_does_not_load_it():
    text = json.loads(Plan.grid(cells.square, {"x": [1]}).to_json())
    assert "tests.studies.cells:square" in text["plan"]
    assert Plan.from_json(json.dumps(text)).function is None


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_columns_are_the_parameters_of_the_cells(sizes):
    plan = Plan(None, "m:f", "1", axes={f"p{i}": list(range(n)) for i, n in enumerate(sizes)}, fixed={"q": 7})
    for name in plan.names:
        assert plan.column(name) == [cell.parameters[name] for cell in plan]
    rows = Plan(None, "m:f", "1", rows=[{"a": 1}, {"q": 2}], fixed={"q": 7})
    assert (rows.column("a"), rows.column("q")) == ([1, None], [7, 2])


def test_a_function_whose_code_has_no_file_needs_a_version_of_its_own():
    with pytest.raises(InvalidArgumentError, match=r"function must be of a module that has a file.*print.*code='1'"):
        Plan.grid(print, {})
    assert len(Plan.grid(print, {"sep": ["-"]}, code="1")) == 1
    assert len(Plan.grid(dict, {"a": [1, 2]}, code="1")) == 2  # it has no signature to check against


@pytest.mark.parametrize(("axes", "fixed", "said"), [
    (3, None, r"axes must be a Mapping; got int\. Write {'name'"),
    ({"x": 3}, None, r"axes\['x'\] must be a list of values; got 3"),
    ({"x": [1]}, 3, "fixed must be a Mapping; got int"),
])  # fmt: skip
def test_axes_are_lists_by_name(axes, fixed, said):
    with pytest.raises(InvalidArgumentError, match=said):
        Plan.grid(cells.square, axes, fixed=fixed)


def test_listed_cells_are_mappings():
    with pytest.raises(InvalidArgumentError, match="cells must be a list of mappings of names to values; got 3"):
        Plan.listed(cells.square, 3)
    with pytest.raises(InvalidArgumentError, match=r"cells\[1\] must be a Mapping; got int"):
        Plan.listed(cells.square, [{"x": 1}, 2])
