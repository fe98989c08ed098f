"""Functions defined by cases: signs, rounding, clamping, choices and comparisons."""

from __future__ import annotations

import operator
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from ..errors import FormulaError
from ..expression import Constant
from ..registry import ops, register
from .base import composite
from .families import Choice, Elementwise
from .intervals import Interval, larger, smaller

__all__ = [
    "Abs",
    "Clamp",
    "ClampInt",
    "DiffClampInt",
    "Equal",
    "Floor",
    "Fmod",
    "IfElse",
    "LessOrEqual",
    "LessThan",
    "Mod",
    "NotEqual",
    "ReLU",
    "Round",
    "Sign",
    "Step",
]

_TWO = ((-2.0, 2.0), (-2.0, 2.0))


@register
class Abs(Elementwise):
    """``Abs(f)``: the absolute value; its derivative ``Sign(f)`` is 0 at 0."""

    name = "Abs"
    parity = "even"
    opcode = "abs"
    shape = "valley"
    ulps = 0
    cuda = "fabs({0})"
    domain = ((0.2, 2.0),)

    @classmethod
    def simplify(cls, args, params):
        (f,) = args
        return Constant._of(abs(f.value)) if type(f) is Constant else None

    def numpy(self, f):
        return np.abs(f)

    def partial(self, k):
        return Sign.build(self.args[0])


@register
class Sign(Elementwise):
    """``Sign(f)``: 1, -1, or 0 at 0 and for a NaN."""

    name = "Sign"
    opcode = "sign"
    shape = "increasing"
    ulps = 0
    cuda = "({0} > ({real})0 ? ({real})1 : ({0} < ({real})0 ? ({real})-1 : ({real})0))"
    domain = ((0.2, 2.0),)

    def numpy(self, f):
        return (f > 0).astype(f.dtype) - (f < 0).astype(f.dtype)


@register
class Step(Elementwise):
    """``Step(f)``: 0 if ``f < 0``, otherwise 1 (also at 0 and for a NaN)."""

    name = "Step"
    opcode = "step"
    shape = "increasing"
    ulps = 0
    cuda = "({0} < ({real})0 ? ({real})0 : ({real})1)"
    domain = ((0.2, 2.0),)

    def numpy(self, f):
        return 1 - (f < 0).astype(f.dtype)


@register
class ReLU(Choice):
    """``ReLU(f)``: 0 if ``f < 0``, otherwise ``f``; its derivative is 1 at 0."""

    name = "ReLU"
    opcode = "relu"
    shape = "increasing"
    ulps = 0
    cuda = "({0} < ({real})0 ? ({real})0 : {0})"
    domain = ((0.2, 2.0),)

    def numpy(self, f):
        return np.where(f < 0, np.zeros((), f.dtype), f)

    def partial(self, k):
        return Step.build(self.args[0])


@register
class Floor(Elementwise):
    """``Floor(f)``: the largest integer that is not larger; its derivative is 0."""

    name = "Floor"
    opcode = "floor"
    shape = "increasing"
    ulps = 0
    cuda = "floor({0})"
    domain = ((0.2, 0.8),)

    def numpy(self, f):
        return np.floor(f)


_CUDA_ROUND = """
template <typename real> __device__ inline real skkeops_round(real x, bool decimals, double power)
{   /* to decimals, or to multiples of a power of ten: in the type, if that holds the power */
    if (sizeof(real) < sizeof(double) && power > 1e38) return (real)skkeops_round<double>((double)x, decimals, power);
    const real s = (real)power, scaled = decimals ? x * s : x / s;
    if (!decimals) return round(scaled) * s;
    return fabs(scaled) < (real)(sizeof(real) < sizeof(double) ? 8388608.0 : 4503599627370496.0) ? round(scaled) / s : x;
}
"""


@register
class Fmod(Elementwise):
    """``Fmod(f, n)``: the exact remainder of ``f / n``, of the sign of ``f``, as C's ``fmod``."""

    name = "Fmod"
    arguments = ("f", "n")
    opcode = "fmod"
    cuda = "fmod({0}, {1})"
    domain = ((0.1, 0.4), (0.5, 0.8))

    def numpy(self, f, n):
        return np.fmod(f, n)

    def bounds(self, intervals, rounding):
        f, n = intervals
        rounding.require_positive(n.nearest)
        # of the sign of f, and nowhere farther from 0 than f or n; f itself where that is not as large as n
        most = n.farthest
        lower, upper = smaller(larger(f.lower, -most), Constant(0)), larger(smaller(f.upper, most), Constant(0))
        stays = n.nearest - f.farthest - Constant(rounding.tiny)
        return Interval(ops.IfElse.build(stays, f.lower, lower), ops.IfElse.build(stays, f.upper, upper))

    def partial(self, k):
        f, n = self.args
        return Constant(1) if k == 0 else ops.Divide.build(ops.Subtract.build(self, f), n)


