"""Addresses: the text by which a map is named on a command line or in a plan, and the map that it names.

=================================  =============================================================
``FOLDER`` or ``FILE``             a checkpoint, as `dynloop.open_checkpoint` takes it
``demo``, ``demo:NAME``            all checkpoints that ship with dynloop, or one of them
``hf-cache:ORG/NAME[@REVISION]``   a checkpoint in the Hugging Face cache; nothing is downloaded
``zoo:NAME?a=1.2&b=0.3``           a map of the zoo; parameters as keyword arguments
``synthetic:NORM+INJECTION?…``     a looped transformer with random weights
=================================  =============================================================
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from dynloop.adapters.base import Checkpoint
from dynloop.adapters.registry import demos, open_checkpoint
from dynloop.errors import InvalidArgumentError, PromptError, UnsafeFileError
from dynloop.maps import synthetic, zoo
from dynloop.maps.base import LoopMap
from dynloop.spelling import did_you_mean

__all__ = ["DTYPES", "expand", "open_address", "with_prompt", "zoo_names"]

DTYPES: Mapping[str, torch.dtype] = {
    name: getattr(torch, name) for name in ("float32", "float64", "bfloat16", "float16")
}
_CODE = {".py", ".pyc", ".pyw", ".ipynb", ".so", ".sh"}
_CHOSEN_ELSEWHERE = {"norm", "injection", "dtype", "granularity"}


def expand(address: str) -> list[str]:
    """Return the addresses that `address` stands for: every demo for a bare ``demo``, else itself."""
    return [f"demo:{name}" for name in demos()] or [address] if address == "demo" else [address]


def zoo_names() -> list[str]:
    """Return the names of the zoo that an address can use: its functions that make a map."""
    return [name for name in zoo.__all__ if name.islower() and name != "counter_example"]


def open_address(
    address: str,
    *,
    prompt: Any = None,
    granularity: str | None = None,
    dtype: str | None = None,
    device: str | None = None,
) -> LoopMap:
    """Make the map that an address names.

    Parameters
    ----------
    address : str
        See the table above.
    prompt : str, array or dict, optional
        What a checkpoint reads; its own default prompt if left out.
    granularity : {"layer", "sublayer"}, optional
        How finely a block is cut; "layer" if left out. Maps of the zoo have no granularity.
    dtype : {"float32", "float64", "bfloat16", "float16"}, optional
        The working dtype. Left out, a checkpoint keeps its own and other maps compute in float64.
    device : str, optional
        Where a checkpoint computes, such as "cuda"; where its weights are if left out.

    Returns
    -------
    LoopMap
        A `Checkpoint`, a `TorchMap` or a `KernelMap`.

    Raises
    ------
    InvalidArgumentError
        If a name or a parameter is unknown or does not fit.
    PromptError
        If the prompt does not fit, or one was given for a map that reads none.
    CheckpointError
        If a checkpoint is missing, damaged or of an unknown family.

    Examples
    --------
    >>> from dynloop.adapters.address import open_address
    >>> open_address("synthetic:pre+concat?layers=2&tokens=5&width=16&heads=2").state_shape
    (5, 16)
    """
    if dtype is not None and dtype not in DTYPES:
        raise InvalidArgumentError(f"dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
    scheme, colon, rest = address.partition(":")
    if not colon or scheme not in ("zoo", "synthetic"):
        return _checkpoint(address, prompt, granularity, dtype, device)
    if device not in (None, "cpu"):
        raise InvalidArgumentError(f"{address} is computed on the CPU; leave device={device!r} away")
    if prompt is not None:
        raise PromptError(f"{address} reads no prompt; leave the prompt away, or name a checkpoint")
    name, _, query = rest.partition("?")
    if scheme == "zoo":
        if granularity is not None or dtype not in (None, "float64"):
            raise InvalidArgumentError(
                f"{address} is computed in float64 and has no granularity; leave --dtype and --granularity away"
            )
        return _call(_zoo_map(name), query, address, ())
    norm, plus, injection = name.partition("+")
    if not plus or norm not in synthetic.NORMS or injection not in synthetic.INJECTIONS:
        raise InvalidArgumentError(
            f"{address} must read synthetic:NORM+INJECTION with NORM one of {', '.join(synthetic.NORMS)} and INJECTION "
            f"one of {', '.join(synthetic.INJECTIONS)}; for example synthetic:pre+concat"
        )
    chosen = {"norm": norm, "injection": injection, "granularity": granularity or "layer"}
    return _call(
        synthetic.looped_transformer, query, address, _CHOSEN_ELSEWHERE, **chosen, dtype=DTYPES[dtype or "float64"]
    )


def with_prompt(m: LoopMap, prompt: Any) -> LoopMap:
    """Return a checkpoint's map for another prompt; its files are not read again.

    Raises
    ------
    PromptError
        If the prompt does not fit, or `m` reads none.
    """
    if not isinstance(m, Checkpoint):
        raise PromptError(f"{m.name} reads no prompt; leave the prompt away, or name a checkpoint")
    return m.family.open(m.source, prompt, m.granularity, m.dtype, m.device)


def _checkpoint(address: str, prompt: Any, granularity: str | None, dtype: str | None, device: str | None) -> LoopMap:
    if Path(address).suffix.lower() in _CODE:
        raise UnsafeFileError(
            f"{address} is code, and dynloop never executes files; give a checkpoint folder or a weights file, or call "
            "dynloop.classify on your map in a program of your own"
        )
    return open_checkpoint(
        address,
        prompt=prompt,
        granularity=granularity or "layer",  # type: ignore[arg-type] # checked there
        dtype=None if dtype is None else DTYPES[dtype],
        device=device,
    )


def _zoo_map(name: str) -> Callable[..., LoopMap]:
    known = zoo_names()
    if name in known:
        made: Callable[..., LoopMap] = getattr(zoo, name)
        return made
    raise InvalidArgumentError(f"the zoo has no map {name!r}{did_you_mean(name, known)}; `dynloop ls` lists them")


def _call(make: Callable[..., LoopMap], query: str, address: str, hidden: Iterable[str], **chosen: Any) -> LoopMap:
    """Call `make` with the parameters of a query such as ``a=1.2&b=0.3``, read by the types of their defaults."""
    known = {k: p.default for k, p in inspect.signature(make).parameters.items() if k not in set(hidden)}
    given: dict[str, Any] = {}
    for part in query.split("&") if query else ():
        key, equals, text = part.partition("=")
        if key not in known:
            takes = ", ".join(known) or "no parameters"
            raise InvalidArgumentError(f"{address}: no parameter {key!r}{did_you_mean(key, known)}; it takes {takes}")
        if not equals or key in given:
            raise InvalidArgumentError(f"{address}: write every parameter once, as {key}=VALUE")
        given[key] = _value(text, known[key], f"{address}: {key}")
    return make(**chosen, **given)


def _value(text: str, default: Any, what: str) -> Any:
    """Read one value; the default of the parameter says of which type."""
    if isinstance(default, bool):
        if text.lower() in ("true", "false", "1", "0"):
            return text.lower() in ("true", "1")
        raise InvalidArgumentError(f"{what} must be true or false; got {text!r}")
    if isinstance(default, tuple | list):
        return tuple(_value(item, 0.0, what) for item in text.split(","))
    if isinstance(default, str):
        return text
    for kind in (int,) if type(default) is int else (int, float) if default is inspect.Parameter.empty else (float,):
        try:
            return kind(text)
        except ValueError:
            continue
    kind_of, such = ("an integer", "2") if type(default) is int else ("a number", "1.5")
    raise InvalidArgumentError(f"{what} must be {kind_of}, such as {such}; got {text!r}")
