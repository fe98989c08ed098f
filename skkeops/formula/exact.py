"""Numbers of Python as exact fractions, within the range of float64."""

from __future__ import annotations

import math
import operator
from fractions import Fraction
from numbers import Rational, Real
from typing import Any

from .errors import FormulaError

__all__ = ["as_fraction", "in_range"]

_MAX_BITS = 2200  # longer numerators and denominators are rounded to the nearest double
_SURELY_IN_RANGE = 900  # bits: the quotient of two shorter integers is a normal number


def as_fraction(value: Any) -> Fraction:
    """A real number as the fraction that its decimal text says: 0.1 is one tenth."""
    if isinstance(value, bool):
        return Fraction(int(value))
    if isinstance(value, Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    try:
        return Fraction(operator.index(value))
    except TypeError:
        pass
    if isinstance(value, Real) or hasattr(value, "__float__"):
        as_float = float(value)
        if not math.isfinite(as_float):
            raise FormulaError(f"a constant must be finite, got {as_float}")
        shortest = repr(as_float) if isinstance(value, float) else str(value)
        try:
            return Fraction(shortest)
        except ValueError:
            return Fraction(as_float)
    raise TypeError(f"a constant must be a real number, got {type(value).__name__}")


def in_range(value: Fraction) -> tuple[int, int]:
    """Numerator and denominator of a fraction that float64 can hold, rounded if they have very many digits."""
    numerator, denominator = value.numerator, value.denominator
    size = numerator.bit_length(), denominator.bit_length()
    if max(size) <= _SURELY_IN_RANGE:
        return numerator, denominator
    try:
        as_float = numerator / denominator
    except OverflowError:
        raise FormulaError("a constant is too large for a float64 (above 1.8e308)") from None
    if as_float == 0.0 and numerator:
        raise FormulaError("a constant is too small for a float64 (below 5e-324)")
    return as_float.as_integer_ratio() if max(size) > _MAX_BITS else (numerator, denominator)
