"""Reductions of lazy tensors: from an expression of symbols to a call of Genred."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from skkeops.formula.derivative import substitute
from skkeops.formula.expression import Expression, I, P, Variable
from skkeops.genred import Genred

from .symbols import Symbol

__all__ = ["Reducer", "gradient", "reduce"]


class Reducer:
    """A reduction of an expression, with its variables in the order of a call.

    Attributes
    ----------
    function : Genred
    order : tuple of Variable
        The variables of the symbols, in the order of the arguments.
    """

    __slots__ = ("function", "order")

    def __init__(self, function: Genred, order: tuple[Variable, ...]):
        self.function = function
        self.order = order


@lru_cache(maxsize=1024)
def reducer(
    expression: Expression,
    weight: Expression | None,
    variables: tuple[Variable, ...],
    per_row: tuple[bool, ...],
    op: str,
    axis: int,
    opt_arg: int | None,
) -> Reducer:
    """Return a reduction of an expression of symbols' variables.

    Parameters
    ----------
    expression, weight : Expression
        The formula, and the weight of reductions that have one.
    variables : tuple of Variable
        Those of the symbols.
    per_row : tuple of bool
        Which of them are parameters that differ between the problems of a batch: they become variables indexed by i.
    op, axis, opt_arg
        As for `Genred`.
    """
    renamed = {
        v: Variable(k, v.dim, I if of_rows else v.category)
        for k, (v, of_rows) in enumerate(zip(variables, per_row, strict=True))
    }
    f = substitute(expression, renamed)
    g = None if weight is None else substitute(weight, renamed)
    function = Genred(f, [str(v) for v in renamed.values()], op, axis=axis, opt_arg=opt_arg, formula2=g)
    return Reducer(function, variables)


def batch_shape(symbols: Sequence[Symbol]) -> tuple[int, ...]:
    """Return the common batch dimensions of symbols."""
    shapes = [s.batch for s in symbols]
    if not any(shapes):
        return ()
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"batch dimensions must broadcast: found {' and '.join(map(str, dict.fromkeys(shapes)))}") from None


class Call:
    """Arrays of symbols as the arguments of a reduction, with the blocks of a batch.

    Parameters
    ----------
    symbols : sequence of Symbol
    rows : tuple of int
        M and N.
    """

    def __init__(self, symbols: Sequence[Symbol], rows: tuple[int, int]):
        self.batch = batch_shape(symbols)
        self.size = int(np.prod(self.batch))
        self.rows = rows
        self.per_row = tuple(bool(self.batch) and s.variable.category == P and s.batch != () for s in symbols)
        self.arrays = [self._flat(s, of_rows) for s, of_rows in zip(symbols, self.per_row, strict=True)]
        self.ranges = self._blocks() if self.batch else None

    def _flat(self, s: Symbol, of_rows: bool) -> np.ndarray:
        if not self.batch or (s.variable.category == P and not of_rows):
            return s.array
        array = s.array[..., None, :] if of_rows else s.array
        n = self.rows[0 if of_rows else s.variable.category]
        return np.broadcast_to(array, (*self.batch, n, array.shape[-1])).reshape(-1, array.shape[-1])

    def _blocks(self) -> tuple[np.ndarray, ...]:
        """Return the ranges of a block-diagonal matrix: problem by problem."""
        ranges = [np.stack([np.arange(self.size), np.arange(1, self.size + 1)], axis=1) * n for n in self.rows]
        slices = np.arange(1, self.size + 1)
        return ranges[0], slices, ranges[1], ranges[1], slices, ranges[0]

    def unflatten(self, result: np.ndarray, axis: int) -> np.ndarray:
        """Return a result with its batch dimensions, indices counted within each problem."""
        if not self.batch:
            return result
        kept = self.rows[1 - axis]
        result = result.reshape(self.size, kept, *result.shape[1:])
        if result.dtype.kind == "i":
            offsets = np.arange(self.size).reshape(-1, *(1,) * (result.ndim - 1)) * self.rows[axis]
            result = np.where(result < 0, result, result - offsets)
        return result.reshape(*self.batch, *result.shape[1:])


def reduce(
    symbols: Sequence[Symbol],
    rows: tuple[int, int],
    expression: Expression,
    weight: Expression | None,
    op: str,
    axis: int,
    opt_arg: int | None,
    options: dict[str, Any],
) -> Any:
    """Return a reduction of an expression of symbols that have arrays."""
    call = Call(symbols, rows)
    r = reducer(expression, weight, tuple(s.variable for s in symbols), call.per_row, op, axis, opt_arg)
    if call.ranges is not None:
        if options.get("ranges") is not None:
            raise ValueError("ranges and batch dimensions exclude each other: found both")
        if options.get("out") is not None:
            raise ValueError("out= is for tensors without batch dimensions")
        options = {**options, "ranges": call.ranges}
    result = r.function(*call.arrays, **options)
    if isinstance(result, tuple):
        return tuple(call.unflatten(part, axis) for part in result)
    return call.unflatten(result, axis)


def gradient(
    symbols: Sequence[Symbol],
    rows: tuple[int, int],
    expression: Expression,
    op: str,
    axis: int,
    wrt: Symbol,
    grad_output: Any,
    options: dict[str, Any],
) -> np.ndarray:
    """Return the gradient of a reduction by the array of a symbol; without batch dimensions."""
    call = Call(symbols, rows)
    if call.batch:
        raise ValueError(f"gradients are for tensors without batch dimensions: found {call.batch}")
    r = reducer(expression, None, tuple(s.variable for s in symbols), call.per_row, op, axis, None)
    which = r.function.variables[[s is wrt for s in symbols].index(True)]
    return r.function.gradient(*call.arrays, wrt=which, grad_output=grad_output, **options)
