"""`open_checkpoint`: which family is asked, options, live models; and families of a user's own."""

import dataclasses
import importlib.metadata
import types

import pytest
import torch

import dynloop as dl
from dynloop.adapters import registry
from dynloop.adapters.base import Checkpoint, Family, starts_around
from dynloop.adapters.registry import families, open_checkpoint, register_adapter
from dynloop.errors import (
    CheckpointError,
    DynloopWarning,
    InvalidArgumentError,
    ShapeError,
    UnknownFamilyError,
)
from tests.adapters.golden import DATA, changed


def open_halving(source, prompt, granularity, dtype, device):
    weight = source.tensors["scale"].to(dtype=dtype, device=device)
    return Checkpoint(
        {"scale": lambda x: x * weight.to(x.dtype)},
        (2, 3),
        family=HALVING,
        source=source,
        prompt={"input_ids": [0, 1]},
        tokens=(0, 1),
        decode=lambda x: x.sum(-1),
        summary="no injection",
        start=starts_around(torch.ones(2, 3)),
        granularity=granularity,
        dtype=weight.dtype,
    )


HALVING = Family(
    name="halving",
    description="x ← x / 2",
    identifies="model_type halving",
    recognises=lambda config, _: config.get("model_type") == "halving",
    open=open_halving,
)


class Halving(torch.nn.Module):
    config = {"model_type": "halving"}  # noqa: RUF012 - a live model's config may be a mapping

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(0.5))


@pytest.fixture(autouse=True)
def _unregistered(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    registry._installed.cache_clear()
    yield
    registry._installed.cache_clear()


# -- invariants ------------------------------------------------------------------------------------------------------


def test_public_names_lead_here():
    assert dl.open_checkpoint is open_checkpoint
    assert dl.register_adapter is register_adapter


def test_built_in_families_are_known_and_described():
    assert [family.name for family in families()] == [
        "albert", "deq", "generic", "hrm", "hrm_text", "huginn", "looped_icl", "looped_lm", "ouro", "parcae",
        "retrofitted", "trm", "x_transformers",
    ]  # fmt: skip
    assert all(family.description and family.identifies for family in families())


def test_a_family_is_recognised_by_tensor_names_alone(tmp_path):
    folder = changed("albert", tmp_path / "c", config=lambda c: c.pop("model_type"))
    assert open_checkpoint(folder, [1, 2]).family.name == "albert"


def test_a_users_family_comes_first_and_replaces_its_namesake():
    assert register_adapter(HALVING) is HALVING
    m = open_checkpoint(Halving())
    assert m.family is families()[0] is HALVING
    torch.testing.assert_close(m.decode(m(m.start())), torch.full((1, 2), 1.5))
    other = dataclasses.replace(HALVING, description="another")
    register_adapter(other)
    assert [family.name for family in families()].count("halving") == 1
    assert families()[0] is other


def test_installed_families_are_found_by_entry_point(monkeypatch):
    entry = importlib.metadata.EntryPoint("halving", f"{__name__}:HALVING", "dynloop.adapters")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: [entry])
    assert families()[0] is HALVING


def test_an_entry_point_that_does_not_load_is_left_out_with_a_warning(monkeypatch):
    entries = [importlib.metadata.EntryPoint("x", value, "dynloop.adapters") for value in ("gone:F", "math:pi")]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: entries)
    with pytest.warns(DynloopWarning) as caught:
        assert len(families()) == len(registry._BUILT_IN)
    assert "the adapter gone:F was not loaded" in str(caught[0].message)
    assert "the adapter math:pi is no Family" in str(caught[1].message)


@pytest.mark.parametrize("dtype", [torch.float64, "float64"])
def test_dtype_is_a_torch_dtype_or_its_name(dtype):
    m = open_checkpoint(DATA / "looped_icl", dtype=dtype)
    assert m.dtype is torch.float64
    assert m.start().dtype is torch.float64


def test_device_is_kept():
    assert open_checkpoint(DATA / "looped_icl", device="cpu").device == torch.device("cpu")


