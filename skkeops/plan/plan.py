"""From a problem to a plan: the form in which a backend meets it.

Two things are decided here, for all backends. First, what a sub-expression depends on: parameters alone, i alone,
j alone, or both; only the last is computed for every pair. Second, the form of a sum: a product is taken apart
into what leaves the sum by linearity, a number per pair, and a vector that need not be formed for every pair::

    sum_j F_ij  =  factor_i * sum_j scale_ij * (vector - minus)

A sum of terms is not split into sums: where the terms cancel, the rounding errors of the parts would not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from skkeops.formula.expression import Constant, Expression, I, J, P
from skkeops.formula.operations import lookup

from .problem import Problem

__all__ = ["Plan", "SumTerm", "make_plan", "sum_term"]


@dataclass(frozen=True)
class SumTerm:
    """``factor * sum(scale * (vector - minus))``; what is None is absent.

    Attributes
    ----------
    factor : Expression or None
        Depends on the output index and parameters alone.
    scale : Expression or None
        One number per pair.
    vector, minus : Expression or None
        With `minus`, `vector` depends on the output index alone and `minus` on the reduced one alone.
    """

    factor: Expression | None
    scale: Expression | None
    vector: Expression | None
    minus: Expression | None = None


@dataclass(frozen=True)
class Plan:
    """A problem, decomposed.

    Attributes
    ----------
    problem : Problem
    output, reduced : int
        The categories (0: i, 1: j) of the output's and of the reduced index.
    value : Expression or None
        What log-sum-exp, extremum and K-smallest folds consume per pair.
    terms : tuple of SumTerm
        What is summed: the formula of a Sum, or the columns that a log-sum-exp sums with the weights exp(value - m)
        as their scale.
    """

    problem: Problem
    output: int
    reduced: int
    value: Expression | None
    terms: tuple[SumTerm, ...]


@lru_cache(maxsize=512)
def make_plan(problem: Problem) -> Plan:
    """The plan of a problem."""
    output, reduced = (I, J) if problem.axis == 1 else (J, I)
    reduction, values = problem.reduction, problem.values
    value: Expression | None = values[0]
    terms: tuple[SumTerm, ...] = ()
    if reduction.fold == "sum":
        value, terms = None, (sum_term(values[0], output, reduced),)
    elif reduction.fold == "shift_exp":
        unit = (SumTerm(None, None, None),) if reduction.unit_column else ()
        terms = unit + tuple(SumTerm(None, None, weight) for weight in values[1:])
    return Plan(problem, output, reduced, value, terms)


def sum_term(value: Expression, output: int, reduced: int) -> SumTerm:
    """Take a product apart.

    Examples
    --------
    >>> from skkeops.formula.expression import Variable
    >>> from skkeops.formula.operations import lookup
    >>> x, y, b = Variable(0, 3, 0), Variable(1, 3, 1), Variable(2, 1, 1)
    >>> k = lookup("Exp").build(x | y)
    >>> term = sum_term(-2 * b * k * (x - y), I, J)
    >>> term.factor, term.minus
    (-2, Var(1,3,1))
    """
    multiply, subtract = lookup("Mult"), lookup("Subtract")
    outside: list[Expression] = []  # of the output index or of none
    lane: list[Expression] = []  # of the reduced index alone
    pair: list[Expression] = []
    stack = [value]
    while stack:
        node = stack.pop()
        depends = node.categories - {P}
        if depends <= {output}:
            outside.append(node)
        elif type(node) is multiply:
            stack.extend(reversed(node.args))
        elif type(node) is lookup("Minus"):
            outside.append(Constant(-1))
            stack.append(node.args[0])
        elif depends == {reduced}:
            lane.append(node)
        else:
            pair.append(node)
    factor = _product(outside)
    if not lane and not pair:  # nothing is left to sum but ones
        return SumTerm(factor, None, Constant(1, value.dim))
    dim = max(node.dim for node in lane + pair)
    # a difference of an output's and a reduced index's vector is taken within the sum
    for k, node in enumerate(pair):
        if type(node) is subtract and node.dim == dim:
            sides = [arg.categories - {P} for arg in node.args]
            if sides not in ([{output}, {reduced}], [{reduced}, {output}]):
                continue
            rest = pair[:k] + pair[k + 1 :] + lane  # by its place: the same difference may be a factor twice
            if not rest or any(other.dim != 1 for other in rest):
                continue
            vector, minus = node.args
            if sides[0] == {reduced}:
                vector, minus = minus, vector
                factor = -1 * factor if factor is not None else Constant(-1)
            return SumTerm(factor, _product(lane_first(rest, reduced)), vector, minus)
    if not pair:
        return SumTerm(factor, None, _product(lane))
    if dim == 1:
        return SumTerm(factor, _product(pair), _product(lane))
    vectors = [node for node in lane + pair if node.dim != 1]
    if all(node in lane for node in vectors):  # scalars of the reduced index go with its vector: once per j
        return SumTerm(factor, _product(pair), _product(lane))
    scalars = [node for node in lane + pair if node.dim == 1]
    return SumTerm(factor, _product(lane_first(scalars, reduced)), _product(vectors))


def lane_first(nodes: list[Expression], reduced: int) -> list[Expression]:
    """The same factors, those of the reduced index first, so that their product is hoisted."""
    return sorted(nodes, key=lambda node: node.categories - {P} != {reduced})


def _product(nodes: list[Expression]) -> Expression | None:
    if not nodes:
        return None
    total = nodes[0]
    for node in nodes[1:]:
        total = total * node
    return total
