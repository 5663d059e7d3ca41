"""What every benchmark stands on: compiled rows run on one thread, as the hand-written twins do."""

import numba
import pytest


@pytest.fixture(autouse=True)
def _one_compiled_thread(monkeypatch):
    monkeypatch.setattr(numba.config, "NUMBA_NUM_THREADS", 1)
