"""What a peer has to tell: whether it is installed, whether it can do a case, and a function that does it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ..cases import Arrays, Case

BLOCK_BYTES = 64 * 2**20  # of a block of rows, for peers that go block by block


class Peer:
    """A library. Work that it can do is a method ``prepare_KIND(case, arrays)`` that returns a function without arguments."""

    name: str  # for --peers
    title: str
    modules: tuple[str, ...]  # what has to be installed; the first has the version
    compiles = False  # whether it needs a C++ compiler on the user's machine
    compiles_each_shape = False  # at the first call, which is not timed then
    note: str = ""  # how the work is done, for the report

    def missing(self) -> str | None:
        """Why it cannot run here, or None."""
        for module in self.modules:
            try:
                importlib.import_module(module)
            except ImportError as error:
                return f"{self.title} is not compared: {error}"
        return None

    def version(self) -> str:
        return importlib.import_module(self.modules[0]).__version__

    def prepare(self, case: Case, arrays: Arrays) -> Callable[[], Any] | None:
        """The function that does the case, or None if the library has no such function."""
        found = getattr(self, "prepare_" + case.name.replace("-", "_"), None)
        return None if found is None else found(case, arrays)

    def bytes_needed(self, case: Case, dtype: str) -> float:
        """About the memory that it will take beyond the arrays: nothing is run that would not fit."""
        return 0.0

    def to_numpy(self, result: Any) -> np.ndarray:
        return np.asarray(result)


def matrix_bytes(case: Case, dtype: str) -> float:
    rows, columns = case.size
    return float(rows) * columns * np.dtype(dtype).itemsize


def row_blocks(rows: int, columns: int, itemsize: int) -> list[slice]:
    step = max(1, BLOCK_BYTES // max(1, columns * itemsize))
    return [slice(first, min(first + step, rows)) for first in range(0, rows, step)]
