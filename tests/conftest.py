"""What every test stands on: one torch thread, reproducible draws, and the folder of real checkpoints."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("dynloop", derandomize=True, database=None, deadline=None)
settings.load_profile("dynloop")


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoints() -> Path:
    """The folder of real checkpoints that ``DYNLOOP_CHECKPOINTS`` names."""
    name = os.environ.get("DYNLOOP_CHECKPOINTS", "")
    if not name:
        pytest.skip("DYNLOOP_CHECKPOINTS is unset; it names a folder of real checkpoints")
    folder = Path(name)
    if not folder.is_dir():
        pytest.fail(f"DYNLOOP_CHECKPOINTS names {folder}, which is no folder")
    return folder


def pytest_terminal_summary(terminalreporter):
    """Say how many drawn cases the property suite of tests/theory/ came to."""
    reports = [r for kind in ("passed", "failed") for r in terminalreporter.stats.get(kind, []) if r.when == "call"]
    counts = [n for r in reports for name, n in r.user_properties if name == "drawn cases"]
    if counts and sum(counts):
        terminalreporter.write_line(f"theory: {sum(counts)} drawn cases in {len(counts)} tests")
