"""Reductions of lazy tensors: from an expression of symbols to a call of Genred."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from skkeops.arguments import common_dtype
from skkeops.devices import as_array, computing, namespace_of
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import IJ, Expression, I, J, P, Variable
from skkeops.genred import Genred
from skkeops.pairs import is_stored
from skkeops.ranges import Ranges

from .complex_numbers import holds_complex, interleave
from .leaves import Given
from .symbols import Number, Symbol

__all__ = ["Reducer", "gradient", "reduce", "symbolic"]


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
    options: tuple[tuple[str, Any], ...] = (),
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
    options : tuple of (str, object)
        Further options of `Genred`.
    """
    renamed = {
        v: Variable(k, v.dim, I if of_rows else v.category)
        for k, (v, of_rows) in enumerate(zip(variables, per_row, strict=True))
    }
    f = substitute(expression, renamed)
    g = None if weight is None else substitute(weight, renamed)
    function = Genred(f, [str(v) for v in renamed.values()], op, axis=axis, opt_arg=opt_arg, formula2=g, **dict(options))
    return Reducer(function, variables)


def batch_shape(symbols: Sequence[Symbol]) -> tuple[int, ...]:
    """Return the common batch dimensions of symbols."""
    shapes = {s.batch for s in symbols}
    shapes.discard(())
    if len(shapes) <= 1:
        return shapes.pop() if shapes else ()
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ValueError(f"batch dimensions must broadcast: found {' and '.join(map(str, sorted(shapes)))}") from None


def _of_both_sides(symbols: Sequence[Symbol]) -> Sequence[Symbol]:
    """Return symbols of a batch, with one of points that are of no matter for a side that has none.

    The problems of a batch are blocks of a large matrix, which has rows and columns for each: also where a tensor of one problem
    has a single one, for nothing depends on it.
    """
    if not batch_shape(symbols):
        return symbols
    known = {0 if s.variable.category == P and s.batch else s.variable.category for s in symbols}
    return [*symbols, *(_side(axis) for axis in (I, J) if axis not in known and IJ not in known)]


@lru_cache(maxsize=2)
def _side(category: int) -> Symbol:
    return Number(np.zeros((1, 1), np.float32), 1, category)


def _computing_with(symbols: Sequence[Symbol]) -> Any:
    return computing(s.array for s in symbols if not isinstance(s, Number))


