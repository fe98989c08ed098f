"""What a lazy tensor can be made of: arrays, numbers, and variables that are given later."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from skkeops.devices import as_array, is_on_device
from skkeops.formula.expression import IJ, Constant, Expression, I, J, P, Variable
from skkeops.pairs import check_pairs, is_stored

from .symbols import Number, Symbol, symbol

__all__ = ["Given", "arrange", "beside", "leaf", "operand"]

Leaf = tuple[Expression, dict[Variable, Symbol], tuple[int | None, int | None]]


class Given(Symbol):
    """A variable that is given at the call: its position is that of the argument."""

    __slots__ = ("position",)

    def __init__(self, position: int, dim: int, category: int):
        super().__init__(None, dim, category)
        self.position = position


_given: dict[tuple[int, int, int], Given] = {}


def leaf(x: Any, axis: Any) -> Leaf:
    """Return the expression, the symbols and the numbers of rows and columns of one; see `LazyTensor`."""
    if type(x) is np.ndarray and x.dtype.kind == "f" and axis is None and x.ndim >= 3:
        axis, array = _guess(x)
        return _of(array, axis)
    if isinstance(x, tuple) and len(x) == 3 and all(isinstance(k, (int, np.integer)) for k in x):
        if x not in _given:
            _given[x] = Given(*x)
        s: Symbol = _given[x]
        return s.variable, {s.variable: s}, (None, None)
    if isinstance(x, (bool, int, float, np.bool_, np.integer, np.floating)) and axis is None:
        return _number(x.item() if isinstance(x, np.generic) else x)
    if is_stored(x):
        if axis not in (None, (0, 1)):
            raise ValueError(f"a sparse array has a value for each pair, axis=(0, 1): found axis={axis!r}")
        return _of(check_pairs(x, 1, "a sparse array"), IJ)
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError("a masked array, whose mask would be lost: give where(~a.mask, ...) and a plain array, see .filled()")
    array = as_array(x)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"a LazyTensor is made of real numbers: found {type(x).__name__} (dtype {array.dtype})")
    if array.dtype.kind != "f" and not (array.dtype.kind == "b" and axis == (0, 1)):
        array = array.astype(np.float64)
    if array.ndim == 0 and axis is None:
        return _number(float(array))
    category, array = arrange(array, axis)
    return _of(array, category)


def arrange(array: np.ndarray, axis: Any) -> tuple[int, np.ndarray]:
    """Return the category of an array, and the array without the axes that broadcast."""
    if axis is None:
        return _guess(array)
    if axis == (0, 1):
        if array.ndim < 2:
            raise ValueError(f"values of pairs have the shape (M, N) or (..., M, N, D): found {array.shape}")
        return IJ, array[:, :, None] if array.ndim == 2 else array
    if isinstance(axis, (tuple, list)) or axis not in (0, 1, 2):
        raise ValueError(
            f"axis must be 0 (points x_i), 1 (points y_j), 2 (parameters) or (0, 1) (values of pairs): found {axis!r}"
        )
    if axis == 2:
        array = array.reshape(1) if array.ndim == 0 else array
        if array.ndim > 1:
            if array.shape[-2] != 1:
                raise ValueError(f"a parameter has the shape (D,) or (..., 1, D): found {array.shape}")
            array = array[..., 0, :]
    elif array.ndim < 2:
        hint = "; numbers, one for each point, are a column: a[:, None]" if array.ndim == 1 else ""
        raise ValueError(f"points have the shape (..., n, D): found {array.shape}{hint}")
    return axis, array


def operand(x: Any, ndim: int) -> Leaf:
    """Return the same for an operand beside a tensor of `ndim` components: an array (M, N) broadcasts as in NumPy."""
    if type(x) is int or (type(x) is float and math.isfinite(x)):
        return _constant(x), {}, (None, None)
    return leaf(*beside(x, ndim))


def beside(x: Any, ndim: int) -> tuple[Any, Any]:
    """Return an operand beside a tensor of `ndim` components, and the axis that it has there."""
    if (isinstance(x, (np.ndarray, np.matrix)) or is_on_device(x)) and x.ndim == 2:
        if ndim != 1:
            raise ValueError(
                f"an array of shape {x.shape} beside a tensor of {ndim} components can mean several things: write Vij(a) for "
                "values of pairs, Vi(a) or Vj(a) for points"
            )
        if x.shape == (1, 1):
            return x, 2
        if x.shape[1] == 1:
            return x, 0
        return (as_array(x).T, 1) if x.shape[0] == 1 else (x, (0, 1))
    return x, None


@lru_cache(maxsize=256)
def _constant(x: float) -> Constant:
    return Constant(x)


def _of(array: Any, category: int) -> Leaf:
    s = symbol(array, category)
    return s.variable, {s.variable: s}, s.sizes


def _number(x: float) -> Leaf:
    if math.isfinite(x):
        return Constant(x), {}, (None, None)
    s = Number(np.array([x], dtype=np.float32), 1, P)  # a constant is a fraction, which infinity is not
    return s.variable, {s.variable: s}, s.sizes


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
        return IJ, array
    raise ValueError(
        "an array has the shape (..., M, 1, D) for points x_i, (..., 1, N, D) for points y_j, (..., 1, 1, D) for parameters "
        f"or (..., M, N, D) for values of pairs, or needs axis=: found {shape}; Vi(a) are points x_i, Vj(a) points y_j"
    )
