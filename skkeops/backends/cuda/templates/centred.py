"""Squared distances of long vectors in product form: half of the instructions, where no digits are lost.

``|x - y|^2 = |x - c|^2 + |y - c|^2 - 2 (x - c).(y - c)`` is one multiply-add per component, where the difference and its
square are two. A first kernel computes the centre c, the mean of a few points of the reduced index, and the norms. A
pair whose distance is small beside ``S = |x - c|^2 + |y - c|^2`` has lost digits: ``d2 <= S / 8``, or what is not a number.
It is computed again from its differences by a warp together; a tile of which many pairs would have to be is computed again
as a whole, and then the following tiles at once from differences, with a trial in ever longer intervals. Which it is
follows from the data alone, so that results have the same bits each time.

Error. With u the unit roundoff, n components and g = n u: the norms and twice the product have errors of at most g S each,
the centred components relative errors of u, which change d2 by at most 2 u sqrt(2 S d2). For d2 > S / 8 that is
a relative error below (2 g + 3 u) 8 + 8 u = 16 n u + 32 u, where the differences have (n + 2) u: sixteen times as much at worst.
"""

from __future__ import annotations

from collections.abc import Sequence

from skkeops.formula.expression import Expression
from skkeops.formula.operations import lookup

from ..generate.slabs import Side
from ..generate.text import indent
from ..launch.geometry import Launch, blocks_of
from .base import BLOCK, Before
from .dot import LANES, DistanceSlabs, Dot, is_squared_distance
from .dot_smallest import DotSmallest

__all__ = ["CentredDot", "CentredDotSmallest"]

