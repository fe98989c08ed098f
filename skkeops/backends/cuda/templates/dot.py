"""One distance or scalar product of long vectors per pair: computed for blocks of pairs, as matrix products are.

A block of threads has a tile of pairs, a thread a square of them in registers; slabs of components go through shared
memory. Differences are formed before they are squared, as everywhere in this package; what avoids that where no digits are
lost is `centred`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from skkeops.formula.derivative import substitute
from skkeops.formula.expression import Expression, postorder
from skkeops.plan.homes import Home, HomeOf

from ..folds.base import MergedFold
from ..folds.make import make_fold
from ..generate.loops import LoopBlock
from ..generate.slabs import Pairwise, Shape, Slabs
from ..generate.text import each_row, indent
from .base import BLOCK, SHARED_MOST
from .task import LONG, Task
from .thread_rows import ThreadRows

__all__ = ["LANES", "DistanceSlabs", "Dot", "is_squared_distance"]

LANES = 16  # threads of a row of the block
_MOST_COLUMNS = 16  # few columns come out of blocks of distances or products

#: What stands in the expressions for the distance or scalar product.
_FOUND = Pairwise._new()


def _find(roots: Iterable[Expression], homes: HomeOf, real: str) -> Expression | None:
    """The one distance or scalar product of long vectors of the two indices below the roots; None if there is none, or
    more than one."""
    found = [node for node in postorder(*roots) if _is_product(node, homes, real)]
    return found[0] if len(found) == 1 else None


def is_squared_distance(product: Expression) -> bool:
    """Whether what `Dot` found is a sum of squares of differences."""
    return product.name == "Sum" and product.args[0].name == "Square"


def _is_product(node: Expression, homes: HomeOf, real: str) -> bool:
    """Whether an expression is a distance or scalar product of a long vector of the rows and one of the columns."""
    if node.name == "Scalprod":
        sides = node.args
    elif node.name == "Sum" and node.args[0].name in ("Square", "Abs") and node.args[0].args[0].name == "Subtract":
        sides = node.args[0].args[0].args
    else:
        return False
    return {homes(side) for side in sides} == {Home.OUTPUT, Home.REDUCED} and min(side.dim for side in sides) > LONG[real]


class DistanceSlabs(Slabs):
    """Sums to which a component adds nothing where it is 0 in both vectors."""

    fills_up = True


class Dot(ThreadRows):
    """One distance or scalar product of long vectors, and few columns."""

    name = "dot"
    kernel = "skk_dot"
    _block = LoopBlock
    #: Of distances and scalar products.
    _sums: ClassVar[type[DistanceSlabs]] = DistanceSlabs

    @classmethod
    def rank(cls, task):
        return 15

    @classmethod
    def declines(cls, task):
        if not cls._keeps(task):
            return "a row keeps something else"
        if cls._product(task) is None:
            return "there is not one distance or scalar product of long vectors"
        return super().declines(task)

    @classmethod
    def _keeps(cls, task: Task) -> bool:
        """Whether the threads of a block can share what a row keeps."""
        return task.kind != "kmin" and task.columns <= _MOST_COLUMNS

    @classmethod
    def _product(cls, task: Task) -> Expression | None:
        return _find(cls.formula_of(task).roots, task.homes, task.real)

    def exceeds(self):
        return f"{self.shared_bytes} bytes of shared memory" if self.shared_bytes > SHARED_MOST else None

    def make_fold(self, chunk=2):
        (value, terms, base_2), product = self.formula, self._product(self.task)
        value = None if value is None else substitute(value, {product: _FOUND})
        terms = [tuple(None if e is None else substitute(e, {product: _FOUND}) for e in term) for term in terms]
        return make_fold(self.task.plan, value, terms, base_2, self.task.options, self.task.real, chunk)

    @property
    def rows_per_block(self):
        return self.rows

    def __init__(self, task: Task):
        super().__init__(task)
        product = self._product(task)
        assert product is not None
        categories = task.plan.output, task.plan.reduced
        self._slabs = self._sums(product, task.homes, self._shape, task.real, self.arrays, categories, self._outside_side)
        self._const = LoopBlock(task.real, "w", arrays=self.arrays)  # the slabs may have asked for more
        self._const_values = self._const.compute(self._hoisted[Home.CONSTANT])

    def _generate(self, fold):
        pack = 4 if self.task.real == "float" else 2
        self._side = 2 * pack  # pairs of a thread along each side of its square
        self._shape = Shape(BLOCK, LANES, self._side, self._side, pack, apart=True)
        self.rows, self._columns = self._shape.rows, self._shape.columns
        super()._generate(fold)

    def _outside_pair(self, node, k):
        if node is _FOUND:
            return "q"
        return super()._outside_pair(node, k)

    def _choose_rows(self):
        # what Rows asks for beside the squares: the states of one column leave room for a third block
        return self._side, 76 if self._real == "float" and self._side * self.fold.registers <= 40 else 110

    def _choose_tile(self):
        return self._columns

    def text(self, parameters: Sequence[str]) -> str:
        fold = self.fold
        lines = [
            f"#define ROWS {self._kept_rows}",
            *self.head(parameters, self.blocks_per_multiprocessor),
            *indent(self._shared()),
            *indent(self._constants()),
            *(f"    real r{k}[{self._side}];" for k in range(len(self._row_values))),
            *indent(fold.declarations),
            f"    const int tx = threadIdx.x % {LANES}, ty = threadIdx.x / {LANES};",
            f"    const long long first_row = (long long)blockIdx.x * {self.rows}, end_row = rows;",
            "    const long long split = blockIdx.y;",
            *([f"    const int column = blockIdx.z * {fold.chunk};"] if fold.chunks > 1 else []),
            "    const long long base = split * chunk, stop = min(columns, base + chunk);",
            *self._before_tiles(),
            f"    for (long long start = base; start < stop; start += {self._columns}) {{",
            *indent(self._distances(), " " * 8),
            *indent(self._enter(), " " * 8),
            "    }",
            *indent(self._across_threads()),
            "}",
            "#undef ROWS",
        ]
        return "\n".join(lines) + "\n"

    @property
    def _kept_rows(self) -> int:
        """Of how many rows a thread keeps the state."""
        return self._side

    @property
    def _size(self) -> int:
        """Bytes of a number."""
        return 4 if self._real == "float" else 8

    @property
    def shared_bytes(self) -> int:
        """The bytes of `_shared`."""
        return self._size * (self._slabs.numbers + len(self._lane_values) * self._columns)

    def _shared(self) -> list[str]:
        """What is in shared memory."""
        return [
            f"__shared__ __align__(16) real pool[{self._slabs.numbers}];",
            *(f"__shared__ real lane{k}[{self._columns}];" for k in range(len(self._lane_values))),
        ]

    def _before_tiles(self) -> list[str]:
        return self._for_rows([*self._row_prologue(), *self.fold.start()], "    ")

    def _for_rows(self, body: list[str], margin: str) -> list[str]:
        return indent(each_row(body, self._side), margin)

    def _distances(self) -> list[str]:
        """The distances or products of the tile, in ``acc``."""
        side = self._side
        return [
            f"real acc[{side}][{side}];",
            *self._for_rows([f"acc[t][{u}] = 0;" for u in range(side)], ""),
            *self._slabs.text(self._load_lanes()),
        ]

    def _enter(self) -> list[str]:
        """The pairs of the tile enter the states of the rows."""
        return [
            *self.fold.group(),
            f"const bool whole = start + {self._columns} <= stop;",
            "if (whole) {",
            "    #pragma unroll",
            f"    for (int u = 0; u < {self._side}; ++u) {{",
            *indent(self._unpack(), " " * 8),
            *self._for_rows([*self._row_number(), "const real q = acc[t][u];", *self._fast_lines()], " " * 8),
            "    }",
            "}",
            *self._finish_group(""),
        ]

    def _row_of(self) -> str:
        return f"first_row + ty * {self._side} + t"

    def _row_number(self) -> list[str]:
        return [f"const long long i = min({self._row_of()}, end_row - 1);"]

    def _load_lanes(self) -> list[str]:
        if not self._lane_values:
            return []
        return [
            f"for (int e = threadIdx.x; e < {self._columns}; e += {BLOCK}) {{",
            "    const long long j = min(start + e, stop - 1);",
            *indent(self._lane.lines),
            *(f"    lane{k}[e] = {value};" for k, value in enumerate(self._lane_values)),
            "}",
        ]

    def _place_of_column(self, name: str = "where") -> str:
        return f"const int {name} = {self._shape.column()};"

    def _unpack(self) -> list[str]:
        return [
            self._place_of_column(),
            "const long long j = min(start + where, stop - 1);",
            *(f"const real l{k} = lane{k}[where];" for k in range(len(self._lane_values))),
        ]

    def _exact_loop(self) -> list[str]:
        # acc must not be indexed by a variable: it would leave the registers
        choices = [f"if (u == {u}) q = acc[t][{u}];" for u in range(1, self._side)]
        return [
            f"for (int u = 0; u < {self._side}; ++u) {{",
            f"    {self._place_of_column('offset')}",
            "    if (start + offset >= stop) continue;",
            "    const int at = (int)(start - base) + offset;",
            *indent(self._row_number()),
            "    real q = acc[t][0];",
            *indent(choices),
        ]

    def _across_threads(self) -> list[str]:
        assert isinstance(self.fold, MergedFold)
        stored = [f"const long long i = {self._row_of()};", "if (i < end_row) {", *indent(self.fold.store()), "}"]
        return [
            "#pragma unroll 1",
            f"for (int d = {LANES // 2}; d > 0; d /= 2) {{",
            *self._for_rows(self.fold.combine_shuffled(), "    "),
            "}",
            "if (tx == 0) {",
            *self._for_rows(stored, "    "),
            "}",
        ]

