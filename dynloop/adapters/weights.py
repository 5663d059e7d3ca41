"""One weights file, read without ever running code from it: safetensors, or a pickle that holds tensors alone."""

from __future__ import annotations

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from dynloop.adapters.distinct_keys import DuplicateKeyError, distinct_json
from dynloop.errors import CheckpointError, UnsafeFileError

__all__ = ["PICKLED", "SUFFIXES", "read_weights", "without_wrappers"]

PICKLED = (".pt", ".pth", ".bin", ".ckpt")
SUFFIXES = (".safetensors", *PICKLED)
_NESTED = ("model", "state_dict", "model_state_dict")
_WRAPPERS = ("module.", "_orig_mod.")


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of one file by name.

    Parameters
    ----------
    path : pathlib.Path
        ``.safetensors``, or a file that ``torch.save`` wrote (``.pt``, ``.pth``, ``.bin``, ``.ckpt``). The latter is
        read with ``weights_only=True``; a training checkpoint ``{"model": {…}, "optimizer": …}`` gives the model.

    Returns
    -------
    dict of str to tensor
        On the CPU, in the stored dtype.

    Raises
    ------
    UnsafeFileError
        If a pickle names anything but tensors and plain containers. It is refused before any of it runs.
    CheckpointError
        If the file cannot be read, is truncated, or holds no named tensors.
    """
    if path.suffix == ".safetensors":
        return _safetensors(path)
    if path.suffix not in PICKLED:
        raise CheckpointError(f"{path} is no weights file; give a folder, or a file that ends in {', '.join(SUFFIXES)}")
    return _named_tensors(_unpickled(path), path)


def without_wrappers(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Strip what torch.compile (``_orig_mod.``) and data-parallel training (``module.``) put before every name."""
    found = dict(tensors)
    for prefix in _WRAPPERS * 2:
        if found and all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(path)
        with path.open("rb") as stream:  # what was loaded has a header; of two tensors of one name it gives the last
            distinct_json(stream.read(int.from_bytes(stream.read(8), "little")))
    except DuplicateKeyError as error:
        raise CheckpointError(
            f"{path} has the key {error.args[0]!r} twice in its header; write the file again with each tensor once"
        ) from error
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise _damaged(path, error) from error
    return tensors


def _unpickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():  # torch warns of what is refused below
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        named = re.search(r"(?:GLOBAL|class|function) ([\w.]+)", str(error))
        if named is None and "nsupported" not in str(error):
            raise _damaged(path, error) from error
        what = named.group(1) if named else "more than tensors"
        raise UnsafeFileError(
            f"{path} is a pickle that asks for {what}, which may run code; it was not loaded. Save its state_dict "
            "with safetensors.torch.save_file and open that"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        if "TorchScript" in str(error):
            raise UnsafeFileError(
                f"{path} is a TorchScript archive, which holds code; it was not loaded. Save its state_dict with "
                "safetensors.torch.save_file and open that"
            ) from error
        raise _damaged(path, error) from error


def _named_tensors(content: Any, path: Path) -> dict[str, torch.Tensor]:
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    named = isinstance(content, Mapping)
    found = {k: v for k, v in content.items() if isinstance(k, str) and isinstance(v, torch.Tensor)} if named else {}
    if not found:
        holds = f"keys {', '.join(map(repr, list(content)[:5]))}" if named else f"a {type(content).__name__}"
        raise CheckpointError(f"{path} holds no named tensors but {holds}; save the model's state_dict()")
    return found


def _damaged(path: Path, error: Exception) -> CheckpointError:
    lines = str(error).strip().splitlines()
    told = bool(lines) and not isinstance(error, KeyError | OSError)
    reason = lines[0].partition(". ")[0][:160].rstrip(". ") if told else "it cannot be read to its end"
    return CheckpointError(f"{path} is truncated or damaged ({reason}); download or copy it again")
