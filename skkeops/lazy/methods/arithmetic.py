"""Arithmetic and comparisons of lazy tensors."""

from __future__ import annotations

from skkeops.formula import operations as ops

from .base import Methods, is_operator

__all__ = ["Arithmetic"]


class Arithmetic(Methods):
    """Python's operators. Comparisons are 1 where they hold, 0 elsewhere; ``x | y`` is the scalar product."""

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
        return self._apply(ops.Mult.build, other)

    def __rmul__(self, other):
        return self._operand(other)._apply(ops.Mult.build, self)

    def __truediv__(self, other):
        return self._apply(ops.Divide.build, other)

    def __rtruediv__(self, other):
        return self._operand(other)._apply(ops.Divide.build, self)

    def __pow__(self, other):
        return self._apply(ops.Powf.build, other)

    def __rpow__(self, other):
        return self._operand(other)._apply(ops.Powf.build, self)

    def __or__(self, other):
        return self._apply(ops.Scalprod.build, other)

    def __ror__(self, other):
        return self._operand(other)._apply(ops.Scalprod.build, self)

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
