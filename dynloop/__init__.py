"""dynloop: looped transformers as discrete dynamical systems.

The public names are loaded when they are first used, so that ``import dynloop`` never imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME = {
    "KernelMap": "dynloop.maps.kernel",
    "LoopMap": "dynloop.maps.base",
    "TorchMap": "dynloop.maps.torch",
    "open_checkpoint": "dynloop.adapters.registry",
    "register_adapter": "dynloop.adapters.registry",
    "trajectory": "dynloop.orbits.trajectory",
    "Trajectory": "dynloop.orbits.trajectory",
    "precision_floor": "dynloop.orbits.floor",
    "lyapunov_spectrum": "dynloop.calculus.lyapunov",
    "LyapunovSpectrum": "dynloop.calculus.lyapunov",
    "jacobian": "dynloop.calculus.jacobian",
    "multipliers": "dynloop.calculus.spectrum",
    "Spectrum": "dynloop.calculus.spectrum",
    "classify": "dynloop.orbits.regime",
    "Classification": "dynloop.orbits.verdict",
    "Evidence": "dynloop.orbits.verdict",
    "Regime": "dynloop.orbits.verdict",
    "Status": "dynloop.result",
    "load": "dynloop.result",
}
_ROOMS = {"adapters", "calculus", "errors", "maps", "nn", "orbits", "result", "synthetic", "testing", "views", "zoo"}
_MOVED = {"synthetic": "dynloop.maps.synthetic", "zoo": "dynloop.maps.zoo"}

__all__ = [*sorted(_HOME), "synthetic", "testing", "zoo"]

if TYPE_CHECKING:
    from dynloop import testing
    from dynloop.adapters.registry import open_checkpoint, register_adapter
    from dynloop.calculus.jacobian import jacobian
    from dynloop.calculus.lyapunov import LyapunovSpectrum, lyapunov_spectrum
    from dynloop.calculus.spectrum import Spectrum, multipliers
    from dynloop.maps import synthetic, zoo
    from dynloop.maps.base import LoopMap
    from dynloop.maps.kernel import KernelMap
    from dynloop.maps.torch import TorchMap
    from dynloop.orbits.floor import precision_floor
    from dynloop.orbits.regime import classify
    from dynloop.orbits.trajectory import Trajectory, trajectory
    from dynloop.orbits.verdict import Classification, Evidence, Regime
    from dynloop.result import Status, load


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    elif name in _ROOMS:
        value = importlib.import_module(_MOVED.get(name, f"dynloop.{name}"))
    else:
        raise AttributeError(f"dynloop has no public name {name!r}; `dir(dynloop)` lists them")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__", *_ROOMS})
