"""The analysis ``fixed_points`` as a cell: the orbits of one prime period that are found from some starts."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from dynloop.analyses.opening import Dtype, Granularity, open_map
from dynloop.orbits.fixed_points import find_fixed_points

__all__ = ["fixed_points_cell"]

_FEW, _MANY_STARTS, _FEW_STARTS = 16, 64, 4  # coordinates up to which many starts cost nothing


def fixed_points_cell(
    checkpoint: str,
    prompt: Any = None,
    period: int = 1,
    starts: int | None = None,
    tol: float | None = None,
    k: int | None = None,
    method: Literal["auto", "newton", "anderson"] = "auto",
    granularity: Granularity | None = None,
    dtype: Dtype | None = None,
    seed: int = 0,
    device: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Search fixed points, or orbits of a prime period; settings as of ``dynloop fixed-points``.

    Returns
    -------
    dict
        ``count``, ``sinks``, ``saddles`` and ``sources`` among them, the largest ``residual`` (None if none was found),
        ``slow`` and ``failed`` starts, ``summary``, and the `FixedPoints` as ``result``.
    """
    m = open_map(checkpoint, prompt, granularity, dtype, device, more)
    count = starts or (_MANY_STARTS if m.dimension <= _FEW else _FEW_STARTS)
    found = find_fixed_points(m, m.start(seed, count), period=period, tol=tol, k=k, method=method)
    kinds = {f"{kind}s": int(np.sum(found.stability == kind)) for kind in ("sink", "saddle", "source")}
    return {
        "count": len(found),
        **kinds,
        "residual": float(np.max(found.residual)) if len(found) else None,
        "slow": len(found.slow),
        "failed": len(found.failed),
        "summary": found.summary(),
        "result": found,
    }
