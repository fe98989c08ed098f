"""Features that windows are a product over: unbounded ones, ones with a bound or two, and periodic ones.

A class is for all features of a kind. Samples are reflected once at each bound, and each window is divided by the mass that it then
has between the bounds; on a circle, the Gaussian window becomes that of von Mises, and others are wrapped around it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from scipy.special import i0e, i1e

from skkeops.arrays.devices import namespace_of, to_device
from skkeops.formula import operations as ops
from skkeops.formula.expression import Expression

from .windows import AnyWindow, TailedWindow, draw_until_kept

__all__ = ["AXES", "Above", "Axis", "Between"]


def _images(window: AnyWindow, x: Expression, y: Expression, scale: Expression, length: Expression | None) -> Expression:
    """Return the window between x and y and the mirror images of y, at 0 and, if there is one, at a length."""
    if not isinstance(window, TailedWindow):
        images = window.of((x - y) * scale) + window.of((x + y) * scale)
        return images if length is None else images + window.of((length - x + (length - y)) * scale)
    beside = ops.Exp.build(-window.fall(x, y, scale))
    if length is not None:
        beside = beside + ops.Exp.build(-window.fall(length - x, length - y, scale))
    found = window.of((x - y) * scale)
    # One logarithm for some features together, which is quicker than one for each, and far from overflow.
    for start in range(0, x.dim, 16):
        factors = 1 + (ops.Extract.build(beside, start, min(16, x.dim - start)) if x.dim > 16 else beside)
        found = found + ops.Log.build(ops.Prod.build(factors) if factors.dim > 1 else factors)
    return found


class Axis(ABC):
    """The features of a kind, in coordinates of their own.

    Parameters
    ----------
    features : ndarray of int
        Their columns.
    low, high : ndarray
        Their bounds, infinite if there is none.
    period : ndarray
        Their periods, infinite if they are not periodic.

    Notes
    -----
    `y` are coordinates of reference samples, of shape (n_samples, n), and `h` their bandwidths, of a shape that broadcasts to it,
    both of NumPy in float64.
    """

    sign: ClassVar[float] = 1.0  # of the derivative of coordinates by points
    has_constant: ClassVar[bool] = False  # whether the expressions take a further parameter

    def __init__(self, features: np.ndarray, low: np.ndarray, high: np.ndarray, period: np.ndarray):
        self.features, self.low, self.high, self.period = features, low, high, period

    @staticmethod
    @abstractmethod
    def window(window: AnyWindow, x: Expression, y: Expression, scale: Expression, *constants: Expression) -> Expression:
        """Return the product of the windows over the features, or the logarithm of it for a window with tails."""

    @staticmethod
    def cumulative(window: AnyWindow, x: Expression, y: Expression, scale: Expression, *constants: Expression) -> Expression:
        """Return, for each feature, which part of the mass of the window without bounds is below x; a circle has no below."""
        raise NotImplementedError("periodic features have no distribution function")

    def constant(self, window: AnyWindow) -> np.ndarray:
        """Return the further parameter of the expressions, if `has_constant`."""
        raise NotImplementedError(f"{type(self).__name__} takes no further parameter")

    def enter(self, x: Any) -> Any:
        """Return the coordinates of points."""
        return x

    def leave(self, z: np.ndarray) -> np.ndarray:
        """Return points from coordinates."""
        return z

    def scale(self, window: AnyWindow, h: np.ndarray) -> np.ndarray:
        """Return what differences are multiplied by."""
        return (window.factor if isinstance(window, TailedWindow) else 1.0) / h

    def log_mass(self, window: AnyWindow, y: np.ndarray, h: np.ndarray) -> np.ndarray:
        """Return the logarithms of the masses, of shape (1 or n_samples, n)."""
        return window.log_mass(1) + np.log(h)

    def mass_slope(self, window: AnyWindow, y: np.ndarray, h: np.ndarray) -> np.ndarray:
        """Return the derivatives of `log_mass` by the logarithms of h."""
        return np.ones((1, len(self.features)))

    def mass_gradient(self, window: AnyWindow, y: np.ndarray, h: np.ndarray) -> np.ndarray | None:
        """Return the derivatives of `log_mass` by y, None if they are zero."""
        return None

    def part_between(self, window: AnyWindow, y: np.ndarray, h: np.ndarray) -> np.ndarray | None:
        """Return which part of the mass of a window lies between the bounds, mirror images included; None for all of it."""
        return None

    @abstractmethod
    def draw(self, window: AnyWindow, y: np.ndarray, h: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Return coordinates of random points, one for each row of y."""


