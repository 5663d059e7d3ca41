"""Captured maps are those of the call: computed by hand, from transformers, from torch's own modules."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import dynloop as dl
from dynloop.errors import InvalidArgumentError, NotAutonomousError
from dynloop.inference.seen import Seen, Watcher, seen_loop, stacked, weights
from dynloop.nn import Attention, PreNorm, RMSNorm, onlooker

DATA = ["albert", "hrm", "hrm_text", "huginn", "looped_icl", "ouro", "parcae", "retrofit_llama", "retrofit_olmo", "trm"]


def drawn(module, seed=0, size=0.5):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(size * torch.randn(weight.shape, generator=generator, dtype=torch.float64))
    return module.double().requires_grad_(requires_grad=False).eval()


def states(batch=2, tokens=5, width=8):
    return torch.randn(batch, tokens, width, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def torch_map(*layers, tokens=5, width=8, **options):
    return dl.TorchMap(list(layers), (tokens, width), dtype=torch.float64, **options)


def seen(m, x):
    return [one for step in seen_loop(m, x) for one in step.seen]


def by_hand(module, x, *, mask):
    """softmax(q kᵀ / √d), head by head, in NumPy; no rotation."""
    found = np.zeros((len(x), module.heads, x.shape[1], x.shape[1]))
    groups = module.heads // module.kv_heads
    for b, row in enumerate(x.numpy()):
        q = row @ module.q.weight.numpy().T
        k = row @ module.k.weight.numpy().T
        d = module.head_size
        for h in range(module.heads):
            scores = q[:, h * d : (h + 1) * d] @ k[:, (h // groups) * d : (h // groups + 1) * d].T / math.sqrt(d)
            scores = np.where(mask, scores, -np.inf)
            e = np.exp(scores - scores.max(axis=1, keepdims=True))
            found[b, h] = e / e.sum(axis=1, keepdims=True)
    return found


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kv_heads", [4, 2])
def test_maps_are_the_softmax_of_queries_and_keys(causal, kv_heads):
    f = drawn(Attention(8, 4, kv_heads=kv_heads, causal=causal))
    x = states()
    (one,) = seen(torch_map(f), x)
    mask = np.tril(np.ones((5, 5), bool)) if causal else np.ones((5, 5), bool)
    np.testing.assert_allclose(one.weights, by_hand(f, x, mask=mask), atol=1e-15)
    np.testing.assert_allclose(one.weights.sum(-1), 1, atol=1e-14)
    assert bool((one.weights.triu(1) == 0).all()) == causal
    assert one.module is f
    assert one.given is x


def test_a_mask_and_a_window_are_those_of_the_call():
    attend = torch.tensor([True, False, True, True, True])
    f = drawn(Attention(8, 2, causal=True, attend=attend, window=3))
    (one,) = seen(torch_map(f), states())
    i, j = np.indices((5, 5))
    mask = (j <= i) & (i - j < 3) & attend.numpy()
    mask |= np.eye(5, dtype=bool) & ~mask.any(axis=1, keepdims=True)
    np.testing.assert_allclose(one.weights, by_hand(f, states(), mask=mask), atol=1e-15)


@pytest.mark.parametrize("rope", [True, False])
def test_maps_times_values_are_what_attention_gives(rope):
    """Whatever the positions do to queries and keys: A·v, through the output map, is the module's output."""
    f = drawn(Attention(8, 2, rotary=rope, bias=True))
    x = states()
    (one,) = seen(torch_map(f), x)
    v = f.v(x).reshape(2, 5, 2, 4).transpose(1, 2)
    torch.testing.assert_close(f.o((one.weights @ v).transpose(1, 2).flatten(-2)), f(x), atol=1e-13, rtol=0)


@pytest.mark.parametrize("mask", ["none", "causal", "bool", "additive"])
@pytest.mark.parametrize("options", [{}, {"scale": 0.3}, {"enable_gqa": True}])
def test_weights_are_those_of_torch(mask, options):
    generator = torch.Generator().manual_seed(0)
    q, k = (
        torch.randn(2, h, 6, 4, generator=generator, dtype=torch.float64)
        for h in (4, 2 if options.get("enable_gqa") else 4)
    )
    given = dict(options)
    if mask == "causal":
        given["is_causal"] = True
    elif mask == "bool":
        given["attn_mask"] = torch.rand(6, 6, generator=generator) > 0.4
        given["attn_mask"][2] = False  # a row with nothing to attend to
    elif mask == "additive":
        given["attn_mask"] = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    eye = torch.eye(6, dtype=torch.float64).expand(*k.shape[:-1], 6)
    expected = functional.scaled_dot_product_attention(q, k, eye, **given)
    torch.testing.assert_close(weights(q, k, eye, **given), expected, atol=1e-14, rtol=0)


