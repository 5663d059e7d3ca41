"""Arguments of the wrong kind: at every public entry one line names the argument, its value, rule and remedy."""

import inspect

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.arguments import (
    checked_function,
    checked_int,
    checked_kind,
    checked_list,
    checked_numbers,
    checked_path,
)
from dynloop.errors import DynloopError, InvalidArgumentError, ShapeError

WRONG = {"number": 3, "none": None, "text": "nonsense", "empty": [], "mapping": {}, "object": object()}
# what takes no argument that could be wrong, or is a base that is not called
FREE = {"LoopMap", "Mapper", "Plan", "ablate"}
FUNCTIONS = [
    name
    for name, value in ((name, getattr(dl, name)) for name in dl.__all__)
    if (inspect.isfunction(value) or value in (dl.TorchMap, dl.KernelMap, dl.Study)) and name not in FREE
]


def required(function):
    return [p for p in inspect.signature(function).parameters.values() if p.default is p.empty and p.kind not in (2, 4)]


def called(function, first, rest):
    """Call a function with `first`, and with `rest` in every other place that must be filled."""
    places = [p for p in required(function) if p.kind != p.KEYWORD_ONLY]
    named = {p.name: rest for p in required(function) if p.kind == p.KEYWORD_ONLY}
    return function(*[first, *[rest] * (len(places) - 1)][: len(places)], **named)


def test_the_functions_asked_are_most_of_the_library():
    assert len(FUNCTIONS) >= 75
    assert {"classify", "basins", "draw_basins", "with_clock", "report", "study", "load"} <= set(FUNCTIONS)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_of_the_wrong_kind_everywhere_is_refused_in_one_line(name, wrong, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DynloopError) as error:
        called(getattr(dl, name), WRONG[wrong], WRONG[wrong])
    assert "\n" not in str(error.value)
    assert len(str(error.value)) > 20
    assert not list(tmp_path.iterdir())


OF_A_MAP = [
    name for name in FUNCTIONS if [p.name for p in required(getattr(dl, name))][:1] == ["m"]
    and len(required(getattr(dl, name))) > 1
]  # fmt: skip


@pytest.mark.parametrize("wrong", sorted({*WRONG} - {"none"}))  # None may stand for the starts of the map
@pytest.mark.parametrize("name", OF_A_MAP)
def test_a_map_with_what_is_of_the_wrong_kind_is_refused_in_one_line(name, wrong):
    with pytest.raises(DynloopError) as error:
        called(getattr(dl, name), dl.zoo.henon(), WRONG[wrong])
    assert "\n" not in str(error.value)


def test_kinds():
    assert checked_kind(True, (int, str), "a", "Do") is True
    with pytest.raises(InvalidArgumentError, match=r"^a must be an Ellipse or Circle; got int\. Draw one$"):
        checked_kind(3, (type("Ellipse", (), {}), type("Circle", (), {})), "a", "Draw one")


@pytest.mark.parametrize("kind", [int, np.int8, np.uint16, np.int64])
def test_ints(kind):
    found = checked_int(kind(3), "a", 3, 3)
    assert found == 3
    assert type(found) is int
    assert checked_int(kind(0), "a") == checked_int(kind(0), "a", 0) == 0
    assert checked_int(-2, "a") == checked_int(np.int8(-2), "a", -2) == -2


