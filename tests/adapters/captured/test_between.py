"""A step between loops that was not named is refused however small, and rounding is not taken for one."""

import pytest
import torch
from torch import nn

import dynloop as dl
from dynloop.adapters.captured.between import _off, _terms
from dynloop.adapters.captured.ends import End
from dynloop.errors import NotAutonomousError


class Adds(nn.Module):
    """Loops one linear layer and adds c·e after each loop, or before it."""

    def __init__(self, c, *, first=False, outlier=0.0):
        super().__init__()
        self.h, self.c, self.first = nn.ModuleList([nn.Linear(8, 8)]), c, first
        with torch.no_grad():
            self.h[0].weight.copy_(torch.eye(8) * 0.5)
            self.h[0].weight[0, 0] = 0.0 if outlier else 0.99
            self.h[0].bias.zero_()[0] = outlier

    def forward(self, e):
        x = torch.zeros_like(e) if self.first else e
        for _ in range(4):
            x = x + self.c * e if self.first and self.c else x
            x = self.h[0](x)
            x = x + self.c * e if self.c and not self.first else x
        return x


@pytest.mark.parametrize(
    ("c", "dtype", "outlier"),
    [(1e-6, torch.float32, 0.0), (1.0, torch.float32, 3e4), (0.03, torch.bfloat16, 0.0), (1e-12, torch.float64, 0.0)],
)
def test_without_ends_nothing_but_equality_passes(c, dtype, outlier):
    model = Adds(c, outlier=outlier).to(dtype)
    with pytest.raises(NotAutonomousError, match="between loop 0 and loop 1 the model does something"):
        dl.capture_block(model, torch.ones(3, 8), block="h")
    model.c = 0.0
    assert "4 times" in dl.capture_block(model, torch.ones(3, 8), block="h").describe()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("outlier", [0.0, 3e4])
def test_an_injection_of_another_strength_is_refused_at_every_coordinate(dtype, outlier):
    def opened(c):
        model = Adds(c, first=True, outlier=outlier).to(dtype)
        return dl.capture_block(model, torch.ones(3, 8), block="h", injection="add", embedding=torch.ones(3, 8))

    assert opened(1.0).layer_names == ("injection", "h.0")
    with pytest.raises(NotAutonomousError, match="between loop 0 and loop 1 the model does something"):
        opened(0.9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_same_step_written_otherwise_passes_where_its_terms_cancel(dtype):
    """X + e with e near −x is rounded as x and e are, not as their sum is."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        x = torch.randn(1, 64, 8)
    e = (-x * (1 + 1e-3 * torch.arange(8.0))).to(dtype)
    x, half = x.to(dtype), (e / 3).to(dtype)
    ends = (End(lambda x, e: x + e, dtype, "injection", e), None)
    found, otherwise = ends[0](x), (x + half) + (e - half)
    assert not torch.equal(found, otherwise)
    terms = _terms(ends, x)
    assert _off(otherwise, found, terms) <= 2 * torch.finfo(dtype).eps
    assert _off(otherwise, found, found) > 2 * torch.finfo(dtype).eps
    assert (terms.double() <= 1.5 * (x.double().abs() + e.double().abs()) + 1e-30).all()


def test_numbers_that_are_not_finite_never_pass():
    x = torch.ones(1, 2)
    assert not _off(x * torch.nan, x, x) <= 1.0
    assert not _off(x * torch.inf, x * torch.inf, x) <= 1.0
