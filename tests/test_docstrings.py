"""Every example in a docstring runs and prints what it says."""

import doctest
import importlib
import pkgutil
import sys

import pytest

import dynloop

MODULES = sorted(m.name for m in pkgutil.walk_packages(dynloop.__path__, "dynloop.") if "__main__" not in m.name)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
    if (pyplot := sys.modules.get("matplotlib.pyplot")) is not None:
        pyplot.close("all")  # matplotlib warns of more than twenty
