"""Naming the modules of a block: ``"transformer.h.3:7"``, a list of dotted names, or modules themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from dynloop.errors import InvalidArgumentError
from dynloop.spelling import nearest

__all__ = ["named_module", "named_modules"]

_SLICE = re.compile(r"(-?\d*):(-?\d*)(?::(-?\d*))?")


def named_modules(model: nn.Module, block: Any, where: str) -> tuple[list[str], list[nn.Module]]:
    """Return the modules of a block in the order of a loop, with their dotted names.

    Parameters
    ----------
    model : nn.Module
        What the names are looked up in.
    block : str, nn.Module, or sequence of these
        ``"h.3"`` is one module, ``"h.3:7"`` (or ``"h[3:7]"``) members 3 … 6 of a ``ModuleList`` or ``Sequential``,
        ``"h"`` all members of a ``ModuleList``. A module may be named more than once, if one loop applies it more
        than once.

    Raises
    ------
    InvalidArgumentError
        If there is no such module, a slice is empty, or a module is no part of the model.
    """
    given = [block] if isinstance(block, str | nn.Module) else list(block) if isinstance(block, Sequence) else None
    if isinstance(block, nn.ModuleList | nn.Sequential) and id(block) not in {id(m) for m in model.modules()}:
        given = list(block)  # a slice of a list of the model is a list made anew
    if not given:
        raise InvalidArgumentError(
            f"block must name modules of {where}, such as 'transformer.h.3:7' or a list of names; got {block!r:.80}"
        )
    own = {id(module): name for name, module in model.named_modules(remove_duplicate=True)}
    names: list[str] = []
    for part in given:
        if isinstance(part, nn.Module):
            if not own.get(id(part)):
                raise InvalidArgumentError(
                    f"block holds a {type(part).__name__} that is no submodule of {where}; name its modules by text"
                )
            names += _members(model, own[id(part)], where)
        elif isinstance(part, str):
            names += _members(model, part, where)
        else:
            raise InvalidArgumentError(
                f"block must name modules of {where} by text, such as 'transformer.h.3:7'; got {part!r:.80}"
            )
    return names, [model.get_submodule(name) for name in names]


def named_module(model: nn.Module, name: str, argument: str, where: str) -> nn.Module:
    """Return the module of a dotted name; `argument` is who asks."""
    known: dict[str, nn.Module] = dict(model.named_modules(remove_duplicate=False))
    if name and name in known:
        return known[name]
    close = nearest(name, known)
    top = ", ".join(child for child, _ in model.named_children())
    hint = f"did you mean {close!r}?" if close else f"its children are {top or 'none'}"
    raise InvalidArgumentError(f"{argument} names {name!r}, and {where} has no such module; {hint}")


def _members(model: nn.Module, text: str, where: str) -> list[str]:
    """Return the names of the modules that one text stands for."""
    plain = re.sub(r"\[([-\d:]+)\]", r".\1", text.strip())
    stem, _, last = plain.rpartition(".")
    found = _SLICE.fullmatch(last) if ":" in last else None
    if found is None and ":" not in plain:
        module = named_module(model, plain, "block", where)
        return [f"{plain}.{i}" for i in range(len(module))] if isinstance(module, nn.ModuleList) else [plain]
    if found is None:
        raise InvalidArgumentError(f"block {text!r} ends in no slice; write it as in 'transformer.h.3:7'")
    container: Any = named_module(model, stem, "block", where) if stem else model
    if not isinstance(container, nn.ModuleList | nn.Sequential):
        raise InvalidArgumentError(
            f"block takes the slice {last} of {stem!r}, a {type(container).__name__}; only a ModuleList or a "
            "Sequential has slices, so list the names one by one"
        )
    keys = list(_children(container))
    chosen = keys[slice(*(int(g) if g else None for g in found.groups()))] if found.group(3) != "0" else []
    if not chosen:
        raise InvalidArgumentError(f"block {text!r} is empty: {stem!r} has {len(keys)} members, 0 … {len(keys) - 1}")
    return [f"{stem}.{key}" if stem else key for key in chosen]


def _children(container: nn.Module) -> Mapping[str, nn.Module]:
    return {name: child for name, child in container._modules.items() if child is not None}
