"""Programs for problems: built on first use, for each dtype and lane order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from skkeops.arrays.conversion import is_sparse
from skkeops.formula.expression import IJ, Constant, Expression, Variable
from skkeops.pairs.values import Selected, as_dense, sizes
from skkeops.plan.plan import Plan, make_plan
from skkeops.plan.problem import Problem

from . import _engine
from .lowering import SHORT_AXIS, lower, lower_map, lower_pairs
from .sparse import SparseProgram, evaluate_sparse, has_sparse
from .threads import n_threads

__all__ = ["CpuProgram", "engine_info", "evaluate", "evaluate_at", "evaluate_pairs", "prepare"]

_FLOAT64 = np.dtype(np.float64)


class CpuProgram:
    """A problem, ready to run on arrays of either dtype.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.plan: Plan = make_plan(problem)
        self._programs: list[_engine.Program | None] = [None] * 4
        categories = [v.category for v in problem.variables]
        self._output = categories.index(self.plan.output) if self.plan.output in categories else -1
        self._reduced = categories.index(self.plan.reduced) if self.plan.reduced in categories else -1
        self._factor = self.plan.terms[0].factor if problem.reduction.fold == "sum" else None
        self._has_pairs = IJ in categories
        self._stored: SparseProgram | None = None

    def program(self, order: int, is_double: bool) -> _engine.Program:
        """The engine's program for one lane order and dtype."""
        key = 2 * order + is_double
        program = self._programs[key]
        if program is None:
            program = self._programs[key] = lower(self.plan, order, is_double)
        return program

    def run(
        self,
        arrays: tuple[np.ndarray, ...],
        progress: Callable[[int, int], None] | None = None,
        ranges: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    ) -> Any:
        """The state of the reduction, one row per output index.

        Parameters
        ----------
        arrays : tuple of ndarray
            Checked arrays of one native dtype, float32 or float64, in the order of the problem's variables.
        progress : callable, optional
            Called as ``progress(done, total)`` with numbers of pairs.
        ranges : tuple of ndarray, optional
            The blocks of pairs to visit, from `skkeops.pairs.ranges.Ranges.of_axis`. Default: all pairs.
        """
        n_out = len(arrays[self._output]) if self._output >= 0 else 1
        n_reduced = len(arrays[self._reduced]) if self._reduced >= 0 else 1
        is_double = arrays[0].dtype == _FLOAT64 if arrays else True
        if self._has_pairs:
            if has_sparse(arrays):
                if self._stored is None:
                    self._stored = SparseProgram(self.problem, evaluate)
                return self._stored.run(arrays, progress, ranges)
            n_out, n_reduced = sizes(self.problem.variables, arrays)[:: 1 if self.problem.axis else -1]
            is_double = _dtype_of(arrays) == _FLOAT64
        order = n_reduced <= SHORT_AXIS and ranges is None
        program = self._programs[2 * order + is_double]
        if program is None:
            program = self.program(int(order), bool(is_double))
        given = tuple(map(_for_engine, arrays)) if self._has_pairs else arrays
        state = program.run(given, n_out, n_reduced, n_threads(), progress, ranges)
        if self._factor is not None:
            state = (self._times(self._factor, state[0], arrays, n_out),)
        return state

    def _times(self, factor: Expression, s: np.ndarray, arrays: tuple[np.ndarray, ...], n_out: int) -> np.ndarray:
        """What left the sum by linearity comes back, row by row."""
        with np.errstate(invalid="ignore", over="ignore"):
            if isinstance(factor, Constant):
                s *= float(factor)
                return s
            wide = max(factor.dim, s.shape[1])
            kept = [(v, a) for v, a in zip(self.problem.variables, arrays, strict=True) if v.category != IJ]
            scale = evaluate((factor,), tuple(v for v, _ in kept), tuple(a for _, a in kept), n_out)[0]
            if wide == s.shape[1]:
                s *= scale
                return s
            return s * scale


def prepare(problem: Problem) -> CpuProgram:
    """The program of a problem."""
    return CpuProgram(problem)


@lru_cache(maxsize=256)
def _map_program(expressions: tuple[Expression, ...], variables: tuple[Variable, ...], is_double: bool):
    return lower_map(expressions, variables, is_double)


def evaluate(
    expressions: Sequence[Expression],
    variables: tuple[Variable, ...],
    arrays: tuple[np.ndarray, ...],
    n: int,
) -> list[np.ndarray]:
    """The values of expressions point by point.

    Parameters
    ----------
    expressions : sequence of Expression
    variables : tuple of Variable
        In the order of the arrays.
    arrays : tuple of ndarray
        ``(n, dim)`` for the variables of category 0 and 1, ``(dim,)`` for parameters.
    n : int
        The number of points.

    Returns
    -------
    list of ndarray of shape (n, dim)
        In the dtype of the arrays.
    """
    expressions = tuple(expressions)
    dtype = arrays[0].dtype if arrays else _FLOAT64
    program = _map_program(expressions, tuple(variables), dtype == _FLOAT64)
    (values,) = program.run(tuple(arrays), n, 1, n_threads())
    ends = np.cumsum([e.dim for e in expressions])
    return [values[:, end - e.dim : end].astype(dtype) for e, end in zip(expressions, ends, strict=True)]


@lru_cache(maxsize=256)
def _pairs_program(expression: Expression, variables: tuple[Variable, ...], is_double: bool):
    return lower_pairs(expression, variables, is_double)


def evaluate_pairs(
    expression: Expression,
    variables: tuple[Variable, ...],
    arrays: tuple[Any, ...],
    m: int,
    n: int,
    ranges: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """The values of an expression for all pairs.

    Parameters
    ----------
    expression : Expression
    variables : tuple of Variable
        In the order of the arrays.
    arrays : tuple of ndarray
        As for `CpuProgram.run`.
    m, n : int
        The numbers of rows and columns.
    ranges : tuple of ndarray, optional
        The blocks of pairs to visit, of the axis 1; 0 elsewhere.

    Returns
    -------
    ndarray of shape (m, n, dim)
        In the dtype of the arrays.
    """
    arrays = tuple(as_dense(a) if is_sparse(a) else a for a in arrays)
    program = _pairs_program(expression, tuple(variables), _dtype_of(arrays) == _FLOAT64)
    (values,) = program.run(tuple(map(_for_engine, arrays)), m, n, n_threads(), None, ranges)
    return values


def evaluate_at(expression: Expression, variables: tuple[Variable, ...], arrays: tuple[Any, ...], like: Any) -> Any:
    """The values of an expression at the entries of a sparse array of pairs, as another one."""
    return evaluate_sparse(expression, variables, arrays, like, evaluate)


def _for_engine(array: Any) -> Any:
    return (array.array, array.rows, array.columns) if isinstance(array, Selected) else array


def _dtype_of(arrays: Sequence[Any]) -> np.dtype:
    """The dtype of the numbers among arrays, which may be booleans too."""
    return next((a.dtype for a in arrays if a.dtype.kind == "f"), _FLOAT64)


def engine_info() -> dict[str, Any]:
    """What the compiled engine is and uses: SIMD level, levels available, OpenMP, threads."""
    return {
        "simd_level": _engine.selected_level(),
        "simd_levels_available": _engine.available_levels(),
        "openmp": _engine.openmp_enabled(),
        "n_threads": n_threads(),
    }
