"""Looped in-context regressors: the map against the authors' own numbers, and its invariants."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from dynloop.adapters.registry import open_checkpoint
from tests.adapters.golden import DATA, LOOPS, SUFFIX, changed, gap, golden, tolerance

FOLDER = DATA / "looped_icl"
PREFIX = "_backbone.transformer"


def opened(b=0, **options):
    arrays = golden("looped_icl")
    return open_checkpoint(FOLDER, {"xs": arrays["xs"][b], "ys": arrays["ys"][b]}, **options)


# -- oracle: the authors' code ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SUFFIX)
@pytest.mark.parametrize("granularity", ["layer", "sublayer"])
@pytest.mark.parametrize("b", [0, 1])
def test_states_and_predictions_are_the_models_own(dtype, granularity, b):
    arrays, m = golden("looped_icl"), opened(b, dtype=dtype, granularity=granularity)
    x = m.start()
    assert gap(x[0], arrays[f"x0{SUFFIX[dtype]}"][b]) == 0.0
    for n in range(1, max(LOOPS) + 1):
        x = m(x)
        if n in LOOPS:
            state, output = f"state_K{n}", f"logits_K{n}"
            assert gap(x[0], arrays[state + SUFFIX[dtype]][b]) <= tolerance("looped_icl", state, dtype)
            assert gap(m.decode(x)[0], arrays[output + SUFFIX[dtype]][b]) <= tolerance("looped_icl", output, dtype)


@pytest.mark.parametrize("b", [0, 1])
def test_sections_of_the_first_loop_are_the_outputs_of_the_models_modules(b):
    m = opened(b)
    assert m.layer_names == ("inject", "block 0", "block 1", "ln_f")
    assert gap(m.sections(m.start())[1:, 0], golden("looped_icl")["layers_loop1"][:, b]) <= 2e-5


@pytest.mark.parametrize("dtype", SUFFIX)
def test_trained_weights_give_the_models_own_states_and_predictions(checkpoints, dtype):
    arrays = golden("looped_icl_trained", "golden_200000.npz")
    path = checkpoints / "looped_linear_regression" / "model_200000.pt"
    m = open_checkpoint(path, {"xs": arrays["xs"][0], "ys": arrays["ys"][0]}, dtype=dtype)
    allowed = 1e-10 if dtype == "float64" else 1e-4  # upstream's own float32 and float64 runs part by 1e-5
    x = m.start()
    for n in range(1, max(LOOPS) + 1):
        x = m(x)
        if n in LOOPS:
            assert gap(x, arrays[f"state_K{n}_f64"]) <= allowed
            assert gap(m.decode(x), arrays[f"logits_K{n}{SUFFIX[dtype]}"]) <= allowed


def test_trained_weights_predict_as_the_model_does_after_up_to_100_loops(checkpoints):
    arrays = golden("looped_icl_trained", "golden_200000.npz")
    path = checkpoints / "looped_linear_regression" / "model_200000.pt"
    prompt = {"xs": arrays["pred_xs"][1], "ys": arrays["pred_ys"][1]}
    m = open_checkpoint(path, prompt, dtype=torch.float64)
    x, done = m.start(), 0
    for i, n in enumerate(arrays["pred_loops"]):
        for _ in range(n - done):
            x = m(x)
        done = n
        assert gap(m.decode(x)[0], arrays["pred_f64"][i, 1]) <= 1e-10


def product_form(weights, xs, ys, loops, heads):
    """The authors' loop ``z = f(x*z)``, written from their equations with explicit attention."""
    z = torch.stack([xs, functional.pad(ys[:, None], (0, xs.shape[1] - 1))], 1).flatten(0, 1)
    e = z @ weights["_read_in.weight"].T + weights["_read_in.bias"]
    tokens, width = e.shape
    x = torch.ones_like(e)

    def norm(name, u):
        return functional.layer_norm(u, (width,), weights[f"{name}.weight"], weights[f"{name}.bias"])

    def linear(name, u):
        return u @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    for _ in range(loops):
        x = x * e + weights[f"{PREFIX}.wpe.weight"][:tokens]
        for i in range(2):
            h = f"{PREFIX}.h.{i}"
            q, k, v = linear(f"{h}.attn.c_attn", norm(f"{h}.ln_1", x)).split(width, dim=-1)
            q, k, v = (u.view(tokens, heads, -1).transpose(0, 1) for u in (q, k, v))
            scores = q @ k.mT / (width // heads) ** 0.5
            scores = scores.masked_fill(torch.ones(tokens, tokens).triu(1).bool(), -torch.inf)
            mixed = (scores.softmax(-1) @ v).transpose(0, 1).reshape(tokens, width)
            x = x + linear(f"{h}.attn.c_proj", mixed)
            u = linear(f"{h}.mlp.c_fc", norm(f"{h}.ln_2", x))
            u = 0.5 * u * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (u + 0.044715 * u**3)))
            x = x + linear(f"{h}.mlp.c_proj", u)
        x = norm(f"{PREFIX}.ln_f", x)
    return x, linear("_read_out", x)[0::2, 0]


