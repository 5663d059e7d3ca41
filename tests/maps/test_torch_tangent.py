"""How a loop carries tangents: against dense Jacobians, in parts, in low precision, through odd layers."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

import dynloop as dl
from dynloop.maps import torch_tangent
from dynloop.maps.torch_tangent import TorchTangent, differentiable, working_dtype

D = torch.float64
TOKENS, WIDTH = 5, 8
CLOSE = {"rtol": 1e-12, "atol": 1e-12}


def block(**kwargs):
    return dl.synthetic.looped_transformer(**{"layers": 2, "width": WIDTH, "heads": 2, "tokens": TOKENS, **kwargs})


def draw(*shape, dtype=D, seed=0):
    return torch.randn(*shape, dtype=D, generator=torch.Generator().manual_seed(seed)).to(dtype)


def dense(f, x, V):
    """J·V by the dense Jacobian of every row, which autograd makes row by row in reverse."""
    with differentiable():
        J = torch.stack([torch.autograd.functional.jacobian(lambda y: f(y[None])[0], row) for row in x])
    n = x[0].numel()
    moved = torch.einsum("bij,kbj->kbi", J.reshape(len(x), n, n), V.flatten(2))
    return moved.reshape(V.shape)


def forward_dense(f, x, V):
    """The same by `torch.func.jacfwd`."""
    with differentiable():
        J = torch.stack([torch.func.jacfwd(lambda y: f(y[None])[0])(row) for row in x])
    n = x[0].numel()
    moved = torch.einsum("bij,kbj->kbi", J.reshape(len(x), n, n), V.flatten(2))
    return moved.reshape(V.shape).detach()


# -- oracles -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", dl.synthetic.NORMS)
@pytest.mark.parametrize("injection", dl.synthetic.INJECTIONS)
@pytest.mark.parametrize("batch", [1, 3])
def test_carry_agrees_with_the_dense_jacobian(norm, injection, batch):
    m = block(norm=norm, injection=injection, causal=batch == 1)
    x, V = m.start(0, batch), draw(4, batch, TOKENS, WIDTH)
    new, moved = m.tangent.carry(x, V.clone())
    torch.testing.assert_close(new, m(x), **CLOSE)
    torch.testing.assert_close(moved, forward_dense(m.loop, x, V), **CLOSE)


def test_push_and_pull_are_adjoint():
    m = block()
    x, V, W = m.start(0, 2), draw(3, 2, TOKENS, WIDTH), draw(3, 2, TOKENS, WIDTH, seed=1)
    (_, pushed), (_, pulled) = m.tangent.carry(x, V.clone()), m.tangent.pull(x, W)
    torch.testing.assert_close((W * pushed).sum((2, 3)), (pulled * V).sum((2, 3)), **CLOSE)


@pytest.mark.parametrize("at_once", [1, 2, 3, 4, 5, 9])
def test_parts_give_what_the_whole_gives(monkeypatch, at_once):
    m = block()
    x, V = m.start(0, 2), draw(5, 2, TOKENS, WIDTH)
    whole = m.tangent.carry(x, V.clone())
    monkeypatch.setattr(torch_tangent, "_AT_ONCE", at_once * 4 * x.numel() * x.element_size())
    given = V.clone()
    new, moved = m.tangent.carry(x, given)
    torch.testing.assert_close(new, whole[0], **CLOSE)
    torch.testing.assert_close(moved, whole[1], **CLOSE)
    assert (moved is given) == (at_once < 5)
    assert torch.equal(x, m.start(0, 2))


def test_a_state_larger_than_a_part_goes_one_tangent_after_another(monkeypatch):
    monkeypatch.setattr(torch_tangent, "_AT_ONCE", 1)
    m = block()
    x, V = m.start(0), draw(3, 1, TOKENS, WIDTH)
    torch.testing.assert_close(m.tangent.carry(x, V.clone())[1], forward_dense(m.loop, x, V), **CLOSE)


# -- precision ---------------------------------------------------------------------------------------------------------


def relative(a, b):
    return float((a.double() - b).norm() / b.norm())


@pytest.mark.parametrize("norm", dl.synthetic.NORMS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_maps_carry_tangents_in_float32(norm, dtype):
    m = block(norm=norm, dtype=dtype)
    assert working_dtype(dtype) is torch.float32
    x, V = m.start(0, 2), draw(3, 2, TOKENS, WIDTH)
    new, moved = m.tangent.carry(x, V.float())
    assert new.dtype is dtype
    assert torch.equal(new, m(x))
    assert moved.dtype is torch.float32
    exact = m.twin().tangent.carry(x.double(), V.float().double())[1]
    assert relative(moved, exact) < 1e-5


@pytest.mark.parametrize("norm", dl.synthetic.NORMS)
def test_float32_maps_are_as_good_as_float32(norm):
    m = block(norm=norm, dtype=torch.float32)
    x, V = m.start(0, 2), draw(3, 2, TOKENS, WIDTH, dtype=torch.float32)
    new, moved = m.tangent.carry(x, V.clone())
    assert new.dtype is moved.dtype is torch.float32
    torch.testing.assert_close(new, m(x), rtol=1e-5, atol=1e-5)
    assert relative(moved, m.twin().tangent.carry(x.double(), V.double())[1]) < 1e-5


def test_tangents_of_more_precision_than_the_states_are_carried_in_it():
    m = block(dtype=torch.float32)
    x, V = m.start(0), draw(3, 1, TOKENS, WIDTH)
    new, moved = m.tangent.carry(x, V.clone())
    assert (new.dtype, moved.dtype) == (torch.float32, D)
    assert relative(moved, m.twin().tangent.carry(x.double(), V)[1]) < 1e-14


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_layers_that_keep_the_dtype_of_their_weights_carry_tangents_in_it(dtype):
    layer = nn.Linear(WIDTH, WIDTH, dtype=dtype)
    m = dl.TorchMap([layer, torch.tanh], (WIDTH,))
    x, V = draw(2, WIDTH, dtype=dtype), draw(3, 2, WIDTH, dtype=torch.float32)
    for _ in range(2):
        new, moved = m.tangent.carry(x, V.clone())
        assert torch.equal(new, m(x))
        assert moved.dtype is torch.float32
        exact = m.twin().tangent.carry(x.double(), V.double())[1]
        assert relative(moved, exact) < 4 * torch.finfo(dtype).eps


# -- odd layers --------------------------------------------------------------------------------------------------------


class ByNumPy(torch.autograd.Function):
    """A sine that torch cannot see."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return torch.from_numpy(np.sin(x.detach().numpy()))

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * x.cos()


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return x * 2

    @staticmethod
    def backward(_, g):
        return g * 2


