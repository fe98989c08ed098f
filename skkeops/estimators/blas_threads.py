"""How many threads the BLAS has."""

from __future__ import annotations

from contextlib import nullcontext
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["few_threads"]

# Threads of the BLAS wait for one another by spinning. Matrices of up to so many rows one thread decomposes about as fast; where
# others use the cores too, many times as fast.
_SMALL = 1000


def few_threads(n_rows: int, beside_pairs: bool = False) -> Any:
    """Return a context in which the BLAS has one thread, if matrices of so many rows do not need more, or sums over pairs, which
    have threads of their own, are what takes the time."""
    return _controller().limit(limits=1, user_api="blas") if n_rows <= _SMALL or beside_pairs else nullcontext()


@lru_cache(maxsize=1)
def _controller() -> ThreadpoolController:
    """Return what knows the libraries that are loaded: to look for them takes a millisecond."""
    return ThreadpoolController()
