"""The working dtype and device that a user asks for, by object or by name."""

from __future__ import annotations

import torch

from dynloop.errors import InvalidArgumentError

__all__ = ["as_device", "as_dtype"]


def as_dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    """Return a floating dtype; None stays None."""
    found = getattr(torch, dtype, dtype) if isinstance(dtype, str) else dtype
    if found is None or (isinstance(found, torch.dtype) and found.is_floating_point):
        return found
    raise InvalidArgumentError(f"dtype must be a floating dtype such as torch.float64 or 'float64'; got {dtype!r}")


def as_device(device: torch.device | str | None) -> torch.device | None:
    """Return a device that can be used here; None stays None."""
    if device is None:
        return None
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InvalidArgumentError(
            f"device {device!r} cannot be used here; pass device='cpu' or leave it out"
        ) from error
