"""``python -m benchmarks.gpu_calls``: how much Python of ours a call on CuPy's arrays takes, without a GPU and without CuPy.

Arrays and kernels are hollow (see `hollow`): what remains is what we do before and between the launches. Small problems take no
longer than that. We aim for less than 20 us a call. With ``--callgrind``, and valgrind installed, the processor's instructions
are counted too, which do not depend on what else the machine does.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .hollow import hollow_cupy

AIM_US = 20.0


def calls(cupy: Any) -> dict[str, Callable[[], Any]]:
    """Return what is measured, on ten points."""
    from skkeops import Genred

    aliases = ["x = Vi(3)", "y = Vj(3)", "b = Vj(1)"]
    total = Genred("Exp(-SqDist(x, y)) * b", aliases, axis=1)
    nearest = Genred("SqDist(x, y)", aliases[:2], "KMin_ArgKMin", axis=1, opt_arg=3)
    x, y, b, e = (cupy.ndarray((10, dim), np.dtype(np.float32)) for dim in (3, 3, 1, 1))
    return {
        "Sum": lambda: total(x, y, b),
        "KMin_ArgKMin": lambda: nearest(x, y),
        "gradient of Sum by one argument": lambda: total.gradient(x, y, b, wrt="x", grad_output=e),
        "gradient of Sum by three": lambda: total.gradient(x, y, b, wrt=("x", "y", "b"), grad_output=e),
    }


def microseconds(call: Callable[[], Any], times: int = 200, rounds: int = 60) -> tuple[float, float]:
    """Return the median and the shortest of the means of some calls each."""
    call()
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(times):
            call()
        found.append(1e6 * (time.perf_counter() - start) / times)
    return statistics.median(found), min(found)


def processor_instructions(name: str, times: int = 1000) -> float | None:
    """Return the instructions of a call, counted by callgrind, as the difference of two runs; None without valgrind."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return None
    totals = []
    for count in (0, times):
        command = [valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null", sys.executable, "-m", "benchmarks.gpu_calls"]
        done = subprocess.run([*command, "--repeat", name, str(count)], capture_output=True, text=True)
        match = re.search(r"Collected\s*:\s*(\d+)", done.stderr)
        if match is None:
            return None
        totals.append(int(match.group(1)))
    return (totals[1] - totals[0]) / times


def main(argv: list[str] | None = None) -> int:
    """Print the table; return 1 if a call takes longer than the aim."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_calls", description=__doc__.split("\n\n")[0])
    parser.add_argument("--callgrind", action="store_true", help="count the processor's instructions, too (a minute)")
    parser.add_argument("--repeat", nargs=2, metavar=("CALL", "TIMES"), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    with hollow_cupy() as cupy:
        found = calls(cupy)
        if args.repeat:
            call, times = found[args.repeat[0]], int(args.repeat[1])
            call()
            for _ in range(times):
                call()
            return 0
        slow = False
        print(f"{'':34} {'median us':>10} {'best us':>8}" + (f" {'instructions':>13}" if args.callgrind else ""))
        for name, call in found.items():
            median, best = microseconds(call)
            slow |= best > AIM_US
            counted = processor_instructions(name) if args.callgrind else None
            print(f"{name:34} {median:10.2f} {best:8.2f}" + (f" {counted:13,.0f}" if counted is not None else ""))
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
