"""What the bounds of operations are made of: intervals of expressions, and the rounding that widens them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ..expression import Constant, Expression
from ..registry import ops

__all__ = ["Interval", "Rounding", "between", "larger", "smaller"]

_MORE = 2  # roundings of the bounds themselves, in ulps


class Interval(NamedTuple):
    """An expression that is nowhere larger than another one, and this one: of the same dim.

    Attributes
    ----------
    lower, upper : Expression
        They are one object where the value is known exactly, as that of a parameter.
    """

    lower: Expression
    upper: Expression

    @property
    def nearest(self) -> Expression:
        """The least absolute value in the interval."""
        return ops.ReLU.build(larger(self.lower, ops.Minus.build(self.upper)))

    @property
    def farthest(self) -> Expression:
        """The largest absolute value in the interval."""
        return larger(ops.Minus.build(self.lower), self.upper)


class Rounding:
    """How far a computed number may be from the one it stands for, and what bounds take for granted.

    Parameters
    ----------
    dtype : {"float32", "float64"}
        The precision in which a formula is computed; its bounds are computed in float64.

    Attributes
    ----------
    eps : Fraction
        One ulp, relative.
    tiny : Fraction
        The smallest normal number: float32 takes smaller ones for 0.
    largest : Fraction
        Below it nothing overflows.
    is_double : bool
    conditions : list of Expression
        The bounds hold where none of these is negative.
    """

    def __init__(self, dtype: str):
        info = np.finfo(np.dtype(dtype))
        self.is_double = info.dtype.itemsize == 8
        self.eps, self.tiny = Fraction(float(info.eps)), Fraction(float(info.tiny))
        self.largest = Fraction(float(info.max)) / 4
        self.conditions: list[Expression] = []

    def require(self, expression: Expression) -> None:
        """Note that the bounds hold only where an expression is not negative."""
        self.conditions.append(expression)

    def require_positive(self, expression: Expression) -> None:
        """Note that the bounds hold only where an expression is positive, and no denormal number."""
        self.require(ops.Subtract.build(expression, Constant(self.tiny)))

    def widen(
        self,
        lower: Expression,
        upper: Expression,
        ulps: int = 4,
        sizes: tuple[Expression, Expression] | None = None,
        nonnegative: bool = False,
        absolute: int = 0,
    ) -> Interval:
        """Return an interval that holds what is computed where a number of another one is meant.

        Parameters
        ----------
        lower, upper : Expression
        ulps : int
            The error of the operation, relative to `sizes`; 0 for one that is exact.
        sizes : tuple of two Expression, optional
            What the errors of both ends are relative to. Default: their absolute values.
        nonnegative : bool
            Whether what is computed is never negative, whatever the rounding.
        absolute : int
            A further error, in ulps of 1.
        """
        if ulps:
            relative = Constant((ulps + _MORE) * self.eps)
            least = Constant(self.tiny + absolute * self.eps)
            below, above = sizes or (ops.Abs.build(lower), ops.Abs.build(upper))
            lower = lower - (relative * below + least)
            upper = upper + (relative * above + least)
        return Interval(ops.ReLU.build(lower) if nonnegative else lower, upper)


def smaller(a: Expression, b: Expression) -> Expression:
    """The smaller one of two values, component by component."""
    return ops.IfElse.build(ops.Subtract.build(b, a), a, b)


def larger(a: Expression, b: Expression) -> Expression:
    """The larger one of two values, component by component."""
    return ops.IfElse.build(ops.Subtract.build(a, b), a, b)


def between(function: Callable[..., Expression], f: Interval, g: Interval) -> tuple[Expression, Expression]:
    """The least and the largest value at the corners of a box, for a function that is monotone along its edges."""
    values = list(dict.fromkeys(function(a, b) for a in f for b in g))
    lower = upper = values[0]
    for value in values[1:]:
        lower, upper = smaller(lower, value), larger(upper, value)
    return lower, upper
