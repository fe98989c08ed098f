"""Columns of pandas: nullable ones, which NumPy takes for objects, or whose missing values it takes for NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["without_missing"]


def without_missing(thing: Any, what: str = "") -> Any:
    """Return nullable columns of numbers as an array of NumPy; anything else as it is.

    Parameters
    ----------
    thing : object
        A DataFrame, a Series, or whatever is given for an array.
    what : str
        How messages begin.

    Raises
    ------
    ValueError
        If a nullable column holds missing values.
    """
    if isinstance(thing, np.ndarray) or not (hasattr(thing, "isna") and hasattr(thing, "to_numpy")):
        return thing
    dtypes: Any = thing.dtypes if hasattr(thing, "dtypes") else thing.dtype
    columns = [dtypes] if hasattr(dtypes, "kind") else list(dtypes)
    nullable = [hasattr(dtype, "numpy_dtype") for dtype in columns]
    if not any(nullable) or any(getattr(dtype, "kind", "O") not in "fiub" for dtype in columns):
        return thing
    is_missing = np.asarray(thing.isna())
    if is_missing.ndim == 2:
        is_missing = is_missing[:, nullable]
    if is_missing.any():
        names = [repr(name) for name, k in zip(getattr(thing, "columns", ()), nullable, strict=False) if k]
        where = [name for name, some in zip(names, np.atleast_2d(is_missing.T), strict=False) if some.any()]
        raise ValueError(
            f"{what}{': ' if what else ''}found missing values (NA){' in column ' + ', '.join(where) if where else ''}: fill them "
            "with .fillna(...), or write .to_numpy(float, na_value=numpy.nan) for NaN"
        )
    return thing.to_numpy(dtype=np.result_type(*(getattr(dtype, "numpy_dtype", dtype) for dtype in columns)))