class Line(Axis):
    """Features without bounds."""

    @staticmethod
    def window(window, x, y, scale, *constants):
        return window.of((x - y) * scale)

    @staticmethod
    def cumulative(window, x, y, scale, *constants):
        return window.cumulative((x - y) * scale)

    def draw(self, window, y, h, rng):
        return y + h * window.noise(*y.shape, rng)


class Above(Axis):
    """Features with a lower bound, as distances from it."""

    @staticmethod
    def window(window, x, y, scale, *constants):
        return _images(window, x, y, scale, None)

    @staticmethod
    def cumulative(window, x, y, scale, *constants):
        return window.cumulative((x - y) * scale) - window.cumulative(-(x + y) * scale)

    def enter(self, x):
        return np.maximum(x - _like(self.low, x), 0)

    def leave(self, z):
        return np.maximum(z + self.low, self.low)

    def draw(self, window, y, h, rng):
        return abs(y + h * window.noise(*y.shape, rng))


class Below(Above):
    """Features with an upper bound, as distances from it."""

    sign = -1.0

    @staticmethod
    def cumulative(window, x, y, scale, *constants):
        return window.cumulative((y - x) * scale) + window.cumulative(-(x + y) * scale)

    def enter(self, x):
        return np.maximum(_like(self.high, x) - x, 0)

    def leave(self, z):
        return np.minimum(self.high - z, self.high)


