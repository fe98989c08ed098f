"""The emulated kernels under the compiler's sanitizers: wrong addresses, misaligned reads, races between threads.

    python -m tests.cuda.sanitize [address] [undefined] [thread]

Without an argument, all three, each in a process of its own. The whole zoo runs on small sizes, with and without ranges. Needs
g++ with its sanitizers on x86-64; takes some ten minutes. It exits with 1 if a sanitizer has something to say.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve()
ROOT = HERE.parents[2]
FLAGS = {
    "address": ["-fsanitize=address", "-g", "-fno-omit-frame-pointer"],
    "undefined": ["-fsanitize=alignment,bounds,signed-integer-overflow,shift", "-fno-sanitize-recover=all", "-g"],
    "thread": ["-fsanitize=thread", "-g", "-fno-omit-frame-pointer"],
}
LIBRARIES = {"address": "libasan.so", "undefined": "libubsan.so", "thread": "libtsan.so"}


def main(kinds: list[str]) -> int:
    unknown = set(kinds) - set(FLAGS)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; expected some of {', '.join(FLAGS)}", file=sys.stderr)
        return 2
    failed = []
    for kind in kinds or FLAGS:
        library = subprocess.run(
            ["g++", f"-print-file-name={LIBRARIES[kind]}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        environment = {
            **os.environ,
            "LD_PRELOAD": library,
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
            "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
            "TSAN_OPTIONS": "halt_on_error=1:report_signal_unsafe=0:history_size=4",
            "PYTHONMALLOC": "malloc",
            "OPENBLAS_NUM_THREADS": "1",
        }
        command = [sys.executable, "-m", "tests.cuda.sanitize", "--run", kind]
        if kind == "thread":  # its shadow memory does not go with random addresses
            command = ["setarch", platform.machine(), "-R", *command]
        print(f"=== {kind}", flush=True)
        if subprocess.run(command, cwd=ROOT, env=environment).returncode:
            failed.append(kind)
    print(f"failed: {', '.join(failed)}" if failed else "nothing found")
    return int(bool(failed))


def run(kind: str) -> None:
    """Run the kernels in this process, whose sanitizer has been loaded already."""
    import numpy as np

    from skkeops.backends.cuda import source
    from skkeops.plan.plan import make_plan

    from . import emulator, running, zoo

    sizes = [(5, 37)] if kind == "thread" else [(1, 1), (5, 37), (130, 45), (3, 1100)]
    ranges = np.array([[0, 2], [3, 5]]), np.array([1, 2]), np.array([[0, 20], [10, 37]])
    kernels = zoo.kernels()
    sources = [source(make_plan(kernel.problem), kernel.dtype, None, kernel.template) for kernel in kernels]
    step = 40  # so that something is seen soon
    for start in range(0, len(kernels), step):
        part = slice(start, start + step)
        modules = emulator.compile_sources([made.text for made in sources[part]], (*emulator.FLAGS, *FLAGS[kind]))
        for kernel, made, module in zip(kernels[part], sources[part], modules, strict=True):
            problem = kernel.problem
            for rows, columns in sizes:
                if columns < problem.reduction.smallest_axis:
                    continue
                arrays = kernel.arrays(*((rows, columns) if problem.axis == 1 else (columns, rows)))
                running.run(made, module, problem, arrays, "result")
                with_ranges = made.template in ("rows", "wide") and not kernel.name.startswith(("no ", "ones"))
                if with_ranges and (rows, columns) == (5, 37):
                    running.run(made, module, problem, arrays, "state", ranges, order=2)
            print(f"{made.template:8} {kernel.dtype} {kernel.kind} {kernel.name}", flush=True)
    _points(zoo, emulator, FLAGS[kind])


def _points(zoo, emulator, flags: list[str]) -> None:
    """Run the kernels that evaluate the operations point by point."""
    import numpy as np

    from skkeops.backends.cuda.source import points_source

    found = [(problem, needs, dtype) for problem, needs in zoo.operations() for dtype in ("float32", "float64")]
    sources = [points_source(problem.values, problem.variables, dtype) for problem, _, dtype in found]
    modules = emulator.compile_sources([made.text for made in sources], (*emulator.FLAGS, *flags))
    for (problem, needs, dtype), made, module in zip(found, sources, modules, strict=True):
        arrays = zoo.operation_arrays(needs, 131, 131, dtype)
        outputs = [np.full((131, e.dim), np.nan, dtype) for e in problem.values]
        for launch in made.geometry(131, len(outputs)).launches:
            taken = [arrays[k] for k in made.variables]
            module.launch(launch.kernel, launch.grid, launch.block, [*taken, *outputs, np.int64(131)])
        assert all(np.isfinite(out).all() for out in outputs), problem
    print(f"points   {len(found)} sources", flush=True)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["--run"]:
        run(arguments[1])
    else:
        sys.exit(main(arguments))
