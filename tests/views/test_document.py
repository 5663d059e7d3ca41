"""The JSON document: strict JSON, unknown is null, and nothing of the record but the states is missing."""

import dataclasses
import json

import numpy as np

from dynloop.orbits.verdict import Classification
from dynloop.views.document import dumps, result_entry
from tests.views.made import mixed


def refuse(name):
    raise AssertionError(f"{name} is not JSON")


def test_unknown_numbers_are_null():
    text = dumps({"a": np.array([1.0, np.nan, np.inf]), "b": float("nan"), "c": np.float32(2), 3: (True, None, "ü")})
    assert json.loads(text, parse_constant=refuse) == {"a": [1, None, None], "b": None, "c": 2, "3": [True, None, "ü"]}


def test_every_field_but_the_states():
    entry = json.loads(dumps(result_entry(mixed())), parse_constant=refuse)
    fields = {f.name for f in dataclasses.fields(Classification)}
    assert set(entry) == (fields - {"states", "unfinished"}) | {"summary", "shares"}
    assert entry["regime"][0][9:] == ["PERIODIC", "PERIODIC", "UNDECIDED"]
    assert entry["rate"][0][11] is None
    assert entry["evidence"]["status"][0][0] == "DECIDED"
