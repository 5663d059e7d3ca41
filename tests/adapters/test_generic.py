"""A block of any model: against models unrolled by hand, twins and derivatives, and every refusal."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import dynloop as dl
from dynloop.adapters.registry import families
from dynloop.errors import DynloopError, InvalidArgumentError, NotAutonomousError, PromptError, ShapeError
from dynloop.testing.adapter import check_adapter
from dynloop.testing.untouched import global_state, module_state
from tests.adapters.golden import derivative_gap

IDS = [3, 1, 4, 1, 5, 9]


# -- feed-forward models, looped -------------------------------------------------------------------------------------

transformers = pytest.importorskip("transformers")
from tests.adapters.unrolled import MODELS, gap, model_of, unrolled  # noqa: E402 - it needs transformers


@pytest.mark.parametrize("name", MODELS)
def test_the_map_is_the_model_with_its_layers_repeated(name):
    model, layers = model_of(name).double(), MODELS[name][1]
    m = dl.open_checkpoint(model, IDS, block=f"{layers}.1:3")
    ids, x = torch.tensor([IDS]), m.start()
    for n in range(17):
        if n in (0, 1, 4, 16):
            reference = unrolled(model, layers, 1, 3, n)
            with torch.no_grad():
                expected = reference(input_ids=ids, use_cache=False).logits
            # transformers rounds to float32 inside some norms and attention, whatever the dtype
            assert gap(m.decode(x), expected) <= (1e-12 if name in ("gpt2", "bert") else 1e-5)
        x = m(x)


@pytest.mark.parametrize("name", MODELS)
def test_in_the_models_own_dtype_the_map_is_the_model_to_the_last_bits(name):
    model, layers = model_of(name), MODELS[name][1]
    m = dl.open_checkpoint(model, IDS, block=f"{layers}.1:3")
    with torch.no_grad():
        expected = unrolled(model, layers, 1, 3, 4)(input_ids=torch.tensor([IDS]), use_cache=False).logits
    assert m.dtype is torch.float32
    assert gap(m.decode(m.power(4)(m.start())), expected) <= 2e-6
    assert m.causal is (name != "bert")


@pytest.mark.parametrize("name", MODELS)
def test_every_rule_of_adapters_is_kept(name):
    model, layers = model_of(name), MODELS[name][1]
    report = check_adapter(dl.open_checkpoint(model, IDS, block=f"{layers}.1:3"))
    assert {"square 1: output", "square 4: output", "square 16: output", "float64", "live model"} <= set(report.gaps)
    assert not report.skipped
    assert report.map.settings["derivatives_in"] == "float64"


@pytest.mark.parametrize("name", ["gpt2", "llama", "neox"])
def test_float64_is_float64_throughout_whatever_the_code_rounds(name):
    m = dl.open_checkpoint(model_of(name), IDS, block=f"{MODELS[name][1]}.1:3", dtype="float64", injection=half)
    x = m.start()
    x = m(x)
    assert derivative_gap(m, x) <= 1e-8
    shifted = x + 1e-12 * torch.ones_like(x)
    assert not torch.equal(m(shifted), m(x))


def half(x, e):
    return 0.05 * x + e


def test_a_looped_feed_forward_model_with_a_weak_loop_converges_and_is_classified():
    """An injection a x + e with small a contracts: one fixed point, whatever the start, and it does not vanish."""
    m = dl.open_checkpoint(model_of("llama", gain=0.3), IDS, block="model.layers.1:3", injection=half)
    found = dl.classify(m, m.start(rng=0, n=3, kind="noise"))
    assert found.regime.shape == (3, len(IDS))
    assert set(found.regime.ravel()) == {dl.Regime.CYCLIC}
    assert (found.rate < 1).all()
    points = dl.find_fixed_points(m.twin(), m.twin().start(rng=1, n=2, kind="noise"))
    assert len(points.points) == 1
    assert float(points.residual.max()) <= 1e-13


@pytest.mark.slow
def test_without_injection_a_pre_norm_block_only_adds():
    """x ← x + f(norm x): the stream of a looped plain transformer grows for ever, so nothing can settle."""
    m = dl.open_checkpoint(model_of("gpt2"), IDS, block="transformer.h.1:3")
    found = dl.classify(m, loops=200)
    assert not {dl.Regime.VANISHING, dl.Regime.CYCLIC, dl.Regime.PERIODIC} & set(found.regime.ravel())


def test_with_add_the_first_loop_is_the_plain_model():
    model = model_of("gpt2")
    m = dl.open_checkpoint(model, IDS, block="transformer.h.1:3", injection="add")
    with torch.no_grad():
        plain = model.eval()(torch.tensor([IDS])).logits
    assert not m.start().any()
    assert gap(m.decode(m(m.start())), plain) == 0.0
    assert torch.equal(m.start(kind="embedding"), m.block.state)


def test_the_norm_that_follows_the_block_closes_the_loop_and_is_not_applied_twice():
    model = model_of("gpt2")
    m = dl.open_checkpoint(model, IDS, block="transformer.h.2:4", closing_norm="transformer.ln_f")
    with torch.no_grad():
        plain = model.eval()(torch.tensor([IDS])).logits
    assert m.layer_names == ("transformer.h.2", "transformer.h.3", "transformer.ln_f")
    assert gap(m.decode(m(m.start())), plain) == 0.0
    middle = dl.open_checkpoint(model, IDS, block="transformer.h.0:2", closing_norm=model.transformer.ln_f)
    y = middle(middle.start())
    torch.testing.assert_close(y.mean(-1), torch.zeros(1, len(IDS)), atol=1e-5, rtol=0)


def test_sections_are_the_outputs_of_the_models_modules():
    model, seen = model_of("qwen2").eval(), []
    hooks = [layer.register_forward_hook(lambda *a: seen.append(a[-1])) for layer in model.model.layers]
    with torch.no_grad():
        model(torch.tensor([IDS]))
    for hook in hooks:
        hook.remove()
    m = dl.open_checkpoint(model, IDS, block="model.layers")
    for found, expected in zip(m.sections(m.start())[1:], seen, strict=True):
        assert torch.equal(found, expected)


def test_a_padded_prompt_keeps_its_mask_inside_the_map():
    prompt = {"input_ids": np.array(IDS), "attention_mask": np.array([1, 1, 1, 1, 0, 0])}
    m = dl.open_checkpoint(model_of("bert"), prompt, block="bert.encoder.layer.1:3", dtype="float64")
    x = m.start()
    y = x.clone()
    y[:, 4:] += 1.0
    assert torch.equal(m(y)[:, :4], m(x)[:, :4])


def test_other_prompts_open_through_the_map_itself():
    m = dl.open_checkpoint(model_of("llama"), IDS, block="model.layers.1:3", injection=half)
    found = dl.classify_prompts(m, [[1, 2, 3], [4, 5, 6]], loops=50)
    assert len(found.prompts) == 2
    other = dl.open_checkpoint(m.source.model, [9, 8, 7, 6, 5, 4], block="model.layers.1:3")
    assert torch.equal(m.start(kind="prompt:9 8 7 6 5 4"), other.start(kind="embedding"))


def test_the_default_prompt_is_drawn_where_the_model_reads_ids():
    m = dl.open_checkpoint(model_of("gpt2"), block="transformer.h.1:3")
    assert len(m.tokens) == 16
    assert "16 token ids drawn with seed 0" in m.describe()


def test_the_model_is_left_as_it_was():
    model = model_of("llama")
    model.model.layers[1].register_forward_hook(lambda *_: None)
    before, world, config = module_state([model]), global_state(), repr(model.config)
    m = dl.open_checkpoint(model, IDS, block="model.layers.1:3", dtype="float64")
    m.decode(m(m.start()))
    assert module_state([model]) == before
    assert global_state() == world
    assert repr(model.config) == config
    assert model.training


def test_weights_are_shared_and_later_training_does_not_switch_dropout_on():
    model = model_of("gpt2").eval()
    m = dl.open_checkpoint(model, IDS, block="transformer.h.1:3")
    x = m.start()
    y = m(x)
    model.train()
    assert torch.equal(m(x), y)
    with torch.no_grad():
        model.transformer.h[1].mlp.c_fc.weight.mul_(2)
    assert not torch.equal(m(x), y)


def test_describe_says_what_was_captured():
    m = dl.open_checkpoint(model_of("gpt2"), IDS, block="transformer.h.1:3")
    said = m.describe()
    assert said.startswith("generic live GPT2LMHeadModel: one loop = transformer.h.1 → transformer.h.2 (captured block")
    assert "that the model runs once" in said
    assert "\n" not in said


# -- plain torch -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("causal", [True, False])
def test_an_encoder_of_torch_with_its_mask(batch_first, causal):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=batch_first)
        model = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False).double()
    source = torch.arange(40.0).reshape(5, 8).sin().double()
    mask = nn.Transformer.generate_square_subsequent_mask(5, dtype=torch.float64) if causal else None
    batched = source[None] if batch_first else source[:, None]
    m = dl.capture_block(
        model, lambda model: model(batched, mask=mask), block="layers[1:3]", batch_axis=0 if batch_first else 1
    )
    assert m.causal is causal
    check_adapter(m)
    x = batched
    reference = model.eval()
    with torch.no_grad():
        for i in (0, 1, 2, 1, 2, 1, 2, 3):
            x = reference.layers[i](x, src_mask=mask)
    found = m.decode(m.power(3)(m.start()))
    assert gap(found, x if batch_first else x.transpose(0, 1)) <= 1e-12
    starts = m.start(rng=1, n=4)
    assert gap(m(starts), torch.cat([m(starts[i : i + 1]) for i in range(4)])) <= 1e-14


class Block(nn.Module):
    """A residual block of its own kind; `p` draws noise, `writes` writes into its input."""

    def __init__(self, width, *, p=0.0, writes=False):
        super().__init__()
        self.norm, self.linear, self.p, self.writes = nn.LayerNorm(width), nn.Linear(width, width), p, writes

    def forward(self, x, scale=None):
        y = functional.dropout(self.linear(x if self.writes else self.norm(x)).tanh(), self.p, training=True)
        y = y if scale is None else y * scale
        if self.writes:
            x += y
            return (x, "and more")
        return x + y


class Looped(nn.Module):
    """A looped toy; `kind` says what it does beside its two blocks."""

    def __init__(self, kind="plain", width=8, loops=4):
        super().__init__()
        self.kind, self.loops = kind, loops
        self.embed, self.norm, self.head = nn.Embedding(11, width), nn.LayerNorm(width), nn.Linear(width, 11)
        self.core = nn.ModuleList([Block(width, p=0.1 * (kind == "noise"), writes=kind == "writes"), Block(width)])
        self.steps, self.adapter = nn.Parameter(torch.randn(loops, width)), nn.Linear(2 * width, width)
        self.kept = None

    def forward(self, ids):
        e = self.embed(ids)
        x = e.clone() if self.kind in ("plain", "writes", "noise") else torch.zeros_like(e)
        if self.kind == "random start":
            x = torch.randn_like(e)
        for t in range(self.loops):
            if self.kind in ("add", "random start", "norm"):
                x = x + e
            if self.kind == "per loop":
                x = x + e + self.steps[t]
            if self.kind == "concat":
                x = self.adapter(torch.cat([x, e], -1))
            for block in self.core:
                if self.kind == "argument":
                    x = block(x, self.steps[t])
                elif self.kind == "of the state":
                    x = block(x, x.mean())
                else:
                    x = block(x)
                    x = x[0] if isinstance(x, tuple) else x
                if self.kind == "between":
                    x = 1.1 * x
            if self.kind in ("norm", "concat"):
                x = self.norm(x)
        return self.head(x)


def looped(kind, **options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Looped(kind, **options).double()


@pytest.mark.parametrize("kind", ["plain", "writes", "add", "norm", "concat"])
def test_a_looped_model_is_followed_loop_after_loop(kind):
    model = looped(kind)
    options = {
        "plain": {},
        "writes": {},
        "add": {"injection": "add"},
        "norm": {"injection": lambda x, e: x + e, "closing_norm": "norm"},
        "concat": {
            "injection": lambda x, e: model.adapter(torch.cat([x, e], -1)),
            "embedding": "embed",
            "closing_norm": "norm",
        },
    }[kind]
    m = dl.capture_block(model, [1, 2, 3], block="core", **options)
    assert "that the model runs 4 times" in m.describe()
    for n in (1, 4, 16):
        model.loops = n
        with torch.no_grad():
            expected = model(torch.tensor([[1, 2, 3]]))
        model.loops = 4
        assert gap(m.decode(m.power(n)(m.start())), expected) <= 1e-12
    check_adapter(m)
    with torch.no_grad():  # an injection that is the user's own has weights that may be trained
        assert derivative_gap(m, m.start(rng=1, n=2)) <= 1e-8


def test_a_random_start_is_no_hindrance_and_another_start_can_be_given():
    model = looped("random start")
    m = dl.capture_block(model, [1, 2, 3], block="core", injection="add", embedding="embed", start=np.ones((3, 8)))
    assert torch.equal(m.start(), torch.ones(1, 3, 8).double())
    e = model.embed(torch.tensor([[1, 2, 3]]))
    x = m.start() + e
    for block in model.core:
        x = block(x)
    assert gap(m(m.start()), x.detach()) <= 1e-14


def two_rows(model):
    return model(torch.tensor([[1, 2, 3], [4, 5, 6]]))


@pytest.mark.parametrize(
    ("kind", "options", "error", "said"),
    [
        ("noise", {}, NotAutonomousError, "core.0 gives different outputs at one state"),
        ("argument", {}, NotAutonomousError, "argument 1 of core.0 differs between loop 0 and loop 1"),
        ("of the state", {}, NotAutonomousError, "argument 1 of core.1 depends on the state of the block"),
        ("per loop", {"injection": "add"}, NotAutonomousError, "between loop 0 and loop 1 the model does something"),
        ("add", {}, NotAutonomousError, "between loop 0 and loop 1 the model does something"),
        ("between", {}, InvalidArgumentError, "between core.0 and core.1 live Looped does something"),
        ("plain", {"block": "core.0"}, NotAutonomousError, "between loop 0 and loop 1"),
        ("plain", {"block": ["core.1", "core.0"]}, InvalidArgumentError, "in the order core.0 → core.1"),
        ("plain", {"block": "cor.0"}, InvalidArgumentError, "no such module; did you mean 'core.0'"),
        ("plain", {"block": "core.5:7"}, InvalidArgumentError, "is empty: 'core' has 2 members"),
        ("plain", {"block": "norm.0:2"}, InvalidArgumentError, "only a ModuleList or a Sequential has slices"),
        ("plain", {"block": "adapter"}, InvalidArgumentError, "does not call adapter in its forward pass"),
        ("plain", {"block": "head"}, InvalidArgumentError, r"head of live Looped takes float64 of shape \(1, 3, 8\)"),
        ("plain", {"block": "embed"}, InvalidArgumentError, "takes no floating tensor"),
        ("plain", {"block": 3}, InvalidArgumentError, "block must name modules"),
        ("plain", {"block": [nn.Linear(2, 2)]}, InvalidArgumentError, "is no submodule of live Looped"),
        ("plain", {"closing_norm": "ln"}, InvalidArgumentError, "closing_norm names 'ln'"),
        ("plain", {"injection": 3}, InvalidArgumentError, "injection must be a callable or the name of a module"),
        ("plain", {"injection": lambda x, e, f: x}, InvalidArgumentError, "it takes 3 arguments"),
        ("plain", {"injection": lambda x, e: x[:1]}, ShapeError, "injection must return states of shape"),
        ("plain", {"injection": lambda x: x - x.mean(0)}, NotAutonomousError, "mixes the states of a batch"),
        ("plain", {"injection": lambda x: x + torch.rand(())}, NotAutonomousError, "injection gives different outputs"),
        ("plain", {"embedding": np.ones(3)}, ShapeError, r"embedding has shape \(3,\)"),
        ("plain", {"start": np.ones(3)}, ShapeError, r"start has shape \(3,\)"),
        ("plain", {"prompt": two_rows}, ShapeError, "whose axis 0 is no batch of one"),
        ("plain", {"batch_axis": -1}, InvalidArgumentError, "batch_axis must be an int of at least 0"),
        ("plain", {"dtype": "int8"}, InvalidArgumentError, "dtype must be a floating dtype"),
        ("plain", {"prompt": [1, 99]}, PromptError, "its own forward pass fails on this prompt"),
        ("plain", {"prompt": [[1, 2]]}, PromptError, r"Leave the batch axis out: ids\[0\]"),
        ("plain", {"prompt": []}, PromptError, "ids is empty"),
        ("plain", {"prompt": "text"}, PromptError, "a text prompt needs a tokenizer"),
        ("plain", {"prompt": None}, PromptError, "has no default prompt"),
    ],
)
def test_what_is_no_map_is_refused_by_name_and_reason(kind, options, error, said):
    given = {"prompt": [1, 2, 3], "block": "core", **options}
    with pytest.raises(error, match=said) as caught:
        dl.capture_block(looped(kind, loops=1 if "injection" in options and kind == "plain" else 4), **given)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, DynloopError)


def test_noise_is_seen_in_few_digits_too():
    with pytest.raises(NotAutonomousError, match="gives different outputs at one state"):
        dl.capture_block(looped("noise").bfloat16(), [1, 2, 3], block="core")
    m = dl.capture_block(looped("plain").bfloat16(), [1, 2, 3], block="core")
    assert m(m.start()).dtype is torch.bfloat16
    assert m.twin()(m.twin().start()).dtype is torch.float64


class Switching(nn.Module):
    """An argument that depends on the state by a threshold alone, and a token in the middle that sees a later one."""

    def __init__(self, kind):
        super().__init__()
        self.layers, self.kind = nn.ModuleList([Block(4), Block(4)]), kind

    def forward(self, x):
        x = self.layers[0](x)
        return self.layers[1](x, (x.abs().max() > 3.0).to(x) if self.kind == "threshold" else None)


def test_arguments_that_switch_with_the_state_are_refused():
    with pytest.raises(NotAutonomousError, match=r"argument 1 of layers.1 depends on the state"):
        dl.capture_block(Switching("threshold"), torch.full((9, 4), 1.5), block="layers")


class Span(nn.Module):
    """Causal but for tokens 20 and 21, which see each other."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Identity()])
        mask = torch.ones(40, 40).tril()
        mask[20, 21] = 1.0
        self.layers[0].forward = lambda x: (mask.to(x) / 9 @ x).tanh()

    def forward(self, x):
        return self.layers[0](x)


