"""Basis splines."""

from __future__ import annotations

from ..errors import FormulaError
from .arithmetic import Add, Divide, Mult, Subtract
from .base import composite
from .piecewise import Equal, LessOrEqual, LessThan, NotEqual
from .selections import Extract

__all__ = ["BSpline"]


@composite("BSpline", "knots x", "order", domain=((0.0, 1.0), (0.1, 0.9)))
def BSpline(knots, x, order):
    """``BSpline(knots, x, order)``: the ``K - order - 1`` basis splines of ``K`` sorted knots at ``x`` (Cox-de Boor).

    Intervals are closed on the left and open on the right; repeated knots are allowed.
    """
    if x.dim != 1:
        raise FormulaError(f"'x' must have dim 1, got {x.dim}")
    if not 0 <= order <= 100:
        raise FormulaError(f"the order must be in 0..100, got {order}")
    n = knots.dim - 1
    if n - order < 1:
        raise FormulaError(f"order {order} needs at least {order + 2} knots, got {knots.dim}")
    low, high = Extract.build(knots, 0, n), Extract.build(knots, 1, n)
    basis = Mult.build(LessOrEqual.build(low, x), LessThan.build(x, high))
    for k in range(1, order + 1):
        # the rise of spline i over [t_i, t_(i+k)], 0 if these knots coincide
        start, end = Extract.build(knots, 0, n - k + 1), Extract.build(knots, k, n - k + 1)
        length = Subtract.build(end, start)
        inverse = Divide.build(NotEqual.build(length, 0), Add.build(length, Equal.build(length, 0)))
        up = Mult.build(Subtract.build(x, start), inverse)
        # the fall of spline i is that of the next one: 1 - rise, which would lose digits near the end
        down = Mult.build(Subtract.build(end, x), inverse)
        m = n - k
        rising = Mult.build(Extract.build(up, 0, m), Extract.build(basis, 0, m))
        falling = Mult.build(Extract.build(down, 1, m), Extract.build(basis, 1, m))
        basis = Add.build(rising, falling)
    return basis
