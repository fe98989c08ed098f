"""A double of `skkeops.backends.cuda` for tests of what lies above it: the reference backend on the stand-in's arrays.

It answers in microseconds, where the emulator first compiles every kernel; and it is as strict about its arrays as a kernel.
"""

from __future__ import annotations

import numpy as np

from skkeops.backends import reference
from skkeops.execution.program import Program as Contract


def _inside(arrays, dtype=None):
    """Return the memory of checked arguments; raise where a kernel would read something else."""
    import cupy

    for a in arrays:
        assert type(a) is cupy.ndarray, f"found {type(a)}"
        kind = {a.dtype for a in arrays if a.dtype.kind == "f"}
        assert len(kind) <= 1 and (a.dtype in (np.float32, np.float64) or (a.dtype == bool and a.ndim == 3)), f"found {a.dtype}"
        assert a.data.device_id == cupy.cuda.runtime.getDevice(), "launched on another device than that of the arrays"
    return tuple(np.ascontiguousarray(a._a) for a in arrays)


def _outside(parts):
    import cupy

    return tuple(cupy._array.device(np.ascontiguousarray(part)) for part in parts)


class Program(Contract):
    def __init__(self, problem):
        super().__init__(problem)
        self._program = reference.prepare(problem)

    def state(self, arrays, pairs=None, progress=None):
        return _outside(self._launched(self._program.state, arrays, pairs, progress))

    def run(self, arrays, pairs=None, out=None, progress=None):
        found = self._launched(self._program.run, arrays, pairs, None, progress)
        found = _outside(found) if isinstance(found, tuple) else _outside((found,))[0]
        return found if out is None else self._stored(found, out)

    def _launched(self, method, arrays, *options):
        import cupy

        cupy.stand_in_counts.launches.append((type(self.problem.reduction).__name__,))
        return method(_inside(arrays), *options)


def prepare(problem, options=None):
    return Program(problem)


def evaluate(expressions, variables, arrays, n):
    return list(_outside(reference.evaluate(expressions, variables, _inside(arrays), n)))


def evaluate_pairs(expression, variables, arrays, m, n, pairs=None):
    return _outside((reference.evaluate_pairs(expression, variables, _inside(arrays), m, n, pairs),))[0]