@pytest.mark.parametrize(
    ("bounds", "text", "said"),
    [
        ((1,), {}, "a positive int; got {}. Pass a=1 or more"),
        ((8,), {"meaning": "the budget"}, "an int of at least 8, the budget; got {}. Pass a=8 or more"),
        ((5, 7), {"meaning": "days"}, "an int from 5 to 7, days; got {}. Pass a=5"),
        ((1, 1), {"remedy": "Leave it out"}, "an int from 1 to 1; got {}. Leave it out"),
        ((), {}, "an int; got {}. Pass a=0"),
    ],
)
def test_what_is_no_int_in_its_bounds(bounds, text, said):
    outside = [(0, "0"), (np.int64(-3), "-3"), (-(10**70), "int")] if bounds else []
    if len(bounds) == 2:
        outside += [(bounds[1] + 1, str(bounds[1] + 1)), (np.uint8(200), "200")]
    for wrong, shown in (
        *outside, (True, "True"), (np.True_, "True"), (8.0, "8.0"), (np.float64(8), "8.0"), ("8", "'8'"),
        (None, "None"), (np.zeros((3, 3), int), "ndarray"), (np.array(8), "ndarray"), (torch.tensor(8), "Tensor"),
        ([8], "list"), (8j, "complex"), (float("nan"), "nan"),
    ):  # fmt: skip
        with pytest.raises(InvalidArgumentError) as error:
            checked_int(wrong, "a", *bounds, **text)
        assert str(error.value) == f"a must be {said.format(shown)}"


def test_lists():
    assert checked_list((1, 2), "a", "numbers", "") == [1, 2]
    assert checked_list((n for n in range(2)), "a", "numbers", "") == [0, 1]
    assert [row.tolist() for row in checked_list(np.eye(2), "a", "numbers", "")] == [[1, 0], [0, 1]]
    for wrong, said in (
        (3, "3"), (None, "None"), ("ab", "'ab'"), ("x" * 99, "str"), ({"a": 1}, "dict"), (np.array(3), "ndarray"),
        (torch.tensor(3), "Tensor"),
    ):  # fmt: skip
        with pytest.raises(InvalidArgumentError, match=rf"^a must be a list of numbers; got {said}\. Pass \[1\]$"):
            checked_list(wrong, "a", "numbers", "Pass [1]")


def test_numbers():
    weight = torch.ones(2, requires_grad=True)
    assert checked_numbers(weight, "a").tolist() == [1, 1]
    assert checked_numbers(torch.ones(1, dtype=torch.bfloat16), "a").tolist() == [1]
    given = np.zeros(2)
    checked_numbers(given, "a")[0] = 1
    assert given[0] == 0
    for wrong in ("x", [[1], [1, 2]], {}, object(), [weight]):
        with pytest.raises(InvalidArgumentError, match="a must be an array of numbers; got"):
            checked_numbers(wrong, "a")
    for wrong in (np.zeros(2, complex), [1j], torch.zeros(2, dtype=torch.complex64)):
        with pytest.raises(InvalidArgumentError, match="a must be real numbers; got complex"):
            checked_numbers(wrong, "a")


def test_paths(tmp_path):
    assert checked_path(str(tmp_path), "a", "") == checked_path(tmp_path, "a", "") == tmp_path
    with pytest.raises(InvalidArgumentError, match=r"^a must be a path; got bytes\. Give one$"):
        checked_path(b"x", "a", "Give one")


def test_functions():
    for right in (max, torch.nn.Linear(1, 1), lambda x, y: x, lambda *all_of_them: 0, lambda x, y, z=1: x):
        assert checked_function(right, "f", "f(x, y)", 2) is right
    with pytest.raises(InvalidArgumentError, match=r"f must be a function f\(x, y\); got 3\. Write"):
        checked_function(3, "f", "f(x, y)", 2)
    for wrong, why in ((lambda x: x, "too many positional"), (lambda x, y, z: x, "missing a required argument: 'z'")):
        with pytest.raises(InvalidArgumentError, match=rf"got one that cannot be called so \({why}"):
            checked_function(wrong, "f", "f(x, y)", 2)


@pytest.mark.parametrize("shape", [3, "ab", (2.5,), None, [[2]]])
def test_a_shape_is_a_tuple_of_ints(shape):
    with pytest.raises(ShapeError, match="state_shape must be a tuple of ints such as"):
        dl.TorchMap([torch.nn.Identity()], shape)
