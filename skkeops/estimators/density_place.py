"""Where the samples of a density estimate lie, and which windows they have there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from skkeops.arrays.devices import to_host

from .density_euclidean import Euclidean
from .density_features import Features
from .density_geometry import Geometry
from .density_sphere import Sphere
from .windows import TailedWindow, get_window

__all__ = ["Place"]


@dataclass(frozen=True)
class Place:
    """Where samples lie, and how far they spread.

    Attributes
    ----------
    kernel : str
        The name of the window.
    scaling : ndarray of shape (n_features,) or (n_features, n_features), or None
        The standard deviations of the features, or their covariance.
    bounds : ndarray of shape (n_features, 2) or None
        The bounds of the features, infinite where there are none.
    period : ndarray of shape (n_features,) or None
        The periods of the features, infinite where there are none.
    on_sphere : bool
        Whether the features are latitude and longitude.
    """

    kernel: str
    scaling: np.ndarray | None = None
    bounds: np.ndarray | None = None
    period: np.ndarray | None = None
    on_sphere: bool = False

    @property
    def is_product(self) -> bool:
        """Whether windows are products over features."""
        return self.bounds is not None or self.period is not None

    def geometry(self, samples: np.ndarray, h: Any, dtype: Any) -> Geometry:
        """Return the windows of bandwidths h on reference samples."""
        window = get_window(self.kernel)
        if self.on_sphere:
            return Sphere(window, samples, h, dtype)
        if not self.is_product:
            return Euclidean(window, samples, h, dtype, self.scaling)
        return self._features(samples, h, dtype)

    def _features(self, samples: np.ndarray, h: Any, dtype: Any) -> Features:
        """Return windows as products over features."""
        open_ = np.full(samples.shape[1], np.inf)
        bounds = np.stack([-open_, open_], axis=1) if self.bounds is None else self.bounds
        period = open_ if self.period is None else self.period
        deviations = self.scaling
        if deviations is not None and deviations.ndim == 2:  # of one feature
            deviations = np.sqrt(deviations[0])
        return Features(get_window(self.kernel), samples, h, dtype, bounds, period, deviations)

    def product(self, samples: np.ndarray, h: Any, dtype: Any) -> Features:
        """Return the windows as products over features without periods; raise if they are none."""
        n_features = samples.shape[1]
        if self.on_sphere:
            raise ValueError("there is no order on the sphere: a density with metric='haversine' has no distribution function")
        if self.period is not None and np.isfinite(self.period).any():
            raise ValueError("a periodic feature has no first value: a density with a period has no distribution function")
        mixed = ", scaling='covariance'" if self.scaling is not None and self.scaling.ndim == 2 else ""
        if n_features > 1 and (self.kernel != "gaussian" or mixed):
            raise ValueError(
                "the distribution function of several features needs windows that are products over them: found "
                f"kernel={self.kernel!r}{mixed}; expected "
                "kernel='gaussian' and scaling=None or 'std'"
            )
        return self._features(samples, h, dtype)

    def marginal(self, samples: np.ndarray, h: Any, features: list[int]) -> tuple[Place, np.ndarray, Any]:
        """Return the place, the samples and the bandwidths of some features alone; raise if their density is not known."""
        if self.on_sphere or self.kernel != "gaussian":
            raise ValueError(
                "the density of some features is known for Gaussian windows only: found "
                f"{'metric=' + repr('haversine') if self.on_sphere else f'kernel={self.kernel!r}'}"
            )
        scaling = self.scaling
        if scaling is not None:
            scaling = scaling[features] if scaling.ndim == 1 else scaling[features][:, features]
        bounds, period = (None if a is None else a[features] for a in (self.bounds, self.period))
        if np.ndim(h) == 1 or (np.ndim(h) == 2 and h.shape[1] > 1):
            h = h[..., features]
        return Place(self.kernel, scaling, bounds, period), samples[:, features], h

    def check_samples(self, samples: np.ndarray) -> None:
        """Raise if samples are beyond the bounds."""
        if self.bounds is None:
            return
        lowest, highest = (to_host(edge(axis=0)) for edge in (samples.min, samples.max))
        low, high = self.bounds.astype(samples.dtype).T
        for k in np.flatnonzero((lowest < low) | (highest > high)):
            raise ValueError(
                f"bounds[{k}] must hold the samples, whose feature {k} is between {lowest[k]:g} and {highest[k]:g}: found "
                f"({low[k]:g}, {high[k]:g})"
            )

    def check_bandwidth(self, h: Any) -> None:
        """Raise if windows of these bandwidths are not round on the sphere, or overlap themselves on a circle."""
        if self.on_sphere and (np.ndim(h) == 1 or (np.ndim(h) == 2 and h.shape[1] > 1)):
            raise ValueError(
                "metric='haversine' has round windows: found a bandwidth for each feature, expected one, or one for each sample, "
                "of shape (n_samples, 1)"
            )
        if self.period is None or isinstance(get_window(self.kernel), TailedWindow):
            return
        largest, period = float(np.max(h)), float(self.period[0])
        if largest > period / 2:
            raise ValueError(
                f"a window that ends must not be wider than the circle that it is on: found the bandwidth {largest:g} of "
                f"kernel={self.kernel!r}, expected at most half of period={period:g}, or kernel='gaussian' or 'exponential'"
            )
