"""A stand-in for CuPy on machines without a GPU: it refuses what CuPy 14 refuses.

Arrays live in the host's memory, and only what could reach a device's memory reaches them: no conversion to NumPy behind the
user's back, no operation with arrays of NumPy, none with arrays of another device than the current one, new memory full of
0xFF. Copies between host and device are counted (`stand_in_counts`). ``RawModule`` hands its source to the emulator.

Put the folder that this package lies in first on ``sys.path``, and ``import cupy`` finds it.
"""

from __future__ import annotations

import types as _types

import numpy as _np

from . import _names
from ._array import ndarray
from ._devices import counts as stand_in_counts
from ._functions import CREATORS as _CREATORS
from ._functions import Ufunc as ufunc  # noqa: N813 (CuPy's name)
from ._functions import wrap as _wrap
from ._kernels import RawKernel, RawModule

__version__ = "14.2.0"
is_stand_in = True
generic = _np.generic


def _of_numpy(name):
    thing = getattr(_np, name)
    if isinstance(thing, _np.ufunc):
        return ufunc(thing)
    if isinstance(thing, type) or not callable(thing):
        return thing
    return _wrap(thing)


globals().update({_name: _of_numpy(_name) for _name in _names.NAMES if hasattr(_np, _name)})
globals().update(_CREATORS)

from . import cuda, fft, lib, linalg, random  # noqa: E402


def is_available() -> bool:
    return True


def show_config() -> None:
    print("CuPy's stand-in")


def get_default_memory_pool():
    return _types.SimpleNamespace(free_all_blocks=lambda: None, used_bytes=lambda: 0, total_bytes=lambda: 0)


__all__ = [_name for _name in globals() if not _name.startswith("_")]
assert RawKernel and RawModule and ndarray and stand_in_counts and cuda and fft and lib and linalg and random
