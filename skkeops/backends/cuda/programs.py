"""Programs for problems on CuPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skkeops.formula.expression import Expression, Variable
from skkeops.plan.plan import make_plan
from skkeops.plan.problem import Problem

from .launch import Call, Module, contiguous
from .options import Options
from .ranges import work_items
from .source import Source, choose_template, points_source, source

__all__ = ["CudaProgram", "evaluate", "prepare"]


class CudaProgram:
    """A problem, ready to run on CuPy arrays of either dtype.

    Parameters
    ----------
    problem : Problem
    options : Options, optional
    """

    def __init__(self, problem: Problem, options: Options | None = None):
        self.problem = problem
        self.plan = make_plan(problem)
        self.options = options or Options()
        self._modules: dict[Any, tuple[Source, Module]] = {}
        self._calls: dict[Any, Call] = {}
        categories = [v.category for v in problem.variables]
        self._output = categories.index(self.plan.output) if self.plan.output in categories else -1
        self._reduced = categories.index(self.plan.reduced) if self.plan.reduced in categories else -1

    def source(self, dtype: Any, template: str = "auto") -> Source:
        """The source for a dtype and a template; needs no CuPy."""
        return source(self.plan, np.dtype(dtype), self.options, template)

    def run(
        self,
        arrays: tuple[Any, ...],
        progress: Callable[[int, int], Any] | None = None,
        ranges: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    ) -> tuple[Any, ...]:
        """The state of the reduction, one row per output index, on the device of the arrays.

        Parameters
        ----------
        arrays : tuple of cupy.ndarray
            Checked arrays of one dtype, float32 or float64, in the order of the problem's variables. Those that are not
            C-contiguous are copied.
        progress : callable, optional
            Called once, when all is launched, as ``progress(pairs, pairs)``.
        ranges : tuple of ndarray, optional
            The blocks of pairs to visit, from `skkeops.ranges.Ranges.of_axis`, on the host. Default: all pairs.

        Returns
        -------
        tuple of cupy.ndarray
            float64, and int64 for indices. The reference m of a log-sum-exp is not the largest exponent but the logarithm
            of the sum itself, unless the raw state is what the reduction returns.
        """
        state = self._call(arrays, "state") if ranges is None else self._call_with_ranges(arrays, ranges)
        if progress is not None:
            rows, columns = self._sizes(arrays)
            progress(rows * columns, rows * columns)
        return state

    def results(self, arrays: tuple[Any, ...], dtype: Any = None) -> Any:
        """What `Reduction.finalize` makes of the state of all pairs, computed by the same kernels.

        Parameters
        ----------
        arrays : tuple of cupy.ndarray
            As for `run`.
        dtype : dtype, optional
            Of the values. Default: that of the arrays, the only one that is computed without a conversion.

        Returns
        -------
        cupy.ndarray or tuple of two
        """
        found = self._call(arrays, "result")
        if dtype is not None and arrays and dtype is not arrays[0].dtype and np.dtype(dtype) != arrays[0].dtype:
            found = tuple(a if a.dtype.kind == "i" else a.astype(dtype) for a in found)
        return found[0] if len(found) == 1 else found

    def _sizes(self, arrays: tuple[Any, ...]) -> tuple[int, int]:
        rows = arrays[self._output].shape[0] if self._output >= 0 else 1
        columns = arrays[self._reduced].shape[0] if self._reduced >= 0 else 1
        return rows, columns

    def _call(self, arrays: tuple[Any, ...], final: str) -> tuple[Any, ...]:
        # Small calls are all overhead: what sizes decide is decided once.
        rows, columns = self._sizes(arrays)
        dtype, device = (arrays[0].dtype, arrays[0].data.device_id) if arrays else (_FLOAT64, None)
        key = (rows, columns, dtype, device, final)
        call = self._calls.get(key)
        if call is None:
            made, module = self._module(dtype, choose_template(self.plan, rows, columns))
            if len(self._calls) >= 256:
                self._calls.clear()
            call = self._calls[key] = Call(made, module, rows, columns, final, dtype)
        return call(arrays)

    def _module(self, dtype: Any, template: str) -> tuple[Source, Module]:
        found = self._modules.get((dtype, template))
        if found is None:
            made = self.source(dtype, template)
            found = self._modules[dtype, template] = (made, Module(made))
        return found

    def _call_with_ranges(self, arrays: tuple[Any, ...], ranges: Any) -> tuple[Any, ...]:
        import cupy

        rows, columns = self._sizes(arrays)
        if columns >= 2**31:
            raise ValueError(f"ranges on a GPU: the reduced axis must be shorter than 2**31, found {columns}")
        dtype = arrays[0].dtype if arrays else _FLOAT64
        made, module = self._module(dtype, "rows")
        host_items, host_segments = work_items(ranges, rows, made.rows_per_block)
        geometry = made.geometry(rows, columns, "state", len(host_items))
        outputs = [
            cupy.empty((rows, *output.shape), dtype if output.dtype == "real" else output.dtype)
            for output in made.outputs["state"]
        ]
        places = {
            "workspace": cupy.empty(geometry.workspace, np.uint8),
            "items": cupy.asarray(host_items),
            "segments": cupy.asarray(host_segments),
            **{f"out{k}": out for k, out in enumerate(outputs)},
        }
        module.launch(geometry, tuple([contiguous(arrays[k]) for k in made.variables]), places)
        return tuple(outputs)


_FLOAT64 = np.dtype(np.float64)


def prepare(problem: Problem, options: Options | None = None) -> CudaProgram:
    """The program of a problem."""
    return CudaProgram(problem, options)


_points: dict[Any, tuple[Any, Module]] = {}


def evaluate(
    expressions: Sequence[Expression], variables: Sequence[Variable], arrays: Sequence[Any], n: int
) -> list[Any]:
    """The values of expressions point by point.

    Parameters
    ----------
    expressions : sequence of Expression
    variables : sequence of Variable
        In the order of the arrays.
    arrays : sequence of cupy.ndarray
        ``(n, dim)`` for the variables of category 0 and 1, ``(dim,)`` for parameters.
    n : int
        The number of points.

    Returns
    -------
    list of cupy.ndarray of shape (n, dim)
        In the dtype of the arrays.
    """
    import cupy

    expressions, variables = tuple(expressions), tuple(variables)
    dtype = arrays[0].dtype if arrays else np.dtype(np.float64)
    key = (expressions, variables, dtype)
    found = _points.get(key)
    if found is None:
        made = points_source(expressions, variables, np.dtype(dtype).name)
        if len(_points) >= 256:
            _points.clear()
        found = _points[key] = (made, Module(made))
    made, module = found
    outputs = [cupy.empty((n, e.dim), dtype) for e in expressions]
    places = {f"out{k}": out for k, out in enumerate(outputs)}
    taken = tuple([contiguous(arrays[k]) for k in made.variables])
    module.launch(made.geometry(n, len(outputs)), taken, places)
    return outputs
