"""Which twin of higher precision a map of low precision may be asked through."""

from __future__ import annotations

from typing import Any

import numpy as np

from dynloop.errors import InvalidArgumentError, NoTwinError
from dynloop.maps.base import LoopMap

__all__ = ["checked_polish", "upcast"]

_DTYPES = {"float64": float(np.finfo(np.float64).eps), "float32": float(np.finfo(np.float32).eps)}


def checked_polish(polish: Any) -> str:
    """Return "auto", "never" or the name of a dtype, which may be given as one of numpy or torch."""
    name = polish if isinstance(polish, str) else str(polish).removeprefix("torch.")
    if isinstance(polish, type) and issubclass(polish, np.floating | float):
        name = np.dtype(polish).name
    if name not in ("auto", "never", *_DTYPES):
        raise InvalidArgumentError(
            f"polish must be 'auto', 'never', float64 or float32; got {polish!r}. Leave it out for 'auto'"
        )
    return name


def upcast(m: LoopMap, polish: str) -> tuple[LoopMap | None, str]:
    """Return the twin that may be asked, or None with the reason.

    Parameters
    ----------
    m : LoopMap
        The map, its dtype fixed.
    polish : {"auto", "never", "float64", "float32"}
        "auto" takes float64, or float32 where there is no float64 twin or no memory for one.

    Raises
    ------
    NoTwinError
        If a dtype is asked for by name and the map has no twin of it.
    InvalidArgumentError
        If that dtype is below the map's own.
    """
    at = f"so this is said at the precision of {m.dtype_name}"
    if polish == "never":
        return None, f"not polished, {at}"
    if polish in _DTYPES:
        if _DTYPES[polish] > m.precision:
            raise InvalidArgumentError(
                f"polish is {polish}, and the map works in {m.dtype_name}; give a dtype above that, or 'never'"
            )
        if _DTYPES[polish] == m.precision and polish != "float64":
            return None, f"polished in no dtype above {polish}, {at}"
        return m.twin(polish), ""
    for dtype, precision in _DTYPES.items():
        if precision < m.precision or dtype == "float64":
            try:
                return m.twin(dtype), ""
            except NoTwinError as error:
                why = str(error)
    return None, f"{why.split(';')[0].rstrip('.')}, {at}"
