"""What every benchmark stands on: compiled rows run on one thread, as the hand-written twins do.

Files of ``--benchmark-json`` also say what the page of measured figures states: memory, versions, and the load.
"""

import os
from importlib.metadata import version

import numba
import pytest

_BEFORE = [round(load, 1) for load in os.getloadavg()]  # what other jobs do, since ours have not begun


@pytest.fixture(autouse=True)
def _one_compiled_thread(monkeypatch):
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 1)


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_json(output_json):
    output_json["dynloop"] = {
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "versions": {name: version(name) for name in ("torch", "numba", "numpy", "scipy")},
        "load before": _BEFORE,
        "load after": [round(load, 1) for load in os.getloadavg()],
    }