class Same(torch.autograd.Function):
    @staticmethod
    def forward(_, x):
        return x

    @staticmethod
    def backward(_, g):
        return g


def without_grad(x):
    with torch.no_grad():
        y = x.sin()
    return x * y


@torch.no_grad()
def never_with_grad(x):
    return x * x.sin()


def inferred(x):
    with torch.inference_mode():
        y = x.sin()
    return x * y


@torch.inference_mode()
def always_inferred(x):
    return x * x.sin()


def with_grad(x):
    with torch.enable_grad():
        return x * x.sin()


def branched(x):
    return x * x.sin() if x.sum() > 0 else x * x.cos()


def branched_by_a_number(x):
    return x * x.sin() if float(x.mean()) > 0 else x * x.cos()


def buffered(x):
    y = torch.empty_like(x)
    y[..., 0] = 0
    y[..., 1:] = x[..., 1:] * x[..., :-1]
    y[..., 0] += x[..., 0].sin()
    return y


def buffered_by_size(x):
    y = torch.empty(x.shape, dtype=x.dtype)
    torch.mul(x, 2, out=y) if not torch.is_grad_enabled() and type(x) is torch.Tensor else y.copy_(x * 2)
    return y * x


def leaky_in_place(x):
    y = x * 1
    nn.functional.leaky_relu(y, 0.1, inplace=True)
    return y * x


def doubled_diagonal(x):
    y = x[:, :, None] * x[:, None, :]
    y.diagonal(dim1=1, dim2=2).mul_(2)
    return y.sum(-1)


def energy(x):
    return x - torch.func.grad(lambda y: (y**4).sum() / 4)(x)


def scriptable(x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x) * x


def one(x):
    return torch.ones_like(x)


