"""A captured map stays what it is while the model goes on, whatever its modules hold in common; and leaves it alone."""

import warnings
import weakref
from collections import OrderedDict, deque, namedtuple
from functools import partial
from threading import Lock
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import dynloop as dl
from dynloop.adapters.captured.stand_in import stand_in
from dynloop.errors import InvalidArgumentError, NotAutonomousError


class Context:
    """Holds what the model's forward sets for its layers."""


class Slotted:
    __slots__ = ("__hidden", "e")


class Held(dict):
    """A dict that is written as an object."""

    __getattr__, __setattr__ = dict.__getitem__, dict.__setitem__


class Chain:
    """An object that leads to a context through others."""

    def __init__(self, inner):
        self.inner, self.me = inner, self

    @property
    def e(self):
        return self.inner[0]["deep"].e

    @e.setter
    def e(self, value):
        self.inner[0]["deep"].e = value


class InPlace:
    """Writes into one tensor for ever."""

    def __init__(self):
        self.kept = torch.zeros(1, 3, 4)

    @property
    def e(self):
        return self.kept

    @e.setter
    def e(self, value):
        self.kept.copy_(value)


class Closure:
    """Keeps it where its own functions alone reach."""

    def __init__(self):
        kept = Context()
        self.read, self.write = lambda: kept.e, lambda e: setattr(kept, "e", e)

    @property
    def e(self):
        return self.read()

    @e.setter
    def e(self, value):
        self.write(value)


CONTEXTS = {
    "object": Context,
    "namespace": SimpleNamespace,
    "slots": Slotted,
    "dict": Held,
    "in place": InPlace,
    "closure": Closure,
    "chain": lambda: Chain(({"deep": Context()},)),
}
GLOBAL = Context()


class Reads(nn.Module):
    def __init__(self, ctx):
        super().__init__()
        self.seen = 0
        self.linear, self.ctx = nn.Linear(4, 4), ctx

    def forward(self, x):
        return self.linear(x).tanh() + self.ctx.e


class Sets(nn.Module):
    """Sets a context that its layers read."""

    def __init__(self, ctx):
        super().__init__()
        self.seen = 0
        self.embed, self.ctx = nn.Embedding(5, 4), ctx
        self.layers, self.plain = nn.ModuleList([Reads(ctx), Reads(ctx)]), [Reads(ctx)]

    def forward(self, ids):
        self.ctx.e = e = self.embed(ids)
        x = self.plain[0](torch.zeros_like(e))
        for layer in self.layers:
            x = layer(x)
        return x


@pytest.mark.parametrize("kind", CONTEXTS)
@pytest.mark.parametrize("dtype", [None, "float64"])
def test_a_map_does_not_move_with_the_model(kind, dtype):
    model = Sets(CONTEXTS[kind]()).eval()
    m = dl.capture_block(model, [1, 2, 3], block="layers", dtype=dtype)
    if kind in ("object", "namespace", "slots"):
        assert not hasattr(model.ctx, "e")
    elif kind == "in place":
        assert not model.ctx.e.any()
    x = m.start()
    y, logits = m(x), m.decode(x)
    model(torch.tensor([[4, 4, 4]]))
    dl.capture_block(model, [2, 2, 2], block="layers")
    assert torch.equal(m(x), y)
    assert torch.equal(m.decode(x), logits)
    with torch.no_grad():
        model(torch.tensor([[1, 2, 3]]))
        expected = model.layers[1](model.layers[0](x.float()))
    torch.testing.assert_close(y.float(), expected, atol=1e-6, rtol=0)


class Global:
    """Keeps its context in a global variable."""

    @property
    def e(self):
        return GLOBAL.e

    @e.setter
    def e(self, value):
        GLOBAL.e = value


def test_what_no_copy_can_separate_is_refused():
    with pytest.raises(NotAutonomousError, match=r"layers.0 is off by .* after the model ran on other inputs"):
        dl.capture_block(Sets(Global()), [1, 2, 3], block="layers")


def test_hooks_close_over_the_copies():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    first, weak, proxy = model[0], weakref.ref(model[0]), weakref.proxy(model[0])

    def hook(module, args, *, seen=None):
        first.seen = weak().also_seen = proxy.seen_too = args
        return hook if args is None else None

    model[1].register_forward_pre_hook(hook)
    new = stand_in(model)
    new(torch.ones(1, 2))
    assert {"seen", "also_seen", "seen_too"} <= set(vars(new[0]))
    assert not hasattr(model[0], "seen")
    [copied] = new[1]._forward_pre_hooks.values()
    assert copied is not hook
    assert copied(new[1], None) is copied  # it knows itself by its closure


def test_a_forward_that_was_put_on_an_instance_runs_on_the_copy():
    """So do libraries that move a module's weights to where it runs."""
    model = Sets(Context())
    for module in (model, *model.layers):
        module.forward = partial(wrapped, module, of=[module])
    m = dl.capture_block(model, [1, 2, 3], block="layers")
    x = m.start()
    y = m(x)
    assert not hasattr(model.ctx, "e")
    assert model.seen == 0
    model(torch.tensor([[4, 4, 4]]))
    assert model.seen == 1
    assert torch.equal(m(x), y)


