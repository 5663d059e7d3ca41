"""What a model's code compares by identity is shared; what it does not reach by name is copied."""

import functools
import sys
from collections import deque
from types import ModuleType

import pytest
import torch
from torch import nn

import dynloop as dl
from dynloop.adapters.captured.stand_in import stand_in
from dynloop.errors import NotAutonomousError


class Missing:
    """A value that says that there is none."""


class Slotted:
    __slots__ = ("name",)


MISSING, NONE = Missing(), Slotted()


class Gated(nn.Module):
    """Scales its branch by 2 if its mode is the sentinel, by 1/2 otherwise."""

    OWN = Missing()

    def __init__(self, mode, missing=None):
        super().__init__()
        self.linear, self.mode, self.missing = nn.Linear(4, 4), mode, missing

    @staticmethod
    def by_name(mode):
        return mode is MISSING or mode is NONE or mode is Gated.OWN

    def forward(self, x):
        return x + (2.0 if (self.missing or self.by_name)(self.mode) else 0.5) * self.linear(x).tanh()


def closing(sentinel):
    """Return a class whose method closes over its sentinel."""

    def marked(f):
        @functools.wraps(f)
        def inner(*args):
            return f(*args)

        return inner

    class Closing(Gated):
        @staticmethod
        @marked
        def by_name(mode):
            return mode is sentinel

    return Closing(sentinel)


def defaulting(sentinel):
    class Defaulting(Gated):
        @staticmethod
        def by_name(mode, *, missing=sentinel):
            return mode is missing

    return Defaulting(sentinel)


LIBRARY = """
class Kind: pass
MISSING = Kind()
def is_missing(mode): return mode is MISSING
"""


def of_library(monkeypatch):
    """Its sentinel, and the function that asks for it, are those of another module."""
    if "a_library" not in sys.modules:
        monkeypatch.setitem(sys.modules, "a_library", library := ModuleType("a_library"))
        exec(LIBRARY, vars(library))  # noqa: S102 - a module
    library = sys.modules["a_library"]
    return Gated(library.MISSING, library.is_missing)


def check_that_the_map_is_the_model(blocks):
    model, x = nn.Sequential(*blocks).eval(), torch.ones(3, 4)
    m = dl.capture_block(model, x, block=["0", "1"])
    torch.testing.assert_close(m(x[None])[0], model(x), atol=1e-6, rtol=0)
    assert all(layer.module is not block for layer, block in zip(m.layers, blocks, strict=True))


@pytest.mark.parametrize(
    "block",
    [
        lambda _: Gated(MISSING), lambda _: Gated(NONE), lambda _: Gated(Gated.OWN), lambda _: closing(Missing()),
        lambda _: defaulting(Missing()), of_library, lambda _: Gated(Missing()),
    ],
    ids=["global", "slots", "class", "closure", "default", "library", "other"],
)  # fmt: skip
def test_a_sentinel_stays_the_one_that_code_asks_for(block, monkeypatch):
    check_that_the_map_is_the_model([block(monkeypatch), block(monkeypatch)])


SCRIPT = """
from torch import nn
class Context: pass
class Missing: pass
MISSING, ctx = Missing(), Context()
class Sets(nn.Module):
    def __init__(self, model=None):
        super().__init__()
        self.linear, self.mode, self.ctx = nn.Linear(4, 4), MISSING, ctx
    def forward(self, x):
        self.ctx.e = x.mean()
        return x + (2.0 if self.mode is MISSING else 0.5) * self.linear(x).tanh()
"""


def test_of_a_script_what_it_reads_is_shared_and_what_it_names_is_not(monkeypatch):
    monkeypatch.setitem(sys.modules, "__main__", script := ModuleType("__main__"))
    exec(SCRIPT, vars(script))  # noqa: S102 - a script
    new = stand_in(script.Sets())
    assert new.mode is script.MISSING
    assert new.ctx is not script.ctx
    model = nn.Sequential(script.Sets(), script.Sets()).eval()
    m = dl.capture_block(model, x := torch.ones(3, 4), block=["0", "1"])
    y = m(x[None])[0]
    assert not hasattr(script.ctx, "e")
    torch.testing.assert_close(y, model(x), atol=1e-6, rtol=0)


CONTEXT = Missing()


class Writes(nn.Module):
    def __init__(self):
        super().__init__()
        self.ctx, self.embed = CONTEXT, nn.Embedding(3, 4)
        self.layers = nn.ModuleList([Reads(), Reads()])

    def forward(self, ids):
        self.ctx.e = x = self.embed(ids)
        for layer in self.layers:
            x = layer(x)
        return x


class Reads(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return self.linear(x).tanh() + CONTEXT.e


def test_what_is_written_by_attribute_and_read_by_name_is_refused():
    """A copy of it would keep for ever what it held when the map was made."""
    with pytest.raises(NotAutonomousError, match="after the model ran on other inputs"):
        dl.capture_block(Writes(), [0, 1, 2], block="layers")


HELD = [nn.Linear(2, 2), torch.ones(2), [1], {1: [2]}, {3}, deque([4]), lambda x, held=[5]: (x, held)]


def test_modules_tensors_functions_and_containers_are_copied_all_the_same(monkeypatch):
    for i, value in enumerate(HELD):
        monkeypatch.setattr(sys.modules[__name__], f"held_{i}", value, raising=False)
    model = Gated(None)
    model.held = HELD
    for old, new in zip(HELD, stand_in(model).held, strict=True):
        assert new is not old
