"""Many output columns: a number per pair, then the product of the matrix of these numbers with the columns' vectors.

A block of threads has a tile of pairs. First it computes the number of every pair, a kernel's value or an exponential,
through slabs of components (`slabs`), and leaves it in shared memory. Then it multiplies: a thread has some rows and some
of the output's columns in registers, to which every pair of the tile adds. The matrix of the numbers never exists.

Output columns that do not fit in a block are for other blocks, which compute the numbers again.
"""

from __future__ import annotations

from collections.abc import Sequence

from skkeops.formula.expression import Expression, Variable
from skkeops.plan.plan import Plan

from ..expressions import Component, at_first_point, statements_cost
from ..homes import CONST, LANE, PAIR, ROW, Homes
from ..loops import LoopBlock
from ..options import Options
from ..prelude import FINITE_MAX
from .folds import Fold, ShiftExpFold, SumFold
from .rows import indent
from .slabs import Product, Shape, Slabs, find_products, substitute_products

__all__ = ["Matrix", "Sizes", "matrix_arguments"]

_SHARED = 48 << 10
_GROUP = {"float": 16, "double": 8}  # pairs between two barriers, and float32 additions between two with compensation
_ACCEPTED = "(real)1048576"  # 2^20: what four exponentials may add up to before the reference rises
_FILE = 65536


