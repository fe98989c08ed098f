"""Compile in parallel what the later steps run: CuPy keeps compiled kernels on disk, where each process finds them.

One kernel after the other would take minutes; NVRTC works in threads.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .cases import ROWS, TEMPLATES, timed_source
from .correct import formulas, sizes, with_gradient
from .run import Run

__all__ = ["sources", "warm_up"]


def sources(dry: bool = False) -> Iterator[Any]:
    """Yield the sources of the steps that compare calls with NumPy, time the rows, and run a kernel of every template.

    Parameters
    ----------
    dry : bool, default=False
        Those of a dry run, which are few.
    """
    from skkeops.backends.cuda import source
    from skkeops.backends.cuda.source import choose_template
    from skkeops.plan.plan import make_plan

    for op, formula, f in formulas(dry):
        problems = [f._problem]
        if with_gradient(op, formula):
            problems.append(f._get_derivatives()._adjoint_problem(f._arguments.find("x")[0]))
        for problem in problems:
            plan = make_plan(problem)
            for m, n in {(m, n) for m, n, _ in sizes(dry)}:
                rows, columns = (m, n) if problem.axis == 1 else (n, m)
                for dtype in ("float32",) if dry else ("float32", "float64"):
                    yield source(plan, dtype, None, choose_template(plan, rows, columns))
    for row in () if dry else (*ROWS, *TEMPLATES.values()):
        yield timed_source(row)


def warm_up(run: Run) -> bool:
    """Compile every source; tell how many, in how many seconds, and what failed; return whether nothing did."""
    cupy, begin = run.cupy, time.monotonic()
    found = {made.text: made.options for made in sources(run.dry)}

    def compiled(item: tuple[str, tuple[str, ...]]) -> str | None:
        text, options = item
        try:
            with cupy.cuda.Device(0):
                cupy.RawModule(code=text, options=options).compile()
        except Exception as error:
            return f"{type(error).__name__}: {str(error)[:300]}"
        return None

    with ThreadPoolExecutor(1 if run.dry else os.cpu_count()) as pool:
        failed = [message for message in pool.map(compiled, found.items()) if message]
    run.say(f"{len(found)} sources compiled in {time.monotonic() - begin:.1f} s, {len(failed)} failed")
    for message in failed[:3]:
        run.say(f"  FAILED {message}")
    return not failed
