"""Registers hold what is read from them: random programs are executed on symbols, and with every released plane poisoned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skkeops import Genred
from skkeops.backends import cpu, reference
from skkeops.backends.cpu import instructions, lowering
from skkeops.backends.cpu._engine import OPCODES
from skkeops.backends.cpu.instructions import CONST, LANE, ROW, TILE
from skkeops.backends.cpu.matching import Matcher
from skkeops.formula import Constant, Variable
from skkeops.formula.expression import IJ, I, J, P
from skkeops.formula.operations import Selection, lookup
from skkeops.plan.homes import Home, home_of
from skkeops.plan.plan import make_plan
from skkeops.plan.problem import Output, Problem
from skkeops.plan.terms import SumTerm
from skkeops.reductions import Sum, get_reduction

from ..formula.strategies import expressions

NAMES = {code: name for name, (code, _) in OPCODES.items()}
CONTRACTIONS = {"sum", "sumsq", "vmax", "vmin", "vargmax", "vargmin", "sqdist", "long_sqdist", "l1dist", "dot"}
VARIABLES = (
    Variable(0, 3, I),
    Variable(1, 3, J),
    Variable(2, 2, IJ),
    Variable(3, 3, IJ),
    Variable(4, 1, IJ),
    Variable(5, 2, P),
    Variable(6, 1, J),
)
# what formulas are made of: views of variables and of what is computed, too
ELEM, EXTRACT, EXP = lookup("Elem"), lookup("Extract"), lookup("Exp")
PARTS = [
    f
    for v in VARIABLES
    if v.dim > 1
    for w in (v, EXP(v))
    for f in (ELEM(w, 0), ELEM(w, w.dim - 1), EXTRACT(w, 1, w.dim - 1))
]
POOL = (*VARIABLES, *PARTS)
# names, and numbers of values
REDUCTIONS = [
    ("Sum", 1),
    ("LogSumExp", 1),
    ("LogSumExp", 2),
    ("SumSoftMaxWeight", 2),
    ("Max_ArgMax", 1),
    ("KMin_ArgKMin", 1),
]


def apply(name, dim, imm, operands, triples=()):
    """What an instruction makes of symbols, lists of one for each component: new symbols, built of those."""
    if name == "copy":
        return list(operands[0])
    if name in CONTRACTIONS:
        return [(name, imm, tuple(map(tuple, operands)))]
    if name == "onehot":
        return [(name, c, operands[0][0]) for c in range(dim)]
    if name == "bilinear":
        terms = {}
        for k, i, j in triples:
            terms.setdefault(k, []).append((operands[0][i], operands[1][j]))
        return [("bilinear", tuple(terms[k])) for k in range(len(terms))]
    return [(name, imm, *components) for components in zip(*operands, strict=True)]


class Machine:
    """The planes of a tile, filled by a program's codes: the keyword arguments of `_engine.Program`."""

    def __init__(self, program):
        self.program = program
        self.planes = {}
        for plane, value in program["literals"]:
            self.planes[CONST, plane] = ("literal", value)
        for own, loads, code in (
            (CONST, "const_loads", "const_code"),
            (LANE, "lane_loads", "lane_code"),
            (ROW, "row_loads", "row_code"),
            (TILE, "pair_loads", "pair_code"),
        ):
            for variable, plane, dim in program[loads]:
                for c in range(dim):
                    self.planes[own, plane + c] = ("variable", variable, c)
            for instruction in program[code]:
                self.execute(instruction, own)
            if own != TILE:  # each code has the temporaries for itself
                self.planes = {key: value for key, value in self.planes.items() if key[0] != TILE}

    def read(self, operand, own, dim):
        """The symbols of an operand, whose LANE planes are those of the side that the code belongs to."""
        place = own if operand.place == LANE and own != TILE else operand.place
        symbols = [self.planes.get((place, operand.offset + c * operand.step)) for c in range(dim)]
        assert None not in symbols, f"{operand} reads planes that were never written, or released"
        return symbols

    def execute(self, instruction, own):
        name, (_, dim, table, n_table, d, *given, imm) = NAMES[instruction.op], instruction
        place = own if d.place == LANE and own != TILE else d.place
        if name == "fill":
            result = [None if np.isnan(imm[0]) else ("literal", imm[0])] * dim
        else:
            whole = name in ("bilinear", "onehot")  # others read as many components as they compute
            operands = [self.read(o, own, o.dim if whole else dim) for o in given if o is not None]
            triples = np.reshape(self.program["tables"][table : table + n_table], (-1, 3)).tolist()
            result = apply(name, dim, imm, operands, triples)
        for c, symbol in enumerate(result):
            self.planes[place, d.offset + c * d.step] = symbol


