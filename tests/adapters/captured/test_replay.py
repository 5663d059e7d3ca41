"""Code that cannot be evaluated in float64 throughout keeps its own rounding, whatever the dtype of the map."""

import pytest
import torch
from torch import nn

import dynloop as dl


class Rounds(nn.Module):
    """Rounds to few digits, where it matters how (`coarse`), or to as many as the model has."""

    def __init__(self, *, coarse):
        super().__init__()
        self.linear, self.kind = nn.Linear(4, 4), torch.bfloat16 if coarse else torch.float32

    def forward(self, x):
        return self.linear(x).to(self.kind).to(x.dtype)


@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize("dtype", [None, "float64"])
def test_float64_is_float64_throughout_unless_that_is_another_function(coarse, dtype):
    torch.manual_seed(0)  # of weights that carry the line that is looked along over an edge of the rounding: no twin
    model = nn.Sequential(Rounds(coarse=coarse), nn.Identity())
    m = dl.capture_block(model, torch.ones(3, 4), block="0", dtype=dtype)
    twin = m if dtype else m.twin()
    x = twin.start(rng=0)
    linear = model[0].linear
    exact = (x @ linear.weight.double().T + linear.bias.double()).detach()
    assert torch.equal(twin(x), exact.bfloat16().double()) if coarse else (twin(x) - exact).abs().max() <= 1e-15
