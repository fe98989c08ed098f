"""Long vectors: a thread has one row, and loops over the components of vectors, which stay in global memory.

For dims at which the other templates would need more registers than there are. Numbers of one index, like squared norms,
are still computed once a row or once a tile; the output's columns are divided among blocks of threads, each of which
computes the numbers of the pairs anew. Correct for all dims, and far from the speed of a matrix product.
"""

from __future__ import annotations

from ..generate.loops import LoopBlock
from .rows import Rows

__all__ = ["Wide"]

#: The most columns of a thread, by type.
_COLUMNS = {"float": 20, "double": 14}

_TILE = 32
_MOST_LINES = 160  # statements of a pair that are written out for the columns of a thread: more of them spill registers


class Wide(Rows):
    """The last template that is tried, which does everything."""

    name = "wide"
    folds_distances = False
    folds_signs = False
    _block = LoopBlock

    @classmethod
    def rank(cls, task):
        return 90

    @classmethod
    def declines(cls, task):
        return None

    def make_fold(self, chunk=None):
        most = _COLUMNS[self.task.real]
        return super().make_fold(chunk or {"kmin": 1, "extremum": most // 4}.get(self.task.kind, most))

    def _generate(self, fold):
        super()._generate(fold)
        while fold.chunk is not None and fold.chunk > 1 and len(self._pair.lines) > _MOST_LINES:
            fold = self.make_fold(fold.chunk // 2)
            super()._generate(fold)

    def _choose_rows(self):
        return 1, 200

    def _choose_tile(self):
        return min(_TILE, super()._choose_tile())

    def _cost(self):
        return float("inf")  # nothing is unrolled

    def _before_rows(self):
        return ["const long long i = min(first_row + threadIdx.x, end_row - 1);"]

    def _pair_row(self):
        return []

    def _pair_column(self):
        return ["const long long j = start + k;"]

    def _row_prologue(self):
        return [*self._row.lines, *(f"r{k}[t] = {value};" for k, value in enumerate(self._row_values))]

