"""The windows of density estimates: formula, normaliser in any dimension, and random numbers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

import numpy as np
from scipy.special import erf, gammainc, gammaln

from skkeops.formula import operations as ops
from skkeops.formula.expression import Constant, Expression

__all__ = ["WINDOWS", "AnyWindow", "CompactWindow", "TailedWindow", "Window", "draw_until_kept", "get_window"]


def log_ball(dim: int) -> float:
    """Return the logarithm of the volume of the unit ball."""
    return 0.5 * dim * math.log(math.pi) - float(gammaln(0.5 * dim + 1))


def squared_limit(h: Any) -> Any:
    """Return the smallest number whose square root, rounded, is at least h.

    The distance is below h exactly if the squared distance is below this number. So no roots are needed to decide as
    scikit-learn does, which compares distances with h. (``h * h`` is rounded, and may decide otherwise.) Of an array it
    returns the numbers one by one.
    """
    zero, infinity = h.dtype.type(0), h.dtype.type(np.inf)
    with np.errstate(over="ignore", under="ignore"):
        limit = h * h
        while (high := (limit > zero) & (np.sqrt(limit) >= h)).any():  # zero has no smaller one
            limit = np.where(high, np.nextafter(limit, zero), limit)
        while (low := np.sqrt(limit) < h).any():
            limit = np.where(low, np.nextafter(limit, infinity), limit)
    return limit[()]


def draw_until_kept(size: int, propose: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return random numbers by rejection: `propose` returns, for some indices, a number for each and whether it is kept."""
    drawn = np.empty(size)
    open_ = np.arange(size)
    while len(open_):
        values, kept = propose(open_)
        drawn[open_[kept]] = values[kept]
        open_ = open_[~kept]
    return drawn


def _scaled_square(x: Expression, y: Expression, scale: Expression) -> Expression:
    """The squared distance times the square of a number, or that of differences times one number for each feature."""
    return ops.Square.build(scale) * ops.SqDist(x, y) if scale.dim < x.dim else ops.SqNorm2((x - y) * scale)


class Window(ABC):
    """A function k(r) of the distance in units of the bandwidth, with k(0) = 1."""

    name: ClassVar[str]

    @abstractmethod
    def log_mass(self, dim: int) -> float:
        """Return the logarithm of the integral of the window over all space, for the bandwidth 1."""

    @abstractmethod
    def noise(self, size: int, dim: int, rng: np.random.RandomState) -> np.ndarray:
        """Return random points of the window of bandwidth 1, of shape (size, dim)."""

    @abstractmethod
    def profile(self, r: np.ndarray) -> np.ndarray:
        """Return k(r) for distances, in float64."""

    @abstractmethod
    def half_mass(self, r: np.ndarray) -> np.ndarray:
        """Return the integral of k from 0 to r, for r >= 0."""

    @abstractmethod
    def of(self, u: Expression) -> Expression:
        """Return the window of a vector of differences times `scale`: its logarithm if it has tails, else its value."""

    @abstractmethod
    def cumulative(self, u: Expression) -> Expression:
        """Return, for each component of such a vector, which part of the mass in one dimension is below it."""


class RadialWindow(Window):
    """A window whose random points are random directions times random distances."""

    @abstractmethod
    def radii(self, size: int, dim: int, rng: np.random.RandomState) -> np.ndarray:
        """Return random distances with a density proportional to r^(dim - 1) k(r)."""

    def noise(self, size: int, dim: int, rng: np.random.RandomState) -> np.ndarray:
        directions = rng.normal(size=(size, dim))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        return directions * self.radii(size, dim, rng)[:, None]


class TailedWindow(Window):
    """A window that is positive everywhere: the exponential of an exponent."""

    factor: ClassVar[float] = 1.0  # factor / bandwidth is the `scale` of `exponent`

    @abstractmethod
    def exponent(self, x: Expression, y: Expression, scale: Expression) -> Expression:
        """Return the logarithm of the window between two samples; `scale` is a number or one for each feature."""

    @abstractmethod
    def slope(self, x: Expression, y: Expression, scale: Expression, per_feature: bool) -> Expression:
        """Return the derivative of the exponent by the logarithm of the bandwidth, or of each feature's bandwidth; it is
        not negative."""

    @abstractmethod
    def deviation(self, dim: int) -> float:
        """Return the standard deviation of each coordinate, for the bandwidth 1."""

    @abstractmethod
    def fall(self, x: Expression, y: Expression, scale: Expression) -> Expression:
        """Return by how much the exponent is lower at x + y than at x - y: how far the mirror image of a sample is, beside the
        sample. For each component; x and y are not negative."""


