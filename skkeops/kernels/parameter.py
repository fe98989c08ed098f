"""Parameters of kernels: what values they may have, and arrays of them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

__all__ = ["Parameter", "active_columns"]


@dataclass(frozen=True)
class Parameter:
    """A number of a kernel that its formula mentions, and that it can be differentiated by.

    Attributes
    ----------
    name : str
    sign : {"positive", "nonnegative", "real"}
        The values it may have. Only positive ones can be tuned on a logarithmic scale.
    per_feature : bool
        Whether it may be an array with a value for each feature.
    margin : float or None
        If not None, the value is kept above `margin` times the least normal number of the dtype that is computed with, and
        below the largest number divided by `margin`. A number that multiplies or divides a distance must be neither 0 nor
        infinite, or two equal samples have the distance NaN (0 times infinity).
    """

    name: str
    sign: str = "positive"
    per_feature: bool = False
    margin: float | None = None

    def in_dtype(self, value: np.ndarray, dtype: Any) -> np.ndarray:
        """Return a checked value as an array of a dtype."""
        if self.margin is None:
            with np.errstate(over="ignore"):
                return value.astype(dtype)
        info = np.finfo(dtype)
        return np.clip(value, float(info.tiny) * self.margin, float(info.max) / self.margin).astype(dtype)

    def check(self, value: Any, owner: str, n_features: int | None = None) -> np.ndarray:
        """Return a value as a float64 array of one dimension, or raise in scikit-learn's words."""
        if isinstance(value, Real) and not isinstance(value, (bool, np.bool_)):
            array = np.array([value], dtype=np.float64)
        else:
            array = self._as_vector(value, owner)
            if n_features is not None and len(array) not in (1, n_features):
                raise ValueError(
                    f"The {self.name!r} parameter of {owner} must have one value, or one for each of the "
                    f"{n_features} features. Got {len(array)} values instead."
                )
        good = np.isfinite(array)
        if self.sign == "positive":
            good &= array > 0
        elif self.sign == "nonnegative":
            good &= array >= 0
        if not good.all():
            raise ValueError(f"{self._must_be(owner)} Got {value!r} instead.")
        return array

    def _as_vector(self, value: Any, owner: str) -> np.ndarray:
        try:
            array = np.asarray(value)
        except ValueError:
            array = np.asarray(value, dtype=object)
        if array.dtype.kind not in "fiu" or array.ndim > 1 or (array.ndim == 1 and not self.per_feature):
            raise TypeError(f"{self._must_be(owner)} Got {value!r} instead.")
        if array.size == 0:
            raise ValueError(f"{self._must_be(owner)} Got {value!r} instead.")
        return array.astype(np.float64).reshape(-1)

    def _must_be(self, owner: str) -> str:
        interval = {"positive": "(0, inf)", "nonnegative": "[0, inf)", "real": "(-inf, inf)"}[self.sign]
        array = ", or an array of them with one for each feature" if self.per_feature else ""
        return f"The {self.name!r} parameter of {owner} must be a float in the range {interval}{array}."


def active_columns(value: Any, owner: str, n_features: int | None = None) -> tuple[int, ...] | None:
    """Return ``active_dims`` as a tuple of columns, None for all of them, or raise."""
    if value is None:
        return None
    must_be = f"The 'active_dims' parameter of {owner} must be None, or different columns of the samples, as integers >= 0."
    found = value.tolist() if isinstance(value, np.ndarray) else value
    if isinstance(found, (str, bytes)) or not isinstance(found, (Collection, range)):
        raise TypeError(f"{must_be} Got {value!r} instead.")
    columns = tuple(found)
    if not all(isinstance(c, (int, np.integer)) and not isinstance(c, bool) for c in columns):
        raise TypeError(f"{must_be} Got {value!r} instead.")
    if not columns or min(columns) < 0 or len(set(columns)) < len(columns):
        raise ValueError(f"{must_be} Got {value!r} instead.")
    if n_features is not None and max(columns) >= n_features:
        raise ValueError(
            f"The 'active_dims' parameter of {owner} names column {max(columns)}: found samples with {n_features} features"
        )
    return tuple(int(c) for c in columns)
