"""classify on the counter-examples C1–C20: the right class, or an honest UNDECIDED."""

import os
import subprocess
import sys

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


@pytest.mark.slow
def test_verdicts_are_the_same_without_the_compiler():
    keys = ["C1", "C3", "C5b", "C6", "C7", "C10c", "C12", "C16", "C19", "C20c"]
    program = f"""
import dynloop as dl
for key in {keys}:
    row = dl.zoo.counter_example(key)
    found = dl.classify(row.make(), row.start)
    print(found.regime, int(found.period))
"""
    told = []
    for disabled in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disabled}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    assert told[0] == told[1]
    assert len(told[0].splitlines()) == len(keys)
