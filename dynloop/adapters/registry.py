"""From a path or a live model to a map: find its family, and let it open the checkpoint."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dynloop.adapters.base import Checkpoint, Family, Granularity, Source, check_granularity
from dynloop.adapters.files import read_source
from dynloop.adapters.generic import capture_block
from dynloop.adapters.hub_cache import SCHEME, cached_snapshot
from dynloop.adapters.live import live_source
from dynloop.adapters.weights import SUFFIXES
from dynloop.adapters.working import as_device, as_dtype
from dynloop.errors import CheckpointError, DynloopWarning, InvalidArgumentError, UnknownFamilyError

__all__ = ["checkpoint_files", "demos", "families", "open_checkpoint", "register_adapter"]

ENTRY_POINTS = "dynloop.adapters"
_BUILT_IN = (
    "albert", "deq", "generic", "hrm", "hrm_text", "huginn", "looped_icl", "looped_lm", "ouro", "parcae", "retrofitted",
    "trm", "x_transformers",
)  # fmt: skip
_DEMOS = Path(__file__).parent / "demo"
_registered: dict[str, Family] = {}


def open_checkpoint(
    path_or_model: str | os.PathLike[str] | Any,
    prompt: Any = None,
    *,
    granularity: Granularity = "layer",
    dtype: torch.dtype | str | None = None,
    device: torch.device | str | None = None,
    block: Any = None,
    injection: Callable[..., Any] | str | None = None,
    closing_norm: Callable[..., Any] | str | None = None,
) -> Checkpoint:
    """Turn a checkpoint, its prompt held fixed, into a map.

    Parameters
    ----------
    path_or_model : path-like or model object
        A folder with ``config.json`` and weights; a weights file with ``config.json`` beside it; ``"demo"`` or
        ``"demo:NAME"`` for the checkpoints that ship with dynloop (see `demos`; a bare ``"demo"`` is the first);
        ``"hf-cache:ORG/NAME"`` (or ``…@REVISION``) for one that lies in the Hugging Face cache; or a live model
        object, whose weights are shared and which is never changed. Nothing is downloaded, no code that
        comes with a checkpoint is run, and pickles are read for their tensors alone.
    prompt : str, array or dict, optional
        Text, token ids ``(tokens,)``, or a dict of arrays named as the model's own inputs, without a batch axis. Left
        out, the family's own default prompt is used; `Checkpoint.describe` says which.
    granularity : {"layer", "sublayer"}
        One factor a transformer layer, or attention and MLP apart.
    dtype : torch.dtype or str, optional
        The working dtype, such as ``torch.float64`` or ``"float64"``; that of the weights if left out.
    device : torch.device or str, optional
        Where to compute; where the weights are (the CPU, for files) if left out.
    block, injection, closing_norm : optional
        For a live model of any kind: the modules of one loop by name, such as ``"transformer.h.3:7"``, what is injected
        at its start and what closes it; see `capture_block`, which is called and has further options.

    Returns
    -------
    Checkpoint
        A `TorchMap` with ``.decode(states)``, ``.tokens``, ``.describe()`` and ``.start(rng, n)``.

    Raises
    ------
    CheckpointError
        If a file is missing, damaged, or not what the config says; `UnsafeFileError` if it holds code.
    UnknownFamilyError
        If no family recognises it; the message lists the known ones.
    PromptError
        If the prompt does not fit the checkpoint.
    NotAutonomousError
        If the model's loop is not one map.
    InvalidArgumentError
        If an option is not one of those named.

    Examples
    --------
    >>> import dynloop as dl
    >>> m = dl.open_checkpoint("demo", dtype="float64")
    >>> x = m.start()
    >>> m.decode(m(x)).dtype
    torch.float64
    """
    granularity, dtype, device = check_granularity(granularity), as_dtype(dtype), as_device(device)
    if block is not None:
        if granularity != "layer":
            raise InvalidArgumentError(
                "granularity='sublayer' does not go with block=: every module named is one factor"
            )
        model: Any = path_or_model  # what is no module is refused there
        options: dict[str, Any] = {"injection": injection, "closing_norm": closing_norm}
        return capture_block(model, prompt, block=block, **options, dtype=dtype, device=device)
    if injection is not None or closing_norm is not None:
        raise InvalidArgumentError("injection and closing_norm belong to block=, the modules of one loop; give it too")
    source = _source(path_or_model)
    return _family_of(source).open(source, prompt, granularity, dtype, device)


def register_adapter(family: Family) -> Family:
    """Add a family of your own; it is asked before those that ship with dynloop.

    A package does the same by an entry point in the group ``dynloop.adapters`` that names its `Family`.

    Parameters
    ----------
    family : Family
        A family of the same name that was registered before is replaced.

    Returns
    -------
    Family
        `family` itself.

    Raises
    ------
    InvalidArgumentError
        If it is no `Family`, or bears the name of one that ships with dynloop.

    Examples
    --------
    >>> from dynloop.adapters.base import Family
    >>> from dynloop.adapters.registry import families, register_adapter
    >>> mine = Family(
    ...     name="mine",
    ...     description="x ← f(x)",
    ...     identifies="model_type mine",
    ...     recognises=lambda config, names: config.get("model_type") == "mine",
    ...     open=lambda *a: ...,
    ... )
    >>> register_adapter(mine) in families()
    True
    """
    if not isinstance(family, Family):
        raise InvalidArgumentError(
            f"family must be a dynloop.adapters.base.Family; got {type(family).__name__}. Make one with Family(name=…)."
        )
    if family.name in _BUILT_IN:
        raise InvalidArgumentError(f"the name {family.name!r} belongs to dynloop's own adapter; choose another name")
    _registered.pop(family.name, None)
    _registered[family.name] = family
    return family


def families() -> tuple[Family, ...]:
    """Return the known families in the order they are asked: registered (the latest first), installed, built in."""
    own = [importlib.import_module(f"dynloop.adapters.{name}").FAMILY for name in _BUILT_IN]
    return (*reversed(_registered.values()), *_installed(), *own)


def demos() -> tuple[str, ...]:
    """Return the names of the checkpoints that ship with dynloop, for ``open_checkpoint("demo:NAME")``."""
    return tuple(sorted(path.parent.name for path in _DEMOS.glob("*/config.json")))


def checkpoint_files(address: str) -> list[Path]:
    """Return the files that `open_checkpoint` may read for an address; none where it names nothing that is there.

    All files that lie in the folder itself count, hidden ones and other weights beside a weights file apart.
    """
    scheme, _, name = address.partition(":")
    if scheme == SCHEME:
        path = cached_snapshot(name)
    elif scheme == "demo":
        path = _DEMOS / (name or next(iter(demos()), ""))
    else:
        path = Path(address)
    if not path.exists():
        return []
    folder = path if path.is_dir() else path.parent
    files = [p for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith(".")]
    alone = path.suffix.lower() in SUFFIXES and folder != path
    return [p for p in files if not alone or p == path or p.suffix.lower() not in SUFFIXES]


@functools.cache
def _installed() -> tuple[Family, ...]:
    """Load the families that installed packages name; one that does not load is left out with a warning."""
    found = []
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        try:
            family = entry.load()
        except Exception as error:  # another package's import may fail in any way
            warnings.warn(f"the adapter {entry.value} was not loaded: {error!r}", DynloopWarning, stacklevel=4)
            continue
        if isinstance(family, Family):
            found.append(family)
        else:
            warnings.warn(f"the adapter {entry.value} is no Family and was left out", DynloopWarning, stacklevel=4)
    return tuple(found)


def _source(path_or_model: Any) -> Source:
    if not isinstance(path_or_model, str | os.PathLike):
        return live_source(path_or_model, families())
    text = os.fspath(path_or_model)
    scheme, _, name = text.partition(":") if isinstance(path_or_model, str) else ("", "", "")
    if scheme == SCHEME:
        return read_source(cached_snapshot(name), text)
    if scheme != "demo":
        return read_source(Path(text))
    known = demos()
    name = name or (known[0] if known else "")
    if name not in known:
        has = f"the demos are {', '.join(known)}" if known else "none came with this installation, so install it again"
        raise CheckpointError(f"there is no demo {name!r}; {has}")
    return read_source(_DEMOS / name, f"demo:{name}")


def _family_of(source: Source) -> Family:
    asked = families()
    for family in asked:
        if family.recognises(source.config, source.tensors.keys()):
            return family
    says = source.config.get("model_type", source.config.get("architectures"))
    names = list(source.tensors)
    known = "; ".join(f"{family.name} ({family.identifies})" for family in asked)
    raise UnknownFamilyError(
        f"no adapter recognises {source.name} (model_type {says!r}, tensors such as {', '.join(names[:2])}). "
        f"Known families: {known}. Register one of your own with dynloop.register_adapter"
    )
