"""As much of ``cupy.random`` as the project uses."""

import numpy as _np

from ._array import device as _device


class RandomState:
    def __init__(self, seed=None):
        self._rng = _np.random.RandomState(seed)

    def standard_normal(self, size=None, dtype=float):
        return _device(self._rng.standard_normal(size).astype(dtype))

    def uniform(self, low=0.0, high=1.0, size=None, dtype=float):
        return _device(self._rng.uniform(low, high, size).astype(dtype))