class Between(Axis):
    """Features with two bounds, as distances from the lower one. Their constant is the distance of the bounds."""

    has_constant = True

    @staticmethod
    def window(window, x, y, scale, *constants):
        return _images(window, x, y, scale, constants[0])

    @staticmethod
    def cumulative(window, x, y, scale, *constants):
        length = constants[0]
        below = window.cumulative((x - y) * scale) - window.cumulative(-(x + y) * scale)
        above = window.cumulative((x + y - 2 * length) * scale) - window.cumulative((y - 2 * length) * scale)
        return below + above

    def constant(self, window):
        return self.high - self.low

    def enter(self, x):
        length = _like(self.high - self.low, x)
        return np.minimum(np.maximum(x - _like(self.low, x), 0), length)

    def leave(self, z):
        return np.clip(z + self.low, self.low, self.high)

    def _ends(self, y: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return how far the mirror images of the bounds are, in bandwidths: the images fill what is between."""
        length = self.high - self.low
        return (2 * length - y) / h, (length + y) / h

    def log_mass(self, window, y, h):
        u, v = self._ends(y, h)
        return np.log(h) + np.log(window.half_mass(u) + window.half_mass(v))

    def mass_slope(self, window, y, h):
        u, v = self._ends(y, h)
        return 1 - (u * window.profile(u) + v * window.profile(v)) / (window.half_mass(u) + window.half_mass(v))

    def mass_gradient(self, window, y, h):
        u, v = self._ends(y, h)
        return (window.profile(v) - window.profile(u)) / (h * (window.half_mass(u) + window.half_mass(v)))

    def part_between(self, window, y, h):
        u, v = self._ends(y, h)
        return (window.half_mass(u) + window.half_mass(v)) / math.exp(window.log_mass(1))

    def draw(self, window, y, h, rng):
        drawn = np.empty(y.shape)
        for k, length in enumerate(self.high - self.low):
            center, width = y[:, k], np.broadcast_to(h, y.shape)[:, k]

            def propose(at, length=length, center=center, width=width):
                # A window that is wider than the interval is nearly flat there: by rejection from a flat one.
                near, wide, n = center[at], width[at] > length, len(at)
                own = near + width[at] * window.noise(n, 1, rng)[:, 0]
                z = np.where(wide, rng.uniform(-length, 2 * length, n), own)
                level = window.profile(abs(z - near) / width[at])
                return z, np.where(wide, rng.uniform(size=n) < level, (z >= -length) & (z <= 2 * length))

            z = abs(draw_until_kept(len(y), propose))
            drawn[:, k] = np.where(z > length, 2 * length - z, z)
        return drawn


class Circle(Axis):
    """Periodic features, from 0 to the period. Their constant is pi over the period for a Gaussian window, whose place that of von
    Mises takes, ``exp(-c^2 / 2 h^2)`` of the chord c; for others the period."""

    has_constant = True

    @staticmethod
    def window(window, x, y, scale, *constants):
        if window.name == "gaussian":
            return window.of(ops.Sin.build((x - y) * constants[0]) * scale)
        period = constants[0]
        distance = ops.Abs.build(x - y)
        distance = ops.Min.build(ops.Concat.build(distance, period - distance))
        found = window.of(distance * scale)
        if isinstance(window, TailedWindow):  # that around the circle, the sum over all of its turns but for a factor
            found = found + ops.Log.build(1 + ops.Exp.build((2 * distance - period) * scale))
        return found

    def constant(self, window):
        return np.pi / self.period if window.name == "gaussian" else self.period

    def enter(self, x):
        return np.mod(x, _like(self.period, x))

    def scale(self, window, h):
        scale = super().scale(window, h)
        return scale * (self.period / np.pi) if window.name == "gaussian" else scale

    def _concentration(self, h: np.ndarray) -> np.ndarray:
        """Return the parameter of von Mises' law, one over the squared bandwidth as an angle."""
        return np.square(self.period / (2 * np.pi * h))

    def log_mass(self, window, y, h):
        whole = super().log_mass(window, y, h)
        if window.name == "gaussian":
            kappa = self._concentration(h)  # where it is large, the circle is a line
            return np.where(kappa < 1e15, np.log(self.period) + np.log(i0e(np.minimum(kappa, 1e15))), whole)
        return whole + np.log(-np.expm1(-self.period / h)) if isinstance(window, TailedWindow) else whole

    def mass_slope(self, window, y, h):
        ones = super().mass_slope(window, y, h)
        if window.name == "gaussian":
            kappa = self._concentration(h)
            near = np.minimum(kappa, 1e3)
            # The difference of Bessel functions cancels where they are nearly equal; there by their asymptotic series.
            far = np.maximum(kappa, 1e3)
            series = 0.5 + (1 / 8 + (1 / 8 + 25 / 128 / far) / far) / far
            return 2 * np.where(kappa < 1e3, near * (1 - i1e(near) / i0e(near)), series) * ones
        if isinstance(window, TailedWindow):
            with np.errstate(over="ignore"):
                return ones - self.period / h / np.expm1(self.period / h)
        return ones

    def draw(self, window, y, h, rng):
        if window.name != "gaussian":
            return np.mod(y + h * window.noise(*y.shape, rng), self.period)
        kappa = np.broadcast_to(self._concentration(h), y.shape)
        # For narrow ones NumPy's method cancels, and the law is that of Gauss to six digits.
        angle = np.where(kappa < 1e6, rng.vonmises(0, np.minimum(kappa, 1e6)), rng.normal(size=y.shape) / np.sqrt(kappa))
        return np.mod(y + angle * self.period / (2 * np.pi), self.period)


def _like(values: np.ndarray, x: Any) -> Any:
    """Return numbers of features in the namespace and the dtype of points."""
    return to_device(values.astype(x.dtype), namespace_of(x))


#: In the order of coordinates.
AXES: tuple[type[Axis], ...] = (Line, Above, Below, Between, Circle)
