"""The codes of a program: expressions become instructions, each at its home.

Every expression has a home, by what it depends on: CONST (parameters), LANE or ROW (one of the two indices), TILE
(both). A program has one code per home; each computes the expressions of its home that the codes after it ask for,
in the order const, row and lane, tile. Expressions are shared (they are interned), so common sub-expressions
are computed once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from skkeops.formula.expression import Constant, Expression, P, Variable
from skkeops.formula.operations import Operation
from skkeops.formula.operations.families import Bilinear, Contraction, Selection

from ._engine import LANE_PAD, OPCODES

TILE, LANE, ROW, CONST = 1, 2, 3, 4

_WORK_LIMIT = 256 << 20  # bytes of working memory of a thread: more is refused


class Operand(NamedTuple):
    """Where a value is: ``dim`` planes from ``offset``, every ``step``-th, or one for all components (``step`` 0)."""

    place: int
    offset: int
    dim: int
    step: int

    def part(self, first: int, dim: int, every: int = 1) -> Operand:
        """``dim`` of the components from ``first`` on: all, every second one, or (0) the same."""
        return Operand(self.place, self.offset + first * self.step, dim, every * self.step)

    @property
    def end(self) -> int:
        """The plane behind the last one."""
        return self.offset + (self.dim - 1) * self.step + 1


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
        check_planes(first + dim)
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

    def lasting(self, dim: int) -> Operand:
        """A temporary that was never used before, and is not given back."""
        first = self.n_temps
        check_planes(first + dim)
        self.n_temps += dim
        return Operand(TILE, first, dim, 1)

    def temporary(self, dim: int) -> Operand:
        free = self._free.get(dim)
        if free:
            return Operand(TILE, free.pop(), dim, 1)
        return self.lasting(dim)

    def release(self, operand: Operand) -> None:
        self._free.setdefault(operand.dim, []).append(operand.offset)


class Match(NamedTuple):
    """An instruction for a node: on which expressions, over how many components."""

    op: str
    operands: tuple[Expression, ...]
    dim: int
    imm: tuple[float, ...] = ()


class Run(NamedTuple):
    """Components of a selection that one instruction copies: ``dim`` of them, ``first``, ``first + apart``, ..., are the
    components ``component``, ``component + every``, ... of argument ``source``, or zeros (None)."""

    source: int | None
    component: int
    every: int
    first: int
    apart: int
    dim: int


def _runs(chosen: tuple[tuple[int, int] | None, ...]) -> tuple[Run, ...]:
    """What a selection is made of, in as few copies as there are runs at equal distances.

    Examples
    --------
    >>> _runs(((0, 0), (1, 0), (0, 1), (1, 1)))[1]  # real and imaginary parts in turn
    Run(source=1, component=0, every=1, first=1, apart=2, dim=2)
    """
    places: dict[int | None, list[int]] = {}
    for k, c in enumerate(chosen):
        places.setdefault(None if c is None else c[0], []).append(k)
    runs = []
    for source, at in places.items():
        components = [0 if c is None else c[1] for c in (chosen[k] for k in at)]
        start = 0
        while start < len(at):
            end = start + 1
            apart = at[end] - at[start] if end < len(at) else 1
            every = components[end] - components[start] if end < len(at) else 1
            while (
                every >= 0
                and end < len(at)
                and (at[end] - at[end - 1], components[end] - components[end - 1]) == (apart, every)
            ):
                end += 1
            every, apart = (every, apart) if end - start > 1 else (1, 1)
            runs.append(Run(source, components[start], every, at[start], apart, end - start))
            start = end
    return tuple(runs)


def _is_view(node: Expression) -> bool:
    """Whether a node is a selection that needs no copy."""
    if not isinstance(node, Selection):
        return False
    runs = _runs(node.selection())
    return len(runs) == 1 and runs[0].source is not None


class Lowering:
    """One use: from the expressions that a fold consumes to the four codes."""

    def __init__(self, variables: tuple[Variable, ...], home_of_category: dict[int, int]) -> None:
        self.index = {variable: k for k, variable in enumerate(variables)}
        self.homes = home_of_category
        self.sides = {LANE: Side(), ROW: Side(), CONST: Side()}
        self.codes = {home: Code() for home in (TILE, LANE, ROW, CONST)}
        self.literals: list[tuple[int, float]] = []
        self.tables: list[int] = []
        self.pairs: dict[Variable, Operand] = {}
        self.pair_loads: list[tuple[int, int, int]] = []

    # -- homes ------------------------------------------------------------------------------------------------
    def home(self, node: Expression) -> int:
        """Where a node is computed."""
        homes = {self.homes.get(category, TILE) for category in node.categories if category != P}
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
            found = self._match_exp(node)
            if found:
                return found
        if isinstance(node, Bilinear):
            if name == "Scalprod":
                pair = self._lane_and_scalar(*node.args)
                if pair:
                    return Match("dot", pair, node.args[0].dim)
            return Match("bilinear", node.args, node.dim)
        assert isinstance(node, Operation), node
        opcode = node.opcode
        assert opcode is not None, node
        if isinstance(node, Contraction):
            return Match(opcode, node.args, node.args[0].dim)
        return Match(opcode, node.args, node.dim, tuple(node.immediates))

    def _match_sum(self, node: Expression) -> Match | None:
        (f,) = node.args
        metric = {"Square": "sqdist", "Abs": "l1dist"}.get(f.name)
        if metric is None:
            return None
        (g,) = f.args
        scale, difference = None, g
        if g.name == "Mult":  # with numbers that are the same for all pairs
            for u, v in (g.args, g.args[::-1]):
                if self.home(u) == CONST and v.name == "Subtract" and v.dim == g.dim:
                    scale, difference = u, v
        if difference.name == "Subtract":
            pair = self._lane_and_scalar(*difference.args)
            if pair and scale is not None:
                return Match(f"scaled_{metric}", (*pair, scale), g.dim)
            if pair:
                return Match(metric, pair, g.dim)
        return Match("sumsq", (g,), g.dim) if metric == "sqdist" else None

    def _match_exp(self, node: Expression) -> Match | None:
        """An exponential of a product: one hoisted factor, with all literal numbers and signs, times the rest."""
        (f,) = node.args
        factor: Expression | None = None
        hoisted: Expression
        while f.name in ("Minus", "Mult"):
            if f.name == "Minus":
                hoisted, rest = Constant(-1), f.args[0]
            else:
                found = next((uv for uv in (f.args, f.args[::-1]) if self.home(uv[0]) != self.home(f)), None)
                if found is None:
                    break
                hoisted, rest = found
            if rest.dim != node.dim or not (factor is None or isinstance(factor, Constant) or isinstance(hoisted, Constant)):
                break  # two variables may overflow together where each of them times the rest does not
            together = hoisted if factor is None else factor * hoisted
            if self.home(together) == self.home(node):
                break
            factor, f = together, rest
        if factor is not None:
            return Match("expmul", (f, factor), node.dim)
        return Match("expmul", f.args, node.dim) if f.name == "Mult" and f.dim == node.dim else None

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
        where: dict[Expression, Operand] = {}
        targets = set() if home == TILE else set(roots)
        parts = self._parts(order, targets)
        holders = self._holders(order, targets, parts)
        # of each temporary: how often what lies in it is still read
        readings = Counter(holders[a] for node in order for a in self.operands(node) if a in holders)
        readings.update(holders[root] for root in roots if root in holders)

        def destination(node: Expression) -> Operand:
            """Where a node is to be computed."""
            if node not in where:
                if node in parts:
                    whole, run = parts[node]
                    where[node] = destination(whole).part(run.first, run.dim, run.apart)
                elif node in targets:
                    where[node] = Operand(LANE, self.sides[home].allocate(node.dim), node.dim, 1)
                else:
                    where[node] = code.temporary(node.dim)
            return where[node]

        for node in order:
            arguments = [where[a] if a in where else self.outside(a, home) for a in self.operands(node)]
            view = self._view(node, arguments)
            if view is not None:
                where[node] = view
            else:
                self._emit(code, node, destination(node), arguments)
            for argument in self.operands(node):
                held = holders.get(argument)
                if held is not None:
                    readings[held] -= 1
                    if readings[held] == 0:
                        code.release(where[held])
        result = {}
        for root in roots:
            operand = where[root] if root in where else self.outside(root, home)
            if root in targets and operand.place == TILE:  # a view of a temporary: it needs planes that last
                planes = Operand(LANE, self.sides[home].allocate(root.dim), root.dim, 1)
                code.emit("copy", root.dim, planes, (operand,))
                operand = planes
            result[root] = operand
        return result

    def _parts(self, order: list[Expression], targets: set[Expression]) -> dict[Expression, tuple[Expression, Run]]:
        """The nodes that can be computed in their place within a selection, which then need not copy them."""
        parts: dict[Expression, tuple[Expression, Run]] = {}
        computed = set(order) - targets
        for node in order:
            if not isinstance(node, Selection) or _is_view(node):
                continue
            for run in _runs(node.selection()):
                part = None if run.source is None else node.args[run.source]
                is_all = part is not None and (run.component, run.every, run.dim) == (0, 1, part.dim)
                if is_all and part in computed and part not in parts and not _is_view(part):
                    parts[part] = (node, run)
        return parts

    def _holders(
        self, order: list[Expression], targets: set[Expression], parts: dict[Expression, tuple[Expression, Run]]
    ) -> dict[Expression, Expression]:
        """Of every node that lies in a temporary: the node for which it was taken, itself or what it is a view or a part of.

        What is missing lies elsewhere, in the planes of a side or in those of pairs that were loaded, which are never
        given back.
        """
        holders: dict[Expression, Expression] = {}
        for node in reversed(order):  # a selection comes after its parts
            if not _is_view(node):
                whole = parts[node][0] if node in parts else node
                if whole in holders or (whole is node and node not in targets):
                    holders[node] = holders.get(whole, whole)
        for node in order:  # and a view after what it shows
            if _is_view(node):
                (run,) = _runs(node.selection())  # type: ignore[attr-defined]  # a view is a Selection
                assert run.source is not None
                source = self.operands(node)[run.source]
                if source in holders:
                    holders[node] = holders[source]
        return holders

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
        return operand._replace(place=LANE if own == home != TILE else own)

    def _literal(self, node: Constant) -> Operand:
        side = self.sides[CONST]
        scalar = Constant(node.value)
        if scalar not in side.operands:
            plane = side.allocate(1)
            side.operands[scalar] = Operand(CONST, plane, 1, 1)
            self.literals.append((plane, float(scalar)))
        return Operand(CONST, side.operands[scalar].offset, node.dim, 0 if node.dim > 1 else 1)

    def _variable(self, node: Variable, home: int) -> Operand:
        if home == TILE:  # of pairs: read before the tile's code, into temporaries that nothing else uses
            if node not in self.pairs:
                self.pairs[node] = operand = self.codes[TILE].lasting(node.dim)
                self.pair_loads.append((self.index[node], operand.offset, node.dim))
            return self.pairs[node]
        side = self.sides[home]
        if node not in side.operands:
            plane = side.allocate(node.dim)
            side.operands[node] = Operand(home, plane, node.dim, 1)
            side.loads.append((self.index[node], plane, node.dim))
        return side.operands[node]

    def _view(self, node: Expression, arguments: list[Operand]) -> Operand | None:
        """A selection that needs no copy: components at equal distances, or one component replicated."""
        if not isinstance(node, Selection) or not _is_view(node):
            return None
        (run,) = _runs(node.selection())
        assert run.source is not None
        return arguments[run.source].part(run.component, run.dim, run.every)

    def _emit(self, code: Code, node: Expression, target: Operand, arguments: list[Operand]) -> None:
        found = self.match(node)
        if found is None:
            assert isinstance(node, Selection)
            self._emit_selection(code, node, target, arguments)
            return
        table = n_table = 0
        if isinstance(node, Bilinear) and found.op == "bilinear":
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
        for run in _runs(node.selection()):
            to = target.part(run.first, run.dim, run.apart)
            if run.source is None:
                code.emit("fill", run.dim, to, (), (0.0,))
                continue
            chosen = arguments[run.source].part(run.component, run.dim, run.every)
            if chosen != to:  # else it was computed in its place
                code.emit("copy", run.dim, to, (chosen,))

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


def check_planes(planes: int) -> None:
    """Refuse absurd dims before the tables of an operation are written out."""
    check_work(planes * LANE_PAD * 4)


def check_work(size: int) -> None:
    if size > _WORK_LIMIT:
        raise ValueError(
            f"the dims of this formula, or K of its reduction, are too large: at least {size >> 20} MiB of working memory per "
            f"thread, the limit is {_WORK_LIMIT >> 20} MiB"
        )
