"""What is to be computed, before anyone decides how."""

from __future__ import annotations

from dataclasses import dataclass

from skkeops.formula.expression import Expression, Variable
from skkeops.reductions import Reduction


@dataclass(frozen=True)
class Problem:
    """A reduction of expressions over all pairs (i, j).

    Parameters
    ----------
    reduction : Reduction
    values : tuple of Expression
        What the reduction consumes for each pair, from `Reduction.values`.
    axis : {0, 1}
        1 reduces over j and has a row per i; 0 reduces over i and has a row per j.
    variables : tuple of Variable
        The variables in the order of the arrays; they need not all occur in the expressions.
    """

    reduction: Reduction
    values: tuple[Expression, ...]
    axis: int
    variables: tuple[Variable, ...]
