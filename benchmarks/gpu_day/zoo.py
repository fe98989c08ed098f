"""Step 1, kernel by kernel: the zoo of the tests, compiled and run on the device from its sources, without the host code.

Every kernel is compared with the reference backend in float64, and with the same source in the emulator on the CPU: the
difference of the two is the device's own arithmetic (approximate instructions, contraction) and nothing else, so a large one shows
what the emulation does not cover. Outputs and workspaces are full of NaN before.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from .run import Run, from_tests

__all__ = ["check_kernels"]

SIZES = {  # of the output's and of the reduced axis
    "reductions": ((1, 1), (5, 0), (129, 255), (1025, 16), (3, 1700), (2, 16800)),
    "columns": ((1, 1), (5, 9000)),
    "operations": ((1, 1), (129, 255)),
}
_OTHERS = ((1, 1), (129, 255), (3, 1700))
_SLACK = 12  # times the error of NumPy in the same dtype, where the formula amplifies errors
_LONGEST = 100.0  # seconds beside the reference


class DeviceModule:
    """The kernels of a source on the device, called with arrays of NumPy as the emulator is: they travel there and back."""

    def __init__(self, cupy: Any, made: Any):
        self._cupy = cupy
        module = cupy.RawModule(code=made.text, options=made.options)
        self._kernels = {name: module.get_function(name) for name in made.kernels}

    def launch(self, name: str, grid: tuple, block: tuple, args: list, order: int = 0) -> None:
        """Run a kernel; write back what is in its arrays then."""
        there = [self._cupy.asarray(a) if isinstance(a, np.ndarray) else a for a in args]
        self._kernels[name](grid, block, tuple(there))
        for here, a in zip(args, there, strict=True):
            if isinstance(here, np.ndarray) and here.flags.writeable:
                here[...] = a.get()


def check_kernels(run: Run) -> bool:
    """Compare; write zoo.csv; return whether every kernel gives what the reference does."""
    from skkeops.backends.cuda import source
    from skkeops.plan.plan import make_plan

    zoo, running, emulator, comparing = (from_tests(name) for name in ("zoo", "running", "emulator", "comparing"))
    begin, chosen = time.monotonic(), zoo.kernels()
    if run.dry:
        names = [("reductions", "sum/1", "float32"), ("columns", "logsumexp/1", "float32"), ("wide", "softmax/1", "float64")]
        chosen = [k for k in chosen if (k.kind, k.name, k.dtype) in names]
    sources = [source(make_plan(k.problem), k.dtype, None, k.template) for k in chosen]
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers + 1) as pool:
        emulated = pool.submit(emulator.compile_sources, [s.text for s in sources], jobs=workers) if emulator.available() else None
        rows, right = _run_all(run, chosen, sources, pool, running, comparing, begin)
        if emulated is None:
            run.say("the emulator needs g++ on x86-64: the kernels of the device are not compared with it")
        else:
            _compare_with_emulator(run, rows, emulated.result(), running, begin)
    run.write_csv("zoo.csv", [{key: value for key, value in row.items() if key[0] != "_"} for row in rows])
    wrong = [row for row in rows if not row["ok"]]
    run.say(
        f"kernels of the zoo: {len({row['_k'] for row in rows})} of {len(chosen)}, {len(rows)} comparisons with the reference, "
        f"{len(wrong)} wrong"
    )
    for row in wrong[:10]:
        run.say(f"  WRONG {row['kernel']}, {row['template']}, {row['dtype']}, {row['rows']} x {row['columns']}: {row['message']}")
    return right


def _run_all(run, chosen, sources, pool, running, comparing, begin) -> tuple[list[dict], bool]:
    """Run every kernel on the device beside the reference."""
    cupy, rows, right = run.cupy, [], True

    def compiled(made):
        with cupy.cuda.Device(0):
            start = time.perf_counter()
            try:
                cupy.RawModule(code=made.text, options=made.options).compile()
            except Exception:  # told again where the kernel is run
                return float("nan")
            return 1e3 * (time.perf_counter() - start)

    times = list(pool.map(compiled, sources)) if not run.dry else [0.0] * len(sources)
    for k, (kernel, made) in enumerate(zip(chosen, sources, strict=True)):
        if time.monotonic() - begin > _LONGEST:
            run.say(f"kernels of the zoo: {len(chosen) - k} were not run, as {_LONGEST:.0f} s are over")
            break
        about = {"kernel": kernel.name, "template": made.template, "dtype": kernel.dtype, "compile_ms": round(times[k], 1)}
        problem = kernel.problem
        for n_rows, columns in ((5, 37),) if run.dry else SIZES.get(kernel.kind, _OTHERS):
            if columns < problem.reduction.smallest_axis:
                continue
            arrays = kernel.arrays(*((n_rows, columns) if problem.axis == 1 else (columns, n_rows)))
            row = {**about, "rows": n_rows, "columns": columns, "_k": k, "_arrays": arrays, "_problem": problem, "_made": made}
            try:
                row["_found"] = running.run(made, DeviceModule(cupy, made), problem, arrays, "result")
                row["error"] = comparing.check(problem, row["_found"], arrays, kernel.dtype, kernel.name, _SLACK)
                row["ok"] = True
            except Exception as error:
                right = False
                row.update(ok=False, message=f"{type(error).__name__}: {error}"[:300].replace("\n", " "))
            rows.append(row)
        if k % 20 == 0:
            run.write_csv("zoo.csv", [{key: value for key, value in row.items() if key[0] != "_"} for row in rows])
    return rows, right


def _compare_with_emulator(run, rows, modules, running, begin) -> None:
    """Add what the emulator says of the same sources and arrays."""
    largest = 0.0
    for row in rows:
        if time.monotonic() - begin > _LONGEST + 20:
            run.say("the emulator: not all kernels were compared, as the time is over")
            break
        if "_found" not in row:
            continue
        emulated = running.run(row["_made"], modules[row["_k"]], row["_problem"], row["_arrays"], "result")
        row["differs_from_emulator"] = max(_difference(a, b) for a, b in zip(row["_found"], emulated, strict=True))
        row["same_bits"] = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(row["_found"], emulated, strict=True))
        if row["dtype"] == "float32":
            largest = max(largest, row["differs_from_emulator"])
    same = sum(bool(row.get("same_bits")) for row in rows)
    run.say(f"beside the emulator: {same} of {len(rows)} results have the same bits; float32 differs by at most {largest:.1e}")


def _difference(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference relative to the largest value; of indices, the share that differs."""
    if a.dtype.kind == "i":
        return float(np.mean(a != b)) if a.size else 0.0
    if not np.array_equal(np.isfinite(a), np.isfinite(b)):
        return float("inf")
    finite = np.isfinite(b)
    return float(np.abs(a[finite] - b[finite]).max(initial=0.0) / max(1.0, np.abs(b[finite]).max(initial=0.0)))
