"""The layers of dynloop.nn against torch's own, in the dtype of the state, and their exact null directions."""

import math

import pytest
import torch
from torch.nn import functional

from dynloop import nn

DTYPES = [torch.float64, torch.float32, torch.bfloat16]


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def fill(module, seed=1):
    generator = torch.Generator().manual_seed(seed)
    for weight in module.parameters():
        weight.data = torch.randn(weight.shape, generator=generator, dtype=torch.float64).mul(0.3).to(weight.dtype)
    return module.requires_grad_(False)


def modules(dtype=torch.float64):
    return {
        "linear": nn.Linear(8, 8, bias=True, dtype=dtype),
        "rms": nn.RMSNorm(8, dtype=dtype),
        "layer norm": nn.LayerNorm(8, dtype=dtype),
        "attention": nn.Attention(8, 2, rotary=True, bias=True, dtype=dtype),
        "grouped": nn.Attention(8, 4, kv_heads=2, causal=False, dtype=dtype),
        "mlp": nn.MLP(8, 20, bias=True, dtype=dtype),
    }


# -- oracles -----------------------------------------------------------------------------------------------------------


def test_norms_agree_with_torch():
    x, gamma, beta = draw(2, 5, 8), draw(8, seed=2), draw(8, seed=3)
    rms, layer = nn.RMSNorm(8, eps=1e-3).double(), nn.LayerNorm(8, eps=1e-3).double()
    rms.weight.data, layer.weight.data, layer.bias.data = gamma, gamma, beta
    torch.testing.assert_close(rms(x), functional.rms_norm(x, (8,), gamma, 1e-3))
    torch.testing.assert_close(layer(x), functional.layer_norm(x, (8,), gamma, beta, 1e-3))


