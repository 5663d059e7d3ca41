"""The base of result records: frozen, prints itself, `to_dict`, `save`, and `load` to read one back.

A record is saved as one ``.npz`` file: every array is a member of its own, everything else is JSON in the member
``record.json``. Nothing is pickled, so loading a file never runs code.
"""

from __future__ import annotations

import dataclasses
import html
import importlib
import io
import json
import os
import zipfile
import zlib
from collections import Counter
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from dynloop import atomic
from dynloop.arguments import checked_path
from dynloop.errors import CheckpointError, InvalidArgumentError

__all__ = ["Result", "Status", "load", "pack", "unpack"]

_RECORD = "record.json"
# what reading a damaged or foreign file can raise
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, AttributeError, EOFError, ImportError, KeyError, MemoryError, NotImplementedError,
    OSError, RecursionError, RuntimeError, TypeError, ValueError,
)  # fmt: skip


class Status(Enum):
    """Why a computation stopped, one member a reason; the value is the sentence a user reads.

    A status never says what an orbit does (that is a `Regime`): "diverged" is not "ran out of loops".

    Examples
    --------
    >>> import dynloop as dl
    >>> found = dl.lyapunov_spectrum(dl.zoo.logistic(4.5), [0.3], loops=100)
    >>> found.status is dl.Status.DIVERGED, dl.Status.DIVERGED.value
    (True, 'a state stopped being finite')
    """

    DECIDED = "the evidence sufficed for a verdict"
    SOLVED = "solved: the residual is at the precision floor"
    CONVERGED = "the estimate settled within its error"
    OUT_OF_LOOPS = "the budget of loops was used up before the evidence sufficed"
    NOT_CONVERGED = "the iteration stopped before it settled; its last value is no result"
    SHORTER_PERIOD = "solved, but the orbit returns sooner: its period is a proper divisor of the one asked for"
    SLOW = "the residual is small, but no solution was found nearby"
    DIVERGED = "a state stopped being finite"
    PROVED = "proved by interval arithmetic: it exists, and no other lies near"
    ESTIMATED = "supported by an estimate, which proves nothing"
    UNPROVED = "neither proved nor supported; nothing is claimed"
    END_OF_BRANCH = "the last value of the parameter was reached"
    LEFT_WINDOW = "the branch left the window of the parameter by the other side"
    CLOSED = "the branch came back to where it began: a closed curve"
    UNBOUNDED = "the state grew beyond every bound along the branch"
    STEP_TOO_SMALL = "no solution was found a smallest step ahead"
    OUT_OF_STEPS = "the budget of steps was used up before the branch ended"
    BELOW_RANK_TOLERANCE = "a direction is contracted to nothing within rounding; its exponent is reported as -inf"


