"""Windows on the sphere, of the great-circle distance between latitudes and longitudes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from skkeops.arrays.devices import namespace_of, to_device, to_host
from skkeops.formula import operations as ops
from skkeops.formula.expression import Expression

from .density_geometry import Geometry
from .windows import AnyWindow, TailedWindow, draw_until_kept

__all__ = ["Sphere", "check_latitudes"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)  # exact to rounding for windows, which are smooth between 0 and their end


@dataclass(frozen=True)
class _Term:
    window: AnyWindow

    def __call__(self, x: Expression, y: Expression, scale: Expression) -> Expression:
        half = 0.5 * (x - y)
        across = ops.Cos.build(ops.Elem.build(x, 0)) * ops.Cos.build(ops.Elem.build(y, 0))
        turn = ops.Elem.build(half, 1)
        # The squared sine of half of the distance, by differences first: near places keep their digits.
        sine = ops.Square.build(ops.Sin.build(ops.Elem.build(half, 0))) + across * ops.Square.build(ops.Sin.build(turn))
        if self.window.name == "gaussian":
            return -4 * (sine * ops.Square.build(scale))  # of the chord
        # The squared cosine is the sine of the distance from the opposite place: far places keep theirs.
        middle = 0.5 * (ops.Elem.build(x, 0) + ops.Elem.build(y, 0))
        cosine = ops.Square.build(ops.Sin.build(middle)) + across * ops.Square.build(ops.Cos.build(turn))
        sine, cosine = (ops.Sqrt.build(ops.ReLU.build(square)) for square in (sine, cosine))
        return self.window.of(2 * ops.Atan2.build(sine, cosine) * scale)


def check_latitudes(x: Any) -> None:
    """Raise if a latitude is beyond the poles."""
    highest = float(abs(x[:, 0]).max())
    if highest > math.pi / 2 + 1e-6:
        raise ValueError(
            "metric='haversine' takes latitudes, the first feature, between -pi/2 and pi/2 radians: found one of "
            f"{highest:g}; numpy.radians converts degrees"
        )


class Sphere(Geometry):
    """Windows on the unit sphere: see `Geometry`. Samples are latitudes and longitudes in radians.

    The Gaussian window is that of von Mises and Fisher, ``exp((cos(d) - 1) / h^2)`` of the distance d, or ``exp(-c^2 / 2 h^2)`` of
    the chord c. Others are those of d, with their mass on the sphere.
    """

    def __init__(self, window: AnyWindow, samples: np.ndarray, h: Any, dtype: np.dtype):
        super().__init__(window, samples, h, dtype)
        self.term = _Term(window)
        self._h = to_host(h).astype(np.float64) if self.axes else np.array([float(h)])
        factor = window.factor if isinstance(window, TailedWindow) else 1.0
        # Its square is finite.
        self.parameter = np.minimum(factor / self._h, float(np.finfo(dtype).max) ** 0.5 / 64)

    def enter(self, x):
        check_latitudes(x)
        return x.astype(self.dtype, order="C", copy=False)

    def pull(self, gradient):
        return gradient

    def log_mass(self):
        found = np.log(2 * math.pi) + self._log_parts()[0]
        return found[:, 0] if self.per_sample else float(found[0])

    def mass_slope(self):
        return np.atleast_2d(self._log_parts()[1])

    def _log_parts(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the logarithm of the integral of the window times ``sin(d)`` over d, and its slope, for each bandwidth."""
        # Some thousand at a time, as the quadrature takes 64 numbers for each.
        blocks = [self._log_part(h) for h in np.array_split(self._h, max(1, len(self._h) // 4096))]
        values, slopes = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        return values, slopes

    def _log_part(self, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        window = self.window
        with np.errstate(over="ignore", under="ignore"):
            if window.name == "gaussian":
                kappa = np.minimum(1 / np.square(h), 1e300)
                return 2 * np.log(h) + np.log(-np.expm1(-2 * kappa)), 2 - 4 * kappa / np.expm1(2 * kappa)
            if isinstance(window, TailedWindow):  # exponential
                end = np.exp(-math.pi / h)
                slope = math.pi / h * end / (1 + end) + 2 / (1 + np.square(h))
                return 2 * np.log(h) + np.log1p(end) - np.log1p(np.square(h)), slope
        # By the distance in bandwidths, r, up to the end of the window or of the sphere, where the sine is zero.
        last = np.minimum(1, math.pi / h)
        r = 0.5 * last[..., None] * (1 + _NODES)
        values = 0.5 * last[..., None] * _WEIGHTS * window.profile(r)
        angle = h[..., None] * r
        part = (values * np.sinc(angle / math.pi) * r).sum(axis=-1)  # over h^2, so that it does not underflow
        return 2 * np.log(h) + np.log(part), 1 + (values * r * np.cos(angle)).sum(axis=-1) / part

    def draw(self, chosen, rng):
        places = to_host(self.samples)[chosen].astype(np.float64)
        h = np.broadcast_to(self._h[chosen, 0] if self.per_sample else self._h, len(chosen))
        distance, bearing = self._distances(h, rng), rng.uniform(-math.pi, math.pi, len(chosen))
        # North, east and up are the axes at a place.
        latitude, longitude = places.T
        north, east, up = np.sin(distance) * np.cos(bearing), np.sin(distance) * np.sin(bearing), np.cos(distance)
        out = up * np.cos(latitude) - north * np.sin(latitude)  # away from the axis of the earth, in the plane of the meridian
        new_latitude = np.arctan2(up * np.sin(latitude) + north * np.cos(latitude), np.hypot(out, east))
        new_longitude = longitude + np.arctan2(east, out)
        drawn = np.stack([new_latitude, np.mod(new_longitude + math.pi, 2 * math.pi) - math.pi], axis=1)
        return to_device(drawn, namespace_of(self.samples))

    def _distances(self, h: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Return random distances from the center of windows of these bandwidths."""
        window, n = self.window, len(h)
        if window.name == "gaussian":
            kappa = 1 / np.square(h)
            u = rng.uniform(size=n)
            height = -np.log1p(u * np.expm1(-2 * kappa)) / kappa  # 1 - cos(distance), by the inverse of its law
            return 2 * np.arcsin(np.sqrt(np.minimum(0.5 * height, 1)))

        def propose(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            # Wide windows from the whole sphere, narrow ones from the plane.
            width, wide = h[at], h[at] > 1
            plane = width * np.linalg.norm(window.noise(len(at), 2, rng), axis=1)
            distance = np.where(wide, np.arccos(rng.uniform(-1, 1, len(at))), plane)
            level = np.where(wide, window.profile(distance / width), np.sinc(plane / math.pi))
            return distance, (rng.uniform(size=len(at)) < level) & (distance < math.pi)

        return draw_until_kept(n, propose)
