"""Exponential, logarithm and trigonometric functions."""

from __future__ import annotations

from fractions import Fraction
from math import exp, pi

import numpy as np

from ..expression import Constant
from ..registry import ops, register
from .families import Elementwise, NthDerivative
from .intervals import Interval, Rounding, between, larger, smaller

__all__ = ["Acos", "Asin", "Atan", "Atan2", "Cos", "Exp", "Log", "Sin", "SinXDivX", "XLogX"]


@register
class Exp(Elementwise):
    """``Exp(f)``: the exponential."""

    name = "Exp"
    opcode = "exp"
    shape = "increasing"
    nonnegative = True
    cuda = "exp({0})"

    @classmethod
    def simplify(cls, args, params):
        (f,) = args
        return Constant(1) if type(f) is Constant and f.params[0] == 0 else None

    def numpy(self, f):
        return np.exp(f)

    def partial(self, k):
        return self


@register
class Log(Elementwise):
    """``Log(f)``: the natural logarithm; ``Log(0)`` is ``-inf``."""

    name = "Log"
    opcode = "log"
    shape = "increasing"
    cuda = "log({0})"
    domain = ((0.5, 2.0),)

    @classmethod
    def simplify(cls, args, params):
        (f,) = args
        return Constant(0) if type(f) is Constant and f.params[:2] == (1, 1) else None

    def numpy(self, f):
        return np.log(f)

    def partial(self, k):
        return ops.Inv.build(self.args[0])


@register
class XLogX(Elementwise):
    """``XLogX(f) = f * Log(f)`` and ``XLogX(0) = 0``."""

    name = "XLogX"
    opcode = "xlogx"
    cuda = "({0} == ({real})0 ? ({real})0 : {0} * log({0}))"
    domain = ((0.5, 2.0),)

    def numpy(self, f):
        return np.where(f == 0, np.zeros((), f.dtype), f * np.log(np.where(f == 0, np.ones((), f.dtype), f)))

    def bounds(self, intervals, rounding):
        (f,) = intervals
        rounding.require(f.lower)
        lowest = ops.Clamp.build(Constant(exp(-1)), *f)  # convex, with its minimum at 1 / e
        ends = (XLogX.build(end) for end in f)
        return rounding.widen(XLogX.build(lowest), larger(*ends))

    def partial(self, k):
        return ops.Add.build(1, Log.build(self.args[0]))


def _wave(node: Elementwise, f: Interval, crest: Fraction, rounding: Rounding) -> Interval:
    """The interval of a wave between -1 and 1 of the period 2 pi, whose crests are at so many periods, and whole ones more."""
    frequency = Constant(1 / (2 * pi))
    periods = rounding.widen(f.lower * frequency, f.upper * frequency)
    values = [node.rebuild((end,)) for end in f]
    ends = []
    for level, place, either in ((-1, crest + Fraction(1, 2), smaller), (1, crest, larger)):
        before, last = (ops.Floor.build(end - Constant(place)) for end in periods)
        ends.append(ops.IfElse.build(last - before - 1, level, either(*values)))
    return rounding.widen(ends[0], ends[1], absolute=4)


@register
class Sin(Elementwise):
    """``Sin(f)``: the sine, of radians."""

    name = "Sin"
    parity = "odd"
    opcode = "sin"
    cuda = "sin({0})"

    def numpy(self, f):
        return np.sin(f)

    def bounds(self, intervals, rounding):
        return _wave(self, intervals[0], Fraction(1, 4), rounding)

    def partial(self, k):
        return Cos.build(self.args[0])


@register
class Cos(Elementwise):
    """``Cos(f)``: the cosine, of radians."""

    name = "Cos"
    parity = "even"
    opcode = "cos"
    cuda = "cos({0})"

    def numpy(self, f):
        return np.cos(f)

    def bounds(self, intervals, rounding):
        return _wave(self, intervals[0], Fraction(0), rounding)

    def partial(self, k):
        return ops.Minus.build(Sin.build(self.args[0]))


def _rsqrt_of_one_minus_square(f):
    # 1 - f^2 would lose digits near -1 and 1, the two differences are exact there
    return ops.Rsqrt.build(ops.Mult.build(ops.Subtract.build(1, f), ops.Add.build(1, f)))


@register
class Asin(Elementwise):
    """``Asin(f)``: the arc sine, NaN beyond -1 and 1; its derivative ``Rsqrt(1 - f^2)`` is 0 at -1 and 1."""

    name = "Asin"
    opcode = "asin"
    shape = "increasing"
    cuda = "asin({0})"
    domain = ((-0.8, 0.8),)

    def numpy(self, f):
        return np.arcsin(f)

    def partial(self, k):
        return _rsqrt_of_one_minus_square(self.args[0])


@register
class Acos(Elementwise):
    """``Acos(f)``: the arc cosine, NaN beyond -1 and 1; its derivative ``-Rsqrt(1 - f^2)`` is 0 at -1 and 1."""

    name = "Acos"
    opcode = "acos"
    shape = "decreasing"
    nonnegative = True
    cuda = "acos({0})"
    domain = ((-0.8, 0.8),)

    def numpy(self, f):
        return np.arccos(f)

    def partial(self, k):
        return ops.Minus.build(_rsqrt_of_one_minus_square(self.args[0]))


