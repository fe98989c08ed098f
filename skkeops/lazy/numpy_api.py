"""NumPy's functions of lazy tensors: which method stands for which."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from skkeops.formula import operations as ops

from . import numpy_meanings as meanings

__all__ = ["FUNCTIONS", "UFUNCS", "call_ufunc"]

#: The method for each ufunc.
UFUNCS = {
    "add": "__add__", "subtract": "__sub__", "multiply": "__mul__", "true_divide": "__truediv__", "divide": "__truediv__",
    "power": "__pow__", "float_power": "__pow__", "negative": "__neg__", "positive": "__pos__", "absolute": "abs",
    "fabs": "abs", "exp": "exp", "log": "log", "sqrt": "sqrt", "square": "square", "reciprocal": "inv", "sin": "sin",
    "cos": "cos", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "floor": "floor",
    "less": "__lt__", "less_equal": "__le__", "greater": "__gt__", "greater_equal": "__ge__", "equal": "__eq__",
    "not_equal": "__ne__", "maximum": "maximum", "minimum": "minimum", "matmul": "__matmul__", "remainder": "__mod__",
    "floor_divide": "__floordiv__", "divmod": "__divmod__", "conjugate": "conj", "bitwise_and": "__and__",
    "bitwise_or": "__or__", "bitwise_xor": "__xor__", "invert": "__invert__", "expm1": "expm1", "log1p": "log1p",
    "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "logaddexp": "logaddexp",
    # of scipy.special
    "erf": "erf", "erfc": "erfc", "expit": "logistic", "gammaln": "loggamma", "psi": "digamma",
}  # fmt: skip

#: The operation for ufuncs without a method of that meaning for all values.
OPERATIONS = {
    "sign": meanings.sign, "rint": meanings.rint, "fmax": meanings.fmax, "fmin": meanings.fmin, "fmod": ops.Fmod.build,
    "isnan": meanings.isnan, "logical_and": meanings.logical_and, "logical_or": meanings.logical_or,
    "logical_xor": meanings.logical_xor, "logical_not": meanings.logical_not, "ceil": meanings.ceil, "trunc": meanings.trunc,
}  # fmt: skip

_REDUCTIONS = {"add": np.sum, "multiply": np.prod, "maximum": np.max, "minimum": np.min}


def call_ufunc(cls: Any, ufunc: Any, method: str, inputs: tuple, options: dict) -> Any:
    """Return a ufunc of lazy tensors and other operands, or NotImplemented."""
    if method == "reduce" and ufunc.__name__ in _REDUCTIONS:
        return FUNCTIONS[_REDUCTIONS[ufunc.__name__]](*inputs, **{"axis": 0, **options})
    name, operation = UFUNCS.get(ufunc.__name__), OPERATIONS.get(ufunc.__name__)
    if method != "__call__" or options or name is operation is None:
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
    first = tensors[0]._operand(first, *tensors)
    return getattr(first, name)(*others) if operation is None else first._apply(operation, *others)


def _reduce(name: str, total: Callable[..., Any] | None, *more: str) -> Callable[..., Any]:
    """Return the function for NumPy's reduction of that name. Its results have NumPy's shapes; over the components it is lazy.

    `more` are names of options that the method takes, too.
    """

    def function(a: Any, axis: Any = None, **options: Any) -> Any:
        given = {k: v for k, v in options.items() if v is not None and v is not np._NoValue}
        out, keepdims = given.pop("out", None), given.pop("keepdims", False)
        of_method = {k: given.pop(k) for k in more if k in given}
        if given:
            names = ", ".join(f"{k}=" for k in ("axis", *more, "out"))
            raise TypeError(f"np.{name} of a LazyTensor takes {names} and keepdims=: found {', '.join(sorted(given))}")
        first = len(a.batch)
        if isinstance(axis, tuple) and len(axis) == 1:
            (axis,) = axis
        if axis is None or axis == (first, first + 1):
            if total is None:
                why = ": an index of all pairs is not one number" if name.startswith("arg") else ""
                raise ValueError(f"np.{name} of a LazyTensor needs an axis{why}")
            over = None if axis is None else first
            found = total(getattr(a, name)(axis=first + 1), axis=over)
            if axis is not None and a.ndim == 1:
                found = found[..., 0]
        else:
            found = getattr(a, name)(axis=axis, **of_method)
            if isinstance(found, type(a)):
                if keepdims or out is not None:
                    raise TypeError(f"np.{name} over the components of a LazyTensor is lazy, and takes no out= nor keepdims=")
                return found
            if a.ndim == 1:
                found = found[..., 0]
        if keepdims:
            kept = [1 if axis is None or k in np.atleast_1d(axis) else n for k, n in enumerate(a.shape)]
            found = np.reshape(found, kept)
        if out is None:
            return found
        out[...] = found
        return out

    return function


def _spread(name: str) -> Callable[..., Any]:
    reduce = _reduce(name, None, "ddof")

    def function(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: Any = 0, **options: Any) -> Any:
        correction = options.pop("correction", np._NoValue)  # the array API's name
        return reduce(a, axis, dtype=dtype, out=out, ddof=ddof if correction is np._NoValue else correction, **options)

    return function


def _prod(a: Any, axis: Any = None, **options: Any) -> Any:
    if axis is None or any(v is not None and v is not np._NoValue and v is not False for v in options.values()):
        raise TypeError("np.prod of a LazyTensor is that of the components: axis=-1, and nothing else")
    return a.prod(axis)


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    first = len(x.batch)
    if ord in (None, 2) and not keepdims and axis in (-1, len(x._shape) - 1) and axis is not None:
        return x.norm(axis)
    is_matrix = axis is None and ord in (None, "fro") and x.ndim == 1 and not x.batch
    if not is_matrix and not (ord in (None, 2) and isinstance(axis, (int, np.integer)) and axis in (first, first + 1)):
        raise TypeError(
            f"np.linalg.norm of a LazyTensor of shape {x.shape} is the Euclidean one: over the components (axis=-1, lazily), i "
            f"(axis={first}) or j (axis={first + 1}), or that of a matrix (axis=None); found axis={axis!r}, ord={ord!r}"
        )
    return np.sqrt(np.sum(x.abs() ** 2, axis=axis, keepdims=keepdims))


def _concatenate(tensors: Any, axis: Any = 0) -> Any:
    first = next(t for t in tensors if hasattr(t, "concatenate"))
    return first.concatenate(tensors, axis)


def _clip(a: Any, a_min: Any = None, a_max: Any = None, **options: Any) -> Any:
    low, high = options.pop("min", a_min), options.pop("max", a_max)
    if options.pop("out", None) is not None or low is np._NoValue or high is np._NoValue:
        raise TypeError("np.clip of a LazyTensor takes two bounds")
    if low is not None:
        a = np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


def _transpose(a: Any, axes: Any = None) -> Any:
    if axes is not None or a.ndim != 1 or a.batch:
        raise ValueError(f"np.transpose is for tensors of shape (M, N), without axes: found {a.shape}; see .t()")
    return a.t()


def _round(a: Any, decimals: int = 0, out: Any = None) -> Any:
    if out is not None:
        raise TypeError("np.round of a LazyTensor takes no out=")
    return a._apply(meanings.round_to, params=(operator.index(decimals),))


def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    if (offset, axis1, axis2) != (0, 0, 1):
        raise ValueError("np.diagonal of a LazyTensor is that of pairs (i, i)")
    return a.diagonal()


def _dot(a: Any, b: Any, out: Any = None) -> Any:
    if out is not None or np.ndim(a) == 0 or np.ndim(b) == 0 or np.ndim(b) > 2:
        raise TypeError("np.dot of a LazyTensor takes an array of one or two axes, and no out=; multiples are c * K")
    return a @ b


def _angle(z: Any, deg: bool = False) -> Any:
    return z.angle() * (180 / np.pi) if deg else z.angle()


#: The function that takes the place of each of NumPy's. `np.where` is entered by `choices`: it needs
#: `as_tensor`, which cannot be imported here.
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
    np.clip: _clip,
    np.transpose: _transpose,
    np.fix: lambda x, out=None: np.trunc(x) if out is None else np.trunc(x, out=out),
    np.round: _round,
    np.around: _round,
    np.diagonal: _diagonal,
    np.dot: _dot,
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
