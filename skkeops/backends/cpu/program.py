"""Programs for problems: built on first use, for each dtype and lane order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from skkeops.arrays.conversion import dtype_of, is_sparse
from skkeops.execution.program import Program
from skkeops.formula.expression import IJ, Constant, Expression, Variable
from skkeops.pairs.values import Selected, as_dense
from skkeops.plan.plan import Plan, make_plan
from skkeops.plan.problem import Problem

from . import _engine
from .lowering import SHORT_AXIS, lower, lower_map, lower_pairs
from .threads import n_threads, threads_for

__all__ = [
    "CpuProgram", "engine_info", "evaluate", "evaluate_pairs", "gathers_sparse", "on_host", "prepare", "prunes", "sums_together",
    "truncates",
]  # fmt: skip

#: The engine reads dense arrays of pairs, and their selected rows and columns.
gathers_sparse = True
sums_together = True
prunes = True
truncates = True
on_host = None

_FLOAT64 = np.dtype(np.float64)


class CpuProgram(Program):
    """A problem, ready to run on arrays of either dtype.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.plan: Plan = make_plan(problem)
        self._programs: list[_engine.Program | None] = [None] * 4
        self._factors = [term.factor for term in self.plan.terms] if self.reduction.fold == "sum" else []
        self._columns = _columns(self.plan)
        # whether what the engine returns is the state already: it is neither to be divided nor to be multiplied
        self._is_complete = len(self._factors) < 2 and all(factor is None for factor in self._factors)

    def program(self, order: int, is_double: bool) -> _engine.Program:
        """The engine's program for one lane order and dtype."""
        key = 2 * order + is_double
        program = self._programs[key]
        if program is None:
            program = self._programs[key] = lower(self.plan, order, is_double)
        return program

    def state(self, arrays, pairs=None, progress=None):
        return self._state(arrays, pairs, progress, None)

    def state_below(self, arrays, pairs, worst):
        return self._state(arrays, pairs, None, worst)

    def _state(self, arrays, pairs, progress, worst):
        n_out, n_reduced = self.sizes(arrays)
        order = n_reduced <= SHORT_AXIS and pairs is None
        is_double = (arrays[self._typed].dtype if self._typed >= 0 else dtype_of(arrays)).itemsize == 8
        program = self._programs[2 * order + is_double] or self.program(int(order), is_double)
        given = tuple(map(_for_engine, arrays)) if self._has_pairs else arrays
        if self.plan.has_both_axes:
            return self._state_of_both(program, bool(order), given, n_out, n_reduced, progress, pairs)
        threads = threads_for(n_out * n_reduced)
        state = program.run(given, n_out, n_reduced, threads, progress, pairs, worst)
        if self._is_complete:
            return state
        sums = (np.ascontiguousarray(state[0][:, columns]) for columns in self._columns)
        return tuple(self._times(factor, s, arrays, n_out) for factor, s in zip(self._factors, sums, strict=True))

    def _state_of_both(self, program, turned, arrays, n_out, n_reduced, progress, pairs):
        """Return the states of outputs over both axes, from a program whose lanes run along the output's index where `turned`."""
        rows = (n_reduced, n_out) if turned else (n_out, n_reduced)
        threads = threads_for(n_out * n_reduced)
        sums = program.run(arrays, *rows, threads, progress, pairs)
        over = {self.axis: sums[turned], 1 - self.axis: sums[not turned]}
        found = zip(self._factors, self._columns, self.problem.outputs, strict=True)
        return tuple(
            self._times(factor, over[o.axis][:, columns], arrays, n_out if o.axis == self.axis else n_reduced)
            for factor, columns, o in found
        )

    def _times(
        self, factor: Expression | None, s: np.ndarray, arrays: tuple[np.ndarray, ...], n_out: int
    ) -> np.ndarray:
        """What left the sum by linearity comes back, row by row."""
        if factor is None:
            return s
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


def _columns(plan: Plan) -> list[slice]:
    """Where each term has its columns among those of the outputs over its axis."""
    found, ends = [], [0, 0]
    for term, output in zip(plan.terms, plan.problem.outputs, strict=False):
        found.append(slice(ends[output.axis], ends[output.axis] + term.dim))
        ends[output.axis] += term.dim
    return found


def prepare(problem: Problem, options: Any = None) -> CpuProgram:
    """The program of a problem. No option changes it: sums are always accumulated in float64."""
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
    """Evaluate expressions point by point: see `skkeops.execution.program.Backend`."""
    expressions = tuple(expressions)
    dtype = dtype_of(arrays)
    program = _map_program(expressions, tuple(variables), dtype == _FLOAT64)
    (values,) = program.run(tuple(arrays), n, 1, threads_for(n))
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
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> np.ndarray:
    """Evaluate an expression for all pairs: see `skkeops.execution.program.Backend`."""
    arrays = tuple(as_dense(a) if is_sparse(a) else a for a in arrays)
    program = _pairs_program(expression, tuple(variables), dtype_of(arrays) == _FLOAT64)
    (values,) = program.run(tuple(map(_for_engine, arrays)), m, n, threads_for(m * n), None, pairs)
    return values


def _for_engine(array: Any) -> Any:
    return (array.array, array.rows, array.columns) if isinstance(array, Selected) else array


def engine_info() -> dict[str, Any]:
    """What the compiled engine is and uses: SIMD level, levels available, OpenMP, threads."""
    return {
        "simd_level": _engine.selected_level(),
        "simd_levels_available": _engine.available_levels(),
        "openmp": _engine.openmp_enabled(),
        "n_threads": n_threads(),
    }
