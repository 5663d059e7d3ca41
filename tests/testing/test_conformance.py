"""check_map: maps that keep the rules pass with honest gaps; each rule is broken by one bad map and caught."""

import numpy as np
import pytest
import torch
from torch import nn

import dynloop as dl
from dynloop.errors import ConformanceError, DynloopError
from dynloop.testing import MapReport, check_map

D = torch.float64


def torch_map(*layers, shape=(4,), **options):
    return dl.TorchMap(list(layers), shape, **options)


# -- maps that keep the rules ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, {"norm": "ouro", "injection": "none"}, {"norm": "huginn", "causal": False}])
def test_synthetic_blocks_pass_in_every_dtype(dtype, options):
    m = dl.synthetic.looped_transformer(layers=2, width=16, heads=2, tokens=4, dtype=dtype, **options)
    report = check_map(m)
    assert isinstance(report, MapReport)
    assert report.gaps["derivative"] < 1e-6
    assert report.gaps["adjoint"] < 1e-12
    assert report.settings["dtype"] == str(dtype).removeprefix("torch.")
    assert report.settings["derivatives_in"] == "float64"
    assert all(report.gaps[rule] <= report.tolerances[rule] for rule in report.gaps)
    assert ("causality" in report.gaps) == m.causal


@pytest.mark.slow
def test_kernel_map_of_two_layers_passes_without_a_jacobian():
    def turn(x, params, out):
        out[0], out[1] = -x[1], x[0]

    def bend(x, params, out):
        out[0] = x[0] + 0.1 * np.sin(x[1])
        out[1] = 0.5 * x[1]

    report = check_map(dl.KernelMap((turn, bend), 2))
    assert report.gaps["derivative"] < 1e-8
    assert report.skipped == {"causality": "the map does not claim to be causal"}


def test_one_state_without_batch_axis_is_enough():
    assert check_map(torch_map(lambda x: 0.5 * x), np.ones(4)).settings["probes"] == 3


def test_report_survives_a_round_trip(tmp_path):
    report = check_map(torch_map(torch.tanh))
    again = dl.load(report.save(tmp_path / "report"))
    assert again.gaps == report.gaps
    assert again.skipped == report.skipped


def test_kink_is_left_out_and_said():
    report = check_map(torch_map(torch.abs), np.zeros((3, 4)))
    assert "kink" in report.skipped["derivative"]


def test_low_precision_layer_without_a_twin_is_checked_in_its_own_dtype():
    report = check_map(torch_map(lambda x: torch.tanh(x.to(torch.float32)).to(x.dtype), dtype=torch.float32))
    assert report.settings["derivatives_in"] == "float32"
    assert "float64" in report.skipped["derivative in float64"]


# -- one bad map a rule ------------------------------------------------------------------------------------------------


