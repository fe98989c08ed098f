"""K smallest of very many columns, for few rows: every thread keeps the K best of its columns.

A thread sees few columns, so almost all of them would enter its own list. Therefore the threads of a warp compute a bound together
after every group of columns: they form 2^p >= K disjoint sets, each set names its smallest value, and the largest of these values
is not below the K-th smallest of all. A value above the bound enters no list.

At the end the lists are merged by taking, K times, the smallest of their first entries: first among the lists of a warp, then among
the lists that the warps made.
"""

from __future__ import annotations

from ..folds.kmin import KMinFold
from ..generate.text import indent
from .columns import WARPS, Columns

__all__ = ["ColumnsSmallest"]

#: The most values of a row, K times components, in shared memory and in the lists of a block's threads.
_MOST_KEPT = 64


class ColumnsSmallest(Columns):
    """Lists of a few values, for few rows and very many columns."""

    fold: KMinFold

    @classmethod
    def _merges(cls, plan):
        reduction = plan.problem.reduction
        return reduction.fold == "kmin" and reduction.k * plan.problem.values[0].dim <= _MOST_KEPT

    def _shared(self) -> list[str]:
        shape = f"[{WARPS}][ROWS][{self.fold.dim}][{self.fold.k}]"
        return [f"__shared__ real warp_kept{shape};", f"__shared__ int warp_place{shape};"]

    def _after_group(self, margin: str) -> list[str]:
        """The bound of the warp."""
        k = self.fold.k
        entry = -(-k // 32) - 1  # with more values than threads, each has some of them below the bound
        sets = 1
        while sets < min(k, 32):
            sets *= 2
        steps = [(d, "fmin" if d >= sets else "fmax") for d in (16, 8, 4, 2, 1)]
        lines = []
        for d in range(self.fold.dim):
            lines.append(f"real bound{d} = kept[t][{d}][{entry}];")
            for distance, function in steps:
                other = f"__shfl_xor_sync(0xffffffffu, bound{d}, {distance})"
                lines.append(f"bound{d} = {function}(bound{d}, {other});")
            lines.append(f"worst[t][{d}] = fmin(worst[t][{d}], skk_above(bound{d}));")
        return self._for_rows(lines, margin)

    def _across_threads(self) -> list[str]:
        fold = self.fold
        of_row = []
        for d in range(fold.dim):
            of_row += [*self._of_warp(d)]
        rows = [
            "const long long i = first_row + t;",
            *(line for d in range(fold.dim) for line in self._of_block(d)),
        ]
        return [
            "const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;",
            *self._for_rows(of_row, ""),
            "__syncthreads();",
            "#pragma unroll 1",
            f"for (int t = warp; t < ROWS; t += {WARPS}) {{",
            *indent(rows),
            "}",
        ]

    def _of_warp(self, d: int) -> list[str]:
        """The K smallest of the lists of a warp."""
        fold, kept, place = self.fold, f"kept[t][{d}]", f"place[t][{d}]"
        if fold.in_registers:  # the list moves, for its indices must be known
            head = "0"
            following = [
                "if (first == own) {",
                "    #pragma unroll",
                f"    for (int e = 0; e < {fold.k - 1}; ++e) {{ {kept}[e] = {kept}[e + 1]; {place}[e] = {place}[e + 1]; }}",
                f"    {kept}[{fold.k - 1}] = SKK_INF; {place}[{fold.k - 1}] = -1;",
                "}",
            ]
        else:
            head = "head"
            following = [f"if (first == own && head < {fold.k - 1}) ++head;"]
        return [
            "{",
            *(["    int head = 0;"] if not fold.in_registers else []),
            "    #pragma unroll 1",
            f"    for (int q = 0; q < {fold.k}; ++q) {{",
            f"        real best = {kept}[{head}]; int first = {place}[{head}]; const int own = first;",
            *indent(_smallest_of((16, 8, 4, 2, 1)), " " * 8),
            f"        if (lane == 0) {{ warp_kept[warp][t][{d}][q] = best; warp_place[warp][t][{d}][q] = first; }}",
            *indent(following, " " * 8),
            "    }",
            "}",
        ]

    def _of_block(self, d: int) -> list[str]:
        """The K smallest of the lists of the warps: a warp has a row, and its threads have list 0, 1, 2, 3, 0, 1, ..."""
        fold = self.fold
        at = f"[lane % {WARPS}][t][{d}][head]"
        return [
            "{",
            "    int head = 0;",
            "    #pragma unroll 1",
            f"    for (int q = 0; q < {fold.k}; ++q) {{",
            f"        real best = warp_kept{at}; int first = warp_place{at}; const int own = first;",
            *indent(_smallest_of((2, 1)), " " * 8),
            f"        if (first == own && head < {fold.k - 1}) ++head;",
            f"        if (lane == 0 && i < end_row) {fold.store_entry(d, 'q', 'best', 'first')}",
            "    }",
            "}",
        ]


def _smallest_of(distances: tuple[int, ...]) -> list[str]:
    """The smallest of threads' ``best``, and its index ``first``, the smallest of equals; -1 comes last."""
    lines = []
    for distance in distances:
        lines += [
            "{",
            f"    const real value = __shfl_xor_sync(0xffffffffu, best, {distance});",
            f"    const int index = __shfl_xor_sync(0xffffffffu, first, {distance});",
            "    const bool sooner = (unsigned)index < (unsigned)first;",
            "    if (value < best || (value == best && sooner)) { best = value; first = index; }",
            "}",
        ]
    return lines
