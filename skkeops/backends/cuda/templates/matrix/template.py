"""The kernel of the template matrix: a number for each pair, then the product of these numbers with vectors.

A block of threads has a tile of pairs. First it computes the number of every pair, a kernel's value or an exponential,
through slabs of components (`slabs`), and leaves it in shared memory. Then it multiplies: a thread has some rows and some
of the output's columns in registers, to which every pair of the tile adds. The matrix of the numbers never exists.

Output columns that do not fit in a block are for other blocks, which compute the numbers again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from skkeops.formula.derivative import substitute
from skkeops.formula.expression import Expression, Variable
from skkeops.plan.homes import Home

from ...folds.shift_exp import ShiftExpFold
from ...folds.sum import SumFold
from ...folds.sums import CarriedSums
from ...generate.expressions import Component, at_first_point, statements_cost
from ...generate.loops import LoopBlock
from ...generate.slabs import Product, Slabs, stand_ins
from ...generate.text import each_column, each_row, indent
from ..base import FILE, SHARED_MOST, Template
from ..task import Task
from .exponentials import Exponentials
from .multiplication import Multiplication, Vector
from .product import find_product
from .sizes import Sizes
from .tiles import Tile

__all__ = ["Matrix"]


class Matrix(Template):
    """Sums of a number per pair times a vector, or times the difference of two."""

    name = "matrix"
    kernel = "skk_matrix"

    @classmethod
    def rank(cls, task):
        return 20 if task.has_long_product else 40

    @classmethod
    def declines(cls, task):
        accumulators = ("block", "float64") if task.real == "double" else ("block",)
        if task.options.accumulator not in accumulators:
            return "it has sums of groups alone"
        if find_product(task, cls.formula_of(task)) is None:
            return "it is no product of matrices"
        return super().declines(task)

    def exceeds(self):
        if self.shared_bytes > SHARED_MOST:
            return f"{self.shared_bytes} bytes of shared memory"
        if len(self._slabs) > (1 if self._loops else 2):
            return "there is too much to compute from products in registers"
        return None

    def make_fold(self, chunk=None):
        product = find_product(self.task, self.formula)
        assert product is not None
        self.product = product
        self.sizes = Sizes(product.columns, self.task.real, product.kind, product.length)
        return super().make_fold(self.sizes.chunk)

    def __init__(self, task: Task):
        super().__init__(task)
        fold, real, sizes, arrays = self.fold, task.real, self.sizes, self.arrays
        assert isinstance(fold, SumFold | ShiftExpFold)
        number, vector, minus, products, *_ = self.product
        self._homes = task.homes
        self._real = real
        self._hoisted: dict[Home, dict[Component, int]] = {Home.OUTPUT: {}, Home.REDUCED: {}, Home.CONSTANT: {}}
        shape = self.shape = sizes.shape
        self.threads, self.rows = shape.threads, shape.rows
        self._tile_of_pairs, self._sums = Tile(shape), CarriedSums("total", real, sizes.per_thread)
        self._exponentials = None
        if isinstance(fold, ShiftExpFold):
            self._exponentials = Exponentials(fold, self._tile_of_pairs, self._sums, real)
        categories = output, reduced = task.plan.output, task.plan.reduced
        of_point = self._numbers_at("p", "p")
        self._slabs = [Slabs(e, task.homes, shape, real, arrays, categories, of_point) for e in products]
        numbers = self._numbers_at(f"ty * {shape.side_rows} + t", f"tx * {shape.side_columns} + u")

        def of_pair(node: Expression, k: int) -> str | None:
            return f"q{node.params[0]}" if isinstance(node, Product) else numbers(node, k)

        self._pair = LoopBlock(real, "v", of_pair, {output: "i", reduced: "j"}, arrays)
        (self._number,) = self._pair.compute([(substitute(number, stand_ins(products)), 0)])
        # of the difference, the vector of the reduced index is loaded as a vector alone is
        of_column, of_row = (vector, None) if minus is None else (minus, vector)
        numbers = self._numbers_at(f"ty * {shape.side_rows} + t", "(int)(j - start)")
        vectors = [
            self._vector(of_column, LoopBlock(real, "b", numbers, {reduced: "j"}, arrays)),
            None if of_row is None else self._vector(of_row, LoopBlock(real, "o", numbers, {output: "i"}, arrays)),
        ]
        self._multiplication = Multiplication(fold, sizes, self._tile_of_pairs, self._sums, *vectors)
        self._row = LoopBlock(real, "x", self._constant, {output: "i"}, arrays)
        self._row_values = self._row.compute(self._hoisted[Home.OUTPUT])
        self._lane = LoopBlock(real, "y", self._constant, {reduced: "j"}, arrays)
        self._lane_values = self._lane.compute(self._hoisted[Home.REDUCED])
        self._const = LoopBlock(real, "w", arrays=arrays)
        self._const_values = self._const.compute(self._hoisted[Home.CONSTANT])
        self._choose_slabs()
        self._choose_buffers()

    # -- where values come from -------------------------------------------------------------------------------
    def _constant(self, node: Expression, k: int) -> str | None:
        if self._homes(node) is not Home.CONSTANT or at_first_point(node):
            return None
        return f"c{self._hoisted[Home.CONSTANT].setdefault((node, k), len(self._hoisted[Home.CONSTANT]))}"

    def _numbers_at(self, row: str, lane: str) -> Callable[[Expression, int], str | None]:
        """What the numbers of one index are called where the row and the column have these numbers in the tile: they are computed
        once and wait in shared memory."""

        def outside(node: Expression, k: int) -> str | None:
            home = self._homes(node)
            if home is Home.PAIR:
                return None
            if home is Home.CONSTANT:
                return self._constant(node, k)
            place = self._hoisted[home].setdefault((node, k), len(self._hoisted[home]))
            return f"row{place}[{row}]" if home is Home.OUTPUT else f"lane{place}[{lane}]"

        return outside

    def _vector(self, e: Expression | None, block: LoopBlock) -> Vector:
        """The statements of a vector, or of ones."""
        if e is None:
            return Vector([], [], "(real)1", is_variable=False)
        block.compute_numbers([e])
        numbers, block.lines = block.lines, []
        component = block.component(e, "at")
        return Vector(numbers, block.lines, component, isinstance(e, Variable))

    # -- sizes ------------------------------------------------------------------------------------------------
    def _choose_slabs(self) -> None:
        """Fewer components at a time where shared memory asks for it."""
        for size in (16, 8, 4):
            for slabs in self._slabs:
                slabs.size = size
            if self.shared_bytes <= SHARED_MOST:
                return

    @property
    def _pool(self) -> int:
        return max(self._multiplication.numbers, *(slabs.numbers for slabs in self._slabs), 0)

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a block."""
        numbers = self.rows * len(self._row_values) + self.tile * len(self._lane_values)
        return (self.rows * self.tile + self._pool + numbers) * (4 if self._real == "float" else 8)

    def _choose_buffers(self) -> None:
        """Two buffers for vectors, which save a barrier, where there is room, and there are registers for it."""
        self._multiplication.buffers = 2
        if self.shared_bytes > SHARED_MOST or self.shape.lanes > 32:
            self._multiplication.buffers = 1

    @property
    def _loops(self) -> bool:
        """Whether a pair is too much to be written out for all pairs of a thread."""
        lines = self._pair.lines
        return any("for (" in line for line in lines) or statements_cost(lines, self._real) > 150

    @property
    def blocks_per_multiprocessor(self) -> int:
        """Blocks that a multiprocessor must be able to hold: as many as the registers of a thread permit on every device."""
        if self.threads == 256:
            return 1
        return 3 if self._third_block == "1" else 2

    @property
    def _third_block(self) -> str:
        """Where a third block of 128 threads has room without spills, as a condition of the preprocessor.

        What fits was found by compiling. On an H200 a third block saved softmax, differences and float64 5 to 13 %; with more
        columns of a thread it cost 11 %.
        """
        if self.threads == 256 or len(self._slabs) > 1 or self.sizes.per_thread > 4:
            return "0"
        if self._real == "double":
            return "1"
        if self._exponentials is not None:
            return "0" if self.fold.exact_max or self._loops else "__CUDA_ARCH__ >= 900"
        return "__CUDA_ARCH__ < 1000" if self.product.minus is not None else "1"

    @property
    def rows_per_block(self):
        return self.rows

    @property
    def tile(self):
        return self.shape.columns

    @property
    def registers(self):
        return min(255, FILE // (self.threads * self.blocks_per_multiprocessor))

    # -- text -------------------------------------------------------------------------------------------------
    def text(self, parameters: Sequence[str]) -> str:
        shape, fold = self.shape, self.fold
        attempt = [
            *self._start(),
            "#pragma unroll 1",
            f"for (long long start = base; start < stop; start += {self.tile}) {{",
            f"    const int count = (int)min((long long){self.tile}, stop - start);",
            *indent(self._numbers()),
            *indent(self._multiplication.text()),
            "}",
        ]
        if self._real == "float":
            attempt = [
                "// Compensation makes NaN of infinities. Where there are any, all is done again with care.",
                "#pragma unroll 1",
                "for (bool careful = false;; careful = true) {",
                *indent(attempt),
                "    if (careful) break;",
                *indent(self._all_finite()),
                "    if (!__syncthreads_or(!finite)) break;",
                "}",
            ]
        attempt = [*self._declarations(), *attempt]
        lines = [
            f"#define ROWS {shape.side_rows}",
            f"#if {self._third_block}",
            "#define BLOCKS 3",
            "#else",
            f"#define BLOCKS {min(2, self.blocks_per_multiprocessor)}",
            "#endif",
            *self.head(parameters, "BLOCKS"),
            f"    __shared__ __align__(16) real pairs[{self.tile * self.rows}];",
            f"    __shared__ __align__(16) real pool[{self._pool}];",
            *(f"    __shared__ real row{k}[{self.rows}];" for k in range(len(self._row_values))),
            *(f"    __shared__ real lane{k}[{self.tile}];" for k in range(len(self._lane_values))),
            *indent(self._const.lines),
            *(f"    const real c{k} = {value};" for k, value in enumerate(self._const_values)),
            f"    const int tx = threadIdx.x % {shape.lanes}, ty = threadIdx.x / {shape.lanes};",
            f"    const long long first_row = (long long)blockIdx.x * {self.rows}, end_row = rows;",
            "    const long long split = blockIdx.y;",
            f"    const int column = blockIdx.z * {fold.chunk or 0};",
            "    const long long base = split * chunk, stop = min(columns, base + chunk);",
            *indent(self._load_numbers("row", self.rows, "i", "first_row", "end_row", self._row, self._row_values)),
            *indent(attempt),
            *indent(self._store()),
            "}",
            "#undef ROWS",
            "#undef BLOCKS",
        ]
        return "\n".join(lines) + "\n"

    def _declarations(self) -> list[str]:
        lines = self._sums.declare()
        return lines if self._exponentials is None else [*lines, *self._exponentials.declare()]

    def _start(self) -> list[str]:
        lines = self._multiplication.each_sum(self._sums.start())
        return lines if self._exponentials is None else [*lines, *self._exponentials.start()]

    def _load_numbers(self, name, size, index, first, end, block: LoopBlock, values) -> list[str]:
        """The numbers of one index go to shared memory."""
        if not values:
            return []
        return [
            f"for (int e = threadIdx.x; e < {size}; e += {self.threads}) {{",
            f"    const long long {index} = min({first} + e, {end} - 1);",
            *indent(block.lines),
            *(f"    {name}{k}[e] = {value};" for k, value in enumerate(values)),
            "}",
        ]

    # -- first: a number for each pair --------------------------------------------------------------------------
    def _numbers(self) -> list[str]:
        side = self.shape.side_columns
        lines = [
            "__syncthreads();  // the tile before has been used",
            *self._load_numbers("lane", self.tile, "j", "start", "stop", self._lane, self._lane_values),
        ]
        if not self._slabs:
            lines.append("__syncthreads();")
        lines += [f"real acc[ROWS][{side}];"]
        for n, slabs in enumerate(self._slabs):
            lines += self._tile_of_pairs.each_pair(["acc[t][u] = 0;"])
            lines += slabs.text()
            if n + 1 < len(self._slabs):  # the first of two waits where the pair's number will be
                lines += self._tile_of_pairs.store("acc[t][u]")
        lines += self._multiplication.prefetch("0")
        place = f"const long long i = min(first_row + ty * ROWS + t, end_row - 1), j = min(start + tx * {side} + u, stop - 1);"
        if self._loops:  # one after the other, and not in registers, which cannot be indexed by variables
            at = self._tile_of_pairs.own(f"t / {self.shape.pack}") + f" + t % {self.shape.pack}"
            if self._slabs:
                lines += self._tile_of_pairs.store("acc[t][u]")
            lines += [
                "#pragma unroll 1",
                f"for (int tu = 0; tu < ROWS * {side}; ++tu) {{",
                f"    const int t = tu / {side}, u = tu % {side};",
                f"    {place}",
                *([f"    const real q0 = pairs[{at}];"] if self._slabs else []),
                *indent(self._pair.lines),
                f"    pairs[{at}] = {self._number};",
                "}",
            ]
            return lines if self._exponentials is None else [*lines, *self._tile_of_pairs.load("acc"), *self._exponentials.text()]
        known = [f"const real q{len(self._slabs) - 1} = acc[t][u];"] if self._slabs else []
        if len(self._slabs) > 1:
            lines += [f"real kept[ROWS][{side}];", *self._tile_of_pairs.load("kept")]
            known.append("const real q0 = kept[t][u];")
        lines += self._tile_of_pairs.each_pair([place, *known, *self._pair.lines, f"acc[t][u] = {self._number};"])
        return [*lines, *(self._tile_of_pairs.store("acc[t][u]") if self._exponentials is None else self._exponentials.text())]

    # -- the end ----------------------------------------------------------------------------------------------------
    def _all_finite(self) -> list[str]:
        of_sum = f"finite = finite && fabs({self._sums.total()}) < SKK_INF;"
        lines = ["bool finite = true;", *self._multiplication.each_sum([of_sum])]
        if self._exponentials is not None:
            lines += each_row([f"finite = finite && {self._exponentials.finite()};"])
        return lines

    def _store(self) -> list[str]:
        fold, exponentials = self.fold, self._exponentials
        first, stored = (0, fold.all_columns) if exponentials is None else (2, fold.stored)
        exists = ["i < end_row"]
        if fold.all_columns != self.sizes.columns:
            exists.append(f"within < {self.sizes.chunk}")
        if fold.chunks > 1:
            exists.append(f"column + within < {fold.all_columns}")
        put = f"skk_put(workspace, split, {first} + column + within, {stored}, rows, i, {self._sums.value()});"
        columns = [f"const int within = {self._multiplication.column_of('c')};", f"if ({' && '.join(exists)}) {put}"]
        return each_row(
            [
                "const long long i = first_row + ty * ROWS + t;",
                *([] if exponentials is None else exponentials.store()),
                *each_column(columns, "c", self.sizes.per_thread),
            ]
        )
