"""Sums over the components of vectors, for all pairs of a block: slabs of components go through shared memory.

Such sums are distances, scalar products, and others like ``e | (b - L)``: each component adds the same function of the components
of up to three vectors, which depend on one index each. Every thread has a rectangle of pairs in registers, as in a product of
matrices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar, NamedTuple

from skkeops.formula.expression import Constant, Expression, I, J, Variable, postorder
from skkeops.formula.operations.families import Elementwise
from skkeops.plan.homes import Home, HomeOf

from .expressions import at_first_point, literal, statements_cost
from .loops import LoopBlock
from .text import indent

__all__ = ["Pairwise", "Product", "Shape", "Side", "Slabs", "find_products", "stand_ins"]

_PAD = 4  # so that a transposed write meets few bank conflicts
_MOST_VECTORS = 3
_CHEAP = 12  # instructions of a component of a pair, about, up to which some are written out


class Pairwise(Elementwise):
    """What stands for the distance or scalar product once it is computed."""

    name = "Pairwise"

    @classmethod
    def _category_mask(cls, args, params):
        return 1 << I | 1 << J

    @classmethod
    def output_dim(cls, args, params):
        return 1


class Product(Pairwise):
    """What stands for a sum over components once it is computed; its parameter is its number."""

    name = "Product"


class Shape(NamedTuple):
    """How the threads of a block share its rows and columns.

    Attributes
    ----------
    threads, lanes : int
        Of a block; of a row of it.
    side_rows, side_columns : int
        The rows and the columns of a thread.
    pack : int
        Numbers of 16 bytes.
    apart : bool, default=False
        Whether the packs of columns of a thread lie apart, with a pack of each other thread between two of them. So the threads
        of a warp, which read a pack each, read what is contiguous.
    """

    threads: int
    lanes: int
    side_rows: int
    side_columns: int
    pack: int
    apart: bool = False

    @property
    def rows(self) -> int:
        """The rows of a block."""
        return self.threads // self.lanes * self.side_rows

    @property
    def columns(self) -> int:
        """The columns of a tile."""
        return self.lanes * self.side_columns

    def column(self, u: str = "u", thread: str = "tx") -> str:
        """The number in the tile of a thread's column ``u``."""
        if not self.apart:
            return f"{thread} * {self.side_columns} + {u}"
        return f"({u} / {self.pack}) * {self.lanes * self.pack} + {thread} * {self.pack} + {u} % {self.pack}"


class Side(NamedTuple):
    """A vector whose components go through shared memory.

    Attributes
    ----------
    name : str
        Of its slab.
    of_row : bool
        Whether it is a vector of the output's index.
    statements : list of str
        What its component ``at`` needs, at the point ``i`` or ``j``.
    component : str
        The text of the component ``at``.
    """

    name: str
    of_row: bool
    statements: list[str]
    component: str


def find_products(roots: Iterable[Expression], homes: HomeOf) -> list[Expression]:
    """The sums over components below the roots that `Slabs` can compute."""
    return [node for node in postorder(*roots) if _vectors(node, homes) is not None]


def stand_ins(products: Iterable[Expression]) -> dict[Expression, Expression]:
    """The `Product` that takes the place of each of the products."""
    return {node: Product._new((), (k,)) for k, node in enumerate(products)}


def _vectors(node: Expression, homes: HomeOf) -> list[Expression] | None:
    """The vectors from whose components a sum over components is computed, or None if it is none."""
    if node.name not in ("Scalprod", "Sum") or homes(node) is not Home.PAIR:
        return None
    found: list[Expression] = []
    stack = list(node.args)
    while stack:
        e = stack.pop()
        if isinstance(e, Constant) or (homes(e) is Home.CONSTANT and e.dim == 1):
            continue
        if homes(e) is not Home.PAIR:
            if e not in found:
                found.append(e)
        elif isinstance(e, Elementwise) and e.dim > 1 and not at_first_point(e):
            stack.extend(e.args)
        else:
            return None
    return found if len(found) <= _MOST_VECTORS else None


