"""What analyses refuse: loops that are no maps, derivatives that are not the map's; and what they must not refuse."""

import numpy as np
import pytest
import torch

import dynloop as dl
from dynloop.errors import DerivativeError, InvalidArgumentError, NotAutonomousError

D = torch.float64
A = 0.5 * torch.randn(4, 4, dtype=D, generator=torch.Generator().manual_seed(0))
X = np.array([0.1, 0.2, 0.3, 0.4])


def spectrum(f, x=X, **options):
    return dl.lyapunov_spectrum(dl.TorchMap([f], np.shape(x), **options), x, loops=64)


def half_cut(x):
    x = x.double()
    return (torch.tanh(x @ A.T) / (1 + x.norm(dim=-1, keepdim=True).detach())).float()


def one_coordinate_cut(x):
    return torch.stack([torch.sin(2000 * x[:, 0]), 0.5 * x[:, 1].detach() + 0.2], 1)


def cut_where_the_orbit_goes(x):
    return torch.where(x.abs() < 5, 0.5 * x + 3, (0.5 * x + 3).detach())


@pytest.mark.parametrize(
    ("f", "x", "dtype"),
    [
        (half_cut, X, torch.float32),
        (one_coordinate_cut, X[:2], D),
        (cut_where_the_orbit_goes, X[:1], D),
        (lambda x: 0.5 * x.detach(), X, D),
        (lambda x: torch.as_tensor(x.numpy(force=True) * 0.5), X, D),
    ],
    ids=["half, in float32", "one coordinate beside a steep one", "where the orbit goes", "whole", "numpy inside"],
)
def test_a_cut_derivative_is_refused(f, x, dtype):
    with pytest.raises(DerivativeError):
        spectrum(f, x, dtype=dtype)


@pytest.mark.parametrize(
    "measure",
    [dl.jacobian, dl.jacobian_operator, dl.multipliers, dl.spectral_radius, dl.singular_values, dl.normality],
)
def test_every_measure_of_a_derivative_checks_it(measure):
    with pytest.raises(DerivativeError, match=r"zero although the map moves|off finite differences"):
        measure(dl.TorchMap([lambda x: 0.5 * x.detach()], (2,)), np.ones(2))


def test_a_wrong_jacobian_of_a_compiled_map_is_refused():
    def step(x, params, out):
        out[0] = x[0] + 0.5 * x[1]
        out[1] = 0.5 * x[1]

    def jacobian(x, params, out):
        out[0, 0], out[0, 1], out[1, 0], out[1, 1] = 1.0, -0.5, 0.0, 0.5

    with pytest.raises((DerivativeError, InvalidArgumentError)):
        dl.multipliers(dl.KernelMap(step, 2, jacobian=jacobian), [0.3, 0.2])


class Counter:
    def __init__(self):
        self.calls = 0

    def __call__(self, x):
        self.calls += 1
        return 0.5 * x + self.calls


@pytest.mark.parametrize("f", [Counter(), torch.nn.Dropout(0.1)], ids=["memory", "noise"])
def test_a_loop_that_is_no_map_is_named_so(f):
    with pytest.raises(NotAutonomousError, match="two answers for one state"):
        spectrum(f, np.ones(6))


def test_a_layer_that_writes_in_place_is_named_and_spoils_no_start():
    start = torch.ones(2, dtype=D)
    with pytest.raises(InvalidArgumentError, match="writes into its input"):
        dl.lyapunov_spectrum(dl.TorchMap([lambda x: x.add_(torch.tanh(x))], (2,)), start)
    assert torch.equal(start, torch.ones(2, dtype=D))


def rounded_inside(x):
    inner = (x @ A.T.to(x.dtype)).float()
    return (inner * torch.rsqrt(inner.square().mean(-1, keepdim=True) + 1e-6)).to(x.dtype) * 0.5 + 0.1 * x


@pytest.mark.parametrize(
    ("f", "x"),
    [
        (rounded_inside, X),
        (lambda x: torch.nn.functional.rms_norm(x @ A.T, (4,), eps=1e-12) + 1, 0 * X),
        (lambda x: torch.nn.functional.normalize(x @ A.T, dim=-1) + 1, 0 * X),
        (lambda x: 0.3 * torch.relu(x @ A.T) + 1, 0 * X),
    ],
    ids=["float32 inside", "a norm of small eps at zero", "normalize at zero", "relu at its kink"],
)
def test_what_differences_cannot_judge_at_the_start_is_not_refused(f, x):
    assert np.isfinite(spectrum(f, x).exponents[0])


def test_no_map_at_all():
    with pytest.raises(InvalidArgumentError, match="m must be a map; got Linear"):
        dl.lyapunov_spectrum(torch.nn.Linear(2, 2), [1.0, 2.0])


# -- tokens that are mixed by other means than attention ---------------------------------------------------------------


def every_second_token(x):
    y = 0.5 * x
    return torch.cat([y[:, :1], torch.stack([y[:, i] + (0.8 * x[:, i - 1] if i % 2 == 0 else 0)
                                             for i in range(1, x.shape[1])], 1)], 1)  # fmt: skip


@pytest.mark.parametrize("tokens", [8, 20])
def test_mixing_of_some_tokens_is_seen(tokens):
    m = dl.TorchMap([every_second_token], (tokens, 2), causal=True)
    x = np.random.default_rng(0).standard_normal((tokens, 2))
    np.testing.assert_allclose(dl.token_jacobians(m, x), np.broadcast_to(0.5 * np.eye(2), (tokens, 2, 2)))
    np.testing.assert_allclose(dl.lyapunov_spectrum(m, x, per_token=True).exponents, np.log(0.5), atol=1e-9)


def test_mixing_that_shows_away_from_the_start_alone_is_seen():
    e = torch.randn(4, 6, dtype=D, generator=torch.Generator().manual_seed(1))
    m = dl.TorchMap([lambda x: 2.5 * torch.tanh(x) * torch.cos(3 * x.cumsum(1)) + e], (4, 6), causal=True)
    zero = np.zeros((4, 6))
    J = dl.jacobian(m, zero).reshape(4, 6, 4, 6)
    np.testing.assert_allclose(dl.token_jacobians(m, zero), [J[i, :, i] for i in range(4)], atol=1e-12)
    own = dl.lyapunov_spectrum(m, zero, k=2, per_token=True, loops=400)
    dense = dl.lyapunov_spectrum(m, zero, k=2, loops=400)
    np.testing.assert_allclose(own.exponents, dense.exponents, atol=0.1)


def test_a_map_that_is_called_causal_and_is_not():
    m = dl.TorchMap([lambda x: torch.tanh(x + 0.5 * x.flip(1))], (4, 2), causal=True)
    with pytest.raises(InvalidArgumentError, match=r"is not causal: token . reaches an earlier one"):
        dl.lyapunov_spectrum(m, np.ones((4, 2)), per_token=True)
