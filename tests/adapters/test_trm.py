"""TRM: the map against the authors' own numbers and against its equations, options, and what is refused."""

import json
import types

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import dynloop as dl
from dynloop.adapters.registry import open_checkpoint
from dynloop.errors import CheckpointError, PromptError
from dynloop.testing.adapter import check_adapter
from tests.adapters.casting import assert_golden, assert_halves
from tests.adapters.golden import DATA, SUFFIX, changed, gap, golden
from tests.adapters.puzzle_reference import Reference, drawn

FOLDER = DATA / "trm"
INPUTS = [1, 0, 6, 3, 2]
SMALL = {
    "batch_size": 1, "seq_len": 5, "puzzle_emb_ndim": 12, "num_puzzle_identifiers": 4, "vocab_size": 7, "H_cycles": 3,
    "L_cycles": 2, "H_layers": 0, "L_layers": 2, "hidden_size": 24, "expansion": 4, "num_heads": 2,
    "pos_encodings": "rope", "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "halt_max_steps": 4,
    "halt_exploration_prob": 0.1, "forward_dtype": "bfloat16", "puzzle_emb_len": 2,
    "architectures": ["TinyRecursiveReasoningModel_ACTV1"],
}  # fmt: skip

TINY = {"hidden_size": 8, "seq_len": 3, "puzzle_emb_ndim": 0, "puzzle_emb_len": 0}


def opened(b=0, **options):
    arrays = golden("trm")
    return open_checkpoint(FOLDER, {name: arrays[name][b] for name in ("inputs", "puzzle_identifiers")}, **options)


def saved(folder, config, kind="trm", prefix="_orig_mod.model."):
    tensors = drawn(config, kind, prefix)
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(tensors, folder / "model.safetensors")
    return folder, tensors


# -- oracle: the authors' code, and the equations ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SUFFIX)
@pytest.mark.parametrize("granularity", ["layer", "sublayer"])
@pytest.mark.parametrize("b", [0, 1])
def test_states_and_logits_are_the_models_own(dtype, granularity, b):
    m = opened(b, dtype=dtype, granularity=granularity)
    assert_golden("trm", m, b, dtype, pair=True)
    assert gap(m.start()[0], golden("trm")[f"x0{SUFFIX[dtype]}"][:, b]) == 0.0


@pytest.mark.parametrize("b", [0, 1])
def test_sections_of_the_first_loop_are_the_outputs_of_the_models_modules(b):
    m = opened(b)
    assert m.layer_names[5:] == ("L step 2 block 1", "H step block 0", "H step block 1")
    assert_halves("trm", m, b, lambda name: 0 if name.startswith("H") else 1)


@pytest.mark.parametrize("b", [0, 1])
def test_the_halting_head_is_the_models_own(b):
    m = opened(b)
    x = m(m.start(n=2))
    read = m.decode(x, head="halting")
    assert read.shape == (2, 2)
    assert gap(read[0], golden("trm")["q_logits_K1"][b]) <= 2e-5


def test_two_segments_of_the_halting_wrapper_are_six_loops():
    arrays, m = golden("trm"), opened()
    x = m.power(6)(m.start())  # H_cycles is 3
    assert gap(x[0], arrays["act_state_seg2"][:, 0]) <= 2e-5
    assert gap(m.decode(x)[0], arrays["act_logits"][1, 0]) <= 2e-5


@pytest.mark.parametrize(
    ("options", "prefix"),
    [
        ({"puzzle_emb_len": 0}, "inner."),
        ({"puzzle_emb_len": 3, "rms_norm_eps": 0.1, "rope_theta": 20.0}, "model.inner."),
        ({"mlp_t": True, "pos_encodings": "none"}, "_orig_mod.model.inner."),
        ({"pos_encodings": "learned", "expansion": 40}, "_orig_mod.inner."),
        ({"puzzle_emb_ndim": 0, "puzzle_emb_len": 0, "L_cycles": 1, "L_layers": 1}, "module.model.inner."),
        ({"puzzle_emb_ndim": 60, "puzzle_emb_len": 0, "mlp_t": True, "pos_encodings": "learned"}, "inner."),
        ({"hidden_size": 22, "num_heads": 5, "puzzle_emb_len": 1}, "inner."),
    ],
)
def test_any_option_and_any_prefix_of_names_follows_its_equations(tmp_path, options, prefix):
    folder, tensors = saved(tmp_path / "c", SMALL | options, prefix=prefix.removesuffix("inner."))
    reference = Reference(SMALL | options, tensors, INPUTS, puzzle=3)
    m = open_checkpoint(folder, {"inputs": INPUTS, "puzzle_identifiers": 3}, dtype="float64")
    x = y = m.start()[0]
    assert gap(x, reference.start().numpy()) == 0.0
    for _ in range(3):
        x, y = m(x[None])[0], reference.loop(y)
    assert gap(x, y.numpy()) <= 1e-5  # angles are float32 products, as in the authors' code
    assert gap(m.decode(x[None])[0], reference.logits(y).numpy()) <= 1e-5
    check_adapter(m, tolerance=1e-10)


