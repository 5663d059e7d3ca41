"""Where a checkpoint's files are: ``config.json`` and the weights of a folder, or one weights file in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dynloop.adapters.base import Source
from dynloop.adapters.distinct_keys import DuplicateKeyError, distinct_json
from dynloop.adapters.weights import SUFFIXES, read_weights, without_wrappers
from dynloop.errors import CheckpointError

__all__ = ["read_source"]

_CONFIG = "config.json"
_INDEX = ".index.json"
_USUAL = ("model.safetensors", f"model.safetensors{_INDEX}", "pytorch_model.bin", f"pytorch_model.bin{_INDEX}")


def read_source(path: Path, name: str = "") -> Source:
    """Read a checkpoint from disk.

    Parameters
    ----------
    path : pathlib.Path
        A folder with ``config.json`` and its weights (``model.safetensors``, shards with an index, or one other
        weights file), or a weights file with ``config.json`` beside it.
    name : str
        What messages call the checkpoint; the path if left out.

    Returns
    -------
    Source

    Raises
    ------
    CheckpointError
        If something is missing, damaged or ambiguous; the message names the file and the remedy.
    """
    if not path.exists():
        raise CheckpointError(
            f"there is no folder or file at {path}, and dynloop downloads nothing; give a checkpoint folder, or a "
            f"weights file with {_CONFIG} beside it"
        )
    folder = path if path.is_dir() else path.parent
    weights = _weights_of(path) if path.is_dir() else path
    if weights.suffix not in SUFFIXES and not weights.name.endswith(_INDEX):
        raise CheckpointError(f"{path} is no weights file; give a folder, or a file that ends in {', '.join(SUFFIXES)}")
    config = _config_of(folder)
    tensors = _shards(weights) if weights.name.endswith(_INDEX) else read_weights(weights)
    return Source(name=name or str(path), config=config, tensors=without_wrappers(tensors), folder=folder)


def _weights_of(folder: Path) -> Path:
    """Return the one weights file of a folder; a usual name wins over others."""
    for usual in _USUAL:
        if (folder / usual).is_file():
            return folder / usual
    found = sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.is_file())
    if len(found) == 1:
        return found[0]
    if found:
        files = ", ".join(p.name for p in found)
        raise CheckpointError(
            f"{folder} holds {len(found)} weights files ({files}); give the path of one, such as {found[0]}"
        )
    raise CheckpointError(
        f"{folder} holds no weights; put model.safetensors (or one file that ends in {', '.join(SUFFIXES[1:])}) there"
    )


def _config_of(folder: Path) -> Mapping[str, Any]:
    path = folder / _CONFIG
    if not path.is_file():
        yaml = " (config.yaml is there: write its content as JSON)" if (folder / "config.yaml").is_file() else ""
        raise CheckpointError(
            f"there is no {_CONFIG} in {folder}{yaml}; put the config that the model was saved with beside its weights"
        )
    config = _json(path)
    if not isinstance(config, dict):
        raise CheckpointError(
            f"{path} holds a JSON {type(config).__name__}, not an object of config fields; save it again"
        )
    return config


def _json(path: Path) -> Any:
    try:
        return distinct_json(path.read_text(encoding="utf-8-sig"))
    except DuplicateKeyError as error:
        raise CheckpointError(
            f"{path} has the key {error.args[0]!r} twice in one object; remove the one that does not count"
        ) from error
    except json.JSONDecodeError as error:
        raise CheckpointError(
            f"{path} is not valid JSON (line {error.lineno}, column {error.colno}: {error.msg}); correct it or copy it "
            "again"
        ) from error
    except (UnicodeDecodeError, RecursionError, OSError) as error:
        reason = type(error).__name__
        raise CheckpointError(f"{path} cannot be read as JSON ({reason}); correct it or copy it again") from error


def _shards(index: Path) -> dict[str, torch.Tensor]:
    """Read the weights that an index distributes over files of its own folder."""
    content = _json(index)
    placed = content.get("weight_map") if isinstance(content, dict) else None
    if not isinstance(placed, dict) or not all(isinstance(shard, str) for shard in placed.values()):
        raise CheckpointError(f"{index} has no weight_map from tensor names to files; download or copy it again")
    found: dict[str, torch.Tensor] = {}
    for shard in sorted(set(placed.values())):
        if Path(shard).name != shard:
            raise CheckpointError(f"{index} names the file {shard!r} outside its folder; only files beside it are read")
        if not (index.parent / shard).is_file():
            raise CheckpointError(f"{index} names {shard}, which is not there; download or copy that file")
        own = read_weights(index.parent / shard)
        again = sorted(set(found) & set(own))
        if again:
            raise CheckpointError(
                f"{index} names {shard}, whose tensor {again[0]} another file holds too; remove one of them"
            )
        found |= own
    missing = sorted(set(placed) - set(found))
    if missing:
        raise CheckpointError(f"{index} lists the tensor {missing[0]}, which no file holds; download the files again")
    return found
