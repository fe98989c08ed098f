"""The reference backend: dense NumPy, slow and obvious, the specification of every other backend.

It stores all M x N values of the formula. Use it to check small problems.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from skkeops.arrays.conversion import dtype_of
from skkeops.execution.program import Program, in_turn
from skkeops.formula.expression import Expression, Variable
from skkeops.pairs.values import as_dense, sizes
from skkeops.plan.problem import Problem
from skkeops.reductions import Reduction
from skkeops.reductions.base import State

from . import dense

__all__ = ["ReferenceProgram", "evaluate", "evaluate_pairs", "prepare"]

# Where the rows of an (n, dim) array go among the axes (M, N, dim); a parameter has none.
_LAYOUT = {0: (slice(None), None), 1: (None, slice(None)), 2: (None, None), 3: (slice(None), slice(None))}

#: Sparse arrays become dense ones.
gathers_sparse = False
#: The values of all outputs are computed from the same arrays, which is what the specification has to say about it.
sums_together = True
prunes = False
truncates = False
on_host = None
at_once = in_turn


class ReferenceProgram(Program):
    """A problem ready to run: the values of all pairs are computed, then reduced."""

    def state(self, arrays, pairs=None, progress=None):
        m, n = sizes(self.problem.variables, arrays)
        state: State = ()
        for reduction, expressions, axis in self.problem.outputs:
            values = _all_pairs(expressions, self.problem.variables, arrays, m, n)
            if axis == 0:
                values = [v.swapaxes(0, 1) for v in values]
            with np.errstate(all="ignore"):
                if pairs is None:
                    state += reduction.reduce(tuple(values))
                else:  # whose rows are those of the first output
                    blocks = _rectangles(*pairs)
                    state += _reduce_blocks(reduction, values, blocks if axis == self.axis else (b[::-1] for b in blocks))
        if progress is not None:
            progress(m * n, m * n)
        return state


def prepare(problem: Problem, options: Any = None) -> ReferenceProgram:
    """Return a program for the problem, to be run on any arrays. No option changes it."""
    return ReferenceProgram(problem)


def _all_pairs(
    expressions: Sequence[Expression], variables: Sequence[Variable], arrays: Sequence[Any], m: int, n: int
) -> list[np.ndarray]:
    """Return the values of expressions for all pairs: (m, n, dim)."""
    dtype = dtype_of(arrays)
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
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Evaluate an expression for all pairs: see `skkeops.execution.program.Backend`."""
    (values,) = _all_pairs((expression,), variables, arrays, m, n)
    if pairs is None:
        return values
    result, begin = np.zeros_like(values), 0
    for (first, last), end in zip(pairs[0], pairs[1], strict=True):
        for low, high in pairs[2][begin:end]:
            result[first:last, low:high] = values[first:last, low:high]
        begin = end
    return result


def _reduce_blocks(
    reduction: Reduction, values: list[np.ndarray], blocks: Iterable[tuple[tuple[int, int], tuple[int, int]]]
) -> tuple[np.ndarray, ...]:
    """Reduce some blocks of the values: rows of the output, and columns."""
    state = reduction.identity(values[0].shape[0], tuple(v.shape[2] for v in values))
    for (first, last), (low, high) in blocks:
        some = slice(first, last)
        part = reduction.reduce(tuple(v[some, low:high] for v in values), int(low))
        block = reduction.combine(tuple(s[some] for s in state), part)
        for total, new in zip(state, block, strict=True):
            total[some] = new
    return state


def _rectangles(rows: np.ndarray, slices: np.ndarray, reduced: np.ndarray) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Yield the rows and the columns of each block of pairs."""
    begin = 0
    for some, end in zip(rows, slices, strict=True):
        for columns in reduced[begin:end]:
            yield tuple(some), tuple(columns)
        begin = end


def evaluate(
    expressions: Sequence[Expression], variables: Sequence[Variable], arrays: Sequence[np.ndarray], n: int
) -> list[np.ndarray]:
    """Evaluate expressions point by point: see `skkeops.execution.program.Backend`."""
    placed = {v.position: a for v, a in zip(variables, arrays, strict=True)}
    dtype = dtype_of(arrays)
    values = dense.evaluate(expressions, placed, dtype)
    return [np.broadcast_to(value, (n, e.dim)) for value, e in zip(values, expressions, strict=True)]
