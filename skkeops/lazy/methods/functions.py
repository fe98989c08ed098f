"""Functions of lazy tensors, component by component."""

from __future__ import annotations

import math

from skkeops.formula import operations as ops

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
        """Return the larger of two operands, NaN where one of both is."""
        return self._apply(meanings.maximum, other)

    def minimum(self, other):
        """Return the smaller of two operands, NaN where one of both is."""
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
