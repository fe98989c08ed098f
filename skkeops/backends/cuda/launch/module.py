"""Launching through CuPy: modules compiled once per device, and as little Python per call as there can be.

Everything runs on the current device and stream of the caller, in memory of CuPy's current pool.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .geometry import Geometry

__all__ = ["NULL", "Call", "Module", "contiguous"]

NULL = np.uint64(0)  # a null pointer

_integers: dict[int, Any] = {}


def _int64(value: int) -> Any:
    found = _integers.get(value)
    if found is None:
        if len(_integers) > 4096:
            _integers.clear()
        found = _integers[value] = np.int64(value)
    return found


def contiguous(array: Any) -> Any:
    """An array of CuPy in C order, itself if it already is: kernels know nothing of strides."""
    if array.flags.c_contiguous:
        return array
    import cupy

    return cupy.ascontiguousarray(array)


class Call:
    """A call on arrays of given sizes: all that can be known before the arrays are.

    Parameters
    ----------
    source : Source
    module : Module
    rows, columns : int
    final : {"state", "result"}
    dtype : dtype
        Of the arrays.
    """

    __slots__ = ("_cupy", "_launches", "_outputs", "_variables", "_workspace")

    def __init__(self, source: Any, module: Module, rows: int, columns: int, final: str, dtype: Any):
        import cupy

        geometry = source.geometry(rows, columns, final)
        kernels = module.kernels()
        self._cupy = cupy
        self._variables = source.variables
        self._workspace = geometry.workspace
        self._outputs = [
            ((rows, *output.shape), dtype if output.dtype == "real" else np.dtype(output.dtype))
            for output in source.outputs[final]
        ]
        written = [f"out{k}" for k in range(len(self._outputs))]
        self._launches = []
        for launch in geometry.launches:
            first, *rest = launch.args
            assert first == "workspace"
            writes = rest[: len(written)] == written
            numbers = [NULL if type(a) is str else np.int64(a) for a in (rest[len(written) :] if writes else rest)]
            self._launches.append((kernels[launch.kernel], launch.grid, launch.block, launch.shared, writes, tuple(numbers)))

    def __call__(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        """Launch the kernels; return what they write."""
        empty = self._cupy.empty
        taken = [arrays[k] for k in self._variables]
        for k, array in enumerate(taken):
            if not array.flags.c_contiguous:
                taken[k] = contiguous(array)
        workspace = empty(self._workspace, _BYTES)
        outputs = [empty(shape, dtype) for shape, dtype in self._outputs]
        for kernel, grid, block, shared, writes, numbers in self._launches:
            places = (*taken, workspace, *outputs, *numbers) if writes else (*taken, workspace, *numbers)
            kernel(grid, block, places, shared_mem=shared)
        return tuple(outputs)


_BYTES = np.dtype(np.uint8)


class Module:
    """The kernels of a source, compiled by NVRTC at their first launch on each device.

    Parameters
    ----------
    source : Source or PointsSource

    Attributes
    ----------
    source : Source or PointsSource
    """

    def __init__(self, source: Any):
        self.source = source
        self._kernels: dict[int, dict[str, Any]] = {}

    def kernels(self) -> dict[str, Any]:
        """The kernels on the current device."""
        import cupy

        device = cupy.cuda.runtime.getDevice()
        found = self._kernels.get(device)
        if found is None:
            module = cupy.RawModule(code=self.source.text, options=self.source.options)
            found = {name: module.get_function(name) for name in self.source.kernels}
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
