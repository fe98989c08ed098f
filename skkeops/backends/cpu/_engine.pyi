"""The compiled tile engine (cython_ext/engine.pyx and what it includes)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from typing_extensions import disjoint_base

LEVELS: tuple[str, ...]
FOLDS: dict[str, int]
OPCODES: dict[str, tuple[int, int]]
LANE_PAD: int

def available_levels() -> tuple[str, ...]: ...
def select_level(name: str) -> None: ...
def selected_level() -> str: ...
def openmp_enabled() -> bool: ...
def max_threads() -> int: ...
def tune(
    *,
    task_work: int | None = None,
    wave_seconds: float | None = None,
    serial_work: int | None = None,
    poison: bool | None = None,
) -> dict[str, Any]: ...
def pool_state() -> tuple[int, int]: ...
def apply(opcode: str, a: Any, b: Any = None, immediates: Sequence[float] = (0.0, 0.0)) -> np.ndarray: ...

@disjoint_base
class Program:
    @property
    def description(self) -> dict[str, Any]: ...
    def __init__(self, **fields: Any) -> None: ...
    def scratch_bytes(self) -> int: ...
    def run(
        self,
        arrays: tuple[np.ndarray, ...],
        n_out: int,
        n_reduced: int,
        n_threads: int,
        progress: Callable[[int, int], object] | None = None,
        ranges: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
        worst: np.ndarray | None = None,
    ) -> tuple[np.ndarray, ...]: ...
