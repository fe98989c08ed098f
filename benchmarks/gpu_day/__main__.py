"""``python -m benchmarks.gpu_day --out DIR``: everything that only a GPU can tell, in less than ten minutes.

Steps, in an order in which a time-out leaves the most important; each writes what it has as it goes.

1. what machine this is (env.txt);
2. correctness, after which a failure stops: every kernel of the tests' zoo against the reference and the emulator (zoo.csv), calls
   and gradients against dense NumPy (correct.csv), the tests of the host code;
3. rates of the device, and costs of launches and compilation (rates.json);
4. times beside their floors, and peers in the same run on device arrays: KeOps and torch, CuPy (bench.csv);
5. compute-sanitizer (sanitizer.csv) and ncu (ncu.csv) on a kernel of every template;
6. the table of times, and what was aimed for beside what was found (summary.json).

What is not installed is left out, with a sentence. KeOps needs CUDA in a place where it looks: see `keops_env`.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from importlib import metadata
from pathlib import Path

import numpy as np

from . import correct, grid, keops_env, rates, tools, zoo
from .cases import TEMPLATES, on_device, skkeops_call
from .run import ROOT, Run, Skipped, from_tests

_STARTED = "SKKEOPS_GPU_DAY"  # set in the process that has KeOps' environment


def environment(run: Run) -> None:
    """Write down what machine this is, and what is installed."""
    import skkeops

    parts = []
    smi = shutil.which("nvidia-smi")
    if smi is None:
        run.say("nvidia-smi is not on PATH: clocks and driver are not recorded")
    else:
        parts.append(subprocess.run([smi, "-q"], capture_output=True, text=True).stdout)
    for show in (skkeops.show_versions, run.cupy.show_config):
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            show()
        parts.append(text.getvalue())
    parts.append("\n".join(sorted({f"{found.name} {found.version}" for found in metadata.distributions()}, key=str.lower)))
    (run.out / "env.txt").write_text("\n\n".join(parts))


def table(run: Run, rows: list[dict]) -> None:
    """Print the times as one table."""
    run.say(f"{'':52} {'who':16} {'ms':>10} {'floor':>10} {'reached':>8} {'x skkeops':>9}")
    for row in rows:
        title = f"{row['title']}, {row['M']} x {row['N']}, {row['dtype']}"[:52] if row["who"] == "skkeops" else ""
        floor = f"{row['floor_ms']:.4g}" if "floor_ms" in row else ""
        reached = f"{row['share_of_floor']:.0%}" if "share_of_floor" in row else ""
        ratio = f"{row['times_skkeops']:.2f}" if "times_skkeops" in row else ""
        run.say(f"{title:52} {row['who']:16} {row['median_ms']:10.4g} {floor:>10} {reached:>8} {ratio:>9}")


def aims(run: Run, rows: list[dict]) -> list[dict]:
    """Print what is asked for beside what was found."""
    found = grid.aims(rows)
    run.say(f"{'aims':58} {'':14} {'aim':>7} {'found':>7}")
    for line in found:
        value = "-" if line["found"] is None else f"{line['found']:.2f}"
        verdict = "" if line["reached"] is None else "reached" if line["reached"] else "MISSED"
        run.say(f"{line['row'][:58]:58} {line['what']:14} {line['aim']:7.2f} {value:>7} {verdict}")
    return found


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
    parser.add_argument("--without", nargs="+", default=[], metavar="STEP", help="steps that are left out")
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

    summary = {"right": False, "dry_run": args.dry_run, "sentences": run.sentences, "rows": [], "aims": []}

    def write() -> None:
        run.write_json("summary.json", summary)

    def step(function, *rest, otherwise=None):
        """Run a step; one that breaks leaves the others theirs."""
        begin = time.monotonic()
        try:
            return function(run, *rest)
        except Skipped as reason:
            run.say(str(reason))
        except Exception as error:
            traceback.print_exc()
            run.say(f"BROKEN {function.__module__}.{function.__name__}: {type(error).__name__}: {str(error)[:300]}")
        finally:
            run.say(f"[{function.__name__}: {time.monotonic() - begin:.0f} s, {run.left:.0f} s left]")
            write()
        return otherwise

    def go_on_if_broken(*done: str) -> None:
        """Start a new process without the steps that are done where a kernel left the device's context unusable."""
        try:
            cupy.cuda.runtime.deviceSynchronize()
            cupy.asarray(np.arange(3.0)).get()
        except Exception as error:
            run.say(f"the context is lost, a new process goes on: {type(error).__name__}: {str(error)[:200]}")
            rest = ["--out", str(out), "--seconds", f"{run.left:.0f}", "--keep-going", "--without", *done]
            os.execv(sys.executable, [sys.executable, "-m", "benchmarks.gpu_day", *rest])

    step(environment)
    right = "check_kernels" in args.without or bool(step(zoo.check_kernels, otherwise=False))
    go_on_if_broken("check_kernels")
    if right or args.keep_going:
        right = ("check" in args.without or bool(step(correct.check, otherwise=False))) and right
        go_on_if_broken("check_kernels", "check")
    summary["right"] = right
    rows = summary["rows"]
    if right or args.keep_going:
        found = step(rates.measure) or rates.Rates({}, 132, 1.98e9)
        step(grid.time_all, found, rows)
        summary["aims"] = grid.aims(rows)
        table(run, rows)
        for late in (tools.sanitize, correct.tests):
            if run.left > 30 or run.dry:
                summary["right"] = step(late, otherwise=True) is not False and summary["right"]
        if run.left > 30 or run.dry:
            step(grid.time_all, found, rows, ("torch in chunks", "CuPy in chunks"))
        if run.left > 30 or run.dry:
            step(tools.profile)
        table(run, rows)
        aims(run, rows)
    write()
    return 0 if summary["right"] else 1


if __name__ == "__main__":
    sys.exit(main())