class Slabs:
    """The statements of one such sum.

    Parameters
    ----------
    node : Expression
        One that `find_products` has found.
    homes : HomeOf
    shape : Shape
    real : {"float", "double"}
    arrays : dict of Variable to str
    categories : tuple of int
        Of the output's and of the reduced index.
    outside : callable
        The texts of numbers that are computed once for all, as for `LoopBlock`.
    """

    #: Whether the last slab is filled up with zeros, where they add nothing to the sum. So the statements of a slab are written
    #: once: with a second copy for the rest, a thread that has 64 pairs needs more registers than there are.
    fills_up: ClassVar[bool] = False

    def __init__(self, node: Expression, homes: HomeOf, shape: Shape, real: str, arrays: dict[Variable, str], categories, outside):
        self._shape = shape
        self._real = real
        self._homes = homes
        self._outside = outside
        vectors = _vectors(node, homes)
        assert vectors is not None
        self.length = max(arg.dim for arg in node.args)
        output, reduced = categories
        self.sides: list[Side] = []
        self._names: dict[Expression, str] = {}
        for n, e in enumerate(vectors):
            of_row = homes(e) is not Home.REDUCED
            block = LoopBlock(real, f"z{n}", index={output: "i"} if of_row else {reduced: "j"}, arrays=arrays, outside=outside)
            block.compute_numbers([e])
            numbers, block.lines = block.lines, []
            component = block.component(e, "at")
            self.sides.append(Side(f"slab{n}", of_row, numbers + block.lines, component))
            self._names[e] = f"x{n}[t]" if of_row else f"y{n}[u]"
        self._lines: list[str] = []
        self._step = self.step(node)
        self.size = 16  # components in shared memory at a time

    def step(self, node: Expression) -> list[str]:
        """The statements by which a component of a sum enters ``acc[t][u]``: of the sum itself, or another of the same vectors."""
        self._lines = []
        factors = [self._text(arg) for arg in node.args]
        return [*self._lines, f"acc[t][u] += {' * '.join(factors)};"]

    def _text(self, e: Expression) -> str:
        """The text of a component of an expression, after the statements that it needs."""
        if e in self._names:
            return self._names[e]
        if isinstance(e, Constant):
            return literal(float(e), self._real)
        if self._homes(e) is Home.CONSTANT and e.dim == 1:
            return self._outside(e, 0)
        values = [self._text(arg) for arg in e.args]
        name = f"s{len(self._lines)}"
        self._lines.append(f"const real {name} = {e.cuda.format(*values, real='real', k='(d0 + m)', **e.cuda_places())};")
        return name

    def _stride(self, of_row: bool) -> int:
        return (self._shape.rows if of_row else self._shape.columns) + _PAD

    @property
    def numbers(self) -> int:
        """How many numbers of shared memory it takes."""
        return sum(self._stride(of_row) for _, of_row, *_ in self.sides) * min(self.size, self.length)

    def text(self, load: Sequence[str] = ()) -> list[str]:
        """Add up ``acc[t][u]`` for the rows from ``first_row`` on and the columns from ``start`` on.

        ``pool`` is the shared memory that is free for the purpose. The statements `load` are executed between two barriers, when
        all threads are done with what was in shared memory before.
        """
        size = min(self.size, self.length)
        rest = 0 if self.fills_up else self.length % size
        if load:
            load = ["if (d0 == 0) {", *indent(load), "}"]
        lines = ["#pragma unroll 1", f"for (int d0 = 0; d0 < {self.length - rest}; d0 += {size}) {{"]
        lines += [*indent(self._slab(size, load)), "}"]
        if rest:
            lines += ["{", f"    const int d0 = {self.length - rest};", *indent(self._slab(rest)), "}"]
        return lines

    def _slab(self, size: int, load: Sequence[str] = ()) -> list[str]:
        shape = self._shape
        lines, first = [*self._before(size), "__syncthreads();"], 0
        for name, of_row, *_ in self.sides:
            lines.append(f"real* const {name} = pool + {first};")
            first += self._stride(of_row) * size
        for of_row, whole in ((True, "first_row + {} <= end_row"), (False, "start + {} <= stop")):
            n = shape.rows if of_row else shape.columns
            sides = [side for side in self.sides if side.of_row == of_row]
            if sides:
                lines += [f"if ({whole.format(n)}) {{", *indent([line for s in sides for line in self._load(s, size, False)])]
                lines += ["} else {", *indent([line for s in sides for line in self._load(s, size, True)]), "}"]
        return [*lines, *load, "__syncthreads();", *self._enter(size)]

    def _before(self, size: int) -> list[str]:
        """Statements before a slab of so many components is loaded; a thread loads the component `_at` of
        ``threadIdx.x % size``."""
        return []

    def _at(self, m: str) -> str:
        """The component that is number ``m`` of a slab."""
        return f"min(d0 + {m}, {self.length - 1})" if self._is_filled_up else f"d0 + {m}"

    @property
    def _is_filled_up(self) -> bool:
        return self.fills_up and self.length % min(self.size, self.length) != 0

    def _loaded(self, component: str) -> str:
        """A component as it goes to shared memory."""
        return f"d0 + m < {self.length} ? {component} : (real)0" if self._is_filled_up else component

    def _enter(self, size: int) -> list[str]:
        """The slab enters the sums."""
        return self._loop(size, self._step)

    def _loop(self, size: int, step: Sequence[str]) -> list[str]:
        unroll = 4 if statements_cost(step, self._real) <= _CHEAP else 1
        return [f"#pragma unroll {unroll}", f"for (int m = 0; m < {size}; ++m) {{", *indent(self._multiply(step)), "}"]

    def _load(self, side: Side, size: int, clamped: bool) -> list[str]:
        """A slab of a vector, component by component of a point, from global memory."""
        name, of_row, statements, component = side
        n = self._shape.rows if of_row else self._shape.columns
        per_turn = self._shape.threads // size  # points
        index, first, end = ("i", "first_row", "end_row") if of_row else ("j", "start", "stop")
        place = f"{first} + p0 + v * {per_turn}"  # so that one address serves all turns
        # The pragmas of the two loops differ, so that the compiler does not make one loop of them, which would clamp every index.
        lines = [
            f"#pragma unroll{' 1' if clamped else ''}",
            f"for (int v = 0; v < {-(-n // per_turn)}; ++v) {{",
            f"    const int m = (int)threadIdx.x % {size}, p0 = (int)threadIdx.x / {size}, p = p0 + v * {per_turn}, "
            f"at = {self._at('m')};",
            f"    const long long {index} = {f'min({place}, {end} - 1)' if clamped else place};",
        ]
        conditions = []
        if self._shape.threads % size:
            conditions.append(f"threadIdx.x < {per_turn * size}")
        if n % per_turn:
            conditions.append(f"p < {n}")
        body = [*statements, f"{name}[m * {self._stride(of_row)} + p] = {self._loaded(component)};"]
        if conditions:
            body = [f"if ({' && '.join(conditions)}) {{", *indent(body), "}"]
        return [*lines, *indent(body), "}"]

    def _multiply(self, step: Sequence[str]) -> list[str]:
        """A component of the slabs enters all pairs of a thread."""
        shape = self._shape
        lines = []
        for n, (name, of_row, *_) in enumerate(self.sides):
            side, variable, thread = (shape.side_rows, "x", "ty") if of_row else (shape.side_columns, "y", "tx")
            lines.append(f"real {variable}{n}[{side}];")
            for part in range(side // shape.pack):
                pack = f"{variable}{n}_{part}"
                if of_row or not shape.apart:
                    at = f"m * {self._stride(of_row)} + {thread} * {side} + {part * shape.pack}"
                else:
                    at = f"m * {self._stride(of_row)} + {part * shape.lanes * shape.pack} + {thread} * {shape.pack}"
                lines.append(f"const real{shape.pack} {pack} = *(const real{shape.pack}*)&{name}[{at}];")
                lines.append(
                    " ".join(f"{variable}{n}[{part * shape.pack + k}] = {pack}.{'xyzw'[k]};" for k in range(shape.pack))
                )
        return [
            *lines,
            "#pragma unroll",
            f"for (int t = 0; t < {shape.side_rows}; ++t) {{",
            "    #pragma unroll",
            f"    for (int u = 0; u < {shape.side_columns}; ++u) {{ {' '.join(step)} }}",
            "}",
        ]
