"""From a plan to a program of the tile engine.

Every expression has a home, by what it depends on: CONST (parameters), LANE or ROW (one of the two indices), TILE
(both). A program has one code per home; each computes the expressions of its home that the codes after it ask for,
in the order const, row and lane, tile. Expressions are shared (they are interned), so common sub-expressions
are computed once.

The lanes run over the reduced index (order 0), or over the output index when the reduced axis is short (order 1):
see cython_ext/tile_engine.h.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from skkeops.formula.expression import Constant, Expression, P, Variable
from skkeops.formula.operations.families import Bilinear, Contraction, Selection
from skkeops.plan.plan import Plan, SumTerm

from ._engine import LANE_PAD, OPCODES, Program

TILE, LANE, ROW, CONST = 1, 2, 3, 4

#: Reduced axes up to this length are folded with the lanes along the output axis.
SHORT_AXIS = 64

_TEMPORARIES = 96 << 10  # bytes of temporaries that a tile aims to stay below
_SEGMENT = 256 << 10  # bytes of lane planes that a segment aims to stay below
_ROWS = 512 << 10  # bytes of row planes that a group aims to stay below
_WORK_LIMIT = 256 << 20  # bytes of working memory of a thread: more is refused


class Operand(NamedTuple):
    """Where a value is: ``dim`` planes from ``offset``, or one plane for all components (``step`` 0)."""

    place: int
    offset: int
    dim: int
    step: int

    def part(self, first: int, dim: int) -> Operand:
        return Operand(self.place, self.offset + first * self.step, dim, self.step)


class Instruction(NamedTuple):
    op: int
    dim: int
    table: int
    n_table: int
    d: Operand | None
    a: Operand | None
    b: Operand | None
    c: Operand | None
    imm: tuple[float, ...]


@dataclass
class Side:
    """The planes of one home, and what fills them."""

    planes: int = 0
    loads: list[tuple[int, int, int]] = field(default_factory=list)
    operands: dict[Expression, Operand] = field(default_factory=dict)
    wanted: dict[Expression, None] = field(default_factory=dict)

    def allocate(self, dim: int) -> int:
        first = self.planes
        _check_planes(first + dim)
        self.planes += dim
        return first


class Code:
    """Instructions under construction, with their temporaries."""

    def __init__(self) -> None:
        self.instructions: list[Instruction] = []
        self.n_temps = 0
        self._free: dict[int, list[int]] = {}

    def emit(self, op: str, dim: int, d: Operand, args: Iterable[Operand] = (), imm=(), table=0, n_table=0) -> None:
        code, arity = OPCODES[op]
        a, b, c = (*args, None, None, None)[:3]
        self.instructions.append(Instruction(code, dim, table, n_table, d, a, b, c, tuple(map(float, imm))))

    def temporary(self, dim: int) -> Operand:
        free = self._free.get(dim)
        if free:
            return Operand(TILE, free.pop(), dim, 1)
        first = self.n_temps
        _check_planes(first + dim)
        self.n_temps += dim
        return Operand(TILE, first, dim, 1)

    def release(self, operand: Operand) -> None:
        self._free.setdefault(operand.dim, []).append(operand.offset)


class Match(NamedTuple):
    """An instruction for a node: on which expressions, over how many components."""

    op: str
    operands: tuple[Expression, ...]
    dim: int
    imm: tuple[float, ...] = ()


class Lowering:
    """One use: from the expressions that a fold consumes to the four codes."""

    def __init__(self, variables: tuple[Variable, ...], home_of_category: dict[int, int]) -> None:
        self.index = {variable: k for k, variable in enumerate(variables)}
        self.homes = home_of_category
        self.sides = {LANE: Side(), ROW: Side(), CONST: Side()}
        self.codes = {home: Code() for home in (TILE, LANE, ROW, CONST)}
        self.literals: list[tuple[int, float]] = []
        self.tables: list[int] = []

    # -- homes ------------------------------------------------------------------------------------------------
    def home(self, node: Expression) -> int:
        """Where a node is computed."""
        homes = {self.homes[category] for category in node.categories if category != P}
        if not homes:
            return CONST
        return homes.pop() if len(homes) == 1 else TILE

    # -- matching nodes to instructions -----------------------------------------------------------------------
    def match(self, node: Expression) -> Match | None:
        """The instruction for a node; None for selections, which are views or copies."""
        if isinstance(node, Selection):
            return None
        name = node.name
        if name == "Sum":
            found = self._match_sum(node)
            if found:
                return found
        if name == "Exp":
            (f,) = node.args
            if f.name == "Minus":
                (g,) = f.args
                if g.name == "Mult" and g.dim == node.dim:  # the sign goes to the factor that is hoisted
                    for u, v in (g.args, g.args[::-1]):
                        if self.home(u) != self.home(g):
                            return Match("expmul", (v, -u), node.dim)
                return Match("expmul", (g, Constant(-1)), node.dim)
            if f.name == "Mult" and f.dim == node.dim:
                return Match("expmul", f.args, node.dim)
        if isinstance(node, Bilinear):
            if name == "Scalprod":
                pair = self._lane_and_scalar(*node.args)
                if pair:
                    return Match("dot", pair, node.args[0].dim)
            return Match("bilinear", node.args, node.dim)
        if isinstance(node, Contraction):
            return Match(node.opcode, node.args, node.args[0].dim)
        imm = tuple(node.immediates)
        if node.opcode == "round":
            imm = (10.0 ** imm[0], 10.0 ** -imm[0])
        return Match(node.opcode, node.args, node.dim, imm)

    def _match_sum(self, node: Expression) -> Match | None:
        (f,) = node.args
        metric = {"Square": "sqdist", "Abs": "l1dist"}.get(f.name)
        if metric is None:
            return None
        (g,) = f.args
        if g.name == "Subtract":
            pair = self._lane_and_scalar(*g.args)
            if pair:
                return Match(metric, pair, g.dim)
        return Match("sumsq", (g,), g.dim) if metric == "sqdist" else None

    def _lane_and_scalar(self, f: Expression, g: Expression) -> tuple[Expression, Expression] | None:
        """(f, g) with the one that varies along the lanes first, if exactly one does and none is a tile's."""
        homes = self.home(f), self.home(g)
        if homes in ((LANE, ROW), (LANE, CONST), (ROW, CONST)):
            return f, g
        if homes in ((ROW, LANE), (CONST, LANE), (CONST, ROW)):
            return g, f
        return None

    def operands(self, node: Expression) -> tuple[Expression, ...]:
        found = self.match(node)
        return node.args if found is None else found.operands

    # -- codes ------------------------------------------------------------------------------------------------
    def compile(self, home: int, roots: Iterable[Expression]) -> dict[Expression, Operand]:
        """Emit the code of a home; returns where the roots are. Their temporaries stay."""
        code = self.codes[home]
        roots = list(roots)
        order = self._order(home, roots)
        uses: dict[Expression, int] = {}
        for node in order:
            for operand in self.operands(node):
                uses[operand] = uses.get(operand, 0) + 1
        for root in roots:
            uses[root] = uses.get(root, 0) + 1
        where: dict[Expression, Operand] = {}
        owner: dict[Expression, Expression] = {}  # of a view: the node whose temporary it shows
        targets = set() if home == TILE else set(roots)
        for node in order:
            arguments = [where[a] if a in where else self.outside(a, home) for a in self.operands(node)]
            view = self._view(node, arguments)
            if view is not None:
                where[node] = view
                source = next((a for a in self.operands(node) if a in where), None)
                if source is not None and view.place == TILE:
                    owner[node] = owner.get(source, source)
                    uses[owner[node]] += uses[node]
            elif node in targets:
                side = self.sides[home]
                where[node] = Operand(LANE, side.allocate(node.dim), node.dim, 1)
                self._emit(code, node, where[node], arguments)
            else:
                where[node] = code.temporary(node.dim)
                self._emit(code, node, where[node], arguments)
            for argument in self.operands(node):
                held = owner.get(argument, argument)
                if held not in where:
                    continue
                for name in {argument, held}:
                    uses[name] -= 1
                operand = where[held]
                if uses[held] == 0 and operand.place == TILE and operand.step == 1 and held not in owner:
                    code.release(operand)
        result = {}
        for root in roots:
            operand = where[root] if root in where else self.outside(root, home)
            if root in targets and operand.place == TILE:  # a view of a temporary: it needs planes that last
                planes = Operand(LANE, self.sides[home].allocate(root.dim), root.dim, 1)
                code.emit("copy", root.dim, planes, (operand,))
                operand = planes
            result[root] = operand
        return result

    def _order(self, home: int, roots: list[Expression]) -> list[Expression]:
        """The nodes to compute at this home, arguments first."""
        done: set[Expression] = set()
        order: list[Expression] = []
        stack = [(root, False) for root in reversed(roots)]
        while stack:
            node, ready = stack.pop()
            if ready:
                order.append(node)
            elif node not in done and self.home(node) == home and not isinstance(node, (Variable, Constant)):
                done.add(node)
                stack.append((node, True))
                stack.extend((a, False) for a in reversed(self.operands(node)))
        return order

    def outside(self, node: Expression, home: int) -> Operand:
        """Where code of `home` finds a node that it does not compute."""
        own = self.home(node)
        if isinstance(node, Constant):
            operand = self._literal(node)
        elif isinstance(node, Variable):
            operand = self._variable(node, own)
        else:
            side = self.sides[own]
            if node not in side.operands:
                raise AssertionError(f"{node!r} was not asked for")
            operand = side.operands[node]
        # a code that runs along one index sees its own planes as lanes
        return operand._replace(place=LANE if own == home else own)

    def _literal(self, node: Constant) -> Operand:
        side = self.sides[CONST]
        scalar = Constant(node.value)
        if scalar not in side.operands:
            plane = side.allocate(1)
            side.operands[scalar] = Operand(CONST, plane, 1, 1)
            self.literals.append((plane, float(scalar)))
        return Operand(CONST, side.operands[scalar].offset, node.dim, 0 if node.dim > 1 else 1)

    def _variable(self, node: Variable, home: int) -> Operand:
        side = self.sides[home]
        if node not in side.operands:
            plane = side.allocate(node.dim)
            side.operands[node] = Operand(home, plane, node.dim, 1)
            side.loads.append((self.index[node], plane, node.dim))
        return side.operands[node]

    def _view(self, node: Expression, arguments: list[Operand]) -> Operand | None:
        """A selection that needs no copy: consecutive components, or one component replicated."""
        if not isinstance(node, Selection):
            return None
        chosen = node.selection()
        first = chosen[0]
        if first is None:
            return None
        source, component = first
        operand = arguments[source]
        if len(chosen) == 1:
            return operand.part(component, 1)
        if all(c == first for c in chosen) or (operand.step == 0 and all(c and c[0] == source for c in chosen)):
            return Operand(operand.place, operand.offset + component * operand.step, len(chosen), 0)
        if chosen == tuple((source, component + k) for k in range(len(chosen))):
            return operand.part(component, len(chosen))
        return None

    def _emit(self, code: Code, node: Expression, target: Operand, arguments: list[Operand]) -> None:
        found = self.match(node)
        if found is None:
            self._emit_selection(code, node, target, arguments)
            return
        table = n_table = 0
        if found.op == "bilinear":
            table = len(self.tables)
            for k, products in enumerate(node.terms()):
                for i, j in products:
                    self.tables += (k, i, j)
            n_table = len(self.tables) - table
        # a single component stands for all
        spread = [operand._replace(step=0) if operand.dim == 1 and found.dim > 1 else operand for operand in arguments]
        code.emit(
            found.op, found.dim, target, arguments if found.op == "bilinear" else spread, found.imm, table, n_table
        )

    def _emit_selection(self, code: Code, node: Selection, target: Operand, arguments: list[Operand]) -> None:
        chosen = node.selection()
        k = 0
        while k < len(chosen):
            end = k + 1
            if chosen[k] is None:
                while end < len(chosen) and chosen[end] is None:
                    end += 1
                code.emit("fill", end - k, target.part(k, end - k), (), (0.0,))
            else:
                source, component = chosen[k]
                while end < len(chosen) and chosen[end] == (source, component + end - k):
                    end += 1
                code.emit("copy", end - k, target.part(k, end - k), (arguments[source].part(component, end - k),))
            k = end

    def ask(self, roots: Iterable[Expression], home: int) -> None:
        """Note what the code of `home` needs from the codes before it."""
        stack = list(roots)
        seen: set[Expression] = set()
        while stack:
            node = stack.pop()
            if node in seen or isinstance(node, (Variable, Constant)):
                continue
            seen.add(node)
            own = self.home(node)
            if own != home:
                self.sides[own].wanted[node] = None
            else:
                stack.extend(self.operands(node))


