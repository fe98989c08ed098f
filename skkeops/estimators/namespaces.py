"""Arrays of other namespaces: NumPy for the compiled engine on the way in, the caller's on the way out."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import _array_api

__all__ = ["check_namespace", "floats", "like", "to_numpy"]


def to_numpy(array: Any) -> np.ndarray:
    """Return an array of any namespace as a NumPy array, itself if it is one."""
    if isinstance(array, np.ndarray):
        return array
    xp, _ = _array_api.get_namespace(array)
    return np.asarray(array) if _array_api._is_numpy_namespace(xp) else _array_api._convert_to_numpy(array, xp)


def floats(array: Any) -> list:
    """Return the dtypes that the engine computes with, in the namespace of an array: what is neither becomes the
    first."""
    xp, _, device = _array_api.get_namespace_and_device(array)
    half = getattr(xp, "float16", None)
    return [dtype for dtype in _array_api.supported_float_dtypes(xp, device) if dtype != half]


def like(result: np.ndarray, array: Any) -> Any:
    """Return a result in the namespace and on the device of an array."""
    if isinstance(array, np.ndarray):
        return result
    xp, _, device = _array_api.get_namespace_and_device(array)
    return result if _array_api._is_numpy_namespace(xp) else xp.asarray(result, device=device)


def check_namespace(X: Any, estimator: Any, attribute: str, method: str) -> None:  # noqa: N803
    """Raise if an estimator was fitted on arrays of another namespace, where scikit-learn can tell."""
    check = getattr(_array_api, "check_same_namespace", None)
    if check is not None:
        check(X, estimator, attribute=attribute, method=method)
