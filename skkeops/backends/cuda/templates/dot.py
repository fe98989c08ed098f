"""One distance or scalar product of long vectors per pair: computed for blocks of pairs, as matrix products are.

A block of threads has a tile of pairs, a thread a square of them in registers; slabs of components go through shared
memory. Differences are formed before they are squared, as everywhere in this package: the expansion
``|x|^2 + |y|^2 - 2 x.y`` would take half the instructions and lose the digits of close points.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from skkeops.formula.expression import Expression, I, J, Variable, postorder
from skkeops.formula.operations.families import Elementwise

from ..homes import LANE, ROW, Homes
from ..loops import LoopBlock
from .rows import BLOCK, Rows, indent

__all__ = ["LONG", "Dot", "Pairwise", "find", "substitute"]

_SLAB = 16  # components that are in shared memory at a time
_PAD = 4  # so that a transposed write meets few bank conflicts
_LANES = 16  # threads of a row of the block
LONG = {"float": 32, "double": 16}  # shorter vectors are for the other templates


class Pairwise(Elementwise):
    """What stands for the distance or scalar product once it is computed."""

    name = "Pairwise"

    @classmethod
    def _category_mask(cls, args, params):
        return 1 << I | 1 << J

    @classmethod
    def output_dim(cls, args, params):
        return 1


LEAF = Pairwise._new()

#: What a component adds to the total, of the two vectors' components.
_STEPS = {
    "Square": "const real d = {0} - {1}; {2} += d * d;",
    "Abs": "{2} += fabs({0} - {1});",
    "Scalprod": "{2} += {0} * {1};",
}


def find(roots: Iterable[Expression], homes: Homes, real: str) -> Expression | None:
    """The one distance or scalar product of long vectors of the two indices below the roots; None if there is none, or
    more than one."""
    found = [node for node in postorder(*roots) if _match(node, homes, real)]
    return found[0] if len(found) == 1 else None


def _match(node: Expression, homes: Homes, real: str) -> tuple[str, Expression, Expression] | None:
    """The step, the vector of the rows and that of the columns."""
    if node.name == "Scalprod":
        kind, sides = node.name, node.args
    elif node.name == "Sum" and node.args[0].name in ("Square", "Abs") and node.args[0].args[0].name == "Subtract":
        kind, sides = node.args[0].name, node.args[0].args[0].args
    else:
        return None
    by_home = {homes(side): side for side in sides}
    if set(by_home) != {ROW, LANE} or min(side.dim for side in sides) <= LONG[real]:
        return None
    return kind, by_home[ROW], by_home[LANE]


def substitute(root: Expression, target: Expression) -> Expression:
    """The expression with `Pairwise` in the place of another."""
    new: dict[Expression, Expression] = {}
    for node in postorder(root):
        if node is target:
            new[node] = LEAF
        else:
            args = tuple(new[arg] for arg in node.args)
            new[node] = node if args == node.args else type(node)._new(args, node.params)
    return new[root]


class Dot(Rows):
    """The main kernel, with the arguments of `Rows` and the distance or scalar product."""

    name = "dot"
    _block = LoopBlock

    def __init__(self, fold, homes, arrays: dict[Variable, str], real: str, categories, product: Expression):
        match = _match(product, homes, real)
        assert match is not None
        self._step, self._of_row, self._of_lane = match
        self._length = self._of_row.dim
        self._pack = 4 if real == "float" else 2
        self._side = 2 * self._pack  # pairs of a thread along each side of its square
        self.rows = BLOCK // _LANES * self._side
        self._columns = _LANES * self._side
        super().__init__(fold, homes, arrays, real, categories)
        output, reduced = categories
        places = {"arrays": arrays, "outside": self._outside_side}
        self._row_slab = LoopBlock(real, "x", index={output: "i"}, **places)
        (self._row_component,) = self._row_slab.compute([(self._of_row, "at")])
        self._lane_slab = LoopBlock(real, "y", index={reduced: "j"}, **places)
        (self._lane_component,) = self._lane_slab.compute([(self._of_lane, "at")])
        self._const = LoopBlock(real, "w", arrays=arrays)  # the slabs may have asked for more
        self._const_values = self._const.compute(self._hoisted_constants())

    def _pair_blocks(self, arrays, output, reduced):
        places = {"index": {output: "i", reduced: "j"}, "arrays": arrays}
        return tuple(LoopBlock(self._real, "v", self._outside_pair, **places) for _ in range(2))

    def _outside_pair(self, node, k):
        if node is LEAF:
            return "q"
        return super()._outside_pair(node, k)

    def _choose_rows(self):
        return self._side, 110

    def _choose_tile(self):
        return self._columns

    def text(self, parameters: Sequence[str]) -> str:
        """The kernel ``skk_dot``."""
        fold, side = self.fold, self._side
        lanes = range(len(self._lane_values))
        lines = [
            f"#define ROWS {side}",
            f'extern "C" __global__ void __launch_bounds__({BLOCK}, 2) skk_dot('
            + "".join(f"{parameter}, " for parameter in parameters),
            "    char* __restrict__ workspace, long long rows, long long columns, long long chunk, long long splits)",
            "{",
            f"    __shared__ __align__(16) real of_rows[{_SLAB}][{self.rows + _PAD}];",
            f"    __shared__ __align__(16) real of_columns[{_SLAB}][{self._columns + _PAD}];",
            *(f"    __shared__ real lane{k}[{self._columns}];" for k in lanes),
            *indent(self._const.lines),
            *(f"    const real c{k} = {value};" for k, value in enumerate(self._const_values)),
            *(f"    real r{k}[ROWS];" for k in range(len(self._row_values))),
            *indent(fold.declarations),
            f"    const int tx = threadIdx.x % {_LANES}, ty = threadIdx.x / {_LANES};",
            f"    const long long first_row = (long long)blockIdx.x * {self.rows}, end_row = rows;",
            "    const long long split = blockIdx.y;",
            *([f"    const int column = blockIdx.z * {fold.chunk};"] if fold.chunks > 1 else []),
            "    const long long base = split * chunk, stop = min(columns, base + chunk);",
            *self._for_rows([*self._row_prologue(), *fold.start()], "    "),
            f"    for (long long start = base; start < stop; start += {self._columns}) {{",
            f"        real acc[ROWS][{side}];",
            *self._for_rows([f"acc[t][{u}] = 0;" for u in range(side)], " " * 8),
            "        #pragma unroll 1",
            f"        for (int d0 = 0; d0 < {self._length}; d0 += {_SLAB}) {{",
            "            __syncthreads();",
            *self._load_slab("of_rows", self.rows, "i", "first_row", "end_row", self._row_slab, self._row_component),
            *self._load_slab("of_columns", self._columns, "j", "start", "stop", self._lane_slab, self._lane_component),
            *self._load_lanes(),
            "            __syncthreads();",
            "            #pragma unroll 4",
            f"            for (int m = 0; m < {_SLAB}; ++m) {{",
            *indent(self._multiply(), " " * 16),
            "            }",
            "        }",
            *indent(fold.group(), " " * 8),
            f"        const bool whole = start + {self._columns} <= stop;",
            "        if (whole) {",
            "            #pragma unroll",
            f"            for (int u = 0; u < {side}; ++u) {{",
            *indent(self._unpack(), " " * 16),
            *self._for_rows([*self._row_number(), "const real q = acc[t][u];", *self._fast_lines()], " " * 16),
            "            }",
            "        }",
            *self._finish_group(" " * 8),
            "    }",
            *indent(self._across_threads()),
            "}",
            "#undef ROWS",
        ]
        return "\n".join(lines) + "\n"

    def _row_of(self) -> str:
        return "first_row + ty * ROWS + t"

    def _row_number(self) -> list[str]:
        return [f"const long long i = min({self._row_of()}, end_row - 1);"]

    def _load_slab(self, name, size, index, first, end, block: LoopBlock, component: str) -> list[str]:
        lines = [
            f"for (int e = threadIdx.x; e < {size * _SLAB}; e += {BLOCK}) {{",
            f"    const int m = e % {_SLAB}, at = min(d0 + m, {self._length - 1});",
            f"    const long long {index} = min({first} + e / {_SLAB}, {end} - 1);",
            *indent(block.lines),
            f"    {name}[m][e / {_SLAB}] = d0 + m < {self._length} ? {component} : (real)0;",
            "}",
        ]
        return indent(lines, " " * 12)

    def _load_lanes(self) -> list[str]:
        if not self._lane_values:
            return []
        lines = [
            f"if (d0 == 0) for (int e = threadIdx.x; e < {self._columns}; e += {BLOCK}) {{",
            "    const long long j = min(start + e, stop - 1);",
            *indent(self._lane.lines),
            *(f"    lane{k}[e] = {value};" for k, value in enumerate(self._lane_values)),
            "}",
        ]
        return indent(lines, " " * 12)

    def _multiply(self) -> list[str]:
        """A component of the slab enters all pairs of a thread."""
        pack, half = self._pack, self._columns // 2
        kind = f"real{pack}"
        lines = [f"real x[{self._side}], y[{self._side}];"]
        for part in range(2):
            lines.append(f"const {kind} xs{part} = *(const {kind}*)&of_rows[m][ty * ROWS + {part * pack}];")
            lines.append(f"const {kind} ys{part} = *(const {kind}*)&of_columns[m][{part * half} + tx * {pack}];")
            for k in range(pack):
                lines.append(f"x[{part * pack + k}] = xs{part}.{'xyzw'[k]}; y[{part * pack + k}] = ys{part}.{'xyzw'[k]};")
        step = _STEPS[self._step].format("x[t]", "y[u]", "acc[t][u]")
        inner = ["#pragma unroll", f"for (int u = 0; u < {self._side}; ++u) {{ {step} }}"]
        return lines + self._for_rows(inner, "")

    def _place_of_column(self) -> str:
        pack = self._pack
        return f"const int where = (u / {pack}) * {self._columns // 2} + tx * {pack} + u % {pack};"

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
            f"    {self._place_of_column().replace('where', 'offset')}",
            "    if (start + offset >= stop) continue;",
            "    const int at = (int)(start - base) + offset;",
            *indent(self._row_number()),
            "    real q = acc[t][0];",
            *indent(choices),
        ]

    def _across_threads(self) -> list[str]:
        fields = self.fold.fields()
        shuffled = [
            *(f"const {kind} o{n} = __shfl_xor_sync(0xffffffffu, {name}, d);" for n, (kind, name) in enumerate(fields)),
            *self.fold.combine([f"o{n}" for n in range(len(fields))]),
        ]
        stored = [f"const long long i = {self._row_of()};", "if (i < end_row) {", *indent(self.fold.store()), "}"]
        return [
            "#pragma unroll 1",
            f"for (int d = {_LANES // 2}; d > 0; d /= 2) {{",
            *self._for_rows(shuffled, "    "),
            "}",
            "if (tx == 0) {",
            *self._for_rows(stored, "    "),
            "}",
        ]