_SAMPLE = 16  # points whose mean is the centre
_POINTS = 8  # points of a warp of the first kernel
_PER_BLOCK = _POINTS * (BLOCK // 32)
_MOST_THREADS = 8  # with pairs to be computed again; with more, the whole tile is
_MOST_PAIRS = 4  # of one of these threads
_LONGEST_WAIT = 31  # tiles from differences between two trials


class _CentredSlabs(DistanceSlabs):
    """Sums of squares of differences where ``direct`` holds, or else scalar products of the centred vectors."""

    def __init__(self, node: Expression, *args):
        super().__init__(node, *args)
        self._product = self.step(lookup("Scalprod")._new(node.args[0].args[0].args))

    def _before(self, size):
        at = self._at(f"(int)threadIdx.x % {size}")
        return [f"const real shift = direct ? (real)0 : centre[{at}];"]

    def _loaded(self, component):
        return super()._loaded(f"skk_minus({component}, shift)")

    def _enter(self, size):
        direct, product = self._loop(size, self._step), self._loop(size, self._product)
        return ["if (direct) {", *indent(direct), "} else {", *indent(product), "}"]


class Centred:
    """What makes a template of blocks of squared distances use the product form; to be mixed into `Dot`."""

    besides = ("norms",)
    _sums = _CentredSlabs

    @classmethod
    def rank(cls, task):
        return 10

    @classmethod
    def declines(cls, task):
        if not task.options.fast_math:
            return "the product form is fast mathematics"
        reason = super().declines(task)
        if reason is None and not is_squared_distance(cls._product(task)):
            reason = "it is for squared distances"
        return reason

    def kernels(self, parameters):
        return {**super().kernels(parameters), "skk_norms": self._norms_text(parameters)}

    def before(self, rows, columns, workspace):
        """The first kernel writes the norms and the centre to the workspace, from a byte on that is a multiple of 16."""
        norms = -(-workspace // 16) * 16
        blocks = blocks_of(rows, _PER_BLOCK) + blocks_of(columns, _PER_BLOCK)
        launch = Launch("skk_norms", (blocks,), (BLOCK,), 0, ("workspace", rows, columns, norms))
        return Before(norms + (rows + columns + self._length) * self._size, (launch,), (norms,))

    def _norms_text(self, parameters: Sequence[str]) -> str:
        """The first kernel: a warp has some points, its threads have the components."""
        of_row, of_lane = self._side_of(row=True), self._side_of(row=False)
        points = []
        for condition, index, side in (("row", "i", of_row), ("!row", "j", of_lane)):
            points += [
                f"if ({condition}) {{",
                "    #pragma unroll",
                f"    for (int p = 0; p < {_POINTS}; ++p) {{",
                f"        const long long {index} = min(first + p, end - 1);",
                *indent(side.statements, " " * 8),
                f"        const real v = skk_minus({side.component}, c);",
                "        if (inside) sum[p] += v * v;",
                "    }",
                "}",
            ]
        lines = [
            f'extern "C" __global__ void __launch_bounds__({BLOCK}) skk_norms('
            + "".join(f"{parameter}, " for parameter in parameters),
            "    char* __restrict__ workspace, long long rows, long long columns, long long norms)",
            "{",
            "    real* const of_rows = (real*)(workspace + norms);",
            "    real* const of_columns = of_rows + rows;",
            "    real* const centre = of_columns + columns;",
            f"    const long long row_blocks = (rows + {_PER_BLOCK - 1}) / {_PER_BLOCK};",
            "    const bool row = blockIdx.x < row_blocks;",
            "    const long long end = row ? rows : columns;",
            f"    const long long first = {_PER_BLOCK} * (blockIdx.x - (row ? 0 : row_blocks)) + {_POINTS} * (threadIdx.x / 32);",
            "    const int lane = threadIdx.x % 32;",
            *indent(self._constants()),
            f"    real sum[{_POINTS}];",
            "    #pragma unroll",
            f"    for (int p = 0; p < {_POINTS}; ++p) sum[p] = 0;",
            "    #pragma unroll 1",
            f"    for (int d0 = 0; d0 < {self._length}; d0 += 32) {{",
            f"        const int at = min(d0 + lane, {self._length - 1});",
            f"        const bool inside = d0 + lane < {self._length};",
            "        real c = 0, count = 0;",
            "        #pragma unroll 4",
            f"        for (int s = 0; s < {_SAMPLE}; ++s) {{",
            f"            const long long j = columns * s / {_SAMPLE};",
            *indent(of_lane.statements, " " * 12),
            f"            const real v = {of_lane.component};",
            "            if (v - v == (real)0) { c += v; count += 1; }",
            "        }",
            "        c = count > (real)0 ? c / count : (real)0;",
            "        if (!(c - c == (real)0)) c = 0;",
            "        if (blockIdx.x == 0 && threadIdx.x < 32 && inside) centre[d0 + lane] = c;",
            *indent(points, " " * 8),
            "    }",
            "    #pragma unroll",
            f"    for (int p = 0; p < {_POINTS}; ++p) {{",
            "        for (int d = 16; d > 0; d /= 2) sum[p] += __shfl_xor_sync(0xffffffffu, sum[p], d);",
            "        if (lane == 0 && first + p < end) (row ? of_rows : of_columns)[first + p] = sum[p];",
            "    }",
            "}",
        ]
        return "\n".join(lines) + "\n"

    @property
    def shared_bytes(self) -> int:
        return super().shared_bytes + self._size * (self.rows + self._columns)

    def _shared(self) -> list[str]:
        return [
            *super()._shared(),
            f"__shared__ __align__(16) real norm_of_row[{self.rows}];",
            f"__shared__ __align__(16) real norm_of_column[{self._columns}];",
        ]

    def _before_tiles(self) -> list[str]:
        return [
            "    const real* const norms_of_rows = (const real*)(workspace + norms);",
            "    const real* const norms_of_columns = norms_of_rows + rows;",
            "    const real* const centre = norms_of_columns + columns;",
            f"    for (int e = threadIdx.x; e < {self.rows}; e += {BLOCK})",
            "        norm_of_row[e] = norms_of_rows[min(first_row + e, end_row - 1)];",
            "    int skip = 0, wait = 0;  // tiles that are computed from differences without a trial",
            *super()._before_tiles(),
        ]

    def _load_lanes(self) -> list[str]:
        return [
            *super()._load_lanes(),
            f"for (int e = threadIdx.x; e < {self._columns}; e += {BLOCK})",
            "    norm_of_column[e] = norms_of_columns[min(start + e, stop - 1)];",
        ]

    def _side_of(self, row: bool) -> Side:
        return next(side for side in self._slabs.sides if side.of_row == row)

    @property
    def _length(self) -> int:
        return self._slabs.length

    def _distances(self) -> list[str]:
        side = self._side
        columns = ["#pragma unroll", f"for (int u = 0; u < {side}; ++u) {{"]
        total = f"const real total = norm_of_row[ty * {side} + t] + norm_of_column[where];"
        expand = [
            *columns,
            f"    {self._place_of_column()}",
            f"    {total}",
            "    acc[t][u] = fma((real)-2, acc[t][u], total);",
            "    doubtful = doubtful || !(acc[t][u] > (real)0.125 * total);",
            "}",
        ]
        look = [
            *columns,
            f"    {self._place_of_column()}",
            f"    {total}",
            f"    const bool inside = {self._row_of()} < end_row && start + where < stop;",
            "    // where a norm is not a number, neither is the distance",
            f"    if (inside && total == total && !(acc[t][u] > (real)0.125 * total)) again |= 1ULL << (t * {side} + u);",
            "}",
        ]
        return [
            f"real acc[{side}][{side}];",
            "bool direct = skip > 0;",
            "skip -= direct;",
            "#pragma unroll 1",
            "for (;;) {",
            *self._for_rows([f"acc[t][{u}] = 0;" for u in range(side)], "    "),
            *indent(self._slabs.text(self._load_lanes())),
            "    if (direct) break;",
            "    bool doubtful = false;",
            *self._for_rows(expand, "    "),
            "    if (!__syncthreads_or(doubtful)) { wait = 0; break; }",
            "    unsigned long long again = 0;  // a bit for each pair that has lost digits",
            *self._for_rows(look, "    "),
            "    const int threads = __syncthreads_count(again != 0);",
            f"    if (threads <= {_MOST_THREADS} && !__syncthreads_or(__popcll(again) > {_MOST_PAIRS})) {{",
            "        wait = 0;",
            *indent(self._again(), " " * 8),
            "        break;",
            "    }",
            "    direct = true;",
            "    skip = wait;",
            f"    wait = min(2 * wait + 1, {_LONGEST_WAIT});",
            "}",
        ]

    def _again(self) -> list[str]:
        """The marked pairs of the warp, one after the other, from their differences."""
        side = self._side
        of_row, of_lane = self._side_of(row=True), self._side_of(row=False)
        where = self._shape.column(thread=f"thread % {LANES}")
        replace = [f"if (own && t == pair / {side}) {{", "    #pragma unroll", f"    for (int u = 0; u < {side}; ++u)"]
        replace += [f"        if (u == pair % {side}) acc[t][u] = total;", "}"]
        return [
            "#pragma unroll 1",
            "for (;;) {",
            "    const unsigned marked = __ballot_sync(0xffffffffu, again != 0);",
            "    if (marked == 0) break;",
            "    const int leader = __ffs(marked) - 1, lane = threadIdx.x % 32;",
            "    const int pair = __shfl_sync(0xffffffffu, __ffsll(again) - 1, leader);",
            f"    const int thread = threadIdx.x - lane + leader, u = pair % {side};",
            f"    const int where = {where};",
            f"    const long long i = first_row + thread / {LANES} * {side} + pair / {side}, j = start + where;",
            "    real total = 0;",
            "    #pragma unroll 2",
            f"    for (int at = lane; at < {self._length}; at += 32) {{",
            *indent([*of_row.statements, *of_lane.statements], " " * 8),
            f"        const real d = skk_minus({of_row.component}, {of_lane.component});",
            "        total += d * d;",
            "    }",
            "    for (int d = 16; d > 0; d /= 2) total += __shfl_xor_sync(0xffffffffu, total, d);",
            "    const bool own = lane == leader;",
            *self._for_rows(replace, "    "),
            "    if (own) again &= again - 1;",
            "}",
        ]


class CentredDot(Centred, Dot):
    """`Dot` with squared distances in product form."""


class CentredDotSmallest(Centred, DotSmallest):
    """`DotSmallest` with squared distances in product form."""
