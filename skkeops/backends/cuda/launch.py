"""Launching through CuPy: modules compiled once per device, and as little Python per call as there can be.

Everything runs on the current device and stream of the caller, in memory of CuPy's current pool.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .geometry import Geometry

__all__ = ["Module"]

_integers: dict[int, Any] = {}


def _int64(value: int) -> Any:
    found = _integers.get(value)
    if found is None:
        if len(_integers) > 4096:
            _integers.clear()
        found = _integers[value] = np.int64(value)
    return found


class Module:
    """The kernels of a source, compiled by NVRTC at their first launch on each device.

    Parameters
    ----------
    source : Source or PointsSource
    """

    def __init__(self, source: Any):
        self._source = source
        self._kernels: dict[int, dict[str, Any]] = {}

    def kernels(self) -> dict[str, Any]:
        """The kernels on the current device."""
        import cupy

        device = cupy.cuda.runtime.getDevice()
        found = self._kernels.get(device)
        if found is None:
            module = cupy.RawModule(code=self._source.text, options=self._source.options)
            found = {name: module.get_function(name) for name in self._source.kernels}
            self._kernels[device] = found
        return found

    def launch(self, geometry: Geometry, arrays: tuple[Any, ...], places: dict[str, Any]) -> None:
        """Launch the kernels of a call, in order, on the current stream.

        Parameters
        ----------
        geometry : Geometry
        arrays : tuple of cupy.ndarray
            The arrays of the variables that the kernels take.
        places : dict of str to array or number
            What the names in `Launch.args` stand for.
        """
        kernels = self.kernels()
        for kernel, grid, block, shared, args in geometry.launches:
            rest = tuple([places[a] if type(a) is str else _int64(a) for a in args])
            kernels[kernel](grid, block, arrays + rest, shared_mem=shared)
