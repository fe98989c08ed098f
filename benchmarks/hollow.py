"""CuPy without anything inside: what its arrays and kernels cost is next to nothing, so that what remains is our own Python.

Attributes of arrays are read as fast as those of CuPy, whose arrays are written in C. Memory is not allocated, kernels do not
run, results are no numbers. Unlike CuPy's stand-in of the tests, nothing is checked.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

__all__ = ["hollow_cupy"]


class _Flags:
    __slots__ = ("c_contiguous",)

    def __init__(self):
        self.c_contiguous = True


class _Memory:
    __slots__ = ("device_id", "ptr")

    def __init__(self):
        self.device_id = self.ptr = 0


_FLAGS, _MEMORY = _Flags(), _Memory()


class ndarray:  # noqa: N801 (CuPy's name)
    """An array without elements."""

    __slots__ = ("data", "dtype", "flags", "shape")

    def __init__(self, shape: tuple[int, ...], dtype: Any):
        self.shape, self.dtype, self.flags, self.data = shape, dtype, _FLAGS, _MEMORY

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> ndarray:
        return self

    def astype(self, dtype: Any, copy: bool = True) -> ndarray:
        return self if dtype == self.dtype and not copy else ndarray(self.shape, np.dtype(dtype))


class _RawModule:
    def __init__(self, code: str, options: tuple[str, ...] = ()):
        pass

    def get_function(self, name: str) -> Any:
        return _kernel


def _kernel(grid: tuple, block: tuple, args: tuple, *, shared_mem: int = 0) -> None:
    pass


def _empty(shape: Any, dtype: Any = float) -> ndarray:
    return ndarray(shape, dtype)


def _get_device() -> int:
    return 0


@contextmanager
def hollow_cupy():
    """Put the hollow module in the place of CuPy, and return it."""
    cupy: Any = ModuleType("cupy")
    cupy.ndarray, cupy.empty, cupy.RawModule = ndarray, _empty, _RawModule
    cupy.ones = cupy.zeros = _empty
    cupy.asarray = lambda a: ndarray(a.shape, a.dtype)
    runtime = SimpleNamespace(getDevice=_get_device, getDeviceCount=lambda: 1)
    cupy.cuda = SimpleNamespace(is_available=lambda: True, runtime=runtime)
    before = sys.modules.get("cupy")
    sys.modules["cupy"] = cupy
    try:
        yield cupy
    finally:
        if before is None:
            del sys.modules["cupy"]
        else:
            sys.modules["cupy"] = before
