"""Inverses, squares, roots and powers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..errors import FormulaError
from ..expression import Constant
from ..registry import ops, register
from .families import Elementwise
from .intervals import between, larger, smaller

__all__ = ["Inv", "Pow", "Powf", "Rsqrt", "Sqrt", "Square"]

_HALF = Constant(Fraction(1, 2))

CUDA_POWER = """
template <int n, typename real> __device__ inline real skkeops_power(real x)
{   /* x^n by squaring, where that is as accurate as the library's function */
    if (n < -32 || n > 32) return pow(x, (real)n);
    if (n == 0) return (real)1;
    if (n < 0) return (real)1 / skkeops_power<(n < 0 && n >= -32 ? -n : 0), real>(x);
    real half = skkeops_power<(n > 0 && n <= 32 ? n / 2 : 0), real>(x);
    return n % 2 ? half * half * x : half * half;
}
"""
_MAX_EXPONENT = 2**31 - 1


@register
class Inv(Elementwise):
    """``Inv(f) = 1 / f``; ``Inv(0)`` is infinite."""

    name = "Inv"
    opcode = "inv"
    cuda = "(({real})1 / {0})"
    domain = ((0.5, 2.0),)

    @classmethod
    def simplify(cls, args, params):
        (f,) = args
        if type(f) is Constant and f.params[0] != 0:
            try:
                return Constant._of(1 / f.value)
            except FormulaError:
                return None
        return None

    def numpy(self, f):
        return 1 / f

    def bounds(self, intervals, rounding):
        (f,) = intervals
        rounding.require_positive(f.nearest)
        return rounding.widen(Inv.build(f.upper), Inv.build(f.lower))

    def partial(self, k):
        return ops.Minus.build(Square.build(self))


@register
class Square(Elementwise):
    """``Square(f) = f * f``."""

    name = "Square"
    parity = "even"
    opcode = "square"
    shape = "valley"
    nonnegative = True
    cuda = "({0} * {0})"

    @classmethod
    def simplify(cls, args, params):
        (f,) = args
        if type(f) is Constant:
            return Constant._of(f.value * f.value)
        if type(f) is ops.Minus:
            return cls.build(f.args[0])
        if type(f) is ops.ElemT:
            return ops.ElemT.build(cls.build(f.args[0]), *f.params)
        return None

    def numpy(self, f):
        return f * f

    def partial(self, k):
        return ops.Mult.build(2, self.args[0])


@register
class Sqrt(Elementwise):
    """``Sqrt(f)``: the square root, NaN below 0; its derivative ``Rsqrt(f) / 2`` is 0 at 0."""

    name = "Sqrt"
    opcode = "sqrt"
    shape = "increasing"
    nonnegative = True
    cuda = "sqrt({0})"
    domain = ((0.5, 2.0),)

    def numpy(self, f):
        return np.sqrt(f)

    def partial(self, k):
        return ops.Mult.build(_HALF, Rsqrt.build(self.args[0]))


@register
class Rsqrt(Elementwise):
    """``Rsqrt(f) = 1 / Sqrt(f)``, NaN below 0, and ``Rsqrt(0) = 0``."""

    name = "Rsqrt"
    opcode = "rsqrt"
    cuda = "({0} == ({real})0 ? ({real})0 : ({real})1 / sqrt({0}))"
    domain = ((0.5, 2.0),)

    def numpy(self, f):
        return np.where(f == 0, np.zeros((), f.dtype), 1 / np.sqrt(np.where(f == 0, np.ones((), f.dtype), f)))

    def bounds(self, intervals, rounding):
        (f,) = intervals
        rounding.require_positive(f.lower)
        return rounding.widen(Rsqrt.build(f.upper), Rsqrt.build(f.lower), nonnegative=True)

    def partial(self, k):
        return ops.Mult.build(Fraction(-1, 2), Pow.build(self, 3))


@register
class Pow(Elementwise):
    """``Pow(f, m)``: the power of an integer ``m``, also written ``f ** m``; ``Pow(f, 0)`` is 1."""

    name = "Pow"
    parameters = ("m",)
    opcode = "powi"
    cuda = "skkeops_power<{p0}, {real}>({0})"
    cuda_functions = CUDA_POWER
    domain = ((0.5, 2.0),)

    @classmethod
    def check(cls, args, params):
        if abs(params[0]) > _MAX_EXPONENT:
            raise FormulaError(f"Pow: the exponent must be at most {_MAX_EXPONENT} in absolute value")
        return params

    @classmethod
    def simplify(cls, args, params):
        (f,), (m,) = args, params
        if m == 0:
            return Constant(1)
        if m == 1:
            return f
        if m == 2:
            return Square.build(f)
        if m == -1:
            return Inv.build(f)
        if type(f) is Constant and (f.params[0] != 0 or m > 0):
            return _constant_power(f, m)
        return None

    @property
    def immediates(self):
        return (float(self.params[0]),)

    def numpy(self, f):
        return np.power(f, np.asarray(self.params[0], f.dtype))

    def bounds(self, intervals, rounding):
        (f,), (m,) = intervals, self.params
        if m < 0:
            rounding.require_positive(f.nearest)
        ends = f if m % 2 else (f.nearest, f.farthest)
        lower, upper = (Pow.build(end, m) for end in (ends if m > 0 else ends[::-1]))
        return rounding.widen(lower, upper, 4 + 2 * abs(m), nonnegative=m % 2 == 0)

    def partial(self, k):
        m = self.params[0]
        return ops.Mult.build(m, Pow.build(self.args[0], m - 1))


def _constant_power(f: Constant, m: int) -> Constant | None:
    """The exact power, unless it needs very many digits."""
    numerator, denominator, _ = f.params
    if max(abs(numerator).bit_length(), denominator.bit_length()) * abs(m) <= 3000:
        return Constant._of(f.value**m)
    try:
        magnitude = abs(float(f)) ** m
    except (OverflowError, ZeroDivisionError):
        magnitude = np.inf
    if magnitude == np.inf:
        raise FormulaError("a constant power is too large for a float64 (above 1.8e308)")
    if magnitude == 0.0:
        raise FormulaError("a constant power is too small for a float64 (below 5e-324)")
    return None


@register
class Powf(Elementwise):
    """``Powf(f, g)``: the power of any exponent, also written ``f ** g``; not a number for ``f < 0`` unless
    ``g`` is an integer. With a constant ``g`` it becomes ``Pow``, ``Square`` or ``Sqrt`` where these apply."""

    name = "Powf"
    arguments = ("f", "g")
    opcode = "powf"
    cuda = "pow({0}, {1})"
    domain = ((0.5, 2.0), (-2.0, 2.0))

    @classmethod
    def simplify(cls, args, params):
        f, g = args
        if type(g) is Constant:
            numerator, denominator, _ = g.params
            if denominator == 1:
                if abs(numerator) <= _MAX_EXPONENT:
                    return Pow.build(f, numerator)
                if type(f) is Constant and f.params[0] != 0:
                    return _constant_power(f, numerator)
            elif denominator == 2 and numerator == 1:
                return Sqrt.build(f)
            elif denominator == 2 and numerator == -1:
                return Inv.build(Sqrt.build(f))
        if f is Constant(1):
            return f
        return None

    def numpy(self, f, g):
        return np.power(f, g)

    def bounds(self, intervals, rounding):
        f, g = intervals
        tiny = Constant(rounding.tiny)
        # the base is positive, or it may be 0 and the exponent is positive
        rounding.require(larger(f.lower - tiny, smaller(f.lower, g.lower - tiny)))
        return rounding.widen(*between(Powf.build, f, g), 8, nonnegative=True)

    def partial(self, k):
        # at 0 one factor is 0 and the other infinite: their limit is chosen, not computed
        f, g = self.args
        if k == 0:
            slope = ops.Mult.build(g, Powf.build(f, ops.Subtract.build(g, 1)))
            return slope if type(g) is Constant else ops.IfElse.build(ops.Equal.build(g, 0) - _HALF, 0, slope)
        slope = ops.Mult.build(ops.Log.build(f), self)
        return ops.IfElse.build(ops.Equal.build(f, 0) - _HALF, ops.IfElse.build(g, 0, slope), slope)
