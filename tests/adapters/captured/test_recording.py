"""What chance decides is no argument of a map, and which argument is the state is not guessed."""

import random

import numpy as np
import pytest
import torch
from torch import nn

import dynloop as dl
from dynloop.errors import InvalidArgumentError, NotAutonomousError
from dynloop.testing.untouched import global_state

DRAWS = {
    "torch": torch.randn_like,
    "numpy": lambda x: torch.as_tensor(np.random.standard_normal(x.shape)).to(x),  # noqa: NPY002 - the global one
    "random": lambda x: torch.full_like(x, random.random()),
}


class Scaled(nn.Module):
    """A layer that multiplies by its argument, or by noise that it draws itself."""

    def __init__(self, draw=None):
        super().__init__()
        self.linear, self.draw = nn.Linear(4, 4), draw

    def forward(self, x, n=None):
        return x + self.linear(x).tanh() * (self.draw(x) if self.draw else n)


class Noisy(nn.Module):
    """Draws a random argument, or has a layer that draws."""

    def __init__(self, draw, *, inside):
        super().__init__()
        self.layer, self.draw = Scaled(draw if inside else None), draw

    def forward(self, x):
        return self.layer(x, None if self.layer.draw else self.draw(x))


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("kind", DRAWS)
def test_what_is_drawn_is_seen_whichever_generator_it_comes_from(kind, inside):
    said = "different outputs at one state" if inside else "argument 1 of layer depends on the state .* or on random"
    for seed in (0, 1, 2):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model, before = Noisy(DRAWS[kind], inside=inside), global_state()
            with pytest.raises(NotAutonomousError, match=said):
                dl.capture_block(model, torch.ones(3, 4), block="layer")
            assert global_state() == before


class Cross(nn.Module):
    """Attends from a state to a memory of its shape, or from queries to keys that are copies of the same tensor."""

    def __init__(self, order="xm"):
        super().__init__()
        self.linear, self.order = nn.Linear(4, 4), order

    def forward(self, *given, **named):
        x, memory = given if given else (named["x"], named["memory"])
        return x + self.linear(memory).tanh() if self.order == "xm" else memory + self.linear(x).tanh()


class Decoder(nn.Module):
    def __init__(self, order, layers, loops=1):
        super().__init__()
        self.embed, self.order, self.loops = nn.Linear(4, 4), order, loops
        self.layers = nn.ModuleList([Cross("mx" if order == "mx" else "xm") for _ in range(layers)])

    def forward(self, source):
        memory, x = source, self.embed(source)
        x = memory if self.order == "entering" else x
        for _ in range(self.loops):
            for layer in self.layers:
                x = layer(memory=memory, x=x) if self.order == "named" else layer(*self.given(x, memory))
        return x

    def given(self, x, memory):
        return {"mx": (memory, x), "copied": (x, x.clone())}.get(self.order, (x, memory))


@pytest.mark.parametrize("order", ["mx", "xm", "copied", "named"])
def test_which_of_two_tensors_of_its_shape_is_the_state_is_not_guessed(order):
    said = (
        r"layers.0 of live Decoder is given several tensors of the state's shape \(1, 3, 4\) \(arguments .* not guessed"
    )
    with pytest.raises(InvalidArgumentError, match=said):
        dl.capture_block(Decoder(order, 1), torch.ones(3, 4), block="layers")


@pytest.mark.parametrize(("layers", "loops"), [(2, 1), (1, 2)])
@pytest.mark.parametrize("order", ["xm", "entering"])
def test_what_a_module_returned_shows_which_argument_is_the_state(order, layers, loops):
    model, source = Decoder(order, layers, loops).double(), torch.arange(12.0).double().reshape(3, 4).sin()
    m = dl.capture_block(model, source, block="layers")
    x = y = m.start(rng=0)
    for layer in model.layers:
        y = layer(y, source)
    torch.testing.assert_close(m(x), y.detach(), atol=1e-14, rtol=0)


@pytest.mark.parametrize(("order", "layers", "loops"), [("mx", 2, 1), ("mx", 1, 2), ("copied", 2, 1)])
def test_a_state_that_is_not_the_first_of_its_shape_is_refused(order, layers, loops):
    with pytest.raises((InvalidArgumentError, NotAutonomousError), match="live Decoder"):
        dl.capture_block(Decoder(order, layers, loops), torch.ones(3, 4), block="layers")


def test_one_tensor_given_twice_to_a_single_module_stays_the_state_at_both_places():
    model = Decoder("entering", 1).double()
    m = dl.capture_block(model, torch.ones(3, 4).double(), block="layers")
    x = m.start(rng=0)
    torch.testing.assert_close(m(x), model.layers[0](x, x).detach(), atol=1e-14, rtol=0)
