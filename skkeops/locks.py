"""Locks that no fork leaves closed.

A forked child has the thread that forked and no other. A lock that another thread held at that moment would stay closed in the
child for ever, so every lock of the package is a `Lock`, and nothing else of it waits for another thread. Python locks each
module while it is imported, too, and keeps it locked in the child: parts of the package that are imported on first use are
imported by `import_module`, which a fork waits for.
"""

from __future__ import annotations

import importlib
import os
import threading
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any, Generic, TypeVar, overload

__all__ = ["Lock", "cached_property", "import_module"]

T = TypeVar("T")

_all: weakref.WeakSet[Lock] = weakref.WeakSet()

# The thread that forks holds it meanwhile, so that both processes find it as they should.
_importing = threading.RLock()


class Lock:
    """A reentrant lock that is free in a forked child, unless the thread that forked holds it.

    What it guards must be whole after any Python instruction, as the child may meet it there.
    """

    __slots__ = ("__weakref__", "_lock")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        _all.add(self)

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *exception: object) -> None:
        self._lock.release()

    def _renew(self) -> None:
        if not self._lock._is_owned():  # type: ignore[attr-defined]
            self._lock = threading.RLock()


def _renew_all() -> None:
    for lock in _all:
        lock._renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
    os.register_at_fork(before=_importing.acquire, after_in_parent=_importing.release, after_in_child=_importing.release)


def import_module(name: str) -> ModuleType:
    """As `importlib.import_module`; other threads fork before or after it."""
    with _importing:
        return importlib.import_module(name)


class cached_property(Generic[T]):  # noqa: N801
    """As `functools.cached_property`, which in Python 3.11 computes under a lock of all instances that forks leave closed.

    Two threads may compute the same value at the same time.
    """

    def __init__(self, function: Callable[[Any], T]):
        self.function = function
        self.__doc__ = function.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> cached_property[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> cached_property[T] | T:
        if instance is None:
            return self
        # what stands there hides this descriptor from now on; setdefault, so that all threads see the same object
        return instance.__dict__.setdefault(self.name, self.function(instance))