@pytest.mark.parametrize("family", ["albert", "huginn", "looped_icl", "ouro", "retrofit_llama", "retrofit_olmo"])
def test_decode_keeps_batch_and_dtype(family):
    m = open_checkpoint(DATA / family)
    states = m.start(0, 3)
    for given in (states, states.double(), states.double().numpy()):
        read = m.decode(given)
        assert len(read) == 3
        assert read.dtype == torch.as_tensor(given).dtype
    assert m.decode(states.tolist()).dtype is m.dtype


def test_powers_rotations_and_twins():
    m = open_checkpoint(DATA / "looped_icl")
    x = m.start()
    torch.testing.assert_close(m.power(2)(x), m(m(x)))
    torch.testing.assert_close(m.rotate(2)(m.sections(x)[2]), m.sections(m(x))[2])
    twin = m.twin()
    assert isinstance(twin, Checkpoint)
    assert twin.tokens == m.tokens
    assert "float64" in twin.describe()
    assert twin.decode(twin(twin.start())).dtype is torch.float64


# -- errors ----------------------------------------------------------------------------------------------------------


def test_an_unknown_family_lists_the_known_ones(tmp_path):
    def drop(tensors):
        for name in [name for name in tensors if "_read" in name]:
            del tensors[name]

    def rename(config):
        config.clear()
        config["model_type"] = "llama"

    folder = changed("looped_icl", tmp_path / "c", config=rename, tensors=drop)
    with pytest.raises(UnknownFamilyError) as caught:
        open_checkpoint(folder)
    said = str(caught.value)
    assert said.startswith(f"no adapter recognises {folder} (model_type 'llama', tensors such as _backbone.")
    assert all(f"{family.name} ({family.identifies})" in said for family in families())
    assert said.endswith("Register one of your own with dynloop.register_adapter")
    assert "\n" not in said


def test_what_is_no_model_is_refused():
    with pytest.raises(InvalidArgumentError, match=r"must be a path or a model with state_dict\(\); got int"):
        open_checkpoint(3)
    with pytest.raises(CheckpointError, match="a live Linear carries no config"):
        open_checkpoint(torch.nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("granularity", "block", "granularity must be 'layer' or 'sublayer'; got 'block'"),
        ("dtype", "int8", "dtype must be a floating dtype such as torch.float64 or 'float64'; got 'int8'"),
        ("dtype", "nothing", "dtype must be a floating dtype"),
        ("device", "gpu7", "device 'gpu7' cannot be used here; pass device='cpu' or leave it out"),
    ],
)
def test_options_are_checked(option, value, said):
    with pytest.raises(InvalidArgumentError, match=said):
        open_checkpoint(DATA / "looped_icl", **{option: value})


def test_unknown_demo_lists_the_demos(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "_DEMOS", tmp_path / "demo")
    for name in ("second", "first"):
        (tmp_path / "demo" / name).mkdir(parents=True)
        changed("looped_icl", tmp_path / "demo" / name)
    with pytest.raises(CheckpointError, match="there is no demo 'third'; the demos are first, second"):
        open_checkpoint("demo:third")
    assert open_checkpoint("demo").source.name == "demo:first"
    assert open_checkpoint("demo:second").describe().startswith("looped_icl demo:second: one loop = ")
    monkeypatch.setattr(registry, "_DEMOS", tmp_path / "gone")
    with pytest.raises(CheckpointError, match="there is no demo ''; none came with this installation"):
        open_checkpoint("demo")


def test_register_checks_what_it_is_given():
    with pytest.raises(InvalidArgumentError, match=r"must be a dynloop.adapters.base.Family; got SimpleNamespace"):
        register_adapter(types.SimpleNamespace(name="mine"))
    with pytest.raises(InvalidArgumentError, match="the name 'albert' belongs to dynloop's own adapter"):
        register_adapter(dataclasses.replace(HALVING, name="albert"))


def test_decode_checks_the_shape():
    m = open_checkpoint(DATA / "looped_icl")
    with pytest.raises(ShapeError, match=r"Add the batch axis: state\[None\]"):
        m.decode(m.start()[0])
    with pytest.raises(ShapeError, match=r"acts on states of shape \(batch, 22, 32\)"):
        m.decode(torch.zeros(1, 22, 31))