class SelfAttention(nn.Module):
    """Layers that are given their state three times."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.MultiheadAttention(8, 2, batch_first=True) for _ in range(2))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x, x, value=x)[0]
        return x


@pytest.mark.parametrize("block", ["layers", "layers.0", "layers.1"])
def test_a_state_that_is_given_more_than_once_is_the_state_at_every_place(block):
    model = SelfAttention().double()
    x = torch.arange(32.0).reshape(4, 8).sin().double()
    m = dl.capture_block(model, x, block=block)
    y = m.start(rng=1, n=3)
    expected = y
    for layer in model.layers if block == "layers" else [model.get_submodule(block)]:
        expected = layer(expected, expected, expected)[0]
    assert gap(m(y), expected.detach()) <= 1e-14
    check_adapter(m)


class Injected(nn.Module):
    """Begins at e, and hands e to every layer."""

    def __init__(self, loops):
        super().__init__()
        self.layers, self.loops = nn.ModuleList([Block(4), Block(4)]), loops

    def forward(self, e):
        x = e
        for _ in range(self.loops):
            for layer in self.layers:
                x = layer(x, e)
        return x


@pytest.mark.parametrize("loops", [1, 3])
def test_an_embedding_that_is_start_and_argument_stays_an_argument(loops):
    model = Injected(loops).double()
    e = torch.arange(12.0).reshape(3, 4).cos().double()
    m = dl.capture_block(model, e, block="layers")
    y = m.start(rng=1, n=2)
    expected = model.layers[1](model.layers[0](y, e), e)
    assert gap(m(y), expected.detach()) <= 1e-14


def test_one_pair_of_tokens_is_enough_not_to_be_causal():
    m = dl.capture_block(Span(), torch.ones(40, 2), block="layers")
    assert m.causal is False


def test_compiled_submodules_and_inference_mode_leave_a_map_with_derivatives():
    model = looped("plain")
    m = dl.capture_block(model, [1, 2, 3], block="core")
    with warnings.catch_warnings():  # torch's own, on import
        warnings.simplefilter("ignore", DeprecationWarning)
        model.core[0] = torch.compile(model.core[0])  # compiles when called, and the stand-in never calls it
    again = dl.capture_block(
        model, torch.inference_mode()(lambda model: model(torch.tensor([[1, 2, 3]]))), block="core"
    )
    x = m.start()
    assert torch.equal(again(x), m(x))
    v = torch.ones_like(x)[:, None]
    assert torch.equal(again.pull(x, v)[1], m.pull(x, v)[1])
    assert again.pull(x, v)[1].any()


class Remembering(nn.Module):
    """Adds what it was last called with: not a function of its state."""

    def __init__(self, *, grows):
        super().__init__()
        self.last, self.grows, self.linear = None, grows, nn.Linear(4, 4)

    def forward(self, x):
        y = self.linear(x) if self.last is None else self.linear(x) + self.last
        self.last = y if self.grows else self.linear(x)
        return y


@pytest.mark.parametrize("grows", [True, False])
def test_a_module_that_remembers_is_refused(grows):
    model = nn.Sequential(Remembering(grows=grows), nn.Linear(4, 4))
    with pytest.raises(NotAutonomousError, match=r"gives different outputs|reads something that the model's forward"):
        dl.capture_block(model, torch.ones(3, 4), block="0")
    assert model[0].last is None


class Cached(nn.Module):
    """A stand-in for code that hands a cache to its layers."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Block(4)])

    def forward(self, x, past_key_values=None, use_cache=True):
        return self.layers[0](x, DynamicCache() if use_cache else past_key_values)