def wrapped(module, x, *, of):
    of[0].seen += 1
    return type(module).forward(module, x)


Pair = namedtuple("Pair", "x y")


class Everything(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.shared = nn.Linear(2, 2), {"a": [1, {2}]}
        self.again, self.order = self.shared["a"], OrderedDict(x=self.shared)
        self.queue, self.pair, self.parent = deque([self.shared], maxlen=3), (self.shared, torch.ones(2)), [self]
        self.weights, self.method, self.kind = [self.layer.weight], self.layer.extra_repr, torch.float32
        self.numbers, self.sentinel, self.array = self.pair[1], object(), np.ones(2)
        self.lock, self.named = Lock(), Pair(self.shared, self)
        self.trainer = {"optimizer": torch.optim.Adam([self.layer.weight])}


def test_one_copy_of_each_object_and_the_same_links_between_them():
    model = Everything()
    new = stand_in(model)
    assert new.shared == model.shared
    assert new.shared is not model.shared
    assert new.again is new.shared["a"]
    assert new.again[1] is not model.again[1]
    assert new.order["x"] is new.queue[0] is new.pair[0] is new.shared
    assert new.queue.maxlen == 3
    assert new.parent == [new]
    assert new.weights[0] is new.layer.weight
    assert not new.weights[0].requires_grad
    assert new.method.__self__ is new.layer
    assert new.numbers is new.pair[1]
    assert torch.equal(new.numbers, model.numbers)
    assert new.numbers is not model.numbers
    assert new.sentinel is model.sentinel
    assert new.array is model.array
    assert new.lock is model.lock
    assert new.trainer is not model.trainer
    assert new.trainer["optimizer"] is model.trainer["optimizer"]
    assert new.named.x is new.shared
    assert new.named.y is new


def test_defaults_of_functions_are_copied():
    kept, log = {"b": torch.zeros(4)}, []

    def hook(module, args, out, kept=kept, *, log=log):
        log.append(module)
        return out + kept["b"]

    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[0].register_forward_hook(hook)
    x = torch.ones(1, 3, 4)
    m = dl.capture_block(model, x[0], block=["0", "1"])
    y = m(x)
    assert log == []
    kept["b"] = torch.ones(4)
    assert torch.equal(m(x), y)
    assert hook.__defaults__[0] is kept


def test_a_function_may_hold_itself_and_one_of_fixed_defaults_is_shared():
    def fixed(x, size=(1, (2.0, "s")), *, act=torch.relu, kind=torch.float32):
        return x, size, act, kind

    def itself(x, me=None):
        return x, me

    itself.__defaults__ = ((itself, [itself]),)
    model = nn.Linear(1, 1)
    model.fixed, model.itself = fixed, itself
    new = stand_in(model)
    assert new.fixed is fixed
    assert new.itself is not itself
    assert new.itself.__defaults__[0][0] is new.itself.__defaults__[0][1][0] is new.itself


class Parts(tuple):
    """A tuple that holds more."""


class Kinds(frozenset):
    """A frozenset that holds more."""


class InASet(nn.Module):
    """Its norm, which counts what it sees in training, is reached through a fixed container alone."""

    def __init__(self, kind):
        super().__init__()
        self.linear, self.norm = nn.Linear(4, 4), nn.BatchNorm1d(3)
        self.parts = self.again = kind([self.norm])
        if type(self.parts) in (Parts, Kinds):
            self.parts.more = [self.norm]

    def forward(self, x):
        for part in self.parts:
            x = x + self.linear(part(x))
        return x


@pytest.mark.parametrize("kind", [frozenset, tuple, Parts, Kinds])
def test_fixed_containers_hold_the_copies(kind):
    model = nn.Sequential(InASet(kind), InASet(kind)).train()
    dl.capture_block(model, torch.ones(3, 4), block=["0", "1"])
    assert not model[0].norm.running_mean.any()
    new = stand_in(model)
    assert type(new[0].parts) is kind
    assert set(new[0].parts) == {new[0].norm}
    assert new[0].again is new[0].parts
    assert getattr(new[0].parts, "more", [new[0].norm]) == [new[0].norm]


def test_fixed_containers_without_anything_to_copy_are_shared():
    model = nn.Linear(1, 1)
    model.a, model.b, model.c = (1, ("x",)), frozenset([2]), torch.ones(2, 3).max(0)
    new = stand_in(model)
    assert new.a is model.a
    assert new.b is model.b
    assert type(new.c) is type(model.c)
    assert new.c.values is not model.c.values
    assert torch.equal(new.c.values, model.c.values)


def test_long_chains_are_followed():
    model = nn.Linear(1, 1)
    model.chain = link = Context()
    for _ in range(5000):
        link.next = Context()
        link = link.next
    link.value = []
    link = stand_in(model).chain
    while hasattr(link, "next"):
        link = link.next
    assert link.value == []


def test_scripted_modules_are_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        model = nn.Sequential(torch.jit.script(nn.Linear(2, 2)), nn.Linear(2, 2))
    with pytest.raises(InvalidArgumentError, match=r"holds a RecursiveScriptModule, .* before torch\.jit"):
        dl.capture_block(model, torch.ones(3, 2), block="1")