class Call:
    """Arrays of symbols as the arguments of a reduction, with the blocks of a batch.

    Parameters
    ----------
    symbols : sequence of Symbol
    rows : tuple of int
        M and N.
    ranges : sequence of six arrays, optional
        The blocks of pairs that are visited, in every problem of a batch.
    """

    def __init__(self, symbols: Sequence[Symbol], rows: tuple[int, int], ranges: Any = None):
        self.batch = batch_shape(symbols)
        self.rows = rows
        if not self.batch:
            self.size, self.ranges = 1, ranges
            self.per_row = (False,) * len(symbols)
            self.arrays = [s.array for s in symbols]
            if Number in map(type, symbols):
                xp = namespace_of(*self.arrays)
                with _computing_with(symbols):
                    self.arrays = [s.array_in(xp) for s in symbols]
            return
        self.size = math.prod(self.batch)
        self.dtype = common_dtype([(s.array, False) for s in symbols])
        self.per_row = tuple(s.variable.category == P and s.batch != () for s in symbols)
        self.xp: Any = namespace_of(*[s.array for s in symbols])
        with _computing_with(symbols):
            self.arrays = [self._flat(s, of_rows) for s, of_rows in zip(symbols, self.per_row, strict=True)]
        self.ranges = self._blocks(ranges)

    def _flat(self, s: Symbol, of_rows: bool) -> np.ndarray:
        if s.variable.category == P and not of_rows:
            return s.array_in(self.xp)
        if s.variable.category == IJ:
            return self._flat_pairs(s.array)
        array = s.array[..., None, :] if of_rows else s.array_in(self.xp)
        n = self.rows[0 if of_rows else s.variable.category]
        return np.broadcast_to(array, (*self.batch, n, array.shape[-1])).reshape(-1, array.shape[-1])

    def _flat_pairs(self, array: Any) -> np.ndarray:
        """Return values of pairs as a view of shape (B M, B N, D) whose diagonal blocks are the problems.

        A copy with one row more for each problem has the problems M N + N numbers apart, which is M rows and N columns of
        a view with the strides of a row and of a column: pair (b M + i, b N + j) of the view is pair (i, j) of problem b.
        What the view shows elsewhere is of no use, but within the copy.
        """
        if is_stored(array):
            raise ValueError("sparse arrays are for tensors without batch dimensions")
        m, n, dim = *self.rows, array.shape[-1]
        copy = self.xp.empty((self.size, m + 1, n, dim), dtype=array.dtype if array.dtype.kind == "b" else self.dtype)
        copy[:, :m] = np.broadcast_to(array, (*self.batch, m, n, dim)).reshape(self.size, m, n, dim)
        copy[:, m] = 0
        strides = copy.strides[1:]
        as_strided = importlib.import_module(f"{self.xp.__name__}.lib.stride_tricks").as_strided
        return as_strided(copy, (self.size * m, self.size * n, dim), strides)

    def _blocks(self, inner: Any) -> Any:
        """Return the ranges of a block-diagonal matrix, problem by problem, or of blocks of each problem."""
        if inner is not None:
            checked = Ranges(inner, *self.rows)
            m, n = self.rows
            return (*self._repeat(checked.of_axis(1), m, n), *self._repeat(checked.of_axis(0), n, m))
        return _block_diagonal(self.size, *self.rows)

    def _repeat(self, blocks: tuple[np.ndarray, ...], m: int, n: int) -> tuple[np.ndarray, ...]:
        """Return blocks of one problem of size (m, n) as those of all problems, one behind the other."""
        rows, slices, reduced = blocks
        b = np.arange(self.size)[:, None, None]
        return (
            (rows + b * m).reshape(-1, 2),
            (slices + b[:, 0] * len(reduced)).reshape(-1),
            (reduced + b * n).reshape(-1, 2),
        )

    def unflatten(self, result: np.ndarray, axis: int) -> np.ndarray:
        """Return a result with its batch dimensions, indices counted within each problem."""
        if not self.batch:
            return result
        kept = self.rows[1 - axis]
        result = result.reshape(self.size, kept, *result.shape[1:])
        if result.dtype.kind == "i":
            offsets = namespace_of(result).arange(self.size).reshape(-1, *(1,) * (result.ndim - 1)) * self.rows[axis]
            result = np.where(result < 0, result, result - offsets)
        return result.reshape(*self.batch, *result.shape[1:])


@lru_cache(maxsize=64)
def _block_diagonal(size: int, m: int, n: int) -> Ranges:
    """Return the ranges of `size` problems of m rows and n columns each."""
    rows, columns = (np.stack([np.arange(size), np.arange(1, size + 1)], axis=1) * k for k in (m, n))
    slices = np.arange(1, size + 1)
    return Ranges((rows, slices, columns, columns, slices, rows), size * m, size * n)


#: The options of a call of Genred; others are those of its construction.
_CALL_OPTIONS = {"backend", "device_id", "ranges", "out", "progress"}


def split_options(options: dict[str, Any]) -> tuple[tuple[tuple[str, Any], ...], dict[str, Any]]:
    """Return the options of Genred's construction, and those of its call."""
    construction = tuple(sorted((name, value) for name, value in options.items() if name not in _CALL_OPTIONS))
    unknown = [name for name, _ in construction if name not in _CONSTRUCTION_OPTIONS]
    if unknown:
        known = sorted(_CALL_OPTIONS | _CONSTRUCTION_OPTIONS)
        raise TypeError(f"unknown option {unknown[0]!r} of a reduction: expected one of {', '.join(known)}")
    return construction, {name: value for name, value in options.items() if name in _CALL_OPTIONS}


