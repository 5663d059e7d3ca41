"""Put a wrong function in place of a right one, wherever the library holds it, and take it out again."""

import importlib
import pkgutil
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import dynloop

_LEFT_OUT = ("dynloop.cli", "dynloop.__main__", "dynloop.views")  # import what draws and prints


class Patch:
    """What was replaced, so that it can be put back."""

    def __init__(self):
        self.done = []

    def attribute(self, holder, name, new):
        """Replace one attribute of a class or a module."""
        old = vars(holder)[name]
        assert new is not old, f"{holder.__name__}.{name} would stay as it is"
        setattr(holder, name, new)
        self.done.append((holder, name, old))

    def method(self, holder, name, wrap):
        """Replace a method by ``wrap(the right one)``."""
        self.attribute(holder, name, wrap(vars(holder)[name]))

    def function(self, module, name, wrap):
        """Replace a function by ``wrap(the right one)`` in its module and in all that imported it."""
        load()
        old = getattr(importlib.import_module(module), name)
        new = wrap(old)
        holders = [m for key, m in list(sys.modules.items()) if key.startswith("dynloop") and m is not None]
        for holder in holders:
            for key, value in list(vars(holder).items()):
                if value is old:
                    self.attribute(holder, key, new)
        assert self.done, f"nothing holds {module}.{name}"

    def undo(self):
        """Put everything back, last first."""
        while self.done:
            holder, name, old = self.done.pop()
            setattr(holder, name, old)


@dataclass(frozen=True)
class Mutant:
    """One way to break the library: what it does, the file of tests that is tried first, and the patch."""

    what: str
    aim: str
    apply: Callable[[Patch], None]


@contextmanager
def broken(mutant):
    """Break the library for a while."""
    patch = Patch()
    try:
        mutant.apply(patch)
        yield patch
    finally:
        patch.undo()


def load():
    """Import every module, so that all holders of a function are known."""
    for found in pkgutil.walk_packages(dynloop.__path__, "dynloop."):
        if not found.name.startswith(_LEFT_OUT):
            importlib.import_module(found.name)
