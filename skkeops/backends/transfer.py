"""Arrays of NumPy on a GPU: what `skkeops.backends.device` does, between two copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skkeops.arrays.conversion import is_sparse
from skkeops.arrays.devices import OnDevice
from skkeops.formula.expression import Expression, Variable
from skkeops.pairs.values import NOT_ON_DEVICE, as_dense
from skkeops.plan.problem import Problem

from . import device
from .gpu import check_usable

__all__ = ["TransferProgram", "evaluate", "evaluate_pairs", "prepare"]


class TransferProgram:
    """A program on arrays of NumPy that computes on the current device.

    Parameters
    ----------
    problem : Problem
    options : cuda.Options, optional
        Choices of the code generator.
    """

    def __init__(self, problem: Problem, options: Any = None):
        self._program = device.prepare(problem, options)

    def run(self, arrays: tuple, progress: Callable[[int, int], Any] | None = None, ranges: Any = None) -> Any:
        """Return the state of every row: see `skkeops.backends.reference.Program.run`."""
        cupy = check_usable()
        with OnDevice(cupy, cupy.cuda.runtime.getDevice()):
            state = self._program.run(_moved(cupy, arrays), progress, ranges)
            return tuple(part.get() for part in state)


def prepare(problem: Problem, options: Any = None) -> TransferProgram:
    """Return the program of a problem."""
    return TransferProgram(problem, options)


def evaluate(expressions: Sequence[Expression], variables: tuple[Variable, ...], arrays: tuple, n: int) -> list[np.ndarray]:
    """Return the values of expressions point by point: see `skkeops.backends.cpu.evaluate`."""
    cupy = check_usable()
    with OnDevice(cupy, cupy.cuda.runtime.getDevice()):
        return [value.get() for value in device.evaluate(expressions, variables, _moved(cupy, arrays), n)]


def evaluate_pairs(
    expression: Expression, variables: Sequence[Variable], arrays: tuple, m: int, n: int, ranges: Any = None
) -> np.ndarray:
    """Return the values of an expression for all pairs: see `skkeops.backends.device.evaluate_pairs`."""
    cupy = check_usable()
    with OnDevice(cupy, cupy.cuda.runtime.getDevice()):
        return device.evaluate_pairs(expression, variables, _moved(cupy, arrays), m, n, ranges).get()


def _moved(cupy: Any, arrays: tuple) -> tuple:
    if any(map(is_sparse, arrays)):
        raise TypeError(NOT_ON_DEVICE)
    return tuple(cupy.ascontiguousarray(cupy.asarray(as_dense(a))) for a in arrays)
