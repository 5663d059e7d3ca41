"""A plan: which cells a study is made of, each known by a key of its inputs and of the code that computes it."""

from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dynloop.arguments import checked_kind, checked_list
from dynloop.errors import InvalidArgumentError, StoreError
from dynloop.studies.digest import address_of, canonical, code_version, files_digest, files_of, plain, signature

__all__ = ["Cell", "Plan"]

FORMAT = 1
Finder = Callable[[Any], Sequence[Path]]


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a function.

    Attributes
    ----------
    number : int
        Its place in the plan, from 0.
    key : str
        A digest of the function's address, the version of its code, and the parameters; a parameter that names files
        counts by their content.
    parameters : dict
        Keyword arguments, as plain JSON.
    """

    number: int
    key: str
    parameters: dict[str, Any]


class Plan:
    """The cells of a study, in order. Made by `Plan.grid` or `Plan.listed`; never changed.

    Attributes
    ----------
    function : callable or None
        What each cell calls; None in a plan that was read back, which names code but never loads it.
    address : str
        ``module:name`` of the function.
    code : str
        The version of the code.
    axes : dict of str to list
        The values of each parameter that varies; the first axis changes slowest. Empty in a listed plan.
    fixed : dict
        Parameters that are the same in every cell.

    Examples
    --------
    >>> import dynloop as dl
    >>> plan = dl.read_plan({"analysis": "classify", "grid": {"checkpoint": ["zoo:henon"], "seed": [0, 1, 2]}})
    >>> len(plan), plan.axes, plan.parameters(2)["seed"]
    (3, {'checkpoint': ['zoo:henon'], 'seed': [0, 1, 2]}, 2)
    """

    def __init__(
        self,
        function: Callable[..., Any] | None,
        address: str,
        code: str,
        *,
        axes: Mapping[str, Sequence[Any]] | None = None,
        rows: Sequence[Mapping[str, Any]] | None = None,
        fixed: Mapping[str, Any] | None = None,
        inputs: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        if fixed is not None:
            checked_kind(fixed, Mapping, "fixed", "Write {'name': value, …}")
        self.function, self.address, self.code = function, address, code
        self.fixed = {name: plain(value, name) for name, value in (fixed or {}).items()}
        self.axes = {name: [plain(v, name) for v in values] for name, values in (axes or {}).items()}
        self.rows = None if rows is None else [{n: plain(v, n) for n, v in row.items()} for row in rows]
        self.inputs = {name: dict(digests) for name, digests in (inputs or {}).items()}
        self._files: dict[tuple[str, str], tuple[list[Path], Any]] = {}

    @classmethod
    def grid(
        cls,
        function: Callable[..., Any],
        axes: Mapping[str, Iterable[Any]],
        *,
        fixed: Mapping[str, Any] | None = None,
        files: Mapping[str, Finder] | Iterable[str] = (),
        code: str | None = None,
    ) -> Plan:
        """Plan every combination of the values of some parameters.

        Parameters
        ----------
        function : callable
            Defined at the top of a module. Called with keyword arguments; returns a record of dynloop, or a mapping of
            names to numbers, text, arrays and records. Numbers and text become columns of the study's table.
        axes : mapping of str to iterable
            The values of each parameter; the first axis changes slowest, so put what is dear to load first.
        fixed : mapping, optional
            Parameters that are the same in every cell.
        files : iterable of str, or mapping of str to callable
            Parameters that name files or folders: such a cell is known by their content, not by their path. A callable
            returns the files that a value stands for.
        code : str, optional
            A version of your own in place of the digest of the function's module.

        Returns
        -------
        Plan
            One cell a combination.

        Raises
        ------
        InvalidArgumentError
            If the function cannot be imported elsewhere, a value is no plain JSON, or an axis is empty.

        Examples
        --------
        >>> import dynloop as dl
        >>> from dynloop.analyses.classify import classify_cell
        >>> plan = dl.Plan.grid(classify_cell, {"checkpoint": ["zoo:henon"], "map.a": [0.2, 1.4]}, fixed={"loops": 500})
        >>> len(plan), plan.parameters(1)
        (2, {'loops': 500, 'checkpoint': 'zoo:henon', 'map.a': 1.4})
        """
        listed = {}
        remedy = "Write {'name': [value, …]}"
        for name, values in checked_kind(axes, Mapping, "axes", remedy).items():
            single = isinstance(values, str | Mapping)
            listed[name] = [values] if single else checked_list(values, f"axes[{name!r}]", "values", "Write [value, …]")
            if not listed[name]:
                raise InvalidArgumentError(f"axes[{name!r}] is empty; give one value or more, or leave the axis out")
        plan = cls(function, address_of(function), code_version(function, code), axes=listed, fixed=fixed)
        twice = sorted(set(listed) & set(plan.fixed))
        if twice:
            raise InvalidArgumentError(f"{twice[0]!r} is an axis and fixed too; give it once")
        _check_call(function, plan.names)
        plan._read_files(files)
        return plan

    @classmethod
    def listed(
        cls,
        function: Callable[..., Any],
        cells: Iterable[Mapping[str, Any]],
        *,
        fixed: Mapping[str, Any] | None = None,
        files: Mapping[str, Finder] | Iterable[str] = (),
        code: str | None = None,
    ) -> Plan:
        """Plan a list of cells, each given by its parameters, which go before `fixed`.

        `function`, `files` and `code` are as in `grid`.
        """
        rows = checked_list(cells, "cells", "mappings of names to values", "Write [{'name': value, …}, …]")
        for i, row in enumerate(rows):
            checked_kind(row, Mapping, f"cells[{i}]", "Write {'name': value, …}")
        if not rows:
            raise InvalidArgumentError("cells is empty; give the parameters of one cell or more")
        plan = cls(function, address_of(function), code_version(function, code), rows=rows, fixed=fixed)
        for row in rows:
            _check_call(function, {**plan.fixed, **row})
        plan._read_files(files)
        return plan

    def __len__(self) -> int:
        return len(self.keys)

    def __iter__(self) -> Iterator[Cell]:
        for number, key in enumerate(self.keys):
            yield Cell(number, key, self.parameters(number))

    def __repr__(self) -> str:
        sizes = " × ".join(f"{len(values)} {name}" for name, values in self.axes.items())
        return f"Plan of {len(self)} cells of {self.address}" + (f": {sizes}" if sizes else "")

    @property
    def names(self) -> list[str]:
        """Names of all parameters, those that vary first."""
        varying = list(self.axes) if self.rows is None else list(dict.fromkeys(n for row in self.rows for n in row))
        return [*varying, *(name for name in self.fixed if name not in varying)]

    def parameters(self, number: int) -> dict[str, Any]:
        """Return the parameters of cell `number`, counted from 0."""
        if self.rows is not None:
            return {**self.fixed, **self.rows[number]}
        chosen: list[Any] = []
        for values in reversed(self.axes.values()):
            number, at = divmod(number, len(values))
            chosen.append(values[at])
        return {**self.fixed, **dict(zip(self.axes, reversed(chosen), strict=True))}

    def column(self, name: str) -> list[Any]:
        """Return the value of parameter `name` in every cell, in order; None where a cell does not have it."""
        if self.rows is not None:
            return [row.get(name, self.fixed.get(name)) for row in self.rows]
        if name not in self.axes:
            return [self.fixed.get(name)] * len(self)
        inner = math.prod(len(values) for values in list(self.axes.values())[list(self.axes).index(name) + 1 :])
        once = [value for value in self.axes[name] for _ in range(inner)]
        return once * (len(self) // len(once))

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The key of every cell, in order; equal cells have equal keys."""
        head = hashlib.sha256(canonical([FORMAT, self.address, self.code]).encode())
        if self.rows is not None:
            return tuple(
                _key(head, ",".join(self._part(n, v) for n, v in sorted({**self.fixed, **row}.items())))
                for row in self.rows
            )
        axes = {**self.axes, **{name: [value] for name, value in self.fixed.items()}}
        parts = [[self._part(name, value) for value in values] for name, values in axes.items()]
        order = sorted(range(len(axes)), key=list(axes).__getitem__)
        return tuple(_key(head, ",".join([combo[i] for i in order])) for combo in itertools.product(*parts))

    def changed_input(self, number: int) -> Path | None:
        """Return a file of cell `number` that was written again since the plan was made, if there is one."""
        parameters = self.parameters(number)
        for name in self.inputs:
            files, seen = self._files.get((name, canonical(parameters.get(name))), ([], ()))
            for path, before, now in zip(files, seen, signature(files), strict=True):
                if before != now:
                    return path
        return None

    def to_json(self) -> str:
        """Write the plan, its keys' ingredients included, as JSON with a seal."""
        body = {
            "format": FORMAT,
            "function": self.address,
            "code": self.code,
            "axes": list(self.axes.items()),
            "cells": self.rows,
            "fixed": self.fixed,
            "inputs": self.inputs,
        }
        text = json.dumps(body, ensure_ascii=False, allow_nan=False)
        return json.dumps({"plan": text, "seal": hashlib.sha256(text.encode()).hexdigest()}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read back the `text` that `to_json` wrote; the function is named, not loaded.

        Raises
        ------
        StoreError
            If it is damaged, or written by a newer dynloop.
        """
        try:
            outer = json.loads(text)
            body = outer["plan"]
            if hashlib.sha256(body.encode()).hexdigest() != outer["seal"]:
                raise ValueError("its checksum does not fit")
            read = json.loads(body)
            if read["format"] != FORMAT:
                raise ValueError(f"its format is {read['format']}, and this dynloop knows {FORMAT}")
            return cls(
                None, read["function"], read["code"],
                axes=dict(read["axes"]), rows=read["cells"], fixed=read["fixed"], inputs=read["inputs"],
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise StoreError(
                f"the plan of the study cannot be read ({error}); run the study again with its plan"
            ) from None

    def _read_files(self, files: Mapping[str, Finder] | Iterable[str]) -> None:
        """Take the digest of every file that a parameter names, each once."""
        finders = dict(files) if isinstance(files, Mapping) else dict.fromkeys(files, files_of)
        unknown = sorted(set(finders) - set(self.names))
        if unknown:
            raise InvalidArgumentError(f"files names {unknown[0]!r}, which is no parameter; those are {self.names}")
        for name, find in finders.items():
            values = self.axes.get(name, [self.fixed[name]] if name in self.fixed else [])
            if self.rows is not None:
                values = [*values, *(row[name] for row in self.rows if name in row)]
            self.inputs[name] = {}
            for value in values:
                shown = canonical(value)
                if shown not in self.inputs[name] and (found := list(find(value))):
                    self._files[name, shown] = (found, signature(found))
                    self.inputs[name][shown] = files_digest(found)

    def _part(self, name: str, value: Any) -> str:
        shown = canonical(value)
        digest = self.inputs.get(name, {}).get(shown)
        return f"{canonical(name)}:" + (shown if digest is None else canonical({"files": digest}))


def _check_call(function: Callable[..., Any], names: Iterable[str]) -> None:
    """Refuse parameters that the function does not take, before anything runs."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # what is written in C may have none
        return
    try:
        signature.bind(**dict.fromkeys(names))
    except TypeError as error:
        raise InvalidArgumentError(f"{function.__module__}:{function.__name__} cannot be called so: {error}") from None


def _key(head: Any, parts: str) -> str:
    whole = head.copy()
    whole.update(parts.encode())
    return str(whole.hexdigest()[:32])