def test_the_product_form_follows_its_equations(tmp_path):
    folder = changed("looped_icl", tmp_path / "c", config=lambda c: c["model"].update(loop_func="z=f(x*z)"))
    xs, ys = (golden("looped_icl")[name][0].astype(np.float64) for name in ("xs", "ys"))
    m = open_checkpoint(folder, {"xs": xs, "ys": ys}, dtype="float64")
    weights = {name: tensor.double() for name, tensor in load_file(FOLDER / "model.safetensors").items()}
    state, read = product_form(weights, torch.from_numpy(xs), torch.from_numpy(ys), 4, heads=4)
    x = m.power(4)(m.start())
    assert m.start().unique().tolist() == [1.0]
    assert gap(x[0], state.numpy()) <= 1e-12
    assert gap(m.decode(x)[0], read.numpy()) <= 1e-12


# -- invariants ------------------------------------------------------------------------------------------------------


def test_a_tied_model_starts_at_the_prompt_and_has_one_block(tmp_path):
    def tie(fields):
        fields["model"].update(family="gpt2_tying", n_layer=12)

    def keep_one_block(weights):
        for name in [name for name in weights if ".h.1." in name]:
            del weights[name]

    folder = changed("looped_icl", tmp_path / "c", config=tie, tensors=keep_one_block)
    arrays = golden("looped_icl")
    m = open_checkpoint(folder, {"xs": arrays["xs"][0], "ys": arrays["ys"][0]}, dtype="float64")
    assert m.layer_names == ("inject", "block 0", "ln_f")
    assert gap(m.start()[0], arrays["e_f64"][0]) <= 1e-14


def test_a_classifier_reads_two_numbers_a_pair(tmp_path):
    def two_classes(weights):
        weights["_read_out.weight"] = torch.cat([weights["_read_out.weight"]] * 2)
        weights["_read_out.bias"] = torch.cat([weights["_read_out.bias"], weights["_read_out.bias"] + 1])

    folder = changed(
        "looped_icl",
        tmp_path / "c",
        config=lambda c: c["model"].update(pred_type="classification"),
        tensors=two_classes,
    )
    arrays, plain = golden("looped_icl"), opened()
    m = open_checkpoint(folder, {"xs": arrays["xs"][0], "ys": arrays["ys"][0]})
    read = m.decode(m(m.start()))
    assert read.shape == (1, 7, 2)
    assert (m.read_out, plain.read_out) == ("logits", "numbers")
    torch.testing.assert_close(read[..., 0], plain.decode(plain(plain.start())))
    torch.testing.assert_close(read[..., 1], read[..., 0] + 1)


def test_float64_twin_is_the_checkpoint_opened_in_float64():
    m = opened()
    twin, wide = m.twin(), opened(dtype=torch.float64)
    assert type(twin) is type(m)
    assert torch.equal(twin(twin.start()), wide(wide.start()))
    assert twin.layers == m.layers  # shared, not copied


def test_default_prompt_is_seeded_and_said():
    m, again = open_checkpoint(FOLDER), open_checkpoint(FOLDER)
    assert "11 standard normal pairs y = w·x drawn with seed 0" in m.describe()
    assert m.tokens[:3] == ("x1", "y1", "x2")
    assert len(m.tokens) == m.state_shape[0] == 22
    assert torch.equal(m(m.start()), again(again.start()))


def test_first_start_is_the_models_own_and_others_are_noise_around_it():
    starts = opened().start(rng=3, n=200)
    assert not starts[0].any()
    assert starts[1:].std().item() == pytest.approx(1.0, abs=0.02)


def test_description_names_layers_injection_norm_and_type():
    said = opened(granularity="sublayer").describe()
    assert "inject → block 0 attention → block 0 mlp → block 1 attention → block 1 mlp → ln_f" in said
    assert "inject = x + e + positions, ln_f closes the loop" in said
    assert "state 14 × 32, causal, float32" in said
    assert "\n" not in said


def test_wrappers_of_compiled_and_parallel_training_are_stripped(tmp_path):
    def wrap(weights):
        for name in list(weights):
            weights[f"module._orig_mod.{name}"] = weights.pop(name)

    folder = changed("looped_icl", tmp_path / "c", tensors=wrap)
    arrays, m = golden("looped_icl"), opened()
    other = open_checkpoint(folder, {"xs": arrays["xs"][0], "ys": arrays["ys"][0]})
    assert torch.equal(other(other.start()), m(m.start()))


def test_a_mixed_checkpoint_works_in_its_widest_dtype(tmp_path):
    def halve(weights):
        for name in weights:
            if "c_fc" in name:
                weights[name] = weights[name].bfloat16()

    m = open_checkpoint(changed("looped_icl", tmp_path / "c", tensors=halve))
    assert m.dtype is torch.float32
    assert m(m.start()).dtype is torch.float32
