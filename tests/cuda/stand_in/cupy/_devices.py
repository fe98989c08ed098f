"""Two devices without any hardware: which one is current, streams and graphs, and counts of what a program does with them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

N_DEVICES = 2


class CUDARuntimeError(RuntimeError):
    """As ``cupy_backends.cuda.api.runtime.CUDARuntimeError``."""

    def __init__(self, status: int, text: str):
        super().__init__(text)
        self.status = status


@dataclass
class Counts:
    """What tests ask for.

    Attributes
    ----------
    to_device, to_host : list of int
        Bytes of each copy between host and device.
    launches : list of tuple
        Kernels from source: (kernel, grid, block, stream, device).
    functions : list of str
        Functions of CuPy that launch a kernel of its own.
    allocations : list of int
        Bytes of each array that is made without values.
    waits : list of str
        Where the host waits for a device, besides copies.
    compilations : list of str
        Kernels that had to be compiled or loaded.
    """

    to_device: list[int] = field(default_factory=list)
    to_host: list[int] = field(default_factory=list)
    launches: list[tuple] = field(default_factory=list)
    functions: list[str] = field(default_factory=list)
    allocations: list[int] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    compilations: list[str] = field(default_factory=list)

    def clear(self) -> None:
        for listed in vars(self).values():
            listed.clear()


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
        waited("Device.synchronize")

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
    """As ``cupy.cuda.Stream``; what is launched runs at once, or in a capture with the graph."""

    null: Stream
    _next = 1

    def __init__(self, null=False, non_blocking=False, ptds=False):
        self.ptr = 0 if null else Stream._next
        Stream._next += not null
        self._captured: list[Callable[[], Any]] | None = None

    def __enter__(self):
        _local.streams.append(self)
        return self

    def __exit__(self, *_):
        _local.streams.pop()

    def use(self):
        _local.streams[:] = [self]
        return self

    def synchronize(self):
        if self.is_capturing():
            raise not_in_a_capture("Stream.synchronize")
        waited("Stream.synchronize")

    def record(self, event=None):
        return event or Event()

    def begin_capture(self, mode=None):
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        self._captured = []

    def end_capture(self):
        captured, self._captured = self._captured, None
        return Graph(captured)

    def is_capturing(self):
        return self._captured is not None


class Graph:
    """As ``cupy.cuda.graph.Graph``: what was launched in a capture, and did not run."""

    def __init__(self, captured: list[Callable[[], Any]]):
        self._captured = captured

    def launch(self, stream=None):
        for run in self._captured:
            run()


Stream.null = Stream(null=True)


class Event:
    """As ``cupy.cuda.Event``, with the host's clock."""

    def __init__(self, block=False, disable_timing=False, interprocess=False):
        self.record()

    def record(self, stream=None):
        import time

        self.time = time.perf_counter()

    def synchronize(self):
        waited("Event.synchronize")


def get_elapsed_time(start: Event, end: Event) -> float:
    return 1e3 * (end.time - start.time)


def get_current_stream() -> Stream:
    return _local.streams[-1] if _local.streams else Stream.null


# What a capture does not allow


def not_in_a_capture(what: str) -> CUDARuntimeError:
    return CUDARuntimeError(
        900, f"cudaErrorStreamCaptureUnsupported: operation not permitted when stream is capturing ({what})"
    )


def waited(what: str) -> None:
    """Note that the host waits for the device."""
    if get_current_stream().is_capturing():
        raise not_in_a_capture(what)
    counts.waits.append(what)


def copied_to_host(nbytes: int) -> None:
    if get_current_stream().is_capturing():
        raise CUDARuntimeError(906, "cudaErrorStreamCaptureImplicit: operation would make the legacy stream depend on a capture")
    counts.to_host.append(nbytes)


def copied_to_device(nbytes: int) -> None:
    if get_current_stream().is_capturing():  # the copy would be captured, from memory of the host that is gone when it runs
        raise not_in_a_capture("a copy from the host")
    counts.to_device.append(nbytes)


def compiled(name: str) -> None:
    if get_current_stream().is_capturing():
        raise not_in_a_capture(f"the compilation of {name}")
    counts.compilations.append(name)


# What a capture notes


def launched_in_place(name: str, run: Callable[[], Any]) -> None:
    """Run what writes to arrays that exist; in a capture, note it."""
    counts.functions.append(name)
    captured = get_current_stream()._captured
    if captured is None:
        run()
    else:
        captured.append(run)


def launched(name: str, compute: Callable[[], Any], *given: Any) -> Any:
    """Return what a function computes of the given arrays. In a capture it is not computed yet: memory that is no view of
    what was given is poison, until the graph is launched.
    """
    result = compute()
    parts = result if isinstance(result, (list, tuple)) else (result,)
    inputs = list(_arrays(given))
    if all(any(np.may_share_memory(part, a) for a in inputs) for part in parts if isinstance(part, np.ndarray)) and not any(
        isinstance(part, np.generic) for part in parts
    ):
        return result  # views
    counts.functions.append(name)
    captured = get_current_stream()._captured
    if captured is None:
        return result
    new = [np.array(part) for part in parts]
    for part in new:
        part.reshape(-1).view(np.uint8)[...] = 0xFF

    def run():
        again = compute()
        for part, value in zip(new, again if isinstance(result, (list, tuple)) else (again,), strict=True):
            part[...] = value

    captured.append(run)
    return type(result)(new) if isinstance(result, (list, tuple)) else new[0]


def _arrays(things: Any) -> Iterator[np.ndarray]:
    for thing in things.values() if isinstance(things, dict) else things:
        if isinstance(thing, np.ndarray):
            yield thing
        elif isinstance(thing, (list, tuple, dict)):
            yield from _arrays(thing)
