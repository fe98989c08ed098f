"""Derivatives of a reduced formula, in memory O(M + N)."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from skkeops.pairs.ranges import Ranges
from skkeops.plan.problem import Problem

from .base import Derivatives
from .sums import SumDerivatives
from .winners import WinnerDerivatives

__all__ = ["Derivatives", "differentiate"]

_KINDS: dict[str, type[Derivatives]] = {"sum": SumDerivatives, "winners": WinnerDerivatives}


def differentiate(
    problem: Problem,
    forward: Callable[[str, ModuleType], Any],
    ranges: Ranges | None = None,
    prepare: Callable[[Problem, str, ModuleType], Any] | None = None,
) -> Derivatives:
    """Return the derivatives of a problem.

    Parameters
    ----------
    problem : Problem
        The forward problem.
    forward : callable
        Returns its prepared program, given the name of a backend and the namespace of the arrays.
    ranges : Ranges, optional
        The blocks of pairs that the reduction visits. Default: all pairs.
    prepare : callable, optional
        Returns the program of another problem, given the problem, the name of a backend and the namespace of the arrays.
        Default: that of the backend, without options.

    Raises
    ------
    ValueError
        If the reduction has no derivative.
    """
    problem.reduction.check_differentiable()
    return _KINDS[problem.reduction.derivative](problem, forward, ranges, prepare)
