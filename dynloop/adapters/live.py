"""A live model object as a `Source`: its config and its own weights, shared and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from dynloop.adapters.base import Family, Source
from dynloop.adapters.weights import without_wrappers
from dynloop.errors import CheckpointError, InvalidArgumentError

__all__ = ["check_present", "config_of", "live_source", "unwrapped"]


def live_source(model: Any, families: Iterable[Family]) -> Source:
    """Read a model that is in memory.

    Parameters
    ----------
    model : object
        Anything with ``state_dict()`` and a ``config`` (a mapping, or an object with ``to_dict()``), such as a model
        of transformers; no library is imported to find out. A family may also know models that carry no config.
    families : iterable of Family
        Asked for the config of a model that carries none.

    Returns
    -------
    Source
        Its tensors share the model's storage.

    Raises
    ------
    InvalidArgumentError
        If `model` is no model.
    CheckpointError
        If nothing says what its config is.
    """
    model = unwrapped(model)
    kind = type(model).__name__
    if not callable(getattr(model, "state_dict", None)):
        raise InvalidArgumentError(
            f"path_or_model must be a path or a model with state_dict(); got {kind}. Pass the folder of a checkpoint."
        )
    config = config_of(model)
    for family in families:
        if config is None and family.live_config is not None:
            config = family.live_config(model)
    if config is None:
        raise CheckpointError(
            f"a live {kind} carries no config, so nothing says which family it is; save its state_dict with a "
            "config.json beside it and open that, or name the modules of its loop with block="
        )
    check_present(model)
    tensors = {name: tensor.detach() for name, tensor in model.state_dict().items() if hasattr(tensor, "detach")}
    return Source(name=f"live {kind}", config=config, tensors=without_wrappers(tensors), model=model)


def unwrapped(model: Any) -> Any:
    """Return the module inside what torch.compile (``_orig_mod``) or nnsight (``_module``) made of it, or `model`."""
    inner = getattr(model, "_orig_mod", None)
    if inner is None and not isinstance(model, nn.Module):
        inner = getattr(model, "_module", None)
    return unwrapped(inner) if isinstance(inner, nn.Module) else model


def check_present(model: Any) -> None:
    """Raise unless every weight of a live model is in memory."""
    away = [name for name, tensor in model.state_dict().items() if getattr(tensor, "is_meta", False)]
    if away:
        raise InvalidArgumentError(
            f"model has no values for {away[0]}{f' and {len(away) - 1} more' if away[1:] else ''}: the weights are on "
            "the meta device, as after offloading; load it with every weight on a device (device_map without disk or "
            "cpu offload)"
        )


def config_of(model: Any) -> Mapping[str, Any] | None:
    """Return a copy of the config that a live model carries, None where it carries none."""
    config = getattr(model, "config", None)
    if isinstance(config, Mapping):
        return dict(config)
    to_dict = getattr(config, "to_dict", None)
    found = to_dict() if callable(to_dict) else None
    return found if isinstance(found, Mapping) else None
