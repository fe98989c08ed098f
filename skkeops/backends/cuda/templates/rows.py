"""Many rows: a block of threads has 128 threads with some rows each, and goes through tiles of columns in shared memory.

What depends on the reduced index alone is computed when a tile is loaded, that is once for every block of rows (128 to
512 of them): this needs no pass of its own and no memory, and costs a pair less than a hundredth of what it costs a
column. A tile is an array of 16-byte packs, so that a pair reads what it needs with few instructions; all threads read
the same word. There are no padded columns: the last tile of a split ends where the split ends.

If an exponent has a factor whose sign is known only on the device, there are two copies of the loop over a group's pairs, and
all threads take the same one: see `folding`.
"""

from __future__ import annotations

from collections.abc import Sequence

from skkeops.formula.expression import IJ, Variable

from ..folds.base import GROUP, Fold
from ..generate.expressions import Block, Component, at_first_point, statements_cost
from ..generate.folding import directions, of_sign
from ..generate.text import indent
from ..homes import CONST, LANE, PAIR, ROW, Homes
from ..launch.ranges import ITEM

__all__ = ["BLOCK", "SHARED_MOST", "Rows"]

BLOCK = 128  # threads of a block

_SHARED_AIM = 16 << 10  # bytes of a tile
SHARED_MOST = 48 << 10
_UNROLLED = 2600  # instructions of a group's loop, about, at most
_REGISTERS = {4: 88, 2: 110}  # the most that rows of a thread may need together, by their number
_FILE = 65536  # registers of a multiprocessor


