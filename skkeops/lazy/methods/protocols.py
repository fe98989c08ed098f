"""What Python and NumPy ask of a lazy tensor."""

from __future__ import annotations

from typing import Any

import numpy as np

from skkeops.arrays.devices import is_on_device

from ..numpy_api import FUNCTIONS, call_ufunc
from .base import Methods

__all__ = ["Protocols"]

_DENSE_LIMIT = 10**8  # numbers that np.asarray may make without being asked twice


class Protocols(Methods):
    """Truth value, length, text, and NumPy's protocols: `numpy.asarray`, functions (NEP 13 and 18)."""

    __slots__ = ()
    __array_priority__ = 1000
    __pandas_priority__ = 5000  # above that of a DataFrame, which leaves operators to us
    __iter__ = None
    __reversed__ = None

    def __bool__(self) -> bool:
        raise TypeError(
            f"a LazyTensor of shape {self.shape} has no truth value: reduce it, or compare reduced values; conditions "
            "inside of a formula are .ifelse(a, b)"
        )

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a LazyTensor holds no array that could be used without a copy")
        if int(np.prod(self.shape)) > _DENSE_LIMIT:
            raise ValueError(self._would_be())
        if any(is_on_device(s.array) for s in self.symbols.values()):
            raise TypeError(
                f"a LazyTensor of CuPy arrays, of shape {self.shape}, is not converted to a NumPy array: call .dense().get()"
            )
        found = self.dense()
        return found if dtype is None else found.astype(dtype)

    def _would_be(self) -> str:
        """Return what to say where an array is needed."""
        size = int(np.prod(self.shape))
        bytes_ = size * (8 if self.dtype is None else self.dtype.itemsize)
        unit, name = next((u, n) for u, n in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "bytes")) if bytes_ >= u or u == 1)
        return (
            f"a LazyTensor of shape {self.shape} would be an array of {size:,} numbers ({bytes_ / unit:,.3g} {name}): reduce it "
            "(.sum(axis=1), K @ v, ...), select K[rows, columns], or call .dense()"
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return call_ufunc(Methods, ufunc, method, inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        ours = FUNCTIONS.get(function)
        if ours is None:
            name = f"{function.__module__}.{function.__name__}".replace("numpy", "np", 1)
            raise TypeError(f"{name} is not defined for lazy tensors: {self._would_be()}")
        return ours(*args, **kwargs)

    def __repr__(self) -> str:
        text = self.formula
        return f"{type(self).__name__}(shape={self.shape}, formula={text if len(text) < 300 else text[:297] + '...'})"