def attention_by_hand(module, x):
    """Softmax attention head by head, written with loops over heads and queries."""
    out = torch.zeros(*x.shape[:2], module.heads * module.head_size, dtype=x.dtype)
    q, k, v = module.q(x), module.k(x), module.v(x)
    size, share = module.head_size, module.heads // module.kv_heads
    tables = nn.rotary_tables(x.shape[1], size, base=module.rotary_base)
    for h in range(module.heads):
        own, other = slice(h * size, (h + 1) * size), slice(h // share * size, (h // share + 1) * size)
        a, b, c = q[..., own], k[..., other], v[..., other]
        if module.rotary:
            a, b = nn.rotate_half(a, tables), nn.rotate_half(b, tables)
        for i in range(x.shape[1]):
            seen = i + 1 if module.causal else x.shape[1]
            weights = torch.softmax(torch.einsum("bd,btd->bt", a[:, i], b[:, :seen]) / math.sqrt(size), dim=-1)
            out[:, i, own] = torch.einsum("bt,btd->bd", weights, c[:, :seen])
    return module.o(out)


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("rotary", [True, False])
@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_attention_agrees_with_a_plain_loop(causal, rotary, kv_heads):
    module = fill(nn.Attention(16, 4, kv_heads=kv_heads, causal=causal, rotary=rotary, dtype=torch.float64))
    x = draw(2, 5, 16)
    torch.testing.assert_close(module(x), attention_by_hand(module, x), rtol=1e-12, atol=1e-12)


def test_rotary_positions_depend_on_differences_alone():
    tables = nn.rotary_tables(6, 4)
    q, k = (nn.rotate_half(draw(4, seed=s).expand(1, 1, 6, 4), tables)[0, 0] for s in (1, 2))
    scores = q @ k.T
    torch.testing.assert_close(scores[3, 1], scores[5, 3])
    torch.testing.assert_close(scores[0, 0], scores[4, 4])
    assert not torch.isclose(scores[3, 1], scores[3, 2])


def test_rotary_tables_are_cosines_and_sines_of_powers_of_the_base():
    tables = nn.rotary_tables(5, 6, base=100.0)
    assert tables.shape == (2, 5, 6)
    torch.testing.assert_close(tables[0, 4, 1], torch.tensor(4 * 100 ** (-2 / 6), dtype=torch.float64).cos())
    torch.testing.assert_close(tables.square().sum(0), torch.ones(5, 6, dtype=torch.float64))
    torch.testing.assert_close(tables[0, :, :3], tables[0, :, 3:])
    torch.testing.assert_close(tables[1, :, :3], -tables[1, :, 3:])


def test_mlp_and_branches():
    mlp, x = fill(nn.MLP(4, 9, bias=True, dtype=torch.float64)), draw(2, 3, 4)
    torch.testing.assert_close(mlp(x), mlp.down(functional.gelu(mlp.up(x))))
    norm = nn.LayerNorm(4).double()
    torch.testing.assert_close(nn.PreNorm(norm, mlp)(x), x + mlp(norm(x)))
    torch.testing.assert_close(nn.PostNorm(norm, mlp)(x), norm(x + mlp(x)))


# -- invariants --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", modules())
@pytest.mark.parametrize("weights", DTYPES)
@pytest.mark.parametrize("state", DTYPES)
def test_the_state_decides_the_dtype(name, weights, state):
    module = fill(modules(weights)[name])
    x = draw(2, 5, 8).to(state)
    assert module(x).dtype == state
    assert all(weight.dtype == weights for weight in module.parameters())


@pytest.mark.parametrize("name", modules())
def test_low_precision_weights_on_float64_states_are_an_exact_float64_map(name):
    module = fill(modules(torch.bfloat16)[name])
    exact = modules(torch.float64)[name]
    exact.load_state_dict({key: value.double() for key, value in module.state_dict().items()})
    assert torch.equal(module(draw(2, 5, 8)), exact(draw(2, 5, 8)))


def test_padding_is_not_attended_to():
    attend = torch.tensor([True, True, True, False, False])
    module = fill(nn.Attention(8, 2, causal=False, attend=attend, dtype=torch.float64))
    x = draw(1, 5, 8)
    changed = x.clone()
    changed[:, 3:] += 1.0
    torch.testing.assert_close(module(x)[:, :3], module(changed)[:, :3])
    bare = nn.Attention(8, 2, causal=False, dtype=torch.float64)
    bare.load_state_dict(module.state_dict())
    torch.testing.assert_close(module(x)[:, :3], bare(x[:, :3]))


def test_normalised_states_have_exact_null_directions():
    x = draw(8)
    rms, layer = nn.RMSNorm(8, eps=0.0).double(), nn.LayerNorm(8).double()
    rms.weight.data, layer.weight.data = draw(8, seed=5), draw(8, seed=6)
    J = torch.func.jacrev(rms)(x)
    y = rms(x).detach()
    torch.testing.assert_close((y / rms.weight.square()) @ J, torch.zeros(8, dtype=torch.float64), atol=1e-14, rtol=0)
    J = torch.func.jacrev(layer)(x)
    left = (1 / layer.weight) @ J
    torch.testing.assert_close(left, torch.zeros(8, dtype=torch.float64), atol=1e-13, rtol=0)
    torch.testing.assert_close(
        J @ torch.ones(8, dtype=torch.float64), torch.zeros(8, dtype=torch.float64), atol=1e-13, rtol=0
    )


# -- boundaries --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", modules())
def test_one_row_and_one_token(name):
    module = fill(modules()[name])
    assert module(draw(1, 1, 8)).shape == (1, 1, 8)


def test_rms_of_the_origin_is_the_origin():
    assert not nn.RMSNorm(4)(torch.zeros(1, 4)).any()


# -- what the looped families add --------------------------------------------------------------------------------------


def test_neighbouring_pairs_turn_by_the_angles_of_their_tables():
    x, angles = draw(2, 3, 5, 8), draw(5, 4, seed=4)
    cos, sin = angles.cos(), angles.sin()
    tables = torch.stack([torch.stack([c, d], -1).flatten(-2) for c, d in ((cos, cos), (-sin, sin))])
    turned = torch.view_as_complex(x.unflatten(-1, (4, 2)).contiguous()) * torch.polar(torch.ones_like(angles), angles)
    torch.testing.assert_close(nn.rotate_neighbours(x, tables), torch.view_as_real(turned).flatten(-2))


def test_stored_tables_take_the_place_of_computed_ones():
    plain = fill(nn.Attention(8, 2, rotary=True, dtype=torch.float64))
    stored = fill(nn.Attention(8, 2, tables=nn.rotary_tables(9, 4), dtype=torch.float64))
    x = draw(2, 5, 8)
    torch.testing.assert_close(stored(x), plain(x))
    assert "tables" not in stored.state_dict()


def test_a_window_is_softmax_over_the_last_tokens():
    layer = fill(nn.Attention(8, 2, window=3, dtype=torch.float64))
    x = draw(1, 7, 8)
    for i in range(7):
        near = x[:, max(0, i - 2) : i + 1]
        torch.testing.assert_close(layer(x)[:, i], fill(nn.Attention(8, 2, dtype=torch.float64))(near)[:, -1])


def test_a_query_with_nothing_to_attend_to_attends_to_itself():
    attend = torch.tensor([False, True, True])
    layer = fill(nn.Attention(8, 2, attend=attend, dtype=torch.float64))
    x = draw(1, 3, 8)
    torch.testing.assert_close(layer(x)[:, 0], layer.o(layer.v(x[:, 0])))


def test_norms_of_queries_and_keys_span_all_heads_and_biases_come_behind_them():
    layer = fill(nn.Attention(8, 2, qk_eps=1e-3, bias="qk", dtype=torch.float64))
    plain = nn.Attention(8, 2, dtype=torch.float64)
    x = draw(1, 1, 8)
    assert {name for name, _ in layer.named_parameters() if "bias" in name} == {"q_norm.bias", "k_norm.bias"}
    q = layer.q(x)
    expected = q / (q.square().mean(-1, keepdim=True) + 1e-3).sqrt() * layer.q_norm.weight + layer.q_norm.bias
    torch.testing.assert_close(layer.q_norm(q), expected)
    plain.load_state_dict({f"{n}.weight": getattr(layer, n).weight for n in "qkvo"})
    torch.testing.assert_close(layer(x), plain(x))  # one token attends to itself whatever its query


def test_gated_mlp_and_normed_branch_follow_their_equations():
    mlp = fill(nn.GatedMLP(8, 5, dtype=torch.float64))
    x = draw(2, 3, 8)
    gate, up = x @ mlp.gate.weight.T, x @ mlp.up.weight.T
    torch.testing.assert_close(mlp(x), (gate * gate.sigmoid() * up) @ mlp.down.weight.T)
    norms = {name: fill(nn.RMSNorm(8, dtype=torch.float64), seed) for seed, name in enumerate("abc")}
    a, b, c = norms["a"], norms["b"], norms["c"]
    torch.testing.assert_close(nn.NormedBranch(mlp)(x), x + mlp(x))
    torch.testing.assert_close(nn.NormedBranch(mlp, before=a, after=b, stream=c)(x), c(x + b(mlp(a(x)))))
