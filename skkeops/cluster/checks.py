"""Checks of points, labels and ranges, with the names of the arguments in the messages."""

from __future__ import annotations

from typing import Any

import numpy as np

from skkeops.arrays.devices import to_host


def check_points(x: Any) -> np.ndarray:
    x = to_host(x)
    if x.ndim != 2:
        raise ValueError(f"x must have the shape (n, dim): found {x.shape}")
    return x if x.dtype.kind == "f" else x.astype(np.float64)


def check_labels(lab: Any) -> np.ndarray:
    lab = to_host(lab).reshape(-1)
    if lab.dtype.kind not in "iu" and lab.size:
        raise TypeError(f"lab must be integers: found dtype {lab.dtype}")
    lab = lab.astype(np.int64)
    if lab.size and lab.min() < 0:
        raise ValueError(f"lab must be labels from 0 on: found {lab.min()}")
    return lab


def check_ranges(ranges: Any, name: str) -> np.ndarray:
    found = whole_numbers(ranges, name)
    found = found.reshape(0, 2) if found.size == 0 else found
    if found.ndim != 2 or found.shape[1] != 2:
        raise ValueError(f"{name} must have the shape (C, 2): found {found.shape}")
    return found


def check_counts(counts: Any) -> np.ndarray:
    found = whole_numbers(counts, "Nlab")
    if found.ndim != 1:
        raise ValueError(f"Nlab must have the shape (C,): found {found.shape}")
    if (found < 0).any():
        raise ValueError(f"Nlab must be numbers of points, not negative: found {found.min()}")
    return found


def check_integer(value: Any, name: str, signed: bool = False) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or (value < 0 and not signed):
        raise ValueError(f"{name} must be an integer{'' if signed else ', not negative'}: found {value!r}")
    return int(value)


def whole_numbers(numbers: Any, name: str) -> np.ndarray:
    """Return whole numbers, of whatever dtype, as int64."""
    found = to_host(numbers)
    if found.dtype.kind not in "iuf":
        raise TypeError(f"{name} must be whole numbers: found dtype {found.dtype}")
    if found.dtype.kind == "f":
        bad = ~(np.abs(found) < 2.0**63) | (found != np.floor(found))
        if bad.any():
            raise ValueError(f"{name} must be whole numbers: found {found[bad][0]}")
    return found.astype(np.int64)
