"""Programs as text, for `Genred.explain`: the plan, the codes, and what a pair costs."""

from __future__ import annotations

from collections.abc import Mapping

from skkeops.formula.errors import FormulaError
from skkeops.formula.expression import Constant, Expression, Variable
from skkeops.formula.operations import Selection
from skkeops.plan.plan import Plan, make_plan
from skkeops.plan.problem import Problem
from skkeops.plan.terms import SumTerm

from ._engine import OPCODES
from .instructions import CONST, LANE, ROW, TILE, Operand
from .lowering import SHORT_AXIS, lower

__all__ = ["describe"]

_MNEMONICS = {code: name for name, (code, _) in OPCODES.items()}
_PREFIX = {TILE: "t", LANE: "lane", ROW: "row", CONST: "c"}
# Arithmetic operations per component, where an instruction has not just one; functions are counted by their names.
_FLOPS = {
    "sqdist": 3, "long_sqdist": 2, "l1dist": 3, "dot": 2, "scaled_sqdist": 4, "scaled_l1dist": 4, "sumsq": 2, "copy": 0,
    "fill": 0, "expmul": 1,
}  # fmt: skip
_FUNCTIONS = (
    "exp", "log", "xlogx", "sin", "cos", "asin", "acos", "atan", "sqrt", "rsqrt", "powi", "sinxdivx", "atan2", "powf",
    "fmod", "expm1", "log1p", "tanh", "sinh", "cosh", "sech", "logistic", "softplus", "erf", "erfc", "lgamma", "digamma",
)  # fmt: skip


def describe(
    problem: Problem,
    names: Mapping[Variable, str] | None = None,
    dtype: str = "float32",
    n_reduced: int | None = None,
) -> str:
    """The plan of a problem and its program on the CPU engine.

    Parameters
    ----------
    problem : Problem
    names : mapping of Variable to str, optional
        How to print variables.
    dtype : {"float32", "float64"}, default="float32"
    n_reduced : int, optional
        The length of the reduced axis; short axes get another program. Default: long.

    Returns
    -------
    str
    """
    if str(dtype) not in ("float32", "float64"):
        raise ValueError(f"dtype: found {dtype!r}, expected 'float32' or 'float64'")
    plan = make_plan(problem)
    order = 0 if n_reduced is None or n_reduced > SHORT_AXIS else 1
    fields = lower(plan, order, str(dtype) == "float64").description
    out, red = ("i", "j") if problem.axis == 1 else ("j", "i")
    text = _Text(names)
    lines = [f"{problem.reduction.name} over {red}, one row per {out}, {dtype}"]
    lines += [f"  of {text(value)}" for value in problem.values]
    if problem.reduction.fold == "sum":
        lines.append(f"as {_sum_text(plan.terms[0], red, text)}")
    lanes, rows = (red, out) if order == 0 else (out, red)
    for title, side, code in (
        ("once a call (c)", CONST, "const_code"),
        (f"once per {rows} (row)", ROW, "row_code"),
        (f"once per {lanes} (lane)", LANE, "lane_code"),
    ):
        lines += _side(title, fields["sides"][side], fields[code], text)
    lines.append(f"per pair ({lanes} along the lanes, tiles of {fields['tile_rows']} x {fields['tile_lanes']} pairs)")
    lines += _instructions(fields["pair_code"]) or ["  nothing"]
    lines += _fold(plan, fields)
    itemsize = 8 if str(dtype) == "float64" else 4
    lines += _costs(fields, itemsize, order)
    return "\n".join(lines)


class _Text:
    """Expressions as text, cut to a line."""

    def __init__(self, names: Mapping[Variable, str] | None) -> None:
        self.names = names

    def __call__(self, expression: Expression) -> str:
        try:
            text = expression.to_text(self.names)
        except FormulaError:  # A text repeats what an expression shares, and may become too long.
            text = expression.name
        return text if len(text) <= 100 else text[:97] + "..."


