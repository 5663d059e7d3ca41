"""The equations of a branch, F^p(x; λ) − x = 0, and their derivatives, in scaled coordinates z = (x, λ)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dynloop.calculus.jacobian import dense_jacobian
from dynloop.maps.base import Array, LoopMap
from dynloop.orbits.branches.bordered import DENSE_SOLVES, solve_dense, solve_products
from dynloop.orbits.branches.members import Members

__all__ = ["Linear", "System"]

_H = float(np.finfo(np.float64).eps ** (1 / 3))  # of a central difference: truncation and rounding in balance


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """The equations linearised at a point: ``A dy + b dμ = −gap``.

    Attributes
    ----------
    gap : ndarray, (n,)
        F^p(x) − x, scaled.
    b : ndarray, (n,)
        Derivative in the scaled parameter.
    matrix : ndarray, (n, n), or None
        A = DF^p − I, where it was formed.
    product : callable
        v ↦ A v.
    """

    gap: Array
    b: Array
    matrix: Array | None
    product: Callable[[Array], Array]

    def solve(self, row: Array, right: Array, last: float) -> Array | None:
        """Solve ``[A b; row] d = (right, last)``; None where the matrix is singular."""
        if self.matrix is not None:
            return solve_dense(self.matrix, self.b, row, right, last)
        return solve_products(self.product, self.b, row, right, last)


class System:
    """F^p(x; λ) − x in coordinates ``z = (x / (size·√n), (λ − start) / (high − low))``.

    One unit of z is the root mean square of a state, whatever its dimension, and one window of the parameter.

    Parameters
    ----------
    members : Members
        The maps.
    period : int
        p.
    size : float
        What one coordinate of x is measured by.
    low, high : float
        The window of the parameter; no map outside it is ever made.
    start : float
        A value in the window, from which z counts.
    """

    def __init__(self, members: Members, period: int, size: float, low: float, high: float, start: float) -> None:
        self.members, self.period = members, period
        self.low, self.high, self.origin = low, high, start
        m = members.at(start)
        self.n, self.state_shape = m.dimension, m.state_shape
        self.x_unit, self.unit = size * np.sqrt(self.n), high - low

    # -- coordinates ---------------------------------------------------------------------------------------------

    def pack(self, x: Array, value: float) -> Array:
        """Return z of a state and a value."""
        return np.append(np.reshape(x, -1) / self.x_unit, self.scaled(value))

    def state(self, z: Array) -> Array:
        """Return the state of z."""
        x: Array = (z[:-1] * self.x_unit).reshape(self.state_shape)
        return x

    def value(self, z: Array) -> float:
        """Return the parameter of z."""
        return float(self.origin + z[-1] * self.unit)

    def scaled(self, value: float) -> float:
        """Return the last coordinate of z of a value."""
        return (value - self.origin) / self.unit

    def inside(self, z: Array) -> bool:
        """Say whether z is finite and its parameter in the window."""
        slack = 4 * np.finfo(float).eps * max(abs(self.low), abs(self.high))
        return bool(np.isfinite(z).all() and self.low - slack <= self.value(z) <= self.high + slack)

    def map_at(self, z: Array) -> LoopMap:
        """Return the map of z."""
        return self.members.at(float(np.clip(self.value(z), self.low, self.high)))

    # -- equations -----------------------------------------------------------------------------------------------

    def orbit(self, z: Array) -> Array:
        """Return ``(p + 1, *state_shape)``: the state and its images."""
        m = self.map_at(z)
        states = [self.state(z)]
        for _ in range(self.period):
            states.append(m.numpy(m(m.native(states[-1][None])))[0])
        return np.stack(states)

    def linearise(self, z: Array) -> Linear:
        """Return the equations linearised at z."""
        m, orbit = self.map_at(z), self.orbit(z)
        gap = m.displacement(orbit[-1], orbit[0]).reshape(-1) / self.x_unit
        slopes = self._slopes(z, orbit[:-1]).reshape(self.period, -1) * (self.unit / self.x_unit)
        b = np.zeros(self.n)
        if self.n <= DENSE_SOLVES:
            M = np.eye(self.n)
            for x, slope in zip(orbit[:-1], slopes, strict=True):
                J = dense_jacobian(m, x)
                M, b = J @ M, J @ b + slope
            A = M - np.eye(self.n)
            return Linear(gap, b, A, A.__matmul__)
        states = [m.native(x[None]) for x in orbit[:-1]]

        def pushed(v: Array, i: int) -> Array:
            frames = m.native(v.reshape(1, *self.state_shape))[None]
            return np.asarray(m.numpy(m.push(states[i], frames)[1]).reshape(-1))

        def product(v: Array) -> Array:
            w = v
            for i in range(self.period):
                w = pushed(w, i)
            return w - v

        for i, slope in enumerate(slopes):
            b = pushed(b, i) + slope
        return Linear(gap, b, None, product)

    def _slopes(self, z: Array, states: Array) -> Array:
        """Return ∂F/∂λ at states ``(p, *state_shape)``, by differences of maps inside the window.

        Central with steps of u^{1/3}; within one step of an end of the window one-sided, of the second order.
        """
        value = float(np.clip(self.value(z), self.low, self.high))
        h = min(_H * max(abs(value), self.unit), self.unit / 4)
        if value - h < self.low or value + h > self.high:
            sign = 1.0 if value - h < self.low else -1.0
            near, far = value + sign * h, value + 2 * sign * h
            f0, f1, f2 = (self._images(v, states) for v in (value, near, far))
            m = self.members.at(value)
            return (4 * m.displacement(f1, f0) - m.displacement(f2, f0)) / (2 * (near - value))
        up, down = value + h, value - h
        m = self.members.at(up)
        return m.displacement(self._images(up, states), self._images(down, states)) / (up - down)

    def _images(self, value: float, states: Array) -> Array:
        m = self.members.at(value)
        return m.numpy(m(m.native(states)))