class Result:
    """Base class of the frozen dataclasses that analyses return.

    Subclasses are declared with ``@dataclass(frozen=True, slots=True, eq=False, kw_only=True)`` and are found again
    by `load` through their module and name.

    Examples
    --------
    >>> import dynloop as dl
    >>> from dynloop.result import Result
    >>> found = dl.classify(dl.zoo.logistic(2.8), [0.3])
    >>> isinstance(found, Result), str(found.to_dict()["regime"])
    (True, 'VANISHING')
    """

    __slots__ = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Keep the base's `repr`: a dataclass would write its own into every class that has none."""
        super().__init_subclass__(**kwargs)
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = super(cls, cls).__repr__  # type: ignore[method-assign] # on purpose, in place of a dataclass's

    def to_dict(self) -> dict[str, Any]:
        """Return the record as nested dictionaries; arrays stay arrays, enum members become their names.

        Returns
        -------
        dict
            One entry a field, in the order of the fields.
        """
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}  # type: ignore[arg-type] # every subclass is a dataclass

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the record to one ``.npz`` file (JSON and arrays, never pickle), atomically.

        Parameters
        ----------
        path : path-like
            Where to write; ``.npz`` is added if it is missing.

        Returns
        -------
        pathlib.Path
            The file that was written.

        Raises
        ------
        CheckpointError
            If the file cannot be written; nothing is left behind.
        InvalidArgumentError
            If `path` is no path, or a field holds something that has no form in JSON.
        """
        target = checked_path(path, "path", "Give the path of the file to write")
        if target.suffix != ".npz":
            target = target.with_name(target.name + ".npz")
        data = pack(self)
        try:
            atomic.write(target, data)
        except OSError as error:
            reason = error.strerror or error
            raise CheckpointError(f"cannot write {target} ({reason}); give a path in a writable folder") from error
        return target

    def __repr__(self) -> str:
        lines = [type(self).__name__]
        for f in dataclasses.fields(self):  # type: ignore[arg-type] # every subclass is one
            lines.append(f"  {f.name}: {_brief(getattr(self, f.name))}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        said = getattr(self, "summary", None)
        head = str(said()) if callable(said) else repr(self).partition("\n")[0].removeprefix(type(self).__name__)
        rows = "".join(
            f'<tr><th scope="row" style="text-align:left">{html.escape(f.name)}</th>'
            f'<td style="text-align:left">{html.escape(_cell(getattr(self, f.name)))}</td></tr>'
            for f in dataclasses.fields(self)  # type: ignore[arg-type] # every subclass is one
        )
        caption = f"<b>{type(self).__name__}</b> {html.escape(head.strip(' :'))}".strip()
        return f"<div><div>{caption}</div><table><tbody>{rows}</tbody></table></div>"


def pack(record: Result) -> bytes:
    """Return the content of the ``.npz`` file of a record; equal records have equal content, whenever they are saved.

    Parameters
    ----------
    record : Result
        Its fields hold arrays, tensors, numbers, text, enum members, records, and tuples and dictionaries of those.

    Returns
    -------
    bytes
        Of a zip archive.

    Raises
    ------
    InvalidArgumentError
        If a field holds something that has no form in JSON.

    Examples
    --------
    >>> import dynloop as dl
    >>> from dynloop.result import pack
    >>> m = dl.zoo.logistic(2.8)
    >>> pack(dl.classify(m, [0.3])) == pack(dl.classify(m, [0.3]))
    True
    """
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    tree = _encode(record, arrays)
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        _member(archive, _RECORD, json.dumps(tree, allow_nan=True).encode())
        for key, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, array, allow_pickle=False)
            _member(archive, f"{key}.npy", buffer.getvalue())
    return whole.getvalue()


def load(path: str | os.PathLike[str]) -> Result:
    """Read back a record that `Result.save` wrote.

    Parameters
    ----------
    path : path-like
        The ``.npz`` file.

    Returns
    -------
    Result
        A record of the class that was saved.

    Raises
    ------
    InvalidArgumentError
        If `path` is no path.
    CheckpointError
        If the file is missing, damaged or not a record of dynloop.

    Examples
    --------
    >>> import dynloop as dl, tempfile, os
    >>> found = dl.classify(dl.zoo.henon(), [0.1, 0.1], loops=64)
    >>> path = found.save(os.path.join(tempfile.mkdtemp(), "henon"))
    >>> dl.load(path).summary() == found.summary()
    True
    """
    source = checked_path(path, "path", "Give the path that `save` returned")
    try:
        data = source.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"no result file at {source}; give the path that `save` returned") from None
    except OSError as error:
        raise CheckpointError(f"{source} is not a result that dynloop saved ({error}); save it again") from error
    return unpack(data, source)


def unpack(data: bytes, source: str | os.PathLike[str] = "the data") -> Result:
    """Return the record that `pack` made `data` of.

    Parameters
    ----------
    data : bytes
        Of a zip archive.
    source : str or path-like
        What the message of an error calls it.

    Returns
    -------
    Result
        Of the class that was packed.

    Raises
    ------
    CheckpointError
        If the data are damaged or not a record of dynloop.

    Examples
    --------
    >>> import dynloop as dl
    >>> from dynloop.result import pack, unpack
    >>> found = dl.classify(dl.zoo.logistic(2.8), [0.3])
    >>> unpack(pack(found)).summary() == found.summary()
    True
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            found = _decode(json.loads(archive.read(_RECORD)), archive)
        if not isinstance(found, Result):
            raise ValueError(f"it holds a {type(found).__name__}")
        return found
    except _DAMAGE as error:
        raise CheckpointError(f"{source} is not a result that dynloop saved ({error}); save it again") from error


