"""The map that a cell analyses: an address, a prompt as plain JSON, and parameters of the map called ``map.NAME``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dynloop.adapters.address import open_address, with_prompt
from dynloop.adapters.base import Checkpoint
from dynloop.adapters.registry import checkpoint_files
from dynloop.errors import InvalidArgumentError
from dynloop.maps.base import LoopMap
from dynloop.studies.digest import signature

__all__ = ["MAP", "Dtype", "Granularity", "address_files", "open_map", "with_parameters"]

MAP = "map."
Dtype = Literal["float32", "float64", "bfloat16", "float16"]
Granularity = Literal["layer", "sublayer"]
_kept: dict[str, Any] = {}  # the checkpoint that this process opened last: consecutive cells read the same


def open_map(
    checkpoint: str,
    prompt: Any,
    granularity: str | None,
    dtype: str | None,
    device: str | None,
    more: Mapping[str, Any],
) -> LoopMap:
    """Make the map of a cell; the weights of the checkpoint that was opened last are not read again.

    Parameters
    ----------
    checkpoint : str
        An address.
    prompt : str, list, dict or None
        Text, token ids, or lists named as the model's inputs; the checkpoint's default prompt if None.
    granularity, dtype, device : str or None
        As of `dynloop.adapters.address.open_address`.
    more : mapping
        Parameters of the map, called ``map.NAME``.

    Raises
    ------
    InvalidArgumentError
        If a parameter is unknown.
    PromptError, CheckpointError
        If the prompt does not fit, or the checkpoint cannot be opened.
    """
    address = with_parameters(checkpoint, more)
    read = _prompt(prompt)
    files = signature(address_files(address))
    if not files:
        return open_address(address, prompt=read, granularity=granularity, dtype=dtype, device=device)
    known = (address, granularity, dtype, device, files)
    m = _kept.get("map") if _kept.get("known") == known else None
    if isinstance(m, Checkpoint):
        return with_prompt(m, read)
    _kept.clear()  # before another is read: two may not fit into memory
    m = open_address(address, prompt=read, granularity=granularity, dtype=dtype, device=device)
    _kept.update(known=known, map=m)
    return m


def address_files(address: Any) -> list[Path]:
    """Return the files that an address names, by whose content a cell is known; none of a map that is computed."""
    if not isinstance(address, str) or address.partition(":")[0] in ("zoo", "synthetic"):
        return []
    return checkpoint_files(address)


def with_parameters(address: str, more: Mapping[str, Any]) -> str:
    """Return the address with the parameters called ``map.NAME`` added to its query."""
    query = []
    for name, value in more.items():
        if not name.startswith(MAP):
            raise InvalidArgumentError(f"no setting {name!r}; a parameter of the map is called {MAP}NAME")
        given = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        if set(given) & set("&=?"):
            raise InvalidArgumentError(f"{name} must be one value, or a list of values; got {given!r}")
        query.append(f"{name.removeprefix(MAP)}={given}")
    if not query:
        return address
    return address + ("&" if "?" in address else "?") + "&".join(query)


def _prompt(prompt: Any) -> Any:
    if isinstance(prompt, list):
        return np.array(prompt)
    return {name: np.array(item) for name, item in prompt.items()} if isinstance(prompt, Mapping) else prompt