class DynamicCache:
    """Stands for a cache that has seen nothing yet."""

    def __rmul__(self, y):
        return y


def test_key_value_caches_are_switched_off_or_refused():
    x = torch.ones(3, 4)
    m = dl.capture_block(Cached(), x, block="layers")
    assert m.state_shape == (3, 4)
    with pytest.raises(NotAutonomousError, match="the prompt asks for a key-value cache"):
        dl.capture_block(Cached(), {"x": x, "use_cache": True}, block="layers")
    with pytest.raises(NotAutonomousError, match=r"layers.0 is given a key-value cache \(argument 1, a DynamicCache\)"):
        dl.capture_block(Cached(), lambda model: model(x[None]), block="layers")
    llama = model_of("llama")
    with pytest.raises(NotAutonomousError, match="is given a key-value cache"):
        dl.capture_block(llama, lambda model: model(torch.tensor([IDS]), use_cache=True), block="model.layers.1:3")


class Mixing(nn.Module):
    """A block that takes a mask of the batch's size, or that mixes the rows of a batch."""

    def __init__(self, kind):
        super().__init__()
        self.kind, self.layers = kind, nn.ModuleList([nn.Identity()])
        self.layers[0].forward = self.step

    def forward(self, x):
        return self.layers[0](x, torch.full((len(x), 1, 1), 2.0))

    def step(self, x, scale):
        if self.kind == "sized":
            return torch.bmm(scale.expand(-1, x.shape[1], x.shape[1]), x).tanh()
        return (x - x.mean(0) * (len(x) > 1) * 0.5).tanh()


