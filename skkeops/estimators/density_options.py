"""What the parameters of a density estimate mean, and which of them go together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils._param_validation import InvalidParameterError

from skkeops.arrays.devices import to_host

from .density_place import Place
from .density_sphere import check_latitudes
from .namespaces import to_engine
from .scaling import measure_scaling

__all__ = ["check_bandwidth", "check_given", "place_of"]

_EUCLIDEAN = ("euclidean", "l2")
_MINKOWSKI = ("minkowski", "p")  # Euclidean with p=2


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
    if isinstance(bounds, (list, tuple)):
        bounds = [(None, None) if pair is None else pair for pair in bounds]
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
        by_name = f"their names ({', '.join(map(repr, known))})" if known else "their names if the fit had some"
        raise ValueError(
            f"given must be some of the {n_features} features, not all of them, each once: their indices, {by_name}, or a mask; "
            f"found {given!r}"
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