def lower(plan: Plan, order: int, is_double: bool) -> Program:
    """The program of a plan.

    Parameters
    ----------
    plan : Plan
    order : {0, 1}
        0: lanes along the reduced axis; 1: along the output axis, for reduced axes up to `SHORT_AXIS`.
    is_double : bool
        float64 instead of float32.
    """
    reduction = plan.problem.reduction
    lane, row = (plan.reduced, plan.output) if order == 0 else (plan.output, plan.reduced)
    roles = {plan.output: "out", plan.reduced: "reduced", P: "parameter"}
    fold = reduction.fold
    width = sum(_columns(term, plan) for term in plan.terms)
    k = 0
    if plan.value is not None and fold != "shift_exp":
        k = getattr(reduction, "k", None) or 1
        width = plan.value.dim * (k if fold == "kmin" else 1)
    return _assemble(
        plan.problem.variables,
        roles,
        {lane: LANE, row: ROW},
        plan.value,
        plan.terms,
        order=order,
        is_double=is_double,
        fold=fold,
        largest=int(bool(reduction.largest)),
        k=k,
        width=width,
    )


def lower_map(expressions: tuple[Expression, ...], variables: tuple[Variable, ...], is_double: bool) -> Program:
    """A program that evaluates expressions point by point: every variable that is no parameter is given per point."""
    terms = tuple(SumTerm(None, None, e) for e in expressions)
    return _assemble(
        variables,
        {0: "out", 1: "out", P: "parameter"},
        {0: LANE, 1: LANE},
        None,
        terms,
        order=1,
        is_double=is_double,
        fold="sum",
        largest=0,
        k=0,
        width=sum(e.dim for e in expressions),
    )


