"""Plan files: TOML that names an analysis of a fixed list, never code, and is checked before anything runs."""

from __future__ import annotations

import inspect
import os
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn, get_args, get_type_hints

import numpy as np

from dynloop.arguments import checked_path
from dynloop.errors import InvalidArgumentError
from dynloop.spelling import did_you_mean
from dynloop.studies.plan import Plan

__all__ = ["ANALYSES", "read_plan"]

ANALYSES = ("classify", "fixed_points", "lyapunov")
_KEYS = ("analysis", "settings", "grid", "prompts", "cells")
_RANGE = ("from", "to", "count")
_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
_PROMPT = "text, a list of token ids, or a table of lists"
_LARGEST = 10_000_000  # cells


def read_plan(source: str | os.PathLike[str] | Mapping[str, Any]) -> Plan:
    """Read a plan: from a TOML file, or from a mapping of the same form.

    Parameters
    ----------
    source : path-like or mapping
        ``analysis`` is one of "classify", "fixed_points", "lyapunov". ``grid`` gives lists of values, or
        ``{from, to, count}``: every combination is a cell; or ``cells`` gives a list of cells, each a table.
        ``settings`` are the same in every cell. ``prompts`` names a file, one JSON value a line, each a value of
        ``prompt``. A setting is a parameter of the analysis, or ``map.NAME``, one of the map. Relative paths are looked
        for beside the plan file (from a mapping: where the process is).

    Returns
    -------
    Plan
        What `study` takes: nothing has been run.

    Raises
    ------
    InvalidArgumentError
        If anything in it is unknown, of the wrong type or missing; nothing has been run.
    PromptError
        If the file of prompts cannot be read.

    Examples
    --------
    >>> import dynloop as dl
    >>> dl.read_plan({"analysis": "classify", "grid": {"checkpoint": ["zoo:henon"], "seed": [0, 1, 2]}})
    Plan of 3 cells of dynloop.analyses.classify:classify_cell: 1 checkpoint × 3 seed
    """
    if isinstance(source, Mapping):
        return _plan(source, "plan", Path())
    path = checked_path(source, "source", "Give a TOML file, or a mapping of the same form")
    try:
        text = path.read_text(encoding="utf-8-sig")
        read = tomllib.loads(text)
    except OSError as error:
        raise InvalidArgumentError(
            f"cannot read the plan {path} ({(error.strerror or str(error)).lower()}); give a TOML file"
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidArgumentError(f"{path} is not TOML: {' '.join(str(error).split())}; correct that place") from None
    return _plan(read, str(path), path.parent)


def _plan(read: Mapping[str, Any], where: str, beside: Path) -> Plan:
    for key in read:
        if key not in _KEYS:
            _refuse(f"{where}: no key {key!r}{did_you_mean(key, _KEYS)}; a plan has {', '.join(_KEYS)}")
    function = _function(read.get("analysis"), where)
    known = _parameters(function)
    fixed = _table(read, "settings", where)
    grid = {name: _values(value, f"{where}: grid.{name}") for name, value in _table(read, "grid", where).items()}
    cells = read.get("cells", [])
    if not isinstance(cells, list) or not all(isinstance(cell, Mapping) for cell in cells):
        _refuse(f"{where}: cells must be a list of tables, each written [[cells]]")
    if bool(cells) == bool(grid):
        _refuse(f"{where}: give [grid] or [[cells]], one of them; for example grid.checkpoint = ['zoo:henon']")
    if "prompts" in read:
        grid["prompt"] = _prompts(read, grid, fixed, bool(cells), where, beside)
    cells = [_flat(cell, f"{where}: cells[{i}]") for i, cell in enumerate(cells)]
    given = [("settings", fixed), *((f"cells[{i}]", cell) for i, cell in enumerate(cells))]
    given += [("grid", {name: value}) for name, values in grid.items() for value in values]
    for part, table in given:
        for name, value in table.items():
            _check(name, value, known, f"{where}: {part}.{name}")
    if any("checkpoint" not in {**fixed, **grid, **cell} for cell in cells or [{}]):
        _refuse(f"{where}: checkpoint is missing; name one or more, for example grid.checkpoint = ['demo']")
    from dynloop.analyses.opening import address_files

    if cells:
        rows = [_absolute({**fixed, **cell}, beside) for cell in cells]
        return Plan.listed(function, rows, files={"checkpoint": address_files})
    if "checkpoint" in grid:
        grid["checkpoint"] = [one for value in grid["checkpoint"] for one in _addresses(value, beside)]
    if "checkpoint" in fixed:
        fixed = _absolute(fixed, beside)
    size = int(np.prod([len(values) for values in grid.values()], dtype=float))
    if size > _LARGEST:
        _refuse(f"{where}: the grid has {size} cells, more than {_LARGEST}; make it smaller")
    order = sorted(grid, key=lambda name: name != "checkpoint")  # what is dear to load changes slowest
    return Plan.grid(function, {name: grid[name] for name in order}, fixed=fixed, files={"checkpoint": address_files})


def _function(name: Any, where: str) -> Callable[..., Any]:
    """Return the function of an analysis; the list of names is all there is."""
    if name == "classify":
        from dynloop.analyses.classify import classify_cell

        return classify_cell
    if name == "fixed_points":
        from dynloop.analyses.fixed_points import fixed_points_cell

        return fixed_points_cell
    if name != "lyapunov":
        _refuse_analysis(name, where)
    from dynloop.analyses.lyapunov import lyapunov_cell

    return lyapunov_cell


def _refuse_analysis(name: Any, where: str) -> NoReturn:
    got = "it is missing" if name is None else f"got {name!r}{did_you_mean(str(name), ANALYSES)}"
    _refuse(f"{where}: analysis must be one of {', '.join(ANALYSES)}; {got}")


def _parameters(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the type of every setting of an analysis."""
    parameters = inspect.signature(function).parameters.values()
    hints = get_type_hints(function)
    return {p.name: hints[p.name] for p in parameters if p.kind is not inspect.Parameter.VAR_KEYWORD}


def _check(name: str, value: Any, known: Mapping[str, Any], what: str) -> None:
    if name.startswith("map."):
        if isinstance(value, bool | int | float | str) or (
            isinstance(value, list) and all(isinstance(v, int | float) for v in value)
        ):
            return
        _refuse(f"{what} must be a number, text or a list of numbers; got {value!r}")
    if name not in known:
        _refuse(f"{what}: no setting {name!r}{did_you_mean(name, known)}; there are {', '.join(known)}, and map.NAME")
    kinds = [kind for kind in get_args(known[name]) or (known[name],) if kind is not type(None)]
    choices = [one for kind in kinds for one in get_args(kind)] or [kind for kind in kinds if isinstance(kind, str)]
    if choices:
        if not isinstance(value, str) or value not in choices:
            _refuse(f"{what} must be one of {', '.join(choices)}; got {value!r}")
        return
    [kind] = kinds
    wanted: Any = {float: int | float, Any: str | list | Mapping}.get(kind, kind)
    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
        _refuse(f"{what} must be {_WORDS.get(kind, _PROMPT)}; got {value!r}")


def _values(value: Any, what: str) -> list[Any]:
    """Return the values of an axis: a list, or so many from one number to another."""
    if isinstance(value, list):
        if not value:
            _refuse(f"{what} is empty; give one value or more")
        return value
    if not isinstance(value, Mapping) or set(value) != set(_RANGE):
        _refuse(f"{what} must be a list of values or a table {{from, to, count}}; got {value!r}")
    first, last, count = (value[name] for name in _RANGE)
    numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (first, last))
    if not numbers or not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= _LARGEST:
        _refuse(f"{what}: from and to must be numbers and count a whole number of at least 1; got {dict(value)!r}")
    if isinstance(first, int) and isinstance(last, int) and count > 1 and (last - first) % (count - 1) == 0:
        return [first + i * ((last - first) // (count - 1)) for i in range(count)]
    return [float(one) for one in np.linspace(first, last, count)]


def _prompts(
    read: Mapping[str, Any], grid: Mapping[str, Any], fixed: Mapping[str, Any], listed: bool, where: str, beside: Path
) -> list[Any]:
    from dynloop.adapters.jsonl import read_prompts

    name = read["prompts"]
    if not isinstance(name, str):
        _refuse(f"{where}: prompts must be the path of a file, one JSON value a line; got {name!r}")
    if listed or "prompt" in grid or "prompt" in fixed:
        _refuse(f"{where}: prompts is an axis of the grid; give it with [grid] and without prompt")
    return [_listed(prompt) for _, prompt in read_prompts(beside / name)]


def _listed(prompt: Any) -> Any:
    if isinstance(prompt, Mapping):
        return {name: _listed(value) for name, value in prompt.items()}
    return prompt.tolist() if hasattr(prompt, "tolist") else prompt


def _table(read: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    """Return a table of the plan, flat."""
    table = read.get(key, {})
    if not isinstance(table, Mapping):
        _refuse(f"{where}: {key} must be a table, written [{key}]; got {table!r}")
    return _flat(table, f"{where}: {key}")


def _flat(table: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return a table with the parameters of the map, a table within it, called ``map.NAME``."""
    found = dict(table)
    inner = found.pop("map", {})
    if not isinstance(inner, Mapping):
        _refuse(f"{what}.map must be a table of the map's parameters; got {inner!r}")
    return {**found, **{f"map.{name}": value for name, value in inner.items()}}


def _addresses(value: Any, beside: Path) -> list[str]:
    from dynloop.adapters.address import expand

    return [_beside(one, beside) for one in expand(value)]


def _absolute(settings: Mapping[str, Any], beside: Path) -> dict[str, Any]:
    return {**settings, "checkpoint": _beside(settings["checkpoint"], beside)}


def _beside(address: str, beside: Path) -> str:
    """Return an address whose path, if it is one, is looked for beside the plan."""
    if address.partition(":")[0] in ("zoo", "synthetic", "demo", "hf-cache"):
        return address
    path = beside / address
    if not path.exists():
        _refuse(
            f"checkpoint: there is no folder or file at {path}; correct the path, or name one that `dynloop ls` lists"
        )
    return str(path)


def _refuse(message: str) -> NoReturn:
    raise InvalidArgumentError(message)
