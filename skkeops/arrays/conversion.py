"""What users give, as arrays of real numbers that a backend can read: of NumPy or CuPy, float32 or float64, native, aligned."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from .devices import is_on_device
from .tables import without_missing

_FLOAT32 = np.dtype(np.float32)
_FLOAT64 = np.dtype(np.float64)


def is_sparse(array: Any) -> bool:
    """Return whether an array is one of SciPy's sparse ones, whose pairs are stored one by one."""
    return not isinstance(array, np.ndarray) and hasattr(array, "tocsr")


def to_real_array(argument: Any, what: str, xp: ModuleType = np) -> Any:
    """Return an array-like as an array of a real dtype in a namespace, or raise a TypeError that begins with `what`."""
    if is_on_device(argument):
        if xp is np:
            raise TypeError(
                f"{what}: found a CuPy array where the arguments are NumPy arrays; expected a NumPy array (see .get())"
            )
        return _check_real(argument, argument, what)
    if xp is not np:
        if isinstance(argument, np.ndarray):
            raise TypeError(
                f"{what}: found a NumPy array where the arguments are CuPy arrays; expected a CuPy array (see cupy.asarray)"
            )
        return xp.asarray(to_real_array(argument, what))
    if isinstance(argument, np.ma.MaskedArray):
        raise TypeError(
            f"{what}: found a masked array, whose mask would be lost; expected a plain array (see .filled())"
        )
    if hasattr(argument, "__cuda_array_interface__"):
        raise TypeError(
            f"{what}: found an array on a GPU ({_type_name(argument)}), expected an array of NumPy or CuPy: "
            "cupy.from_dlpack(...) makes one without a copy"
        )
    if hasattr(argument, "_would_be"):
        raise TypeError(f"{what}: {argument._would_be()}")
    if hasattr(argument, "tocsr"):
        raise TypeError(
            f"{what}: found a sparse matrix ({_type_name(argument)}), expected a dense array (see .toarray())"
        )
    argument = without_missing(argument, what)
    try:
        array = np.asarray(argument)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"{what}: found {_type_name(argument)}, which is not an array of numbers ({error})"
        ) from error
    return _check_real(array, argument, what)


def _check_real(array: Any, argument: Any, what: str) -> Any:
    dtype = array.dtype
    if dtype.kind not in "fiub" or dtype.itemsize > 8:
        found = (
            f"dtype {dtype}"
            if array is argument
            else f"{_type_name(argument)} (dtype {dtype})"
        )
        hint = ""
        if dtype.kind == "c":
            hint = (
                "; complex numbers are two components in formulas, real and imaginary parts in turn: give "
                "a.view(a.real.dtype) to a variable of twice the dim, or use a LazyTensor"
            )
        raise TypeError(
            f"{what}: found {found}, expected real numbers: float32, float64, float16, integers or booleans{hint}"
        )
    return array


def is_weak(argument: Any) -> bool:
    """Return whether a Python number, or a list of them, is given: it follows the dtype of the other
    arguments."""
    if isinstance(argument, (list, tuple)):
        return all(map(is_weak, argument))
    return isinstance(argument, (int, float)) and not isinstance(argument, np.generic)


def common_dtype(arrays: Sequence[tuple[np.ndarray, bool]]) -> np.dtype:
    """Return float32 or float64 for (array, whether it is weak) pairs."""
    floating = [a.dtype for a, weak in arrays if a.dtype.kind == "f" and not weak]
    return _FLOAT32 if floating and max(d.itemsize for d in floating) <= 4 else _FLOAT64


def dtype_of(arrays: Sequence[Any]) -> np.dtype:
    """Return the dtype of the numbers among checked arrays, which may be booleans too."""
    for array in arrays:
        dtype = array.dtype
        if dtype is _FLOAT64 or dtype is _FLOAT32 or dtype.kind == "f":
            return dtype
    return _FLOAT64


def to_native(array: Any, dtype: np.dtype) -> Any:
    """Return the array in a native dtype and aligned, or on a device contiguous; itself if it already is."""
    array = array.astype(dtype, copy=False)
    if is_on_device(array):
        return array if array.flags.c_contiguous else array.copy(order="C")
    return array if is_sparse(array) or array.flags.aligned else array.copy()


def to_native_pairs(array: Any, dtype: np.dtype) -> Any:
    """Return an array of pairs in a native dtype, but booleans as they are; on a device strided as it came."""
    if not is_sparse(array) and array.dtype.kind == "b":
        return array
    return array.astype(dtype, copy=False) if is_on_device(array) else to_native(array, dtype)


def _type_name(thing: Any) -> str:
    cls = type(thing)
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def check_floating(dtype: Any) -> np.dtype:
    """Return float32 or float64 as a dtype, or raise."""
    try:
        found = None if dtype is None else np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found not in (np.float32, np.float64):
        raise ValueError(f"dtype must be 'float32' or 'float64': found {dtype!r}")
    return found
