"""Two devices without any hardware: which one is current, streams, and counts of what passes between host and device."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

N_DEVICES = 2


class CUDARuntimeError(RuntimeError):
    """As ``cupy_backends.cuda.api.runtime.CUDARuntimeError``."""

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status = status


@dataclass
class Counts:
    """What tests ask for: bytes of each copy between host and device, and launches (kernel, grid, block, stream)."""

    to_device: list[int] = field(default_factory=list)
    to_host: list[int] = field(default_factory=list)
    launches: list[tuple] = field(default_factory=list)

    def clear(self) -> None:
        self.to_device.clear()
        self.to_host.clear()
        self.launches.clear()


counts = Counts()


class _Local(threading.local):
    def __init__(self):
        self.device = 0
        self.streams = []
        self.before = []


_local = _Local()


def current_device() -> int:
    return _local.device


def set_device(device: int) -> None:
    if not 0 <= device < N_DEVICES:
        raise CUDARuntimeError(101, "cudaErrorInvalidDevice: invalid device ordinal")
    _local.device = device


class Device:
    """As ``cupy.cuda.Device``: the current one without a number, and a context that makes it the current one."""

    compute_capability = "90"

    def __init__(self, device=None):
        self.id = current_device() if device is None else int(device)

    def use(self):
        set_device(self.id)
        return self

    def __enter__(self):
        _local.before.append(current_device())
        return self.use()

    def __exit__(self, *_):
        set_device(_local.before.pop())

    def synchronize(self):
        pass

    @property
    def mem_info(self):
        return 70 * 2**30, 80 * 2**30

    @property
    def attributes(self):
        return {"MultiProcessorCount": 132, "ClockRate": 1980000, "MaxSharedMemoryPerBlockOptin": 227 * 1024}

    def __int__(self):
        return self.id

    def __eq__(self, other):
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self):
        return hash(self.id)

    def __repr__(self):
        return f"<CUDA Device {self.id}>"


class Stream:
    """As ``cupy.cuda.Stream``; what is launched runs at once."""

    null: Stream
    _next = 1

    def __init__(self, null=False, non_blocking=False, ptds=False):
        self.ptr = 0 if null else Stream._next
        Stream._next += not null
        self._capturing = False

    def __enter__(self):
        _local.streams.append(self)
        return self

    def __exit__(self, *_):
        _local.streams.pop()

    def use(self):
        _local.streams[:] = [self]
        return self

    def synchronize(self):
        if self._capturing:
            raise CUDARuntimeError(900, "cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing")

    def record(self, event=None):
        return event or Event()

    def begin_capture(self, mode=None):
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self._capturing = True

    def end_capture(self):
        self._capturing = False
        return Graph()

    def is_capturing(self):
        return self._capturing


class Graph:
    def launch(self, stream=None):
        pass


Stream.null = Stream(null=True)


class Event:
    """As ``cupy.cuda.Event``, with the host's clock."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.record()

    def record(self, stream=None):
        import time

        self.time = time.perf_counter()

    def synchronize(self):
        pass


def get_elapsed_time(start: Event, end: Event) -> float:
    return 1e3 * (end.time - start.time)


def get_current_stream() -> Stream:
    return _local.streams[-1] if _local.streams else Stream.null


def copied_to_host(nbytes: int) -> None:
    if get_current_stream().is_capturing():
        raise CUDARuntimeError(906, "cudaErrorStreamCaptureImplicit: operation would make the legacy stream depend on a capture")
    counts.to_host.append(nbytes)
