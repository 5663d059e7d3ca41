"""`dynloop classify --recorded`: files of states in, a table or a JSON document out, one line for what is no record."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

import dynloop
from dynloop.cli import app
from tests.orbits.records import contraction, embedded, henon, record


def invoke(*arguments):
    return CliRunner().invoke(app, ["classify", *map(str, arguments)])


@pytest.fixture
def settled(tmp_path):
    path = tmp_path / "states.npy"
    np.save(path, record(*contraction(rate=0.5), 96).astype(np.float32))
    return path


def test_a_table_that_fits_80_columns(settled, tmp_path):
    done = invoke("--recorded", settled)
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    assert re.search(r"^  verdict +tokens +rate +floor +from loop", done.stdout, re.MULTILINE)
    assert re.search(r"^  settled +100 % +0\.5", done.stdout, re.MULTILINE)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not any(line.endswith(" ") for line in done.stdout.splitlines())
    both = np.stack([record(*contraction(rate=0.5), 96), record(*embedded(henon, [0.1, 0.1]), 96)], axis=1)
    np.savez(tmp_path / "both.npz", states=both, loss=np.zeros(3))
    done = invoke("--recorded", tmp_path / "both.npz")
    assert "The whole record: moving" in done.stdout
    assert re.search(r"^  settled +50 %", done.stdout, re.MULTILINE)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_json_is_one_strict_document(settled):
    document = json.loads(invoke("--recorded", settled, "--json").stdout, parse_constant=pytest.fail)
    assert document["settings"] == {"recorded": str(settled), "dtype": None}
    [result] = document["results"]
    assert result["verdict"] == result["summary"] == "settled"
    assert result["rate"] == pytest.approx(0.5, abs=0.02)
    assert result["closure"] is None
    assert result["tokens"]["verdict"] == "settled"


def test_dtype_and_out_apply(settled, tmp_path):
    done = invoke("--recorded", settled, "--dtype", "float64", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "float64: as given" in done.stdout
    back = dynloop.load(tmp_path / "out" / "0001.npz")
    assert back.dtype == "float64"
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert summary["results"][0]["summary"] == back.summary()


def test_bfloat16_from_safetensors(tmp_path):
    states = torch.from_numpy(record(*contraction(rate=0.5), 64, "bfloat16")).to(torch.bfloat16)
    save_file({"hidden": states}, tmp_path / "x.safetensors")
    done = invoke("--recorded", tmp_path / "x.safetensors")
    assert "bfloat16: the states are stored in it" in " ".join(done.stdout.split())


def test_what_is_no_record_is_one_line(tmp_path):
    np.save(tmp_path / "short.npy", np.ones((5, 3)))
    np.save(tmp_path / "flat.npy", np.ones(50))
    np.save(tmp_path / "nan.npy", np.full((30, 3), np.nan))
    np.save(tmp_path / "int.npy", np.ones((30, 3), dtype=int))
    np.save(tmp_path / "object.npy", np.array([None, 1], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "two.npz", a=np.ones(3), b=np.ones(3))
    (tmp_path / "x.pt").write_bytes(b"x")
    for name, says in {
        "short.npy": "16 loops at least", "flat.npy": "states[:, None]", "nan.npy": "NaN or infinity in loop 0",
        "int.npy": "floating-point", "object.npy": "Python objects", "two.npz": "none is called states",
        "x.pt": "ends in .npy, .npz, .safetensors", "missing.npy": "there is no file",
    }.items():  # fmt: skip
        done = invoke("--recorded", tmp_path / name)
        assert done.exit_code == 1, name
        assert done.stdout == ""
        assert re.fullmatch(r"dynloop: error: [^\n]+\n", done.stderr), done.stderr
        assert says in done.stderr
        assert name in done.stderr


@pytest.mark.parametrize(
    "more", [["zoo:henon"], ["--loops", "9"], ["--prompt", "x"], ["--starts", "1"], ["--polish", "auto"]], ids=" ".join
)
def test_what_a_record_cannot_heed_is_wrong_usage(settled, more):
    done = invoke("--recorded", settled, *more)
    assert done.exit_code == 2, done.output
    assert "leave" in done.output
