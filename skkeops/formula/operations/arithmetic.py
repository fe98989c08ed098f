"""Addition, subtraction, multiplication, division, and the sign."""

from __future__ import annotations

from fractions import Fraction

from ..expression import Constant
from ..registry import ops, register
from . import algebra
from .families import Elementwise
from .intervals import Interval, between

__all__ = ["Add", "Divide", "Minus", "Mult", "Subtract"]

_TWO = ((-2.0, 2.0), (-2.0, 2.0))
_ONE = Constant(1)
_MINUS_ONE = Constant(-1)


@register
class Minus(Elementwise):
    """``Minus(f)``, also written ``-f``: the other sign."""

    name = "Minus"
    parity = "odd"
    opcode = "neg"
    cuda = "(-{0})"

    @classmethod
    def simplify(cls, args, params):
        (f,) = args
        if type(f) is Constant:
            return Constant._of(-f.value)
        if type(f) is ops.ElemT:
            return ops.ElemT.build(cls.build(f.args[0]), *f.params)
        c, rest = algebra.split(f)
        return algebra.scale(-c, rest)

    def numpy(self, f):
        return -f

    def bounds(self, intervals, rounding):
        ((lower, upper),) = intervals
        return Interval(-upper, -lower)

    def partial(self, k):
        return _MINUS_ONE


@register
class Add(Elementwise):
    """``Add(f, g)``, also written ``f + g``: the sum of two formulas, component by component."""

    name = "Add"
    commutes = True
    arguments = ("f", "g")
    opcode = "add"
    cuda = "({0} + {1})"
    domain = _TWO

    @classmethod
    def simplify(cls, args, params):
        f, g = args
        if type(g) is Constant:
            f, g = g, f
        if type(f) is Constant:
            return _add_constant(f, g)
        if f is g:
            return Mult.build(2, f)
        (cf, f_rest), (cg, g_rest) = algebra.split(f), algebra.split(g)
        if f_rest is g_rest:
            return algebra.scale(cf + cg, f_rest)
        if cg == -1:
            return Subtract.build(f, g_rest)
        if cf == -1:
            return Subtract.build(g, f_rest)
        return _by_parts(cls, f, g)

    def numpy(self, f, g):
        return f + g

    def bounds(self, intervals, rounding):
        f, g = intervals
        return rounding.widen(f.lower + g.lower, f.upper + g.upper)

    def partial(self, k):
        return _ONE


def _add_constant(c: Constant, g):
    """``c + g`` with constants gathered."""
    if type(g) is Constant:
        return Constant._of(c.value + g.value)
    if c.params[0] == 0:
        return g
    if type(g) in (Add, Subtract) and type(g.args[0]) is Constant:
        return type(g).build(Constant._of(c.value + g.args[0].value), g.args[1])
    if type(g) is Minus:
        return Subtract._new((c, g.args[0]))
    return Add._new((c, g))


def _by_parts(cls, f, g):
    """The sum or difference of complex vectors of which the parts are known."""
    if type(f) is ops.Complex and type(g) is ops.Complex and f.dim == g.dim:
        return ops.Complex.build(*(cls.build(a, b) for a, b in zip(f.args, g.args, strict=True)))
    return None


@register
class Subtract(Elementwise):
    """``Subtract(f, g)``, also written ``f - g``: the difference, component by component."""

    name = "Subtract"
    arguments = ("f", "g")
    opcode = "sub"
    cuda = "({0} - {1})"
    domain = _TWO

    @classmethod
    def simplify(cls, args, params):
        f, g = args
        if type(g) is Constant:
            return Add.build(Constant._of(-g.value), f)
        if type(f) is Constant:
            if f.params[0] == 0:
                return Minus.build(g)
            if type(g) in (Add, Subtract) and type(g.args[0]) is Constant:
                other = Subtract if type(g) is Add else Add
                return other.build(Constant._of(f.value - g.args[0].value), g.args[1])
            if type(g) is Minus:
                return Add.build(f, g.args[0])
            return None
        if f is g:
            return Constant(0)
        (cf, f_rest), (cg, g_rest) = algebra.split(f), algebra.split(g)
        if f_rest is g_rest:
            return algebra.scale(cf - cg, f_rest)
        if cg == -1:
            return Add.build(f, g_rest)
        if cf == -1:
            return Minus.build(Add.build(f_rest, g))
        return _by_parts(cls, f, g)

    def numpy(self, f, g):
        return f - g

    def bounds(self, intervals, rounding):
        f, g = intervals
        return rounding.widen(f.lower - g.upper, f.upper - g.lower)

    def partial(self, k):
        return _MINUS_ONE if k else _ONE


