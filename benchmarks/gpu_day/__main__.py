"""``python -m benchmarks.gpu_day --out DIR``: everything that only a GPU can tell, in less than ten minutes.

Steps, in an order in which a time-out leaves the most important: what machine this is (env.txt); correctness against dense
NumPy (correct.csv), after which a failure stops; rates of the device and costs of launches (rates.json); times beside the
floor, and peers in the same run on device arrays (bench.csv); compute-sanitizer (sanitizer.csv); ncu (ncu.csv); a table.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import subprocess
import sys
import time
from pathlib import Path

from . import correct, grid, rates, tools
from .cases import TEMPLATES, on_device, skkeops_call
from .run import Run, Skipped

_TESTS = Path(__file__).resolve().parents[2] / "tests" / "cuda"


def environment(run: Run) -> None:
    """Write down what machine this is."""
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


def stand_in():
    """Return CuPy's stand-in from the tests, with the emulator that runs its kernels."""
    import importlib

    sys.path.insert(0, str(_TESTS / "stand_in"))
    sys.path.insert(0, str(_TESTS))
    cupy = importlib.import_module("cupy")
    cupy._kernels.emulator = importlib.import_module("emulator").RawModule
    return cupy


def launch(name: str) -> int:
    """Run one small reduction once: for the sanitizer and the profiler."""
    from skkeops.backends.gpu import check_usable

    cupy = check_usable()
    row = TEMPLATES[name]
    skkeops_call(row, on_device(cupy, row))()
    cupy.cuda.runtime.deviceSynchronize()
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the steps; return 1 if a result is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_day", description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", metavar="DIR", help="the folder of the results (default: gpu_day)", default="gpu_day")
    parser.add_argument("--seconds", type=float, default=570.0, help="when to stop beginning anything new (default: 570)")
    parser.add_argument("--dry-run", action="store_true", help="on the stand-in for CuPy, tiny: shows that the script works")
    parser.add_argument("--keep-going", action="store_true", help="do not stop after a wrong result")
    parser.add_argument("--launch", choices=list(TEMPLATES), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.launch:
        return launch(args.launch)
    if args.dry_run:
        cupy = stand_in()
    else:
        from skkeops.backends.gpu import check_usable

        cupy = check_usable()
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    run = Run(out, cupy, args.dry_run, time.monotonic() + args.seconds)
    if args.dry_run:
        run.say("a dry run on CuPy's stand-in: no figure below means anything")

    environment(run)
    right = correct.check(run)
    rows: list[dict] = []
    if right or args.keep_going:
        found = rates.measure(run)
        rows = grid.time_all(run, found)
        for step in (tools.sanitize, tools.profile):
            try:
                if run.left < 10:
                    raise Skipped(f"{step.__name__}: not run, as the time is over")
                step(run)
            except Skipped as reason:
                run.say(str(reason))
        table(run, rows)
    run.write_json("summary.json", {"right": right, "dry_run": args.dry_run, "sentences": run.sentences, "rows": rows})
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
