"""The array: memory of the host that may be reached only in the ways in which memory of a device may be."""

from __future__ import annotations

import numpy as np

from ._devices import (
    Device,
    copied_to_device,
    copied_to_host,
    counts,
    current_device,
    launched,
    launched_in_place,
)
from ._signatures import check

SCALARS = (bool, int, float, complex, np.generic)


def silent():
    """Return a context without NumPy's floating-point warnings: a device gives none."""
    return np.errstate(all="ignore")


def host(x):
    """Return what NumPy is to compute with: the memory of our arrays, and scalars; arrays of NumPy are refused."""
    if isinstance(x, ndarray):
        if x._device_id != current_device():
            raise ValueError(
                "Array device must be same as the current device: "
                f"array device = {x._device_id} while current = {current_device()}"
            )
        return x._a
    if isinstance(x, np.ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    if isinstance(x, (list, tuple)):
        return type(x)(host(part) for part in x) if not hasattr(x, "_fields") else x
    return x


def device(x):
    """Return a result of NumPy as CuPy would: also of no axes, where NumPy returns a scalar."""
    if isinstance(x, (np.ndarray, np.generic)):
        return ndarray._of(np.asarray(x))
    if isinstance(x, list):
        return [device(part) for part in x]
    if isinstance(x, tuple):
        parts = [device(part) for part in x]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)
    return x


def poisoned(shape, dtype, order="C"):
    a = np.empty(shape, dtype, order=order)
    counts.allocations.append(a.nbytes)
    a.reshape(-1, order="A").view(np.uint8)[...] = 0xFF
    return a


class Flags:
    """As CuPy's: three flags, and no others."""

    def __init__(self, a: np.ndarray):
        self.c_contiguous, self.f_contiguous, self.owndata = a.flags.c_contiguous, a.flags.f_contiguous, a.base is None

    def __getitem__(self, name):
        return getattr(self, {"C_CONTIGUOUS": "c_contiguous", "F_CONTIGUOUS": "f_contiguous", "OWNDATA": "owndata"}[name])


class MemoryPointer:
    def __init__(self, array: ndarray):
        self.ptr = array._a.__array_interface__["data"][0]
        self.device_id = array._device_id

    @property
    def device(self):
        return Device(self.device_id)


class ndarray:  # noqa: N801 (CuPy's name)
    __array_priority__ = 100
    __slots__ = ("__weakref__", "_a", "_device_id")
    __hash__ = None

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        if memptr is not None or strides is not None:
            raise NotImplementedError("the stand-in has no arrays on given memory")
        self._a = poisoned(shape, dtype, order)
        self._device_id = current_device()

    @classmethod
    def _of(cls, a: np.ndarray, device_id: int | None = None):
        if a.dtype.char not in "?bhilqBHILQefdFD":
            raise ValueError(f"Unsupported dtype {a.dtype}")
        array = object.__new__(cls)
        array._a = a
        array._device_id = current_device() if device_id is None else device_id
        return array

    # What it is

    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    nbytes = property(lambda self: self._a.nbytes)
    itemsize = property(lambda self: self._a.itemsize)
    strides = property(lambda self: self._a.strides)
    flags = property(lambda self: Flags(self._a))
    data = property(MemoryPointer)
    device = property(lambda self: Device(self._device_id))
    base = property(lambda self: None if self._a.base is None else self._view(self._a.base))
    T = property(lambda self: self._view(self._a.T))
    mT = property(lambda self: self._view(self._a.mT))  # noqa: N815
    real = property(lambda self: self._view(self._a.real))
    imag = property(lambda self: self._view(self._a.imag))

    @property
    def shape(self):
        return self._a.shape

    @shape.setter
    def shape(self, shape):
        self._a.shape = shape

    def _view(self, a):
        return ndarray._of(np.asarray(a), self._device_id)

    @property
    def __cuda_array_interface__(self):
        return {
            "shape": self.shape, "typestr": self.dtype.str, "descr": self.dtype.descr, "version": 3,
            "strides": None if self.flags.c_contiguous else self.strides, "data": (self.data.ptr, False), "stream": 1,
        }  # fmt: skip

    def __dlpack_device__(self):
        return 2, self._device_id

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        if dl_device is None or dl_device[0] == 2:
            raise NotImplementedError("the stand-in hands its memory to nobody")
        return self.get().__dlpack__()

    # To the host and back

    def get(self, stream=None, order="C", blocking=True, out=None):
        copied_to_host(self.nbytes)
        if out is not None:
            out[...] = self._a
            return out
        return self._a.copy(order=order)

    def set(self, arr, stream=None):
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if self.dtype != arr.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if self.shape != arr.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        copied_to_device(arr.nbytes)
        self._a[...] = arr

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct a NumPy array explicitly."
        )

    def _scalar(self):
        if self.size != 1:
            raise TypeError("only length-1 arrays can be converted to Python scalars")
        copied_to_host(self.nbytes)
        return self._a.reshape(())[()]

    def item(self, *args):
        copied_to_host(self.itemsize)
        return self._a.item(*args)

    def tolist(self):
        return self.get().tolist()

    def tobytes(self, order="C"):
        return self.get().tobytes(order)

    def __bool__(self):
        if self.size == 0:
            return False
        if self.size > 1:
            raise ValueError("The truth value of an array with more than one element is ambiguous. Use a.any() or a.all()")
        return bool(self._scalar())

    def __float__(self):
        return float(self._scalar())

    def __int__(self):
        return int(self._scalar())

    def __complex__(self):
        return complex(self._scalar())

    def __index__(self):
        return self._scalar().__index__()

    def __repr__(self):
        return repr(self.get())

    def __str__(self):
        return str(self.get())

    def __format__(self, spec):
        return format(self.get(), spec)

    def __len__(self):
        return len(self._a)

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    def __reduce__(self):
        return _from_host, (self.get(),)

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    # Indices

    def __getitem__(self, key):
        key = _key(key)
        if any(isinstance(k, np.ndarray) and k.dtype == bool for k in (key if isinstance(key, tuple) else (key,))):
            copied_to_host(8)  # how many are chosen
        a = host(self)
        return device(launched("__getitem__", lambda: np.asarray(a[key]), a))

    def __setitem__(self, key, value):
        a, key = host(self), _key(key)
        parts = key if isinstance(key, tuple) else (key,)
        if any(isinstance(k, np.ndarray) and k.dtype.kind in "iu" and k.size > 1 for k in parts):
            visits = np.zeros(a.shape, np.int32)
            np.add.at(visits, key, 1)
            if visits.max(initial=0) > 1:
                raise AssertionError("an index that occurs twice: which value is stored is undefined on a device")
        value = host(value)
        launched_in_place("__setitem__", lambda: a.__setitem__(key, value))

    def scatter_add(self, slices, value):
        a, key, value = host(self), _key(slices), host(value)
        launched_in_place("scatter_add", lambda: np.add.at(a, key, value))

    # NumPy's protocols

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        import cupy

        if "out" in kwargs:
            if len(kwargs["out"]) != 1:
                raise ValueError("The 'out' parameter must have exactly one array value")
            kwargs["out"] = kwargs["out"][0]
        mine = getattr(cupy, ufunc.__name__, None)
        if mine is None:
            return NotImplemented
        for x in inputs:
            if not isinstance(x, (ndarray, np.ndarray, *SCALARS)):
                return NotImplemented
        if method == "__call__":
            return mine(*inputs, **kwargs)
        if method in ("outer", "at", "reduce", "accumulate") and hasattr(mine, method):
            return getattr(mine, method)(*inputs, **kwargs)
        return NotImplemented

    def __array_function__(self, func, types, args, kwargs):
        import cupy

        module = cupy
        for name in func.__module__.split(".")[1:]:
            module = getattr(module, name, None)
        mine = getattr(module, func.__name__, None)
        if mine is None or mine is func or any(t not in (ndarray, np.ndarray) for t in types):
            return NotImplemented
        return mine(*args, **kwargs)


