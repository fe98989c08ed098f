"""Programs in the emulator: what the launch code does with CuPy, done with NumPy arrays."""

from __future__ import annotations

import numpy as np

from skkeops.backends.cuda import source
from skkeops.backends.cuda.launch.pairs import taken
from skkeops.backends.cuda.launch.ranges import divide
from skkeops.formula.expression import IJ
from skkeops.plan.plan import make_plan

from .emulator import Module, compile_sources


def sizes(problem, arrays):
    """The lengths of the output's and of the reduced axis."""
    found = [1, 1]
    for v, a in zip(problem.variables, arrays, strict=True):
        if v.category < 2:
            found[v.category] = len(a)
        elif v.category == IJ:
            found = list(a.shape[:2])
    return found if problem.axis == 1 else found[::-1]


def run(made, module: Module, problem, arrays, final="state", ranges=None, order=0):
    """The state or the result of a problem, a tuple of arrays."""
    rows, columns = sizes(problem, arrays)
    work = None if ranges is None else divide(ranges, rows, made.rows_per_block, made.tile)
    geometry = made.geometry(rows, columns, final, work)
    dtype = next((a.dtype for a in arrays if a.dtype.kind == "f"), np.dtype(np.float64))
    places = {"workspace": np.full(geometry.workspace, 0xFF, np.uint8)}
    for name in ("items", "segments", "blocks"):
        places[name] = np.uint64(0) if work is None else getattr(work, name)
    outputs = []
    for k, output in enumerate(made.outputs[final]):
        out = np.empty((rows, *output.shape), dtype if output.dtype == "real" else output.dtype)
        out.view(np.uint8)[...] = 0xFF if out.size else 0
        places[f"out{k}"] = out
        outputs.append(out)
    given = taken(problem.variables, arrays, made.variables, np.ascontiguousarray)
    with np.errstate(all="ignore"):
        for kernel, grid, block, _, args in geometry.launches:
            rest = [places[a] if isinstance(a, str) else np.int64(a) for a in args]
            module.launch(kernel, grid, block, [*given, *rest], order)
    return tuple(outputs)


def build(problems, dtypes, options=None, template="auto", masks=()):
    """For every problem and dtype, its source and its compiled module: ``{(k, dtype): (source, module)}``."""
    keys = [(k, np.dtype(d).name) for k in range(len(problems)) for d in dtypes]
    sources = [source(make_plan(problems[k]), d, options, template, masks) for k, d in keys]
    modules = compile_sources([s.text for s in sources])
    return dict(zip(keys, zip(sources, modules, strict=True), strict=True))
