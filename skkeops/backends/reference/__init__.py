"""The reference backend: dense NumPy, slow and obvious, the specification of every other backend.

It stores all M x N values of the formula. Use it to check small problems.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skkeops.formula.expression import Expression, Variable
from skkeops.pairs.values import as_dense, sizes
from skkeops.plan.problem import Problem
from skkeops.reductions import Reduction

from . import dense

__all__ = ["Program", "evaluate", "evaluate_at", "evaluate_pairs", "prepare", "run"]

# Where the rows of an (n, dim) array go among the axes (M, N, dim); a parameter has none.
_LAYOUT = {0: (slice(None), None), 1: (None, slice(None)), 2: (None, None), 3: (slice(None), slice(None))}


class Program:
    """A problem ready to run.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem: Problem):
        self.problem = problem

    def run(
        self,
        arrays: tuple[np.ndarray, ...],
        progress: Callable[[int, int], Any] | None = None,
        ranges: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    ) -> tuple[np.ndarray, ...]:
        """Return the state of the reduction of the whole axis.

        Parameters
        ----------
        arrays : tuple of ndarray
            One array per variable of the problem, in order, all of one dtype: (M, dim) for category i, (N,
            dim) for category j, (dim,) for a parameter, (M, N, dim) for pairs.
        progress : callable, optional
            Called once, at the end, as ``progress(pairs, pairs)``.
        ranges : tuple of ndarray, optional
            The blocks of pairs to visit, from `skkeops.pairs.ranges.Ranges.of_axis`. Default: all pairs.
        """
        state = run(self.problem, arrays, ranges)
        if progress is not None:
            pairs = math.prod(sizes(self.problem.variables, arrays))
            progress(pairs, pairs)
        return state


def prepare(problem: Problem) -> Program:
    """Return a program for the problem, to be run on any arrays."""
    return Program(problem)


def run(
    problem: Problem,
    arrays: tuple[np.ndarray, ...],
    ranges: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, ...]:
    """Compute the values of all pairs, then reduce them. See `Program.run`."""
    reduction: Reduction = problem.reduction
    values = _all_pairs(problem.values, problem.variables, arrays, *sizes(problem.variables, arrays))
    if problem.axis == 0:
        values = [v.swapaxes(0, 1) for v in values]
    with np.errstate(all="ignore"):
        if ranges is not None:
            return _reduce_blocks(reduction, values, *ranges)
        return reduction.reduce(tuple(values))


def _all_pairs(
    expressions: Sequence[Expression], variables: Sequence[Variable], arrays: Sequence[Any], m: int, n: int
) -> list[np.ndarray]:
    """Return the values of expressions for all pairs: (m, n, dim)."""
    dtype = next((a.dtype for a in arrays if a.dtype.kind == "f"), np.dtype(np.float64))
    placed = {}
    for variable, array in zip(variables, arrays, strict=True):
        placed[variable.position] = as_dense(array).astype(dtype, copy=False)[_LAYOUT[variable.category]]
    values = dense.evaluate(expressions, placed, dtype)
    return [np.broadcast_to(v, (m, n, e.dim)) for v, e in zip(values, expressions, strict=True)]


def evaluate_pairs(
    expression: Expression,
    variables: Sequence[Variable],
    arrays: Sequence[Any],
    m: int,
    n: int,
    ranges: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Evaluate an expression for all pairs, (m, n, dim); 0 outside of the ranges, if there are any."""
    (values,) = _all_pairs((expression,), variables, arrays, m, n)
    if ranges is None:
        return values
    result, begin = np.zeros_like(values), 0
    for (first, last), end in zip(ranges[0], ranges[1], strict=True):
        for low, high in ranges[2][begin:end]:
            result[first:last, low:high] = values[first:last, low:high]
        begin = end
    return result


def evaluate_at(expression: Expression, variables: Sequence[Variable], arrays: Sequence[Any], like: Any) -> Any:
    """Evaluate an expression at the entries of a sparse array of pairs, as another one."""
    values = evaluate_pairs(expression, variables, arrays, *like.shape)[:, :, 0]
    rows = np.repeat(np.arange(like.shape[0]), np.diff(like.indptr))
    return type(like)((values[rows, like.indices], like.indices.copy(), like.indptr.copy()), shape=like.shape)


def _reduce_blocks(
    reduction: Reduction, values: list[np.ndarray], rows: np.ndarray, slices: np.ndarray, reduced: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Reduce some blocks of the values: for each range of rows, its columns."""
    state = reduction.identity(values[0].shape[0], tuple(v.shape[2] for v in values))
    begin = 0
    for (first, last), end in zip(rows, slices, strict=True):
        some = slice(first, last)
        for low, high in reduced[begin:end]:
            part = reduction.reduce(tuple(v[some, low:high] for v in values), int(low))
            block = reduction.combine(tuple(s[some] for s in state), part)
            for total, new in zip(state, block, strict=True):
                total[some] = new
        begin = end
    return state


def evaluate(
    expressions: Sequence[Expression], variables: Sequence[Variable], arrays: Sequence[np.ndarray], n: int
) -> list[np.ndarray]:
    """Evaluate expressions row by row: row k from row k of every array.

    Parameters
    ----------
    expressions : sequence of Expression
    variables : sequence of Variable
    arrays : sequence of ndarray
        One per variable: (n, dim), whatever its category, or (dim,) for one value shared by all rows.
    n : int
        Number of rows.

    Returns
    -------
    list of ndarray of shape (n, dim)
    """
    placed = {v.position: a for v, a in zip(variables, arrays, strict=True)}
    dtype = arrays[0].dtype if arrays else np.dtype(np.float64)
    values = dense.evaluate(expressions, placed, dtype)
    return [np.broadcast_to(value, (n, e.dim)) for value, e in zip(values, expressions, strict=True)]