@pytest.mark.parametrize("name", DATA)
def test_every_family_shows_its_maps(name):
    from pathlib import Path

    m = dl.open_checkpoint(Path(__file__).parents[1] / "data" / name)
    x = m.start(0, 2)
    with torch.no_grad():
        plain = m(x)
    found = list(seen_loop(m, x))
    assert torch.equal(found[-1].after, plain)  # looking changes nothing
    maps = [one.weights for step in found for one in step.seen]
    assert maps
    for one in maps:
        np.testing.assert_allclose(one.double().sum(-1), 1, atol=1e-5)
        assert not m.causal or bool((one.triu(1) == 0).all())
    assert not any(part._forward_pre_hooks for f in m.layers for part in f.modules())


def test_eager_attention_of_transformers_gives_the_maps_it_reports():
    transformers = pytest.importorskip("transformers")
    config = transformers.AlbertConfig(
        vocab_size=11,
        embedding_size=8,
        hidden_size=16,
        num_attention_heads=4,
        intermediate_size=24,
        num_hidden_layers=1,
    )
    config._attn_implementation = "eager"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.AlbertModel(config).double().eval()
    x = states(tokens=6, width=16)

    def layer(z):
        out = model.encoder.albert_layer_groups[0].albert_layers[0](z)
        return out[0] if isinstance(out, tuple) else out

    (one,) = seen(dl.TorchMap([layer], (6, 16), dtype=torch.float64), x)
    attention = model.encoder.albert_layer_groups[0].albert_layers[0].attention
    with torch.no_grad():
        q, k = (part(x).reshape(2, 6, 4, 4).transpose(1, 2) for part in (attention.query, attention.key))
    torch.testing.assert_close(one.weights, (q @ k.mT / 2).softmax(-1), atol=1e-14, rtol=0)


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_both_ways_of_transformers_give_the_maps_of_our_albert(implementation):
    from pathlib import Path

    transformers = pytest.importorskip("transformers")
    folder = Path(__file__).parents[1] / "data" / "albert"
    m = dl.open_checkpoint(folder, dtype=torch.float64)
    config = transformers.AlbertConfig.from_pretrained(folder)
    config._attn_implementation = implementation
    with torch.random.fork_rng(devices=[]):
        model = transformers.AlbertForMaskedLM(config)
    tensors = {k: v for k, v in m.source.tensors.items() if k.startswith("albert.")}
    assert tensors
    model.load_state_dict(tensors, strict=False)
    own = model.double().eval().albert.encoder.albert_layer_groups[0].albert_layers[0]

    def layer(z):
        out = own(z)
        return out[0] if isinstance(out, tuple) else out

    x = m.start(0, 2)
    theirs = seen(dl.TorchMap([layer], m.state_shape, dtype=torch.float64), x)
    ours = seen(m, x)
    assert len(theirs) == 1
    torch.testing.assert_close(ours[0].weights, theirs[0].weights, atol=1e-12, rtol=0)


@pytest.mark.parametrize("need", [True, False])
def test_multihead_attention_of_torch(need):
    f = drawn(nn.MultiheadAttention(8, 2, batch_first=True))
    x = states()
    expected = f(x, x, x, average_attn_weights=False)[1]
    (one,) = seen(torch_map(lambda z: f(z, z, z, need_weights=need)[0]), x)
    torch.testing.assert_close(one.weights, expected, atol=1e-14, rtol=0)


def test_the_encoder_layer_of_torch_is_not_hidden_by_its_fast_path():
    f = drawn(nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True), size=0.2)
    (one,) = seen(torch_map(f), states())
    x = states()
    torch.testing.assert_close(one.weights, f.self_attn(x, x, x, average_attn_weights=False)[1], atol=1e-14, rtol=0)


