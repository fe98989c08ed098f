"""Long vectors: a thread has one row, and loops over the components of vectors, which stay in global memory.

For dims at which the other templates would need more registers than there are. Numbers of one index, like squared norms,
are still computed once a row or once a tile; the output's columns are divided among blocks of threads, each of which
computes the numbers of the pairs anew. Correct for all dims, and far from the speed of a matrix product.
"""

from __future__ import annotations

from ..generate.loops import LoopBlock
from .rows import Rows

__all__ = ["COLUMNS", "Wide"]

#: The most columns of a thread, by type.
COLUMNS = {"float": 20, "double": 14}

_TILE = 32


class Wide(Rows):
    """The main kernel, with the arguments of `Rows`."""

    name = "wide"
    _block = LoopBlock

    def _pair_blocks(self, arrays, output, reduced):
        places = {"index": {output: "i", reduced: "j"}, "arrays": arrays}
        return tuple(LoopBlock(self._real, "v", self._outside_pair, **places) for _ in range(2))

    def _choose_rows(self):
        return 1, 200

    def _choose_tile(self):
        return min(_TILE, super()._choose_tile())

    def _cost(self):
        return float("inf")  # nothing is unrolled

    def _before_rows(self):
        return ["    const long long i = min(first_row + threadIdx.x, end_row - 1);"]

    def _pair_row(self):
        return []

    def _pair_column(self):
        return ["const long long j = start + k;"]

    def _row_prologue(self):
        return [*self._row.lines, *(f"r{k}[t] = {value};" for k, value in enumerate(self._row_values))]