def _member(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    """Write one member, dated as zip's first day: the file's content depends on the record alone."""
    about = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    about.external_attr = 0o600 << 16
    archive.writestr(about, data, zipfile.ZIP_DEFLATED)


def _is_result(value: Any) -> bool:
    return isinstance(value, Result) and dataclasses.is_dataclass(value)


def _plain(value: Any) -> Any:
    if _is_result(value):
        return value.to_dict()
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, np.ndarray) and value.dtype == object:
        return np.array([_plain(v) for v in value.ravel()], dtype=str).reshape(value.shape)
    if hasattr(value, "detach"):
        return value.detach().cpu().double().numpy()
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value


def _encode(value: Any, arrays: dict[str, np.ndarray[Any, Any]]) -> Any:
    """Turn a value into JSON, moving arrays to `arrays`."""
    if _is_result(value):
        fields = {f.name: _encode(getattr(value, f.name), arrays) for f in dataclasses.fields(value)}
        return {"kind": "result", "class": _address(value), "fields": fields}
    if isinstance(value, Enum):
        return {"kind": "enum", "class": _address(value), "name": value.name}
    if isinstance(value, np.ndarray) and value.dtype == object:
        return {"kind": "objects", "shape": list(value.shape), "items": [_encode(v, arrays) for v in value.ravel()]}
    if hasattr(value, "detach"):
        value = value.detach().cpu().double().numpy()
    if isinstance(value, np.ndarray):
        key = f"a{len(arrays)}"
        arrays[key] = value
        return {"kind": "array", "key": key}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {"kind": "dict", "items": {str(k): _encode(v, arrays) for k, v in value.items()}}
    if isinstance(value, tuple | list):
        return {"kind": "tuple", "items": [_encode(v, arrays) for v in value]}
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise InvalidArgumentError(
        f"a result holds a {type(value).__name__}, which has no form in JSON; convert it to an array, a number or text"
    )


def _decode(tree: Any, archive: zipfile.ZipFile) -> Any:
    if not isinstance(tree, dict):
        return tree
    kind = tree["kind"]
    if kind == "array":
        return np.lib.format.read_array(io.BytesIO(archive.read(f"{tree['key']}.npy")), allow_pickle=False)
    if kind == "objects":
        flat = np.empty(len(tree["items"]), dtype=object)
        flat[:] = [_decode(item, archive) for item in tree["items"]]
        return flat.reshape(tree["shape"])
    if kind == "dict":
        return {k: _decode(v, archive) for k, v in tree["items"].items()}
    if kind == "tuple":
        return tuple(_decode(v, archive) for v in tree["items"])
    if kind == "enum":
        return _class(tree["class"], Enum)[tree["name"]]
    return _class(tree["class"], Result)(**{k: _decode(v, archive) for k, v in tree["fields"].items()})


def _address(value: Any) -> str:
    return f"{type(value).__module__}:{type(value).__name__}"


def _class(address: str, base: type) -> Any:
    """Find a class of dynloop by its address; a file can name nothing outside the package."""
    module, _, name = address.partition(":")
    parts = module.split(".")
    if parts[0] != "dynloop" or "__main__" in parts:  # importing a __main__ would run the command line
        raise ValueError(f"{address} is not a class of dynloop")
    found = getattr(importlib.import_module(module), name, None)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ValueError(f"{address} is not a {base.__name__} of dynloop")
    return found


def _cell(value: Any) -> str:
    """Say a field in a few words: how often each name occurs in it, or a number to a few digits."""
    if _is_result(value):
        return type(value).__name__
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU" and value.size > 0:
        names = Counter(one.name if isinstance(one, Enum) else str(one) for one in value.ravel())
        said = [f"{name} ×{count}" if value.size > 1 else name for name, count in names.most_common(3)]
        return _brief_text(", ".join(said) + (f", … {len(names) - 3} more" if len(names) > 3 else ""))
    if isinstance(value, np.ndarray) and value.size <= 8:
        return _brief_text(np.array2string(value, precision=6, separator=", "))
    if isinstance(value, tuple | list) and len(value) > 0 and _is_result(value[0]):
        return f"{len(value)} × {type(value[0]).__name__}"
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    return value if isinstance(value, str) and len(value) <= 100 else _brief(value)


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 8:
        return f"array of shape {value.shape}, {value.dtype}"
    if hasattr(value, "detach"):
        return f"tensor of shape {tuple(value.shape)}, {value.dtype}"
    return _brief_text(repr(value) if not isinstance(value, Enum) else value.name)


def _brief_text(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else text[:97] + "..."
