"""Arithmetic and comparisons of lazy tensors."""

from __future__ import annotations

from skkeops.formula import operations as ops
from skkeops.formula.expression import Constant

from .. import numpy_meanings as meanings
from ..leaves import parameter
from ..masks import is_condition
from .base import Methods, is_operator

__all__ = ["Arithmetic"]


class Arithmetic(Methods):
    """Python's operators. Comparisons are 1 where they hold, 0 elsewhere, and combine with ``&``, ``^`` and ``~``; ``x | y`` is the
    scalar product."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __neg__(self):
        return self._apply(ops.Minus.build)

    def __pos__(self):
        return self

    def __abs__(self):
        return self._apply(ops.Abs.build)

    def __add__(self, other):
        if is_operator(other):
            return NotImplemented
        return self._apply(ops.Add.build, other)

    def __radd__(self, other):
        return self._operand(other)._apply(ops.Add.build, self)

    def __sub__(self, other):
        if is_operator(other):
            return NotImplemented
        return self._apply(ops.Subtract.build, other)

    def __rsub__(self, other):
        return self._operand(other)._apply(ops.Subtract.build, self)

    def __mul__(self, other):
        return self._factor()._apply(ops.Mult.build, self._operand(other)._factor())

    def __rmul__(self, other):
        return self._operand(other) * self

    def __truediv__(self, other):
        return self._factor()._apply(ops.Divide.build, other)

    def __rtruediv__(self, other):
        return self._operand(other) / self

    def __pow__(self, other):
        return self._apply(ops.Powf.build, other)

    def __rpow__(self, other):
        return self._operand(other)._apply(ops.Powf.build, self)

    def __mod__(self, other):
        return self._apply(meanings.remainder, other)

    def __rmod__(self, other):
        return self._operand(other) % self

    def __floordiv__(self, other):
        return self._factor()._apply(meanings.floor_divide, other)

    def __rfloordiv__(self, other):
        return self._operand(other) // self

    def __divmod__(self, other):
        return self // other, self % other

    def __rdivmod__(self, other):
        return divmod(self._operand(other), self)

    def __or__(self, other):
        other = self._operand(other)
        if is_condition(self) and is_condition(other):
            raise TypeError("a | b of lazy tensors is the scalar product: write np.logical_or(a, b) for conditions")
        return self._apply(ops.Scalprod.build, other)

    def __ror__(self, other):
        return self._operand(other) | self

    def __and__(self, other):
        return self._of_conditions("&", meanings.logical_and, self._operand(other))

    def __rand__(self, other):
        return self._operand(other) & self

    def __xor__(self, other):
        return self._of_conditions("^", meanings.logical_xor, self._operand(other))

    def __rxor__(self, other):
        return self._operand(other) ^ self

    def __invert__(self):
        return self._of_conditions("~", meanings.logical_not)

    def _of_conditions(self, symbol, operation, *others):
        if not all(map(is_condition, (self, *others))):
            raise TypeError(f"{symbol} is for conditions, such as (K > 0) & (K < 1): found a tensor of numbers")
        return self._apply(operation, *others)

    def _factor(self):
        """Return the number 0 as a parameter: formulas simplify a constant 0 times f to 0, NumPy's products keep NaN."""
        is_zero = type(self.expression) is Constant and not self.symbols and self.expression.value == 0
        return self._of(*parameter(0.0)) if is_zero else self

    def __lt__(self, other):
        return self._apply(ops.LessThan.build, other)

    def __le__(self, other):
        return self._apply(ops.LessOrEqual.build, other)

    def __gt__(self, other):
        return self._operand(other)._apply(ops.LessThan.build, self)

    def __ge__(self, other):
        return self._operand(other)._apply(ops.LessOrEqual.build, self)

    def __eq__(self, other):
        return self._apply(ops.Equal.build, other)

    def __ne__(self, other):
        return self._apply(ops.NotEqual.build, other)
