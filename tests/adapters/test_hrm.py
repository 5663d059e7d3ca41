"""HRM: the map against the authors' own numbers and against its equations, options, and what is refused."""

import pytest
import torch

import dynloop as dl
from dynloop.adapters.registry import open_checkpoint
from dynloop.errors import CheckpointError, PromptError
from dynloop.testing.adapter import check_adapter
from tests.adapters.casting import assert_golden, assert_halves
from tests.adapters.golden import DATA, SUFFIX, changed, gap, golden
from tests.adapters.puzzle_reference import Reference
from tests.adapters.test_trm import INPUTS, SMALL, TINY, saved

FOLDER = DATA / "hrm"
CONFIG = {name: value for name, value in SMALL.items() if name not in ("puzzle_emb_len", "architectures")}
CONFIG |= {"H_layers": 1, "architectures": ["HierarchicalReasoningModel_ACTV1"]}


def opened(b=0, **options):
    arrays = golden("hrm")
    return open_checkpoint(FOLDER, {name: arrays[name][b] for name in ("inputs", "puzzle_identifiers")}, **options)


# -- oracle: the authors' code, and the equations ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SUFFIX)
@pytest.mark.parametrize("granularity", ["layer", "sublayer"])
@pytest.mark.parametrize("b", [0, 1])
def test_states_and_logits_are_the_models_own(dtype, granularity, b):
    m = opened(b, dtype=dtype, granularity=granularity)
    assert_golden("hrm", m, b, dtype, pair=True)
    assert gap(m.start()[0], golden("hrm")[f"x0{SUFFIX[dtype]}"][:, b]) == 0.0


@pytest.mark.parametrize("b", [0, 1])
def test_sections_of_the_first_loop_are_the_outputs_of_the_models_modules(b):
    assert_halves("hrm", opened(b), b, lambda name: 0 if name.startswith("H") else 1)


@pytest.mark.parametrize("b", [0, 1])
def test_the_halting_head_is_the_models_own(b):
    m = opened(b)
    x = m(m.start(n=2))
    read = m.decode(x, head="halting")
    assert read.shape == (2, 2)
    assert gap(read[0], golden("hrm")["q_logits_K1"][b]) <= 2e-5


def test_two_segments_of_the_halting_wrapper_are_four_loops():
    arrays, m = golden("hrm"), opened(1)
    x = m.power(4)(m.start())  # H_cycles is 2
    assert gap(x[0], arrays["act_state_seg2"][:, 1]) <= 1e-4
    assert gap(m.decode(x)[0], arrays["act_logits"][1, 1]) <= 1e-4


@pytest.mark.parametrize(
    "options",
    [
        {"pos_encodings": "learned", "H_layers": 2},
        {"puzzle_emb_ndim": 0, "L_cycles": 3},
        {"puzzle_emb_ndim": 50, "rope_theta": 100.0, "expansion": 30.5},
        {"mlp_t": True, "pos_encodings": "none"},
    ],
)
def test_any_option_follows_its_equations(tmp_path, options):
    config = CONFIG | options
    folder, tensors = saved(tmp_path / "c", config, kind="hrm", prefix="model.")
    reference = Reference(config, tensors, INPUTS, puzzle=2)
    m = open_checkpoint(folder, {"inputs": INPUTS, "puzzle_identifiers": 2}, dtype="float64")
    x = y = m.start()[0]
    for _ in range(3):
        x, y = m(x[None])[0], reference.loop(y)
    assert gap(x, y.numpy()) <= 1e-5
    assert gap(m.decode(x[None])[0], reference.logits(y).numpy()) <= 1e-5


# -- invariants ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", SUFFIX)
def test_a_folder_keeps_every_rule(dtype):
    arrays = golden("hrm")
    reference = {
        n: {"state": arrays[f"state_K{n}{SUFFIX[dtype]}"][:, 1], "output": arrays[f"logits_K{n}{SUFFIX[dtype]}"][1]}
        for n in (1, 4)
    }
    report = check_adapter(opened(1, dtype=dtype), loops=(1, 4), reference=reference, tolerance=2e-5)
    assert {"square 4: state", "square 4: output", "granularity", "float64"} <= set(report.gaps)


def test_a_fixed_point_is_polished_to_rounding(tmp_path):
    config = CONFIG | {name: value for name, value in TINY.items() if name != "puzzle_emb_len"}
    folder, _ = saved(tmp_path / "c", config, kind="hrm")
    m = open_checkpoint(folder, {"inputs": [1, 2, 3]}, dtype="float64")
    found = dl.find_fixed_points(m, m.power(30)(m.start()))
    y = m.native(found.points[0])
    assert float((m(y) - y).norm() / y.norm()) <= 1e-13


def test_the_levels_are_two(tmp_path):
    def still(weights):
        for name in weights:
            if "H_level" in name:
                weights[name].zero_()

    m = open_checkpoint(changed("hrm", tmp_path / "c", tensors=still))
    x = m(m.start())
    slow = torch.nn.functional.rms_norm(m.start()[:, 0] + x[:, 1], (32,), None, 1e-5)  # an empty level is its norm
    torch.testing.assert_close(x[:, 0], slow, rtol=1e-4, atol=1e-4)


# -- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "hrm.other@HierarchicalReasoningModel_ACTV1"}, "makes a map of hrm or hrm_act_v1 alone"),
        ({"puzzle_emb_len": 4}, "puzzle_emb_len = 4, which the hrm adapter does not know"),
        ({"H_layers": 0}, "needs H_layers to be a positive int; it says 0"),
        ({"H_layers": 3}, r"H_level.layers.2.\S* of shape .* is missing"),
        ({"architectures": ["TinyRecursiveReasoningModel_ACTV1"], "name": "trm"}, "H_level.* has no place"),
    ],
)  # fmt: skip
def test_options_that_do_not_work_are_refused_by_name(tmp_path, change, said):
    folder = changed("hrm", tmp_path / "c", config=lambda c: c.update(change))
    with pytest.raises(CheckpointError, match=said):
        open_checkpoint(folder)


def test_a_puzzle_outside_the_table_is_refused():
    with pytest.raises(PromptError, match="puzzle_identifiers holds 3; ids lie in 0 … 2"):
        open_checkpoint(FOLDER, {"inputs": [0] * 9, "puzzle_identifiers": 3})


def test_both_families_are_known_by_tensor_names_alone(tmp_path):
    for family in ("trm", "hrm"):
        folder = changed(
            family, tmp_path / family, config=lambda c: [c.pop(name) for name in ("name", "architectures")]
        )
        assert open_checkpoint(folder).family.name == family
