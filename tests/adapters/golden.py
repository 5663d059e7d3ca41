"""Golden arrays that the models' own code computed, and copies of checkpoints with something changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

DATA = Path(__file__).parents[1] / "data"
LOOPS = (1, 4, 16)
SUFFIX = {"float32": "", "float64": "_f64"}


def golden(family: str, name: str = "golden.npz") -> dict[str, np.ndarray]:
    with np.load(DATA / family / name) as archive:
        return dict(archive)


def facts(family: str) -> dict[str, Any]:
    return json.loads((DATA / family / "facts.json").read_text())


def tolerance(family: str, name: str, dtype: str) -> float:
    """1e-10 in float64; in float32 2e-5, or ten times the distance of upstream's own float32 and float64 runs."""
    if dtype == "float64":
        return 1e-10
    return max(2e-5, 10 * facts(family)["float64"]["float32_vs_float64_max_abs"].get(name, 0.0))


def gap(found: torch.Tensor, expected: np.ndarray) -> float:
    assert tuple(found.shape) == expected.shape
    return float(np.abs(found.double().numpy() - expected).max())


def changed(
    family: str,
    folder: Path,
    *,
    config: Callable[[dict[str, Any]], Any] = len,
    tensors: Callable[[dict[str, torch.Tensor]], Any] = len,
) -> Path:
    """Copy a checkpoint to `folder`, its config and tensors changed in place by two callables (len changes none)."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    fields = json.loads((DATA / family / "config.json").read_text())
    weights = load_file(DATA / family / "model.safetensors")
    config(fields)
    tensors(weights)
    (folder / "config.json").write_text(json.dumps(fields))
    save_file(weights, folder / "model.safetensors")
    return folder
