"""NumPy's functions, where the operation of the same name in the language treats NaN, halves or signs otherwise."""

from __future__ import annotations

from fractions import Fraction

from skkeops.formula import operations as ops
from skkeops.formula.expression import Constant, Expression

from .masks import choose, truth

__all__ = [
    "ceil", "floor_divide", "fmax", "fmin", "isnan", "logical_and", "logical_not", "logical_or", "logical_xor", "maximum",
    "minimum", "remainder", "rint", "round_to", "sign", "trunc",
]  # fmt: skip

_HALF = Fraction(1, 2)


def isnan(f: Expression) -> Expression:
    return ops.NotEqual.build(f, f)


def maximum(f: Expression, g: Expression) -> Expression:
    """The larger one; NaN if either is."""
    return _either(ops.LessThan.build(f, g), isnan(g), g, f)


def minimum(f: Expression, g: Expression) -> Expression:
    """The smaller one; NaN if either is."""
    return _either(ops.LessThan.build(g, f), isnan(g), g, f)


def fmax(f: Expression, g: Expression) -> Expression:
    """The larger one; if one is NaN, the other."""
    return _either(ops.LessThan.build(f, g), isnan(f), g, f)


def fmin(f: Expression, g: Expression) -> Expression:
    """The smaller one; if one is NaN, the other."""
    return _either(ops.LessThan.build(g, f), isnan(f), g, f)


def _either(one: Expression, other: Expression, a: Expression, b: Expression) -> Expression:
    """``a`` where one of two conditions holds, else ``b``. They never hold both."""
    return ops.IfElse.build(one + other - Constant(_HALF), a, b)


def sign(f: Expression) -> Expression:
    """-1, 0, 1 or NaN."""
    return choose(isnan(f), f, ops.Sign.build(f))


def rint(f: Expression) -> Expression:
    """The nearest integer, an even one for halves: ``Round`` takes those away from zero."""
    away = ops.Round.build(f, 0)
    return choose(ops.Equal.build(ops.Abs.build(away - f), Constant(_HALF)), 2 * ops.Round.build(_HALF * f, 0), away)


def ceil(f: Expression) -> Expression:
    """The smallest integer that is not smaller."""
    return -ops.Floor.build(-f)


def trunc(f: Expression) -> Expression:
    """The nearest integer towards zero."""
    return choose(ops.LessThan.build(f, 0), ceil(f), ops.Floor.build(f))


def round_to(f: Expression, decimals: int) -> Expression:
    """To so many decimals, as NumPy does: by a power of ten that is exact, and one rounding."""
    if decimals == 0:
        return rint(f)
    unit = Constant(10 ** abs(decimals))
    return rint(f * unit) / unit if decimals > 0 else rint(f / unit) * unit


def remainder(f: Expression, g: Expression) -> Expression:
    """Python's remainder, of the sign of the divisor."""
    r = ops.Fmod.build(f, g)
    return choose(_signs_differ(r, g), r + g, r)


def floor_divide(f: Expression, g: Expression) -> Expression:
    """Python's quotient that goes with the remainder; a division by 0 is infinite, or NaN."""
    r = ops.Fmod.build(f, g)
    whole = ops.Round.build((f - r) / g - _signs_differ(r, g), 0)
    return choose(ops.Equal.build(g, 0), f / g, whole)


def _signs_differ(f: Expression, g: Expression) -> Expression:
    return ops.LessThan.build(ops.Sign.build(f) * ops.Sign.build(g), 0)


# Conditions, which are 1 where they hold and 0 elsewhere ------------------------------------------------------------------
def logical_not(f: Expression) -> Expression:
    return ops.Equal.build(f, 0)


def logical_and(f: Expression, g: Expression) -> Expression:
    return ops.Equal.build(truth(f) + truth(g), 2)


def logical_or(f: Expression, g: Expression) -> Expression:
    return ops.NotEqual.build(truth(f) + truth(g), 0)


def logical_xor(f: Expression, g: Expression) -> Expression:
    return ops.NotEqual.build(truth(f), truth(g))
