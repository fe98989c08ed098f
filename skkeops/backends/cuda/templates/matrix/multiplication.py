"""The product of the numbers of a tile of pairs with the vectors of its columns, which pass through shared memory in groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...folds.base import Fold
from ...folds.sums import CarriedSums
from ...generate.text import each_column, each_row, indent
from .sizes import Sizes
from .tiles import Tile

__all__ = ["Multiplication", "Vector"]

_SUMMED = 16  # float32 additions between two with compensation


class Vector(NamedTuple):
    """A vector of one index.

    Attributes
    ----------
    numbers : list of str
        Statements that its components need, once for each point ``i`` or ``j``.
    statements : list of str
        Those of the component ``at``.
    component : str
        The text of the component ``at``.
    is_variable : bool
        Whether it is read from memory as it is.
    """

    numbers: list[str]
    statements: list[str]
    component: str
    is_variable: bool


class Multiplication:
    """The statements of the product.

    Parameters
    ----------
    fold : Fold
    sizes : Sizes
    tile : Tile
        The numbers of the pairs.
    sums : CarriedSums
    of_column : Vector
        The vector that a column of the tile is multiplied with.
    of_row : Vector or None
        The vector from which that one is subtracted.

    Attributes
    ----------
    group : int
        The columns of the tile between two barriers.
    buffers : int
        How many groups of vectors are in shared memory: with two there is a barrier less.
    """

    def __init__(
        self, fold: Fold, sizes: Sizes, tile: Tile, sums: CarriedSums, of_column: Vector, of_row: Vector | None
    ):
        self._fold = fold
        self._sizes = sizes
        self._shape = sizes.shape
        self._tile = tile
        self._sums = sums
        self._of_column = of_column
        self._of_row = of_row
        self.group = 16 if sums.compensated and sizes.shape.lanes < 64 else 8
        self.buffers = 1

    @property
    def numbers(self) -> int:
        """How many numbers of shared memory it takes."""
        return self.buffers * self.group * self._sizes.columns

    def each_sum(self, body: Sequence[str]) -> list[str]:
        """The statements for all sums ``t``, ``c`` of a thread."""
        return each_row(each_column(body, "c", self._sizes.per_thread))

    @property
    def _loaders(self) -> int:
        return self._shape.threads // self.group  # threads that load the vector of a column of the tile

    @property
    def _loads(self) -> int:
        return -(-self._sizes.columns // self._loaders)

    def prefetch(self, first: str) -> list[str]:
        """The next vectors are on their way while something else is computed."""
        numbers, lines, text, is_variable = self._of_column
        # of 64 bits, so that one address serves all; components of other expressions are computed with 32
        kind = "long long" if is_variable else "int"
        declared = [f"real next[{self._loads}];"] if first == "0" else []
        return [
            *declared,
            "{",
            f"    const long long j = min(start + {first} + (int)threadIdx.x / {self._loaders}, stop - 1);",
            *indent(numbers),
            "    #pragma unroll",
            f"    for (int v = 0; v < {self._loads}; ++v) {{",
            f"        const {kind} at = {self._at_load(kind)};",
            *indent(lines, " " * 8),
            f"        next[v] = {text};",
            "    }",
            "}",
        ]

    def _at(self, c: str) -> str:
        """The component that is in column ``c`` of the block; an existing one where there is none."""
        last = f"min((int)(column + {c}), {self._fold.all_columns - 1})"
        return last if self._fold.all_columns < self._sizes.columns or self._fold.chunks > 1 else c

    def _at_load(self, kind: str) -> str:
        """The component that a thread loads in its turn ``v``; only the last turns can leave the vector."""
        c = f"(int)threadIdx.x % {self._loaders} + ({kind})v * {self._loaders}"
        surely = (self._fold.all_columns - (self._fold.chunks - 1) * self._sizes.chunk) // self._loaders
        if surely >= self._loads:
            return f"column + {c}"
        return f"v < {surely} ? column + {c} : ({kind})min((int)(column + {c}), {self._fold.all_columns - 1})"

    def text(self) -> list[str]:
        """The numbers of a tile times the vectors of its columns, which enter the sums."""
        shape, group, n = self._shape, self.group, self._sizes.per_thread
        lines = ["__syncthreads();"] if self.buffers > 1 else []
        if self._of_row is not None:
            numbers, statements, text, _ = self._of_row
            component = [f"const int at = {self._at(self.column_of('c'))};", *statements, f"own[t][c] = {text};"]
            row = "const long long i = min(first_row + ty * ROWS + t, end_row - 1);"
            lines += [f"real own[ROWS][{n}];", *each_row([row, *numbers, *each_column(component, "c", n)])]
        step = 2 * _SUMMED if self._sums.compensated else group
        packs = self._tile.packs
        fast = [f"const int here = k0 * {self._shape.rows} + ((ty * {packs}) ^ (k0 / {shape.side_columns} & 7)) * {shape.pack};"]
        fast += [
            "const real* swizzled[8];",
            "#pragma unroll",
            f"for (int q = 0; q < 8; ++q) swizzled[q] = pairs + (here ^ q * {shape.pack});",
        ]
        for half in range(0, step, group):
            k0 = f"k0 + {half}" if half else "k0"
            fast += [
                "{",
                *indent(self._load_vectors(k0, last=half + group == step)),
                "    #pragma unroll",
                f"    for (int k = 0; k < {group}; ++k) {{",
                *indent(self._add(half), " " * 8),
                "    }",
                "}",
                *(self._accept(careful=False) if (half + group) % _SUMMED == 0 else []),
            ]
        slow = [
            "#pragma unroll 1",
            f"for (int k1 = k0; k1 < min(k0 + {step}, count); k1 += {group}) {{",
            *indent(self._load_vectors("k1", last=True)),
            "    #pragma unroll 1",
            f"    for (int k = 0; k < min({group}, count - k1); ++k) {{",
            *indent(self._add(), " " * 8),
            "    }",
            *indent(self._accept(careful=True)),
            "}",
        ]
        return [
            *lines,
            "#pragma unroll 1",
            f"for (int k0 = 0; k0 < count; k0 += {step}) {{",
            f"    if ({'!careful && ' if self._sums.compensated else ''}k0 + {step} <= count) {{",
            *indent(fast, " " * 8),
            "    } else {",
            *indent(slow, " " * 8),
            "    }",
            "}",
        ]

    def _load_vectors(self, k: str, last: bool) -> list[str]:
        """The vectors of the group that begins at column ``k`` go to shared memory, and the next ones are on their way."""
        room, loaders = self._sizes.columns, self._loaders
        at = f"threadIdx.x % {loaders} + v * {loaders}"
        put = f"buffer[threadIdx.x / {loaders} * {room} + {at}] = next[v];"
        if room % loaders:
            put = f"if ({at} < {room}) {put}"
        following = self.prefetch(f"{k} + {self.group}")
        if last:
            following = [f"if ({k} + {self.group} < count) {{", *indent(following), "}"]
        which = f"(({k}) / {self.group} & 1) * {self.group * room}" if self.buffers > 1 else "0"
        return [
            *(["__syncthreads();"] if self.buffers == 1 else []),
            f"real* const buffer = pool + {which};",
            "#pragma unroll",
            f"for (int v = 0; v < {self._loads}; ++v) {put}",
            "__syncthreads();",
            *following,
        ]

    def _packs(self) -> list[tuple[int, int]]:
        """The packs of a thread's output columns: the first of each among the thread's, and its size."""
        found, first, n = [], 0, self._sizes.per_thread
        while first < n:
            size = max(s for s in (4, 2, 1) if s <= min(n - first, self._shape.pack))
            found.append((first, size))
            first += size
        return found

    def column_of(self, c: str) -> str:
        """The column of the block that is the c-th of the thread."""
        lanes = self._shape.lanes
        text = ""
        for first, size in self._packs():
            place = f"{first * lanes} + tx * {size} + {c} - {first}"
            text += f"{c} < {first + size} ? {place} : " if first + size < self._sizes.per_thread else place
        return f"({text})"

    def _add(self, half: int | None = None) -> list[str]:
        """The k-th column of a group adds to all sums of a thread: of the group that begins `half` columns after ``k0``, or for
        None of the one that begins at ``k1``."""
        shape, n = self._shape, self._sizes.per_thread
        lines = [f"real p[ROWS], b[{n}];"]
        for part in range(shape.side_rows // shape.pack):
            if half is None:
                at = f"pairs[{self._tile.pack('k1 + k', str(part))}]"
            else:
                at = f"swizzled[({half} + k) / {shape.side_columns} & 7 ^ {part}][({half} + k) * {self._shape.rows}]"
            lines.append(f"const real{shape.pack} p{part} = *(const real{shape.pack}*)&{at};")
            lines.append(" ".join(f"p[{part * shape.pack + m}] = p{part}.{'xyzw'[m]};" for m in range(shape.pack)))
        for first, size in self._packs():
            at = f"buffer[k * {self._sizes.columns} + {first * shape.lanes} + tx * {size}]"
            if size == 1:
                lines.append(f"b[{first}] = {at};")
                continue
            lines.append(f"const real{size} b{first} = *(const real{size}*)&{at};")
            lines.append(" ".join(f"b[{first + m}] = b{first}.{'xyzw'[m]};" for m in range(size)))
        value = "b[c]" if self._of_row is None else "(own[t][c] - b[c])"
        return [*lines, *self.each_sum(self._sums.add("c", "p[t]", value))]

    def _accept(self, careful: bool) -> list[str]:
        body = self._sums.accept(careful=careful)
        return self.each_sum(body) if body else []
