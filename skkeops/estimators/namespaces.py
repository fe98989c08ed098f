"""Arrays of other namespaces: in a form that the backends compute with on the way in, the caller's on the way out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.utils import _array_api

from skkeops.arrays.devices import computing, device_of, is_on_device, namespace_of, to_device, to_host

__all__ = ["check_namespace", "floats", "follow", "like", "on_the_device_of_samples", "to_engine"]


def to_engine(array: Any) -> np.ndarray:
    """Return an array of any namespace as one that a backend computes with: those of NumPy, if they are aligned, and
    of CuPy as they are, others as one of NumPy."""
    if isinstance(array, np.ndarray):
        return array if array.flags.aligned else array.copy()
    if is_on_device(array):
        return array
    xp, _ = _array_api.get_namespace(array)
    return np.asarray(array) if _array_api._is_numpy_namespace(xp) else _array_api._convert_to_numpy(array, xp)


def follow(array: Any, X: Any) -> Any:  # noqa: N803
    """Return what comes with samples as an array of theirs, NumPy's or CuPy's: everything follows X."""
    xp = namespace_of(X)
    return to_device(array if is_on_device(array) else to_engine(array), xp) if xp is not np else to_engine(array)


def floats(array: Any) -> list:
    """Return the dtypes that the engine computes with, in the namespace of an array: what is neither becomes the
    first."""
    xp, _, device = _array_api.get_namespace_and_device(array)
    half = getattr(xp, "float16", None)
    return [dtype for dtype in _array_api.supported_float_dtypes(xp, device) if dtype != half]


def like(result: np.ndarray, array: Any) -> Any:
    """Return a result in the namespace and on the device of an array."""
    if isinstance(array, np.ndarray):
        return to_host(result)
    if is_on_device(array):
        return to_device(result, namespace_of(array))
    xp, _, device = _array_api.get_namespace_and_device(array)
    return result if _array_api._is_numpy_namespace(xp) else xp.asarray(result, device=device)


def check_namespace(X: Any, estimator: Any, attribute: str, method: str) -> None:  # noqa: N803
    """Raise if an estimator was fitted on arrays of another namespace or device."""
    fitted = getattr(estimator, attribute)
    if is_on_device(X) or is_on_device(fitted):
        now, before = _place(X), _place(fitted)
        if now != before:
            raise ValueError(
                f"Inputs passed to {type(estimator).__name__}.{method}() must use the same namespace and the same device as those "
                f"passed to fit(): found {now}, and in fit {before}."
            )
        return
    check = getattr(_array_api, "check_same_namespace", None)
    if check is not None:
        check(X, estimator, attribute=attribute, method=method)


def _place(array: Any) -> str:
    return f"CuPy on device {device_of(array)}" if is_on_device(array) else "NumPy on the host"


def on_the_device_of_samples(method: Callable) -> Callable:
    """Return a method that computes on the device of its first argument, if that is an array of CuPy."""

    @functools.wraps(method)
    def wrapped(self, X, *args, **kwargs):  # noqa: N803
        if not is_on_device(X):
            return method(self, X, *args, **kwargs)
        with computing((X,)):
            return method(self, X, *args, **kwargs)

    return wrapped