class Counting(nn.Module):
    """Adds a little more at every call: a loop-indexed embedding."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return x + 1e-3 * self.calls


class Tracking(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        self.calls = self.calls + 1
        return 0.5 * x


class Hooking(nn.Linear):
    """Leaves a hook behind."""

    def forward(self, x):
        self.register_forward_pre_hook(lambda *_: None)
        return super().forward(x)


class Relabelled(nn.Module):
    """Leaves training mode behind."""

    def forward(self, x):
        self.train(not self.training)
        return 0.5 * x


def in_place_unseen(x):
    x.data.mul_(0.5)  # no count of writes tells of it
    return x.clone()


def in_place(x):
    x.mul_(0.5)
    return x


def hidden_no_grad(x):
    with torch.no_grad():
        y = torch.tanh(x)
    return x + y


def hidden_inference_mode(x):
    with torch.inference_mode():
        y = torch.tanh(x)
    return x + y


def draws_of_torch(x):
    torch.rand(())  # a draw moves the state wherever it stood; a fixed seed may find it set already
    return 0.5 * x


def draws_of_numpy(x):
    np.random.random()  # noqa: NPY002 - a layer that draws is what is tested
    return 0.5 * x


def looks_ahead(x):
    return x + 0.01 * x.flip(1)


def rounds_inside(x):
    return torch.tanh(x.float()).double()


def wrong_jacobian(x, params, out):
    out[0, 0] = 0.5 if 0.1 < x[0] < 0.9 else 3.0  # right where it is compared when the map is made


def halve(x, params, out):
    out[0] = 0.5 * x[0]


BAD = {
    "shape": (lambda: torch_map(lambda x: x[:, :2]), "shapes"),
    "tuple": (lambda: torch_map(lambda x: (x, None)), "shapes"),
    "dtype": (lambda: torch_map(lambda x: x.float()), "shapes"),
    "raises": (lambda: torch_map(nn.Linear(3, 4, dtype=D)), "shapes"),
    "nan": (lambda: torch_map(lambda x: x * torch.nan), "shapes"),
    "dropout": (lambda: torch_map(nn.Dropout(0.5)), "determinism"),
    "cache": (lambda: torch_map(Counting()), "determinism"),
    "in place": (lambda: torch_map(in_place), "shapes"),
    "in place, unseen": (lambda: torch_map(in_place_unseen), "input unchanged"),
    "batch mean": (lambda: torch_map(lambda x: x - x.mean(0)), "rows"),
    "batch norm": (lambda: torch_map(nn.BatchNorm1d(4, dtype=D, track_running_stats=False)), "rows"),
    "not causal": (lambda: torch_map(looks_ahead, shape=(3, 2), causal=True), "causality"),
    "detach": (lambda: torch_map(lambda x: 0.5 * x.detach()), "derivative"),
    "partial detach": (lambda: torch_map(lambda x: x + 0.1 * torch.tanh(x).detach()), "derivative"),
    "inner no_grad": (lambda: torch_map(hidden_no_grad), "adjoint"),
    "inference mode": (lambda: torch_map(hidden_inference_mode), "adjoint"),
    "rounds inside": (lambda: torch_map(rounds_inside), "derivative"),
    "wrong jacobian": (lambda: dl.KernelMap(halve, 1, jacobian=wrong_jacobian), "derivative"),
    "buffer": (lambda: torch_map(Tracking()), "model"),
    "hook": (lambda: torch_map(Hooking(4, 4, dtype=D)), "model"),
    "training flag": (lambda: torch_map(Relabelled()), "model"),
    "torch draw": (lambda: torch_map(draws_of_torch), "globals"),
    "numpy draw": (lambda: torch_map(draws_of_numpy), "globals"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_broken_rule_is_named(name):
    make, rule = BAD[name]
    with pytest.raises(ConformanceError, match=f"breaks the rule '{rule}'") as caught:
        check_map(make())
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, AssertionError)


class WrongSections(dl.TorchMap):
    def sections(self, states):
        return super().sections(states).flip(0)


class WrongPower(dl.TorchMap):
    def power(self, p):
        return super().power(p + 1)


class ShortPower(dl.TorchMap):
    def power(self, p):  # noqa: ARG002 - the signature of TorchMap.power
        return self


class WrongRotation(dl.TorchMap):
    def rotate(self, l):
        return super().rotate(l + 1)


class WrongPull(dl.TorchMap):
    def pull(self, states, frames):
        return self.push(states, 2 * frames)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        (WrongSections, "sections"),
        (WrongPower, "power"),
        (ShortPower, "power"),
        (WrongRotation, "rotate"),
        (WrongPull, "adjoint"),
    ],
)
def test_a_wrong_composition_is_named(kind, rule):
    with pytest.raises(ConformanceError, match=f"breaks the rule '{rule}'"):
        check_map(kind([lambda x: 0.5 * x, lambda x: x + 1], (4,)))


def test_message_gives_the_number_and_the_remedy():
    with pytest.raises(
        ConformanceError, match=r"row 0 changes .* by 0\.\d+ \(relative; 1e-12 is allowed\).*batch norm"
    ):
        check_map(torch_map(lambda x: x - 0.5 * x.mean(0), name="leaky"))


def test_vanished_derivative_names_detach():
    with pytest.raises(ConformanceError, match=r"J·V is zero along \d+ directions.*detach"):
        check_map(torch_map(lambda x: 0.5 * x.detach()))


def test_wrong_states_are_refused_in_words():
    with pytest.raises(DynloopError, match="shape"):
        check_map(torch_map(torch.tanh), np.zeros((3, 5)))


def test_check_map_itself_leaves_the_model_alone():
    layer = nn.Linear(4, 4, dtype=D)
    layer.train()
    hook = layer.register_forward_hook(lambda *_: None)
    before = layer.weight.detach().clone()
    check_map(torch_map(layer))
    assert layer.training
    assert layer.weight.grad is None
    assert layer.weight.requires_grad
    assert torch.equal(layer.weight, before)
    hook.remove()