RIGHT = {  # layers whose true derivative is to come out, and that derivative (a diagonal) where autograd has another
    "no_grad": (without_grad, lambda x: x.sin() + x * x.cos()),
    "no_grad all over": (never_with_grad, lambda x: x.sin() + x * x.cos()),
    "inference_mode": (inferred, lambda x: x.sin() + x * x.cos()),
    "inference_mode all over": (always_inferred, lambda x: x.sin() + x * x.cos()),
    "enable_grad": (with_grad, None),
    "if": (branched, None),
    "if float": (branched_by_a_number, None),
    "empty_like": (buffered, None),
    "empty": (buffered_by_size, None),
    "inplace=True": (leaky_in_place, None),
    "in place through a view": (doubled_diagonal, None),
    "a custom Function": (lambda x: x * Doubled.apply(x), lambda x: 4 * x),
    "a custom Function of NumPy": (lambda x: x * ByNumPy.apply(x), lambda x: x.sin() + x * x.cos()),
    "a custom identity": (lambda x: x * Same.apply(x), lambda x: 2 * x),
    "vmap": (lambda x: x * torch.vmap(torch.sin)(x), None),
    "func.grad": (energy, lambda x: 1 - 3 * x**2),
    "scripted": (torch.jit.script(scriptable), None),
    "checkpoint": (lambda x: x * checkpoint(torch.sin, x, use_reentrant=False), lambda x: x.sin() + x * x.cos()),
    "constant": (one, None),
    "sign": (lambda x: x * x.sign(), None),
    "GRU": (lambda x, gru=nn.GRU(WIDTH, WIDTH, dtype=D): gru(x[:, None])[0][:, 0], None),  # noqa: B008 - made once
    "module": (nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(inplace=True), nn.LayerNorm(WIDTH)).double(), None),
}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", RIGHT)
def test_odd_layers_have_their_true_derivative(name, sign):
    f, slope = RIGHT[name]
    x = sign * draw(1, WIDTH).abs()
    V = draw(3, 1, WIDTH, seed=2)
    with torch.no_grad():
        value = f(x.clone())
    exact = dense(f, x, V) if slope is None else slope(x) * V
    tangent = TorchTangent(f)
    for _ in range(2):  # as at first, and as it goes on from there
        new, moved = tangent.carry(x, V.clone())
        torch.testing.assert_close(new, value, **CLOSE)
        torch.testing.assert_close(moved, exact, **CLOSE)
        assert not new.requires_grad
        assert not moved.requires_grad


def by_numpy(x):
    return x + torch.from_numpy(np.sin(x.detach().numpy()))


CUT = {  # layers that cut the graph on purpose have autograd's derivative, here with that of the cut part left out
    "detach": (lambda x: x * x.sin().detach(), lambda x: x.sin()),
    "detach of the state": (lambda x: x * x.detach().sin(), lambda x: x.sin()),
    "torch.detach": (lambda x: x.sin() + torch.detach(x), lambda x: x.cos()),
    "data": (lambda x: x * x.data, lambda x: x),
    "numpy": (by_numpy, torch.ones_like),
    "a point that is read": (lambda x: x * x.sum().item(), lambda x: x.sum()),
    "all of it": (lambda x: x.sin().detach(), torch.zeros_like),
}


@pytest.mark.parametrize("name", CUT)
def test_layers_that_cut_the_graph_have_the_derivative_of_autograd(name):
    f, slope = CUT[name]
    x, V = draw(1, WIDTH), draw(3, 1, WIDTH, seed=2)
    tangent = TorchTangent(f)
    for _ in range(2):
        new, moved = tangent.carry(x, V.clone())
        torch.testing.assert_close(new, f(x), **CLOSE)
        torch.testing.assert_close(moved, slope(x) * V, **CLOSE)


def test_a_straight_through_estimator_has_the_true_derivative_or_its_own():
    class Rounded(torch.autograd.Function):
        @staticmethod
        def forward(_, x):
            return x.round()

        @staticmethod
        def backward(_, g):
            return g

    x, V = draw(1, WIDTH), draw(3, 1, WIDTH, seed=2)
    _, moved = TorchTangent(lambda x: x + Rounded.apply(x)).carry(x, V.clone())
    assert torch.equal(moved, V) or torch.equal(moved, 2 * V)


@pytest.mark.parametrize(
    "f", [lambda x: x + torch.from_numpy(np.sin(x.numpy())), lambda x: x @ x], ids=["numpy", "shape"]
)
def test_what_nobody_can_differentiate_is_said(f):
    with pytest.raises(RuntimeError):
        TorchTangent(f).carry(draw(1, WIDTH), draw(3, 1, WIDTH))


# -- it leaves everything as it was ------------------------------------------------------------------------------------


