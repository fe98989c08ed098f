"""As ``cupy.lib.stride_tricks``."""

import numpy as _np

from .._array import host as _host
from .._array import ndarray as _ndarray


def as_strided(x, shape=None, strides=None):
    if not isinstance(x, _ndarray):
        raise TypeError(f"Unsupported type {type(x)}")
    return _ndarray._of(_np.lib.stride_tricks.as_strided(_host(x), shape, strides), x.data.device_id)