def test_a_softmax_over_something_else_is_no_attention():
    gate = torch_map(
        lambda x: x * x.softmax(-1), lambda x: x + functional.softmax(x.reshape(2, 5, 2, 4), -1).flatten(-2)
    )
    assert seen(gate, states()) == []
    with pytest.raises(InvalidArgumentError, match="no attention was seen in a loop of a TorchMap: supported are"):
        dl.attention_stability(gate, states(), loops=4)


def test_attention_within_groups_of_tokens_is_refused_by_name():
    def windows(x):
        z = x.reshape(-1, 1, 2, 8)
        return functional.scaled_dot_product_attention(z, z, z).reshape(x.shape)

    m = torch_map(windows, tokens=4, layer_names=["windows"])
    with pytest.raises(InvalidArgumentError, match=r"layer 'windows' of a TorchMap has maps of shape \(4, 1, 2, 2\)"):
        dl.attention_stability(m, states(tokens=4), loops=4)


def test_attentions_that_differ_in_heads_are_refused():
    m = torch_map(*(drawn(PreNorm(RMSNorm(8), Attention(8, heads))) for heads in (2, 4)))
    with pytest.raises(InvalidArgumentError, match=r"differ in shape: \(2, 2, 5, 5\), \(2, 4, 5, 5\)"):
        dl.attention_stability(m, states(), loops=4)


def test_a_loop_that_attends_now_and_then_is_not_one_map():
    f, calls = drawn(Attention(8, 2)), []

    def layer(x):
        calls.append(0)
        return f(x) if len(calls) < 3 else x

    with pytest.raises(NotAutonomousError, match="computed 1 attentions in its first loop and 0 in a later one"):
        dl.attention_stability(torch_map(layer), states(), loops=4)


def joined(module):
    """A dynloop attention, with a second one from elsewhere as soon as states are small."""

    def layer(x):
        y = module(x)
        if x.norm() < 4:
            q = x.reshape(*x.shape[:2], 2, 4).transpose(1, 2)
            y = y + functional.scaled_dot_product_attention(q, q, q).transpose(1, 2).flatten(2)
        return 0.5 * x + 0.1 * y

    return layer


