"""Functions of lazy tensors, component by component."""

from __future__ import annotations

import math

from skkeops.formula import operations as ops
from skkeops.formula.expression import Constant, Expression

from .. import numpy_meanings as meanings
from .base import Methods

__all__ = ["Functions"]


class Functions(Methods):
    """Functions of every component, with other operands that broadcast."""

    __slots__ = ()

    def exp(self):
        """Return the exponential."""
        return self._apply(ops.Exp.build)

    def log(self):
        """Return the natural logarithm."""
        return self._apply(ops.Log.build)

    def xlogx(self):
        """Return x log x, 0 at 0."""
        return self._apply(ops.XLogX.build)

    def sin(self):
        """Return the sine."""
        return self._apply(ops.Sin.build)

    def cos(self):
        """Return the cosine."""
        return self._apply(ops.Cos.build)

    def asin(self):
        """Return the arc sine."""
        return self._apply(ops.Asin.build)

    def acos(self):
        """Return the arc cosine."""
        return self._apply(ops.Acos.build)

    def atan(self):
        """Return the arc tangent."""
        return self._apply(ops.Atan.build)

    def atan2(self, other):
        """Return the angle of the point (other, self)."""
        return self._apply(ops.Atan2.build, other)

    def sinxdivx(self):
        """Return sin x / x, 1 at 0."""
        return self._apply(ops.SinXDivX.build)

    def sinc(self):
        """Return sin(pi x) / (pi x), 1 at 0, as NumPy does."""
        return (math.pi * self).sinxdivx()

    def expm1(self):
        """Return exp(x) - 1, exact near 0."""
        return self._apply(ops.Expm1.build)

    def log1p(self):
        """Return log(1 + x), exact near 0."""
        return self._apply(ops.Log1p.build)

    def sinh(self):
        """Return the hyperbolic sine."""
        return self._apply(ops.Sinh.build)

    def cosh(self):
        """Return the hyperbolic cosine."""
        return self._apply(ops.Cosh.build)

    def tanh(self):
        """Return the hyperbolic tangent."""
        return self._apply(ops.Tanh.build)

    def sech(self):
        """Return 1 / cosh(x), without overflow."""
        return self._apply(ops.Sech.build)

    def logistic(self):
        """Return 1 / (1 + exp(-x)), as SciPy's ``expit``."""
        return self._apply(ops.Logistic.build)

    def softplus(self):
        """Return log(1 + exp(x)), without overflow."""
        return self._apply(ops.Softplus.build)

    def logaddexp(self, other):
        """Return log(exp(x) + exp(other)), without overflow."""
        return self._apply(_logaddexp, other)

    def erf(self):
        """Return the error function."""
        return self._apply(ops.Erf.build)

    def erfc(self):
        """Return 1 - erf(x), exact where it is small."""
        return self._apply(ops.Erfc.build)

    def loggamma(self):
        """Return the logarithm of the absolute value of the gamma function, as SciPy's ``gammaln``."""
        return self._apply(ops.LogGamma.build)

    def digamma(self, n=0):
        """Return the derivative of the logarithm of the gamma function, or its n-th derivative."""
        return self._apply(ops.Digamma.build, params=(n,))

    def abs(self):
        """Return the absolute value."""
        return self._apply(ops.Abs.build)

    def sign(self):
        """Return -1, 0 or 1, 0 for NaN too; ``np.sign(K)`` keeps NaN, as NumPy does."""
        return self._apply(ops.Sign.build)

    def step(self):
        """Return 1 where x >= 0, else 0."""
        return self._apply(ops.Step.build)

    def relu(self):
        """Return x where it is positive, else 0."""
        return self._apply(ops.ReLU.build)

    def floor(self):
        """Return the largest integer that is not larger."""
        return self._apply(ops.Floor.build)

    def inv(self):
        """Return 1 / x."""
        return self._apply(ops.Inv.build)

    def square(self):
        """Return the square."""
        return self._apply(ops.Square.build)

    def sqrt(self):
        """Return the square root."""
        return self._apply(ops.Sqrt.build)

    def rsqrt(self):
        """Return 1 / sqrt(x), 0 at 0."""
        return self._apply(ops.Rsqrt.build)

    def power(self, other):
        """Return x ** other."""
        return self**other

    def clamp(self, other1, other2):
        """Return x kept between two operands, the lower one first, which wins where they cross (`np.clip`: the higher)."""
        return self._apply(ops.Clamp.build, other1, other2)

    def ifelse(self, other1, other2):
        """Return `other1` where x >= 0, else `other2`."""
        return self._apply(ops.IfElse.build, other1, other2)

    def maximum(self, other):
        """Return the larger of two operands, NaN where either is."""
        return self._apply(meanings.maximum, other)

    def minimum(self, other):
        """Return the smaller of two operands, NaN where either is."""
        return self._apply(meanings.minimum, other)

    def mod(self, modulus, offset=0):
        """Return x - modulus * floor((x - offset) / modulus), as in KeOps; ``K % modulus`` is exact."""
        return self._apply(ops.Mod.build, modulus, offset)

    def round(self, d=0):
        """Return x rounded to d decimals, halves away from zero, as in KeOps; ``np.round(K, d)`` takes them to even ones."""
        return self._apply(ops.Round.build, params=(d,))

    def factorize(self, other):
        """Return the tensor: common sub-expressions are always computed once."""
        return self._apply(ops.Factorize.build, other)

    def auto_factorize(self):
        """Return the tensor: common sub-expressions are always computed once."""
        return self._apply(ops.AutoFactorize.build)


def _logaddexp(a: Expression, b: Expression) -> Expression:
    for x, y in ((a, b), (b, a)):
        if type(y) is Constant and y.value == 0 and y.dim <= x.dim:
            return ops.Softplus.build(x)
    larger = ops.IfElse.build(a - b, a, b) + ops.Softplus.build(-ops.Abs.build(a - b))
    # Where both are equal they may be infinite, and inf - inf is NaN; each of them has half of the gradient.
    return ops.IfElse.build(ops.Equal.build(a, b) - 1, (a + b) / 2 + math.log(2), larger)
