"""NumPy's functions of lazy tensors: which method stands for which."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["FUNCTIONS", "UFUNCS", "call_ufunc"]

#: The method for each ufunc.
UFUNCS = {
    "add": "__add__", "subtract": "__sub__", "multiply": "__mul__", "true_divide": "__truediv__", "divide": "__truediv__",
    "power": "__pow__", "float_power": "__pow__", "negative": "__neg__", "positive": "__pos__", "absolute": "abs",
    "fabs": "abs", "exp": "exp", "log": "log", "sqrt": "sqrt", "square": "square", "reciprocal": "inv", "sin": "sin",
    "cos": "cos", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "sign": "sign", "floor": "floor",
    "less": "__lt__", "less_equal": "__le__", "greater": "__gt__", "greater_equal": "__ge__", "equal": "__eq__",
    "not_equal": "__ne__", "maximum": "maximum", "minimum": "minimum", "matmul": "__matmul__", "remainder": "mod",
    "conjugate": "conj", "expm1": "expm1", "log1p": "log1p", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh",
    "logaddexp": "logaddexp",
    # of scipy.special
    "erf": "erf", "erfc": "erfc", "expit": "logistic", "gammaln": "loggamma", "psi": "digamma",
}  # fmt: skip

_REDUCTIONS = {"add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min"}


def call_ufunc(cls: Any, ufunc: Any, method: str, inputs: tuple, options: dict) -> Any:
    """Return a ufunc of lazy tensors and other operands, or NotImplemented."""
    if method == "reduce" and ufunc.__name__ in _REDUCTIONS and set(options) <= {"axis"}:
        return getattr(inputs[0], _REDUCTIONS[ufunc.__name__])(axis=options.get("axis", 0))
    name = UFUNCS.get(ufunc.__name__)
    if method != "__call__" or options or name is None:
        if all(isinstance(x, (cls, np.ndarray, np.generic, int, float, complex)) for x in inputs):
            how = "".join([f".{method}" if method != "__call__" else "", f" with {', '.join(options)}=" if options else ""])
            owner = "np." if getattr(np, ufunc.__name__, None) is ufunc else "the ufunc "
            raise TypeError(f"{owner}{ufunc.__name__}{how} is not defined for lazy tensors")
        return NotImplemented  # another library's may know more
    if ufunc.__name__ == "matmul":
        left, right = inputs
        return left @ right if isinstance(left, cls) else right.__rmatmul__(left)
    tensors = [t for t in inputs if isinstance(t, cls)]
    first, *others = inputs
    return getattr(tensors[0]._operand(first, max(t.ndim for t in tensors)), name)(*others)


def _reduce(name: str, total: Callable[[Any], Any] | None) -> Callable[..., Any]:
    def function(a: Any, axis: Any = None, **options: Any) -> Any:
        out = {k: v for k, v in options.items() if v is not None and v is not np._NoValue}
        if out.pop("keepdims", False) or set(out) - {"out"}:
            raise TypeError(f"np.{name} of a LazyTensor takes axis= and out=: found {', '.join(sorted(options))}")
        if axis is not None:
            return getattr(a, name)(axis=axis, **out)
        if total is None:
            raise ValueError(f"np.{name} of a LazyTensor needs an axis: an index of all pairs is not one number")
        batch = len(a.batch)
        return total(getattr(a, name)(axis=batch + 1, **out))

    return function


def _spread(name: str) -> Callable[..., Any]:
    def function(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, **options: Any) -> Any:
        ddof = options.pop("correction", ddof)
        if dtype is not None or out is not None or any(v is not np._NoValue and v is not False for v in options.values()):
            raise TypeError(f"np.{name} of a LazyTensor takes axis= and ddof=")
        if axis is None:
            raise ValueError(f"np.{name} of a LazyTensor needs an axis")
        return getattr(a, name)(axis=axis, ddof=ddof)

    return function


def _prod(a: Any, axis: Any = None, **options: Any) -> Any:
    if axis is None or any(v is not None and v is not np._NoValue and v is not False for v in options.values()):
        raise TypeError("np.prod of a LazyTensor is that of the components: axis=-1, and nothing else")
    return a.prod(axis)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    if ord not in (None, 2) or axis is None or keepdims:
        raise TypeError("np.linalg.norm of a LazyTensor is the Euclidean one of the components: axis=-1")
    return x.norm(axis)


def _concatenate(tensors: Any, axis: Any = 0) -> Any:
    first = next(t for t in tensors if hasattr(t, "concatenate"))
    return first.concatenate(tensors, axis)


def _where(condition: Any, *choices: Any) -> Any:
    from .masks import where

    if len(choices) != 2:
        raise TypeError("np.where of lazy tensors takes a condition and two choices")
    return where(condition, *choices)


def _clip(a: Any, a_min: Any = None, a_max: Any = None, **options: Any) -> Any:
    low, high = options.pop("min", a_min), options.pop("max", a_max)
    if options.pop("out", None) is not None or low is np._NoValue or high is np._NoValue:
        raise TypeError("np.clip of a LazyTensor takes two bounds")
    if low is None or high is None:
        return a.maximum(low) if low is not None else a.minimum(high) if high is not None else a
    return a.clamp(low, high)


def _transpose(a: Any, axes: Any = None) -> Any:
    if axes is not None or a.ndim != 1 or a.batch:
        raise ValueError(f"np.transpose is for tensors of shape (M, N), without axes: found {a.shape}; see .t()")
    return a.t()


def _round(a: Any, decimals: int = 0, out: Any = None) -> Any:
    return a.round(decimals)


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    if (offset, axis1, axis2) != (0, 0, 1):
        raise ValueError("np.diagonal of a LazyTensor is that of pairs (i, i)")
    return a.diagonal()


def _vdot(a: Any, b: Any, out: Any = None) -> Any:
    return a @ b


def _angle(z: Any, deg: bool = False) -> Any:
    return z.angle() * (180 / np.pi) if deg else z.angle()


#: The function that takes the place of each of NumPy's.
FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.sum: _reduce("sum", np.sum),
    np.max: _reduce("max", np.max),
    np.min: _reduce("min", np.min),
    np.amax: _reduce("max", np.max),
    np.amin: _reduce("min", np.min),
    np.mean: _reduce("mean", np.mean),
    np.var: _spread("var"),
    np.std: _spread("std"),
    np.prod: _prod,
    np.argmax: _reduce("argmax", None),
    np.argmin: _reduce("argmin", None),
    np.linalg.norm: _norm,
    np.concatenate: _concatenate,
    np.where: _where,
    np.clip: _clip,
    np.transpose: _transpose,
    np.round: _round,
    np.around: _round,
    np.diagonal: _diagonal,
    np.dot: _vdot,
    np.tril: lambda m, k=0: m.tril(k),
    np.triu: lambda m, k=0: m.triu(k),
    np.sinc: lambda x: x.sinc(),
    np.real: lambda val: val.real,
    np.imag: lambda val: val.imag,
    np.angle: _angle,
    np.iscomplexobj: lambda x: x.is_complex,
    np.isrealobj: lambda x: not x.is_complex,
    np.shape: lambda a: a.shape,
    np.ndim: lambda a: len(a.shape),
    np.size: lambda a: int(np.prod([n or 1 for n in a.shape])),
}
