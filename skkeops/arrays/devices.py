"""Where arrays live: those of NumPy in the host's memory, those of CuPy on a device.

The rule of the code between the faces and the backends: the namespace of a computation, `xp`, is that of its arguments, and new
arrays come from it. Functions of arrays are NumPy's; CuPy's arrays answer them by NumPy's own protocols (NEP 13 and 18), and
refuse to meet an array of NumPy. So nothing is copied between host and device that is not copied by name here.

CuPy is never imported for somebody who has none of its arrays.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

import numpy as np

from skkeops.arrays.errors import explain
from skkeops.arrays.tables import without_missing
from skkeops.locks import import_module

__all__ = [
    "OnDevice", "address_of", "as_array", "computing", "contiguous", "device_of", "is_on_device", "linalg_of", "namespace_of",
    "to_device", "to_host",
]  # fmt: skip


def loaded_cupy() -> Any:
    """Return CuPy if it has been imported, else None: who holds an array of CuPy has imported it."""
    cupy = sys.modules.get("cupy")
    return cupy if hasattr(cupy, "ndarray") else None


def is_on_device(thing: Any) -> bool:
    """Return whether something is an array of CuPy."""
    cupy = loaded_cupy()
    return cupy is not None and isinstance(thing, cupy.ndarray)


def namespace_of(*things: Any) -> ModuleType:
    """Return CuPy if one of the things is an array of it, else NumPy."""
    return sys.modules["cupy"] if any(map(is_on_device, things)) else np


def device_of(array: Any) -> int:
    """Return the number of the device that an array of CuPy lives on."""
    return array.data.device_id


def to_host(array: Any) -> np.ndarray:
    """Return an array of either kind as one of NumPy, itself if it is one."""
    return array.get() if is_on_device(array) else np.asarray(array)


def to_device(array: Any, xp: ModuleType) -> Any:
    """Return an array of either kind as one of the namespace `xp`, itself if it is one."""
    if xp is np:
        return to_host(array)
    return array if is_on_device(array) else xp.asarray(array)


def linalg_of(xp: ModuleType) -> Any:
    """Return SciPy's linear algebra for arrays of a namespace."""
    return import_module("scipy.linalg" if xp is np else "cupyx.scipy.linalg")


def as_array(thing: Any) -> Any:
    """Return an array of CuPy as it is, everything else as `numpy.asarray` does; missing values of pandas are refused."""
    return thing if is_on_device(thing) else np.asarray(without_missing(thing))


def contiguous(array: Any) -> Any:
    """Return an array of either kind in C order, itself if it already is."""
    return array.astype(array.dtype, order="C", copy=False)


def address_of(array: Any) -> int:
    """Return where the memory of an array begins."""
    return array.data.ptr if is_on_device(array) else array.__array_interface__["data"][0]


class OnDevice:
    """A context that makes a device the current one and turns CUDA's errors into sentences that say what to do.

    Parameters
    ----------
    cupy : module
    device : int
    """

    __slots__ = ("_cupy", "_device", "_entered")

    def __init__(self, cupy: Any, device: int):
        self._cupy = cupy
        self._device = device
        self._entered: Any = None

    def __enter__(self) -> Any:
        if self._device != self._cupy.cuda.runtime.getDevice():
            self._entered = self._cupy.cuda.Device(self._device)
            self._entered.__enter__()
        return self._cupy

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self._entered is not None:
            self._entered.__exit__(kind, error, trace)
        if isinstance(error, Exception):
            told = explain(error)
            if told is not None:
                raise told from error


class _OnHost:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: Any) -> None:
        pass


_ON_HOST = _OnHost()


def computing(arrays: Iterable[Any]) -> OnDevice | _OnHost:
    """Return a context for computing with checked arrays: on their device, if they have one."""
    for array in arrays:
        if type(array) is np.ndarray:
            return _ON_HOST
        if is_on_device(array):
            return OnDevice(sys.modules["cupy"], device_of(array))
    return _ON_HOST
