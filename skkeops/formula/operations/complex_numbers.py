"""Arithmetic and functions of complex vectors, in terms of their real and imaginary parts.

A complex vector of D components is a vector of dim 2D: re, im, re, im, ... In operations of two complex vectors one
may have a single component (dim 2), which then stands for all. Derivatives are those of the real and imaginary
parts: for ``L`` real, the gradient by ``z`` holds ``dL/dRe(z)`` and ``dL/dIm(z)``, interleaved.

Squared absolute values are formed as they stand, as in Norm2: what divides by them, or takes their root or logarithm,
needs absolute values between 1e-19 and 1e19 in float32, 1e-154 and 1e154 in float64.
"""

from __future__ import annotations

from ..errors import FormulaError
from ..expression import Constant, Expression
from .algebra import is_zero
from .arithmetic import Add, Divide, Minus, Mult, Subtract
from .base import composite
from .complex_parts import Complex, ComplexImag, ComplexReal, check_complex
from .families import broadcast
from .hyperbolic import Log1p
from .piecewise import Abs, IfElse
from .powers import Inv, Powf, Rsqrt, Sqrt, Square
from .transcendental import Atan2, Cos, Exp, Log, Sin
from .vectors import Sum

__all__ = [
    "ComplexAbs",
    "ComplexAdd",
    "ComplexAngle",
    "ComplexDivide",
    "ComplexExp",
    "ComplexExp1j",
    "ComplexInv",
    "ComplexLog",
    "ComplexMult",
    "ComplexPow",
    "ComplexRealScal",
    "ComplexScal",
    "ComplexSqrt",
    "ComplexSquareAbs",
    "ComplexSubtract",
    "ComplexSum",
    "ComplexSumT",
    "Conj",
    "Imag2Complex",
    "Real2Complex",
]

_TWO = ((-2.0, 2.0), (-2.0, 2.0))
_AWAY = ((0.5, 2.0),)  # from 0 and from the negative real axis
_MAX_PRODUCTS = 64  # exponents up to this one are products


def _parts(f: Expression) -> tuple[Expression, Expression]:
    check_complex(f, "a complex argument")
    return ComplexReal.build(f), ComplexImag.build(f)


def _alike(f: Expression, g: Expression) -> tuple[Expression, Expression]:
    """Both with the same number of complex components."""
    check_complex(f, "the first argument")
    check_complex(g, "the second argument")
    if f.dim != g.dim and f.dim != 2 and g.dim != 2:
        raise FormulaError(f"the dims {f.dim} and {g.dim} do not go together: they must be equal, or 2")
    dim = max(f.dim, g.dim)
    return ComplexSumT.build(f, dim), ComplexSumT.build(g, dim)


# -- real and complex vectors -----------------------------------------------------------------------------------------
@composite("Real2Complex", "f")
def Real2Complex(f):
    """``Real2Complex(f) = f + 0 i``, of dim D to 2D."""
    return Complex.build(f, 0)


@composite("Imag2Complex", "f")
def Imag2Complex(f):
    """``Imag2Complex(f) = 0 + i f``, of dim D to 2D."""
    return Complex.build(0, f)


@composite("Conj", "f")
def Conj(f):
    """``Conj(f)``: the complex conjugate."""
    a, b = _parts(f)
    return Complex.build(a, Minus.build(b))


@composite("ComplexSquareAbs", "f")
def ComplexSquareAbs(f):
    """``ComplexSquareAbs(f) = Re(f)^2 + Im(f)^2``, of dim 2D to D."""
    a, b = _parts(f)
    return Add.build(Square.build(a), Square.build(b))


@composite("ComplexAbs", "f", domain=_AWAY)
def ComplexAbs(f):
    """``ComplexAbs(f) = Sqrt(ComplexSquareAbs(f))``, of dim 2D to D; its gradient is 0 at 0."""
    return Sqrt.build(ComplexSquareAbs.build(f))


@composite("ComplexAngle", "f", domain=_AWAY)
def ComplexAngle(f):
    """``ComplexAngle(f) = Atan2(Im(f), Re(f))``, in [-pi, pi], of dim 2D to D; it and its gradient are 0 at 0."""
    a, b = _parts(f)
    return Atan2.build(b, a)


