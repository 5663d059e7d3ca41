"""Pictures are drawn without a window, and closed after each test."""

import pytest


@pytest.fixture(autouse=True)
def _close():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    yield
    from matplotlib import pyplot as plt

    plt.close("all")
