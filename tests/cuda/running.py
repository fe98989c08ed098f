"""Programs in the emulator: what the launch code does with CuPy, done with NumPy arrays."""

from __future__ import annotations

import numpy as np

from skkeops.backends.cuda import source
from skkeops.backends.cuda.ranges import work_items
from skkeops.plan.plan import make_plan

from .emulator import Module, compile_sources


def sizes(problem, arrays):
    """The lengths of the output's and of the reduced axis."""
    found = [1, 1]
    for v, a in zip(problem.variables, arrays, strict=True):
        if v.category < 2:
            found[v.category] = len(a)
    return found if problem.axis == 1 else found[::-1]


def run(made, module: Module, problem, arrays, final="state", ranges=None, order=0):
    """The state or the result of a problem, a tuple of arrays."""
    rows, columns = sizes(problem, arrays)
    items = segments = np.uint64(0)
    count = None
    if ranges is not None:
        items, segments = work_items(ranges, rows, made.rows_per_block)
        count = len(items)
    geometry = made.geometry(rows, columns, final, count)
    dtype = arrays[0].dtype if arrays else np.dtype(np.float64)
    places = {"workspace": np.full(geometry.workspace, 0xFF, np.uint8), "items": items, "segments": segments}
    outputs = []
    for k, output in enumerate(made.outputs[final]):
        out = np.empty((rows, *output.shape), dtype if output.dtype == "real" else output.dtype)
        out.view(np.uint8)[...] = 0xFF if out.size else 0
        places[f"out{k}"] = out
        outputs.append(out)
    taken = [np.ascontiguousarray(arrays[k]) for k in made.variables]
    with np.errstate(all="ignore"):
        for kernel, grid, block, _, args in geometry.launches:
            rest = [places[a] if isinstance(a, str) else np.int64(a) for a in args]
            module.launch(kernel, grid, block, [*taken, *rest], order)
    return tuple(outputs)


def build(problems, dtypes, options=None, template="auto"):
    """For every problem and dtype, its source and its compiled module: ``{(k, dtype): (source, module)}``."""
    keys = [(k, np.dtype(d).name) for k in range(len(problems)) for d in dtypes]
    sources = [source(make_plan(problems[k]), d, options, template) for k, d in keys]
    modules = compile_sources([s.text for s in sources])
    return dict(zip(keys, zip(sources, modules, strict=True), strict=True))
