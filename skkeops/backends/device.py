"""Arrays of CuPy: programs of `skkeops.backends.cuda` on the device of the arrays, whichever is the current one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skkeops.arrays.devices import computing
from skkeops.arrays.errors import explain
from skkeops.formula.expression import Expression, Variable
from skkeops.plan.problem import Problem

from . import cuda
from .gpu import check_usable

__all__ = ["DeviceProgram", "evaluate", "evaluate_pairs", "prepare"]


class DeviceProgram:
    """A program whose arrays decide where it runs.

    Parameters
    ----------
    problem : Problem
    options : cuda.Options, optional
        Choices of the code generator.
    """

    def __init__(self, problem: Problem, options: Any = None):
        self._program = cuda.prepare(problem, options)
        self._runtime = check_usable().cuda.runtime

    def results(
        self, arrays: tuple, dtype: Any, progress: Callable[[int, int], Any] | None = None, ranges: Any = None
    ) -> Any:
        """Return the result of the reduction, as `Reduction.finalize` would of the state."""
        if progress is None and ranges is None and arrays and arrays[0].data.device_id == self._runtime.getDevice():
            # What the context below would do, in less time.
            try:
                return self._program.results(arrays, dtype)
            except Exception as error:
                told = explain(error)
                if told is None:
                    raise
                raise told from error
        with computing(arrays):
            return self._program.results(arrays, dtype, progress, ranges)

    def run(self, arrays: tuple, progress: Callable[[int, int], Any] | None = None, ranges: Any = None) -> Any:
        """Return the state of every row: see `skkeops.backends.reference.Program.run`."""
        with computing(arrays):
            return self._program.run(arrays, progress, ranges)


def prepare(problem: Problem, options: Any = None) -> DeviceProgram:
    """Return the program of a problem."""
    return DeviceProgram(problem, options)


def evaluate(expressions: Sequence[Expression], variables: tuple[Variable, ...], arrays: tuple, n: int) -> list:
    """Return the values of expressions point by point: see `skkeops.backends.cpu.evaluate`."""
    with computing(arrays):
        return cuda.evaluate(expressions, variables, arrays, n)


def evaluate_pairs(
    expression: Expression,
    variables: Sequence[Variable],
    arrays: Sequence[Any],
    m: int,
    n: int,
    ranges: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
) -> Any:
    """Return the values of an expression for all pairs, (m, n, dim); 0 outside of the ranges, if there are any."""
    with computing(arrays):
        return cuda.evaluate_pairs(expression, variables, arrays, m, n, ranges)
