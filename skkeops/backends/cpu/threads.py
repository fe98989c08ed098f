"""How many threads a call may use."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from . import _engine

__all__ = ["at_most", "is_not_worth_asking", "n_threads"]

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


def is_not_worth_asking(pairs: int) -> bool:
    """Whether a call is done on one thread before joblib, which counts the processors, would be imported. Its bits are the same."""
    return pairs < _FEW_PAIRS and "joblib" not in sys.modules


@contextmanager
def at_most(threads: int | None) -> Iterator[None]:
    """Limit the calls that this thread makes inside the context; None does not limit them."""
    before = getattr(_limit, "threads", None)
    _limit.threads = threads
    try:
        yield
    finally:
        _limit.threads = before


def n_threads() -> int:
    """The number of threads of the next call: OMP_NUM_THREADS or threadpoolctl's limit if there is one, else the
    number of physical cores. An engine without OpenMP knows the variable, and no limits of threadpoolctl."""
    limit = _engine.max_threads() or _without_openmp()
    count = limit if _is_told or limit == 1 else min(limit, _cpus())
    own = getattr(_limit, "threads", None)
    return count if own is None else min(count, own)


@cache
def _without_openmp() -> int:
    """What OMP_NUM_THREADS says, for the outermost level as OpenMP reads it, where there is no OpenMP to read it."""
    told = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(told) if told.isdecimal() and int(told) > 0 else _cpus()
