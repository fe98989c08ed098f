"""Derivatives of a reduced formula, in memory O(M + N)."""

from __future__ import annotations

from skkeops.execution.program import Prepare
from skkeops.plan.problem import Problem

from .base import Derivatives
from .sums import SumDerivatives
from .winners import WinnerDerivatives

__all__ = ["Derivatives", "differentiate"]

_KINDS: dict[str, type[Derivatives]] = {"sum": SumDerivatives, "winners": WinnerDerivatives}


def differentiate(problem: Problem, prepare: Prepare) -> Derivatives:
    """Return the derivatives of a problem.

    Parameters
    ----------
    problem : Problem
        The forward problem.
    prepare : callable
        Returns the program of a problem, this one or one derived from it, given the problem, the name of a backend, the
        namespace of the arrays and whether calls have a tolerance.

    Raises
    ------
    ValueError
        If the reduction has no derivative.
    """
    problem.reduction.check_differentiable()
    return _KINDS[problem.reduction.derivative](problem, prepare)
