"""Golden arrays that the models' own code computed, and copies of checkpoints with something changed."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from dynloop.maps.torch import TorchMap

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


def native_tolerance(family: str, name: str, dtype: str) -> float:
    """As `tolerance`, for code whose float64 runs keep float32 norms: there 1e-5 of the largest entry."""
    if dtype == "float64":
        return 1e-5 * max(1.0, facts(family)["array_scale_max_abs"][name])
    return tolerance(family, name, dtype)


def recorded(family: str, b: int, dtype: str = "float32") -> dict[int, dict[str, np.ndarray]]:
    """Where upstream's own code began with prompt b and what it put out, as `check_adapter` takes it."""
    arrays, suffix = golden(family), SUFFIX[dtype]
    named = {"state": "state", "output": "logits"}
    after = {n: {what: arrays[f"{name}_K{n}{suffix}"][b] for what, name in named.items()} for n in LOOPS}
    return {0: {"state": arrays[f"x0{suffix}"][b]}, **after}


def option(name: str, folder: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Write one of the checkpoints in ``upstream_options`` to `folder`; return that and upstream's own numbers."""
    with np.load(DATA / "upstream_options" / f"{name}.npz") as archive:
        arrays = dict(archive)
    folder.mkdir()
    (folder / "config.json").write_bytes(arrays.pop("config").tobytes())
    tensors = {key.removeprefix("tensor:"): arrays.pop(key) for key in list(arrays) if key.startswith("tensor:")}
    save_file({key: torch.from_numpy(value) for key, value in tensors.items()}, folder / "model.safetensors")
    return folder, arrays


def options_of(form: str) -> list[str]:
    """The names of the checkpoints in ``upstream_options`` of one form."""
    return sorted(path.stem for path in (DATA / "upstream_options").glob(f"{form}-*.npz"))


def derivative_gap(m: TorchMap, x: torch.Tensor) -> float:
    """Relative distance of J·v from central differences, extrapolated to fourth order."""
    v = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    h = 1e-3 * float(x.square().mean().sqrt())
    wide, narrow = ((m(x + s * v) - m(x - s * v)) / (2 * s) for s in (h, h / 2))
    difference = (4 * narrow - wide) / 3
    return float((m.push(x, v[:, None])[1][:, 0] - difference).norm() / difference.norm())


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
