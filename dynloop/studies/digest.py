"""What a cell's key is made of: canonical JSON, the version of the code, the content of files."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dynloop.errors import CheckpointError, InvalidArgumentError

__all__ = ["address_of", "canonical", "code_version", "files_digest", "files_of", "plain", "signature"]

_VIEWS_OF_RESULTS = ("cli", "views", "testing")  # no number depends on them


def plain(value: Any, what: str) -> Any:
    """Return `value` as what JSON holds; numpy scalars and arrays become numbers and lists."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidArgumentError(f"{what} holds half a character that is no text; got {value!r}") from None
        return str(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # numpy
        value = value.tolist()
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidArgumentError(f"{what} must be finite; got {value!r}. Leave the parameter out instead")
        return float(value)
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise InvalidArgumentError(f"{what} must have text for keys; got {list(value)[:4]!r}")
        return {name: plain(item, f"{what}[{name!r}]") for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, what) for item in value]
    raise InvalidArgumentError(
        f"{what} must be a number, text, true, false, none, or a list or mapping of these; got a {type(value).__name__}"
    )


def canonical(value: Any) -> str:
    """Write plain JSON in the one way that a digest is taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def address_of(function: Callable[..., Any]) -> str:
    """Return ``module:name`` of a function that another process can import.

    Raises
    ------
    InvalidArgumentError
        If it is a lambda, a closure or anything else that its module does not hold under its name.
    """
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    found: Any = sys.modules.get(module or "")
    for part in (name or "").split("."):
        found = getattr(found, part, None)
    if found is not function or not callable(function):
        named = name or type(function).__name__
        raise InvalidArgumentError(
            f"function must be defined at the top of a module, so that another process can import it; got {named}. "
            "Write it there with def"
        )
    return f"{module}:{name}"


def code_version(function: Callable[..., Any], own: str | None = None) -> str:
    """Say which code computes a cell: dynloop's version, a digest of its source, and one of the function's module.

    Any change to the source of dynloop (its command line and its views apart) or to the module that holds `function`
    gives another version, so that a result is never taken for one of other code. What other modules of the user's own
    hold is not seen: name it by `own`, which stands in place of the digest of the function's module.
    """
    number = sys.modules["dynloop"].__version__
    version = f"dynloop {number} {_package_digest()}"
    if own is not None:
        return f"{version}, {own}"
    module = function.__module__
    if module.split(".")[0] == "dynloop":
        return version
    try:
        file = inspect.getsourcefile(sys.modules[module])
    except TypeError:  # it has no file: it is built in, or typed at a prompt
        raise InvalidArgumentError(
            f"function must be of a module that has a file, whose digest is part of every key; got "
            f"{function.__qualname__} of {module}. Write it in a file, or pass code='1', a version of your own"
        ) from None
    source = b"" if file is None else Path(file).read_bytes()
    return f"{version}, {module} {hashlib.sha256(source).hexdigest()[:16]}"


@cache
def _package_digest() -> str:
    root = Path(__file__).parents[1]
    whole = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if parts[0] not in _VIEWS_OF_RESULTS:
            whole.update(f"{'/'.join(parts)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:16]


def files_of(value: Any) -> list[Path]:
    """Return the files that a parameter names: a file itself, all that lie below a folder, none for anything else."""
    if not isinstance(value, str) or not os.path.exists(value):
        return []
    path = Path(value)
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def files_digest(files: Iterable[Path]) -> str:
    """Return a digest of the names, below their common folder, and of the content of files."""
    files = list(files)
    root = Path(os.path.commonpath([f.parent for f in files])) if files else Path()
    whole = hashlib.sha256()
    for path in files:
        try:
            with path.open("rb") as stream:
                content = hashlib.file_digest(stream, "sha256").digest()
        except OSError as error:
            raise CheckpointError(
                f"cannot read {path} ({error.strerror or error}); its content is part of the plan"
            ) from None
        name = path.name if len(files) == 1 else path.relative_to(root).as_posix()
        whole.update(f"{name}\0".encode() + content)
    return whole.hexdigest()[:32]


def signature(files: Iterable[Path]) -> tuple[tuple[str, int, int], ...]:
    """Return names, sizes and times of change of files: what tells cheaply that one was written again."""
    found = []
    for path in files:
        try:
            about = path.stat()
        except OSError:
            found.append((str(path), -1, -1))
        else:
            found.append((str(path), about.st_size, about.st_mtime_ns))
    return tuple(found)
