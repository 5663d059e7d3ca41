"""What chance decides is no argument of a map, and which argument is the state is not guessed."""

import random

import numpy as np
import pytest
import torch
from torch import nn

import dynloop as dl
from dynloop.errors import NotAutonomousError
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
