"""NumPy's functions on arrays of the stand-in, and on nothing else."""

from __future__ import annotations

import functools

import numpy as np

from ._array import device, host, ndarray, poisoned, silent
from ._devices import copied_to_device, copied_to_host, current_device, launched, launched_in_place
from ._signatures import check

__all__ = ["CREATORS", "Ufunc", "wrap"]


# The size of their results depends on values: the host has to wait for it.
_SIZED_BY_VALUES = frozenset(["nonzero", "flatnonzero", "argwhere", "unique", "extract", "compress", "setdiff1d", "bincount"])


def wrap(function, prefix=""):
    """Return a function of NumPy as one of CuPy: it takes no array of NumPy, and returns no scalar."""

    @functools.wraps(function, updated=())
    def wrapped(*args, **kwargs):
        check(prefix + function.__name__, args, kwargs)
        out = kwargs.get("out")
        if function.__name__ in _SIZED_BY_VALUES:
            copied_to_host(8)
        args, kwargs = list(map(host, args)), {key: host(value) for key, value in kwargs.items()}

        def compute():
            with silent():
                return function(*args, **kwargs)

        if out is None:
            return device(launched(function.__name__, compute, args, kwargs))
        launched_in_place(function.__name__, compute)
        return out

    wrapped.__module__ = "cupy"
    return wrapped


class Ufunc:
    """As ``cupy.ufunc``, without ``where=`` and with the methods that CuPy has."""

    def __init__(self, ufunc: np.ufunc):
        self._ufunc = ufunc
        self.__name__ = ufunc.__name__
        self.nin, self.nout, self.nargs = ufunc.nin, ufunc.nout, ufunc.nargs

    def __call__(self, *args, **kwargs):
        if "where" in kwargs:
            raise NotImplementedError("the stand-in has no ufuncs with where=")
        inputs = list(map(host, args[: self.nin]))
        out = kwargs.pop("out", args[self.nin] if len(args) > self.nin else None)
        if out is not None and not isinstance(out, ndarray):
            raise TypeError(f"Unsupported type {type(out)}")
        if out is not None:
            kwargs["out"] = host(out)

        def compute():
            with silent():
                return self._ufunc(*inputs, **kwargs)

        if out is None:
            return device(launched(self.__name__, compute))
        launched_in_place(self.__name__, compute)
        return out

    def at(self, a, indices, b=None):
        if self.__name__ not in ("add", "subtract", "maximum", "minimum", "bitwise_and", "bitwise_or", "bitwise_xor"):
            raise NotImplementedError(f"`{self.__name__}.at` is not supported yet")
        a, indices, b = host(a), host(indices), host(b)
        launched_in_place(f"{self.__name__}.at", lambda: self._ufunc.at(a, indices, b))

    def outer(self, a, b, **kwargs):
        a, b = host(a), host(b)
        return device(launched(f"{self.__name__}.outer", lambda: self._ufunc.outer(a, b, **kwargs)))

    def reduce(self, array, axis=0, dtype=None, out=None, keepdims=False):
        a = host(array)
        return device(launched(f"{self.__name__}.reduce", lambda: self._ufunc.reduce(a, axis, dtype, None, keepdims)))

    def accumulate(self, array, axis=0, dtype=None, out=None):
        a = host(array)
        return device(launched(f"{self.__name__}.accumulate", lambda: self._ufunc.accumulate(a, axis, dtype)))


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0, *, blocking=False):
    if isinstance(obj, ndarray):
        a, always = obj._a, True if copy or obj._device_id != current_device() else None
        return device(launched("array", lambda: np.array(a, dtype=dtype, copy=always, order=order, ndmin=ndmin), a))
    if isinstance(obj, (list, tuple)) and any(isinstance(part, ndarray) for part in obj):
        parts = [host(part) for part in obj]
        return device(launched("array", lambda: np.array(parts, dtype=dtype, ndmin=ndmin)))
    a = np.array(obj, dtype=dtype, order=order, ndmin=ndmin)
    if a.ndim:
        copied_to_device(a.nbytes)
    return device(a)


def asarray(a, dtype=None, order=None, *, blocking=False, copy=None, device=None):
    return array(a, dtype, bool(copy), order or "K")


def asanyarray(a, dtype=None, order=None, **_):
    return asarray(a, dtype, order)


def ascontiguousarray(a, dtype=None):
    given = host(a if isinstance(a, ndarray) else array(a))
    return device(launched("ascontiguousarray", lambda: np.ascontiguousarray(given, dtype), given))


def asfortranarray(a, dtype=None):
    given = host(a if isinstance(a, ndarray) else array(a))
    return device(launched("asfortranarray", lambda: np.asfortranarray(given, dtype), given))


def asnumpy(a, stream=None, order="C", out=None, *, blocking=True):
    if isinstance(a, ndarray):
        return a.get(stream, order, blocking, out)
    return np.asarray(a)


def empty(shape, dtype=float, order="C"):
    return device(poisoned(shape, dtype, order))


def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    return empty(prototype.shape if shape is None else shape, dtype or prototype.dtype)


def zeros(shape, dtype=float, order="C"):
    return device(launched("zeros", lambda: np.zeros(shape, dtype, order)))


def ones(shape, dtype=float, order="C"):
    return device(launched("ones", lambda: np.ones(shape, dtype, order)))


def full(shape, fill_value, dtype=None, order="C"):
    value = host(fill_value)
    return device(launched("full", lambda: np.full(shape, value, dtype, order)))


def arange(*args, dtype=None):
    return device(launched("arange", lambda: np.arange(*args, dtype=dtype)))


def get_array_module(*args):
    import cupy

    return cupy if any(isinstance(a, ndarray) for a in args) else np


def may_share_memory(a, b, max_work=None):
    return np.may_share_memory(host(a), host(b))


def shares_memory(a, b, max_work=None):
    return np.shares_memory(host(a), host(b))


def can_cast(from_, to, casting="safe"):
    return np.can_cast(from_.dtype if isinstance(from_, ndarray) else from_, to, casting)


def result_type(*arrays_and_dtypes):
    return np.result_type(*(a._a if isinstance(a, ndarray) else a for a in arrays_and_dtypes))


def einsum(*operands, **kwargs):
    given = list(map(host, operands))
    return device(launched("einsum", lambda: np.einsum(*given, **kwargs), given))


def ndim(a):
    return a.ndim


def shape(a):
    return a.shape


def size(a, axis=None):
    return a.size if axis is None else a.shape[axis]


def from_dlpack(array_, device=None, copy=None):
    return array(array_ if isinstance(array_, ndarray) else np.from_dlpack(array_))


CREATORS = {
    f.__name__: f
    for f in (
        array, asarray, asanyarray, ascontiguousarray, asfortranarray, asnumpy, empty, empty_like, zeros, ones, full, arange,
        get_array_module, may_share_memory, shares_memory, can_cast, result_type, einsum, ndim, shape, size, from_dlpack,
    )
}  # fmt: skip