@register
class Atan(Elementwise):
    """``Atan(f)``: the arc tangent, between -pi/2 and pi/2."""

    name = "Atan"
    opcode = "atan"
    shape = "increasing"
    cuda = "atan({0})"

    def numpy(self, f):
        return np.arctan(f)

    def partial(self, k):
        return ops.Inv.build(ops.Add.build(1, ops.Square.build(self.args[0])))


@register
class Atan2(Elementwise):
    """``Atan2(f, g)``: the angle of the point with abscissa ``g`` and ordinate ``f``; its gradient is 0 at the origin."""

    name = "Atan2"
    arguments = ("f", "g")
    opcode = "atan2"
    cuda = "atan2({0}, {1})"
    domain = ((0.5, 2.0), (0.5, 2.0))

    def numpy(self, f, g):
        return np.arctan2(f, g)

    def bounds(self, intervals, rounding):
        f, g = intervals
        # a box that has neither the origin nor abscissas below it
        clear = larger(larger(g.lower, f.lower), -f.upper) - Constant(rounding.tiny)
        corners = between(Atan2.build, f, g)
        lower, upper = (ops.IfElse.build(clear, c, edge) for c, edge in zip(corners, (-pi, pi), strict=True))
        return rounding.widen(lower, upper, absolute=4)

    def partial(self, k):
        f, g = self.args
        radius2 = ops.Add.build(ops.Square.build(f), ops.Square.build(g))
        factor = ops.Square.build(ops.Rsqrt.build(radius2))
        return ops.Mult.build(factor, ops.Minus.build(f) if k else g)


_SINXDIVX = """
template <typename real> __device__ inline real skkeops_sinxdivx(real x, int n)
{   /* integral over t in [0, 1] of t^n cos(x t + n pi/2) */
    if (sizeof(real) < sizeof(double) && n > 2) return (real)skkeops_sinxdivx<double>((double)x, n);
    if (isinf(x)) return 0;
    if (fabs(x) > (real)(n + 1)) {
        real s, c, value = 0;
        sincos(x, &s, &c);
        for (int k = 0; k <= n; ++k) {
            real shifted = k % 4 == 0 ? s : k % 4 == 1 ? c : k % 4 == 2 ? -s : -c;
            value = (shifted - k * value) / x;
        }
        return value;
    }
    real term = 1, value = 0;
    for (int m = 0; m < 4 * n + 40; ++m) {
        int k = m + n;   /* x^m / m! times the n-th derivative's coefficient of sinc */
        if (k % 2 == 0) value += (k % 4 == 0 ? term : -term) / (real)(k + 1);
        term *= x / (real)(m + 1);
    }
    return value;
}
"""


@register
class SinXDivX(NthDerivative):
    """``SinXDivX(f) = Sin(f) / f`` and 1 at 0; ``SinXDivX(f, n)`` is its n-th derivative, finite everywhere.

    The n-th derivative is the integral over t in [0, 1] of ``t^n cos(f t + n pi/2)``.
    """

    name = "SinXDivX"
    opcode = "sinxdivx"
    cuda = "skkeops_sinxdivx<{real}>({0}, {p0})"
    cuda_functions = _SINXDIVX
    domain = ((-4.0, 4.0),)

    def bounds(self, intervals, rounding):
        (f,), (n,) = intervals, self.params
        if n:  # the integral of at most t^n
            most = Constant(Fraction(1, n + 1), self.dim)
            return rounding.widen(-most, most)
        # decreasing up to its first minimum, -0.2173 at 4.4934, then at most 1 / |f| away from 0
        near = Constant(4.49) - f.farthest
        rest = ops.IfElse.build(f.nearest - 1, ops.Inv.build(larger(f.nearest, Constant(1))), 1)
        lower = ops.IfElse.build(near, SinXDivX.build(f.farthest), Constant(-0.2173))
        return rounding.widen(lower, ops.IfElse.build(near, SinXDivX.build(f.nearest), rest), 8, absolute=8)

    def numpy(self, f):
        n = self.params[0]
        x = np.asarray(f, np.float64)
        near = np.abs(x) <= n + 1
        # near 0: the integral, by Gauss-Legendre
        nodes, weights = np.polynomial.legendre.leggauss(40)
        t, w = (nodes + 1) / 2, weights / 2
        inside = np.where(near, x, 0.0)
        value = np.zeros_like(x)
        for k in range(t.size):
            z = inside * t[k]
            shifted = (np.cos(z), -np.sin(z), -np.cos(z), np.sin(z))[n % 4]  # cos(z + n pi/2)
            value += w[k] * t[k] ** n * shifted
        # far from 0: upward recurrence
        outside = np.where(near, 1.0, x)
        sine, cosine = np.sin(outside), np.cos(outside)
        far = np.zeros_like(x)
        for k in range(n + 1):
            far = ((sine, cosine, -sine, -cosine)[k % 4] - k * far) / outside
        far = np.where(np.isinf(x), 0.0, far)
        return np.where(near, value, far).astype(np.result_type(f), copy=False)