def meaning(matcher, expression, known):
    """The symbols of an expression, without any plane."""
    if expression in known:
        return known[expression]
    if isinstance(expression, Variable):
        result = [("variable", VARIABLES.index(expression), c) for c in range(expression.dim)]
    elif isinstance(expression, Constant):
        result = [("literal", float(expression))] * expression.dim
    elif isinstance(expression, Selection):
        parts = [meaning(matcher, a, known) for a in expression.args]
        zero = ("literal", 0.0)
        result = [zero if chosen is None else parts[chosen[0]][chosen[1]] for chosen in expression.selection()]
    else:
        found = matcher.match(expression)
        operands = [meaning(matcher, a, known) for a in found.operands]
        triples = ()
        if found.op == "bilinear":
            triples = [(k, i, j) for k, products in enumerate(expression.terms()) for i, j in products]
        else:
            operands = [a * found.dim if len(a) == 1 else a for a in operands]
        result = apply(found.op, found.dim, tuple(map(float, found.imm)), operands, triples)
    known[expression] = result
    return result


def poison(monkeypatch):
    """Have every plane filled with NaN once it is released, and what programs are made of noted."""
    release, made, build = instructions.Code.release, [], lowering.Program

    def released(self, operand):
        self.emit("fill", operand.dim, operand, (), (np.nan,))
        release(self, operand)

    def noted(**arguments):
        made.append(arguments)
        return build(**arguments)

    monkeypatch.setattr(instructions.Code, "release", released)
    monkeypatch.setattr(lowering, "Program", noted)
    return made


def check_program(program, place, value, terms, summed="terms"):
    """What the fold reads, and may overwrite, is what it should be."""
    matcher = Matcher(place, LANE)
    machine, known = Machine(program), {}
    wanted = [] if value is None else [(program["value"], value)]
    for (scale, times, vector, minus, _, _), term in zip(program[summed], terms, strict=True):
        factors = [(scale, term.scale)]
        if times is not None:  # the fold multiplies the factors of the scale, of which the first is in the tile
            first, second = term.scale.args if place(term.scale.args[0]) == TILE else term.scale.args[::-1]
            factors = [(scale, first), (times, second)]
        wanted += [(o, e) for o, e in (*factors, (vector, term.vector), (minus, term.minus)) if e is not None]
    for operand, expression in wanted:
        expected = meaning(matcher, expression, known)
        assert machine.read(operand, TILE, len(expected)) == expected, expression


def problem_of(name, formula, formula2=None, axis=1):
    reduction = get_reduction(name, 2 if "KMin" in name else None, weighted=formula2 is not None)
    return Problem.of(reduction, reduction.values(formula, formula2), axis, VARIABLES)


@st.composite
def problems(draw):
    name, n_values = draw(st.sampled_from(REDUCTIONS))
    shift_exp = name not in ("Sum", "Max_ArgMax", "KMin_ArgKMin")
    formula = draw(expressions(POOL, max_operations=12, smooth=True, dim=1 if shift_exp else None))
    if not shift_exp:
        other = draw(expressions(POOL, max_operations=4, smooth=True))
        formula = formula * other if other.dim in (1, formula.dim) else lookup("Concat")(formula, other)
    formula2 = draw(expressions(POOL, max_operations=6, smooth=True)) if n_values == 2 else None
    return problem_of(name, formula, formula2, draw(st.sampled_from([0, 1])))


