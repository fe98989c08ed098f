"""Few rows, very many columns: a thread has one column at a time, and all rows of its block.

Neighbouring threads take neighbouring columns, so that memory is read once and in order. Every thread holds up to eight rows in
registers. At the end the states of the threads are combined in a fixed order: by shuffles within a warp, then through shared
memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from skkeops.plan.plan import Plan

from ..folds.base import GROUP, MergedFold
from ..generate.text import indent
from ..launch.geometry import BLOCKS
from .base import BLOCK
from .thread_rows import ThreadRows

__all__ = ["WARPS", "Columns"]

WARPS = BLOCK // 32
_FEW_ROWS = 64
_MANY_COLUMNS = 8192
_MANY_PAIRS = 1024  # columns, where values of pairs are neighbours along them
_WITH_PAIRS = 96  # registers that rows may need together where values of pairs are read


class Columns(ThreadRows):
    """Few rows and very many columns, or values of pairs in the order of the columns."""

    name = "columns"
    kernel = "skk_columns"
    reads_pairs = True
    of_sizes = True
    folds_distances = True
    stride = BLOCK * GROUP  # columns that the threads of a block take between two tests
    blocks = BLOCKS  # for lists too: the threads of a warp bound each other's, and few rows have to fill a GPU

    @classmethod
    def suits(cls, plan, rows, columns, along):
        few = rows <= _FEW_ROWS and columns >= _MANY_COLUMNS
        return (few or (along and columns >= _MANY_PAIRS)) and cls._merges(plan)

    @classmethod
    def _merges(cls, plan: Plan) -> bool:
        """Whether the threads of a block can merge what each of them keeps."""
        return plan.problem.reduction.fold != "kmin"

    @classmethod
    def declines(cls, task):
        if not cls._merges(task.plan):
            return "its threads cannot merge what they keep"
        return super().declines(task) or ("the vectors are too long for registers" if task.is_long else None)

    @property
    def rows_per_block(self):
        return self.rows_per_thread

    def _row_limits(self) -> dict[int, int]:
        return {4: _WITH_PAIRS} if self._pair_arrays else {8: 96, **super()._row_limits()}

    def _choose_tile(self) -> int:
        return self.stride

    def text(self, parameters: Sequence[str]) -> str:
        fold = self.fold
        lines = [
            f"#define ROWS {self.rows_per_thread}",
            f"#define GROUP {GROUP}",
            *self.head(parameters, self.blocks_per_multiprocessor),
            *indent(self._shared()),
            *indent(self._constants()),
            *(f"    real r{k}[ROWS];" for k in range(len(self._row_values))),
            *indent(fold.declarations),
            "    const long long first_row = (long long)blockIdx.x * ROWS, end_row = rows;",
            "    const long long split = blockIdx.y;",
            "    const long long base = split * chunk, stop = min(columns, base + chunk);",
            *self._for_rows([*self._row_prologue(), *fold.start()], "    "),
            f"    for (long long first = base; first < stop; first += {self.stride}) {{",
            "        const long long start = first + threadIdx.x;",
            *indent(fold.group(), " " * 8),
            f"        const bool whole = start + {(GROUP - 1) * BLOCK} < stop;",
            "        if (whole) {",
            f"            #pragma unroll {self._unroll() if self._pair_arrays else max(1, self._unroll() // 4)}",
            "            for (int u = 0; u < GROUP; ++u) {",
            *indent(self._unpack(), " " * 16),
            *self._for_rows([*self._pair_row(), *self._fast_lines()], " " * 16),
            "            }",
            "        }",
            *self._finish_group(" " * 8),
            *self._after_group(" " * 8),
            "    }",
            *indent(self._across_threads()),
            "}",
            "#undef ROWS",
            "#undef GROUP",
        ]
        return "\n".join(lines) + "\n"

    def _shared(self) -> list[str]:
        """What is in shared memory."""
        assert isinstance(self.fold, MergedFold)
        return [f"__shared__ {kind} from_warp{n}[{WARPS}][ROWS];" for n, (kind, _) in enumerate(self.fold.fields())]

    def _after_group(self, margin: str) -> list[str]:
        """What all threads do after a group."""
        return []

    def _row_of(self) -> str:
        return "first_row + t"

    def _unpack(self) -> list[str]:
        return [
            f"const long long j = start + u * {BLOCK};",
            *self._lane.lines,
            *(f"const real l{k} = {value};" for k, value in enumerate(self._lane_values)),
        ]

    def _exact_loop(self) -> list[str]:
        return [
            f"for (int u = 0; u < GROUP && start + u * {BLOCK} < stop; ++u) {{",
            f"    const int at = (int)(start + u * {BLOCK} - base);",
        ]

    def _across_threads(self) -> list[str]:
        assert isinstance(self.fold, MergedFold)
        stored = [f"from_warp{n}[threadIdx.x / 32][t] = {name};" for n, (_, name) in enumerate(self.fold.fields())]
        return [
            "#pragma unroll 1",
            "for (int d = 16; d > 0; d /= 2) {",
            *self._for_rows(self.fold.combine_shuffled(), "    "),
            "}",
            "if (threadIdx.x % 32 == 0) {",
            *self._for_rows(stored, "    "),
            "}",
            "__syncthreads();",
            "if (threadIdx.x == 0) {",
            "    #pragma unroll 1",
            f"    for (int w = 1; w < {WARPS}; ++w) {{",
            *self._for_rows(self.fold.combine_from("from_warp{n}[w][t]"), " " * 8),
            "    }",
            *self._for_rows(
                ["const long long i = first_row + t;", "if (i < end_row) {", *indent(self.fold.store()), "}"], "    "
            ),
            "}",
        ]
