"""Windows of the Euclidean distance, in units of the bandwidth and of the spread of the samples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from skkeops.arrays.devices import namespace_of, to_device
from skkeops.formula import operations as ops
from skkeops.formula.expression import Constant, Expression

from .density_geometry import Geometry
from .scaling import Space, center_of, power_of_two
from .windows import AnyWindow, CompactWindow, TailedWindow

__all__ = ["Euclidean"]

_SQUARED_IN_RANGE = (1e-9, 1e9)  # bandwidths whose squares are normal numbers, in float32 too


@dataclass(frozen=True)
class _Term:
    window: AnyWindow
    per_feature: bool

    def __call__(self, x: Expression, y: Expression, parameter: Expression) -> Expression:
        window = self.window
        if isinstance(window, TailedWindow):
            return window.exponent(x, y, parameter)
        limit: Expression = Constant(1) if self.per_feature else parameter
        difference = (x - y) * parameter if self.per_feature else x - y
        return window.value(ops.SqNorm2(difference) if window.squared else ops.Norm2(difference), limit)


class Euclidean(Geometry):
    """Round windows, or elliptic ones: see `Geometry`.

    Parameters
    ----------
    window, samples, h, dtype
        As for `Geometry`.
    scaling : ndarray of shape (n_features,), or (n_features, n_features), or None
        The standard deviations of the features, or their covariance.
    """

    def __init__(self, window: AnyWindow, samples: np.ndarray, h: Any, dtype: np.dtype, scaling: np.ndarray | None = None):
        super().__init__(window, samples, h, dtype)
        each = self.axes == 1 or (self.per_sample and h.shape[1] > 1)
        self._columns = 1 if each else samples.shape[1]  # features that each bandwidth scales
        self.term = _Term(window, each)
        unit = 1.0
        least, most = (float(h.min()), float(h.max())) if self.axes else (h, h)
        if not each and not (_SQUARED_IN_RANGE[0] <= least and most <= _SQUARED_IN_RANGE[1]):
            # Its square may overflow or underflow: distances are measured in a unit of the bandwidth's size.
            middle = math.exp(float(np.log(h).mean())) if self.per_sample else h
            unit = _unit(middle, float(abs(samples).max()) if scaling is None else float(len(samples)), dtype)
        # Without a scaling samples stay as they are: rounding must not decide whether one is within the bandwidth.
        center = None if scaling is None else center_of(samples).astype(dtype)
        self.space = Space(center, scaling, unit, dtype)
        self._degree = 0
        if isinstance(window, TailedWindow) or each:
            factor = window.factor if isinstance(window, TailedWindow) else 1.0
            parameter = _scale_of(factor, h, dtype) if each else factor / _in_unit(h, unit, dtype)
        else:
            assert isinstance(window, CompactWindow)
            self._degree, self._limit = window.degree, _in_unit(h, unit, dtype)
            parameter, self.power = window.limit(self._limit, dtype), 2 if window.squared else 1
        self.parameter = parameter if self.axes else np.array([parameter])

    def enter(self, x):
        return self.space.enter(x)

    def pull(self, gradient):
        return self.space.pull(gradient)

    def log_mass(self):
        h, n_features = self.h, self.samples.shape[1]
        total = self.window.log_mass(n_features) + self.space.log_volume
        own = self._columns * np.log(h).sum(axis=-1) if self.axes else n_features * math.log(h)
        if self._degree:
            own = own + self._degree * (np.log(self._limit)[:, 0] if self.per_sample else math.log(self._limit))
        return total + own if self.per_sample else float(total + own)

    def mass_slope(self):
        return np.array([[float(self._columns + self._degree)]])

    def draw(self, chosen, rng):
        noise = self.window.noise(len(chosen), self.samples.shape[1], rng)
        # One seed, the same samples, on a device, too.
        chosen, noise = (to_device(a, namespace_of(self.samples)) for a in (chosen, noise))
        return self.samples[chosen] + self.space.spread(noise * self.bandwidths_of(chosen))


def _unit(h: float, largest: float, dtype: np.dtype) -> float:
    """Return the power of two of the dtype that is nearest to a bandwidth, and by which the largest coordinate can be divided."""
    last = np.finfo(dtype).maxexp
    least = math.ldexp(power_of_two(largest), 3 - last)  # quotients, and their differences, are finite
    return min(max(power_of_two(h), least), math.ldexp(1.0, last - 1))


def _in_unit(h: Any, unit: float, dtype: np.dtype) -> Any:
    """Return a bandwidth in a unit, or the nearest number whose square is a normal one; of an array each of them."""
    info = np.finfo(dtype)
    least, most = 64 * float(info.tiny) ** 0.5, float(info.max) ** 0.5 / 64
    return np.minimum(np.maximum(h / unit, least), most) if np.ndim(h) else min(max(h / unit, least), most)


def _scale_of(factor: float, h: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return what differences are multiplied by. It is finite, so that equal samples have the distance 0."""
    with np.errstate(over="ignore", divide="ignore"):
        return np.minimum(factor / h, float(np.finfo(dtype).max) / 64)
