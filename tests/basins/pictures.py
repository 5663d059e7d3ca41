"""Labels that are known without the library: Newton's method in plain NumPy, stripes, sectors."""

import numpy as np

ROOTS = np.exp(2j * np.pi * np.arange(3) / 3)


def newton_labels(n):
    """Basins of z³ − 1 on [−1, 1]², n × n."""
    g = np.linspace(-1, 1, n)
    z = g[:, None] + 1j * g
    with np.errstate(all="ignore"):
        for _ in range(100):
            z = z - (z**3 - 1) / (3 * z**2)
    return np.argmin(abs(z[..., None] - ROOTS), axis=-1) + 1


def sectors(n):
    """Three basins that meet at one point only."""
    g = np.linspace(-1, 1, n)
    return (np.angle(g[:, None] + 1j * g + 0.003) % (2 * np.pi) * 3 / (2 * np.pi)).astype(int) + 1
