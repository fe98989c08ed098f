"""From a problem to a plan: the form in which a backend meets it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from skkeops.formula.expression import Expression, I, J

from .homes import Home, home_of
from .problem import Problem
from .terms import SumTerm, sum_term

__all__ = ["Plan", "make_plan"]


@dataclass(frozen=True)
class Plan:
    """A problem, decomposed.

    Attributes
    ----------
    problem : Problem
    output, reduced : int
        The categories (0: i, 1: j) of the first output's index and of the index that it reduces.
    value : Expression or None
        What log-sum-exp, extremum and K-smallest folds consume per pair.
    terms : tuple of SumTerm
        What is summed: the formulas of Sums, one for each output; or the columns that a log-sum-exp sums with the weights
        exp(value - m) as their scale.
    """

    problem: Problem
    output: int
    reduced: int
    value: Expression | None
    terms: tuple[SumTerm, ...]

    @property
    def has_both_axes(self) -> bool:
        """Whether some outputs reduce over i and some over j."""
        return len({output.axis for output in self.problem.outputs}) > 1

    def terms_over(self, axis: int) -> tuple[SumTerm, ...]:
        """The terms of the outputs that reduce over an axis."""
        return tuple(term for term, output in zip(self.terms, self.problem.outputs, strict=True) if output.axis == axis)

    def home(self, node: Expression) -> Home:
        """What an expression of the problem depends on."""
        return home_of(node, self.output)


@lru_cache(maxsize=512)
def make_plan(problem: Problem) -> Plan:
    """The plan of a problem."""
    output, reduced = (I, J) if problem.axis == 1 else (J, I)
    reduction, values, _ = problem.outputs[0]
    value: Expression | None = values[0]
    terms: tuple[SumTerm, ...] = ()
    if reduction.fold == "sum":
        value, terms = None, tuple(sum_term(o.values[0], 1 - o.axis) for o in problem.outputs)
    elif reduction.fold == "shift_exp":
        unit = (SumTerm(None, None, None),) if reduction.unit_column else ()
        terms = unit + tuple(SumTerm(None, None, weight) for weight in values[1:])
    return Plan(problem, output, reduced, value, terms)
