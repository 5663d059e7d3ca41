"""A file of recorded states, read without ever running code from it: .npy, .npz or .safetensors."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from dynloop.adapters.weights import read_weights
from dynloop.errors import CheckpointError, UnsafeFileError

__all__ = ["read_recording"]

_SUFFIXES = (".npy", ".npz", ".safetensors")
_STATES, _SECTIONS = "states", "sections"
_DAMAGE = (ValueError, EOFError, OSError, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, MemoryError)


def read_recording(path: Path) -> tuple[Any, Any]:
    """Read recorded states, and the sections beside them.

    Parameters
    ----------
    path : pathlib.Path
        ``.npy``: the states. ``.npz`` and ``.safetensors``: the array ``states`` and, if it is there, ``sections``; an
        archive of one array may call it what it likes.

    Returns
    -------
    states : array or tensor
        In the dtype in which they were stored.
    sections : array or tensor, or None

    Raises
    ------
    UnsafeFileError
        If an array holds Python objects, which only a pickle can restore.
    CheckpointError
        If the file is missing or damaged, has another suffix, or does not say which of its arrays are the states.
    """
    if path.suffix not in _SUFFIXES:
        raise CheckpointError(f"{path} is no record of states; give a file that ends in {', '.join(_SUFFIXES)}")
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}; give the states in .npy, .npz or .safetensors")
    if path.suffix == ".npy":
        return _array(path), None
    arrays = _members(path) if path.suffix == ".npz" else read_weights(path)
    if _STATES in arrays:
        return arrays[_STATES], arrays.get(_SECTIONS)
    if len(arrays) == 1:
        return next(iter(arrays.values())), None
    names = ", ".join(sorted(arrays)[:6]) + (", …" if len(arrays) > 6 else "")
    raise CheckpointError(
        f"{path} holds {len(arrays)} arrays ({names or 'none'}) and none is called {_STATES}; save the states under "
        f"that name, and those between layers as {_SECTIONS}"
    )


def _array(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except _DAMAGE as error:
        raise _refused(path, error) from error


def _members(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("no archive")
            if "record.json" in archive.files:
                raise CheckpointError(
                    f"{path} is a result that dynloop saved; read it by dynloop.load and give classify_trajectory its "
                    "states, one start at a time"
                )
            known = {name for name in (_STATES, _SECTIONS) if name in archive.files}
            wanted = known if _STATES in known or len(archive.files) != 1 else set(archive.files)
            return {name: archive[name] if name in wanted else None for name in archive.files}
    except CheckpointError:
        raise
    except _DAMAGE as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: Exception) -> CheckpointError:
    if "bject array" in str(error):
        return UnsafeFileError(
            f"{path} holds Python objects, which only a pickle can restore; it was not loaded. Save numbers: "
            "np.save(path, np.stack(states))"
        )
    return CheckpointError(f"{path} is truncated, damaged or no {path.suffix} file; save it again")