_CONSTRUCTION_OPTIONS = {
    "dtype_acc", "use_double_acc", "sum_scheme", "enable_chunks", "rec_multVar_highdim", "use_fast_math",
}  # fmt: skip


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
    symbols = _of_both_sides(symbols)
    call = Call(symbols, rows, options.get("ranges"))
    construction: tuple = ()
    if options and not options.keys() <= _CALL_OPTIONS:
        construction, options = split_options(options)
    variables = tuple([s.variable for s in symbols])
    r = reducer(expression, weight, variables, call.per_row, op, axis, opt_arg, construction)
    if call.ranges is not None:
        if call.batch and options.get("out") is not None:
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
    weight: Expression | None,
    op: str,
    axis: int,
    opt_arg: int | None,
    wrt: Symbol,
    grad_output: Any,
    options: dict[str, Any],
) -> np.ndarray:
    """Return the gradient of a reduction by the array of a symbol, in its shape."""
    symbols = _of_both_sides(symbols)
    call = Call(symbols, rows, options.get("ranges"))
    if call.batch and wrt.variable.category == IJ:
        raise ValueError("the gradient by values of pairs is for tensors without batch dimensions")
    r = reducer(expression, weight, tuple(s.variable for s in symbols), call.per_row, op, axis, opt_arg)
    place = [s is wrt for s in symbols].index(True)
    which = r.function.variables[place]
    if call.batch and grad_output is not None:
        e = as_array(grad_output)
        inner = e.shape[len(call.batch) :]
        if e.shape[: len(call.batch)] != call.batch or inner[:1] != (rows[1 - axis],):
            raise ValueError(f"grad_output must begin with the shape {(*call.batch, rows[1 - axis])}: found {e.shape}")
        grad_output = e.reshape(-1, *inner[1:])
    found = r.function.gradient(*call.arrays, wrt=which, grad_output=grad_output, **{**options, "ranges": call.ranges})
    if not call.batch or which.category == P:
        return found
    found = found.reshape(*call.batch, -1, found.shape[-1])
    if call.per_row[place]:
        found = found.sum(axis=-2)
    return _sum_to(found, wrt.array.shape)


def _sum_to(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return an array summed over the axes along which an array of that shape broadcasts."""
    array = array.sum(axis=tuple(range(array.ndim - len(shape))))
    repeated = tuple(k for k, (a, b) in enumerate(zip(array.shape, shape, strict=True)) if a != b)
    return array.sum(axis=repeated, keepdims=True)


def symbolic(
    symbols: list[Symbol],
    expression: Expression,
    weight: Expression | None,
    op: str,
    axis: int,
    opt_arg: int | None,
    options: dict[str, Any],
) -> Callable[..., Any]:
    """Return a function of the arrays of the variables without any, in the order of their positions."""
    given = sorted((s for s in symbols if isinstance(s, Given)), key=lambda s: s.position)
    if [s.position for s in given] != list(range(len(given))):
        raise ValueError(f"positions of variables must be 0, 1, 2, ...: found {[s.position for s in given]}")
    held = [s for s in symbols if not isinstance(s, Given)]
    ordered = [*given, *held]
    construction, options = split_options(options)
    per_row = (False,) * len(ordered)
    r = reducer(expression, weight, tuple(s.variable for s in ordered), per_row, op, axis, opt_arg, construction)

    def function(*args: Any, **more: Any) -> Any:
        args = tuple(interleave(a) if holds_complex(a) else a for a in args)
        xp = namespace_of(*args, *(s.array for s in held))
        return r.function(*args, *(s.array_in(xp) for s in held), **{**options, **more})

    function.genred = r.function  # type: ignore[attr-defined]
    return function
