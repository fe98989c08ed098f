"""From a plan to a program of the tile engine.

The lanes run over the reduced index (order 0), or over the output index when the reduced axis is short (order 1):
see cython_ext/tile_engine.h. Here the homes are dealt out, the fold gets its operands, and tiles, segments and
groups of rows get their sizes.
"""

from __future__ import annotations

from skkeops.formula.expression import IJ, Constant, Expression, I, J, P, Variable
from skkeops.plan.plan import Plan
from skkeops.plan.terms import SumTerm

from ._engine import LANE_PAD, Program
from .codes import CONST, LANE, ROW, TILE, Lowering, Operand, check_work

__all__ = ["SHORT_AXIS", "lower", "lower_map", "lower_pairs"]

#: Reduced axes up to this length are folded with the lanes along the output axis.
SHORT_AXIS = 64

_TEMPORARIES = 96 << 10  # bytes of temporaries that a tile aims to stay below
_SEGMENT = 256 << 10  # bytes of lane planes that a segment aims to stay below
_ROWS = 512 << 10  # bytes of row planes that a group aims to stay below


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
    roles = {plan.output: "out", plan.reduced: "reduced", P: "parameter", IJ: "pair" if plan.output == I else "turned pair"}
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
        {I: "out", J: "out", IJ: "out", P: "parameter"},
        {I: LANE, J: LANE, IJ: LANE},
        None,
        terms,
        order=1,
        is_double=is_double,
        fold="sum",
        largest=0,
        k=0,
        width=sum(e.dim for e in expressions),
    )


def lower_pairs(expression: Expression, variables: tuple[Variable, ...], is_double: bool) -> Program:
    """A program that evaluates an expression for all pairs (i, j)."""
    return _assemble(
        variables,
        {I: "out", J: "reduced", IJ: "pair", P: "parameter"},
        {J: LANE, I: ROW},
        expression,
        (),
        order=0,
        is_double=is_double,
        fold="store",
        largest=0,
        k=0,
        width=expression.dim,
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
            o.place == TILE and o.offset < operand.end and operand.offset < o.end for o in taken
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

    check_work(8 * max(width, column))  # before the engine counts it in 32 bits
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
        pair_loads=low.pair_loads,
        literals=low.literals,
        tables=low.tables,
        tile_rows=tile_rows,
        tile_lanes=tile_lanes,
        segment=segment,
        row_group=row_group,
    )
    program.description["sides"] = {home: list(side.operands.items()) for home, side in low.sides.items()}
    check_work(program.scratch_bytes())
    return program


def _used(variable: Variable, low: Lowering) -> bool:
    return variable in low.pairs or any(variable in side.operands for side in low.sides.values())


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
