"""K smallest values of long vectors: pairs are computed in squares as by `Dot`, rows are scanned by threads that own them.

A list of K values is too large for every thread that has pairs of a row. So the values of a tile, a half at a time, go
through shared memory to the threads that own the rows (two for each row, four in float64), each of which has some of the
columns, always the same. At the end their lists are merged, the first of equals first.
"""

from __future__ import annotations

from ..folds.base import GROUP
from ..folds.kmin import KMinFold
from ..generate.text import indent
from ..launch.geometry import BLOCKS
from .base import BLOCK
from .dot import Dot

__all__ = ["DotSmallest"]

_MERGED = 16  # entries of a list that go through shared memory at a time


class DotSmallest(Dot):
    """The K smallest values of one number per pair, made of one distance or scalar product of long vectors."""

    fold: KMinFold
    blocks = BLOCKS  # a pair of long vectors costs more than what its list takes

    @classmethod
    def _keeps(cls, task):
        return task.kind == "kmin" and task.columns == 1

    @property
    def _kept_rows(self) -> int:
        return 1

    def _choose_rows(self):
        return self._side, 110

    @property
    def _half(self) -> int:
        """Columns whose values are in shared memory at a time: those of one pack of each thread."""
        return self._columns // 2

    @property
    def _owners(self) -> int:
        """Threads that have a row."""
        return BLOCK // self.rows

    @property
    def _share(self) -> int:
        """How many of the columns in shared memory a thread scans."""
        return self._half // self._owners

    @property
    def _stride(self) -> int:
        return self._half + self._shape.pack

    @property
    def shared_bytes(self) -> int:
        merged = (self._owners - 1) * min(_MERGED, self.fold.k) * self.rows
        return super().shared_bytes + self._size * self.rows * self._stride + (self._size + 4) * merged

    def _shared(self) -> list[str]:
        others, merged = self._owners - 1, min(_MERGED, self.fold.k)
        return [
            *super()._shared(),
            f"__shared__ __align__(16) real found[{self.rows}][{self._stride}];",
            f"__shared__ real other_kept[{others}][{merged}][{self.rows}];",
            f"__shared__ int other_place[{others}][{merged}][{self.rows}];",
        ]

    def _before_tiles(self) -> list[str]:
        return [
            *(self._for_rows(self._row_prologue(), "    ") if self._row_values else []),
            f"    const int own_row = threadIdx.x % {self.rows}, own_part = threadIdx.x / {self.rows};",
            *indent(self._of_owner(self.fold.start())),
        ]

    def _of_owner(self, lines: list[str]) -> list[str]:
        """Statements of the state of the row that the thread owns."""
        return ["{", "    const int t = 0;", *indent(lines), "}"]

    def _enter(self) -> list[str]:
        lines = []
        for half in range(2):
            lines += ["__syncthreads();"] if half else []
            lines += [*self._to_owners(half), "__syncthreads();", *self._of_owner(self._scan(half))]
        return lines

    def _to_owners(self, half: int) -> list[str]:
        """The values of the pairs of one pack of columns, for all rows of a thread."""
        pack = self._shape.pack
        (value,) = self.values
        packed = ", ".join(f"v[{k}]" for k in range(pack))
        of_pair = [*self._row_number(), "const real q = acc[t][u];", *self._pair.lines, f"v[u - {half * pack}] = {value};"]
        return self._for_rows(
            [
                f"real v[{pack}];",
                "#pragma unroll",
                f"for (int u = {half * pack}; u < {(half + 1) * pack}; ++u) {{",
                *indent(self._unpack()),
                *indent(of_pair),
                "}",
                f"*(real{pack}*)&found[ty * {self._side} + t][tx * {pack}] = skk_pack({packed});",
            ],
            "",
        )

    def _scan(self, half: int) -> list[str]:
        fold, pack, group = self.fold, self._shape.pack, min(GROUP, self._share)
        fast = [line for k in range(pack) for line in fold.fast([f"values.{'xyzw'[k]}"])]
        return [
            "#pragma unroll 1",
            f"for (int k0 = own_part * {self._share}; k0 < (own_part + 1) * {self._share}; k0 += {group}) {{",
            f"    const long long first = start + {half * self._half} + k0;",
            *indent(fold.group()),
            f"    const bool whole = first + {group} <= stop;",
            "    if (whole) {",
            "        #pragma unroll",
            f"        for (int u = 0; u < {group}; u += {pack}) {{",
            f"            const real{pack} values = *(const real{pack}*)&found[own_row][k0 + u];",
            *indent(fast, " " * 12),
            "        }",
            "    }",
            f"    if (!(whole && ({fold.test()}))) {{",
            "        #pragma unroll 1",
            f"        for (int u = 0; u < {group} && first + u < stop; ++u) {{",
            "            const int at = (int)(first - base) + u;",
            "            const real value = found[own_row][k0 + u];",
            *indent(fold.exact(["value"]), " " * 12),
            "        }",
            "    }",
            "}",
        ]

    def _across_threads(self) -> list[str]:
        """The lists of the owners of a row are merged."""
        fold, merged = self.fold, min(_MERGED, self.fold.k)
        entries = fold.each_entry
        here = f"q < {merged}" if fold.k % merged == 0 else f"q < {merged} && q0 + q < {fold.k}"
        sent = ["other_kept[own_part - 1][q][own_row] = kept[t][0][q0 + q];"]
        sent += ["other_place[own_part - 1][q][own_row] = place[t][0][q0 + q];"]
        received = ["const real value = other_kept[w][q][own_row];", "const int index = other_place[w][q][own_row];"]
        received += fold.enter(0, "value", "index")
        stored = ["const long long i = first_row + own_row;", "if (i < end_row) {", *indent(fold.store()), "}"]
        return self._of_owner(
            [
                entries,
                f"for (int q0 = 0; q0 < {fold.k}; q0 += {merged}) {{",
                "    __syncthreads();",
                "    if (own_part > 0) {",
                f"        {entries}",
                f"        for (int q = 0; {here}; ++q) {{ {' '.join(sent)} }}",
                "    }",
                "    __syncthreads();",
                "    if (own_part == 0) {",
                "        #pragma unroll 1",
                f"        for (int w = 0; w < {self._owners - 1}; ++w) {{",
                "            #pragma unroll 1",
                f"            for (int q = 0; {here}; ++q) {{",
                *indent(received, " " * 16),
                "            }",
                "        }",
                "    }",
                "}",
                "if (own_part == 0) {",
                *indent(stored),
                "}",
            ]
        )
