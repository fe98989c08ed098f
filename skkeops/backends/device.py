"""Arrays of CuPy: programs of `skkeops.backends.cuda` on the device of the arrays, whichever is the current one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from skkeops.arrays.devices import computing
from skkeops.arrays.errors import explain
from skkeops.execution.program import Program, in_turn
from skkeops.formula.expression import Expression, Variable
from skkeops.plan.problem import Problem

from . import cuda
from .gpu import check_usable

try:
    from . import cpu as on_host
except ImportError:  # where the engine was not built a GPU is still of use
    from . import reference as on_host  # type: ignore[no-redef]

__all__ = [
    "DeviceProgram", "at_once", "evaluate", "evaluate_pairs", "gathers_sparse", "on_host", "prepare", "prunes", "sums_together",
    "truncates",
]  # fmt: skip

#: Sparse arrays of pairs are refused: see `skkeops.pairs.values.NOT_ON_DEVICE`.
gathers_sparse = False
#: Kernels are generated for one output.
sums_together = False
prunes = True
truncates = True
at_once = in_turn


class DeviceProgram(Program):
    """A program whose arrays decide where it runs.

    Parameters
    ----------
    problem : Problem
    options : skkeops.calls.options.Options, optional
        Those of a `Genred`, some of which the generated code follows.
    """

    def __init__(self, problem: Problem, options: Any = None):
        super().__init__(problem)
        self._program = cuda.prepare(problem, options)
        self._runtime = check_usable().cuda.runtime

    def tile_sizes(self, dtype):
        return self._program.tile_sizes(dtype)

    def is_exact(self, dtype):
        return self._program.is_exact(dtype)

    def state(self, arrays, pairs=None, progress=None):
        with computing(arrays):
            return self._program.state(arrays, pairs, progress)

    def run(self, arrays, pairs=None, out=None, progress=None):
        if arrays and arrays[0].data.device_id == self._runtime.getDevice():
            # What the context below would do, in less time.
            try:
                return self._program.run(arrays, pairs, out, progress)
            except Exception as error:
                told = explain(error)
                if told is None:
                    raise
                raise told from error
        with computing(arrays):
            return self._program.run(arrays, pairs, out, progress)


def prepare(problem: Problem, options: Any = None) -> DeviceProgram:
    """Return the program of a problem."""
    return DeviceProgram(problem, options)


def evaluate(expressions: Sequence[Expression], variables: tuple[Variable, ...], arrays: tuple, n: int) -> list:
    """Evaluate expressions point by point: see `skkeops.execution.program.Backend`."""
    with computing(arrays):
        return cuda.evaluate(expressions, variables, arrays, n)


def evaluate_pairs(
    expression: Expression, variables: Sequence[Variable], arrays: Sequence[Any], m: int, n: int, pairs: Any = None
) -> Any:
    """Evaluate an expression for all pairs: see `skkeops.execution.program.Backend`."""
    with computing(arrays):
        return cuda.evaluate_pairs(expression, variables, arrays, m, n, pairs)