@composite("ComplexSum", "f")
def ComplexSum(f):
    """``ComplexSum(f)``: the sum of the complex components, of dim 2D to 2."""
    a, b = _parts(f)
    return Complex.build(Sum.build(a), Sum.build(b))


@composite("ComplexSumT", "f", "dim")
def ComplexSumT(f, dim):
    """``ComplexSumT(f, dim)``: one complex component, ``dim / 2`` times; the transpose of ``ComplexSum``."""
    if dim % 2 or dim < 2:
        raise FormulaError(f"parameter 'dim' must be even and positive, got {dim}")
    if f.dim == dim:
        return f
    if f.dim != 2:
        raise FormulaError(f"the argument must have dim 2, got {f.dim}")
    a, b = _parts(f)
    return Complex.build(broadcast(a, dim // 2), broadcast(b, dim // 2))


# -- arithmetic -------------------------------------------------------------------------------------------------------
@composite("ComplexAdd", "f g", domain=_TWO)
def ComplexAdd(f, g):
    """``ComplexAdd(f, g)``: the sum."""
    return Add.build(*_alike(f, g))


@composite("ComplexSubtract", "f g", domain=_TWO)
def ComplexSubtract(f, g):
    """``ComplexSubtract(f, g)``: the difference."""
    return Subtract.build(*_alike(f, g))


@composite("ComplexMult", "f g", domain=_TWO)
def ComplexMult(f, g):
    """``ComplexMult(f, g)``: the product of the components."""
    f, g = _alike(f, g)
    (a, b), (c, d) = _parts(f), _parts(g)
    if is_zero(d):
        f, (a, b), g, (c, d) = g, (c, d), f, (a, b)
    if is_zero(b):  # a real factor
        return Mult.build(a, g) if a.dim == 1 else Complex.build(Mult.build(a, c), Mult.build(a, d))
    if f is g:
        product = Mult.build(a, b)
        real = Mult.build(Subtract.build(a, b), Add.build(a, b))
        return Complex.build(real, Add.build(product, product))
    real = Subtract.build(Mult.build(a, c), Mult.build(b, d))
    return Complex.build(real, Add.build(Mult.build(a, d), Mult.build(b, c)))


@composite("ComplexScal", "f g", domain=_TWO)
def ComplexScal(f, g):
    """``ComplexScal(f, g) = ComplexMult(f, g)`` with one of them of dim 2, a complex number."""
    if f.dim != 2 and g.dim != 2:
        raise FormulaError(f"one argument must have dim 2, got {f.dim} and {g.dim}")
    return ComplexMult.build(f, g)


@composite("ComplexRealScal", "f g", domain=_TWO)
def ComplexRealScal(f, g):
    """``ComplexRealScal(f, g)``: a real number, of dim 1, times a complex vector, in either order."""
    if f.dim != 1 and g.dim != 1:
        raise FormulaError(f"one argument must have dim 1, got {f.dim} and {g.dim}")
    check_complex(g if f.dim == 1 else f, "the other argument")
    return Mult.build(f, g)


@composite("ComplexInv", "f", domain=_AWAY)
def ComplexInv(f):
    """``ComplexInv(f) = 1 / f``; not a number at 0."""
    a, b = _parts(f)
    if is_zero(b):
        return Complex.build(Inv.build(a), b)
    square = ComplexSquareAbs.build(f)
    return Complex.build(Divide.build(a, square), Minus.build(Divide.build(b, square)))


@composite("ComplexDivide", "f g", domain=((-2.0, 2.0), (0.5, 2.0)))
def ComplexDivide(f, g):
    """``ComplexDivide(f, g) = ComplexMult(f, ComplexInv(g))``; if ``g`` is real, both parts of ``f`` are divided by it."""
    f, g = _alike(f, g)
    c, d = _parts(g)
    if is_zero(d):
        a, b = _parts(f)
        return Complex.build(Divide.build(a, c), Divide.build(b, c))
    return ComplexMult.build(f, ComplexInv.build(g))


# -- functions --------------------------------------------------------------------------------------------------------
@composite("ComplexExp1j", "f")
def ComplexExp1j(f):
    """``ComplexExp1j(f) = Cos(f) + i Sin(f)``: the exponential of ``i f`` for a real ``f``, of dim D to 2D."""
    return Complex.build(Cos.build(f), Sin.build(f))


@composite("ComplexExp", "f")
def ComplexExp(f):
    """``ComplexExp(f)``: the exponential, ``Exp(Re(f)) * ComplexExp1j(Im(f))``."""
    a, b = _parts(f)
    size = Exp.build(a)
    return Complex.build(Mult.build(size, Cos.build(b)), Mult.build(size, Sin.build(b)))


@composite("ComplexLog", "f", domain=_AWAY)
def ComplexLog(f):
    """``ComplexLog(f) = Log(ComplexAbs(f)) + i ComplexAngle(f)``: the principal branch, cut along the negative real
    axis.

    The real part is ``-inf`` at 0, where there is no gradient. Near absolute values of 1, where it is small, its error is about
    an eps of the square of the smaller part, absolutely: next to 1 and i nothing cancels.
    """
    return Complex.build(_log_abs(f), ComplexAngle.build(f))


def _log_abs(f: Expression) -> Expression:
    a, b = _parts(f)
    if is_zero(b):
        return Log.build(Abs.build(a))
    square = ComplexSquareAbs.build(f)
    # Near 1 the logarithm is about square - 1, whose digits the rounded square has lost.
    is_larger = Subtract.build(Abs.build(a), Abs.build(b))
    large, small = IfElse.build(is_larger, a, b), IfElse.build(is_larger, b, a)
    beyond = Add.build(Mult.build(Subtract.build(large, 1), Add.build(large, 1)), Square.build(small))
    is_near = Subtract.build(0.5, Abs.build(Subtract.build(square, 1)))
    return Divide.build(IfElse.build(is_near, Log1p.build(beyond), Log.build(square)), 2)


@composite("ComplexSqrt", "f", domain=_AWAY)
def ComplexSqrt(f):
    """``ComplexSqrt(f)``: the root whose real part is not negative. On the negative real axis its imaginary part has the
    sign of the imaginary part of ``f``, also if that is a zero. The gradient is 0 at 0."""
    a, b = _parts(f)
    size = ComplexAbs.build(f)
    # The larger part of the root is a sum of positive numbers; the other follows by division, so that nothing cancels.
    double = IfElse.build(a, Add.build(size, a), Subtract.build(size, a))
    large = Sqrt.build(Divide.build(double, 2))
    factor = Rsqrt.build(Mult.build(2, double))
    sign = Constant(1) if is_zero(b) else Add.build(b, Inv.build(b))  # of b, also if b is a zero
    small = Mult.build(b, factor)
    real = IfElse.build(a, large, IfElse.build(sign, small, Minus.build(small)))
    return Complex.build(real, IfElse.build(a, small, IfElse.build(sign, large, Minus.build(large))))


@composite("ComplexPow", "f g", domain=((0.5, 2.0), (-2.0, 2.0)))
def ComplexPow(f, g):
    """``ComplexPow(f, g)``: the principal power, of an exponent that is real (of dim 1) or complex.

    Integers up to 64 are products, halves of integers products and a root; other real exponents are powers of the
    absolute value and multiples of the angle, and complex ones ``ComplexExp(g * ComplexLog(f))``.
    """
    check_complex(f, "the first argument")
    if g.dim > 1:
        return ComplexExp.build(ComplexMult.build(g, ComplexLog.build(f)))
    if type(g) is Constant:
        numerator, denominator, _ = g.params
        if denominator <= 2 and abs(numerator) <= _MAX_PRODUCTS * denominator:
            whole, half = divmod(abs(numerator), denominator)
            power = _product(f, whole)
            if half:
                power = ComplexMult.build(power, ComplexSqrt.build(f))
            return power if numerator >= 0 else ComplexInv.build(power)
    size = Powf.build(ComplexSquareAbs.build(f), Divide.build(g, 2))
    angle = Mult.build(g, ComplexAngle.build(f))
    return Complex.build(Mult.build(size, Cos.build(angle)), Mult.build(size, Sin.build(angle)))


def _product(f: Expression, n: int) -> Expression:
    """``f`` to the power ``n >= 0``, by repeated squaring."""
    result = None
    while n:
        if n % 2:
            result = f if result is None else ComplexMult.build(result, f)
        n //= 2
        if n:
            f = ComplexMult.build(f, f)
    return Complex.build(Constant(1, f.dim // 2), 0) if result is None else result
