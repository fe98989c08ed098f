"""Arrays of CuPy: programs of `skkeops.backends.cuda` on the device of the arrays, whichever is the current one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skkeops.device_errors import explain
from skkeops.devices import computing, namespace_of
from skkeops.formula.expression import IJ, Expression, Variable
from skkeops.plan.problem import Problem

from . import cuda
from .gpu import check_usable

__all__ = ["DeviceProgram", "evaluate", "evaluate_pairs", "prepare"]

#: How many numbers the operands of one block of pairs may hold.
PAIR_NUMBERS = 1 << 24


class DeviceProgram:
    """A program whose arrays decide where it runs.

    Parameters
    ----------
    problem : Problem
    options : cuda.Options, optional
        Choices of the code generator.
    """

    def __init__(self, problem: Problem, options: Any = None):
        _refuse_pairs(problem.variables)
        self._program = cuda.prepare(problem, options)
        self._runtime = check_usable().cuda.runtime

    def results(self, arrays: tuple, dtype: Any, progress: Callable[[int, int], Any] | None = None) -> Any:
        """Return the result of the reduction, as `Reduction.finalize` would of the state."""
        if progress is None and arrays and arrays[0].data.device_id == self._runtime.getDevice():
            # What the context below would do, in less time.
            try:
                return self._program.results(arrays, dtype)
            except Exception as error:
                told = explain(error)
                if told is None:
                    raise
                raise told from error
        with computing(arrays):
            return self._program.results(arrays, dtype) if progress is None else self._with_progress(arrays, dtype, progress)

    def run(self, arrays: tuple, progress: Callable[[int, int], Any] | None = None, ranges: Any = None) -> Any:
        """Return the state of every row: see `skkeops.backends.reference.Program.run`."""
        with computing(arrays):
            return self._program.run(arrays, progress, ranges)

    def _with_progress(self, arrays: tuple, dtype: Any, progress: Callable[[int, int], Any]) -> Any:
        reduction = self._program.problem.reduction
        return reduction.finalize(self._program.run(arrays, progress), dtype)


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
    """Return the values of an expression for all pairs, (m, n, dim); 0 outside of the ranges, if there are any.

    The operands of a block of rows are written out pair by pair, then evaluated point by point.
    """
    _refuse_pairs(variables)
    with computing(arrays):
        xp: Any = namespace_of(*arrays)
        values = xp.empty((m, n, expression.dim), dtype=arrays[0].dtype)
        width = expression.dim + sum(v.dim for v in variables)
        step = max(1, PAIR_NUMBERS // max(1, n * width))
        for start in range(0, m if n else 0, step):
            rows = min(step, m - start)
            operands = []
            for v, a in zip(variables, arrays, strict=True):
                if v.category < 2:
                    part = a[start : start + rows, None, :] if v.category == 0 else a[None]
                    a = xp.broadcast_to(part, (rows, n, v.dim)).reshape(rows * n, v.dim)
                operands.append(a)
            (found,) = cuda.evaluate((expression,), tuple(variables), tuple(operands), rows * n)
            values[start : start + rows] = found.reshape(rows, n, expression.dim)
        return values if ranges is None else _within(values, ranges)


def _refuse_pairs(variables: Sequence[Variable]) -> None:
    if any(v.category == IJ for v in variables):
        raise ValueError(
            "arrays with a value for each pair (Vij, masks, sparse arrays) are not read by the kernels of a GPU: compute with "
            "backend='CPU' on NumPy arrays, or write the values as a formula of i and j"
        )


def _within(values: Any, ranges: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Any:
    result, begin = np.zeros_like(values), 0
    for (first, last), end in zip(ranges[0], ranges[1], strict=True):
        for low, high in ranges[2][begin:end]:
            result[first:last, low:high] = values[first:last, low:high]
        begin = end
    return result
