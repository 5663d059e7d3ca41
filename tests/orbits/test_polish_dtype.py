"""In which dtype `classify` may refine what low precision blurs."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.errors import InvalidArgumentError, NoTwinError
from dynloop.maps import torch as torch_maps


def block(dtype=torch.bfloat16, **options):
    return dl.synthetic.looped_transformer(
        norm="huginn", injection="concat", layers=2, width=16, heads=2, tokens=4, dtype=dtype, **options
    )


class Weights(torch.nn.Module):
    """x ← Wx + b in the dtype of the weights: a twin needs a copy of them."""

    def __init__(self, dtype):
        super().__init__()
        self.W = torch.nn.Parameter(torch.tensor([[0.5, 0.2], [0.0, 0.3]], dtype=dtype), requires_grad=False)
        self.b = torch.nn.Parameter(torch.tensor([1.0, -1.0], dtype=dtype), requires_grad=False)

    def forward(self, x):
        return x @ self.W.T + self.b


def test_float32_is_said_of_the_float32_twin():
    found, true = dl.classify(block(), polish=torch.float32, loops=1024), dl.classify(block(torch.float64))
    assert all("said of the float32 twin" in reason for reason in found.reason.ravel())
    certain = found.regime != dl.Regime.UNDECIDED
    assert certain.any()
    np.testing.assert_array_equal(found.regime[certain], true.regime[certain])
    assert np.all(np.abs(found.rate - true.rate)[certain] <= 3 * found.rate_error[certain])
    assert np.all(found.rate_error[certain] < 0.05)
    assert found.states.dtype is torch.bfloat16


@pytest.mark.parametrize("name", ["float64", torch.float64, np.float64, np.dtype("float64")], ids=repr)
def test_names_of_dtypes(name):
    found = dl.classify(block(), polish=name)
    assert found.settings["polish"] == "float64"
    np.testing.assert_array_equal(found.regime, dl.classify(block()).regime)


def test_its_own_dtype_is_as_never():
    own, never = (dl.classify(block(torch.float32), polish=p) for p in ("float32", "never"))
    np.testing.assert_array_equal(own.regime, never.regime)
    np.testing.assert_array_equal(own.rate, never.rate)


def test_where_memory_has_no_room_the_twin_is_float32(monkeypatch):
    weights = Weights(torch.bfloat16)
    m = dl.TorchMap([weights], (2,), name="heavy")
    monkeypatch.setattr(torch_maps, "free_bytes", lambda _: 6 * 4)  # six numbers in float32, not in float64
    found = dl.classify(m, [[0.0, 0.0]], loops=256)
    assert "said of the float32 twin" in found.reason[0]
    with pytest.raises(NoTwinError, match=r"no room for a float64 twin: its weights need .*polish='float32'"):
        dl.classify(m, [[0.0, 0.0]], polish="float64")
    monkeypatch.setattr(torch_maps, "free_bytes", lambda _: 1)
    found = dl.classify(m, [[0.0, 0.0]], loops=256)
    assert "said at the precision of bfloat16" in found.reason[0]
    monkeypatch.undo()
    assert "said of" not in dl.classify(m, [[0.0, 0.0]]).reason[0]
    assert weights.W.dtype is torch.bfloat16


def test_increments_below_the_resolution_are_not_called_zero():
    for polish in ("never", "auto"):
        found = dl.classify(block(), polish=polish, loops=512)
        assert dl.Regime.VANISHING not in found.regime.ravel()


@pytest.mark.parametrize("polish", ["float16", "always", None, 3, torch.bfloat16, ["auto"]])
def test_bad_names(polish):
    with pytest.raises(InvalidArgumentError, match="polish must be 'auto', 'never', float64 or float32; got"):
        dl.classify(block(), polish=polish)


def test_no_dtype_below_the_maps_own():
    with pytest.raises(InvalidArgumentError, match="polish is float32, and the map works in float64; give a"):
        dl.classify(block(torch.float64), polish="float32")


def test_a_float32_twin_is_gone_on_with_though_memory_has_room_now(monkeypatch):
    """A float64 twin of the last state would not be one of the start."""
    m = dl.TorchMap([Weights(torch.bfloat16)], (2,), name="heavy")
    monkeypatch.setattr(torch_maps, "free_bytes", lambda _: 6 * 4)
    first = dl.classify(m, [[0.0, 0.0]], loops=8)
    assert first.unfinished.dtype == "float32"
    monkeypatch.undo()
    later = dl.classify(m, resume=first, loops=256)
    assert "said of the float32 twin from the same start" in later.reason[0]
    assert "float64" not in later.reason[0]
    np.testing.assert_array_equal(later.regime, dl.classify(m, [[0.0, 0.0]], polish="float32", loops=256).regime)