class Rows:
    """The main kernel.

    Parameters
    ----------
    fold : Fold
    homes : Homes
    variables : tuple of Variable
        Those that have arrays.
    real : {"float", "double"}
    categories : tuple of int
        The categories of the output's and of the reduced index.
    """

    name = "rows"
    threads = BLOCK
    _block: type = Block

    def __init__(self, fold: Fold, homes: Homes, arrays: dict[Variable, str], real: str, categories: tuple[int, int]):
        self.fold = fold
        self._homes = homes
        self._real = real
        self._pair_arrays = [v for v in arrays if v.category == IJ]
        self._hoisted: dict[str, dict[Component, int]] = {ROW: {}, LANE: {}, CONST: {}}
        output, reduced = categories
        self._pair, self._fast = self._pair_blocks(arrays, output, reduced)
        self.values = self._pair.compute(fold.roots)
        self._directions = directions(node for node, _ in fold.roots)
        self._fast_values = self._fast.compute(self._roots_of_sign(negative=False))
        self._unknown = next((node for node in self._directions if not node.sign_is_known), None)
        if self._unknown is not None:
            _, self._negative = self._pair_blocks(arrays, output, reduced, negative=True)
            self._negative_values = self._negative.compute(self._roots_of_sign(negative=True))
        places = {"arrays": arrays, "outside": self._outside_side}
        self._row = self._block(real, "x", index={output: "i"}, **places)
        self._row_values = self._row.compute(self._hoisted[ROW])
        self._lane = self._block(real, "y", index={reduced: "j"}, **places)
        self._lane_values = self._lane.compute(self._hoisted[LANE])
        self._const = self._block(real, "w", arrays=arrays)
        self._const_values = self._const.compute(self._hoisted[CONST])
        self.packs = _packs(len(self._lane_values), 4 if real == "float" else 2)
        self.rows_per_thread, needed = self._choose_rows()
        # The number of blocks that a multiprocessor must hold bounds the registers of a thread. Without the number, ptxas
        # spills registers to reach an occupancy that these kernels do not need.
        self.blocks_per_multiprocessor = 4 if needed <= 48 else 3 if needed <= 76 else 2
        self.tile = self._choose_tile()

    # -- where values come from -------------------------------------------------------------------------------
    def _roots_of_sign(self, negative: bool) -> list[Component]:
        """What the fast path computes."""
        nodes = of_sign([node for node, _ in self.fold.roots], negative)
        return [(node, k) for node, (_, k) in zip(nodes, self.fold.roots, strict=True)]

    def _pair_blocks(self, arrays, output, reduced, negative=False):
        """The statements of a pair, and those of its fast path."""
        value = self._roots_of_sign(negative)[0] if self.fold.roots else ()
        start = None if self.fold.start_of_value is None else (*value, self.fold.start_of_value)
        real = self._real
        places = {"index": {output: "i", reduced: "j"}, "arrays": arrays}  # for values of pairs, which alone are read here
        return Block(real, "v", self._outside_pair, **places), Block(real, "v", self._outside_pair, start=start, **places)

    def _outside_pair(self, node, k) -> str | None:
        home = self._homes(node)
        if home == PAIR:
            return None
        place = self._hoisted[home].setdefault((node, k), len(self._hoisted[home]))
        return {ROW: f"r{place}[t]", LANE: f"l{place}", CONST: f"c{place}"}[home]

    def _outside_side(self, node, k) -> str | None:
        if self._homes(node) != CONST or at_first_point(node):
            return None  # the first point is read again where it is needed: it would fill registers
        return f"c{self._hoisted[CONST].setdefault((node, k), len(self._hoisted[CONST]))}"

    def _hoisted_constants(self) -> list[Component]:
        return list(self._hoisted[CONST])

    # -- sizes ------------------------------------------------------------------------------------------------
    def _choose_rows(self) -> tuple[int, float]:
        """Rows of a thread, and an estimate of the registers that it needs."""
        words = 1 if self._real == "float" else 2
        cost = self._cost()
        per_row = words * (len(self._row_values) + 2) + self.fold.registers + 4 * len(self._pair_arrays)
        shared = words * (len(self._lane_values) + min(len(self._pair.lines), 8)) + len(self._const_values)
        for rows, most in self._row_limits().items():
            if rows * per_row + shared <= most and rows * cost <= _UNROLLED // 4:
                return rows, rows * per_row + shared
        return 1, per_row + shared

    def _row_limits(self) -> dict[int, int]:
        """For numbers of rows per thread, the registers that they may need together."""
        return {2: _REGISTERS[4]} if self._pair_arrays else _REGISTERS

    @property
    def pressure(self) -> float:
        """The registers that a row keeps during the loop over pairs, about."""
        return (1 if self._real == "float" else 2) * len(self._row_values) + self.fold.registers

    def _cost(self) -> float:
        """The instructions of a pair, about: library functions are some dozens each."""
        return statements_cost(self._fast_lines(), self._real)

    def _fast_lines(self) -> list[str]:
        return [*self._fast.lines, *self.fold.fast(self._fast_values, self._fast.started)]

    def _negative_lines(self) -> list[str]:
        return [*self._negative.lines, *self.fold.fast(self._negative_values, self._negative.started)]

    @property
    def pair_lines(self) -> list[str]:
        """The statements of a pair, one by one."""
        return self._pair.lines

    @property
    def blocks(self) -> int:
        """How many blocks of threads a call should have."""
        return self.fold.blocks

    @property
    def registers(self) -> int:
        """The most registers that a thread can have."""
        return min(255, _FILE // (BLOCK * self.blocks_per_multiprocessor))

    def _choose_tile(self) -> int:
        size = 4 if self._real == "float" else 8
        per_column = sum(self.packs) * size
        tile = 256
        while tile > GROUP and tile * per_column > _SHARED_AIM:
            tile //= 2
        if tile * per_column > SHARED_MOST:
            raise ValueError(f"{len(self._lane_values)} numbers per column do not fit in shared memory")
        return tile

    @property
    def shared_bytes(self) -> int:
        return self.tile * sum(self.packs) * (4 if self._real == "float" else 8)

    def _unroll(self) -> int:
        """How many pairs of a row are written out."""
        unroll = 2 if self.pressure > 90 else GROUP // 4 if self._pair_arrays else GROUP
        while unroll > 1 and unroll * self.rows_per_thread * self._cost() > _UNROLLED:
            unroll //= 2
        return unroll

    # -- text -------------------------------------------------------------------------------------------------
    def text(self, parameters: Sequence[str]) -> str:
        """The kernel ``skk_rows``."""
        fold = self.fold
        lines = [
            f"#define ROWS {self.rows_per_thread}",
            f"#define TILE {self.tile}",
            f"#define GROUP {GROUP}",
            f'extern "C" __global__ void __launch_bounds__({BLOCK}, {self.blocks_per_multiprocessor}) skk_rows('
            + "".join(f"{parameter}, " for parameter in parameters),
            "    char* __restrict__ workspace, const long long* __restrict__ items, const long long* __restrict__ segments,",
            "    long long rows, long long columns, long long chunk, long long splits)",
            "{",
            *(f"    __shared__ {self._pack_type(n)} tile{p}[TILE];" for p, n in enumerate(self.packs)),
            *indent(self._const.lines),
            *(f"    const real c{k} = {value};" for k, value in enumerate(self._const_values)),
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
            *self._before_rows(),
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

    def _pack_type(self, n: int) -> str:
        return {1: "real", 2: "real2", 4: "real4"}[n]

    def _for_rows(self, body: list[str], margin: str) -> list[str]:
        lines = ["#pragma unroll", "for (int t = 0; t < ROWS; ++t) {", *indent(body), "}"]
        return [margin + line for line in lines]

    def _before_rows(self) -> list[str]:
        return []

    def _row_of(self) -> str:
        """The number of row t of a thread."""
        return f"first_row + t * {BLOCK} + threadIdx.x"

    def _pair_row(self) -> list[str]:
        """The number of the row of a pair, where values of pairs are read."""
        return [f"const long long i = min({self._row_of()}, end_row - 1);"] if self._pair_arrays else []

    def _pair_column(self) -> list[str]:
        """The number of the column of a pair, where values of pairs are read."""
        return ["const long long j = start + k;"] if self._pair_arrays else []

    def _row_prologue(self) -> list[str]:
        if not self._row_values:
            return []
        return [
            f"const long long i = min({self._row_of()}, end_row - 1);",
            *self._row.lines,
            *(f"r{k}[t] = {value};" for k, value in enumerate(self._row_values)),
        ]

    def _load_tile(self, margin: str) -> list[str]:
        if not self._lane_values:
            return []
        stores, first = [], 0
        for p, n in enumerate(self.packs):
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
        for p, n in enumerate(self.packs):
            lines.append(f"const {self._pack_type(n)} q{p} = tile{p}[k];")
            for m in range(n):
                if first + m < total:
                    lines.append(f"const real l{first + m} = q{p}{'' if n == 1 else '.' + 'xyzw'[m]};")
            first += n
        return lines

    def _exact_loop(self) -> list[str]:
        """The head of the loop over the pairs of a group, one by one."""
        return ["for (int k = k0; k < min(k0 + GROUP, count); ++k) {", "    const int at = offset + k;"]

    def _finish_group(self, margin: str) -> list[str]:
        fold = self.fold
        exact = [
            "#pragma unroll 1",
            *self._exact_loop(),
            *indent(self._unpack()),
            *indent(self._pair_row()),
            *indent(self._pair.lines),
            *indent(fold.exact(self.values)),
            "}",
        ]
        test = f"whole && ({fold.test()})" if fold.needs_test else "whole"
        accept = fold.accept()
        body = [f"if ({test}) {{", *indent(accept), "} else {"] if accept else [f"if (!({test})) {{"]
        return self._for_rows([*body, *indent(exact), "}"], margin)


def _packs(n: int, most: int) -> list[int]:
    """The sizes of the packs of n numbers: as large as fit, three in one of four."""
    packs = []
    while n > 0:
        size = most if n >= most or (most == 4 and n == 3) else (2 if n == 2 else 1)
        packs.append(size)
        n -= size
    return packs
