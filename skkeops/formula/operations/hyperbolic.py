"""Hyperbolic and logistic functions, and functions that keep the digits of small numbers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..registry import ops, register
from .families import Elementwise

__all__ = ["Cosh", "Expm1", "Log1p", "Logistic", "Sech", "Sinh", "Softplus", "Tanh"]


@register
class Expm1(Elementwise):
    """``Expm1(f) = Exp(f) - 1``, exact near 0."""

    name = "Expm1"
    opcode = "expm1"
    shape = "increasing"
    cuda = "expm1({0})"

    def numpy(self, f):
        return np.expm1(f)

    def partial(self, k):
        return ops.Exp.build(self.args[0])


@register
class Log1p(Elementwise):
    """``Log1p(f) = Log(1 + f)``, exact near 0; ``Log1p(-1)`` is ``-inf``."""

    name = "Log1p"
    opcode = "log1p"
    shape = "increasing"
    cuda = "log1p({0})"
    domain = ((-0.5, 2.0),)

    def numpy(self, f):
        return np.log1p(f)

    def partial(self, k):
        return ops.Inv.build(ops.Add.build(1, self.args[0]))


@register
class Tanh(Elementwise):
    """``Tanh(f)``: the hyperbolic tangent; its derivative ``Sech(f)^2`` does not cancel where the tangent is close to 1."""

    name = "Tanh"
    parity = "odd"
    opcode = "tanh"
    shape = "increasing"
    cuda = "skkeops_tanh({0})"
    cuda_functions = """
template <typename real> __device__ inline real skkeops_tanh(real x)
{   /* the library's function is not exact to more than three digits under fast math */
    real e = expm1((real)-2 * fabs(x));
    return copysign(e / (e + (real)2), x);
}
"""

    def numpy(self, f):
        return np.tanh(f)

    def partial(self, k):
        return ops.Square.build(Sech.build(self.args[0]))


@register
class Sinh(Elementwise):
    """``Sinh(f)``: the hyperbolic sine."""

    name = "Sinh"
    parity = "odd"
    opcode = "sinh"
    shape = "increasing"
    cuda = "sinh({0})"

    def numpy(self, f):
        return np.sinh(f)

    def partial(self, k):
        return Cosh.build(self.args[0])


@register
class Cosh(Elementwise):
    """``Cosh(f)``: the hyperbolic cosine."""

    name = "Cosh"
    parity = "even"
    opcode = "cosh"
    shape = "valley"
    nonnegative = True
    cuda = "cosh({0})"

    def numpy(self, f):
        return np.cosh(f)

    def partial(self, k):
        return Sinh.build(self.args[0])


@register
class Sech(Elementwise):
    """``Sech(f) = 1 / Cosh(f)``, which never overflows on the way."""

    name = "Sech"
    parity = "even"
    opcode = "sech"
    shape = "hill"
    nonnegative = True
    cuda = "skkeops_sech({0})"
    cuda_functions = """
template <typename real> __device__ inline real skkeops_sech(real x)
{
    real e = exp(-fabs(x));
    return (real)2 * e / ((real)1 + e * e);
}
"""

    def numpy(self, f):
        e = np.exp(-np.abs(f))
        return 2 * e / (1 + e * e)

    def partial(self, k):
        return ops.Minus.build(ops.Mult.build(self, Tanh.build(self.args[0])))


@register
class Logistic(Elementwise):
    """``Logistic(f) = 1 / (1 + Exp(-f))``, SciPy's ``expit``; its derivative is ``Sech(f/2)^2 / 4``."""

    name = "Logistic"
    opcode = "logistic"
    shape = "increasing"
    nonnegative = True
    cuda = "skkeops_logistic({0})"
    cuda_functions = """
template <typename real> __device__ inline real skkeops_logistic(real x)
{
    real e = exp(-fabs(x));
    return (x < (real)0 ? e : (real)1) / ((real)1 + e);
}
"""

    def numpy(self, f):
        e = np.exp(-np.abs(f))
        return np.where(f < 0, e, np.ones((), e.dtype)) / (1 + e)

    def partial(self, k):
        half = ops.Mult.build(Fraction(1, 2), self.args[0])
        return ops.Mult.build(Fraction(1, 4), ops.Square.build(Sech.build(half)))


@register
class Softplus(Elementwise):
    """``Softplus(f) = Log(1 + Exp(f))``, without overflow and exact for both signs; its derivative is ``Logistic(f)``."""

    name = "Softplus"
    opcode = "softplus"
    shape = "increasing"
    nonnegative = True
    cuda = "skkeops_softplus({0})"
    cuda_functions = """
template <typename real> __device__ inline real skkeops_softplus(real x)
{
    return (x > (real)0 ? x : (real)0) + log1p(exp(-fabs(x)));
}
"""

    def numpy(self, f):
        return np.maximum(f, 0) + np.log1p(np.exp(-np.abs(f)))

    def partial(self, k):
        return Logistic.build(self.args[0])
