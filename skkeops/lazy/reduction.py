"""Reductions of lazy tensors: from an expression of symbols to a call of Genred."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from skkeops.arrays.conversion import is_sparse
from skkeops.arrays.devices import computing, namespace_of
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import IJ, Expression, I, J, P, Variable
from skkeops.genred import Genred, shared
from skkeops.pairs.values import as_dense

from .complex_numbers import holds_complex, interleave
from .leaves import Given
from .symbols import Number, Symbol

__all__ = ["gradient", "reduce", "symbolic"]


@lru_cache(maxsize=1024)
def reducer(
    expression: Expression,
    weight: Expression | None,
    variables: tuple[Variable, ...],
    op: str,
    axis: int,
    opt_arg: int | None,
    options: tuple[tuple[str, Any], ...] = (),
) -> Genred:
    """Return a reduction of an expression of symbols' variables, as a function of arrays in their order.

    Parameters
    ----------
    expression, weight : Expression
        The formula, and the weight of reductions that have one.
    variables : tuple of Variable
        Those of the symbols.
    op, axis, opt_arg
        As for `Genred`.
    options : tuple of (str, object)
        Further options of `Genred`.
    """
    placed = {v: Variable(k, v.dim, v.category) for k, v in enumerate(variables)}
    f = substitute(expression, placed)
    g = None if weight is None else substitute(weight, placed)
    return shared(Genred, f, tuple(placed.values()), op, axis=axis, opt_arg=opt_arg, formula2=g, **dict(options))


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


def _arguments(symbols: Sequence[Symbol]) -> list[Any]:
    """Return the arrays of symbols as the arguments of a reduction.

    Where only parameters have batch dimensions, points and values of pairs get some of length 1, as `Genred` expects it.
    """
    arrays = [s.array for s in symbols]
    if Number in map(type, symbols):
        xp = namespace_of(*arrays)
        with computing(s.array for s in symbols if not isinstance(s, Number)):
            arrays = [s.array_in(xp) for s in symbols]
    most = max([len(s.batch) for s in symbols], default=0)
    if most:
        return [
            a if s.variable.category == P or s.batch or is_sparse(a) else as_dense(a)[(None,) * most]
            for a, s in zip(arrays, symbols, strict=True)
        ]
    return arrays


#: The options of a call of Genred; others are those of its construction.
_CALL_OPTIONS = {"backend", "device_id", "ranges", "out", "progress", "rtol", "atol"}


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
    expression: Expression,
    weight: Expression | None,
    op: str,
    axis: int,
    opt_arg: int | None,
    options: dict[str, Any],
) -> Any:
    """Return a reduction of an expression of symbols that have arrays."""
    symbols = _of_both_sides(symbols)
    construction: tuple = ()
    if options and not options.keys() <= _CALL_OPTIONS:
        construction, options = split_options(options)
    variables = tuple([s.variable for s in symbols])
    r = reducer(expression, weight, variables, op, axis, opt_arg, construction)
    return r(*_arguments(symbols), **options)


def gradient(
    symbols: Sequence[Symbol],
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
    r = reducer(expression, weight, tuple(s.variable for s in symbols), op, axis, opt_arg)
    which = r.variables[[s is wrt for s in symbols].index(True)]
    found = r.gradient(*_arguments(symbols), wrt=which, grad_output=grad_output, **options)
    return found if is_sparse(found) else found.reshape(wrt.array.shape)


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
    r = reducer(expression, weight, tuple(s.variable for s in ordered), op, axis, opt_arg, construction)

    def function(*args: Any, **more: Any) -> Any:
        args = tuple(interleave(a) if holds_complex(a) else a for a in args)
        xp = namespace_of(*args, *(s.array for s in held))
        return r(*args, *(s.array_in(xp) for s in held), **{**options, **more})

    function.genred = r  # type: ignore[attr-defined]
    return function