@register
class Round(Elementwise):
    """``Round(f, d)``: to ``d`` decimals, halves away from zero; its derivative is 0."""

    name = "Round"
    parameters = ("d",)
    opcode = "round"
    cuda = "skkeops_round<{real}>({0}, {p0} > 0, 1e{p1})"
    cuda_functions = _CUDA_ROUND
    domain = ((0.61, 0.64),)

    @classmethod
    def check(cls, args, params):
        if abs(params[0]) > 300:
            raise FormulaError("Round: the number of decimals must be in -300..300")
        return params

    def cuda_places(self):
        return {"p0": self.params[0], "p1": abs(self.params[0])}

    @property
    def immediates(self):
        d = self.params[0]
        return float(d), float(f"1e{abs(d)}")

    def bounds(self, intervals, rounding):
        (f,) = intervals
        if rounding.is_double:
            return Interval(self.rebuild((f.lower,)), self.rebuild((f.upper,)))
        # in float32 the product with the power of ten is rounded, and may be rounded to the other side
        half = Constant(Fraction(1, 2) * Fraction(10) ** -self.params[0])
        return rounding.widen(f.lower - half, f.upper + half, 8)

    def numpy(self, f):
        d, power = self.immediates
        # float32 does not hold the powers above 38
        x = f if power <= np.finfo(f.dtype).max else f.astype(np.float64)
        unit = x.dtype.type(power)
        scaled = x * unit if d > 0 else x / unit
        whole = np.trunc(scaled)
        whole += np.copysign((np.abs(scaled - whole) >= 0.5).astype(x.dtype), scaled)
        if d <= 0:
            return (whole * unit).astype(f.dtype)
        # from here on all numbers are whole
        has_decimals = np.abs(scaled) < 1 / np.finfo(x.dtype).eps
        return np.where(has_decimals, whole / unit, x).astype(f.dtype)


@register
class Clamp(Choice):
    """``Clamp(f, a, b)``: ``a`` if ``f < a``, ``b`` if ``f > b``, otherwise ``f`` (a NaN stays)."""

    name = "Clamp"
    arguments = ("f", "a", "b")
    opcode = "clamp"
    cuda = "({0} < {1} ? {1} : ({0} > {2} ? {2} : {0}))"
    domain = ((-2.0, 2.0), (-0.7, -0.3), (0.3, 0.7))

    def numpy(self, f, a, b):
        return np.where(f < a, a, np.where(f > b, b, f))

    def bounds(self, intervals, rounding):
        f, a, b = intervals
        return _clamped(f, a, b)

    def partial(self, k):
        f, a, b = self.args
        if k == 0:
            return ops.Mult.build(LessOrEqual.build(a, f), LessOrEqual.build(f, b))
        if k == 1:
            return LessThan.build(f, a)
        return ops.Mult.build(LessOrEqual.build(a, f), LessThan.build(b, f))


def _clamped(f: Interval, a: Interval, b: Interval) -> Interval:
    """The interval of ``Clamp(f, a, b)``: for a > b the value is a or b, which both formulas enclose."""
    return Interval(smaller(larger(f.lower, a.lower), b.lower), larger(smaller(f.upper, b.upper), a.upper))


class _BetweenIntegers(Elementwise):
    parameters = ("a", "b")
    domain = ((-2.0, 2.0),)

    @classmethod
    def check(cls, args, params):
        if max(map(abs, params)) > 2**53:
            raise FormulaError(f"{cls.name}: the bounds must be at most 2**53 in absolute value")
        return params

    @property
    def immediates(self):
        return tuple(map(float, self.params))


@register
class ClampInt(Choice, _BetweenIntegers):
    """``ClampInt(f, a, b)``: ``Clamp`` between two integers; its derivative is 1 on the closed interval."""

    name = "ClampInt"
    opcode = "clampint"
    cuda = "({0} < ({real}){p0} ? ({real}){p0} : ({0} > ({real}){p1} ? ({real}){p1} : {0}))"

    def numpy(self, f):
        a, b = (np.asarray(bound, f.dtype) for bound in self.params)
        return np.where(f < a, a, np.where(f > b, b, f))

    def bounds(self, intervals, rounding):
        (f,) = intervals
        a, b = (Constant(bound) if rounding.is_double else Constant(float(np.float32(bound))) for bound in self.params)
        return _clamped(f, Interval(a, a), Interval(b, b))

    def partial(self, k):
        return DiffClampInt.build(self.args[0], *self.params)


@register
class DiffClampInt(_BetweenIntegers):
    """``DiffClampInt(f, a, b)``: 1 on the closed interval ``[a, b]``, otherwise 0."""

    name = "DiffClampInt"
    opcode = "diffclampint"
    cuda = "({0} < ({real}){p0} ? ({real})0 : ({0} > ({real}){p1} ? ({real})0 : ({real})1))"

    def bounds(self, intervals, rounding):
        (f,), (a, b) = intervals, self.params
        if not rounding.is_double and max(abs(a), abs(b)) > 2**24:
            return Interval(Constant(0, self.dim), Constant(1, self.dim))
        lower = DiffClampInt.build(f.lower, a, b) * DiffClampInt.build(f.upper, a, b) if a <= b else Constant(0, self.dim)
        return Interval(lower, LessOrEqual.build(f.lower, b) * LessOrEqual.build(a, f.upper))

    def numpy(self, f):
        a, b = self.params
        return 1 - ((f < a) | (f > b)).astype(f.dtype)