class Joins(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module, self.forward = module, joined(module)


class Within(Attention):
    """It attends by itself, in some states."""

    def forward(self, x):
        return joined(super().forward)(x)


def shadowed():
    f = Attention(8, 2)
    f.forward = joined(partial(Attention.forward, f))
    return f


@pytest.mark.parametrize(
    "layer",
    [
        lambda: joined(drawn(Attention(8, 2))), lambda: Joins(drawn(Attention(8, 2))), lambda: drawn(Within(8, 2)),
        lambda: drawn(shadowed()),
    ],
    ids=["function", "module", "subclass", "instance"],
)  # fmt: skip
def test_an_attention_that_begins_later_is_seen(layer):
    with pytest.raises(NotAutonomousError, match="computed 1 attentions in its first loop and 2 in a later one"):
        dl.attention_stability(torch_map(layer()), 3 * states(), loops=20)


class Reuses(nn.Module):
    """Attention from, by and into buffers that each loop writes anew; with `buffers` None, into new tensors."""

    def __init__(self, buffers, *, eager):
        super().__init__()
        self.f, self.buffers, self.eager = drawn(Attention(8, 2, causal=False)), buffers, eager

    def held(self, name, x):
        if self.buffers is None:
            return x
        return self.buffers.setdefault(name, torch.empty_like(x)).copy_(x)

    def forward(self, x):
        z = x.reshape(*x.shape[:2], 2, 4).transpose(1, 2)
        q, k, mask = self.held("q", 2 * z), self.held("k", z.flip(-1)), self.held("mask", z @ z.mT)
        if self.eager:
            out = self.held("maps", (q @ k.mT + mask).softmax(-1)) @ z
        else:
            out = functional.scaled_dot_product_attention(q, k, z, attn_mask=mask)
        y = self.held("given", functional.layer_norm(x + out.transpose(1, 2).flatten(2) + torch.roll(x, 1, 1), (8,)))
        return self.held("out", 0.5 * x + self.f(y))


@pytest.mark.parametrize("eager", [True, False])
def test_a_block_that_reuses_its_buffers_gives_the_same_numbers(eager):
    reusing, plain = (
        torch_map(Reuses(buffers[0], eager=eager), Reuses(buffers[1], eager=eager))
        for buffers in (({}, {}), (None, None))
    )
    x = states()
    a, b = (dl.attention_stability(m, x, loops=20, maps=True) for m in (reusing, plain))
    assert b.change[..., 0].min() > 1e-3
    for name in ("maps", "change", "bound", "section_step", "entropy"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    a, b = (dl.inference_stages(m, x, loops=20, logits=lambda z: z) for m in (reusing, plain))
    for name, curve in b.curves.items():
        np.testing.assert_array_equal(a.curves[name], curve)


def test_maps_are_those_before_they_are_written_to():
    def layer(x):
        z = x.reshape(2, 5, 2, 4).transpose(1, 2)
        return ((z @ z.mT).softmax(-1).mul_(0.5) @ z).transpose(1, 2).reshape(x.shape)

    (one,) = seen(torch_map(layer), states())
    torch.testing.assert_close(one.weights.sum(-1), torch.ones(2, 2, 5, dtype=torch.float64))


def test_a_map_without_layers_of_torch_is_refused():
    with pytest.raises(InvalidArgumentError, match="computes no attention"):
        dl.attention_stability(dl.zoo.henon(), loops=4)


def test_calls_computed_together_are_those_computed_apart():
    generator = torch.Generator().manual_seed(0)

    def calls(**options):
        made = []
        for i in range(3):
            q, k = (torch.randn(2, 4, 5, 3, generator=generator, dtype=torch.float64) for _ in range(2))
            given = {name: value[i] if isinstance(value, list) else value for name, value in options.items()}
            made.append(Seen(((q, k, k), given), None, None))
        return made

    masks = [torch.rand(5, 5, generator=generator) > 0.3 for _ in range(3)]
    biases = [torch.randn(2, 1, 5, 5, generator=generator, dtype=torch.float64) for _ in range(3)]
    for options in (
        {}, {"is_causal": True}, {"attn_mask": masks}, {"attn_mask": biases}, {"attn_mask": [None, masks[1], None]},
        {"scale": [1.0, 2.0, 3.0]}, {"attn_mask": [masks[0], biases[0], masks[2]]},
    ):  # fmt: skip
        made = calls(**options)
        together = stacked(made)
        assert together.shape == (3, 2, 4, 5, 5)
        for one, maps in zip(made, together, strict=True):
            torch.testing.assert_close(maps, one.weights, atol=1e-15, rtol=0)


SPELLINGS = [
    lambda z: functional.softmax(z, dim=-1),
    lambda z: functional.softmax(z, -1, dtype=torch.float64),
    lambda z: torch.softmax(z, -1),
    lambda z: z.softmax(dim=3),
    lambda z: torch.special.softmax(z, -1),
    lambda z: nn.Softmax(dim=-1)(z),
]


@pytest.mark.parametrize("softmax", SPELLINGS, ids=["functional", "dtype", "torch", "method", "special", "module"])
def test_eager_attention_however_the_softmax_is_written(softmax):
    def layer(x):
        z = x.reshape(2, 5, 2, 4).transpose(1, 2)
        return (softmax(z @ z.mT) @ z).transpose(1, 2).reshape(x.shape)

    (one,) = seen(torch_map(layer), states())
    z = states().reshape(2, 5, 2, 4).transpose(1, 2)
    torch.testing.assert_close(one.weights, (z @ z.mT).softmax(-1), atol=1e-15, rtol=0)


def test_watching_less_after_the_first_loop_sees_the_same():
    m = dl.synthetic.looped_transformer(layers=2, width=16, heads=2, tokens=5)
    x = m.start(0, 2)
    watcher = Watcher(m)
    for _ in range(3):
        steps, fresh = watcher.loop(x), seen_loop(m, x)
        for a, b in zip(steps, fresh, strict=True):
            assert torch.equal(a.after, b.after)
            assert [one.module for one in a.seen] == [one.module for one in b.seen]
            for one, other in zip(a.seen, b.seen, strict=True):
                assert torch.equal(one.weights, other.weights)
                assert torch.equal(one.given, other.given)
        x = steps[-1].after
    assert onlooker.get() is None


def test_a_failure_within_an_attention_leaves_nothing_behind():
    f = drawn(Attention(8, 2))
    m = torch_map(f)
    watcher = Watcher(m)
    watcher.loop(states())
    f.o = None
    with pytest.raises(TypeError):
        watcher.loop(states())
    assert onlooker.get() is None
    assert torch.overrides._get_current_function_mode_stack() == []
