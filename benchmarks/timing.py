"""Best-of timing of two functions that take turns, so that both meet the same machine."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable


def burst(function: Callable[[], object], seconds: float) -> float:
    """Shortest of the calls that fit in `seconds` (at least one), after one that warms the caches."""
    function()
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        function()
        now = time.perf_counter()
        best = min(best, now - start)
        if now > end:
            return best


def take_turns(functions: list[Callable[[], object]], seconds: float, rounds: int) -> list[float]:
    """Shortest time of each function over `rounds` rounds that share `seconds`."""
    best = [float("inf")] * len(functions)
    enabled = gc.isenabled()
    gc.disable()
    try:
        for _ in range(rounds):
            for k, function in enumerate(functions):
                best[k] = min(best[k], burst(function, seconds / rounds / len(functions)))
    finally:
        if enabled:
            gc.enable()
    return best