def _key(key):
    """Return an index for NumPy. One on the host is copied to the device, as CuPy does."""
    if isinstance(key, tuple):
        return tuple(_key(k) for k in key)
    if isinstance(key, (list, np.ndarray)):
        key = np.asarray(key)
        copied_to_device(key.nbytes)
        return key
    return host(key)


def _from_host(a):
    copied_to_device(a.nbytes)
    return ndarray._of(a.copy())


def _method(name):
    def method(self, *args, **kwargs):
        check(f"ndarray.{name}", args, kwargs)
        kwargs = {key: host(value) for key, value in kwargs.items()}
        a, args = host(self), list(map(host, args))

        def compute():
            with silent():
                return getattr(a, name)(*args, **kwargs)

        if name in ("fill", "partition", "put", "sort"):
            return launched_in_place(name, compute)
        return device(launched(name, compute, a, args, kwargs))

    method.__name__ = name
    return method


for _name in (
    "all any argmax argmin argpartition argsort astype choose clip compress conj conjugate copy cumprod cumsum diagonal dot max "
    "mean min nonzero prod ravel repeat reshape round searchsorted squeeze std sum swapaxes take trace transpose var view flatten "
    "fill partition put sort"
).split():
    setattr(ndarray, _name, _method(_name))


def _operator(name):
    def operator(self, *others):
        for other in others:
            if isinstance(other, (ndarray, *SCALARS)):
                continue
            # As CuPy decides: operands that know NumPy's protocol are asked by nobody.
            if getattr(other, "__array_ufunc__", None) is None and getattr(other, "__array_priority__", 0) > 100:
                return NotImplemented
            raise TypeError(f"Unsupported type {type(other)}")
        a, others = host(self), list(map(host, others))

        def compute():
            with silent():
                return getattr(a, name)(*others)

        if name.startswith("__i") and name != "__invert__":
            launched_in_place(name, compute)
            return self
        result = launched(name, compute, a, others)
        return result if result is NotImplemented else device(result)

    operator.__name__ = name
    return operator


for _name in (
    "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift radd rsub rmul rtruediv rfloordiv rmod rpow rmatmul rand "
    "ror rxor iadd isub imul itruediv ifloordiv imod ipow iand ior ixor lt le gt ge eq ne neg pos abs invert"
).split():
    setattr(ndarray, f"__{_name}__", _operator(f"__{_name}__"))
