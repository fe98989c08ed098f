"""``python -m benchmarks.gpu_day --out DIR``: everything that only a GPU can tell, in less than ten minutes.

The steps (`steps.STEPS`) come in an order in which a time-out leaves the most important; each writes what it has as it goes.

machine    what machine this is (env.txt)
warm       the kernels of the later steps are compiled in parallel
zoo        every kernel of the tests' zoo against the reference and the emulator (zoo.csv)
correct    calls and gradients against dense NumPy (correct.csv)
rates      of the device, and costs of launches and compilation (rates.json)
rows       times beside their floors and KeOps, on device arrays (bench.csv)
sanitizer  compute-sanitizer on a kernel of every template (sanitizer.csv)
tests      the tests of the host code, on the device
peers      torch and CuPy, in the same run (bench.csv)
profile    ncu on a kernel of every template (ncu.csv)

At the end come the table of times and what was aimed for beside what was found (results.md, summary.json). What is not installed is
left out, with a sentence. KeOps needs CUDA in a place where it looks: see `keops_env`. `prepare` and `there` carry all of it to a
machine without a network.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import keops_env
from .cases import TEMPLATES, on_device, skkeops_call
from .run import ROOT, Run, from_tests
from .steps import STEPS, Day

_STARTED = "SKKEOPS_GPU_DAY"  # set in the process that has KeOps' environment


def stand_in():
    """Return CuPy's stand-in from the tests, with the emulator that runs its kernels."""
    import importlib

    sys.path.insert(0, str(ROOT / "tests" / "cuda" / "stand_in"))
    cupy = importlib.import_module("cupy")
    cupy._kernels.emulator = from_tests("emulator").RawModule
    return cupy


def launch(names: list[str]) -> int:
    """Run small reductions once each: for the sanitizer and the profiler."""
    from skkeops.backends.gpu import check_usable

    cupy = check_usable()
    for name in names:
        row = TEMPLATES[name]
        skkeops_call(row, on_device(cupy, row))()
    cupy.cuda.runtime.deviceSynchronize()
    return 0


def start_again(argv: list[str]) -> int:
    """Run the script in a process in whose environment KeOps finds CUDA."""
    with tempfile.TemporaryDirectory() as folder:
        variables, missing = keops_env.environment(Path(folder) / "cuda", os.environ)
        command = [sys.executable, "-m", "benchmarks.gpu_day", *argv]
        return subprocess.run(command, env={**variables, _STARTED: ", ".join(missing) or "complete"}).returncode


def main(argv: list[str] | None = None) -> int:
    """Run the steps; return 1 if a result is wrong, 2 if there is no device."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_day", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", metavar="DIR", help="the folder of the results (default: gpu_day)", default="gpu_day")
    parser.add_argument("--seconds", type=float, default=570.0, help="when to stop beginning anything new (default: 570)")
    parser.add_argument("--dry-run", action="store_true", help="on the stand-in for CuPy, tiny: shows that the script works")
    parser.add_argument("--keep-going", action="store_true", help="do not stop after a wrong result")
    parser.add_argument("--without", choices=list(STEPS), nargs="+", default=[], metavar="STEP", help="leave out these steps")
    parser.add_argument("--launch", choices=list(TEMPLATES), nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.launch:
        return launch(args.launch)
    if args.dry_run:
        cupy = stand_in()
    elif _STARTED not in os.environ:
        return start_again(sys.argv[1:] if argv is None else argv)
    else:
        from skkeops.backends.gpu import check_usable

        try:
            cupy = check_usable()
        except RuntimeError as error:
            print(f"there is no GPU to use: {error}", file=sys.stderr)
            return 2
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    run = Run(out, cupy, args.dry_run, time.monotonic() + args.seconds)
    if args.dry_run:
        run.say("a dry run on CuPy's stand-in: no figure below means anything")
    elif os.environ[_STARTED] != "complete":
        run.say(f"KeOps' environment lacks {os.environ[_STARTED]}")
    return 0 if Day(run, args.keep_going, tuple(args.without)).go() else 1


if __name__ == "__main__":
    sys.exit(main())
