"""How many threads a call may use."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from typing import Any

from skkeops.locks import Lock

from . import _engine

__all__ = ["at_most", "at_once", "n_threads", "threads_for"]

# With so few pairs a second thread saves a millisecond at most, whatever the formula.
_FEW_PAIRS = 1 << 14
# OpenMP reads the variable when its library is loaded, which is before this line.
_is_told = "OMP_NUM_THREADS" in os.environ
_limit = threading.local()


@cache
def _cpus() -> int:
    """What this process may use at all (affinity, cgroups), as scikit-learn counts it."""
    import joblib  # takes 0.1 s

    return joblib.cpu_count(only_physical_cores=True)


@contextmanager
def at_most(threads: int | None) -> Iterator[None]:
    """Limit the calls that this thread makes inside the context; None does not limit them."""
    before = getattr(_limit, "threads", None)
    _limit.threads = threads
    try:
        yield
    finally:
        _limit.threads = before


def at_once(functions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Return the results of functions without arguments, on as many threads as a call may use: `Backend.at_once`.

    This thread is one of them. Each takes the next function, and the calls that a function makes have the threads that remain. An
    exception, also of an interrupt, is raised when the others have ended the function that they are at.
    """
    functions = list(functions)
    limit = n_threads() if len(functions) > 1 else 1
    threads = min(limit, len(functions))
    if threads <= 1:
        return [function() for function in functions]
    results: list[Any] = [None] * len(functions)
    errors: list[BaseException] = []
    numbers, lock = iter(range(len(functions))), Lock()

    def work() -> None:
        try:
            with at_most(limit // threads):
                while not errors:
                    with lock:
                        number = next(numbers, None)
                    if number is None:
                        return
                    results[number] = functions[number]()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    helpers = [threading.Thread(target=copy_context().run, args=(work,), daemon=True) for _ in range(threads - 1)]
    try:
        for helper in helpers:
            try:
                helper.start()
            except RuntimeError:  # the system has no more threads, or Python is about to end
                break
        work()
        for helper in helpers:
            if helper.ident is not None:
                helper.join()
    except BaseException as error:  # noqa: BLE001
        errors.append(error)  # whatever interrupts the waiting stops the others, too
    if errors:
        raise errors[0]
    return results


def n_threads() -> int:
    """The number of threads of the next call: OMP_NUM_THREADS or threadpoolctl's limit if there is one, else the
    number of physical cores. An engine without OpenMP knows the variable, and no limits of threadpoolctl."""
    limit = _engine.max_threads() or _without_openmp()
    count = limit if _is_told or limit == 1 else min(limit, _cpus())
    own = getattr(_limit, "threads", None)
    return count if own is None else min(count, own)


def threads_for(pairs: int) -> int:
    """The number of threads of the next call, which has so many pairs: one where joblib, which counts the processors, would take
    longer to import than the call takes. The bits are the same."""
    return 1 if pairs < _FEW_PAIRS and "joblib" not in sys.modules else n_threads()


@cache
def _without_openmp() -> int:
    """What OMP_NUM_THREADS says, for the outermost level as OpenMP reads it, where there is no OpenMP to read it."""
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(told) if told.isdecimal() and int(told) > 0 else _cpus()
