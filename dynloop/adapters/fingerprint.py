"""A fingerprint of files: by it a report says which weights its numbers are of."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from dynloop.errors import CheckpointError

__all__ = ["fingerprint"]

_WHOLE = 2**28  # bytes up to which everything is read: a second or less
_HEAD, _PIECE, _PIECES = 2**20, 2**16, 256  # of each larger file: its beginning, and pieces evenly spaced


def fingerprint(files: Sequence[Path]) -> str:
    """Return a digest of the names, sizes and content of files; empty where there are none.

    Parameters
    ----------
    files : sequence of Path
        Their order does not count, nor does the folder in which they lie.

    Returns
    -------
    str
        ``"sha256:HEX"`` where all content was read, which is so up to 256 MiB in all. Of more,
        ``"sampled-sha256:HEX"``: the first MiB of each file, where safetensors have the names, shapes and places of all
        tensors, and 256 pieces of 64 KiB, evenly spaced, of which the last one ends the file. It tells one checkpoint
        of a training from another, which differ everywhere; it does not see a change that lies between the pieces.

    Raises
    ------
    CheckpointError
        If a file cannot be read.

    Examples
    --------
    >>> from dynloop.adapters.registry import checkpoint_files
    >>> fingerprint(checkpoint_files("demo:hop-plain")).partition(":")[0]
    'sha256'
    """
    if not files:
        return ""
    digest = hashlib.sha256()
    try:
        sizes = [path.stat().st_size for path in files]
        whole = sum(sizes) <= _WHOLE
        for path, size in sorted(zip(files, sizes, strict=True), key=lambda one: (one[0].name, str(one[0]))):
            digest.update(f"{path.name}\0{size}\0".encode(errors="surrogateescape"))
            digest.update(_content(path, size, whole))
    except OSError as error:
        raise CheckpointError(f"cannot read {error.filename} ({error.strerror}); make it readable") from None
    return f"{'sha256' if whole else 'sampled-sha256'}:{digest.hexdigest()}"


def _content(path: Path, size: int, whole: bool) -> bytes:
    with path.open("rb") as stream:
        if whole or size <= _HEAD + _PIECE * _PIECES:
            return hashlib.file_digest(stream, "sha256").digest()
        digest = hashlib.sha256(stream.read(_HEAD))
        for i in range(1, _PIECES + 1):
            stream.seek(_HEAD + (size - _HEAD - _PIECE) * i // _PIECES)
            digest.update(stream.read(_PIECE))
        return digest.digest()
