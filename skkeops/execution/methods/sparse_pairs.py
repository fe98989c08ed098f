"""Reductions with SciPy's sparse arrays of pairs, at the cost of their stored entries.

Where an array of pairs stores nothing, its value is 0, and what is reduced is the formula with 0 in its place. If
that is one number for a whole row of the output, as the 0 of ``K * S`` or the -inf of ``where(S, K, -inf)``, the formula
is evaluated at the stored entries alone, and the rest of the row counts as that number, as often as it occurs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from skkeops.arrays.conversion import dtype_of, is_sparse
from skkeops.execution.blocks import Progress
from skkeops.execution.program import Backend
from skkeops.formula.derivative import substitute
from skkeops.formula.expression import IJ, Constant, Expression, P, Variable
from skkeops.pairs.values import entry_keys, gather
from skkeops.plan.homes import Home, home_of
from skkeops.plan.problem import Problem
from skkeops.reductions.base import State
from skkeops.reductions.shift_exp import relative

from .base import Method

__all__ = ["SparsePairs", "evaluate_entries"]

#: About how many numbers the operands of the entries that are evaluated together hold.
_NUMBERS = 1 << 20


class Pattern(NamedTuple):
    """The pairs that are stored, row of the output by row: entries ``starts[r]`` to ``starts[r + 1]`` are of row r."""

    starts: np.ndarray
    columns: np.ndarray


class SparsePairs(Method):
    """A problem with sparse arrays of pairs, at the cost of their stored entries."""

    name = "sparse pairs"
    takes = "an array of pairs is sparse"
    share = None

    def __init__(self, problem: Problem, backend: Backend, options: Any = None):
        super().__init__(problem, backend, options)
        self._elsewhere: dict[tuple[Variable, ...], tuple[Expression, ...]] = {}

    @classmethod
    def declines(cls, problem: Problem, backend: Backend) -> str | None:
        if all(v.category != IJ for v in problem.variables):
            return "no argument has a value for each pair"
        return None if backend.gathers_sparse else "the backend has a way of its own with sparse arrays"

    def declines_call(self, arrays: tuple[Any, ...], pairs: Any) -> str | None:
        return None if any(map(is_sparse, arrays)) else "no array is sparse"

    def state(self, arrays: tuple[Any, ...], pairs: Any = None, progress: Progress | None = None) -> State:
        if pairs is not None:
            raise ValueError("ranges and sparse arrays of pairs exclude each other: found both")
        problem, variables = self.problem, self.problem.variables
        n_out, n_reduced = self.sizes(arrays)
        dtype = dtype_of(arrays)
        stored = tuple(v for v, a in zip(variables, arrays, strict=True) if is_sparse(a))
        elsewhere = self._find_elsewhere(stored)
        pattern, aligned = _align([a for a in arrays if is_sparse(a)], problem.axis)
        entries = iter(aligned)
        arrays = tuple(next(entries) if is_sparse(a) else a for a in arrays)

        outer = _outer(variables, arrays, 1 - problem.axis)
        rest = self._evaluate_elsewhere(elsewhere, outer, n_out)
        dims = tuple(v.dim for v in problem.values)
        state = problem.reduction.identity(n_out, dims)
        fold = _FOLDS[problem.reduction.fold]
        width = sum(v.dim for v in variables) + sum(dims)
        for first, last in _row_blocks(pattern.starts, max(1, _NUMBERS // width)):
            begin, end = pattern.starts[first], pattern.starts[last]
            columns = pattern.columns[begin:end]
            starts = pattern.starts[first : last + 1] - begin
            rows = np.repeat(np.arange(first, last), np.diff(starts))
            where = (rows, columns) if problem.axis == 1 else (columns, rows)
            given = _gather_aligned(variables, arrays, stored, where, slice(begin, end), dtype)
            values = self.backend.evaluate(problem.values, variables, given, len(columns))
            some = slice(first, last)
            with np.errstate(all="ignore"):
                found = fold(
                    problem.reduction,
                    [v.astype(np.float64, copy=False) for v in values],
                    [r[some].astype(np.float64, copy=False) for r in rest],
                    Pattern(starts, columns),
                    n_reduced,
                )
            for total, part in zip(state, found, strict=True):
                total[some] = part
            if progress is not None:
                progress(last * n_reduced, n_out * n_reduced)
        return state

    def _find_elsewhere(self, stored: tuple[Variable, ...]) -> tuple[Expression, ...]:
        """Return the values where nothing is stored."""
        if stored not in self._elsewhere:
            zeros: dict[Expression, Expression] = {v: Constant(0, v.dim) for v in stored}
            self._elsewhere[stored] = tuple(substitute(value, zeros) for value in self.problem.values)
        return self._elsewhere[stored]

    def _evaluate_elsewhere(self, elsewhere: tuple[Expression, ...], outer: tuple[tuple, tuple], n_out: int) -> list:
        """Return the values where nothing is stored, of every row of the output."""
        first, *weights = elsewhere
        output, per_row = 1 - self.axis, (Home.CONSTANT, Home.OUTPUT)
        if home_of(first, output) in per_row:
            rest = self.backend.evaluate((first,), *outer, n_out)
            # exp(-inf) is 0, whatever its weight
            masked = self.problem.reduction.fold == "shift_exp" and bool((rest[0] == -np.inf).all())
            if masked or all(home_of(w, output) in per_row for w in weights):
                known = [Constant(0, w.dim) if masked else w for w in weights]
                return rest + (self.backend.evaluate(known, *outer, n_out) if known else [])
        raise ValueError(
            "a sparse array of pairs needs a formula that is one number where it stores nothing, as K * S is 0 and "
            "where(S, K, 0) is 0: found one that has to be computed for every pair; reduce the parts one by one, or give the "
            "array as a dense one (.toarray())"
        )


def evaluate_entries(
    expression: Expression,
    variables: tuple[Variable, ...],
    arrays: tuple[Any, ...],
    like: Any,
    backend: Backend,
) -> Any:
    """Return an expression of one component at the entries of a csr_array, as a csr_array."""
    dtype = dtype_of(arrays)
    result = np.empty(len(like.indices), dtype=dtype)
    rows = np.repeat(np.arange(like.shape[0]), np.diff(like.indptr))
    step = max(1, _NUMBERS // sum(v.dim for v in variables))
    for first in range(0, len(result), step):
        some = slice(first, first + step)
        given = gather(variables, arrays, (rows[some], like.indices[some]), dtype)
        result[some] = backend.evaluate((expression,), variables, given, len(rows[some]))[0][:, 0]
    return type(like)((result, like.indices.copy(), like.indptr.copy()), shape=like.shape)


def _outer(variables: tuple[Variable, ...], arrays: tuple[Any, ...], category: int) -> tuple[tuple, tuple]:
    """Return the variables that have a value per row of the output, and parameters."""
    kept = [(v, a) for v, a in zip(variables, arrays, strict=True) if v.category in (category, P)]
    return tuple(v for v, _ in kept), tuple(a for _, a in kept)


def _align(stored: list[Any], axis: int) -> tuple[Pattern, list[np.ndarray]]:
    """Return the pairs that any of the arrays stores, by rows of the output, and the values of each array there."""
    oriented = stored if axis == 1 else [a.T.tocsr() for a in stored]
    for a in oriented:
        a.sort_indices()
    first = oriented[0]
    if len(oriented) == 1:
        return Pattern(first.indptr.astype(np.int64), first.indices), [first.data]
    keys = [entry_keys(a) for a in oriented]
    union = np.unique(np.concatenate(keys))
    rows, columns = np.divmod(union, first.shape[1])
    aligned = []
    for a, own in zip(oriented, keys, strict=True):
        values = np.zeros(len(union), dtype=a.dtype)
        values[np.searchsorted(union, own)] = a.data
        aligned.append(values)
    return Pattern(np.searchsorted(rows, np.arange(first.shape[0] + 1)), columns), aligned


def _gather_aligned(
    variables: tuple[Variable, ...],
    arrays: tuple[np.ndarray, ...],
    stored: tuple[Variable, ...],
    where: tuple[np.ndarray, np.ndarray],
    entries: slice,
    dtype: np.dtype,
) -> tuple[np.ndarray, ...]:
    """Return the values of variables at entries of the pattern: those of sparse arrays are there already."""
    others = [(v, a) for v, a in zip(variables, arrays, strict=True) if v not in stored]
    found = iter(gather([v for v, _ in others], [a for _, a in others], where, dtype))
    return tuple(
        a[entries].astype(dtype, copy=False)[:, None] if v in stored else next(found)
        for v, a in zip(variables, arrays, strict=True)
    )


def _row_blocks(starts: np.ndarray, entries: int):
    """Yield ranges of rows that hold about so many entries, at least one row."""
    first, n = 0, len(starts) - 1
    while first < n:
        last = int(np.searchsorted(starts, starts[first] + entries, side="right")) - 1
        last = min(n, max(first + 1, last))
        yield first, last
        first = last


# One function for each fold: from the values at the entries of some rows, and those of the rest of each row, to the state


def _per_row(ufunc: Any, values: np.ndarray, starts: np.ndarray, empty: Any) -> np.ndarray:
    """Return a ufunc's reduction of every row's entries, `empty` for a row without any."""
    result = np.full((len(starts) - 1, *values.shape[1:]), empty, dtype=values.dtype)
    filled = starts[1:] > starts[:-1]
    if filled.any():
        result[filled] = ufunc.reduceat(values, starts[:-1][filled], axis=0)
    return result


def _count_rest(pattern: Pattern, n_reduced: int) -> np.ndarray:
    return (n_reduced - np.diff(pattern.starts))[:, None]


def _sum(reduction, values, rest, pattern, n_reduced) -> State:
    count = _count_rest(pattern, n_reduced)
    total = _per_row(np.add, values[0], pattern.starts, 0.0)
    return (np.where(count > 0, total + count * rest[0], total),)


def _shift_exp(reduction, values, rest, pattern, n_reduced) -> State:
    exponent = values[0]
    m = _per_row(np.fmax, exponent, pattern.starts, -np.inf)
    weights = relative(exponent, np.repeat(m, np.diff(pattern.starts), axis=0))
    columns = [weights] if reduction.unit_column else []
    columns += [weights * v for v in values[1:]]
    state = m, _per_row(np.add, np.concatenate(columns, axis=1), pattern.starts, 0.0)
    count = _count_rest(pattern, n_reduced)
    other = np.where(count > 0, rest[0], -np.inf)
    unit = relative(other, other)
    columns = [unit * count] if reduction.unit_column else []
    columns += [np.where(unit == 0, 0.0, unit * count * v) for v in rest[1:]]
    return reduction.combine(state, (other, np.concatenate(columns, axis=1)))


def _extremum(reduction, values, rest, pattern, n_reduced) -> State:
    worst = -np.inf if reduction.largest else np.inf
    block = np.where(np.isnan(values[0]), worst, values[0])
    value = _per_row(np.maximum if reduction.largest else np.minimum, block, pattern.starts, worst)
    winners = block == np.repeat(value, np.diff(pattern.starts), axis=0)
    index = _per_row(np.minimum, np.where(winners, pattern.columns[:, None], n_reduced), pattern.starts, n_reduced)
    other = np.where((_count_rest(pattern, n_reduced) > 0) & ~np.isnan(rest[0]), rest[0], worst)
    first = _missing_columns(pattern, np.zeros(len(value), dtype=np.int64))[:, None]
    better = other > value if reduction.largest else other < value
    better |= (other == value) & (first < index)
    value, index = np.where(better, other, value), np.where(better, first, index)
    return value, np.where(value == worst, -1, index).astype(np.int64)


def _kmin(reduction, values, rest, pattern, n_reduced) -> State:
    k, n_rows, dim = reduction.k, len(pattern.starts) - 1, values[0].shape[1]
    best, index = np.full((n_rows, k, dim), np.inf), np.full((n_rows, k, dim), -1, dtype=np.int64)
    # the first k columns that are not stored stand for the others, which have the same value
    counts = np.minimum(_count_rest(pattern, n_reduced)[:, 0], k)
    row = np.repeat(np.arange(n_rows), counts)
    order = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    columns = np.concatenate([pattern.columns, _missing_columns(pattern, order, row)])
    rows = np.concatenate([np.repeat(np.arange(n_rows), np.diff(pattern.starts)), row])
    for c in range(dim):
        candidates = np.concatenate([values[0][:, c], rest[0][row, c]])
        kept = candidates < np.inf  # neither NaN
        v, r, j = candidates[kept], rows[kept], columns[kept]
        sorted_ = np.lexsort((j, v, r))
        v, r, j = v[sorted_], r[sorted_], j[sorted_]
        place = np.arange(len(r)) - np.searchsorted(r, r)
        few = place < k
        best[r[few], place[few], c] = v[few]
        index[r[few], place[few], c] = j[few]
    return best, index


def _missing_columns(pattern: Pattern, order: np.ndarray, row: np.ndarray | None = None) -> np.ndarray:
    """Return the column that is number `order` among those that a row does not store."""
    n_rows = len(pattern.starts) - 1
    row = np.arange(n_rows) if row is None else row
    counts = np.diff(pattern.starts)
    owner = np.repeat(np.arange(n_rows), counts)
    before = pattern.columns - (np.arange(len(owner)) - np.repeat(pattern.starts[:-1], counts))  # that are missing
    size = np.int64(max(int(before.max(initial=0)), int(order.max(initial=0))) + 1)
    passed = np.searchsorted(owner * size + before, row * size + order, side="right") - pattern.starts[:-1][row]
    return order + passed


_FOLDS = {"sum": _sum, "shift_exp": _shift_exp, "extremum": _extremum, "kmin": _kmin}
