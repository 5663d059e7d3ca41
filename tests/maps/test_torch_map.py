"""TorchMap: laws of composition, derivatives against exact ones, boundaries, and what it says when it is misused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import dynloop as dl
from dynloop.errors import InvalidArgumentError, NoStartError, NoTwinError, ShapeError

D = torch.float64
A = torch.tensor([[0.5, 0.1], [-0.3, 0.8]], dtype=D)
B = torch.tensor([[1.0, -0.4], [0.2, 0.6]], dtype=D)


def affine():
    """Three layers on the plane whose Jacobian is B A."""
    return dl.TorchMap([lambda x: x @ A.T, lambda x: x @ B.T, lambda x: x + 1], (2,), name="affine")


def curved():
    return dl.TorchMap([lambda x: torch.sin(x) + 0.2 * x.flip(-1), lambda x: x**2 - 0.5], (3,))


# -- oracles -----------------------------------------------------------------------------------------------------------


def test_calls_the_layers_in_order():
    x = torch.tensor([[1.0, 2.0], [0.0, -1.0]], dtype=D)
    torch.testing.assert_close(affine()(x), x @ A.T @ B.T + 1)


def test_push_and_pull_are_the_jacobian_and_its_transpose():
    m, x = affine(), torch.zeros(3, 2, dtype=D)
    V = torch.randn(3, 4, 2, dtype=D, generator=torch.Generator().manual_seed(0))
    J = B @ A
    new, pushed = m.push(x, V)
    torch.testing.assert_close(new, m(x))
    torch.testing.assert_close(pushed, V @ J.T)
    torch.testing.assert_close(m.pull(x, V)[1], V @ J)


def test_push_leaves_no_graph_to_the_weights():
    layer = nn.Linear(2, 2, dtype=D)
    m, x, V = dl.TorchMap([layer], (2,)), torch.ones(1, 2, dtype=D), torch.ones(1, 1, 2, dtype=D)
    for found in (*m.push(x, V), *m.pull(x, V)):
        assert not found.requires_grad
    assert layer.weight.grad is None


def test_a_constant_layer_has_derivative_zero():
    m = dl.TorchMap([lambda x: torch.ones_like(x)], (2,))
    x, V = torch.zeros(3, 2, dtype=D), torch.ones(3, 4, 2, dtype=D)
    assert m.push(x, V)[1].shape == (3, 4, 2)
    assert not m.push(x, V)[1].any()
    assert not m.pull(x, V)[1].any()


def test_watch_measures_what_a_plain_loop_measures():
    m, x = curved(), torch.tensor([[0.1, 0.2, 0.3], [0.0, 0.1, -0.2]], dtype=D)
    reference = torch.full_like(x, 0.25)
    seen = m.watch(x, 5, reference)
    for t in range(5):
        new = m(x)
        np.testing.assert_allclose(seen.steps[t, :, 0], (new - x).norm(dim=1))
        np.testing.assert_allclose(seen.norms[t, :, 0], new.norm(dim=1))
        np.testing.assert_allclose(seen.returns[t, :, 0], (new - reference).norm(dim=1))
        x = new
    assert torch.equal(seen.states, x)


def test_watch_measures_tokens_by_themselves():
    m = dl.TorchMap([lambda x: x + torch.tensor([[1.0], [2.0], [0.0]], dtype=D)], (3, 4))
    seen = m.watch(torch.zeros(2, 3, 4, dtype=D), 2, torch.zeros(2, 3, 4, dtype=D))
    np.testing.assert_allclose(seen.steps, np.broadcast_to([2.0, 4.0, 0.0], (2, 2, 3)))


def test_watch_wraps_angles():
    m = dl.TorchMap([lambda x: (x + 0.75) % 1.0], (1,), periods=(1.0,))
    seen = m.watch(torch.zeros(1, 1, dtype=D), 4, torch.zeros(1, 1, dtype=D))
    np.testing.assert_allclose(seen.steps[:, 0, 0], 0.25)
    assert seen.returns[3, 0, 0] == 0.0


def test_stretch_gives_the_logarithms_of_the_multipliers():
    m = dl.TorchMap([lambda x: x * torch.tensor([1.1, 0.8], dtype=D)], (2,))
    found = m.stretch(torch.ones(1, 2, dtype=D), torch.eye(2, dtype=D)[None], 6)
    np.testing.assert_allclose(found.logs[:, 0], np.log([[1.1, 0.8]] * 6), atol=1e-14)


def test_stretch_of_a_singular_map_is_minus_infinity_whatever_the_order_of_the_frame():
    C = torch.tensor([[0.0, 3.0], [0.0, 4.0]], dtype=D)  # C e1 = 0, C e2 = (3, 4)
    found = dl.TorchMap([lambda x: x @ C.T], (2,)).stretch(torch.ones(1, 2, dtype=D), torch.eye(2, dtype=D)[None], 1)
    np.testing.assert_allclose(found.logs[0, 0], [-np.inf, np.log(5)])


def test_stretch_keeps_a_lost_orbit_from_its_neighbours():
    m = dl.TorchMap([lambda x: x**2], (1,))
    found = m.stretch(torch.tensor([[0.5], [2.0]], dtype=D), torch.ones(2, 1, 1, dtype=D), 12)
    assert np.isfinite(found.logs[:3, 0]).all()
    assert np.isnan(found.logs[-1, 1]).all()
    alone = m.stretch(torch.tensor([[0.5]], dtype=D), torch.ones(1, 1, 1, dtype=D), 12)
    np.testing.assert_array_equal(found.logs[:, :1], alone.logs)


# -- laws --------------------------------------------------------------------------------------------------------------

state = st.lists(st.floats(-1, 1), min_size=3, max_size=3).map(lambda v: torch.tensor([v], dtype=D))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(x=state, p=st.integers(1, 4), l=st.integers(-5, 5))
def test_powers_and_rotations_compose(x, p, l):
    m = curved()
    y = x
    for _ in range(p):
        y = m(y)
    assert torch.equal(m.power(p)(x), y)
    sections = m.sections(x)
    assert torch.equal(m.rotate(l)(sections[l % 2]), m.sections(sections[-1])[l % 2])
    assert torch.equal(m.rotate(l).power(p)(x), m.power(p).rotate(l)(x))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(x=state)
def test_increments_telescope(x):
    m = curved()
    sections = m.sections(x)
    assert torch.equal(sections[0], x)
    assert torch.equal(sections[-1], m(x))
    torch.testing.assert_close(sections.diff(dim=0).sum(dim=0), m(x) - x, atol=1e-14, rtol=0)


# -- boundaries --------------------------------------------------------------------------------------------------------


def test_the_first_power_and_the_zeroth_rotation_are_the_map_itself():
    m = affine()
    assert m.power(1) is m
    assert m.rotate(0) is m
    assert m.rotate(3) is m
    assert m.rotate(-1).layer_names == ("layer 2", "layer 0", "layer 1")
    assert m.power(2).layer_names[::3] == ("layer 0@1", "layer 0@2")


def test_one_row_of_one_coordinate():
    m = dl.TorchMap([lambda x: 0.5 * x], (1,))
    assert m([[2.0]]).tolist() == [[1.0]]
    assert m.sections([[2.0]]).shape == (2, 1, 1)


@pytest.mark.parametrize(
    ("states", "dtype"),
    [
        (np.zeros((1, 2)), torch.float64),
        (np.zeros((1, 2), dtype=np.float32), torch.float32),
        ([[0, 0]], torch.float64),
        (np.zeros((1, 2), dtype=int), torch.float64),
        (torch.zeros(1, 2, dtype=torch.bfloat16), torch.bfloat16),
    ],
)
def test_a_map_without_weights_takes_the_dtype_of_its_states(states, dtype):
    assert dl.TorchMap([lambda x: x], (2,))(states).dtype == dtype


def test_weights_fix_the_dtype():
    m = dl.TorchMap([nn.Linear(2, 2, dtype=torch.bfloat16)], (2,))
    assert m(np.zeros((1, 2))).dtype == torch.bfloat16
    assert m.dtype_name == "bfloat16"
    assert m.precision == 2.0**-7


def test_lists_keep_all_their_digits():
    """torch makes float32 of a list of floats."""
    m = dl.TorchMap([lambda x: x], (1,))
    assert m.native([[0.9999]]).item() == m([[0.9999]]).item() == 0.9999
    assert dl.classify(m, [[0.9999]]).states.item() == 0.9999


def test_arrays_that_torch_cannot_share_are_copied():
    m, x = dl.TorchMap([lambda x: 2 * x], (2,)), np.arange(4.0).reshape(2, 2)
    assert m(x[::-1]).tolist() == [[4.0, 6.0], [0.0, 2.0]]
    x.setflags(write=False)
    assert m(x).tolist() == [[0.0, 2.0], [4.0, 6.0]]


def test_start_draws_and_is_carried_by_rotations():
    m = dl.TorchMap(
        [lambda x: x + 1, lambda x: 2 * x], (2,), start=lambda rng, n: rng.standard_normal((n, 2)), facts={"k": 2}
    )
    x = m.start(3, 5)
    assert x.shape == (5, 2)
    assert torch.equal(m.start(3, 5), x)
    assert torch.equal(m.rotate(1).start(3, 5), x + 1)
    assert torch.equal(m.power(2).start(3, 5), x)
    assert m.facts == {"k": 2}


def test_the_float64_twin_of_layers_that_follow_their_states_shares_them():
    m = dl.synthetic.looped_transformer(layers=1, width=8, heads=2, tokens=3, dtype=torch.bfloat16)
    twin = m.twin()
    assert twin.dtype == torch.float64
    assert twin.layers == m.layers
    assert twin.facts == m.facts
    assert twin.twin() is twin


def test_the_float64_twin_of_a_plain_module_is_a_copy():
    layer = nn.Linear(2, 2)
    twin = dl.TorchMap([layer], (2,)).twin()
    assert twin.layers[0].weight.dtype == torch.float64
    assert layer.weight.dtype == torch.float32


# -- errors ------------------------------------------------------------------------------------------------------------


def test_layers_that_round_inside_have_no_twin():
    m = dl.TorchMap([lambda x: x + torch.tanh(x.float()).to(x.dtype)], (2,), dtype=torch.float32, name="half-hearted")
    with pytest.raises(NoTwinError, match=r"half-hearted cannot run in float64.*polish='never'"):
        m.twin()


def test_a_state_without_batch_axis_is_told_to_add_it():
    with pytest.raises(ShapeError, match=r"affine acts on states of shape \(batch, 2\).*state\[None\]"):
        affine()(torch.zeros(2))


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: dl.TorchMap(torch.sin, (2,)), InvalidArgumentError, r"sequence of callables.*TorchMap\(\[f\]"),
        (lambda: dl.TorchMap([], (2,)), InvalidArgumentError, "empty sequence"),
        (lambda: dl.TorchMap([3], (2,)), InvalidArgumentError, "int, which is not callable"),
        (lambda: dl.TorchMap([torch.sin], ()), ShapeError, "state_shape"),
        (lambda: dl.TorchMap([torch.sin], 2), ShapeError, "tuple of ints"),
        (lambda: dl.TorchMap([torch.sin], (2,), causal=True), ShapeError, r"\(tokens, width\)"),
        (lambda: dl.TorchMap([torch.sin], (2,), layer_names=["a", "b"]), InvalidArgumentError, "2 names for 1"),
        (lambda: dl.TorchMap([torch.sin], (2,), dtype=torch.int64), InvalidArgumentError, "floating"),
        (lambda: dl.TorchMap([torch.sin], (2,), periods=(0.0, 1.0)), InvalidArgumentError, "positive"),
        (lambda: dl.TorchMap([torch.sin], (2,), periods=(1.0, 1.0, 1.0)), ShapeError, "3 entries"),
        (lambda: affine().power(0), InvalidArgumentError, "p must be a positive int"),
        (lambda: affine().power(True), InvalidArgumentError, "got True"),
        (lambda: affine().rotate(0.5), InvalidArgumentError, "l must be an int"),
        (lambda: affine()("text"), ShapeError, "array of numbers"),
        (lambda: affine()(np.zeros((1, 3))), ShapeError, r"\(1, 3\)"),
        (lambda: affine()(np.zeros((1, 2), dtype=complex)), InvalidArgumentError, "complex"),
        (lambda: affine().start(), NoStartError, "pass starts"),
        (lambda: affine().batch(np.zeros((0, 2))), ShapeError, "empty"),
        (lambda: affine().batch([[0.0, 0.0], [np.nan, 0.0]]), InvalidArgumentError, r"starts\[1\] holds NaN"),
        (lambda: dl.TorchMap([lambda x: x[:, :1]], (2,))([[0.0, 0.0]]), ShapeError, "must return a tensor"),
        (lambda: dl.TorchMap([lambda x: (x,)], (2,))([[0.0, 0.0]]), ShapeError, "got tuple"),
        (lambda: dl.TorchMap([lambda x: x.float()], (2,))([[0.0, 0.0]]), InvalidArgumentError, "keeps the dtype"),
        (lambda: dl.zoo.henon().start(rng=-1), InvalidArgumentError, "rng must be"),
        (lambda: dl.zoo.henon().start(n=0), InvalidArgumentError, "n must be"),
    ],
)
def test_misuse_is_named(make, error, words):
    with pytest.raises(error, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_repr_names_layers_and_shape():
    assert repr(affine()) == "<TorchMap 'affine' on (2,), 3 layers: layer 0, layer 1, layer 2>"


def test_a_mapping_names_its_layers():
    m = dl.TorchMap({"halve": lambda x: x / 2, "shift": lambda x: x + 1}, (2,))
    assert m.layer_names == ("halve", "shift")
    np.testing.assert_array_equal(m.numpy(m(np.ones((1, 2)))), [[1.5, 1.5]])
    with pytest.raises(InvalidArgumentError, match="mapping and layer_names was given; name the layers in one place"):
        dl.TorchMap({"halve": lambda x: x / 2}, (2,), layer_names=["half"])