@register
class IfElse(Choice):
    """``IfElse(f, a, b)``: ``a`` where ``f >= 0``, otherwise ``b`` (also where ``f`` is a NaN)."""

    name = "IfElse"
    arguments = ("f", "a", "b")
    opcode = "ifelse"
    cuda = "({0} >= ({real})0 ? {1} : {2})"
    domain = ((-2.0, 2.0),) * 3

    @classmethod
    def simplify(cls, args, params):
        f, a, b = args
        if a is b:
            return a
        if type(f) is Constant:
            return a if f.params[0] >= 0 else b
        if type(f) is cls and type(f.args[1]) is type(f.args[2]) is Constant:
            # a choice by what another one chose
            return cls.build(f.args[0], *(a if c.params[0] >= 0 else b for c in f.args[1:]))
        if type(a) is cls and a.args[0] is f:
            return cls.build(f, a.args[1], b)
        if type(b) is cls and b.args[0] is f:
            return cls.build(f, a, b.args[2])
        return None

    def numpy(self, f, a, b):
        return np.where(f >= 0, a, b)

    def bounds(self, intervals, rounding):
        f, a, b = intervals
        # the first where f is not negative, the second where it is, either elsewhere
        lower, upper = (
            IfElse.build(f.lower, of_a, IfElse.build(f.upper, either(of_a, of_b), of_b))
            for of_a, of_b, either in zip(a, b, (smaller, larger), strict=True)
        )
        return Interval(lower, upper)

    def partial(self, k):
        return None if k == 0 else IfElse.build(self.args[0], *((1, 0) if k == 1 else (0, 1)))

    def chosen(self, k):
        return None if k == 0 else IfElse.build(self.args[0], *((1, -1) if k == 1 else (-1, 1)))


class _Comparison(Elementwise):
    arguments = ("f", "g")
    domain = _TWO
    _holds: ClassVar[Any]

    @classmethod
    def simplify(cls, args, params):
        f, g = args
        return Constant._of(Fraction(int(cls._holds(f.value, g.value)))) if type(f) is type(g) is Constant else None


def _equality(f: Interval, g: Interval) -> Interval:
    """Whether two values are equal: they may be if the intervals meet, and are if both are one point."""
    surely = Equal.build(f.lower, f.upper) * Equal.build(g.lower, g.upper) * Equal.build(f.lower, g.lower)
    return Interval(surely, LessOrEqual.build(f.lower, g.upper) * LessOrEqual.build(g.lower, f.upper))


@register
class Equal(_Comparison):
    """``Equal(f, g)``, also written ``f == g``: 1 where they are equal, otherwise 0 (a NaN equals nothing)."""

    name = "Equal"
    _holds = operator.eq
    opcode = "eq"
    cuda = "({0} == {1} ? ({real})1 : ({real})0)"

    def bounds(self, intervals, rounding):
        return _equality(*intervals)

    def numpy(self, f, g):
        return (f == g).astype(np.result_type(f, g))


@register
class NotEqual(_Comparison):
    """``NotEqual(f, g)``, also written ``f != g``: 1 where they differ, otherwise 0."""

    name = "NotEqual"
    _holds = operator.ne
    opcode = "ne"
    cuda = "({0} != {1} ? ({real})1 : ({real})0)"

    def bounds(self, intervals, rounding):
        equal = _equality(*intervals)
        return Interval(1 - equal.upper, 1 - equal.lower)

    def numpy(self, f, g):
        return (f != g).astype(np.result_type(f, g))


@register
class LessThan(_Comparison):
    """``LessThan(f, g)``, also written ``f < g``: 1 where it holds, otherwise 0."""

    name = "LessThan"
    _holds = operator.lt
    opcode = "lt"
    cuda = "({0} < {1} ? ({real})1 : ({real})0)"

    def bounds(self, intervals, rounding):
        f, g = intervals
        return Interval(LessThan.build(f.upper, g.lower), LessThan.build(f.lower, g.upper))

    def numpy(self, f, g):
        return (f < g).astype(np.result_type(f, g))


@register
class LessOrEqual(_Comparison):
    """``LessOrEqual(f, g)``, also written ``f <= g``: 1 where it holds, otherwise 0."""

    name = "LessOrEqual"
    _holds = operator.le
    opcode = "le"
    cuda = "({0} <= {1} ? ({real})1 : ({real})0)"

    def bounds(self, intervals, rounding):
        f, g = intervals
        return Interval(LessOrEqual.build(f.upper, g.lower), LessOrEqual.build(f.lower, g.upper))

    def numpy(self, f, g):
        return (f <= g).astype(np.result_type(f, g))


@composite("Mod", "f n d", domain=((0.1, 0.4), (0.5, 0.8), (-0.2, -0.1)))
def Mod(f, n, d):
    """``Mod(f, n, d) = f - n * Floor((f - d) / n)``: the remainder that lies in ``[d, d + n)`` for ``n > 0``."""
    return f - n * Floor.build((f - d) / n)
