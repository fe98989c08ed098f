"""Distances of time series."""

from __future__ import annotations

from ..errors import FormulaError
from ..expression import Expression
from .arithmetic import Add, Divide, Mult, Subtract
from .base import composite
from .piecewise import Floor
from .powers import Square
from .selections import Concat, Elem
from .transcendental import Exp, Log
from .vectors import Min

__all__ = ["SoftDTW_SqDist"]

_MOST_CELLS = 2500


@composite("SoftDTW_SqDist", "x y gamma", domain=((-1.0, 1.0), (-1.0, 1.0), (0.4, 0.9)))
def SoftDTW_SqDist(x, y, gamma):
    """``SoftDTW_SqDist(x, y, gamma)``: the soft dynamic time warping of two series of numbers, ``gamma > 0``.

    The soft minimum, ``-gamma * log(sum(exp(-cost / gamma)))``, over all monotone paths through the matrix of squared
    differences (Cuturi and Blondel, "Soft-DTW", 2017). Its recursion is written out, some 16 operations for each of the n x m
    cells; so its derivatives are those of any formula, of any order, by gamma too.
    """
    if gamma.dim != 1:
        raise FormulaError(f"'gamma' must have dim 1, got {gamma.dim}")
    n, m = x.dim, y.dim
    if n * m > _MOST_CELLS:
        raise FormulaError(f"series of {n} and {m} numbers have {n * m} pairs, the limit is {_MOST_CELLS}")
    xs, ys = [Elem.build(x, k) for k in range(n)], [Elem.build(y, k) for k in range(m)]
    above = []
    for k in range(n):
        row = []
        for j in range(m):
            # costs are in units of gamma
            cost = Divide.build(Square.build(Subtract.build(xs[k], ys[j])), gamma)
            if k and j:
                cost = Add.build(cost, _soft_minimum(above[j - 1], above[j], row[j - 1]))
            elif k or j:
                cost = Add.build(cost, above[j] if k else row[j - 1])
            row.append(cost)
        above = row
    return Mult.build(gamma, above[-1])


def _soft_minimum(*costs: Expression) -> Expression:
    """``-log(sum(exp(-cost)))``. The costs are shifted by the integer part of the least one, so that no exponential overflows. The
    shift has no derivative, which would cancel."""
    values = Concat.build(Concat.build(costs[0], costs[1]), costs[2])
    shift = Floor.build(Min.build(values))
    weights = [Exp.build(Subtract.build(shift, cost)) for cost in costs]
    return Subtract.build(shift, Log.build(Add.build(Add.build(weights[0], weights[1]), weights[2])))
