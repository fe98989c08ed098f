"""The fold of a plan."""

from __future__ import annotations

from skkeops.plan.plan import Plan

from ..options import Options
from .base import Fold
from .extremum import ExtremumFold
from .kmin import KMinFold
from .shift_exp import ShiftExpFold
from .sum import SumFold

__all__ = ["make_fold"]


def make_fold(
    plan: Plan, value, terms, base_2: bool, options: Options, real: str, chunk: int | None = None
) -> Fold:
    """The fold of a plan, of rewritten expressions.

    Parameters
    ----------
    plan : Plan
    value : Expression or None
    terms : list of (scale, vector, minus)
        Expressions or None.
    base_2 : bool
        Whether `value` is an exponent in base 2.
    chunk : int, optional
        The most columns of a thread. Default: all.
    """
    kind = plan.problem.reduction.fold
    if kind == "sum":
        return SumFold(plan, *terms[0], options, real, chunk)
    if kind == "shift_exp":
        weights = [v for _, v, _ in terms if v is not None]
        return ShiftExpFold(plan, value, weights[0] if weights else None, base_2, options, real, chunk)
    if kind == "extremum":
        return ExtremumFold(plan, value, real, chunk)
    return KMinFold(plan, value, real, chunk)