@pytest.mark.parametrize(("kind", "rows"), [("sized", "expanded"), ("mixing", "one by one")])
def test_rows_of_a_batch_are_what_they_are_alone(kind, rows):
    m = dl.capture_block(Mixing(kind), torch.arange(6.0).reshape(3, 2) / 9, block="layers")
    assert m.layers[0].rows == rows
    x = m.start(rng=0, n=4)
    assert torch.equal(m(x), torch.cat([m(x[i : i + 1]) for i in range(4)]))
    dl.testing.check_map(m)


# -- how it is called ------------------------------------------------------------------------------------------------


def test_only_live_modules_have_blocks():
    with pytest.raises(InvalidArgumentError, match=r"model must be a torch.nn.Module; got str"):
        dl.open_checkpoint("demo", IDS, block="transformer.h.1:3")


def test_options_of_a_block_need_one():
    with pytest.raises(InvalidArgumentError, match="belong to block="):
        dl.open_checkpoint(looped("plain"), [1], injection="add")
    with pytest.raises(InvalidArgumentError, match="granularity='sublayer' does not go with block="):
        dl.open_checkpoint(looped("plain"), [1], block="core", granularity="sublayer")


def test_a_claim_of_causality_is_checked():
    with pytest.raises(InvalidArgumentError, match="is not causal"):
        dl.capture_block(model_of("bert"), IDS, block="bert.encoder.layer.1:3", causal=True)
    m = dl.capture_block(model_of("gpt2"), IDS, block="transformer.h.1:3", causal=False)
    assert m.causal is False


def test_fewer_digits_convert_the_whole_pass():
    m = dl.open_checkpoint(model_of("gpt2"), IDS, block="transformer.h.1:3", dtype="bfloat16")
    assert m(m.start()).dtype is torch.bfloat16
    assert {p.dtype for p in m.source.model.parameters()} == {torch.float32}


def test_the_family_is_listed_and_recognises_nothing_by_itself():
    [own] = [family for family in families() if family.name == "generic"]
    assert not own.recognises({"model_type": "gpt2"}, ["transformer.h.0"])
    with pytest.raises(InvalidArgumentError, match="block="):
        own.open(None, None, "layer", None, None)


def test_a_read_out_of_ones_own_and_a_compiled_model():
    model = looped("plain")
    wrapped = nn.Module()
    wrapped._orig_mod = model
    object.__setattr__(wrapped, "state_dict", model.state_dict)
    m = dl.capture_block(wrapped, [1, 2, 3], block="core", decode=lambda x: x.mean(-1))
    assert m.decode(m.start()).shape == (1, 3)
    assert m.name == "generic live Looped"
