"""Arrays of NumPy on a GPU: what `skkeops.backends.device` does, between two copies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skkeops.arrays.conversion import is_sparse
from skkeops.arrays.devices import OnDevice
from skkeops.execution.program import Program
from skkeops.formula.expression import Expression, Variable
from skkeops.pairs.values import NOT_ON_DEVICE, as_dense
from skkeops.plan.problem import Problem

from . import device
from .device import at_once, gathers_sparse, on_host, sums_together
from .gpu import check_usable

__all__ = [
    "TransferProgram", "at_once", "evaluate", "evaluate_pairs", "gathers_sparse", "on_host", "prepare", "prunes", "sums_together",
    "truncates",
]  # fmt: skip

#: Every block of pairs would be a copy of its arrays.
prunes = truncates = False


class TransferProgram(Program):
    """A program on arrays of NumPy that computes on the current device.

    Parameters
    ----------
    problem : Problem
    options : skkeops.calls.options.Options, optional
    """

    def __init__(self, problem: Problem, options: Any = None):
        super().__init__(problem)
        self._program = device.prepare(problem, options)

    def state(self, arrays, pairs=None, progress=None):
        with _current_device() as cupy:
            return tuple(part.get() for part in self._program.state(_moved(cupy, arrays), pairs, progress))

    def run(self, arrays, pairs=None, out=None, progress=None):
        with _current_device() as cupy:
            found = self._program.run(_moved(cupy, arrays), pairs, None, progress)
            found = tuple(part.get() for part in found) if isinstance(found, tuple) else found.get()
        return found if out is None else self._stored(found, out)


def prepare(problem: Problem, options: Any = None) -> TransferProgram:
    """Return the program of a problem."""
    return TransferProgram(problem, options)


def evaluate(expressions: Sequence[Expression], variables: tuple[Variable, ...], arrays: tuple, n: int) -> list[np.ndarray]:
    """Evaluate expressions point by point: see `skkeops.execution.program.Backend`."""
    with _current_device() as cupy:
        return [value.get() for value in device.evaluate(expressions, variables, _moved(cupy, arrays), n)]


def evaluate_pairs(
    expression: Expression, variables: Sequence[Variable], arrays: tuple, m: int, n: int, pairs: Any = None
) -> np.ndarray:
    """Evaluate an expression for all pairs: see `skkeops.execution.program.Backend`."""
    with _current_device() as cupy:
        return device.evaluate_pairs(expression, variables, _moved(cupy, arrays), m, n, pairs).get()


def _current_device() -> OnDevice:
    cupy = check_usable()
    return OnDevice(cupy, cupy.cuda.runtime.getDevice())


def _moved(cupy: Any, arrays: tuple) -> tuple:
    if any(map(is_sparse, arrays)):
        raise TypeError(NOT_ON_DEVICE)
    return tuple(cupy.ascontiguousarray(cupy.asarray(as_dense(a))) for a in arrays)
