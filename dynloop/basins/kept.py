"""Pieces of a computation on a grid, kept in a folder, so that it goes on where it was interrupted."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np

from dynloop import atomic
from dynloop.basins.agreement import images, probes
from dynloop.basins.attractors import Attractor, Mapper
from dynloop.basins.slices import Grid, Slice
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import Array, LoopMap

__all__ = ["Kept"]

_NAME, _FORMAT = "pieces.json", 2
_LABELLED = 32  # states of the grid whose labels by a given mapper are compared


class Kept:
    """The pieces in a folder, of one map and one grid.

    Parameters
    ----------
    folder : pathlib.Path
        Made if need be.
    m : LoopMap
        The map: known by its name, its parameters if it is compiled, and by what it makes of some states of the grid.
    on : Grid
        The grid.
    loops : int or None
        The budget.
    mapper : Mapper or None
        The mapper that was given: known by its settings and attractors, and by the labels of some states.

    Raises
    ------
    InvalidArgumentError
        If the folder holds something else.
    """

    def __init__(self, folder: Path, m: LoopMap, on: Grid, loops: int | None, mapper: Mapper | None) -> None:
        self.folder = folder
        kind = None if mapper is None else type(mapper).__name__
        identity = hashlib.sha256(json.dumps([_FORMAT, m.name, m.layer_names, m.dtype_name, loops, kind]).encode())
        for axis in on.axes:
            identity.update(axis.tobytes())
        if isinstance(on, Slice):
            identity.update(on.origin.tobytes() + on.directions.tobytes())
        identity.update(np.asarray(getattr(m, "table", ())).tobytes())
        states = probes(m, on)
        identity.update(images(m, states).tobytes())
        if mapper is not None:
            identity.update(_digest(mapper.attractors))
            for value in (*mapper.settings(), *mapper.label(states[:: -(-len(states) // _LABELLED)])):
                identity.update(np.asarray(value).tobytes())
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
                f"keep: {folder} holds the pieces of another map, grid, mapper or budget; name another folder"
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
