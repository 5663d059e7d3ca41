"""classify on the counter-examples C1–C20: the right class, or an honest UNDECIDED."""

import numpy as np
import pytest

import dynloop as dl
from dynloop.maps.zoo import COUNTER_EXAMPLES


@pytest.mark.parametrize("row", COUNTER_EXAMPLES, ids=lambda row: row.key)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_certain_verdict_is_wrong(row):
    found = dl.classify(row.make(), row.start)
    names = {regime.name for regime in np.ravel(found.regime)}
    assert names <= row.acceptable | {"UNDECIDED"}, found


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("C1", "RAY"),
        ("C4", "DIVERGENT"),
        ("C5", "PERIODIC"),
        ("C6", "QUASIPERIODIC"),
        ("C7", "CHAOTIC"),
        ("C10b", "CYCLIC"),
    ],
)
def test_plain_cases_are_decided(key, name):
    row = dl.zoo.counter_example(key)
    assert str(np.ravel(dl.classify(row.make(), row.start).regime)[0].name) == name
