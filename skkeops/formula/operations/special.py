"""Error functions, and the logarithm of the gamma function with its derivatives."""

from __future__ import annotations

from math import pi, sqrt

import numpy as np

from ..expression import Constant
from ..registry import ops, register
from .families import Elementwise, NthDerivative
from .intervals import larger

__all__ = ["Digamma", "Erf", "Erfc", "LogGamma"]


def _scipy(name):
    """A function of `scipy.special`, which is imported when the reference backend first evaluates one."""
    import scipy.special

    return getattr(scipy.special, name)


_LEAST_GAMMA = 1.4616321449683622  # where the gamma function of positive numbers is least


def _bell(f, factor):
    return ops.Mult.build(factor, ops.Exp.build(ops.Minus.build(ops.Square.build(f))))


@register
class Erf(Elementwise):
    """``Erf(f)``: the error function, ``2 / Sqrt(pi)`` times the integral of ``Exp(-t^2)`` from 0 to f."""

    name = "Erf"
    parity = "odd"
    opcode = "erf"
    shape = "increasing"
    cuda = "erf({0})"

    def numpy(self, f):
        return _scipy("erf")(f)

    def partial(self, k):
        return _bell(self.args[0], 2 / sqrt(pi))


@register
class Erfc(Elementwise):
    """``Erfc(f) = 1 - Erf(f)``, exact where it is small."""

    name = "Erfc"
    opcode = "erfc"
    shape = "decreasing"
    nonnegative = True
    cuda = "erfc({0})"

    def numpy(self, f):
        return _scipy("erfc")(f)

    def partial(self, k):
        return _bell(self.args[0], -2 / sqrt(pi))


@register
class LogGamma(Elementwise):
    """``LogGamma(f)``: the logarithm of the absolute value of the gamma function, SciPy's ``gammaln``; infinite at 0, -1, -2, ...;
    its derivative is ``Digamma(f)``."""

    name = "LogGamma"
    opcode = "lgamma"
    cuda = "lgamma({0})"
    domain = ((0.5, 4.0),)

    def numpy(self, f):
        # as in C: SciPy has -inf
        return np.where(f == -np.inf, np.asarray(np.inf, f.dtype), _scipy("gammaln")(f))

    def bounds(self, intervals, rounding):
        (f,) = intervals
        rounding.require_positive(f.lower)
        lowest = ops.Clamp.build(Constant(_LEAST_GAMMA), *f)  # convex on the positive numbers
        ends = (LogGamma.build(end) for end in f)
        return rounding.widen(LogGamma.build(lowest), larger(*ends), 8, absolute=8)

    def partial(self, k):
        return Digamma.build(self.args[0])


_POLYGAMMA = """
__device__ inline double skkeops_polygamma(double x, int n)
{   /* n! times the sum of (x + k)^-(n + 1), by Euler and Maclaurin; with a logarithm for n = 0 */
    const double b[10] = {1. / 12, -1. / 720, 1. / 30240, -1. / 1209600, 1. / 47900160, -691. / 1307674368000., 1. / 74724249600.,
                          -3617. / 10670622842880000., 43867. / 5109094217170944000., -174611. / 802857662698291200000.};
    const double pi = 3.141592653589793, a = fabs(x);
    const bool below = x < 0 || (x == 0 && 1 / x < 0);
    if (isnan(x) || (isinf(x) && below)) return nan("");
    if (isinf(x)) return n == 0 ? x : 0.;
    double big = below ? a + 1 : a, sum = 0;
    for (; big < n + 10; big += 1) {
        double term = 1 / big;
        for (int j = 1; j <= n; ++j) term *= j / big;
        sum += term;
    }
    double c = n == 0 ? 1 / big / big : n / big * ((n + 1) / big), tail = 0, term = 1 / big;
    for (int j = 1; j < n; ++j) term *= j / big;
    for (int j = 0; j < 10; ++j) {
        tail += b[j] * c;
        c *= (n + 2 * j + 2) / big * ((n + 2 * j + 3) / big);
    }
    double value = n == 0 ? log(big) - 0.5 / big - tail - sum : sum + term * (1 + (0.5 * n / big + tail));
    if (n > 0 && n % 2 == 0) value = -value;
    if (!below) return value;
    /* psi_n(-a) = (-1)^n psi_n(1 + a) + pi^(n + 1) Q(cot(pi a)), (-1)^n Q the n-th derivative of cot in powers of cot */
    double r = a - rint(a), q[18] = {0., 1.}, next[18];
    if (r == 0) return a == 0 || n % 2 ? 1 / (r * r) : nan("");
    c = pi * cos(pi * r) / sin(pi * r);
    for (int j = 0; j < n; ++j) {
        for (int k = 0; k <= j + 2; ++k) next[k] = (k <= j ? pi * pi * (k + 1) * q[k + 1] : 0.) + (k > 1 ? (k - 1) * q[k - 1] : 0.);
        for (int k = 0; k <= j + 2; ++k) q[k] = next[k];
    }
    double power = 0;
    for (int k = n + 1; k >= 0; --k) power = power * c + q[k];
    return power + (n % 2 ? -value : value);
}
"""


@register
class Digamma(NthDerivative):
    """``Digamma(f)``: the derivative of ``LogGamma(f)``; ``Digamma(f, n)`` is its n-th derivative, SciPy's ``polygamma(n, f)``,
    for n up to 16. At 0, -1, -2, ... it is infinite, or NaN where the limits from both sides have opposite signs (at 0
    the sign of the 0 decides)."""

    name = "Digamma"
    opcode = "digamma"
    cuda = "({real})skkeops_polygamma((double){0}, {p0})"
    cuda_functions = _POLYGAMMA
    domain = ((0.5, 4.0),)

    def bounds(self, intervals, rounding):
        (f,), (n,) = intervals, self.params
        rounding.require_positive(f.lower)
        ends = [self.rebuild((end,)) for end in (f if n % 2 == 0 else f[::-1])]  # n odd: positive and decreasing
        return rounding.widen(*ends, 8 + 2 * n, absolute=8)

    def numpy(self, f):
        n = self.params[0]
        if n == 0:
            return _scipy("psi")(f)
        x = np.asarray(f, np.float64)
        below = np.signbit(x)
        a = np.abs(x)
        value = (-1) ** (n + 1) * _scipy("factorial")(n) * _scipy("zeta")(n + 1, np.where(below, a + 1, a))
        # psi_n(-a) = (-1)^n psi_n(1 + a) + pi^(n + 1) Q(cot(pi a)), (-1)^n Q the n-th derivative of cot in powers of cot
        r = a - np.rint(a)
        power = np.polynomial.Polynomial([0, 1])
        for _ in range(n):
            power = power.deriv() * np.polynomial.Polynomial([1, 0, 1])
        mirrored = np.pi ** (n + 1) * power(1 / np.tan(np.pi * r)) + (-1) ** n * value
        pole = np.where((a == 0) | (n % 2 == 1), np.inf, np.nan)
        mirrored = np.where(r == 0, pole, mirrored)
        return np.where(below, mirrored, value).astype(np.result_type(f), copy=False)