class Sizes:
    """How the work is divided.

    Parameters
    ----------
    columns : int
        Of the output.
    real : {"float", "double"}
    kind : {"sum", "difference", "softmax"}
        What a thread has in registers besides.

    Attributes
    ----------
    shape : Shape
        Of the pairs.
    per_thread : int
        Output columns of a thread.
    chunk : int
        Output columns of a block.
    """

    #: The most output columns of a thread, by the lanes of a row: what registers and shared memory have room for.
    _MOST = {
        "float": {"sum": {16: 8, 32: 7}, "difference": {16: 4, 32: 4}, "softmax": {16: 6, 32: 6}},
        "double": {"sum": {16: 8, 32: 6}, "difference": {16: 5, 32: 5}, "softmax": {16: 8, 32: 6}},
    }

    def __init__(self, columns: int, real: str, kind: str):
        most = self._MOST[real][kind]
        lanes = 16 if columns <= 16 * most[16] else 32
        chunks = -(-columns // (lanes * most[lanes]))
        self.chunk = -(-columns // chunks)
        self.per_thread = -(-self.chunk // lanes)
        # several small blocks of a multiprocessor do different things at a time; large ones load less
        threads = 128 if lanes == 16 and self.per_thread <= 4 else 256
        self.shape = Shape(threads, lanes, 8 if real == "float" else 4, 4, 4 if real == "float" else 2)

    @property
    def columns(self) -> int:
        """Columns that a block has room for."""
        return self.shape.lanes * self.per_thread


def matrix_arguments(plan: Plan, homes: Homes, real: str, options: Options, value, terms):
    """What a `Matrix` takes besides the rest: sizes, number, vector, minus and products; None if the plan has another form.

    Parameters
    ----------
    plan : Plan
    homes : Homes
    real : {"float", "double"}
    options : Options
    value, terms
        Of the plan, rewritten.
    """
    fold = plan.problem.reduction.fold
    if fold not in ("sum", "shift_exp") or options.accumulator not in ("block", "float64" if real == "double" else "block"):
        return None
    if fold == "sum":
        number, vector, minus = terms[0]
    else:
        weights = [v for _, v, _ in terms if v is not None]
        number, vector, minus = (value, weights[0], None) if weights else (None, None, None)
    if number is None or number.dim != 1:
        return None
    found = [homes(e) for e in (vector, minus) if e is not None]
    if minus is None and not set(found) <= {LANE, CONST}:
        return None
    if minus is not None and found != [ROW, LANE]:
        return None
    columns = max([e.dim for e in (vector, minus) if e is not None], default=1)
    kind = "softmax" if fold == "shift_exp" else "sum" if minus is None else "difference"
    return Sizes(columns, real, kind), number, vector, minus, find_products([number], homes)


class Matrix:
    """The main kernel.

    Parameters
    ----------
    fold : SumFold or ShiftExpFold
    homes : Homes
    arrays : dict of Variable to str
    real : {"float", "double"}
    categories : tuple of int
        The categories of the output's and of the reduced index.
    sizes : Sizes
    number, vector, minus : Expression or None
        ``number * (vector - minus)`` is summed, or for a log-sum-exp ``exp(number - m) * vector``. The number is one per
        pair; the vector depends on the reduced index, or with `minus` on the output's, and `minus` on the reduced one.
    products : list of Expression
        The sums over components in the number.
    """

    name = "matrix"

    def __init__(
        self,
        fold: Fold,
        homes: Homes,
        arrays: dict[Variable, str],
        real: str,
        categories: tuple[int, int],
        sizes: Sizes,
        number: Expression,
        vector: Expression | None,
        minus: Expression | None,
        products: list[Expression],
    ):
        assert isinstance(fold, SumFold | ShiftExpFold)
        self.fold = fold
        self.sizes = sizes
        self._shift = fold if isinstance(fold, ShiftExpFold) else None
        self._homes = homes
        self._real = real
        self._hoisted: dict[str, dict[Component, int]] = {ROW: {}, LANE: {}, CONST: {}}
        shape = self.shape = sizes.shape
        self.threads, self.rows, self.tile = shape.threads, shape.rows, shape.columns
        self._group = _GROUP[real]
        output, reduced = categories
        places = {"arrays": arrays, "outside": self._outside_side}
        self._slabs = [Slabs(e, homes, shape, real, arrays, categories, self._outside_side) for e in products]
        self._pair = LoopBlock(real, "v", self._outside_pair, {output: "i", reduced: "j"}, arrays)
        (self._number,) = self._pair.compute([(substitute_products(number, products), 0)])
        self._row = LoopBlock(real, "x", index={output: "i"}, **places)
        self._row_values = self._row.compute(self._hoisted[ROW])
        self._lane = LoopBlock(real, "y", index={reduced: "j"}, **places)
        self._lane_values = self._lane.compute(self._hoisted[LANE])
        # of the difference, what is of the reduced index is loaded as a vector is
        self._of_lane, self._of_row = (vector, None) if minus is None else (minus, vector)
        self._lane_component = self._component(self._of_lane, "b", {reduced: "j"}, places)
        self._row_component = self._component(self._of_row, "a", {output: "i"}, places)
        self._const = LoopBlock(real, "w", arrays=arrays)
        self._const_values = self._const.compute(self._hoisted[CONST])
        self._choose_slabs()

    # -- where values come from -------------------------------------------------------------------------------
    def _outside_pair(self, node: Expression, k: int) -> str | None:
        if isinstance(node, Product):
            return f"q{node.params[0]}"
        home = self._homes(node)
        if home == PAIR:
            return None
        place = self._hoisted[home].setdefault((node, k), len(self._hoisted[home]))
        side_rows, side_columns = self.shape.side_rows, self.shape.side_columns
        row, lane = f"row{place}[ty * {side_rows} + t]", f"lane{place}[tx * {side_columns} + u]"
        return {ROW: row, LANE: lane, CONST: f"c{place}"}[home]

    def _outside_side(self, node: Expression, k: int) -> str | None:
        if self._homes(node) != CONST or at_first_point(node):
            return None
        return f"c{self._hoisted[CONST].setdefault((node, k), len(self._hoisted[CONST]))}"

    def _component(self, e: Expression | None, prefix: str, index, places) -> tuple[list[str], list[str], str]:
        """Of a vector: the statements of its numbers, those of component ``at``, and its text."""
        if e is None:
            return [], [], "(real)1"
        block = LoopBlock(self._real, prefix, index=index, **places)
        block.compute_numbers([e])
        numbers, block.lines = block.lines, []
        return numbers, block.lines, block.component(e, "at")

    # -- sizes ------------------------------------------------------------------------------------------------
    def _choose_slabs(self) -> None:
        """Fewer components at a time where shared memory asks for it."""
        for size in (16, 8, 4):
            for slabs in self._slabs:
                slabs.size = size
            if self.shared_bytes <= _SHARED:
                return

    @property
    def _pool(self) -> int:
        return max(self._group * self.sizes.columns, *(slabs.numbers for slabs in self._slabs), 0)

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a block."""
        numbers = self.rows * len(self._row_values) + self.tile * len(self._lane_values)
        return (self.rows * self.tile + self._pool + numbers) * (4 if self._real == "float" else 8)

    @property
    def fits(self) -> bool:
        """Whether there is a kernel: enough shared memory, and not too much to compute from products in registers."""
        return self.shared_bytes <= _SHARED and len(self._slabs) <= 2 and not (self._slabs and self._loops)

    @property
    def _loops(self) -> bool:
        """Whether a pair is too much to be written out for all pairs of a thread."""
        lines = self._pair.lines
        return any("for (" in line for line in lines) or statements_cost(lines, self._real) > 150

    @property
    def blocks_per_multiprocessor(self) -> int:
        """Blocks that a multiprocessor must be able to hold."""
        if self.threads == 256:
            return 1
        return 2 if self._shift is not None or self._of_row is not None else 3

    @property
    def registers(self) -> int:
        """The most registers that a thread can have."""
        return min(255, _FILE // (self.threads * self.blocks_per_multiprocessor))

    # -- text -------------------------------------------------------------------------------------------------
    def text(self, parameters: Sequence[str]) -> str:
        """The kernel ``skk_matrix``."""
        shape, fold = self.shape, self.fold
        attempt = [
            *self._start(),
            "#pragma unroll 1",
            f"for (long long start = base; start < stop; start += {self.tile}) {{",
            f"    const int count = (int)min((long long){self.tile}, stop - start);",
            *indent(self._numbers()),
            *indent(self._multiply()),
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
            f'extern "C" __global__ void __launch_bounds__({self.threads}, {self.blocks_per_multiprocessor}) skk_matrix('
            + "".join(f"{parameter}, " for parameter in parameters),
            "    char* __restrict__ workspace, long long rows, long long columns, long long chunk, long long splits)",
            "{",
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
        ]
        return "\n".join(lines) + "\n"

    def _each(self, body: Sequence[str], count: int | None = None, columns: bool = True) -> list[str]:
        """The body for all rows ``t`` of a thread, and its columns ``c``."""
        inner = list(body)
        if columns:
            inner = ["#pragma unroll", f"for (int c = 0; c < {count or self.sizes.per_thread}; ++c) {{", *indent(body), "}"]
        return ["#pragma unroll", "for (int t = 0; t < ROWS; ++t) {", *indent(inner), "}"]

    @property
    def _compensated(self) -> bool:
        return self._real == "float"

    def _declarations(self) -> list[str]:
        lines = [f"real total[ROWS][{self.sizes.per_thread}];"]
        if self._compensated:
            lines.append(f"real part[ROWS][{self.sizes.per_thread}];")
        if self._shift is not None:
            lines += ["real m[ROWS], unit[ROWS];", *(["real unit_part[ROWS];"] if self._compensated else [])]
            lines += ["real top[ROWS];"] if self._shift.exact_max else []
        return lines

    def _start(self) -> list[str]:
        lines = self._each(["total[t][c] = 0;", *(["part[t][c] = 0;"] if self._compensated else [])])
        if self._shift is not None:
            body = [f"m[t] = -{FINITE_MAX[self._real]}; unit[t] = 0;", *(["unit_part[t] = 0;"] if self._compensated else [])]
            body += ["top[t] = -SKK_INF;"] if self._shift.exact_max else []
            lines += self._each(body, columns=False)
        return lines

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
            lines += self._each_pair(["acc[t][u] = 0;"])
            lines += slabs.text()
            if n + 1 < len(self._slabs):  # the first of two waits where the pair's number will be
                lines += self._store_pairs("acc[t][u]")
        first = len(self._slabs) > 1
        lines += self._prefetch("0")
        if first:
            lines += [f"real kept[ROWS][{side}];", *self._load_pairs("kept")]
        body = [
            f"const long long i = min(first_row + ty * ROWS + t, end_row - 1), j = min(start + tx * {side} + u, stop - 1);",
            *([f"const real q{len(self._slabs) - 1} = acc[t][u];"] if self._slabs else []),
            *(["const real q0 = kept[t][u];"] if first else []),
            *self._pair.lines,
        ]
        if self._loops:  # registers cannot be indexed by variables
            at = self._pack_of(f"tx * {side} + u", f"t / {self.shape.pack}", "tx & 7") + f" + t % {self.shape.pack}"
            lines += ["#pragma unroll 1", "for (int t = 0; t < ROWS; ++t) {", "    #pragma unroll 1"]
            lines += [f"    for (int u = 0; u < {side}; ++u) {{", *indent(body, " " * 8)]
            lines += [f"        pairs[{at}] = {self._number};", "    }", "}", *self._load_pairs("acc")]
        else:
            lines += self._each_pair([*body, f"acc[t][u] = {self._number};"])
        return [*lines, *(self._store_pairs("acc[t][u]") if self._shift is None else self._exponentials(self._shift))]

    def _each_pair(self, body: Sequence[str]) -> list[str]:
        inner = ["#pragma unroll", f"for (int u = 0; u < {self.shape.side_columns}; ++u) {{", *indent(body), "}"]
        return ["#pragma unroll", "for (int t = 0; t < ROWS; ++t) {", *indent(inner), "}"]

    def _pack_of(self, column: str, part: str, swizzle: str) -> str:
        """Where a pack of rows of a column of the tile is. Columns are permuted, so that neither those who write nor those
        who read meet bank conflicts."""
        packs = self.shape.side_rows // self.shape.pack
        return f"({column}) * {self.rows} + ((ty * {packs} + {part}) ^ ({swizzle})) * {self.shape.pack}"

    def _store_pairs(self, value: str) -> list[str]:
        pack, side = self.shape.pack, self.shape.side_columns
        lines = ["#pragma unroll", f"for (int u = 0; u < {side}; ++u) {{"]
        for part in range(self.shape.side_rows // pack):
            values = ", ".join(value.replace("[t]", f"[{part * pack + k}]") for k in range(pack))
            at = self._pack_of(f"tx * {side} + u", str(part), "tx & 7")
            lines.append(f"    *(real{pack}*)&pairs[{at}] = skk_pack({values});")
        return [*lines, "}"]

    def _load_pairs(self, name: str) -> list[str]:
        pack, side = self.shape.pack, self.shape.side_columns
        lines = ["#pragma unroll", f"for (int u = 0; u < {side}; ++u) {{"]
        for part in range(self.shape.side_rows // pack):
            at = self._pack_of(f"tx * {side} + u", str(part), "tx & 7")
            lines.append(f"    const real{pack} p{part} = *(const real{pack}*)&pairs[{at}];")
            lines += [f"    {name}[{part * pack + k}][u] = p{part}.{'xyzw'[k]};" for k in range(pack)]
        return [*lines, "}"]

    def _exponentials(self, fold: ShiftExpFold) -> list[str]:
        """Exponentials against a reference that may be out of date; if they are too large, or there is any infinity or NaN
        or the tile is not whole, with the reference of the tile and by the rules of the reductions."""
        exp, side, lanes = ("exp2" if fold.base_2 else "skk_exp"), self.shape.side_columns, self.shape.lanes
        top = ["top[t] = fmax(top[t], acc[t][u]);"] if fold.exact_max else []
        power = [
            "const real down = fmax(m[t] - up, (real)-1000), half = floor((real)0.5 * down);",
            "const real by = exp2(half), too = exp2(down - half);  // two, as the power may be below the smallest number",
        ]
        if not fold.base_2:
            power = ["const real by = skk_exp((real)0.5 * (m[t] - up)), too = by;"]
        scaled = ["total[t][c] = total[t][c] * by * too;"]
        scaled_unit = ["unit[t] = unit[t] * by * too;"]
        if self._compensated:
            scaled.append("part[t][c] = part[t][c] * by * too;")
            scaled_unit.append("unit_part[t] = unit_part[t] * by * too;")
        n = self.sizes.per_thread
        return [
            "real e[ROWS], sum[ROWS];",
            f"int accepted = count == {self.tile};",
            "#pragma unroll",
            "for (int t = 0; t < ROWS; ++t) sum[t] = 0;",
            *self._with_exponentials([f"e[t] = {exp}(acc[t][u] - m[t]);", "sum[t] += e[t];"]),
            *self._each([f"accepted &= sum[t] < {_ACCEPTED};"], columns=False),
            "if (!__all_sync(0xffffffffu, accepted)) {  // a row is within a warp",
            *indent(
                self._each(
                    [
                        "real most = -SKK_INF;",
                        "#pragma unroll",
                        f"for (int u = 0; u < {side}; ++u)",
                        f"    if (tx * {side} + u < count && acc[t][u] > most) most = acc[t][u];",
                        f"for (int d = {lanes // 2}; d > 0; d /= 2) most = fmax(most, __shfl_xor_sync(0xffffffffu, most, d));",
                        "if (most > m[t]) {",
                        f"    const real up = {'ceil(most)' if fold.base_2 else 'most'};",
                        *indent(power),
                        "    #pragma unroll",
                        f"    for (int c = 0; c < {n}; ++c) {{ {' '.join(scaled)} }}",
                        *indent(scaled_unit),
                        "    m[t] = up;",
                        "}",
                        "sum[t] = 0;",
                    ],
                    columns=False,
                )
            ),
            *indent(
                self._with_exponentials(
                    [
                        f"e[t] = acc[t][u] == SKK_INF ? SKK_INF : {exp}(acc[t][u] - m[t]);",
                        f"if (tx * {side} + u < count) {{ sum[t] += e[t]; {' '.join(top)} }}",
                    ]
                )
            ),
            *(["} else {", *indent(self._each_pair(top))] if top else []),
            "}",
            *self._enter_unit(),
        ]

    def _with_exponentials(self, body: Sequence[str]) -> list[str]:
        """For every column ``u`` of a tile: e[t] is computed and stored."""
        pack, side = self.shape.pack, self.shape.side_columns
        lines = ["#pragma unroll", f"for (int u = 0; u < {side}; ++u) {{"]
        lines += indent(["#pragma unroll", "for (int t = 0; t < ROWS; ++t) {", *indent(body), "}"])
        for part in range(self.shape.side_rows // pack):
            values = ", ".join(f"e[{part * pack + k}]" for k in range(pack))
            at = self._pack_of(f"tx * {side} + u", str(part), "tx & 7")
            lines.append(f"    *(real{pack}*)&pairs[{at}] = skk_pack({values});")
        return [*lines, "}"]

    def _enter_unit(self) -> list[str]:
        if not self._compensated:
            return self._each(["unit[t] += sum[t];"], columns=False)
        parts = self._each(["unit_part[t] += sum[t];"], columns=False)
        return [*parts, *self._flush("unit[t]", "unit_part[t]", columns=False, careful=True)]

    # -- second: the product --------------------------------------------------------------------------------------
    @property
    def _loaders(self) -> int:
        return self.threads // self._group  # threads that load the vector of a column of the tile

    @property
    def _loads(self) -> int:
        return -(-self.sizes.columns // self._loaders)

    def _prefetch(self, first: str) -> list[str]:
        """The next vectors are on their way while something else is computed."""
        numbers, lines, text = self._lane_component
        # of 64 bits, so that one address serves all; components of other expressions are computed with 32
        kind = "long long" if isinstance(self._of_lane, Variable) else "int"
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
        last = f"min((int)(column + {c}), {self.fold.all_columns - 1})"
        return last if self.fold.all_columns < self.sizes.columns or self.fold.chunks > 1 else c

    def _at_load(self, kind: str) -> str:
        """The component that a thread loads in its turn ``v``; only the last turns can leave the vector."""
        c = f"(int)threadIdx.x % {self._loaders} + ({kind})v * {self._loaders}"
        surely = (self.fold.all_columns - (self.fold.chunks - 1) * self.sizes.chunk) // self._loaders
        if surely >= self._loads:
            return f"column + {c}"
        return f"v < {surely} ? column + {c} : ({kind})min((int)(column + {c}), {self.fold.all_columns - 1})"

    def _multiply(self) -> list[str]:
        shape, group, room, n = self.shape, self._group, self.sizes.columns, self.sizes.per_thread
        at = f"threadIdx.x % {self._loaders} + v * {self._loaders}"
        put = f"pool[threadIdx.x / {self._loaders} * {room} + {at}] = next[v];"
        if room % self._loaders:
            put = f"if ({at} < {room}) {put}"
        lines = []
        if self._of_row is not None:
            numbers, statements, text = self._row_component
            lines += [
                f"real own[ROWS][{n}];",
                *self._each(
                    ["const long long i = min(first_row + ty * ROWS + t, end_row - 1);", *numbers,
                     "#pragma unroll", f"for (int c = 0; c < {n}; ++c) {{", f"    const int at = {self._at(self._column_of('c'))};",
                     *indent(statements), f"    own[t][c] = {text};", "}"], columns=False
                ),
            ]  # fmt: skip
        step = 2 * group if self._compensated else group
        packs = shape.side_rows // shape.pack
        fast = [f"const int here = k0 * {self.rows} + ((ty * {packs}) ^ (k0 / {shape.side_columns} & 7)) * {shape.pack};"]
        fast += [
            "const real* swizzled[8];",
            "#pragma unroll",
            f"for (int q = 0; q < 8; ++q) swizzled[q] = pairs + (here ^ q * {shape.pack});",
        ]
        for half in range(0, step, group):
            k0 = f"k0 + {half}" if half else "k0"
            fast += [
                *self._load_vectors(put, k0, last=half + group == step),
                "#pragma unroll",
                f"for (int k = 0; k < {group}; ++k) {{",
                *indent(self._add(half)),
                "}",
                *self._flush("total[t][c]", "part[t][c]", columns=True, careful=False),
            ]
        slow = [
            "#pragma unroll 1",
            f"for (int k1 = k0; k1 < min(k0 + {step}, count); k1 += {group}) {{",
            *indent(self._load_vectors(put, "k1", last=True)),
            "    #pragma unroll 1",
            f"    for (int k = 0; k < min({group}, count - k1); ++k) {{",
            *indent(self._add(), " " * 8),
            "    }",
            *indent(self._flush("total[t][c]", "part[t][c]", columns=True, careful=True)),
            "}",
        ]
        return [
            *lines,
            "#pragma unroll 1",
            f"for (int k0 = 0; k0 < count; k0 += {step}) {{",
            f"    if ({'!careful && ' if self._compensated else ''}k0 + {step} <= count) {{",
            *indent(fast, " " * 8),
            "    } else {",
            *indent(slow, " " * 8),
            "    }",
            "}",
        ]

    def _load_vectors(self, put: str, k: str, last: bool) -> list[str]:
        """The vectors of a group go to shared memory, and the next ones are on their way."""
        following = self._prefetch(f"{k} + {self._group}")
        if last:
            following = [f"if ({k} + {self._group} < count) {{", *indent(following), "}"]
        return [
            "__syncthreads();",
            "#pragma unroll",
            f"for (int v = 0; v < {self._loads}; ++v) {put}",
            "__syncthreads();",
            *following,
        ]

    def _packs(self) -> list[tuple[int, int]]:
        """The packs of a thread's output columns: the first of each among the thread's, and its size."""
        found, first, n = [], 0, self.sizes.per_thread
        while first < n:
            size = max(s for s in (4, 2, 1) if s <= min(n - first, self.shape.pack))
            found.append((first, size))
            first += size
        return found

    def _column_of(self, c: str) -> str:
        """The column of the block that is the c-th of the thread."""
        lanes = self.shape.lanes
        text = ""
        for first, size in self._packs():
            place = f"{first * lanes} + tx * {size} + {c} - {first}"
            text += f"{c} < {first + size} ? {place} : " if first + size < self.sizes.per_thread else place
        return f"({text})"

    def _add(self, half: int | None = None) -> list[str]:
        """The k-th column of a group adds to all sums of a thread: of the group that begins `half` columns after ``k0``, or for
        None of the one that begins at ``k1``."""
        shape, n = self.shape, self.sizes.per_thread
        lines = [f"real p[ROWS], b[{n}];"]
        for part in range(shape.side_rows // shape.pack):
            if half is None:
                at = f"pairs[{self._pack_of('k1 + k', str(part), f'(k1 + k) / {shape.side_columns} & 7')}]"
            else:
                at = f"swizzled[({half} + k) / {shape.side_columns} & 7 ^ {part}][({half} + k) * {self.rows}]"
            lines.append(f"const real{shape.pack} p{part} = *(const real{shape.pack}*)&{at};")
            lines.append(" ".join(f"p[{part * shape.pack + m}] = p{part}.{'xyzw'[m]};" for m in range(shape.pack)))
        for first, size in self._packs():
            at = f"pool[k * {self.sizes.columns} + {first * shape.lanes} + tx * {size}]"
            if size == 1:
                lines.append(f"b[{first}] = {at};")
                continue
            lines.append(f"const real{size} b{first} = *(const real{size}*)&{at};")
            lines.append(" ".join(f"b[{first + m}] = b{first}.{'xyzw'[m]};" for m in range(size)))
        value = "b[c]" if self._of_row is None else "(own[t][c] - b[c])"
        target = "part" if self._compensated else "total"
        return [*lines, *self._each([f"{target}[t][c] += p[t] * {value};"])]

    def _flush(self, total: str, part: str, columns: bool, careful: bool) -> list[str]:
        """A group's sum enters the total; what the addition rounds off stays, and begins the sum of the next group."""
        if not self._compensated:
            return []
        left = f"{part} - (raised - {total})"
        if careful:  # an infinite sum has lost nothing
            left = f"fabs(raised) < SKK_INF ? {left} : (real)0"
        body = [f"const real raised = {total} + {part};", f"{part} = {left};", f"{total} = raised;"]
        return self._each(body, columns=columns)

    # -- the end ----------------------------------------------------------------------------------------------------
    def _all_finite(self) -> list[str]:
        lines = ["bool finite = true;", *self._each(["finite = finite && fabs(total[t][c]) < SKK_INF;"])]
        if self._shift is not None:
            lines += self._each(["finite = finite && fabs(unit[t]) < SKK_INF;"], columns=False)
        return lines

    def _whole(self, total: str, part: str) -> str:
        return f"(double){total} + (double){part}" if self._compensated else f"(double){total}"

    def _store(self) -> list[str]:
        fold, stored = self.fold, self.fold.all_columns
        first = 0
        body = ["const long long i = first_row + ty * ROWS + t;"]
        if self._shift is not None:
            shift, first = self._shift, 2
            stored = self.fold.all_columns + 2 + shift.exact_max
            start, lanes = f"-{FINITE_MAX[self._real]}", self.shape.lanes
            body += [
                f"double ones = {self._whole('unit[t]', 'unit_part[t]')};",
                f"for (int d = {lanes // 2}; d > 0; d /= 2) ones += __shfl_xor_sync(0xffffffffu, ones, d);",
            ]
            put = f"skk_put(workspace, split, {{}}, {stored}, rows, i, {{}});"
            own = [
                put.format(0, f"m[t] == {start} && ones == 0.0 ? -SKK_DOUBLE_INF : (double)m[t]"),
                put.format(1, "ones"),
            ]
            if shift.exact_max:
                body.append(
                    f"for (int d = {lanes // 2}; d > 0; d /= 2) top[t] = fmax(top[t], __shfl_xor_sync(0xffffffffu, top[t], d));"
                )
                own.append(put.format(stored - 1, "(double)top[t]"))
            body += ["if (i < end_row && tx == 0 && column == 0) {", *indent(own), "}"]
        guard = "" if fold.all_columns == self.sizes.columns else f" && within < {self.sizes.chunk}"
        guard += f" && column + within < {fold.all_columns}" if fold.chunks > 1 else ""
        value = self._whole("total[t][c]", "part[t][c]")
        body += [
            "#pragma unroll",
            f"for (int c = 0; c < {self.sizes.per_thread}; ++c) {{",
            f"    const int within = {self._column_of('c')};",
            f"    if (i < end_row{guard}) skk_put(workspace, split, {first} + column + within, {stored}, rows, i, {value});",
            "}",
        ]
        return self._each(body, columns=False)
