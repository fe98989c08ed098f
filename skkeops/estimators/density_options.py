"""What the parameters of a density estimate mean, which of them go together, and the geometry that they stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import InvalidParameterError

from skkeops.arrays.devices import to_host

from .density_euclidean import Euclidean
from .density_features import Features
from .density_geometry import Geometry
from .density_sphere import Sphere, check_latitudes
from .namespaces import to_engine
from .scaling import measure_scaling
from .windows import TailedWindow, get_window

__all__ = ["Place", "check_bandwidth", "check_given", "place_of"]

_EUCLIDEAN = ("euclidean", "l2")
_MINKOWSKI = ("minkowski", "p")  # Euclidean with p=2


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


def place_of(params: Mapping[str, Any], samples: np.ndarray, weights: np.ndarray | None, name: str) -> Place:
    """Return the place that the parameters of an estimator stand for; raise if they exclude each other, or the samples.

    Parameters
    ----------
    params : dict
        The parameters of a `KernelDensity`.
    samples : ndarray of shape (n_samples, n_features)
    weights : ndarray of shape (n_samples,) or None
    name : str
        Of the estimator, for messages.
    """
    n_features = samples.shape[1]
    on_sphere = _check_metric(params["metric"], params["metric_params"], name)
    bounds, period = _check_bounds(params["bounds"], n_features), _check_period(params["period"], n_features)
    if on_sphere:
        _check_sphere(params, n_features)
        check_latitudes(samples)
    elif bounds is not None or period is not None:
        _check_product(params, bounds, period, n_features)
    scaling = measure_scaling(params["scaling"], samples, weights)
    place = Place(params["kernel"], scaling, bounds, period, on_sphere)
    place.check_samples(samples)
    return place


def _check_metric(metric: str, metric_params: Mapping[str, Any] | None, name: str) -> bool:
    """Return whether a metric is that of the sphere; raise if the mass of its windows is not known."""
    params = dict(metric_params or {})
    p = params.pop("p", 2) if metric in _MINKOWSKI else 2
    if metric not in (*_EUCLIDEAN, *_MINKOWSKI, "haversine") or p != 2:
        raise ValueError(
            f"{name} knows the mass of its windows for the Euclidean distance and that on the sphere only: found metric="
            f"{metric!r}, metric_params={metric_params!r}; expected 'euclidean' or 'haversine'"
        )
    if params:
        raise ValueError(f"the metric {metric!r} has no such parameters: found metric_params={params!r}")
    return metric == "haversine"


def _check_bounds(bounds: Any, n_features: int) -> np.ndarray | None:
    """Return the bounds of features, of shape (n_features, 2), infinite where they are None."""
    if bounds is None:
        return None
    found = _numbers(bounds, (n_features, 2), "bounds", "a lower and an upper bound for each feature, None if there is none")
    found = np.where(np.isnan(found), [-np.inf, np.inf], found)
    if not (found[:, 0] < found[:, 1]).all():
        raise ValueError(f"bounds must be pairs of a lower and a larger upper bound for each feature: found {bounds!r}")
    return found


def _check_period(period: Any, n_features: int) -> np.ndarray | None:
    """Return the periods of features, of shape (n_features,), infinite where they are None."""
    if period is None:
        return None
    found = _numbers(period, (n_features,), "period", "a period for each feature, None if it is not periodic")
    found = np.where(np.isnan(found), np.inf, found)
    if not (found > 0).all():
        raise ValueError(f"period must be positive, or None, for each feature: found {period!r}")
    return found


def _numbers(values: Any, shape: tuple[int, ...], name: str, what: str) -> np.ndarray:
    """Return an array of numbers with NaN in the place of None."""
    given = to_host(to_engine(values)) if hasattr(values, "shape") else values
    try:
        objects = np.array(given, dtype=object)
        found = np.array(objects, dtype=np.float64)
    except (TypeError, ValueError):
        objects = found = np.empty(0)
    if found.shape != shape:
        raise ValueError(f"{name} must be {what}, of shape {shape}: found {values!r}")
    if (np.isnan(found) & (objects != None)).any():  # noqa: E711 (element by element)
        raise ValueError(f"{name} must not be NaN; None is for what there is not: found {values!r}")
    return found


def _check_product(options: Mapping[str, Any], bounds: np.ndarray | None, period: np.ndarray | None, n_features: int) -> None:
    """Raise if parameters do not go with windows that are products over features."""
    names = " and ".join(name for name, limits in (("bounds", bounds), ("period", period)) if limits is not None)
    if n_features > 1 and options["kernel"] != "gaussian":
        raise ValueError(
            f"{names} of several features need a window that is a product over them: found kernel={options['kernel']!r}, expected "
            "'gaussian'; one feature takes any window"
        )
    if options["scaling"] == "covariance":
        raise ValueError(f"scaling='covariance' mixes the features, which {names} keeps apart: expected 'std' or None")
    if period is not None and options["scaling"] is not None:
        raise ValueError("period excludes scaling, as angles have no standard deviation: expected scaling=None")
    if bounds is not None and period is not None:
        both = np.flatnonzero(np.isfinite(bounds).any(axis=1) & np.isfinite(period))
        if len(both):
            raise ValueError(f"a feature has bounds or a period: found both for the features {both.tolist()}")
    if isinstance(options["bandwidth"], str) and options["bandwidth"].startswith("cv"):
        raise ValueError(
            f"bandwidth={options['bandwidth']!r} is learned without bounds and periods only: found {names}; expected a number, "
            "another name, or sklearn.model_selection.GridSearchCV"
        )


def _check_sphere(options: Mapping[str, Any], n_features: int) -> None:
    """Raise if parameters do not go with the sphere."""
    if n_features != 2:
        raise ValueError(f"metric='haversine' takes 2 features, latitude and longitude in radians: found {n_features}")
    for name in ("scaling", "bounds", "period"):
        if options[name] is not None:
            raise ValueError(f"metric='haversine' excludes {name}, which is of features on a line: expected {name}=None")
    h = options["bandwidth"]
    if isinstance(h, str) and h.startswith("cv"):
        raise ValueError(
            f"bandwidth={h!r} is learned for the Euclidean distance only: found metric='haversine'; expected a number, another "
            "name, or sklearn.model_selection.GridSearchCV"
        )


def check_given(given: Any, n_features: int, names: Any) -> list[int]:
    """Return the indices of the features that a conditional density is given.

    Parameters
    ----------
    given : int, str, or array-like of either or of bool
    n_features : int
    names : ndarray of str or None
        Those of the features.
    """
    entries = np.atleast_1d(np.asarray(given, dtype=object)).tolist()
    if len(entries) == n_features and all(isinstance(entry, (bool, np.bool_)) for entry in entries):
        entries = np.flatnonzero(np.array(entries, dtype=bool)).tolist()
    known = {} if names is None else {name: k for k, name in enumerate(names)}
    found: list[Any] = [known.get(entry) if isinstance(entry, str) else entry for entry in entries]
    is_index = [isinstance(k, Integral) and not isinstance(k, bool) and -n_features <= int(k) < n_features for k in found]
    indices = sorted({int(k) % n_features for k in found}) if all(is_index) else []
    if not 0 < len(indices) < n_features or len(indices) < len(entries):
        raise ValueError(
            f"given must be some of the {n_features} features, not all of them, each once: their indices, their names if the fit "
            f"had some, or a mask; found {given!r}"
        )
    return indices


def check_bandwidth(bandwidth: Any, shape: tuple[int, int], scaling: str | None, name: str) -> float | np.ndarray | str:
    """Return a bandwidth in float64: a number, one per feature, an array of shape (n_samples, 1) or (n_samples, n_features), or
    the name of what finds it.

    Parameters
    ----------
    bandwidth : str, float or array-like
    shape : tuple of int
        That of the samples. An array of one axis is one per feature if it has their number, else one per sample.
    scaling : str or None
    name : str
        Of the estimator, for messages.
    """
    if isinstance(bandwidth, str):
        if bandwidth == "cv_ard" and scaling == "covariance":
            raise ValueError(
                "bandwidth='cv_ard' has one bandwidth per feature, and scaling='covariance' mixes the features: "
                "expected bandwidth='cv', or another scaling"
            )
        return bandwidth
    words = f"The 'bandwidth' parameter of {name} must be"
    if np.ndim(bandwidth) == 0:
        h = float(bandwidth)
        if not 0 < h < math.inf:
            raise InvalidParameterError(f"{words} a float in the range (0.0, inf). Got {h!r} instead.")
        return h
    n_samples, n_features = shape
    try:
        given = to_host(to_engine(bandwidth)) if hasattr(bandwidth, "shape") else bandwidth
        each = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        each = np.empty(0)
    if each.shape == (n_samples,) != (n_features,):
        each = each[:, None]
    fits = each.shape in ((n_features,), (n_samples, 1), (n_samples, n_features))
    if not fits or not ((each > 0) & (each < np.inf)).all():
        raise InvalidParameterError(
            f"{words} a float in the range (0.0, inf), or an array of {n_features} of them, one per feature, or of "
            f"{n_samples}, one per sample. Got {bandwidth!r} instead."
        )
    if scaling == "covariance" and (each.ndim == 1 or each.shape[1] > 1):
        raise ValueError(
            "bandwidths per feature and scaling='covariance', which mixes the features, exclude each other: "
            "expected one bandwidth, or another scaling"
        )
    return each