def _columns(term: SumTerm, plan: Plan) -> int:
    if term.vector is not None:
        dim = term.vector.dim if term.minus is None else max(term.vector.dim, term.minus.dim)
        if plan.problem.reduction.fold == "sum":
            dim = max(dim, plan.problem.values[0].dim if term.factor is None else dim)
        return dim
    return 1


def _assemble(variables, roles, homes, value, terms, *, order, is_double, fold, largest, k, width) -> Program:
    low = Lowering(variables, homes)
    roots = [e for t in terms for e in (t.scale, t.vector, t.minus) if e is not None]
    if value is not None:
        roots.insert(0, value)
    # what each code needs from the ones before it: the tile's first
    outer = [root for root in roots if low.home(root) != TILE and not isinstance(root, (Variable, Constant))]
    for root in outer:
        low.sides[low.home(root)].wanted[root] = None
    low.ask(roots, TILE)
    for home in (LANE, ROW):
        low.ask(list(low.sides[home].wanted), home)
    for home in (CONST, LANE, ROW):
        side = low.sides[home]
        found = low.compile(home, list(side.wanted))
        side.operands.update({node: operand._replace(place=home) for node, operand in found.items()})
    where = low.compile(TILE, roots)
    code = low.codes[TILE]

    def own_tile(operand: Operand, taken: list[Operand]) -> Operand:
        """The operand as a tile of its own, which a fold may overwrite."""
        shared = operand.place != TILE or any(
            o.place == TILE and o.offset < operand.offset + operand.dim and operand.offset < o.offset + o.dim
            for o in taken
        )
        if not shared and (operand.step or operand.dim == 1):
            return operand
        target = Operand(TILE, code.n_temps, operand.dim, 1)
        code.n_temps += operand.dim
        code.emit("copy", operand.dim, target, (operand,))
        return target

    value_operand = None
    if value is not None:
        others = [where[t.vector] for t in terms if t.vector is not None]
        value_operand = own_tile(where[value], others)
    specs, column = [], 0
    for term in terms:
        vector = where[term.vector] if term.vector is not None else None
        minus = where[term.minus] if term.minus is not None else None
        scale = value_operand if fold == "shift_exp" else None
        if term.scale is not None:
            scale = own_tile(where[term.scale], [vector] if vector else [])
        if scale is None and vector is not None and vector.place in (ROW, CONST) and order == 0:
            vector = own_tile(vector, [])  # a sum of what does not vary along the lanes
        dim = max(o.dim for o in (vector, minus) if o) if vector else 1
        if vector is not None and minus is not None:  # single components stand for all
            vector, minus = (o._replace(step=0) if o.dim == 1 < dim else o for o in (vector, minus))
        specs.append((scale, vector, minus, column, dim))
        column += dim

    n_temps = max(c.n_temps for c in low.codes.values())
    lane_side, row_side, const_side = (low.sides[home] for home in (LANE, ROW, CONST))
    itemsize = 8 if is_double else 4
    tile_rows, tile_lanes = _tile_shape(order, n_temps, lane_side.planes, itemsize)
    if order == 0:
        segment = _fit(_SEGMENT // itemsize, lane_side.planes, tile_lanes, 8192)
        row_group = _fit(_ROWS // itemsize, row_side.planes, tile_rows, 512)
    else:
        segment, row_group = SHORT_AXIS, tile_lanes
    program = Program(
        is_double=is_double,
        variables=[(roles[v.category] if _used(v, low) else "unused", v.dim) for v in variables],
        order=order,
        fold=fold,
        largest=largest,
        k=k,
        width=max(width, column),
        terms=specs,
        value=value_operand,
        pair_code=code.instructions,
        lane_code=low.codes[LANE].instructions,
        row_code=low.codes[ROW].instructions,
        const_code=low.codes[CONST].instructions,
        lane_planes=lane_side.planes,
        row_planes=row_side.planes,
        const_planes=const_side.planes,
        n_temps=n_temps,
        lane_loads=lane_side.loads,
        row_loads=row_side.loads,
        const_loads=const_side.loads,
        literals=low.literals,
        tables=low.tables,
        tile_rows=tile_rows,
        tile_lanes=tile_lanes,
        segment=segment,
        row_group=row_group,
    )
    program.description["sides"] = {
        home: [(node, operand.offset, operand.dim) for node, operand in side.operands.items()]
        for home, side in low.sides.items()
    }
    _check_work(program.scratch_bytes())
    return program


def _check_planes(planes: int) -> None:
    """Refuse absurd dims before the tables of an operation are written out."""
    _check_work(planes * LANE_PAD * 4)


def _check_work(size: int) -> None:
    if size > _WORK_LIMIT:
        raise ValueError(
            f"the dims of this formula are too large: a tile needs {size >> 20} MiB of working memory per thread, "
            f"the limit is {_WORK_LIMIT >> 20} MiB"
        )


def _used(variable: Variable, low: Lowering) -> bool:
    return any(variable in side.operands for side in low.sides.values())


def _tile_shape(order: int, n_temps: int, lane_planes: int, itemsize: int) -> tuple[int, int]:
    """Rows and lanes of a tile: as many pairs as keep the temporaries in the first-level cache, or near it."""
    rows, lanes = (4, 512) if order == 0 else (8, 512)
    if itemsize == 8:
        lanes //= 2
    while rows * lanes * n_temps * itemsize > _TEMPORARIES and lanes > 128:
        lanes //= 2
    while rows * lanes * n_temps * itemsize > 4 * _TEMPORARIES and rows > 1:
        rows //= 2
    while order == 1 and lanes * lane_planes * itemsize > _SEGMENT and lanes > LANE_PAD:
        lanes //= 2
    return rows, lanes


def _fit(budget: int, planes: int, unit: int, most: int) -> int:
    """A multiple of `unit`, at most `most`, whose planes stay below the budget."""
    size = most
    while size > unit and size * planes > budget:
        size //= 2
    return max(unit, size // unit * unit)