class CompactWindow(Window):
    """A window that is zero at and beyond the bandwidth."""

    degree: ClassVar[int] = 0
    squared: ClassVar[bool] = False  # whether `value` takes the squares of the distance and of the bandwidth

    @abstractmethod
    def value(self, distance: Expression, h: Expression) -> Expression:
        """Return the window at a distance, times ``h**degree``. It compares the distance with h, as a quotient of both rounds
        and could put a sample on the wrong side of the bandwidth."""

    def limit(self, h: Any, dtype: np.dtype) -> Any:
        """Return bandwidths as `value` takes them."""
        h = h.astype(dtype) if np.ndim(h) else np.dtype(dtype).type(h)
        return squared_limit(h) if self.squared else h

    def of(self, u):
        return self.value(ops.SqNorm2(u) if self.squared else ops.Norm2(u), Constant(1))

    def cumulative(self, u):
        return 0.5 + 0.5 * self.odd_part(ops.Clamp.build(u, Constant(-1), Constant(1)))

    @abstractmethod
    def odd_part(self, u: Expression) -> Expression:
        """Return twice `cumulative`, less 1, between -1 and 1."""


class Gaussian(TailedWindow):
    """``exp(-r^2 / 2)``."""

    name = "gaussian"
    factor = math.sqrt(0.5)

    def exponent(self, x, y, scale):
        return -_scaled_square(x, y, scale)

    def slope(self, x, y, scale, per_feature):
        return 2 * (ops.Square.build((x - y) * scale) if per_feature else _scaled_square(x, y, scale))

    def deviation(self, dim):
        return 1.0

    def log_mass(self, dim):
        return 0.5 * dim * math.log(2 * math.pi)

    def noise(self, size, dim, rng):
        return rng.normal(size=(size, dim))

    def profile(self, r):
        return np.exp(-0.5 * r * r)

    def half_mass(self, r):
        return math.sqrt(0.5 * math.pi) * erf(math.sqrt(0.5) * r)

    def of(self, u):
        return -ops.SqNorm2(u)

    def cumulative(self, u):
        return 0.5 * ops.Erfc.build(-u)

    def fall(self, x, y, scale):
        return 4 * ((x * scale) * (y * scale))


class Exponential(RadialWindow, TailedWindow):
    """``exp(-r)``."""

    name = "exponential"

    def exponent(self, x, y, scale):
        return -self.slope(x, y, scale, False)

    def slope(self, x, y, scale, per_feature):
        if scale.dim == 1 and not per_feature:
            return scale * ops.Norm2(x - y)
        difference = (x - y) * scale
        # Rsqrt is 0 at 0, where the derivative is 0 too.
        return ops.Square.build(difference) * ops.Rsqrt.build(ops.SqNorm2(difference)) if per_feature else ops.Norm2(difference)

    def deviation(self, dim):
        return math.sqrt(dim + 1)

    def log_mass(self, dim):
        return math.log(dim) + log_ball(dim) + float(gammaln(dim))

    def radii(self, size, dim, rng):
        return rng.gamma(dim, size=size)

    def profile(self, r):
        return np.exp(-r)

    def half_mass(self, r):
        return -np.expm1(-r)

    def of(self, u):
        return -ops.Norm2(u)

    def cumulative(self, u):
        tail = 0.5 * ops.Exp.build(-ops.Abs.build(u))
        return ops.IfElse.build(u, 1 - tail, tail)

    def fall(self, x, y, scale):
        return 2 * ops.IfElse.build(x - y, y, x) * scale


