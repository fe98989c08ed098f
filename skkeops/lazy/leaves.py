"""What a lazy tensor can be made of: arrays, numbers, and variables that are given later."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from skkeops.arrays.conversion import is_sparse
from skkeops.arrays.devices import as_array
from skkeops.formula.expression import IJ, Constant, Expression, I, J, P, Variable
from skkeops.pairs.values import check_pairs

from .symbols import Number, Symbol, symbol

__all__ = ["Given", "arrange", "beside", "leaf", "operand", "parameter"]

Leaf = tuple[Expression, dict[Variable, Symbol], tuple[int | None, int | None]]


class Given(Symbol):
    """A variable that is given at the call: its position is that of the argument."""

    __slots__ = ("position",)

    def __init__(self, position: int, dim: int, category: int):
        super().__init__(None, dim, category)
        self.position = position


_given: dict[tuple[int, int, int], Given] = {}


def leaf(x: Any, axis: Any) -> Leaf:
    """Return the expression, the symbols and the numbers of rows and columns of a new tensor; see `LazyTensor`."""
    if type(x) is np.ndarray and x.dtype.kind == "f" and axis is None and x.ndim >= 3:
        axis, array = _guess(x)
        return _of(array, axis)
    if isinstance(x, tuple) and len(x) == 3 and all(isinstance(k, (int, np.integer)) for k in x):
        s: Symbol = _given[x] if x in _given else _given.setdefault(x, Given(*x))
        return s.variable, {s.variable: s}, (None, None)
    if isinstance(x, (bool, int, float, np.bool_, np.integer, np.floating)) and axis is None:
        return _number(x.item() if isinstance(x, np.generic) else x)
    if is_sparse(x):
        if axis not in (None, (0, 1)):
            raise ValueError(f"a sparse array has a value for each pair, axis=(0, 1): found axis={axis!r}")
        return _of(check_pairs(x, 1, "a sparse array"), IJ)
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError("a masked array, whose mask would be lost: give where(~a.mask, ...) and a plain array, see .filled()")
    array = as_array(x)
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise TypeError(f"a LazyTensor is made of real numbers: found {type(x).__name__} (dtype {array.dtype})")
    if array.ndim == 0 and axis is None:
        return _number(float(array))
    category, array = arrange(array, axis)
    if array.dtype.kind != "f" and not (array.dtype.kind == "b" and category == IJ):
        array = array.astype(np.float64)
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


def operand(x: Any, *others: Any) -> Leaf:
    """Return the leaf that stands for an operand of an operation with other operands; `beside` says what an array is."""
    if type(x) is int or (type(x) is float and _is_fraction(x)):
        return _constant(x), {}, (None, None)
    return leaf(*beside(x, *others))


def beside(x: Any, *others: Any) -> tuple[Any, Any]:
    """Return the arguments of `LazyTensor` for an operand that stands beside tensors. Nothing else decides what such an array is.

    Arrays broadcast as NumPy's do, by the number of their axes. Beside tensors of shape (..., M, N) an array has no axis of
    components; beside those of shape (..., M, N, D) its last axis is that of the components. So (M, 1) are points i, (1, N) points
    j, (M, N) values of pairs, (B, 1, 1) a parameter for every problem of a batch. That two sizes happen to be equal never decides:

    * One value is a number, however many axes it has.
    * A vector (D,) is a parameter of D components, as in KeOps; so a vector (N,) beside tensors of one component is not a row.
    * With more axes than tensors of shape (..., M, N), an array may have components last, as in KeOps, or a batch first, as in
      NumPy. Beside tensors of points i or j alone, its last axis is that of components. Beside pairs, the sizes must exclude one of
      the two readings, or the array is refused.
    * Beside tensors of several components, an array of two axes is refused: (N, D) would be points j, but (N, 1) points i.

    Parameters
    ----------
    x : array-like, number or sparse array
    *others : LazyTensor or array-like
        The other operands. Only the tensors among them count.
    """
    if isinstance(x, (bool, int, float, complex, np.generic, np.ma.MaskedArray)) or is_sparse(x):
        return x, None
    array = as_array(x)
    if array.ndim < 2 or array.dtype.kind not in "fiubc":
        return array if array.dtype.kind in "fiubc" else x, None
    if array.size == 1:
        return array.reshape(1), None
    tensors = [t for t in others if hasattr(t, "symbols")]
    batch = np.broadcast_shapes(*(t.batch for t in tensors))
    rows = tuple(max((t._rows[k] for t in tensors if t._rows[k] is not None), default=None) for k in (0, 1))
    ndim = max((t.ndim for t in tensors), default=1)
    shape = (*batch, *(n or 1 for n in rows), ndim)
    if ndim > 1:
        if array.ndim == 2 and array.shape[0] != 1:
            raise ValueError(
                f"an array of shape {array.shape} beside a tensor of {ndim} components can mean several things: write Vij(a) for "
                "values of pairs, Vi(a) or Vj(a) for points"
            )
        return array, 2 if array.ndim == 2 else None
    if array.ndim > len(batch) + 2:
        if None in rows:
            return array, None
        has_components, has_batch = _fits(array.shape[:-1], shape[:-1]), _fits(array.shape, shape[:-1])
        if has_components and has_batch:
            raise ValueError(
                f"an array of shape {array.shape} beside a tensor of shape {shape[:-1]} can mean two things: write "
                "LazyTensor(a) if its last axis holds components, LazyTensor(a[..., None]) if its first ones are a batch"
            )
        if not has_batch:
            return array, None
    if array.shape[-1] == 1:
        return array, 0 if array.shape[-2] != 1 else 2
    return (np.swapaxes(array, -1, -2), 1) if array.shape[-2] == 1 else (array[..., None], (0, 1))


def _fits(shape: tuple[int, ...], of: tuple[int, ...]) -> bool:
    """Return whether an array of a shape broadcasts with a tensor of another, whose i and j stay as many."""
    *batch, m, n = (1, *shape)
    pairs = zip(reversed(batch), reversed(of[:-2]), strict=False)
    return m in (1, of[-2]) and n in (1, of[-1]) and all(a == b or 1 in (a, b) for a, b in pairs)


@lru_cache(maxsize=256)
def _constant(x: float) -> Constant:
    return Constant(x)


def _of(array: Any, category: int) -> Leaf:
    s = symbol(array, category)
    return s.variable, {s.variable: s}, s.sizes


def _number(x: float) -> Leaf:
    return (Constant(x), {}, (None, None)) if _is_fraction(x) else parameter(x)


def parameter(x: float) -> Leaf:
    """Return a number as a parameter instead of a constant of the formula."""
    s = Number(np.array([x], dtype=np.float32), 1, P)
    return s.variable, {s.variable: s}, s.sizes


def _is_fraction(x: float) -> bool:
    """Return whether a number can be a constant of a formula: infinities, NaN and -0.0 are no fractions."""
    return math.isfinite(x) and (x != 0 or math.copysign(1, x) > 0)


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
