"""What the parameters of a density estimate mean, which of them go together, and the geometry that they stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils._param_validation import InvalidParameterError

from skkeops.arrays.devices import to_host

from .density_euclidean import Euclidean
from .density_geometry import Geometry
from .namespaces import to_engine
from .windows import get_window

__all__ = ["Place", "check_bandwidth", "check_metric"]

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
    """

    kernel: str
    scaling: np.ndarray | None = None

    def geometry(self, samples: np.ndarray, h: Any, dtype: Any) -> Geometry:
        """Return the windows of bandwidths h on reference samples."""
        return Euclidean(get_window(self.kernel), samples, h, dtype, self.scaling)


def check_metric(metric: str, metric_params: Mapping[str, Any] | None, name: str) -> None:
    """Raise if the mass of the windows of a metric is not known."""
    params = dict(metric_params or {})
    p = params.pop("p", 2) if metric in _MINKOWSKI else 2
    if metric not in (*_EUCLIDEAN, *_MINKOWSKI) or p != 2:
        raise ValueError(
            f"{name} knows the mass of its windows for the Euclidean distance only: found metric={metric!r}, "
            f"metric_params={metric_params!r}; expected 'euclidean'"
        )
    if params:
        raise ValueError(f"the metric {metric!r} has no such parameters: found metric_params={params!r}")


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
