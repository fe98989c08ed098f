"""Samples, targets and weights, checked, in their own namespace.

scikit-learn checks arrays of NumPy, and with ``array_api_dispatch`` those of other namespaces. Without it, it would convert an
array of CuPy to one of NumPy, which CuPy refuses: so those are checked here, on their device, with scikit-learn's messages.
"""

from __future__ import annotations

from numbers import Number
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.utils.validation import _check_sample_weight, check_array, check_consistent_length, validate_data

from skkeops.arrays.devices import is_on_device, namespace_of

from .namespaces import floats, follow, to_engine

__all__ = ["check_columns", "check_values", "check_weights", "validate_samples", "validate_samples_and_targets"]


def validate_samples(estimator: Any, X: Any, reset: bool = True) -> Any:  # noqa: N803
    """Return samples as `sklearn.utils.validation.validate_data` does; set or compare ``n_features_in_``."""
    if not is_on_device(X):
        return validate_data(estimator, X, reset=reset, dtype=floats(X))
    X = _check_on_device(X, "X", (2,))
    return validate_data(estimator, X, reset=reset, skip_check_array=True)


def check_columns(estimator: Any, X: Any, name: str = "X") -> Any:  # noqa: N803
    """Return samples that may have other columns than those of the fit, or belong to none."""
    if not is_on_device(X):
        return check_array(X, dtype=floats(X), input_name=name, estimator=estimator)
    return _check_on_device(X, name, (2,))


def validate_samples_and_targets(estimator: Any, X: Any, y: Any) -> tuple[Any, Any]:  # noqa: N803
    """Return samples and numeric targets, of one or two axes."""
    if not is_on_device(X):
        return validate_data(estimator, X, y, dtype=floats(X), multi_output=True, y_numeric=True)
    if y is None:
        raise ValueError(
            f"This {type(estimator).__name__} estimator requires y to be passed, but the target y is None."
        )
    X = validate_samples(estimator, X)
    y = _check_on_device(follow(y, X), "y", (1, 2))
    check_consistent_length(X, y)
    return X, y


def check_values(values: Any, X: Any, name: str, estimator: Any = None) -> np.ndarray:  # noqa: N803
    """Return an array that comes with samples in the namespace that a backend computes with, in the dtype of the samples."""
    samples = to_engine(X)
    if not is_on_device(samples):
        return check_array(to_engine(values), dtype=samples.dtype, ensure_2d=False, input_name=name, estimator=estimator)
    return _check_on_device(follow(values, samples), name, (1, 2)).astype(samples.dtype, copy=False)


def check_weights(sample_weight: Any, X: Any, non_negative: bool) -> Any:  # noqa: N803
    """Return weights of samples as `sklearn.utils.validation._check_sample_weight` does, in the dtype of the samples."""
    if not is_on_device(X):
        return _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=non_negative)
    n_samples = X.shape[0]
    if isinstance(sample_weight, Number):
        return namespace_of(X).full(n_samples, sample_weight, dtype=X.dtype)
    weights = follow(sample_weight, X)
    if weights.ndim != 1:
        raise ValueError(
            f"Sample weights must be 1D array or scalar, got {weights.ndim}D array. Expected either a scalar value or a 1D "
            f"array of length {n_samples}."
        )
    weights = _check_on_device(weights, "sample_weight", (1,)).astype(X.dtype, copy=False)
    if weights.shape != (n_samples,):
        raise ValueError(f"sample_weight.shape == {weights.shape}, expected {(n_samples,)}!")
    if non_negative and bool((weights < 0).any()):
        raise ValueError("Negative values in data passed to `sample_weight`.")
    return weights


def _check_on_device(array: Any, name: str, ndims: tuple[int, ...]) -> Any:
    """Return an array of CuPy in float32 or float64, or raise what scikit-learn would."""
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported\n{name} has the dtype {array.dtype}")
    if array.ndim not in ndims:
        raise ValueError(
            f"Expected {max(ndims)}D array, got {'scalar' if array.ndim == 0 else f'{array.ndim}D'} array instead: {name} has the "
            f"shape {array.shape}. Reshape your data either using array.reshape(-1, 1) if your data has a single feature or "
            "array.reshape(1, -1) if it contains a single sample."
        )
    for axis, what in enumerate(("sample(s)", "feature(s)")[: array.ndim]):
        if array.shape[axis] == 0:
            raise ValueError(f"Found array with 0 {what} (shape={array.shape}) while a minimum of 1 is required.")
    if array.dtype not in (np.float32, np.float64):
        array = array.astype(np.float64)
    if not get_config()["assume_finite"] and not bool(np.isfinite(array).all()):
        found = "NaN" if bool(np.isnan(array).any()) else f"infinity or a value too large for {array.dtype!r}"
        raise ValueError(f"Input {name} contains {found}.")
    return array