def settings():
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.backends.cuda.flash_sdp_enabled(),
        torch.backends.cuda.mem_efficient_sdp_enabled(),
        torch.backends.cuda.math_sdp_enabled(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_rng_state().tolist(),
        list(warnings.filters),
    )


@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("cut", [False, True], ids=["dual", "autograd"])
def test_settings_and_modules_are_left_alone(grad, cut):
    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.attention = dl.nn.RMSNorm(WIDTH), dl.nn.Attention(WIDTH, 2, rotary=True)
            self.drop = nn.Dropout(0.5).eval()

        def forward(self, x):
            return x + self.drop(self.attention(self.norm(x))) * (1 + (x - x.detach() if cut else 0))

    layer = Layer().double().train()
    layer.drop.eval()
    with torch.no_grad():
        for i, p in enumerate(layer.parameters()):
            p.copy_(draw(*p.shape, seed=i))
    kept = {name: (p.detach().clone(), p.requires_grad) for name, p in layer.named_parameters()}
    m = dl.TorchMap([layer], (TOKENS, WIDTH))
    x, V = draw(2, TOKENS, WIDTH), draw(3, 2, TOKENS, WIDTH)
    with torch.set_grad_enabled(grad):
        before = settings()
        found = (*m.tangent.carry(x, V.clone()), *m.tangent.pull(x, V), *m.push(x, V.transpose(0, 1)))
        assert settings() == before
    assert all(not y.requires_grad and y.grad_fn is None for y in found)
    assert layer.training
    assert not layer.drop.training
    assert not layer._forward_hooks
    for name, p in layer.named_parameters():
        assert torch.equal(p, kept[name][0])
        assert p.requires_grad == kept[name][1]
        assert p.grad is None
    assert not x.requires_grad
    with differentiable():
        exact = torch.func.vmap(lambda v: torch.func.jvp(m.loop, (x,), (v,))[1], out_dims=0)(V)
    torch.testing.assert_close(found[1], exact.detach(), **CLOSE)


def test_states_that_carry_a_graph_leave_none_behind():
    m = block()
    x = m.start(0).requires_grad_()
    new, moved = m.push(x, draw(1, 3, TOKENS, WIDTH))
    assert not new.requires_grad
    assert not moved.requires_grad
    assert x.grad is None


# -- memory ------------------------------------------------------------------------------------------------------------


class Live(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive and were not there before."""

    def __init__(self, *known):
        super().__init__()
        self.known, self.alive, self.peak = {t.untyped_storage()._cdata for t in known}, {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for t in pytree.tree_leaves(out):
            if isinstance(t, torch.Tensor):
                memory = t.untyped_storage()
                self.alive[memory._cdata] = StorageWeakRef(memory), memory.nbytes()
        self.alive = {key: held for key, held in self.alive.items() if not held[0].expired()}
        self.peak = max(self.peak, sum(size for key, (_, size) in self.alive.items() if key not in self.known))
        return out


def states_alive(m, k, loops):
    """The most states that are alive at once while k tangents are carried, the frame that was given among them."""
    x = m.start(0)
    V = torch.eye(k, m.dimension, dtype=x.dtype).reshape(1, k, *m.state_shape)
    weights = [w for f in m.layers if isinstance(f, nn.Module) for w in (*f.parameters(), *f.buffers())]
    with Live(x, V, *weights) as live:
        m.stretch(x, V, loops, overwrite=True)
    return live.peak / (x.numel() * x.element_size()) + k


@pytest.mark.parametrize("layers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_memory_of_a_wide_loop(layers):
    """The frame, which is worked in, and all that is alive in between: at most 3(k + 1) states."""
    k = 16
    m = block(norm="pre", injection="none", layers=layers, width=2048, heads=16, tokens=32, dtype=torch.float32)
    assert states_alive(m, k, loops=2) <= 3 * (k + 1)


def test_memory_does_not_grow_with_the_loops():
    m = block(norm="pre", injection="none", width=64, heads=2, tokens=8, dtype=torch.float32)
    assert states_alive(m, 16, loops=8) - states_alive(m, 16, loops=2) < 0.5  # the logarithms of R


def test_a_layer_without_any_derivative_is_refused():
    m = dl.TorchMap([lambda x: x * torch.cdist(x, torch.ones(1, WIDTH, dtype=D))], (WIDTH,))
    with pytest.raises(dl.errors.DerivativeError, match="cannot be differentiated"):
        dl.lyapunov_spectrum(m, draw(WIDTH))
