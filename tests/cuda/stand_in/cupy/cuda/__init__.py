"""As ``cupy.cuda``."""

from __future__ import annotations

from .._array import MemoryPointer
from .._devices import Device, Event, Graph, Stream, current_device, get_current_stream, get_elapsed_time
from . import compiler, device, driver, memory, nvrtc, runtime, stream

OutOfMemoryError, MemoryPool, using_allocator = memory.OutOfMemoryError, memory.MemoryPool, memory.using_allocator


def is_available() -> bool:
    return True


def get_device_id() -> int:
    return current_device()


def get_cuda_path():
    return None


__all__ = [
    "Device", "Event", "Graph", "MemoryPointer", "MemoryPool", "OutOfMemoryError", "Stream", "compiler", "device", "driver",
    "get_current_stream", "get_device_id", "get_elapsed_time", "is_available", "memory", "nvrtc", "runtime", "stream",
    "using_allocator",
]  # fmt: skip
