"""From a plan to a program of the tile engine.

The lanes run over the reduced index (order 0), or over the output index when the reduced axis is short (order 1):
see cython_ext/tile_engine.h. Here every home gets its place, the fold gets its operands, and tiles, segments and
groups of rows get their sizes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from skkeops.formula.expression import IJ, Expression, I, J, P, Variable
from skkeops.formula.operations import lookup
from skkeops.plan.homes import Home, home_of
from skkeops.plan.plan import Plan
from skkeops.plan.terms import SumTerm

from ._engine import LANE_PAD, Program
from .codes import Codes
from .instructions import CONST, LANE, METRICS, ROW, TILE, Operand, check_work

__all__ = ["SHORT_AXIS", "lower", "lower_map", "lower_pairs"]

#: Reduced axes up to this length are folded with the lanes along the output axis.
SHORT_AXIS = 64

_TEMPORARIES = 96 << 10  # bytes of temporaries that a tile aims to stay below
_SEGMENT = 256 << 10  # bytes of lane planes that a segment aims to stay below
_ROWS = 512 << 10  # bytes of row planes that a group aims to stay below
_LONG = 129  # components of a distance or scalar product from which on tiles have the shape that it wants
_LONG_ROWS = 2 << 20  # bytes of row planes that a group aims to stay below then: they are read from memory once for many lanes

#: Where the engine keeps the values of each home, in programs of order 0 and of order 1.
_PLACES = (
    {Home.CONSTANT: CONST, Home.OUTPUT: ROW, Home.REDUCED: LANE, Home.PAIR: TILE},
    {Home.CONSTANT: CONST, Home.OUTPUT: LANE, Home.REDUCED: ROW, Home.PAIR: TILE},
)


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
    reduction, variables = plan.problem.outputs[0].reduction, plan.problem.variables
    along_lanes: tuple[SumTerm, ...] = plan.terms
    over_rows: tuple[SumTerm, ...] = ()
    roles = {plan.output: "out", plan.reduced: "reduced", P: "parameter", IJ: "pair" if plan.output == I else "turned pair"}
    if plan.has_both_axes:
        # Rows and lanes are alike: each output is summed along its own axis of the tile, whatever lies along the lanes.
        lanes, rows = (plan.reduced, plan.output) if order == 0 else (plan.output, plan.reduced)
        along_lanes, over_rows = plan.terms_over(lanes), plan.terms_over(rows)
        roles |= {rows: "out", lanes: "reduced", IJ: "pair" if rows == I else "turned pair"}
    return _program(
        Codes(variables, lambda node: _PLACES[order][plan.home(node)], _PLACES[order][Home.REDUCED]),
        roles,
        Fold(
            reduction.fold,
            0 if plan.has_both_axes else order,
            int(bool(reduction.largest)),
            getattr(reduction, "k", 1),
        ),
        plan.value,
        along_lanes,
        is_double,
        over_rows,
    )


def lower_map(expressions: tuple[Expression, ...], variables: tuple[Variable, ...], is_double: bool) -> Program:
    """A program that evaluates expressions point by point: every variable that is no parameter is given per point."""
    return _program(
        Codes(variables, lambda node: CONST if home_of(node, I) is Home.CONSTANT else LANE),
        {I: "out", J: "out", IJ: "out", P: "parameter"},
        Fold("sum", order=1),
        None,
        tuple(SumTerm(None, None, e) for e in expressions),
        is_double,
    )


def lower_pairs(expression: Expression, variables: tuple[Variable, ...], is_double: bool) -> Program:
    """A program that evaluates an expression for all pairs (i, j)."""
    return _program(
        Codes(variables, lambda node: _PLACES[0][home_of(node, I)]),
        {I: "out", J: "reduced", IJ: "pair", P: "parameter"},
        Fold("store", order=0),
        expression,
        (),
        is_double,
    )


class Fold(NamedTuple):
    """What the engine does with the values of pairs; the fields of ``skk_program`` in cython_ext/tile_engine.h."""

    name: str
    order: int
    largest: int = 0
    k: int = 1


class Term(NamedTuple):
    """The operands of a `SumTerm`, and the columns of the state to which it is added."""

    scale: Operand | None
    times: Operand | None
    vector: Operand | None
    minus: Operand | None
    column: int
    dim: int


def _program(
    codes: Codes,
    roles: dict[int, str],
    fold: Fold,
    value: Expression | None,
    terms: tuple[SumTerm, ...],
    is_double: bool,
    turned: tuple[SumTerm, ...] = (),
) -> Program:
    """The program of a fold of a value, of terms or of both.

    Parameters
    ----------
    codes : Codes
        Empty still; the expressions are compiled here.
    roles : dict of int to str
        For each category of variables, what the engine is told of their arrays: "out" (a value for each row of the output),
        "reduced", "parameter", "pair" (rows of the output first) or "turned pair".
    fold : Fold
    value : Expression or None
        As in `Plan`; for the fold "store", what is stored.
    terms : tuple of SumTerm
    is_double : bool
        float64 instead of float32.
    turned : tuple of SumTerm
        What is summed over the rows of the tiles of order 0, for every lane.
    """
    parts: list[Expression | None] = [value]
    for some, along_lanes in ((terms, fold.order == 0), (turned, False)):
        for term in some:
            parts += (*_factors(term, codes, along_lanes), term.vector, term.minus)
    where = codes.compile([part for part in parts if part is not None])
    value_operand = None
    if value is not None:
        value_operand = codes.own_tile(where[value], [where[t.vector] for t in terms if t.vector is not None])
    weight = value_operand if fold.name == "shift_exp" else None
    operands = _operands_of_terms(codes, where, terms, weight, fold.order == 0)
    turned_operands = _operands_of_terms(codes, where, turned, None, False)
    width = sum(term.dim for term in operands) if value is None or operands else value.dim * fold.k
    turned_width = sum(term.dim for term in turned_operands)
    check_work(8 * (width + turned_width))  # before the engine counts them in 32 bits
    lane, row, const = (codes.sides[place] for place in (LANE, ROW, CONST))
    longest = max((i.dim for i in codes.codes[TILE].instructions if i.op in METRICS), default=0)
    sizes = _sizes(fold.order, codes.n_temps, lane.planes, row.planes, 8 if is_double else 4, longest, width, turned_width)
    program = Program(
        is_double=is_double,
        variables=[(roles[v.category] if codes.reads(v) else "unused", v.dim) for v in codes.index],
        order=fold.order,
        fold=fold.name,
        largest=fold.largest,
        k=fold.k,
        width=width,
        terms=operands,
        turned_width=turned_width,
        turned=turned_operands,
        value=value_operand,
        pair_code=codes.codes[TILE].instructions,
        lane_code=codes.codes[LANE].instructions,
        row_code=codes.codes[ROW].instructions,
        const_code=codes.codes[CONST].instructions,
        lane_planes=lane.planes,
        row_planes=row.planes,
        const_planes=const.planes,
        n_temps=codes.n_temps,
        lane_loads=lane.loads,
        row_loads=row.loads,
        const_loads=const.loads,
        pair_loads=codes.pair_loads,
        literals=codes.literals,
        tables=codes.tables,
        **sizes._asdict(),
    )
    program.description["sides"] = {place: list(side.operands.items()) for place, side in codes.sides.items()}
    check_work(program.scratch_bytes())
    return program


def _factors(term: SumTerm, codes: Codes, along_lanes: bool) -> tuple[Expression | None, Expression | None]:
    """The factors of a scale: the engine multiplies two where it sums, which saves the tile of their product.

    The first has a value for each pair; the second is None where the scale is no such product, or nothing else is multiplied.
    """
    scale, vector = term.scale, term.vector
    if scale is None or type(scale) is not lookup("Mult") or vector is None:
        return scale, None
    if term.minus is None and codes.place(vector) in (ROW, CONST):
        return scale, None
    first, second = scale.args
    places = codes.place(first), codes.place(second)
    if TILE not in places or not {TILE, LANE if along_lanes else ROW}.issuperset(places):
        return scale, None
    return (first, second) if places[0] == TILE else (second, first)


def _operands_of_terms(
    codes: Codes, where: dict[Expression, Operand], terms: Iterable[SumTerm], weight: Operand | None, along_lanes: bool
) -> list[Term]:
    """What the fold reads for each term.

    The terms of a log-sum-exp have a `weight`, exp(value - m), which the fold writes over the value before it sums. Sums
    `along_lanes` need a value for each lane.
    """
    found: list[Term] = []
    column = 0
    for term in terms:
        first, second = _factors(term, codes, along_lanes)
        times, vector, minus = (None if e is None else where[e] for e in (second, term.vector, term.minus))
        scale = weight
        if first is not None:
            scale = codes.own_tile(where[first], [vector] if vector is not None else [])
        if scale is None and vector is not None and vector.place in (ROW, CONST) and along_lanes:
            vector = codes.own_tile(vector, [])
        if vector is not None and minus is not None:
            vector, minus = vector.spread(term.dim), minus.spread(term.dim)
        found.append(Term(scale, times, vector, minus, column, term.dim))
        column += term.dim
    return found


class Sizes(NamedTuple):
    """How pairs are divided into tiles, segments and groups of rows; the fields of ``skk_program``."""

    tile_rows: int
    tile_lanes: int
    segment: int
    row_group: int


def _sizes(
    order: int, n_temps: int, lane_planes: int, row_planes: int, itemsize: int, longest: int, width: int, turned_width: int
) -> Sizes:
    """Sizes for which the planes that are in use at a time stay in the caches."""
    rows, lanes = _tile_shape(order, n_temps, lane_planes, itemsize, longest, width, turned_width > 0)
    if order == 1:
        return Sizes(rows, lanes, SHORT_AXIS, lanes)
    segment = _fit(_SEGMENT // itemsize, lane_planes + turned_width * 8 // itemsize, lanes, 8192)
    bytes_of_rows, most_rows = (_LONG_ROWS, 256) if longest >= _LONG else (_ROWS, 512)
    return Sizes(rows, lanes, segment, _fit(bytes_of_rows // itemsize, row_planes, rows, most_rows))


def _tile_shape(
    order: int, n_temps: int, lane_planes: int, itemsize: int, longest: int, width: int, both_axes: bool
) -> tuple[int, int]:
    """Rows and lanes of a tile: as many pairs as keep the temporaries in the first-level cache, or near it.

    Sums over both axes want many rows, over which the sums of lanes stay in registers.
    Long vectors are read once for a tile, and want few lanes and many rows; sums to many columns want many lanes, and few rows,
    whose states stay at hand.
    """
    rows, lanes = (8, 512) if order else (16, 256) if both_axes else (4, 512)
    if longest >= _LONG:
        rows, lanes = (SHORT_AXIS, 128) if order == 1 else (128, 128) if width <= 16 else (32, 512)
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
