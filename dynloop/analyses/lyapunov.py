"""The analysis ``lyapunov`` as a cell: the exponents of one map from one start."""

from __future__ import annotations

from typing import Any

from dynloop.analyses.opening import Dtype, Granularity, open_map
from dynloop.calculus.lyapunov import lyapunov_spectrum

__all__ = ["lyapunov_cell"]

_ALL, _SOME = 64, 8  # coordinates up to which every exponent is found; exponents of a larger state


def lyapunov_cell(
    checkpoint: str,
    prompt: Any = None,
    k: int | None = None,
    loops: int = 1000,
    transient: int = 100,
    qr_every: int = 1,
    granularity: Granularity | None = None,
    dtype: Dtype | None = None,
    seed: int = 0,
    device: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Measure the Lyapunov exponents of a map; settings as of ``dynloop lyapunov``.

    Returns
    -------
    dict
        ``exponent`` (the largest), its ``standard_error`` and ``bias``, ``dimension`` (Kaplan–Yorke), ``status``, and
        the `LyapunovSpectrum` as ``result``.
    """
    m = open_map(checkpoint, prompt, granularity, dtype, device, more)
    if k is None and m.dimension > _ALL:
        k = _SOME
    found = lyapunov_spectrum(m, m.start(seed, 1), k=k, loops=loops, transient=transient, qr_every=qr_every, rng=seed)
    return {
        "exponent": float(found.exponents[0]),
        "standard_error": float(found.standard_error[0]),
        "bias": float(found.bias[0]),
        "dimension": found.kaplan_yorke_dimension,
        "status": found.status,
        "result": found,
    }
