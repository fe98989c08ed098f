"""``python -m benchmarks.kernel_sum``: KernelSum beside scikit-learn's ``rbf_kernel(X, Y) @ b``, time and memory.

Each way runs in a process of its own, so that the memory beyond the data is its own; the times are the shortest of several
calls in the same run.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

AT_LEAST = 4.0


def data(n: int, d: int, dtype: str):
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape).astype(dtype) for shape in ((n, d), (n, d), (n, 1)))


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def work(way: str, n: int, d: int, dtype: str) -> dict:
    """Seconds of the fastest call, bytes beyond the data and the imports, and some of the result."""
    X, Y, b = data(n, d, dtype)
    gamma = 1 / d
    if way == "skkeops":
        from skkeops import KernelSum

        function = KernelSum(gamma=gamma).fit(Y, b).transform
    else:
        from sklearn.metrics.pairwise import rbf_kernel

        def function(X):  # noqa: N803
            return rbf_kernel(X, Y, gamma=gamma) @ b

    function(X[:10])
    before = peak_bytes()
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        result = function(X)
        seconds.append(time.perf_counter() - start)
    return {"seconds": min(seconds), "bytes": peak_bytes() - before, "some": result[:: n // 50, 0].tolist()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="ten times fewer points")
    parser.add_argument("--way", choices=["skkeops", "scikit-learn"], help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(work(arguments.way, *json.loads(arguments.case))))
        return 0
    missed = False
    n = 2000 if arguments.quick else 20_000
    print(f"{'KernelSum.transform':34}{'scikit-learn':>22}{'skkeops':>22}   ratio")
    for d, dtype in ((3, "float32"), (16, "float32"), (16, "float64"), (64, "float32")):
        found = {}
        for way in ("scikit-learn", "skkeops"):
            command = [sys.executable, "-m", "benchmarks.kernel_sum", "--way", way, "--case", json.dumps([n, d, dtype])]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[way] = json.loads(done.stdout)
        theirs, ours = found["scikit-learn"], found["skkeops"]
        ratio = theirs["seconds"] / ours["seconds"]
        difference = np.max(np.abs(np.subtract(theirs["some"], ours["some"]))) / np.max(np.abs(theirs["some"]))
        required = (d, dtype) == (16, "float32") and not arguments.quick
        missed |= required and ratio < AT_LEAST
        print(
            f"{n} x {n}, D={d}, {dtype:10}"
            + "".join(f"{f['seconds']:11.2f} s{f['bytes'] / 1e6:7.0f} MB" for f in (theirs, ours))
            + f"{ratio:8.1f}"
            + (f"  at least {AT_LEAST:g}" + ("" if ratio >= AT_LEAST else ": MISSED") if required else "")
            + f"   differ by {difference:.0e}"
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
