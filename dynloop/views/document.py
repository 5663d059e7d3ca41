"""A result as a JSON document: what the commands print with `--json`; NaN and infinity become null."""

from __future__ import annotations

import json
import math
from typing import Any, Protocol

import numpy as np

from dynloop.basins.grid import Basins
from dynloop.calculus.lyapunov import LyapunovSpectrum
from dynloop.maps.base import LoopMap
from dynloop.orbits.records.verdict import RecordedClassification
from dynloop.orbits.solved import FixedPoints
from dynloop.orbits.verdict import Classification
from dynloop.views.reading import reading

__all__ = ["brief_entry", "dumps", "map_entry", "result_entry"]


class Summarised(Protocol):
    """A record that says in one line what it found."""

    def summary(self) -> str:
        """Say it."""

    def to_dict(self) -> dict[str, Any]:
        """Return every field."""


Reported = Classification | RecordedClassification | LyapunovSpectrum | FixedPoints | Summarised
_LEFT_OUT = "states", "unfinished"  # large; `--out` keeps them
_LARGE = 64  # coordinates of a state beyond which points are left out too


def map_entry(m: LoopMap) -> dict[str, Any]:
    """Describe a map: its name, a sentence, layers, sizes, and the tokens that a checkpoint has read."""
    describe = getattr(m, "describe", None)
    return {
        "name": m.name,
        "description": describe() if describe is not None else _sentence(m),
        "layers": list(m.layer_names),
        "state_shape": list(m.state_shape),
        "causal": m.causal,
        "dtype": m.dtype_name,
        "tokens": list(getattr(m, "tokens", ())) or None,
    }


def result_entry(found: Reported) -> dict[str, Any]:
    """Describe a result: what it says in brief, then every field but the states, arrays as nested lists.

    Where exponents or shares are minus infinity, which JSON does not have, ``minus_infinity`` says so by field.
    """
    record = {name: value for name, value in found.to_dict().items() if name not in _LEFT_OUT}
    if isinstance(found, FixedPoints) and np.prod(found.points.shape[2:]) > _LARGE:
        for part in (record, record["failed"], record["slow"]):
            del part["points"]
    if isinstance(found, Basins):
        for one in record["attractors"]:
            if np.size(one["points"]) > _LARGE:
                del one["points"]
    return {**brief_entry(found), **record, **_minus_infinity(found)}


def brief_entry(found: Reported) -> dict[str, Any]:
    """Describe a result in a sentence, and a classification by the shares of its regimes too."""
    if isinstance(found, LyapunovSpectrum):
        return {"summary": reading(found)}
    if isinstance(found, Classification | RecordedClassification):
        return {"summary": found.summary(), "shares": found.shares()}
    return {"summary": found.summary()}


def dumps(document: Any, *, indent: int | None = None) -> str:
    """Write JSON that every parser reads: no NaN, no Infinity, arrays as nested lists, complex numbers as pairs."""
    return json.dumps(_clean(document), allow_nan=False, ensure_ascii=False, indent=indent)


def _minus_infinity(found: Reported) -> dict[str, Any]:
    if not isinstance(found, LyapunovSpectrum):
        return {}
    fields = {"exponents": found.exponents, "by_layer": found.by_layer, "by_token": found.by_token}
    return {"minus_infinity": {name: None if a is None else np.isneginf(a) for name, a in fields.items()}}


def _sentence(m: LoopMap) -> str:
    layers = " → ".join(m.layer_names) if m.layer_count <= 6 else f"{m.layer_count} layers"
    reach = ", causal" if m.causal else ""
    return f"{m.name}: one loop = {layers}; state {' × '.join(map(str, m.state_shape))}{reach}, {m.dtype_name}"


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _clean(value.tolist())
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    if isinstance(value, np.generic):
        return _clean(value.item())
    if isinstance(value, complex):
        return [_clean(value.real), _clean(value.imag)]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, str | int | bool) else str(value)
