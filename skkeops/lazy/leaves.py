"""What a lazy tensor can be made of: arrays, numbers, and variables that are given later."""

from __future__ import annotations

from typing import Any

import numpy as np

from skkeops.formula.expression import Constant, Expression, I, J, P, Variable

from .symbols import Symbol, symbol

__all__ = ["Given", "leaf"]


class Given(Symbol):
    """A variable that is given at the call: its position is that of the argument."""

    __slots__ = ("position",)

    def __init__(self, position: int, dim: int, category: int):
        super().__init__(None, dim, category)
        self.position = position


_given: dict[tuple[int, int, int], Given] = {}


def leaf(
    x: Any, axis: int | None
) -> tuple[Expression, dict[Variable, Symbol], tuple[int | None, int | None]]:
    """Return the expression, the symbols and the numbers of rows and columns of one; see `LazyTensor`."""
    if isinstance(x, tuple) and len(x) == 3 and all(isinstance(k, (int, np.integer)) for k in x):
        if x not in _given:
            _given[x] = Given(*x)
        s: Symbol = _given[x]
        return s.variable, {s.variable: s}, (None, None)
    if isinstance(x, (bool, int, float, np.bool_, np.integer, np.floating)) and axis is None:
        return Constant(x.item() if isinstance(x, np.generic) else x), {}, (None, None)
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"a LazyTensor is made of real numbers: found {type(x).__name__} (dtype {array.dtype})")
    if array.dtype.kind != "f":
        array = array.astype(np.float64)
    if array.ndim == 0 and axis is None:
        return Constant(float(array)), {}, (None, None)
    if axis is None:
        axis, array = _guess(array)
    elif axis not in (0, 1, 2):
        raise ValueError(f"axis must be 0 (points x_i), 1 (points y_j) or 2 (parameters): found {axis!r}")
    elif axis == 2:
        array = array.reshape(1) if array.ndim == 0 else array
        if array.ndim > 1:
            if array.shape[-2] != 1:
                raise ValueError(f"a parameter has the shape (D,) or (..., 1, D): found {array.shape}")
            array = array[..., 0, :]
    elif array.ndim < 2:
        raise ValueError(f"points have the shape (..., n, D): found {array.shape}")
    s = symbol(array, axis)
    rows = (s.rows if axis == 0 else None, s.rows if axis == 1 else None)
    return s.variable, {s.variable: s}, rows


def _guess(array: np.ndarray) -> tuple[int, np.ndarray]:
    """Return the category that a shape means, and the array without the axes that broadcast."""
    shape = array.shape
    if array.ndim == 1:
        return P, array
    if array.ndim >= 3:
        if shape[-3] == shape[-2] == 1:
            return P, array[..., 0, 0, :]
        if shape[-2] == 1:
            return I, array[..., 0, :]
        if shape[-3] == 1:
            return J, array[..., 0, :, :]
    raise ValueError(
        "an array has the shape (..., M, 1, D) for points x_i, (..., 1, N, D) for points y_j or (..., 1, 1, D) for "
        f"parameters, or needs axis=: found {shape}"
    )
