"""Many rows: a block of threads has 128 threads with some rows each, and goes through tiles of columns in shared memory.

What depends on the reduced index alone is computed when a tile is loaded, that is once for every block of rows (128 to
512 of them): this needs no pass of its own and no memory, and costs a pair less than a hundredth of what it costs a
column. A tile is an array of 16-byte packs, so that a pair reads what it needs with few instructions; all threads read
the same word. There are no padded columns: the last tile of a split ends where the split ends.

If an exponent has a factor whose sign is known only on the device, there are two copies of the loop over a group's pairs, one for
either sign. All threads take the same copy: see `generate.folding`.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..folds.base import GROUP
from ..generate.text import indent
from ..launch.ranges import ITEM
from .base import BLOCK, SHARED_MOST
from .thread_rows import ThreadRows

__all__ = ["Rows"]

_SHARED_AIM = 16 << 10  # bytes of a tile


class Rows(ThreadRows):
    """The rule: what fits into registers."""

    name = "rows"
    kernel = "skk_rows"
    knows_ranges = True
    reads_pairs = True
    folds_distances = True
    folds_signs = True

    @classmethod
    def declines(cls, task):
        return super().declines(task) or ("the vectors are too long for registers" if task.is_long else None)

    @property
    def rows_per_block(self):
        return BLOCK * self.rows_per_thread

    def _choose_tile(self) -> int:
        self._packs = _packs(len(self._lane_values), 4 if self._real == "float" else 2)
        size = 4 if self._real == "float" else 8
        per_column = sum(self._packs) * size
        tile = 256
        while tile > GROUP and tile * per_column > _SHARED_AIM:
            tile //= 2
        self._tile_bytes = tile * per_column
        return tile

    def exceeds(self):
        if self._tile_bytes > SHARED_MOST:
            return f"{self._tile_bytes} bytes of shared memory"
        return super().exceeds()

    def text(self, parameters: Sequence[str]) -> str:
        fold = self.fold
        lines = [
            f"#define ROWS {self.rows_per_thread}",
            f"#define TILE {self.tile}",
            f"#define GROUP {GROUP}",
            *self.head(parameters, self.blocks_per_multiprocessor),
            *(f"    __shared__ {self._pack_type(n)} tile{p}[TILE];" for p, n in enumerate(self._packs)),
            *indent(self._constants()),
            *indent(self._tests_of_factors()),
            *(f"    real r{k}[ROWS];" for k in range(len(self._row_values))),
            *indent(fold.declarations),
            "    // without a list of items: all pairs of a block of rows and of a split of the columns",
            f"    long long first_row = (long long)blockIdx.x * {BLOCK * self.rows_per_thread}, end_row = rows;",
            "    long long segment = blockIdx.y, end_segment = segment + 1;",
            "    const long long split = blockIdx.y;",
            *([f"    const int column = blockIdx.z * {fold.chunk};"] if fold.chunks > 1 else []),
            "    const long long base = items ? 0 : split * chunk;",
            "    long long shift = 0;  // of a row in the workspace, where every item has rows of its own",
            "    if (items) {",
            f"        const long long* item = items + {ITEM} * (long long)blockIdx.x;",
            "        first_row = item[0]; end_row = item[1]; segment = item[2]; end_segment = item[3];",
            "        shift = item[4] - first_row;",
            "    }",
            *indent(self._before_rows()),
            *self._for_rows([*self._row_prologue(), *fold.start()], "    "),
            "    for (; segment < end_segment; ++segment) {",
            "        const long long begin = items ? segments[2 * segment] : base;",
            "        const long long stop = items ? segments[2 * segment + 1] : min(columns, base + chunk);",
            "        for (long long start = begin; start < stop; start += TILE) {",
            "            const int count = (int)min((long long)TILE, stop - start);",
            "            const int offset = (int)(start - base);",
            *self._load_tile("            "),
            "            for (int k0 = 0; k0 < count; k0 += GROUP) {",
            *indent(fold.group(), "                "),
            f"                const bool whole = k0 + GROUP <= count{' && finite' if self._directions else ''};",
            "                if (whole) {",
            *indent(self._fast_loops(["const int k = k0 + u;", *self._unpack()]), " " * 20),
            "                }",
            *self._finish_group("                "),
            "            }",
            "        }",
            "    }",
            *self._for_rows(
                [
                    f"const long long row = {self._row_of()};",
                    "if (row < end_row) {",
                    "    const long long i = row + shift;",
                    *indent(fold.store()),
                    "}",
                ],
                "    ",
            ),
            "}",
            "#undef ROWS",
            "#undef TILE",
            "#undef GROUP",
        ]
        return "\n".join(lines) + "\n"

    def _tests_of_factors(self) -> list[str]:
        """Whether the factors in distances are finite, and whether the one of unknown sign is negative."""
        if not self._directions:
            return []
        texts = {node: self._outside_pair(node, 0) for node in self._directions}
        lines = [f"const bool finite = {' && '.join(f'fabs({text}) == (real)1' for text in texts.values())};"]
        if self._unknown is not None:
            lines.append(f"const bool negative = {texts[self._unknown]} < (real)0;")
        return lines

    def _fast_loops(self, pair: list[str]) -> list[str]:
        """The loop over a whole group: a copy for either sign, if the sign of a factor is not known."""
        copies = [
            [
                f"#pragma unroll {self._unroll()}",
                "for (int u = 0; u < GROUP; ++u) {",
                *indent(pair),
                *self._for_rows([*self._pair_row(), *lines], "    "),
                "}",
            ]
            for lines in [self._fast_lines(), *([] if self._unknown is None else [self._negative_lines()])]
        ]
        if self._unknown is None:
            return copies[0]
        return ["if (negative) {", *indent(copies[1]), "} else {", *indent(copies[0]), "}"]

    def _negative_lines(self) -> list[str]:
        return [*self._negative.lines, *self.fold.fast(self._negative_values, self._negative.started)]

    def _pack_type(self, n: int) -> str:
        return {1: "real", 2: "real2", 4: "real4"}[n]

    def _before_rows(self) -> list[str]:
        return []

    def _row_of(self) -> str:
        """The number of row t of a thread."""
        return f"first_row + t * {BLOCK} + threadIdx.x"

    def _pair_column(self) -> list[str]:
        """The number of the column of a pair, where values of pairs are read."""
        return ["const long long j = start + k;"] if self._pair_arrays else []

    def _load_tile(self, margin: str) -> list[str]:
        if not self._lane_values:
            return []
        stores, first = [], 0
        for p, n in enumerate(self._packs):
            values = self._lane_values[first : first + n]
            values += ["(real)0"] * (n - len(values))
            stores.append(f"tile{p}[k] = skk_pack({', '.join(values)});")
            first += n
        lines = [
            "__syncthreads();",
            f"for (int k = threadIdx.x; k < count; k += {BLOCK}) {{",
            "    const long long j = start + k;",
            *indent(self._lane.lines),
            *indent(stores),
            "}",
            "__syncthreads();",
        ]
        return [margin + line for line in lines]

    def _unpack(self) -> list[str]:
        lines, first, total = self._pair_column(), 0, len(self._lane_values)
        for p, n in enumerate(self._packs):
            lines.append(f"const {self._pack_type(n)} q{p} = tile{p}[k];")
            for m in range(n):
                if first + m < total:
                    lines.append(f"const real l{first + m} = q{p}{'' if n == 1 else '.' + 'xyzw'[m]};")
            first += n
        return lines

    def _exact_loop(self) -> list[str]:
        """The head of the loop over the pairs of a group, one by one."""
        return ["for (int k = k0; k < min(k0 + GROUP, count); ++k) {", "    const int at = offset + k;"]


def _packs(n: int, most: int) -> list[int]:
    """The sizes of the packs of n numbers: as large as fit, three in one of four."""
    packs = []
    while n > 0:
        size = most if n >= most or (most == 4 and n == 3) else (2 if n == 2 else 1)
        packs.append(size)
        n -= size
    return packs