@register
class Mult(Elementwise):
    """``Mult(f, g)``, also written ``f * g``: the product, component by component. A product with
    the constant 0 is 0, whatever the other factor."""

    name = "Mult"
    commutes = True
    arguments = ("f", "g")
    opcode = "mul"
    cuda = "({0} * {1})"
    domain = _TWO

    @classmethod
    def simplify(cls, args, params):
        f, g = args
        if type(g) is Constant:
            f, g = g, f
        if type(f) is Constant:
            if f.params[0] == 0:
                return f
            if type(g) is Constant:
                return Constant._of(f.value * g.value)
            if f is _ONE:
                return g
        if type(f) is ops.ElemT:
            f, g = g, f
        if type(g) is ops.ElemT and (f.dim == 1 or f.dim == g.dim):
            factor = f if f.dim == 1 else ops.Elem.build(f, g.params[1])
            return ops.ElemT.build(cls.build(factor, g.args[0]), *g.params)
        cg, g = algebra.split(g)
        if type(f) is Constant:
            return algebra.scale(f.value * cg, g)
        cf, f = algebra.split(f)
        return algebra.scale(cf * cg, algebra.multiply(f, g))

    def numpy(self, f, g):
        return f * g

    def bounds(self, intervals, rounding):
        f, g = intervals
        for c, other in ((f, g), (g, f)):
            if type(c.lower) is Constant and c.lower is c.upper:
                ends = tuple(c.lower * end for end in other)
                return rounding.widen(*(ends if c.lower.value > 0 else ends[::-1]))
        return rounding.widen(*between(Mult.build, f, g))

    def partial(self, k):
        return self.args[1 - k]


@register
class Divide(Elementwise):
    """``Divide(f, g)``, also written ``f / g``: the quotient, component by component. By a constant with
    an exact inverse it becomes a product."""

    name = "Divide"
    arguments = ("f", "g")
    opcode = "div"
    cuda = "({0} / {1})"
    domain = ((-2.0, 2.0), (0.5, 2.0))

    @classmethod
    def simplify(cls, args, params):
        f, g = args
        if type(g) is Constant and g.params[0] != 0:
            if type(f) is Constant:
                return Constant._of(f.value / g.value)
            if _is_dyadic(1 / g.value):
                return Mult.build(Constant._of(1 / g.value), f)
        if type(g) is Constant:
            # 49 * (1/49) is not 1 in floating point, 49 / 49 is
            return Minus.build(cls._new((f.args[0], g))) if type(f) is Minus else None
        if type(f) is Constant:
            if f.params[0] == 0:
                return f
            c, rest = algebra.split(g)
            c = f.value / c
            return ops.Inv.build(rest) if c == 1 else cls._new((Constant._of(c), rest))
        (cf, f), (cg, g) = algebra.split(f), algebra.split(g)
        return algebra.scale(Fraction(cf) / cg, cls._new((f, g)))

    def numpy(self, f, g):
        return f / g

    def bounds(self, intervals, rounding):
        f, g = intervals
        rounding.require_positive(g.nearest)
        return rounding.widen(*between(Divide.build, f, g))

    def partial(self, k):
        f, g = self.args
        if k == 0:
            return ops.Inv.build(g)
        return Minus.build(Divide.build(f, ops.Square.build(g)))


def _is_dyadic(c: Fraction) -> bool:
    """Whether ``c`` is exact in binary, in single precision."""
    return c.denominator & (c.denominator - 1) == 0 and c.denominator < 2**60 and abs(c.numerator) < 2**24
