"""From the components of one vector to a number, and back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from ..errors import FormulaError
from ..expression import Constant
from ..limits import MAX_DIM
from ..registry import ops, register
from . import algebra
from .base import Operation, composite
from .families import Contraction
from .intervals import Interval

__all__ = ["ArgMax", "ArgMin", "Max", "Min", "OneHot", "Prod", "Sum"]


@register
class Sum(Contraction):
    """``Sum(f)``: the sum of the components."""

    name = "Sum"
    parity = "odd"
    opcode = "sum"

    @classmethod
    def simplify(cls, args, params):
        (f,) = args
        if f.dim == 1:
            return f
        kind = type(f)
        if kind is Constant:
            return Constant._of(f.value * f.dim)
        if kind is ops.SumT:
            return ops.Mult.build(f.dim, f.args[0])
        if kind in (ops.ElemT, ops.ExtractT):
            return cls.build(f.args[0])
        c, f = algebra.split(f)
        if type(f) is ops.Mult:
            a, b = f.args
            if a.dim == 1:
                return ops.Mult.build(ops.Mult.build(Constant._of(c), a), cls.build(b))
            return ops.Mult.build(Constant._of(c), ops.Scalprod.build(a, b))
        if type(f) is ops.Divide and f.args[1].dim == 1:
            total = ops.Divide.build(cls.build(f.args[0]), f.args[1])
            return ops.Mult.build(Constant._of(c), total)
        return None if c == 1 else algebra.scale(c, cls._new((f,)))

    def numpy(self, f):
        return f.sum(axis=-1, keepdims=True)

    def bounds(self, intervals, rounding):
        (f,) = intervals
        # errors are relative to the sum of magnitudes, in whatever order the components are added
        sizes = tuple(Sum.build(ops.Abs.build(end)) for end in f)
        return rounding.widen(Sum.build(f.lower), Sum.build(f.upper), 4 + self.args[0].dim, sizes)

    def adjoint(self, k, e):
        return ops.SumT.build(e, self.args[0].dim)

    def tangent(self, directions):
        return None if directions[0] is None else Sum.build(directions[0])


@composite("Prod", "f")
def Prod(f):
    """``Prod(f)``: the product of the components. It multiplies halves, so that the gradient needs no division."""
    factors = []
    while f.dim > 1:
        half, odd = divmod(f.dim, 2)
        if odd:
            factors.append(ops.Elem.build(f, f.dim - 1))
        f = ops.Mult.build(ops.Extract.build(f, 0, half), ops.Extract.build(f, half, half))
    for factor in factors:
        f = ops.Mult.build(f, factor)
    return f


class _Extremum(Contraction):
    _better = staticmethod(np.greater)

    @classmethod
    def simplify(cls, args, params):
        (f,) = args
        return f if f.dim == 1 else None

    def _winner(self, f):
        """Value and index of the first best component; a NaN never wins, and is never beaten."""
        value = f[..., 0]
        index = np.zeros(value.shape, f.dtype)
        for k in range(1, f.shape[-1]):
            better = self._better(f[..., k], value)
            value = np.where(better, f[..., k], value)
            index = np.where(better, np.asarray(k, f.dtype), index)
        return value[..., None], index[..., None]

    def numpy(self, f):
        return self._winner(f)[0]

    def bounds(self, intervals, rounding):
        (f,) = intervals
        return Interval(self.rebuild((f.lower,)), self.rebuild((f.upper,)))

    def chosen(self, k):
        index = (ArgMax if type(self) is Max else ArgMin).build(self.args[0])
        return ops.Subtract.build(OneHot.build(index, self.args[0].dim), Constant(Fraction(1, 2)))

    def adjoint(self, k, e):
        return ops.SumT.build(e, self.args[0].dim)

    def tangent(self, directions):
        if directions[0] is None:
            return None
        return Sum.build(ops.IfElse.build(self.chosen(0), directions[0], 0))


@register
class Max(_Extremum):
    """``Max(f)``: the largest component; the gradient goes to the first one that attains it."""

    name = "Max"
    opcode = "vmax"
    cuda_better = ">"


@register
class Min(_Extremum):
    """``Min(f)``: the smallest component; the gradient goes to the first one that attains it."""

    name = "Min"
    opcode = "vmin"
    cuda_better = "<"
    _better = staticmethod(np.less)


class _ArgExtremum(_Extremum):
    returns_place = True

    def chosen(self, k):
        return None

    @classmethod
    def simplify(cls, args, params):
        return Constant(0) if args[0].dim == 1 else None

    def bounds(self, intervals, rounding):
        return Interval(Constant(0), Constant(self.args[0].dim - 1))

    def numpy(self, f):
        return self._winner(f)[1]

    def adjoint(self, k, e):
        return None

    def tangent(self, directions):
        return None


@register
class ArgMax(_ArgExtremum):
    """``ArgMax(f)``: the index, from 0, of the largest component (the first of equals); its derivative is 0."""

    name = "ArgMax"
    opcode = "vargmax"
    cuda_better = ">"


@register
class ArgMin(_ArgExtremum):
    """``ArgMin(f)``: the index, from 0, of the smallest component (the first of equals); its derivative is 0."""

    name = "ArgMin"
    opcode = "vargmin"
    cuda_better = "<"
    _better = staticmethod(np.less)


@register
class OneHot(Operation):
    """``OneHot(f, D)``: 1 at the component with index ``(int)(f + 0.5)``, 0 elsewhere, everywhere if there is no
    such component; its derivative is 0."""

    name = "OneHot"
    parameters = ("D",)
    opcode = "onehot"
    cuda = "(trunc({0} + ({real})0.5) == ({real}){k} ? ({real})1 : ({real})0)"
    domain = ((-0.4, 0.4),)

    @classmethod
    def check(cls, args, params):
        if args[0].dim != 1:
            raise FormulaError(f"OneHot: the index must have dim 1, got {args[0].dim}")
        if not 1 <= params[0] <= MAX_DIM:
            raise FormulaError(f"OneHot: parameter 'D' must be in 1..{MAX_DIM}, got {params[0]}")
        return params

    @classmethod
    def output_dim(cls, args, params):
        return params[0]

    def bounds(self, intervals, rounding):
        lower, upper = rounding.widen(*(end + Constant(Fraction(1, 2)) for end in intervals[0]))
        same = ops.Floor.build(lower) - ops.Floor.build(upper)
        hot = self.rebuild((intervals[0].lower,))
        return Interval(ops.IfElse.build(same, hot, 0), ops.IfElse.build(same, hot, 1))

    def numpy(self, f):
        return (np.trunc(f + np.asarray(0.5, f.dtype)) == np.arange(self.params[0])).astype(f.dtype)

    def adjoint(self, k, e):
        return None

    def tangent(self, directions):
        return None
