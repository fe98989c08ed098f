"""Programs for problems: built on first use, for each dtype and lane order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from skkeops.formula.expression import Constant, Expression, Variable
from skkeops.plan.plan import Plan, make_plan
from skkeops.plan.problem import Problem

from . import _engine
from .lowering import SHORT_AXIS, lower, lower_map
from .threads import n_threads

__all__ = ["CpuProgram", "engine_info", "evaluate", "prepare"]

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
            The blocks of pairs to visit, from `skkeops.ranges.Ranges.of_axis`. Default: all pairs.
        """
        n_out = len(arrays[self._output]) if self._output >= 0 else 1
        n_reduced = len(arrays[self._reduced]) if self._reduced >= 0 else 1
        is_double = arrays[0].dtype == _FLOAT64 if arrays else True
        order = n_reduced <= SHORT_AXIS and ranges is None
        program = self._programs[2 * order + is_double]
        if program is None:
            program = self.program(int(order), bool(is_double))
        state = program.run(arrays, n_out, n_reduced, n_threads(), progress, ranges)
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
            scale = evaluate((factor,), self.problem.variables, arrays, n_out)[0]
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


def engine_info() -> dict[str, Any]:
    """What the compiled engine is and uses: SIMD level, levels available, OpenMP, threads."""
    return {
        "simd_level": _engine.selected_level(),
        "simd_levels_available": _engine.available_levels(),
        "openmp": _engine.openmp_enabled(),
        "n_threads": n_threads(),
    }