class Tophat(CompactWindow):
    """1 for r < 1."""

    name = "tophat"
    squared = True

    def value(self, distance, h):
        return distance < h

    def log_mass(self, dim):
        return log_ball(dim)

    def noise(self, size, dim, rng):
        # The radius comes from that of the normal vector, as in scikit-learn: the same seed gives the same samples.
        x = rng.normal(size=(size, dim))
        square = np.einsum("ij,ij->i", x, x)
        return x * (gammainc(0.5 * dim, 0.5 * square) ** (1 / dim) / np.sqrt(square))[:, None]

    def profile(self, r):
        return (r < 1) * 1.0

    def half_mass(self, r):
        return np.minimum(r, 1)

    def odd_part(self, u):
        return u


class Epanechnikov(RadialWindow, CompactWindow):
    """``1 - r^2`` for r < 1."""

    name = "epanechnikov"
    degree = 2
    squared = True

    def value(self, distance, h):
        return ops.ReLU.build(h - distance)

    def log_mass(self, dim):
        return math.log(2 / (dim + 2)) + log_ball(dim)

    def radii(self, size, dim, rng):
        return np.sqrt(rng.beta(0.5 * dim, 2, size=size))

    def profile(self, r):
        return np.maximum(1 - r * r, 0)

    def half_mass(self, r):
        r = np.minimum(r, 1)
        return r * (1 - r * r / 3)

    def odd_part(self, u):
        return 0.5 * u * (3 - ops.Square.build(u))


class Linear(RadialWindow, CompactWindow):
    """``1 - r`` for r < 1."""

    name = "linear"
    degree = 1

    def value(self, distance, h):
        return ops.ReLU.build(h - distance)

    def log_mass(self, dim):
        return -math.log(dim + 1) + log_ball(dim)

    def radii(self, size, dim, rng):
        return rng.beta(dim, 2, size=size)

    def profile(self, r):
        return np.maximum(1 - r, 0)

    def half_mass(self, r):
        r = np.minimum(r, 1)
        return r * (1 - 0.5 * r)

    def odd_part(self, u):
        return u * (2 - ops.Abs.build(u))


class Cosine(RadialWindow, CompactWindow):
    """``cos(pi r / 2)`` for r < 1."""

    name = "cosine"

    def value(self, distance, h):
        # Beyond the bandwidth, where the angle may be infinite, it is kept finite.
        return (distance < h) * ops.Cos.build(ops.ClampInt.build(distance * (0.5 * math.pi / h), 0, 2))

    def log_mass(self, dim):
        # The window is pi/2 (1 - r) times sin(t)/t with t = pi/2 (1 - r). Under the beta law of r in the linear window the
        # Taylor series of sin(t)/t has the mean below: alternating, its terms fall at least fivefold, in any dimension.
        # scikit-learn's recurrence forgets a boundary term in even dimensions, and cancels in large ones.
        term, mean, k = 1.0, 1.0, dim + 2
        while abs(term) > 1e-18:
            term *= -((0.5 * math.pi) ** 2) / (k * (k + 1))
            mean += term
            k += 2
        return math.log(0.5 * math.pi * mean / (dim + 1)) + log_ball(dim)

    def radii(self, size, dim, rng):
        # By rejection from the linear window: pi/2 times that is nowhere below this one, and at least 2 of 3 are kept.
        kept = np.empty(0)
        while len(kept) < size:
            r = rng.beta(dim, 2, size=2 * (size - len(kept)) + 8)
            accepted = rng.uniform(size=len(r)) < np.sinc(0.5 * (1 - r))
            kept = np.concatenate((kept, r[accepted]))
        return kept[:size]

    def profile(self, r):
        return np.where(r < 1, np.cos(0.5 * math.pi * np.minimum(r, 1)), 0)

    def half_mass(self, r):
        return 2 / math.pi * np.sin(0.5 * math.pi * np.minimum(r, 1))

    def odd_part(self, u):
        return ops.Sin.build(0.5 * math.pi * u)


AnyWindow: TypeAlias = TailedWindow | CompactWindow

WINDOWS: dict[str, AnyWindow] = {
    window.name: window for window in (Gaussian(), Tophat(), Epanechnikov(), Exponential(), Linear(), Cosine())
}


def get_window(name: str) -> AnyWindow:
    """Return a window by its name in scikit-learn."""
    return WINDOWS[name]
