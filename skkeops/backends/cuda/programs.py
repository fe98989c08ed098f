"""Programs for problems on CuPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from skkeops.arrays.conversion import dtype_of
from skkeops.execution.blocks import Progress, take_rows
from skkeops.execution.program import Program
from skkeops.formula.expression import Expression, Variable
from skkeops.plan.plan import make_plan
from skkeops.plan.problem import Problem

from .folds.tracing import writes_result
from .launch.geometry import Geometry, blocks_of
from .launch.module import NULL, Call, Module, contiguous
from .launch.pairs import are_along, find_masks, taken
from .launch.ranges import Work, divide
from .options import Options
from .source import Source, choose_template, pairs_source, points_source, source

__all__ = ["CudaProgram", "evaluate", "evaluate_pairs", "options_of", "prepare"]

#: With a progress callback a call is launched in so many pieces at most, of so many pairs at least: some milliseconds.
PIECES = 32
PIECE_PAIRS = 1 << 32


class CudaProgram(Program):
    """A problem, ready to run on CuPy arrays of either dtype, on the current device.

    Arrays that are not C-contiguous are copied; those of pairs have any strides, and may be booleans. With a progress callback
    kernels are launched piece by piece, at most `PIECES`, and the host waits for each; an exception of the callback leaves the
    rest out. Without blocks of pairs a piece is some rows, whose sums are split as suits so many rows: their last bits may
    differ from those without progress. What is made of a `skkeops.pairs.ranges.Blocks` is kept there, on the device.

    Parameters
    ----------
    problem : Problem
    options : Options, optional
    """

    def __init__(self, problem: Problem, options: Options | None = None):
        super().__init__(problem)
        self.plan = make_plan(problem)
        self.options = options or Options()
        self._modules: dict[Any, tuple[Source, Module]] = {}
        self._calls: dict[Any, Call] = {}
        self._writes_result = writes_result(self.reduction)

    def source(self, dtype: Any, template: str = "auto", masks: tuple[int, ...] = ()) -> Source:
        """The source for a dtype and a template; needs no CuPy."""
        return source(self.plan, np.dtype(dtype), self.options, template, masks)

    def tile_sizes(self, dtype):
        """Return the rows of a block of threads, and the columns that it loads at a time."""
        made = self.source(dtype, "ranges")
        return made.rows_per_block, made.tile

    def is_exact(self, dtype):
        """Return whether no arithmetic is fast, and the kernel for ranges that for all pairs.

        Fast arithmetic has larger errors than bounds allow for, and shifts points by the first one of their order. Other kernels
        add components in another order.
        """
        return not self.options.fast_math and self.source(dtype, "ranges").template == self.source(dtype).template

    def state(self, arrays, pairs=None, progress=None):
        """Return the state, in arrays of CuPy: see `Program.state`.

        The reference m of a log-sum-exp is not the largest exponent but the logarithm of the sum itself, unless the raw state is
        what the reduction returns.
        """
        return self._call(arrays, "state", progress, pairs)

    def run(self, arrays, pairs=None, out=None, progress=None):
        """Return the results: those that the kernels write, or what a `finalize` of the reduction's own makes of the state."""
        if self._writes_result:
            found = self._call(arrays, "result", progress, pairs)
            found = found[0] if len(found) == 1 else found
        else:
            found = self.reduction.finalize(self._call(arrays, "state", progress, pairs), dtype_of(arrays))
        return found if out is None else self._stored(found, out)

    def _call(self, arrays: tuple[Any, ...], final: str, progress: Progress | None, ranges: Any) -> tuple[Any, ...]:
        if progress is not None or ranges is not None or self._has_pairs:
            return self._call_in_parts(arrays, final, progress, ranges)
        # Small calls are all overhead: what sizes decide is decided once.
        rows, columns = self.sizes(arrays)
        dtype, device = (arrays[0].dtype, arrays[0].data.device_id) if arrays else (_FLOAT64, None)
        key = (rows, columns, dtype, device, final)
        call = self._calls.get(key)
        if call is None:
            made, module = self._module(dtype, choose_template(self.plan, rows, columns))
            if len(self._calls) >= 256:
                self._calls.clear()
            call = self._calls[key] = Call(made, module, rows, columns, final, dtype)
        return call(arrays)

    def _module(self, dtype: Any, template: str, masks: tuple[int, ...] = ()) -> tuple[Source, Module]:
        found = self._modules.get((dtype, template, masks))
        if found is None:
            made = self.source(dtype, template, masks)
            found = self._modules[dtype, template, masks] = (made, Module(made))
        return found

    def _call_in_parts(self, arrays: tuple[Any, ...], final: str, progress: Progress | None, ranges: Any) -> tuple[Any, ...]:
        """A call with values of pairs, ranges or progress, of which more depends on the arrays than their sizes."""
        import cupy

        rows, columns = self.sizes(arrays)
        dtype = dtype_of(arrays)
        masks = find_masks(self.problem.variables, arrays)
        along = are_along(self.problem.variables, arrays, self.problem.axis)
        template = choose_template(self.plan, rows, columns, along, ranges is not None)
        made, module = self._module(dtype, template, masks)
        outputs = tuple(
            [cupy.empty((rows, *o.shape), dtype if o.dtype == "real" else o.dtype) for o in made.outputs[final]]
        )
        if ranges is not None:
            work = _work_on_device(ranges, rows, columns, made.rows_per_block, made.tile)
            geometry = made.geometry(rows, columns, final, work)
            if progress is None:
                self._launch(module, geometry, arrays, outputs, work)
            else:
                self._visit(module, geometry, arrays, outputs, work, progress)
        elif progress is None:
            self._launch(module, made.geometry(rows, columns, final), arrays, outputs)
        else:
            pieces = max(1, min(PIECES, rows * columns // PIECE_PAIRS))
            step = made.rows_per_block * max(1, blocks_of(blocks_of(rows, made.rows_per_block), pieces))
            for start in range(0, max(rows, 1), step):
                some = slice(start, min(start + step, rows))
                geometry = made.geometry(some.stop - start, columns, final)
                part = take_rows(self.problem.variables, arrays, 1 - self.axis, some)
                self._launch(module, geometry, part, tuple([out[some] for out in outputs]))
                _report(progress, some.stop * columns, rows * columns)
        return outputs

    def _launch(
        self, module: Module, geometry: Geometry, arrays: tuple[Any, ...], outputs: tuple, work: Work | None = None
    ) -> None:
        module.launch(geometry, self._taken(module.source, arrays), _places(geometry, outputs, work))

    def _visit(self, module: Module, geometry: Geometry, arrays, outputs, work: Work, progress: Progress) -> None:
        """Launch the items of a call with ranges piece by piece: the same items, and the same bits, as at once."""
        given = self._taken(module.source, arrays)
        places = _places(geometry, outputs, work)
        main, *merge = geometry.launches if len(work.items) else (None, *geometry.launches)
        done = 0
        if main is not None:
            pairs = work.pairs
            pieces = max(1, min(PIECES, int(pairs[-1]) // PIECE_PAIRS))
            step = blocks_of(len(pairs), pieces)
            for start in range(0, len(pairs), step):
                places["items"] = work.items[start : start + step]
                some = main._replace(grid=(len(places["items"]), *main.grid[1:]))
                module.launch(Geometry(0, (some,)), given, places)
                done = int(pairs[min(start + step, len(pairs)) - 1])
                if start + step < len(pairs):
                    _report(progress, done, int(pairs[-1]))
        module.launch(Geometry(0, tuple(merge)), given, places)
        _report(progress, done, done)

    def _taken(self, made: Source, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        if self._has_pairs:
            return taken(self.problem.variables, arrays, made.variables, contiguous)
        return tuple([contiguous(arrays[k]) for k in made.variables])


def _places(geometry: Geometry, outputs: tuple[Any, ...], work: Work | None) -> dict[str, Any]:
    import cupy

    places = {"workspace": cupy.empty(geometry.workspace, np.uint8)}
    for name in ("items", "segments", "blocks"):
        places[name] = NULL if work is None else getattr(work, name)
    for k, out in enumerate(outputs):
        places[f"out{k}"] = out
    return places


#: Rows of a block of threads that evaluates pairs of ranges, and half of its columns at least.
_PAIRS_BLOCK = (16, 128)


def _work_on_device(ranges: Any, rows: int, columns: int, most_rows: int, tile: int) -> Work:
    """What is to be done for ranges, made once for each device, stream and shape of the blocks of threads."""
    import cupy

    if columns >= 2**31:
        raise ValueError(f"ranges on a GPU: the reduced axis must be shorter than 2**31, found {columns}")
    kept = getattr(ranges, "kept", {})
    stream = cupy.cuda.get_current_stream()
    # its memory belongs to one stream, so that it is free again only when that stream has used it
    key = ("cuda", cupy.cuda.runtime.getDevice(), stream.ptr, most_rows, tile)
    work = kept.get(key)
    if work is None:
        work = kept[key] = divide(ranges, rows, most_rows, tile).map(cupy.asarray)
        stream.synchronize()  # threads may have one stream pointer and several streams
    return work


def _report(progress: Progress, done: int, total: int) -> None:
    """Wait for what has been launched, then tell."""
    import cupy

    event = cupy.cuda.Event(block=True, disable_timing=True)
    event.record()
    event.synchronize()
    progress(done, total)


_FLOAT64 = np.dtype(np.float64)


def prepare(problem: Problem, options: Any = None) -> CudaProgram:
    """Return the program of a problem, with the options of a `Genred`."""
    return CudaProgram(problem, None if options is None else options_of(options))


def options_of(options: Any) -> Options:
    """Return what the options of a `Genred`, `skkeops.calls.options.Options`, mean for the generated code."""
    return Options.of_genred(options.dtype_acc, options.use_double_acc, options.sum_scheme, options.use_fast_math)


_points: dict[Any, tuple[Any, Module]] = {}


def _points_module(make: Callable[..., Any], expressions: Any, variables: tuple[Variable, ...], dtype: Any, *masks: Any) -> Any:
    """The source that `make` returns, and its kernels on the devices that have been met."""
    key = (make, expressions, variables, dtype, *masks)
    found = _points.get(key)
    if found is None:
        made = make(expressions, variables, np.dtype(dtype).name, *masks)
        if len(_points) >= 256:
            _points.clear()
        found = _points[key] = (made, Module(made))
    return found


def evaluate(
    expressions: Sequence[Expression], variables: Sequence[Variable], arrays: Sequence[Any], n: int
) -> list[Any]:
    """Evaluate expressions point by point: see `skkeops.execution.program.Backend`."""
    import cupy

    dtype = dtype_of(arrays)
    made, module = _points_module(points_source, tuple(expressions), tuple(variables), dtype)
    outputs = [cupy.empty((n, e.dim), dtype) for e in expressions]
    places = {f"out{k}": out for k, out in enumerate(outputs)}
    given = tuple([contiguous(arrays[k]) for k in made.variables])
    module.launch(made.geometry(n, len(outputs)), given, places)
    return outputs


def evaluate_pairs(
    expression: Expression, variables: Sequence[Variable], arrays: Sequence[Any], m: int, n: int, pairs: Any = None
) -> Any:
    """Evaluate an expression for all pairs: see `skkeops.execution.program.Backend`."""
    import cupy

    variables = tuple(variables)
    dtype, masks = dtype_of(arrays), find_masks(variables, arrays)
    made, module = _points_module(pairs_source, expression, variables, dtype, masks)
    work = None if pairs is None else _work_on_device(pairs, m, n, *_PAIRS_BLOCK)
    out = (cupy.empty if work is None else cupy.zeros)((m, n, expression.dim), dtype)
    places = {"out0": out} | {name: NULL if work is None else getattr(work, name) for name in ("items", "segments")}
    module.launch(made.geometry(m, 1, n, work), taken(variables, arrays, made.variables, contiguous), places)
    return out
