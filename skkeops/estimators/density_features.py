"""Windows that are products over features, some of which have bounds or a period."""

from __future__ import annotations

import operator
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from skkeops.arrays.devices import namespace_of, to_device, to_host
from skkeops.formula import operations as ops
from skkeops.formula.expression import Expression

from .density_axes import AXES, Above, Axis, Between
from .density_geometry import Geometry, PairFormula
from .windows import AnyWindow

__all__ = ["Features"]


@dataclass(frozen=True)
class _Term:
    """The window of a pair; or which part of its mass is below the query."""

    window: AnyWindow
    kinds: tuple[type[Axis], ...]
    counts: tuple[int, ...]
    cumulative: bool = False

    def __call__(self, x: Expression, y: Expression, scale: Expression, *constants: Expression) -> Expression:
        found, start, rest = [], 0, list(constants)
        for kind, count in zip(self.kinds, self.counts, strict=True):
            parts = (x, y, scale) if count == x.dim else (ops.Extract.build(v, start, count) for v in (x, y, scale))
            function = kind.cumulative if self.cumulative else kind.window
            own = [rest.pop(0)] if kind.has_constant else []
            found.append(function(self.window, *parts, *own))
            start += count
        if not self.cumulative:
            return sum(found[1:], found[0])  # of logarithms; one alone if the window has no tails
        products = [ops.Prod.build(part) if part.dim > 1 else part for part in found]
        return reduce(operator.mul, products)


class Features(Geometry):
    """Products over features: see `Geometry`.

    The Gaussian window is a product of those of all features; another one is, if there is one feature.

    Parameters
    ----------
    window, samples, h, dtype
        As for `Geometry`.
    bounds : ndarray of shape (n_features, 2)
        The bounds of features, infinite if there are none.
    period : ndarray of shape (n_features,)
        The periods of features, infinite if there are none.
    deviations : ndarray of shape (n_features,) or None
        What bandwidths are multiplied by.
    """

    def __init__(
        self, window: AnyWindow, samples: np.ndarray, h: Any, dtype: np.dtype, bounds: np.ndarray, period: np.ndarray,
        deviations: np.ndarray | None = None,
    ):  # fmt: skip
        super().__init__(window, samples, h, dtype)
        self.bounds, (low, high) = bounds, bounds.T
        kinds = np.where(np.isfinite(period), 4, np.isfinite(low) + 2 * np.isfinite(high))  # the place in AXES
        self.axes_of = [
            AXES[kind](at, low[at], high[at], period[at]) for kind in range(5) for at in [np.flatnonzero(kinds == kind)] if len(at)
        ]
        self.order = np.concatenate([axis.features for axis in self.axes_of])
        self._term = _Term(window, tuple(map(type, self.axes_of)), tuple(len(axis.features) for axis in self.axes_of))
        self.term = self._term
        self.constants = [axis.constant(window) for axis in self.axes_of if axis.has_constant]
        # One for each feature, whatever the user has given.
        widths = to_host(h).astype(np.float64) if self.axes else np.array([float(h)])
        deviations = np.ones(len(period)) if deviations is None else to_host(deviations).astype(np.float64)
        self._h = np.atleast_2d(widths) * deviations
        scales = [axis.scale(window, self._h[:, axis.features]) for axis in self.axes_of]
        # Products of two of them with coordinates are finite.
        scale = np.minimum(np.concatenate(scales, axis=1), float(np.finfo(dtype).max) ** 0.5 / 64)
        self.parameter = scale if self.per_sample else scale[0]
        # Further from a bound the product with the scale would not be finite, and times that of a sample at the bound not a number.
        ends = np.concatenate([np.full(len(axis.features), isinstance(axis, Above)) for axis in self.axes_of])
        largest = float(np.finfo(dtype).max) / 4
        self._farthest = np.where(ends, largest / np.maximum(scale.max(axis=0), 1), np.inf)

    def enter(self, x):
        x = x.astype(self.dtype, copy=False)
        columns = [axis.enter(x[:, axis.features.tolist()]) for axis in self.axes_of]
        z = columns[0] if len(columns) == 1 else np.concatenate(columns, axis=1)
        z = np.minimum(z, to_device(self._farthest.astype(self.dtype), namespace_of(x)))
        return z.astype(self.dtype, order="C", copy=False)

    def outside(self, x):
        low, high = (to_device(b.astype(x.dtype), namespace_of(x)) for b in self.bounds.T)
        return ((x < low) | (x > high)).any(axis=1)

    def pull(self, gradient):
        signs = np.concatenate([np.full(len(axis.features), axis.sign) for axis in self.axes_of])
        return self.by_feature(gradient * to_device(signs.astype(gradient.dtype), namespace_of(gradient)))

    def _each(self, method: str) -> list[Any]:
        """Return what a method of the axes says of the reference samples, and of their bandwidths, in the order of coordinates."""
        y = to_host(self.samples).astype(np.float64)
        return [
            getattr(axis, method)(self.window, axis.enter(y[:, axis.features]), self._h[:, axis.features]) for axis in self.axes_of
        ]

    def log_mass(self):
        total = sum(part.sum(axis=1) for part in self._each("log_mass"))
        varies = self.per_sample or any(isinstance(axis, Between) for axis in self.axes_of)
        return np.broadcast_to(total, len(self.samples)) if varies else float(total[0])

    def by_feature(self, columns):
        return columns[:, np.argsort(self.order).tolist()]

    def mass_slope(self):
        parts = self._each("mass_slope")
        rows = max(len(part) for part in parts)
        parts = [np.broadcast_to(part, (rows, part.shape[1])) for part in parts]
        return self.by_feature(np.concatenate(parts, axis=1))

    def mass_gradient(self):
        parts = self._each("mass_gradient")
        if all(part is None for part in parts):
            return None
        found = np.zeros(self.samples.shape)
        for axis, part in zip(self.axes_of, parts, strict=True):
            if part is not None:
                found[:, axis.features] = axis.sign * part
        return found

    def cumulative_formula(self) -> PairFormula:
        """Return the formula of a pair whose value is which part of the mass of a window without bounds is below the query."""
        return self.formula(True, replace(self._term, cumulative=True))

    def inside(self) -> np.ndarray:
        """Return which part of that mass is between the bounds, for each reference sample, mirror images included."""
        parts = [np.prod(part, axis=1) for part in self._each("part_between") if part is not None]
        return np.prod(parts, axis=0) * np.ones(len(self.samples))

    def draw(self, chosen, rng):
        y = to_host(self.samples)[chosen].astype(np.float64)
        h = self._h[chosen] if self.per_sample else self._h
        drawn = np.empty(y.shape)
        for axis in self.axes_of:
            at = axis.features
            drawn[:, at] = axis.leave(axis.draw(self.window, axis.enter(y[:, at]), h[:, at], rng))
        return to_device(drawn, namespace_of(self.samples))
