"""How much of a signal's power lies outside its spectral lines: a cheap look for anything chaotic in a motion.

Whether lines make a torus is asked of `quasiperiodic_fit`, which costs a hundred times as much.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.signal.windows import blackmanharris

from dynloop.maps.base import Array

__all__ = ["Background", "spectral_background"]

_LINE = 1e-7  # of the highest, above which a local maximum is a line
_LOBE = 6  # bins on either side that belong to a line, by the window


class Background(NamedTuple):
    """What is left beside the lines of a signal.

    Attributes
    ----------
    share : float
        Share of the power outside the lines; 1 where there are none. Windows leak 1e-9.
    lines : int
        How many lines there are. Noise above 1e-3 of the signal breaks up into hundreds, which hide it from `share`.
    """

    share: float
    lines: int


def spectral_background(signal: Array) -> Background:
    """Measure the power of a scalar signal outside its spectral lines.

    Parameters
    ----------
    signal : ndarray, (loops,)
        One value a loop; at least 256 of them.

    Returns
    -------
    Background
        No lines, and a share of 1, where the signal is constant, too short or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from dynloop.orbits.spectral_background import spectral_background
    >>> t = np.arange(4096)
    >>> spectral_background(np.cos(0.7 * t) + 0.1 * np.cos(1.4 * t)).lines
    2
    >>> spectral_background(np.cos(0.7 * t) + 1e-3 * np.random.default_rng(0).standard_normal(4096)).share > 1e-6
    True
    """
    size = np.abs(signal - signal.mean()).max() if np.isfinite(signal).all() else 0.0
    if len(signal) < 256 or size == 0:
        return Background(1.0, 0)
    power = np.abs(np.fft.rfft((signal - signal.mean()) / size * blackmanharris(len(signal), sym=False))) ** 2
    padded = np.concatenate([[np.inf], power, [-np.inf]])
    tops = np.flatnonzero((power >= padded[:-2]) & (power >= padded[2:]) & (power > _LINE * power.max()))
    near = np.zeros(len(power), dtype=bool)
    near[: _LOBE - 2] = True  # the mean that is left leaks no further than the window's main lobe
    for top in tops:
        near[max(0, top - _LOBE) : top + _LOBE + 1] = True
    return Background(float(power[~near].sum() / power.sum()), len(tops))
