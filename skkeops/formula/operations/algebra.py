"""Rational coefficients: ``c * f`` is kept with one constant at the left."""

from __future__ import annotations

from ..expression import Constant, Expression
from ..registry import lookup, ops

__all__ = ["is_scaled_vector", "is_zero", "multiply", "scale", "split"]


def is_zero(f: Expression) -> bool:
    """Whether ``f`` is the constant 0."""
    return type(f) is Constant and f.params[0] == 0


def is_scaled_vector(f: Expression) -> bool:
    """Whether ``f`` is a product (scalar) * (vector)."""
    return type(f) is ops.Mult and f.dim > 1 and f.args[0].dim == 1


def split(f: Expression):
    """``(c, g)`` with ``f = c * g``, ``c`` rational and ``g`` without a coefficient; constants are left whole."""
    cls = type(f)
    if cls is ops.Minus:
        return -1, f.args[0]
    if cls is ops.Mult:
        a, b = f.args
        if type(a) is Constant:
            return a.value, b
        if type(a) is ops.Mult and a.dim == 1 < b.dim and type(a.args[0]) is Constant:
            return a.args[0].value, ops.Mult._new((a.args[1], b))
    return 1, f


def scale(c, f: Expression) -> Expression:
    """``c * f`` for a rational ``c`` and an ``f`` without a coefficient."""
    if c == 1:
        return f
    if c == 0:
        return Constant(0, f.dim)
    if c == -1:
        if type(f) is ops.Subtract:
            return lookup("Subtract").build(f.args[1], f.args[0])
        return ops.Minus._new((f,))
    constant = Constant._of(c)
    if is_scaled_vector(f):
        s, vector = f.args
        return ops.Mult._new((ops.Mult._new((constant, s)), vector))
    return ops.Mult._new((constant, f))


def multiply(f: Expression, g: Expression) -> Expression:
    """The product of two expressions without coefficients: scalars are gathered at the left of vectors."""
    if f is g:
        return ops.Square.build(f)
    if f.dim > 1:
        if g.dim == 1:
            f, g = g, f
        elif is_scaled_vector(f):
            return multiply(f.args[0], multiply(f.args[1], g))
        elif is_scaled_vector(g):
            return multiply(g.args[0], multiply(f, g.args[1]))
    if f.dim < g.dim and is_scaled_vector(g):
        s, vector = g.args
        return ops.Mult._new((multiply(f, s), vector))
    return ops.Mult._new((f, g))
