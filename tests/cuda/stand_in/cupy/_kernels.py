"""Kernels from source, as ``cupy.RawModule`` and ``cupy.RawKernel``: launches are checked, then run by an emulator."""

from __future__ import annotations

import functools

import numpy as np

from ._array import host, ndarray
from ._devices import compiled, counts, current_device, get_current_stream

#: What makes a module of a source and its options: ``emulator(code, options)``, with ``get_function(name)`` that returns a
#: function of (grid, block, arguments, shared memory) on arrays and scalars of NumPy. Set by whoever has one.
emulator = None

_GRID = (2**31 - 1, 65535, 65535)
_BLOCK = (1024, 1024, 64)
_SHARED, _SHARED_AT_MOST = 48 * 1024, 227 * 1024


@functools.cache
def _compile(code: str, options: tuple[str, ...]):
    if emulator is None:
        raise RuntimeError("the stand-in for CuPy has no emulator to run kernels")
    return emulator(code, options)


class RawModule:
    def __init__(
        self, code=None, *, path=None, options=(), backend="nvrtc", translate_cucomplex=False,
        enable_cooperative_groups=False, name_expressions=None, jitify=None,
    ):  # fmt: skip
        if path is not None or name_expressions is not None or backend != "nvrtc":
            raise NotImplementedError("the stand-in compiles source only")
        if not isinstance(options, tuple) or not all(isinstance(o, str) for o in options):
            raise TypeError(f"Expected tuple of str, got {options!r}")
        self.code, self.options, self.backend = code, options, backend

    def compile(self, log_stream=None):
        _compile(self.code, self.options)

    def get_function(self, name):
        return RawKernel(self.code, name, self.options)


class RawKernel:
    def __init__(self, code, name, options=(), backend="nvrtc", **_):
        self.code, self.name, self.options, self.backend = code, name, options, backend
        self.max_dynamic_shared_size_bytes = _SHARED
        self._function = None

    def compile(self, log_stream=None):
        if self._function is None:
            compiled(self.name)
            self._function = _compile(self.code, self.options).get_function(self.name)

    def __call__(self, grid, block, args, *, shared_mem=0):
        self.compile()
        grid, block = (tuple(int(n) for n in size) for size in (grid, block))
        for size, limits in ((grid, _GRID), (block, _BLOCK)):
            if not 1 <= len(size) <= 3 or any(not 0 < n <= most for n, most in zip(size, limits, strict=False)):
                raise invalid(f"grid {grid}, block {block}")
        if np.prod(block) > 1024:
            raise invalid(f"a block of {block} threads")
        if shared_mem > _SHARED_AT_MOST or shared_mem > max(_SHARED, self.max_dynamic_shared_size_bytes):
            raise invalid(f"{shared_mem} bytes of shared memory")
        if not isinstance(args, tuple):
            raise TypeError(f"Argument 'args' has incorrect type (expected tuple, got {type(args).__name__})")
        counts.launches.append((self.name, grid, block, get_current_stream().ptr, current_device()))
        passed, captured = [_argument(a) for a in args], get_current_stream()._captured
        if captured is None:
            self._function(grid, block, passed, shared_mem)
        else:
            captured.append(lambda: self._function(grid, block, passed, shared_mem))


def invalid(what):
    """Return the error of a launch that no device could run."""
    from .cuda.driver import CUDADriverError

    return CUDADriverError(1, f"CUDA_ERROR_INVALID_VALUE: invalid argument ({what})")


def _argument(a):
    """Return an argument as its bytes are passed: Python's numbers are 64 bits wide, whatever the kernel declares."""
    if isinstance(a, ndarray):
        if not (a.flags.c_contiguous or a.flags.f_contiguous):
            raise AssertionError("kernels know nothing of strides: pass a contiguous array")
        return host(a)
    if isinstance(a, np.ndarray):
        raise TypeError("You are trying to pass a numpy.ndarray of shape () as a kernel parameter.")
    for kind, as_passed in ((bool, np.bool_), (int, np.int64), (float, np.float64)):
        if type(a) is kind:
            return as_passed(a)
    if a is None or isinstance(a, np.generic):
        return a
    raise TypeError(f"Unsupported type {type(a)}")
