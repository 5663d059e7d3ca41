"""Pieces of a computation on a grid, kept in a folder, so that it goes on where it was interrupted."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from dynloop import atomic
from dynloop.basins.attractors import Attractor
from dynloop.basins.slices import Grid, Slice
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap

__all__ = ["Kept"]

_NAME = "pieces.json"


class Kept:
    """The pieces in a folder, of one map and one grid.

    Parameters
    ----------
    folder : pathlib.Path
        Made if need be.
    m : LoopMap
        The map: known by its name, and by what it makes of a few states of the grid.
    on : Grid
        The grid.
    loops : int or None
        The budget.
    given : bool
        Whether a mapper was given.

    Raises
    ------
    InvalidArgumentError
        If the folder holds something else.
    """

    def __init__(self, folder: Path, m: LoopMap, on: Grid, loops: int | None, given: bool) -> None:
        self.folder = folder
        identity = hashlib.sha256(json.dumps([m.name, m.layer_names, m.dtype_name, loops, given]).encode())
        for axis in on.axes:
            identity.update(axis.tobytes())
        if isinstance(on, Slice):
            identity.update(on.origin.tobytes() + on.directions.tobytes())
        count = int(np.prod(on.shape))
        with np.errstate(all="ignore"):
            probe = m(m.native(on.states(np.unique(np.linspace(0, count - 1, 4).astype(int)))))
        identity.update(m.numpy(m.detached(probe)).tobytes())
        document = {"identity": identity.hexdigest()}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except FileExistsError:
            raise InvalidArgumentError(f"keep: {folder} is a file; name a folder") from None
        mark = folder / _NAME
        if not mark.exists():
            if set(folder.iterdir()) - set(folder.glob(atomic.LEFTOVERS)):
                raise InvalidArgumentError(f"keep: {folder} is not empty and holds no pieces; name another folder")
            atomic.write(mark, json.dumps(document).encode())
        try:
            same = json.loads(mark.read_text(encoding="utf-8")) == document
        except ValueError:
            same = False
        if not same:
            raise InvalidArgumentError(
                f"keep: {folder} holds the pieces of another map, grid or budget; name another folder"
            )

    def read(self, first: int, count: int, attractors: tuple[Attractor, ...]) -> tuple[Array, Array] | None:
        """Return labels and loops of a piece; None if it is not there, or was labelled by other attractors."""
        try:
            with np.load(self._path(first), allow_pickle=False) as piece:
                labels, loops, known = piece["labels"], piece["loops"], piece["known"]
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
            return None
        fits = len(labels) == len(loops) == count and known.tobytes() == _digest(attractors)
        return (labels, loops) if fits else None

    def write(self, first: int, labels: Array, loops: Array, attractors: tuple[Attractor, ...]) -> None:
        """Keep a piece; it is there whole or not at all."""
        buffer = io.BytesIO()
        known = np.frombuffer(_digest(attractors), dtype=np.uint8)
        np.savez_compressed(buffer, labels=labels, loops=loops, known=known)
        atomic.write(self._path(first), buffer.getvalue())

    def _path(self, first: int) -> Path:
        return self.folder / f"piece-{first:012d}.npz"


def _digest(attractors: tuple[Attractor, ...]) -> bytes:
    whole = hashlib.sha256()
    for one in attractors:
        whole.update(f"{one.label} {one.period} ".encode() + one.points.tobytes())
    return whole.digest()