@settings(max_examples=300, deadline=None)
@given(problems(), st.sampled_from([0, 1]))
def test_registers_hold_what_is_read(problem, order):
    with pytest.MonkeyPatch.context() as patch:
        made = poison(patch)
        plan = make_plan(problem)
        lowering.lower(plan, order, True)
        lane, row = (Home.REDUCED, Home.OUTPUT) if order == 0 else (Home.OUTPUT, Home.REDUCED)
        places = {Home.CONSTANT: CONST, lane: LANE, row: ROW, Home.PAIR: TILE}
        check_program(made[-1], lambda node: places[plan.home(node)], plan.value, plan.terms)
        values = problem.values
        both = make_plan(Problem(tuple(Output(Sum(), values[:1], axis) for axis in (1, 0)), VARIABLES))
        lowering.lower(both, order, True)
        for summed, axis in (("terms", 1 - order), ("turned", order)):
            lanes = (Home.REDUCED, Home.OUTPUT) if order == 0 else (Home.OUTPUT, Home.REDUCED)
            homes = {Home.CONSTANT: CONST, lanes[0]: LANE, lanes[1]: ROW, Home.PAIR: TILE}
            check_program(made[-1], lambda node, homes=homes: homes[both.home(node)], None, both.terms_over(axis), summed)
        lowering.lower_map(values, VARIABLES, True)
        terms = [SumTerm(None, None, e) for e in values]
        check_program(made[-1], lambda node: LANE if node.categories - {P} else CONST, None, terms)
        lowering.lower_pairs(values[0], VARIABLES, False)
        over_j = {Home.CONSTANT: CONST, Home.OUTPUT: ROW, Home.REDUCED: LANE, Home.PAIR: TILE}
        check_program(made[-1], lambda node: over_j[home_of(node, output=I)], values[0], ())


def arrays(m, n, dtype):
    rng = np.random.default_rng(3)
    shapes = {I: (m,), J: (n,), IJ: (m, n), P: ()}
    return tuple(rng.uniform(-1, 1, (*shapes[v.category], v.dim)).astype(dtype) for v in VARIABLES)


@settings(max_examples=120, deadline=None)
@given(problems(), st.sampled_from([(3, 70), (70, 3), (2, 130)]), st.sampled_from([np.float32, np.float64]))
def test_values_with_released_planes_poisoned(problem, size, dtype):
    given = arrays(*size, dtype)
    with pytest.MonkeyPatch.context() as patch:
        poison(patch)
        state = cpu.prepare(problem).state(given)
    exact = reference.prepare(problem).state(tuple(a.astype(float) for a in given))
    tolerance = 2e-4 if dtype == np.float32 else 1e-9
    for found, expected in zip(state, exact, strict=True):
        if found.dtype.kind == "f":
            scale = np.abs(expected[np.isfinite(expected)]).max(initial=1)
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale)


FORMULAS = {
    "Exp(-Square(Elem(w,0))) * w": lambda w: np.exp(-(w[..., :1] ** 2)) * w,
    "ComplexAbs(w) * w": lambda w: np.linalg.norm(w, axis=-1, keepdims=True) * w,
    "Concat(Cos(Elem(w,1)), Sin(Elem(w,0))) * w": lambda w: (
        np.concatenate([np.cos(w[..., 1:]), np.sin(w[..., :1])], axis=-1) * w
    ),
}


@pytest.mark.parametrize("size", [(5, 7), (3, 200), (200, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("text", FORMULAS)
def test_components_of_pairs(text, dtype, size):
    """A component of a value of a pair is read in its planes, which are not given away."""
    w = np.random.default_rng(0).normal(size=(*size, 2)).astype(dtype)
    values = FORMULAS[text](w.astype(float))
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    for axis in (0, 1):
        for name, expected in (("Sum", values.sum(axis)), ("Max", values.max(axis)), ("Min", values.min(axis))):
            found = Genred(text, ["w = Vij(2)"], name, axis=axis)(w)
            np.testing.assert_allclose(found, expected, **tolerance)
        k = Genred(text, ["w = Vij(2)"], "KMin", axis=axis, opt_arg=2)(w)
        np.testing.assert_allclose(
            k, np.moveaxis(np.sort(values, axis)[(slice(None),) * axis + (slice(2),)], axis, 1), **tolerance
        )
