"""``python -m benchmarks``: times of skkeops beside KeOps' CPU backend, same cores, same run, warm, best of several.

The first column of times is KeOps', the second skkeops', the third their ratio with what it should at least be and what
we aim for; then the time that the arithmetic alone would take at the machine's measured rates, and the share of it
that skkeops reaches. A row that misses what it should reach is marked.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from dataclasses import dataclass

import numpy as np

from . import limits
from .cases import CASES, Case
from .timing import take_turns

TOLERANCE = {"float32": 2e-4, "float64": 1e-10}
FOR_INDICES = 1e-3  # share of the indices that may differ: ties in the last digit


@dataclass(frozen=True)
class Row:
    name: str
    title: str
    dtype: str
    keops: float | None
    skkeops: float
    limit: float | None
    at_least: float
    aim: float
    disagreement: float | None

    @property
    def ratio(self) -> float | None:
        return None if self.keops is None else self.keops / self.skkeops

    @property
    def verdict(self) -> str:
        if self.ratio is None:
            return ""
        return "aim reached" if self.ratio >= self.aim else "ok" if self.ratio >= self.at_least else "MISSED"

    @property
    def agrees(self) -> bool:
        allowed = FOR_INDICES if self.name.startswith("arg") else TOLERANCE[self.dtype]
        return self.disagreement is None or self.disagreement <= allowed

    def as_dict(self) -> dict:
        return {**self.__dict__, "ratio": self.ratio}


def run_case(case: Case, dtype: str, machine: limits.Machine | None, with_keops: bool, args) -> Row:
    if case.first_call:
        ours, theirs, disagreement = first_call(case, dtype, with_keops)
    else:
        arrays = case.arrays(dtype)
        case.complete(arrays)
        functions = [case.prepare_skkeops(arrays)]
        if with_keops:
            functions.append(case.prepare_keops(arrays))
        results = [function() for function in functions]
        disagreement = case.disagreement(*results) if with_keops else None
        best = take_turns(functions, args.seconds, args.rounds)
        ours, theirs = best[0], best[1] if with_keops else None
    least = machine.again().seconds(case) if machine and case.work.functions + case.work.flops else None
    factor = 1.0 if dtype == "float32" else 0.5  # float64 is asked for half of the ratios
    return Row(
        case.name, case.label, dtype, theirs, ours, least, case.at_least * factor, case.aim * factor, disagreement
    )


def first_call(case: Case, dtype: str, with_keops: bool):
    """From the text of a formula that neither library has met to its result; all else is warm."""

    def once(prepare, new: Case):
        start = time.perf_counter()
        result = prepare(new, arrays)()
        return time.perf_counter() - start, result

    arrays = case.arrays(dtype)
    once(Case.prepare_skkeops, case.never_seen())
    ours = min(once(Case.prepare_skkeops, case.never_seen())[0] for _ in range(10))
    if not with_keops:
        return ours, None, None
    new = case.never_seen()
    theirs, result = once(Case.prepare_keops, new)
    return ours, theirs, case.disagreement(once(Case.prepare_skkeops, new)[1], result)


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


HEADER = f"{'':58} {'KeOps':>9} {'skkeops':>9} {'ratio':>7} {'least':>6} {'aim':>6}  {'limit':>9} {'reached':>8}"


def line(row: Row) -> str:
    ratio = "-" if row.ratio is None else f"{row.ratio:.1f}"
    reached = "-" if row.limit is None else f"{row.limit / row.skkeops:.0%}"
    text = f"{row.title:58} {duration(row.keops):>9} {duration(row.skkeops):>9} {ratio:>7}"
    text += f" {row.at_least:>6g} {row.aim:>6g}  {duration(row.limit):>9} {reached:>8}  {row.verdict}"
    return text if row.agrees else text + f"  RESULTS DIFFER by {row.disagreement:.1e}"


def threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))


def describe(with_keops: bool) -> dict:
    import skkeops

    about = {"machine": processor(), "threads": threads(), "python": platform.python_version(), "numpy": np.__version__}
    about["skkeops"] = skkeops.__version__
    try:
        from skkeops.backends.cpu import engine_info

        about["simd"] = engine_info().get("simd_level")
    except ImportError:
        pass
    if with_keops:
        import pykeops

        about["pykeops"] = pykeops.__version__
    return about


def processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(text.split(":")[1].strip() for text in lines if text.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def have_keops() -> bool:
    try:
        import pykeops.numpy
    except ImportError as error:
        print(f"KeOps is not timed ({error}): pip install .[bench]")
        return False
    pykeops.set_verbose(False)
    return True


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n\n")[0])
    parser.add_argument("--rows", nargs="+", metavar="ROW", choices=[c.name for c in CASES], help="only these rows")
    parser.add_argument("--quick", action="store_true", help="ten times fewer points on each side, short timings")
    parser.add_argument("--float64", action="store_true", help="in double precision (default: single)")
    parser.add_argument("--seconds", type=float, default=4.0, help="time spent on a row, both libraries (default: 4)")
    parser.add_argument("--rounds", type=int, default=5, help="turns that the two libraries take (default: 5)")
    parser.add_argument("--no-keops", action="store_true", help="time skkeops alone")
    parser.add_argument("--json", metavar="FILE", help="also write the figures to this file")
    args = parser.parse_args(argv)
    if args.quick:
        args.seconds, args.rounds = min(args.seconds, 0.4), min(args.rounds, 2)

    dtype = "float64" if args.float64 else "float32"
    with_keops = not args.no_keops and have_keops()
    about = describe(with_keops)
    print(", ".join(f"{key} {value}" for key, value in about.items()), f"({dtype})")
    busy = os.getloadavg()[0]
    if busy > 0.5:
        print(f"other programs keep {busy:.1f} cores busy: wait for a quiet machine before believing the figures")
    machine = None
    try:
        machine = limits.Machine(dtype)
    except limits.LimitsError as error:
        print(error)
    print(HEADER)
    rows = []
    for case in CASES:
        if args.rows and case.name not in args.rows:
            continue
        row = run_case(case.shrunk(10) if args.quick else case, dtype, machine, with_keops, args)
        rows.append(row)
        print(line(row), flush=True)
    if machine:
        best = machine.limits
        print(
            f"limits: {best.exponentials / 1e9:.2f} G exp/s, {best.flops / 1e9:.0f} GFLOP/s, "
            f"{best.gemm_flops / 1e9:.0f} GFLOP/s in matrix products, {best.bytes / 1e9:.1f} GB/s copied"
        )
    print("beside NumPy, scikit-learn, PyTorch and JAX, over sizes and dimensions: python -m benchmarks.report --out DIR")
    if args.json:
        figures = {
            "about": about,
            "limits": machine and machine.limits.as_dict(),
            "rows": [row.as_dict() for row in rows],
        }
        with open(args.json, "w") as file:
            json.dump(figures, file, indent=1)
    return 0 if all(row.agrees for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
