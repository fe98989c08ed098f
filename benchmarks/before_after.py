"""``python -m benchmarks.before_after``: the same results with NumPy and SciPy on the matrix of pairs, and with skkeops.

Each of the four programs below runs in a process of its own: once on few points, so that everything is loaded, then on
all of them. Its memory is how much the largest resident size of that process grows meanwhile; its time is the shortest of
``--rounds`` calls. Both use the same cores and double precision; the results are compared.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np


def dense_sum(x, y, b):
    from scipy.spatial.distance import cdist

    return np.exp(-cdist(x, y, "sqeuclidean")) @ b


def skkeops_sum(x, y, b):
    from skkeops import Genred

    return Genred("Exp(-SqDist(x,y))*b", ["x = Vi(3)", "y = Vj(3)", "b = Vj(1)"], axis=1)(x, y, b)


def dense_log_sum_exp(x, y, b):
    from scipy.spatial.distance import cdist
    from scipy.special import logsumexp

    return logsumexp(b.T - cdist(x, y, "sqeuclidean"), axis=1, keepdims=True)


def skkeops_log_sum_exp(x, y, b):
    from skkeops import Genred

    return Genred("b-SqDist(x,y)", ["x = Vi(3)", "y = Vj(3)", "b = Vj(1)"], "LogSumExp", axis=1)(x, y, b)


PROGRAMS = {
    "Gaussian kernel sum": (dense_sum, skkeops_sum),
    "log-sum-exp": (dense_log_sum_exp, skkeops_log_sum_exp),
}
UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


def data(points: int):
    rng = np.random.default_rng(0)
    return rng.standard_normal((points, 3)), rng.standard_normal((points, 3)), rng.standard_normal((points, 1))


def measure(title: str, which: int, points: int, rounds: int, result: str) -> dict[str, float]:
    """Time and memory of one program, in this process; its result goes to a file."""
    program = PROGRAMS[title][which]
    arrays = data(points)
    program(*data(200))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        out = program(*arrays)
        seconds.append(time.perf_counter() - start)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    np.save(result, out)
    return {"seconds": min(seconds), "megabytes": grown * UNIT / 1e6}


def measure_apart(title: str, which: int, args) -> tuple[dict[str, float], np.ndarray]:
    with tempfile.NamedTemporaryFile(suffix=".npy") as result:
        call = [title, which, args.points, args.rounds, result.name]
        command = [sys.executable, "-m", "benchmarks.before_after", "--measure", json.dumps(call)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(done.stdout), np.load(result.name)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.before_after", description=__doc__.split("\n\n")[0])
    parser.add_argument("--points", type=int, default=10_000, help="on each side (default: 10000)")
    parser.add_argument("--rounds", type=int, default=3, help="calls, of which the shortest counts (default: 3)")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.measure:
        print(json.dumps(measure(*json.loads(args.measure))))
        return 0

    print(f"{args.points} x {args.points} points in 3 dimensions, float64")
    print(f"{'':22} {'NumPy and SciPy':>20} {'skkeops':>20} {'time':>8} {'memory':>9}")
    agree = True
    for title in PROGRAMS:
        (dense, expected), (ours, found) = (measure_apart(title, which, args) for which in (0, 1))
        agree &= np.allclose(found, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())
        texts = [f"{m['seconds']:7.2f} s {m['megabytes']:7.0f} MB" for m in (dense, ours)]
        time_ratio = dense["seconds"] / ours["seconds"]
        memory_ratio = dense["megabytes"] / max(ours["megabytes"], 1.0)  # the size of a process moves by pages
        print(f"{title:22} {texts[0]:>20} {texts[1]:>20} {time_ratio:7.1f}x {memory_ratio:8.0f}x", flush=True)
    print("results agree to 1e-10" if agree else "RESULTS DIFFER")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
