"""Exponential, logarithm and trigonometric functions."""

from __future__ import annotations

import numpy as np

from ..errors import FormulaError
from ..expression import Constant
from . import arithmetic, powers
from .base import register
from .families import Elementwise

__all__ = ["Acos", "Asin", "Atan", "Atan2", "Cos", "Exp", "Log", "Sin", "SinXDivX", "XLogX"]


@register
class Exp(Elementwise):
    """``Exp(f)``: the exponential."""

    name = "Exp"
    opcode = "exp"
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
    cuda = "log({0})"
    domain = ((0.5, 2.0),)

    @classmethod
    def simplify(cls, args, params):
        (f,) = args
        return Constant(0) if type(f) is Constant and f.params[:2] == (1, 1) else None

    def numpy(self, f):
        return np.log(f)

    def partial(self, k):
        return powers.Inv.build(self.args[0])


@register
class XLogX(Elementwise):
    """``XLogX(f) = f * Log(f)`` and ``XLogX(0) = 0``."""

    name = "XLogX"
    opcode = "xlogx"
    cuda = "({0} == ({real})0 ? ({real})0 : {0} * log({0}))"
    domain = ((0.5, 2.0),)

    def numpy(self, f):
        return np.where(f == 0, np.zeros((), f.dtype), f * np.log(np.where(f == 0, np.ones((), f.dtype), f)))

    def partial(self, k):
        return arithmetic.Add.build(1, Log.build(self.args[0]))


@register
class Sin(Elementwise):
    """``Sin(f)``: the sine, of radians."""

    name = "Sin"
    opcode = "sin"
    cuda = "sin({0})"

    def numpy(self, f):
        return np.sin(f)

    def partial(self, k):
        return Cos.build(self.args[0])


@register
class Cos(Elementwise):
    """``Cos(f)``: the cosine, of radians."""

    name = "Cos"
    opcode = "cos"
    cuda = "cos({0})"

    def numpy(self, f):
        return np.cos(f)

    def partial(self, k):
        return arithmetic.Minus.build(Sin.build(self.args[0]))


def _rsqrt_of_one_minus_square(f):
    # 1 - f^2 would lose digits near -1 and 1, the two differences are exact there
    return powers.Rsqrt.build(arithmetic.Mult.build(arithmetic.Subtract.build(1, f), arithmetic.Add.build(1, f)))


@register
class Asin(Elementwise):
    """``Asin(f)``: the arc sine, NaN beyond -1 and 1; its derivative ``Rsqrt(1 - f^2)`` is 0 at -1 and 1."""

    name = "Asin"
    opcode = "asin"
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
    cuda = "acos({0})"
    domain = ((-0.8, 0.8),)

    def numpy(self, f):
        return np.arccos(f)

    def partial(self, k):
        return arithmetic.Minus.build(_rsqrt_of_one_minus_square(self.args[0]))


@register
class Atan(Elementwise):
    """``Atan(f)``: the arc tangent, between -pi/2 and pi/2."""

    name = "Atan"
    opcode = "atan"
    cuda = "atan({0})"

    def numpy(self, f):
        return np.arctan(f)

    def partial(self, k):
        return powers.Inv.build(arithmetic.Add.build(1, powers.Square.build(self.args[0])))


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

    def partial(self, k):
        f, g = self.args
        radius2 = arithmetic.Add.build(powers.Square.build(f), powers.Square.build(g))
        factor = powers.Square.build(powers.Rsqrt.build(radius2))
        return arithmetic.Mult.build(factor, arithmetic.Minus.build(f) if k else g)


_MAX_ORDER = 16

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
class SinXDivX(Elementwise):
    """``SinXDivX(f) = Sin(f) / f`` and 1 at 0; ``SinXDivX(f, n)`` is its n-th derivative, finite everywhere.

    The n-th derivative is the integral over t in [0, 1] of ``t^n cos(f t + n pi/2)``.
    """

    name = "SinXDivX"
    parameters = ("n",)
    optional = 1
    opcode = "sinxdivx"
    cuda = "skkeops_sinxdivx<{real}>({0}, {p0})"
    cuda_functions = _SINXDIVX
    domain = ((-4.0, 4.0),)

    @classmethod
    def check(cls, args, params):
        n = params[0] if params else 0
        if not 0 <= n <= _MAX_ORDER:
            raise FormulaError(f"SinXDivX: the order of the derivative must be in 0..{_MAX_ORDER}, got {n}")
        return (n,)

    def printed_params(self):
        return () if self.params == (0,) else self.params

    @property
    def immediates(self):
        return (float(self.params[0]),)

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

    def partial(self, k):
        return SinXDivX.build(self.args[0], self.params[0] + 1)