def test_without_rotation_the_equations_hold_to_float64(tmp_path):
    config = SMALL | {"pos_encodings": "learned"}
    folder, tensors = saved(tmp_path / "c", config)
    m = open_checkpoint(folder, {"inputs": INPUTS, "puzzle_identifiers": 3}, dtype="float64")
    x = m(m.start())[0]
    assert gap(x, Reference(config, tensors, INPUTS, puzzle=3).loop(m.start()[0]).numpy()) <= 1e-13


# -- invariants ------------------------------------------------------------------------------------------------------


def test_a_fixed_point_is_polished_to_rounding(tmp_path):
    folder, _ = saved(tmp_path / "c", SMALL | TINY)
    m = open_checkpoint(folder, {"inputs": [1, 2, 3]}, dtype="float64")
    found = dl.find_fixed_points(m, m.power(20)(m.start()))
    y = m.native(found.points[0])
    assert float((m(y) - y).norm() / y.norm()) <= 1e-13


def test_fast_and_slow_steps_share_their_weights_with_each_other_and_with_the_file():
    m = opened()
    modules = {id(p) for layer in m.layers for p in layer.parameters()}
    assert len(modules) == 14  # two blocks of q, k, v, o, gate, up, down
    assert m.twin().layers == m.layers


def test_every_factor_moves_one_half_alone():
    m = opened(granularity="sublayer")
    moved = (m.sections(m.start()).diff(dim=0) != 0).flatten(3).any(-1)[:, 0]
    for name, (high, low) in zip(m.layer_names, moved.tolist(), strict=True):
        assert (high, low) == ((True, False) if name.startswith("H step") else (False, True))


def test_default_prompt_is_seeded_and_said():
    m = open_checkpoint(FOLDER)
    assert "9 inputs drawn with seed 0, puzzle 0" in m.describe()
    assert m.tokens[:4] == ("puzzle0", "puzzle1", "puzzle2", "puzzle3")
    assert len(m.tokens) == m.state_shape[1] == 13


def test_kinds_of_starts():
    m = opened(dtype="float64")
    e = golden("trm")["e_f64"][0]
    assert gap(m.start(kind="embedding")[0], np.stack([e, e])) <= 1e-6
    assert m.start(rng=1, n=40, kind="noise").square().mean() == pytest.approx((e**2).mean(), rel=0.05)


def test_a_training_config_with_its_sections_opens(tmp_path):
    folder = changed("trm", tmp_path / "c")
    fields = json.loads((folder / "config.json").read_text())
    data = {name: fields.pop(name) for name in ("batch_size", "seq_len", "vocab_size", "num_puzzle_identifiers")}
    fields["loss"] = {"name": "losses@ACTLossHead"}
    (folder / "config.json").write_text(json.dumps({"arch": fields, "lr": 1e-4, **data}))
    a, b = open_checkpoint(folder), open_checkpoint(FOLDER)
    assert torch.equal(a(a.start()), b(b.start()))


def test_a_file_of_torch_save_with_states_in_bfloat16_works_in_the_widest_dtype(tmp_path):
    tensors = load_file(FOLDER / "model.safetensors")
    for name in tensors:
        if name.endswith("_init"):
            tensors[name] = tensors[name].bfloat16()
    folder = changed("trm", tmp_path / "c")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "step.pt")
    assert open_checkpoint(folder).dtype is torch.float32


class TinyRecursiveReasoningModel_ACTV1(torch.nn.Module):  # noqa: N801 - the authors' name
    """A stand-in for a live model: its config is a pydantic model, its weights are those of the fixture."""

    def __init__(self):
        super().__init__()
        fields = json.loads((FOLDER / "config.json").read_text())
        del fields["architectures"], fields["name"]
        self.config = types.SimpleNamespace(model_dump=lambda: fields)

    def state_dict(self):
        stored = load_file(FOLDER / "model.safetensors")
        return {name.removeprefix("_orig_mod.model."): tensor for name, tensor in stored.items()}