def _sum_text(term: SumTerm, reduced: str, text: _Text) -> str:
    inner = []
    if term.scale is not None:
        inner.append(f"({text(term.scale)})")
    if term.vector is not None:
        minus = f" - {text(term.minus)}" if term.minus is not None else ""
        inner.append(f"({text(term.vector)}{minus})")
    outside = "" if term.factor is None else f"({text(term.factor)}) * "
    return f"{outside}sum over {reduced} of {' * '.join(inner) or '1'}"


def _side(title: str, planes: list[tuple[Expression, Operand]], code: list, text: _Text) -> list[str]:
    lines = [title] if planes else []
    for expression, operand in planes:
        how = "view" if isinstance(expression, Selection) else "computed"
        if isinstance(expression, Variable):
            how = "read"
        elif isinstance(expression, Constant):
            how = "literal"
        lines.append(f"  {_span(operand):>8}  {text(expression)}  ({how})")
    if code:
        lines += ["  by"] + ["  " + line for line in _instructions(code)]
    return lines


def _span(operand: Operand) -> str:
    _, offset, dim, step = operand
    if dim == 1 or step == 0:
        return f"{offset}"
    return f"{offset}..{offset + (dim - 1) * step}" + (f":{step}" if step > 1 else "")


def _operand(operand: Operand | None) -> str:
    return "" if operand is None else f"{_PREFIX[operand.place]}[{_span(operand)}]"


def _instructions(code: list) -> list[str]:
    lines = []
    for instruction in code:
        op, _, _, n_table, target, a, b, c, imm = instruction
        arguments = [_operand(o) for o in (a, b, c) if o is not None] + [f"{x:g}" for x in imm]
        if n_table:
            arguments.append(f"{n_table // 3} products")
        lines.append(f"  {_operand(target):>10} = {_MNEMONICS[op]}({', '.join(arguments)})")
    return lines


def _fold(plan: Plan, fields: dict) -> list[str]:
    reduction = plan.problem.reduction
    if reduction.fold in ("extremum", "kmin"):
        return [f"fold: {reduction.name} of {_operand(fields['value'])}, state of {fields['width']} columns"]
    terms = []
    for scale, times, vector, minus, _, dim in fields["terms"]:
        difference = f" - {_operand(minus)}" if minus is not None else ""
        parts = [_operand(factor) for factor in (scale, times) if factor is not None]
        parts += [f"({_operand(vector)}{difference})"] if vector is not None else []
        terms.append(f"{' * '.join(parts)} to {dim} column{'s' * (dim > 1)}")
    name = "sum" if reduction.fold == "sum" else f"running maximum of {_operand(fields['value'])}, exp, sum"
    return [f"fold: {name} of {'; '.join(terms)}"]


def _costs(fields: dict, itemsize: int, order: int) -> list[str]:
    flops, moved = 0, 0
    functions: dict[str, int] = {}
    for op, dim, _, n_table, target, a, b, c, _ in fields["pair_code"]:
        name = _MNEMONICS[op]
        if name in _FUNCTIONS or name == "expmul":
            function = "exp" if name == "expmul" else name
            functions[function] = functions.get(function, 0) + dim
        if name not in _FUNCTIONS:
            flops += 2 * (n_table // 3) if n_table else _FLOPS.get(name, 1) * dim
        for operand in (target, a, b, c):
            if operand is not None and operand.place in (TILE, LANE):
                moved += operand.dim * itemsize
    for scale, times, vector, minus, _, dim in fields["terms"]:
        flops += dim * (1 + (scale is not None and vector is not None) + (minus is not None)) + (times is not None)
        moved += sum(o.dim * itemsize for o in (scale, times, vector, minus) if o is not None and o.place in (TILE, LANE))
    if fields["fold"] == "shift_exp":
        functions["exp"] = functions.get("exp", 0) + 1
        flops += 2
    elif fields["fold"] in ("extremum", "kmin"):
        flops += fields["value"].dim
    calls = "".join(f", {n} {name}" for name, n in sorted(functions.items()))
    read = fields["lane_planes"] * itemsize
    group = fields["row_group"] if order == 0 else SHORT_AXIS
    return [
        f"cost of a pair: {flops} arithmetic operations{calls}; {moved} bytes through the first-level cache",
        f"cost of memory: {read} bytes a lane, once for every {group} rows ({read / group:.2g} bytes a pair)",
    ]
