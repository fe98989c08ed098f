"""The codes of a program: expressions become instructions, each in the code of its place.

A program has one code for each place where values are: once for the call (CONST), for each LANE, for each ROW, for
each pair of a TILE. Each code computes those expressions of its place that the codes after it ask for, in the order
const, lane, row, tile. Expressions are shared (they are interned), so common sub-expressions are computed once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from skkeops.formula.expression import Constant, Expression, Variable
from skkeops.formula.operations.families import Bilinear, Selection
from skkeops.plan.selections import Run, runs_of_arguments

from .instructions import CONST, LANE, ROW, TILE, Code, Operand, Side
from .matching import Matcher

__all__ = ["Codes"]


class Codes:
    """The four codes of a program, which compute the expressions that a fold consumes.

    Parameters
    ----------
    variables : tuple of Variable
        In the order of the arrays.
    place : callable
        The place (TILE, LANE, ROW or CONST) where the value of an expression is.
    reduced : int, default=LANE
        The place of what varies along the reduced axis.

    Attributes
    ----------
    codes : dict of int to Code
        By place.
    sides : dict of int to Side
        The planes of the places other than TILE.
    literals : list of (plane, number)
        What planes of CONST hold.
    tables : list of int
        The index tables of products, one behind the other.
    pair_loads : list of (variable, plane, dim)
        The values of pairs that are read before the tile's code runs.
    matcher : Matcher
    """

    def __init__(self, variables: tuple[Variable, ...], place: Callable[[Expression], int], reduced: int = LANE) -> None:
        self.index = {variable: k for k, variable in enumerate(variables)}
        self.place = place
        self.matcher = Matcher(place, reduced)
        self.sides = {LANE: Side(), ROW: Side(), CONST: Side()}
        self.codes = {place: Code() for place in (TILE, LANE, ROW, CONST)}
        self.literals: list[tuple[int, float]] = []
        self.tables: list[int] = []
        self.pair_loads: list[tuple[int, int, int]] = []
        self._pairs: dict[Variable, Operand] = {}
        self._runs: dict[Selection, tuple[Run, ...]] = {}

    @property
    def n_temps(self) -> int:
        """How many planes of temporaries the codes need."""
        return max(code.n_temps for code in self.codes.values())

    def reads(self, variable: Variable) -> bool:
        """Whether any of the codes reads a variable."""
        return variable in self._pairs or any(variable in side.operands for side in self.sides.values())

    def compile(self, roots: list[Expression]) -> dict[Expression, Operand]:
        """Emit all codes; return where the tile's code leaves the roots, whose temporaries are not given back."""
        self._ask(roots, TILE)
        for place in (LANE, ROW):
            self._ask(self.sides[place].wanted, place)
        for place in (CONST, LANE, ROW):
            side = self.sides[place]
            found = self._compile(place, list(side.wanted))
            side.operands.update({node: operand._replace(place=place) for node, operand in found.items()})
        return self._compile(TILE, roots)

    def own_tile(self, operand: Operand, others: Iterable[Operand]) -> Operand:
        """The operand as a tile of its own, which a fold may overwrite although it reads the others."""
        shared = operand.place != TILE or any(
            other.place == TILE and other.offset < operand.end and operand.offset < other.end for other in others
        )
        if not shared and (operand.step or operand.dim == 1):
            return operand
        code = self.codes[TILE]
        target = code.lasting(operand.dim)
        code.emit("copy", operand.dim, target, (operand,))
        return target

    def _ask(self, roots: Iterable[Expression], place: int) -> None:
        """Note what the code of a place needs from the codes before it."""
        stack = list(roots)
        seen: set[Expression] = set()
        while stack:
            node = stack.pop()
            if node in seen or isinstance(node, (Variable, Constant)):
                continue
            seen.add(node)
            own = self.place(node)
            if own != place:
                self.sides[own].wanted[node] = None
            else:
                stack.extend(self.matcher.operands(node))

    # -- one code ---------------------------------------------------------------------------------------------
    def _compile(self, place: int, roots: list[Expression]) -> dict[Expression, Operand]:
        """Emit the code of a place; return where the roots are."""
        code = self.codes[place]
        order = self._order(place, roots)
        where: dict[Expression, Operand] = {}
        targets = set() if place == TILE else set(roots)
        parts = self._parts(order, targets)
        holders = self._holders(order, targets, parts)
        # of each temporary: how often what lies in it is still read
        readings = Counter(holders[a] for node in order for a in self.matcher.operands(node) if a in holders)
        readings.update(holders[root] for root in roots if root in holders)

        def destination(node: Expression) -> Operand:
            """Where a node is to be computed."""
            if node not in where:
                if node in parts:
                    whole, run = parts[node]
                    where[node] = destination(whole).part(run.first, run.dim, run.apart)
                elif node in targets:
                    where[node] = self._planes(place, node)
                else:
                    where[node] = code.temporary(node.dim)
            return where[node]

        for node in order:
            operands = self.matcher.operands(node)
            arguments = [where[a] if a in where else self._outside(a, place) for a in operands]
            view = self._view(node)
            if view is not None:
                source, run = view
                where[node] = arguments[source].part(run.component, run.dim, run.every)
            else:
                self._emit(code, node, destination(node), arguments)
            for argument in operands:
                holder = holders.get(argument)
                if holder is not None:
                    readings[holder] -= 1
                    if readings[holder] == 0:
                        code.release(where[holder])
        result = {}
        for root in roots:
            operand = where[root] if root in where else self._outside(root, place)
            if root in targets and operand.place == TILE:  # a view of a temporary: it needs planes that last
                planes = self._planes(place, root)
                code.emit("copy", root.dim, planes, (operand,))
                operand = planes
            result[root] = operand
        return result

    def _planes(self, place: int, node: Expression) -> Operand:
        """Planes of a side for a node. Whatever the side, its code goes along them as along lanes."""
        return Operand(LANE, self.sides[place].allocate(node.dim), node.dim, 1)

    def _order(self, place: int, roots: list[Expression]) -> list[Expression]:
        """The nodes that the code of a place computes, arguments first."""
        done: set[Expression] = set()
        order: list[Expression] = []
        stack = [(root, False) for root in reversed(roots)]
        while stack:
            node, ready = stack.pop()
            if ready:
                order.append(node)
            elif node not in done and self.place(node) == place and not isinstance(node, (Variable, Constant)):
                done.add(node)
                stack.append((node, True))
                stack.extend((a, False) for a in reversed(self.matcher.operands(node)))
        return order

    def _parts(self, order: list[Expression], targets: set[Expression]) -> dict[Expression, tuple[Expression, Run]]:
        """The nodes that can be computed in their place within a selection, which then need not copy them."""
        parts: dict[Expression, tuple[Expression, Run]] = {}
        computed = set(order) - targets
        for node in order:
            if not isinstance(node, Selection) or self._view(node) is not None:
                continue
            for run in self._runs_of(node):
                part = None if run.source is None else node.args[run.source]
                is_all = part is not None and (run.component, run.every, run.dim) == (0, 1, part.dim)
                if is_all and part in computed and part not in parts and self._view(part) is None:
                    parts[part] = (node, run)
        return parts

    def _holders(
        self, order: list[Expression], targets: set[Expression], parts: dict[Expression, tuple[Expression, Run]]
    ) -> dict[Expression, Expression]:
        """Of every node that lies in a temporary: the node for which it was taken, itself or what it is a view or a part of.

        Other nodes lie in the planes of a side or in those of pairs that were loaded, which are never given back.
        """
        holders: dict[Expression, Expression] = {}
        for node in reversed(order):  # a selection comes after its parts
            if self._view(node) is None:
                whole = parts[node][0] if node in parts else node
                if whole in holders or (whole is node and node not in targets):
                    holders[node] = holders.get(whole, whole)
        for node in order:  # and a view after what it shows
            view = self._view(node)
            if view is not None and node.args[view[0]] in holders:
                holders[node] = holders[node.args[view[0]]]
        return holders

    # -- operands that the code of a place does not compute ---------------------------------------------------
    def _outside(self, node: Expression, place: int) -> Operand:
        """Where the code of a place finds a node that it does not compute."""
        own = self.place(node)
        if isinstance(node, Constant):
            operand = self._literal(node)
        elif isinstance(node, Variable):
            operand = self._variable(node, own)
        else:
            operand = self.sides[own].operands[node]
        # a code that runs along one index sees its own planes as lanes
        return operand._replace(place=LANE if own == place != TILE else own)

    def _literal(self, node: Constant) -> Operand:
        side = self.sides[CONST]
        scalar = Constant(node.value)
        if scalar not in side.operands:
            plane = side.allocate(1)
            side.operands[scalar] = Operand(CONST, plane, 1, 1)
            self.literals.append((plane, float(scalar)))
        return Operand(CONST, side.operands[scalar].offset, node.dim, 0 if node.dim > 1 else 1)

    def _variable(self, node: Variable, place: int) -> Operand:
        if place == TILE:  # of pairs: read before the tile's code, into temporaries that nothing else uses
            if node not in self._pairs:
                self._pairs[node] = operand = self.codes[TILE].lasting(node.dim)
                self.pair_loads.append((self.index[node], operand.offset, node.dim))
            return self._pairs[node]
        side = self.sides[place]
        if node not in side.operands:
            plane = side.allocate(node.dim)
            side.operands[node] = Operand(place, plane, node.dim, 1)
            side.loads.append((self.index[node], plane, node.dim))
        return side.operands[node]

    # -- selections -------------------------------------------------------------------------------------------
    def _runs_of(self, node: Selection) -> tuple[Run, ...]:
        if node not in self._runs:
            self._runs[node] = runs_of_arguments(node.selection())
        return self._runs[node]

    def _view(self, node: Expression) -> tuple[int, Run] | None:
        """The argument that a selection is a view of, and how; None for what has to be computed or copied.

        A view is components at equal distances, or one component for all.
        """
        if not isinstance(node, Selection):
            return None
        run, *others = self._runs_of(node)
        return None if others or run.source is None else (run.source, run)

    # -- instructions -----------------------------------------------------------------------------------------
    def _emit(self, code: Code, node: Expression, target: Operand, arguments: list[Operand]) -> None:
        """Emit the instructions that compute a node."""
        found = self.matcher.match(node)
        if found is None:
            assert isinstance(node, Selection)
            self._emit_selection(code, node, target, arguments)
            return
        if isinstance(node, Bilinear) and found.op == "bilinear":
            first = len(self.tables)
            for k, products in enumerate(node.terms()):
                for i, j in products:
                    self.tables += (k, i, j)
            code.emit("bilinear", found.dim, target, arguments, found.imm, first, len(self.tables) - first)
        else:
            code.emit(found.op, found.dim, target, [operand.spread(found.dim) for operand in arguments], found.imm)

    def _emit_selection(self, code: Code, node: Selection, target: Operand, arguments: list[Operand]) -> None:
        for run in self._runs_of(node):
            to = target.part(run.first, run.dim, run.apart)
            if run.source is None:
                code.emit("fill", run.dim, to, (), (0.0,))
                continue
            chosen = arguments[run.source].part(run.component, run.dim, run.every)
            if chosen != to:  # else it was computed in its place
                code.emit("copy", run.dim, to, (chosen,))