class LossHead(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def state_dict(self):
        return {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}


@pytest.mark.parametrize("wrap", [lambda model: model, LossHead])
def test_a_live_model_is_known_by_its_class_inside_a_loss_head_too(wrap):
    a, b = open_checkpoint(wrap(TinyRecursiveReasoningModel_ACTV1())), open_checkpoint(FOLDER)
    assert torch.equal(a(a.start()), b(b.start()))


def test_description_is_one_line_that_names_the_map():
    said = opened().describe()
    assert "3 × z_L ← L(z_L + z_H + e), then z_H ← H(z_H + z_L), the L level in both roles" in said
    assert "state 2 × 13 × 32, not causal, float32" in said
    assert "\n" not in said


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "recursive_reasoning.trm_hier6@TinyRecursiveReasoningModel_ACTV1"}, "the config says name = .*hier6"),
        ({"pos_encodings": "alibi"}, "the config says pos_encodings = 'alibi'"),
        ({"causal": True}, "the config says causal = True, which the trm adapter does not know"),
        ({"H_cycles": 0}, "needs H_cycles to be a positive int; it says 0"),
        ({"forward_dtype": "int8"}, "the config says forward_dtype = 'int8'"),
        ({"mlp_t": "no"}, "needs mlp_t to be true or false; it says 'no'"),
        ({"hidden_size": 0}, "needs hidden_size to be a positive int; it says 0"),
        ({"rms_norm_eps": "1e-5"}, "needs rms_norm_eps to be a number ≥ 0; it says '1e-5'"),
        ({"num_heads": 5, "hidden_size": 25}, "cuts hidden_size = 25 into heads of width 5, which must be even"),
        ({"puzzle_emb_ndim": 0}, "puzzle_emb_len = 4 and puzzle_emb_ndim = 0"),
        ({"puzzle_emb_ndim": 200}, "have no room for puzzle_emb_ndim = 200; the config needs puzzle_emb_len to be 7"),
        ({"L_layers": 1}, r"inner.L_level.layers.1.\S* has no place in the model"),
        ({"mlp_t": True}, "mlp_t.gate_up_proj.weight of shape .* is missing"),
        ({"expansion": 40}, r"gate_up_proj.weight has shape \(512, 32\), the config implies \(2048, 32\)"),
    ],
)  # fmt: skip
def test_options_that_do_not_work_are_refused_by_name(tmp_path, change, said):
    folder = changed("trm", tmp_path / "c", config=lambda c: c.update(change))
    with pytest.raises(CheckpointError, match=said) as caught:
        open_checkpoint(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["H_init", "q_head.bias", "puzzle_emb.weights", "L_level.layers.0.mlp.down_proj.weight"]
)
def test_a_missing_tensor_is_named(tmp_path, name):
    folder = changed("trm", tmp_path / "c", tensors=lambda w: w.pop(f"_orig_mod.model.inner.{name}"))
    with pytest.raises(CheckpointError, match=f"the tensor model.inner.{name} of shape .* is missing"):
        open_checkpoint(folder)


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ([1, 2, 3], "reads a dict of inputs, puzzle_identifiers; got a list"),
        ({"inputs": np.zeros(9, int)}, "puzzle_identifiers is missing"),
        ({"inputs": np.zeros(8, int), "puzzle_identifiers": 0}, "inputs has 8 tokens, and the model was built for 9"),
        ({"inputs": np.zeros(10, int), "puzzle_identifiers": 0}, "has 10 tokens, and the model has positions for 9"),
        ({"inputs": np.full(9, 11), "puzzle_identifiers": 0}, "inputs holds 11; ids lie in 0 … 10"),
        ({"inputs": np.zeros(9, int), "puzzle_identifiers": 3}, "puzzle_identifiers holds 3; ids lie in 0 … 2"),
        ({"inputs": np.zeros(9, int), "puzzle_identifiers": [0, 1]}, "puzzle_identifiers must be one int; got shape"),
        ({"inputs": [], "puzzle_identifiers": 0}, "inputs is empty; give at least one token"),
        ({"inputs": np.zeros((1, 9), int), "puzzle_identifiers": 0}, r"Leave the batch axis out: inputs\[0\]"),
    ],
)
def test_prompts_that_do_not_fit_are_refused(prompt, said):
    with pytest.raises(PromptError, match=said) as caught:
        open_checkpoint(FOLDER, prompt)
    assert "\n" not in str(caught.value)
