"""Functions defined by cases: signs, rounding, clamping, choices and comparisons."""

from __future__ import annotations

import operator
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from ..errors import FormulaError
from ..expression import Constant
from . import arithmetic, powers, vectors
from .base import composite, register
from .families import Elementwise, add_up

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
    opcode = "abs"
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
    cuda = "({0} > ({real})0 ? ({real})1 : ({0} < ({real})0 ? ({real})-1 : ({real})0))"
    domain = ((0.2, 2.0),)

    def numpy(self, f):
        return (f > 0).astype(f.dtype) - (f < 0).astype(f.dtype)


@register
class Step(Elementwise):
    """``Step(f)``: 0 if ``f < 0``, otherwise 1 (also at 0 and for a NaN)."""

    name = "Step"
    opcode = "step"
    cuda = "({0} < ({real})0 ? ({real})0 : ({real})1)"
    domain = ((0.2, 2.0),)

    def numpy(self, f):
        return 1 - (f < 0).astype(f.dtype)


@register
class ReLU(Elementwise):
    """``ReLU(f)``: 0 if ``f < 0``, otherwise ``f``; its derivative is 1 at 0."""

    name = "ReLU"
    opcode = "relu"
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
    cuda = "floor({0})"
    domain = ((0.2, 0.8),)

    def numpy(self, f):
        return np.floor(f)


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

    def partial(self, k):
        f, n = self.args
        return Constant(1) if k == 0 else arithmetic.Divide.build(arithmetic.Subtract.build(self, f), n)


@register
class Round(Elementwise):
    """``Round(f, d)``: to ``d`` decimals, halves away from zero; its derivative is 0."""

    name = "Round"
    parameters = ("d",)
    opcode = "round"
    cuda = "(round({0} * skkeops_power<{p0}, {real}>(10)) / skkeops_power<{p0}, {real}>(10))"
    cuda_functions = powers.CUDA_POWER
    domain = ((0.61, 0.64),)

    @classmethod
    def check(cls, args, params):
        if abs(params[0]) > 300:
            raise FormulaError("Round: the number of decimals must be in -300..300")
        return params

    @property
    def immediates(self):
        return (float(self.params[0]),)

    def numpy(self, f):
        unit = np.asarray(10.0 ** self.params[0], f.dtype)
        scaled = f * unit
        whole = np.trunc(scaled)
        away = np.abs(scaled - whole) >= 0.5
        return (whole + np.copysign(away.astype(f.dtype), scaled)) / unit


@register
class Clamp(Elementwise):
    """``Clamp(f, a, b)``: ``a`` if ``f < a``, ``b`` if ``f > b``, otherwise ``f`` (a NaN stays)."""

    name = "Clamp"
    arguments = ("f", "a", "b")
    opcode = "clamp"
    cuda = "({0} < {1} ? {1} : ({0} > {2} ? {2} : {0}))"
    domain = ((-2.0, 2.0), (-0.7, -0.3), (0.3, 0.7))

    def numpy(self, f, a, b):
        return np.where(f < a, a, np.where(f > b, b, f))

    def partial(self, k):
        f, a, b = self.args
        if k == 0:
            return arithmetic.Mult.build(LessOrEqual.build(a, f), LessOrEqual.build(f, b))
        if k == 1:
            return LessThan.build(f, a)
        return arithmetic.Mult.build(LessOrEqual.build(a, f), LessThan.build(b, f))


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
class ClampInt(_BetweenIntegers):
    """``ClampInt(f, a, b)``: ``Clamp`` between two integers; its derivative is 1 on the closed interval."""

    name = "ClampInt"
    opcode = "clampint"
    cuda = "({0} < ({real}){p0} ? ({real}){p0} : ({0} > ({real}){p1} ? ({real}){p1} : {0}))"

    def numpy(self, f):
        a, b = (np.asarray(bound, f.dtype) for bound in self.params)
        return np.where(f < a, a, np.where(f > b, b, f))

    def partial(self, k):
        return DiffClampInt.build(self.args[0], *self.params)


@register
class DiffClampInt(_BetweenIntegers):
    """``DiffClampInt(f, a, b)``: 1 on the closed interval ``[a, b]``, otherwise 0."""

    name = "DiffClampInt"
    opcode = "diffclampint"
    cuda = "({0} < ({real}){p0} ? ({real})0 : ({0} > ({real}){p1} ? ({real})0 : ({real})1))"

    def numpy(self, f):
        a, b = self.params
        return 1 - ((f < a) | (f > b)).astype(f.dtype)


@register
class IfElse(Elementwise):
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
        return None

    def numpy(self, f, a, b):
        return np.where(f >= 0, a, b)

    def partial(self, k):
        if k == 0:
            return None
        return IfElse.build(self.args[0], *((1, 0) if k == 1 else (0, 1)))

    def adjoint(self, k, e):
        if k == 0:
            return None
        chosen = IfElse.build(self.args[0], *((e, 0) if k == 1 else (0, e)))
        return chosen if chosen.dim == self.args[k].dim else vectors.Sum.build(chosen)

    def tangent(self, directions):
        _, a, b = directions
        if a is None and b is None:
            return None
        chosen = IfElse.build(self.args[0], 0 if a is None else a, 0 if b is None else b)
        return add_up((chosen,), self.dim)


class _Comparison(Elementwise):
    arguments = ("f", "g")
    domain = _TWO
    _holds: ClassVar[Any]

    @classmethod
    def simplify(cls, args, params):
        f, g = args
        return Constant._of(Fraction(int(cls._holds(f.value, g.value)))) if type(f) is type(g) is Constant else None


@register
class Equal(_Comparison):
    """``Equal(f, g)``, also written ``f == g``: 1 where they are equal, otherwise 0 (a NaN equals nothing)."""

    name = "Equal"
    _holds = operator.eq
    opcode = "eq"
    cuda = "({0} == {1} ? ({real})1 : ({real})0)"

    def numpy(self, f, g):
        return (f == g).astype(np.result_type(f, g))


@register
class NotEqual(_Comparison):
    """``NotEqual(f, g)``, also written ``f != g``: 1 where they differ, otherwise 0."""

    name = "NotEqual"
    _holds = operator.ne
    opcode = "ne"
    cuda = "({0} != {1} ? ({real})1 : ({real})0)"

    def numpy(self, f, g):
        return (f != g).astype(np.result_type(f, g))


@register
class LessThan(_Comparison):
    """``LessThan(f, g)``, also written ``f < g``: 1 where it holds, otherwise 0."""

    name = "LessThan"
    _holds = operator.lt
    opcode = "lt"
    cuda = "({0} < {1} ? ({real})1 : ({real})0)"

    def numpy(self, f, g):
        return (f < g).astype(np.result_type(f, g))


@register
class LessOrEqual(_Comparison):
    """``LessOrEqual(f, g)``, also written ``f <= g``: 1 where it holds, otherwise 0."""

    name = "LessOrEqual"
    _holds = operator.le
    opcode = "le"
    cuda = "({0} <= {1} ? ({real})1 : ({real})0)"

    def numpy(self, f, g):
        return (f <= g).astype(np.result_type(f, g))


@composite("Mod", "f n d", domain=((0.1, 0.4), (0.5, 0.8), (-0.2, -0.1)))
def Mod(f, n, d):
    """``Mod(f, n, d) = f - n * Floor((f - d) / n)``: the remainder that lies in ``[d, d + n)`` for ``n > 0``."""
    return f - n * Floor.build((f - d) / n)
