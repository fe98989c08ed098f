"""The families of operations. A backend has one rule for a family, not one for each operation."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np

from ..errors import FormulaError
from ..expression import Constant, Expression
from ..limits import MAX_DIM
from ..registry import ops
from .algebra import is_zero
from .base import Operation, bind
from .intervals import Interval, Rounding, larger

__all__ = ["Bilinear", "Choice", "Contraction", "Elementwise", "NthDerivative", "Selection", "add_up", "broadcast"]

_HALF = Constant(Fraction(1, 2))


def broadcast(f: Expression, dim: int) -> Expression:
    """``f``, replicated if it has one component and ``dim`` are wanted."""
    return f if f.dim == dim else ops.SumT.build(f, dim)


def add_up(terms: Sequence[Expression | None], dim: int) -> Expression | None:
    """The sum of the terms that are not None, broadcast to ``dim``."""
    total = None
    for term in terms:
        if term is not None:
            total = term if total is None else ops.Add.build(total, term)
    return None if total is None else broadcast(total, dim)


class Elementwise(Operation):
    """The same scalar function in every component; dims are equal, or 1.

    Class attributes
    ----------------
    shape : {"", "increasing", "decreasing", "valley", "hill"}
        For a function of one argument, what its `bounds` follow from: monotone, or even and increasing ("valley") or decreasing
        ("hill") with the absolute value.
    ulps : int
        The error of what is computed, in units of the last place, at least; 0 if it is exact.
    nonnegative : bool
        Whether no negative number is ever computed.
    """

    shape: ClassVar[str] = ""
    ulps: ClassVar[int] = 4
    nonnegative: ClassVar[bool] = False

    @classmethod
    def build(cls, *arguments: Any) -> Expression:
        args, params = bind(cls, arguments)
        dim = 1
        for arg in args:
            if arg.dim != 1:
                if dim == 1:
                    dim = arg.dim
                elif dim != arg.dim:
                    dims = [str(a.dim) for a in args]
                    listed = ", ".join(dims[:-1]) + " and " + dims[-1]
                    raise FormulaError(f"{cls.name}: the dims {listed} do not go together: they must be equal, or 1")
        params = cls.check(args, params)
        if dim != 1:
            # what is the same in all components is computed once
            args = tuple([_replicated(arg) for arg in args])
        result = cls.simplify(args, params)
        if result is None:
            result = cls._new(args, params)
            if all(type(arg) is Constant for arg in args):
                result = _exact(result)
        return result if result.dim == dim else ops.SumT.build(result, dim)

    @classmethod
    def output_dim(cls, args, params):
        dim = 1
        for arg in args:
            if arg.dim != 1:
                dim = arg.dim
        return dim

    def partial(self, k: int) -> Expression | None:
        """The derivative with respect to argument ``k``, component by component; None for zero."""
        return None

    def bounds(self, intervals, rounding):
        if not self.shape:
            return None
        (f,) = intervals
        ends = (f.nearest, f.farthest) if self.shape in ("valley", "hill") else f
        lower, upper = (self.rebuild((end,)) for end in ends)
        if self.shape in ("decreasing", "hill"):
            lower, upper = upper, lower
        return rounding.widen(lower, upper, self.ulps, nonnegative=self.nonnegative)

    def component_adjoint(self, k: int, e: Expression) -> Expression | None:
        """The adjoint of argument ``k`` for every component of the result; None for zero.

        An argument of one component gets the sum of them.
        """
        partial = self.partial(k)
        return None if partial is None else ops.Mult.build(partial, e)

    def tangent(self, directions):
        terms = []
        for k, direction in enumerate(directions):
            partial = None if direction is None else self.partial(k)
            terms.append(None if partial is None else ops.Mult.build(partial, direction))
        return add_up(terms, self.dim)


class Choice(Elementwise):
    """In every component the value of one of the arguments, or a number.

    The partial derivative is 1 by the argument that is chosen, 0 by the others. Derivatives never multiply by them, as what is not
    chosen may be infinite or not a number.
    """

    def chosen(self, k):
        partial = self.partial(k)
        return None if partial is None else ops.Subtract.build(partial, _HALF)

    def component_adjoint(self, k, e):
        return None if self.partial(k) is None else e

    def tangent(self, directions):
        total = None
        for k, direction in enumerate(directions):
            condition = None if direction is None else self.chosen(k)
            if condition is not None:
                total = ops.IfElse.build(condition, direction, 0 if total is None else total)
        return add_up((total,), self.dim)


def _middle_and_radius(interval: Interval, rounding: Rounding) -> tuple[Expression, Expression]:
    lower, upper = interval
    if lower is upper:
        return lower, Constant(0, lower.dim)
    middle = _HALF * (lower + upper)
    return middle, larger(upper - middle, middle - lower) * Constant(1 + 4 * rounding.eps)


_MAX_ORDER = 16


class NthDerivative(Elementwise):
    """A function of one argument and all its derivatives: the parameter n is the order, 0 if it is left out."""

    parameters = ("n",)
    optional = 1

    @classmethod
    def check(cls, args, params):
        n = params[0] if params else 0
        if not 0 <= n <= _MAX_ORDER:
            raise FormulaError(f"{cls.name}: the order of the derivative must be in 0..{_MAX_ORDER}, got {n}")
        return (n,)

    def printed_params(self):
        return () if self.params == (0,) else self.params

    @property
    def immediates(self):
        return (float(self.params[0]),)

    def partial(self, k):
        return type(self).build(self.args[0], self.params[0] + 1)


def _exact(node: Elementwise) -> Expression:
    """The constant that a node of zeros and ones is, as ``Sin(0)`` is 0, if that is exactly 0 or 1; else the node itself."""
    values = [arg.value for arg in node.args if isinstance(arg, Constant)]
    if not all(value in (0, 1) for value in values):
        return node
    with np.errstate(all="ignore"):
        found = float(node.numpy(*[np.float64(value) for value in values]))
    return Constant._of(Fraction(found)) if found in (0.0, 1.0) else node


def _replicated(arg: Expression) -> Expression:
    """The single component that ``arg`` replicates, or ``arg``."""
    if type(arg) is ops.SumT:
        return arg.args[0]
    if type(arg) is Constant and arg.dim > 1:
        return Constant._of(arg.value)
    return arg


class Selection(Operation):
    """Every component of the result is a component of an argument, or zero."""

    def selection(self) -> tuple[tuple[int, int] | None, ...]:
        """For each component of the result ``(argument, component)``, or None for zero."""
        raise NotImplementedError

    def bounds(self, intervals, rounding):
        lower, upper = (self.rebuild(ends) for ends in zip(*intervals, strict=True))
        return Interval(lower, upper)

    def tangent(self, directions):
        if all(direction is None for direction in directions):
            return None
        filled = [
            Constant(0, arg.dim) if direction is None else direction
            for arg, direction in zip(self.args, directions, strict=True)
        ]
        return self.rebuild(tuple(filled))


class Bilinear(Operation):
    """Every component of the result is a sum of products of components of two arguments."""

    arguments = ("f", "g")
    domain = ((-2.0, 2.0), (-2.0, 2.0))

    @classmethod
    def simplify(cls, args, params):
        if any(map(is_zero, args)):
            dim = cls.output_dim(args, params)
            if dim <= MAX_DIM:
                return Constant(0, dim)
        return None

    def terms(self) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For each component of the result the pairs of components whose products are summed."""
        raise NotImplementedError

    def tensors(self) -> tuple[tuple[int, ...], ...]:
        """The same sums as a contraction of tensors, for vectors too long for `terms`: the parameters of `TensorDot`."""
        raise NotImplementedError

    def bounds(self, intervals, rounding):
        """From the middles of the intervals and their radii: exact where one argument is a point."""
        (f, f_radius), (g, g_radius) = (_middle_and_radius(interval, rounding) for interval in intervals)
        f_size, g_size = ops.Abs.build(f), ops.Abs.build(g)
        f_most, g_most = f_size + f_radius, g_size + g_radius
        middle = self.rebuild((f, g))
        radius = self.rebuild((f_size, g_radius)) + self.rebuild((f_radius, g_most))
        size = self.rebuild((f_most, g_most))  # rounding errors are relative to it
        ulps = 8 + max(arg.dim for arg in self.args)
        return rounding.widen(middle - radius, middle + radius, ulps, (size, size))

    def tangent(self, directions):
        f, g = self.args
        df, dg = directions
        left = None if df is None else self.rebuild((df, g))
        right = None if dg is None else self.rebuild((f, dg))
        return add_up((left, right), self.dim)


class Contraction(Operation):
    """One number from all components of an argument.

    Class attributes
    ----------------
    cuda_better : str or None
        For extrema, the comparison that a component must pass to replace the best so far; None for a sum.
    returns_place : bool
        Whether the value is the number of the best component.
    """

    cuda_better: ClassVar[str | None] = None
    returns_place: ClassVar[bool] = False

    def numpy(self, f: np.ndarray) -> np.ndarray:
        raise NotImplementedError
