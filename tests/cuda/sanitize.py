"""The emulated kernels under the compiler's sanitizers: wrong addresses, misaligned reads, races between threads.

    python -m tests.cuda.sanitize [address] [undefined] [thread]

Without an argument, all three, each in a process of its own. A kernel of every template and fold runs on small sizes. Needs
g++ with its sanitizers on x86-64; takes some minutes. It exits with 1 if a sanitizer has something to say.
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

    entries = [(e, "rows") for e in zoo.REDUCTIONS if e.name.endswith("/1")]
    narrow = [(e, "columns") for e in zoo.REDUCTIONS if e.name.endswith("/1")]
    entries += [e for k, e in enumerate(narrow) if k % 2 == 0 or e[0].problem.reduction.fold == "kmin"]
    long = [(e, "auto") for e in zoo.DOT if e.name.endswith("/1")]
    entries += [e for k, e in enumerate(long) if k % 2 == 0 or e[0].problem.reduction.fold == "kmin"]
    entries += [(e, "auto") for e in zoo.MATRIX if e.name.endswith("/1")]
    entries += [(e, "rows") for e in zoo.WIDE][::3]
    sizes = [(5, 37)] if kind == "thread" else [(1, 1), (5, 37), (130, 45), (3, 1100)]
    ranges = np.array([[0, 2], [3, 5]]), np.array([1, 2]), np.array([[0, 20], [10, 37]])
    cases = [
        (name, problem, dtype, source(make_plan(problem), dtype, None, template))
        for (name, problem), template in entries
        for dtype in ("float32", "float64")
    ]
    modules = emulator.compile_sources([made.text for *_, made in cases], (*emulator.FLAGS, *FLAGS[kind]))
    for (name, problem, dtype, made), module in zip(cases, modules, strict=True):
        for rows, columns in sizes:
            if columns < problem.reduction.smallest_axis:
                continue
            m, n = (rows, columns) if problem.axis == 1 else (columns, rows)
            arrays = zoo.random_arrays(problem, m, n, dtype)
            running.run(made, module, problem, arrays, "result")
            if made.template in ("rows", "wide") and not name.startswith(("no ", "ones")) and rows == 5:
                running.run(made, module, problem, arrays, "state", ranges, order=2)
        print(f"{made.template:8} {dtype} {name}", flush=True)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] == ["--run"]:
        run(arguments[1])
    else:
        sys.exit(main(arguments))
