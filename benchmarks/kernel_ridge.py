"""``python -m benchmarks.kernel_ridge [--large]``: KernelRidge beside scikit-learn's, fit and predict, time and memory.

Each runs in a process of its own, so that the memory beyond the data is its own. ``--large`` adds 100 000 samples, where
scikit-learn's would take 80 GB for the matrix alone.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

D = 8
QUERIES = 2000


def data(n: int):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n + QUERIES, D))
    y = np.sin(X[:, 0] + X[:, 1]) + 0.5 * X[:, 2] * X[:, 3] + 0.1 * rng.standard_normal(len(X))
    return X[:n], y[:n], X[n:]


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def work(way: str, n: int, alpha: float) -> dict:
    """Seconds of fit and predict, bytes beyond the data and the imports, and the predictions."""
    X, y, queries = data(n)
    if way == "skkeops":
        from skkeops import KernelRidge
    else:
        from sklearn.kernel_ridge import KernelRidge
    same = {"tol": 1e-8} if way == "skkeops" else {}  # the numbers of a decomposition, whatever the noise
    model = KernelRidge(kernel="rbf", gamma=1 / D, alpha=alpha, **same)
    model.fit(X[:200], y[:200]).predict(queries[:10])
    before = peak_bytes()
    start = time.perf_counter()
    result = model.fit(X, y).predict(queries)
    seconds = time.perf_counter() - start
    found = {"seconds": seconds, "bytes": peak_bytes() - before, "result": result.tolist()}
    if way == "skkeops":
        found["note"] = f"{model.n_iter_} iterations, residual {model.residual_:.0e}"
    return found


def run(way: str, n: int, alpha: float) -> dict:
    command = [sys.executable, "-m", "benchmarks.kernel_ridge", "--way", way, "--case", json.dumps([n, alpha])]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2000 samples")
    parser.add_argument("--large", action="store_true", help="100 000 samples too, without scikit-learn: some minutes")
    parser.add_argument("--way", choices=["skkeops", "scikit-learn"], help=argparse.SUPPRESS)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        print(json.dumps(work(arguments.way, *json.loads(arguments.case))))
        return 0
    missed = False
    n = 2000 if arguments.quick else 10_000
    print(f"{'KernelRidge.fit and predict':34}{'scikit-learn':>22}{'skkeops':>22}   ratio")
    for alpha in (1.0, 0.01):
        theirs, ours = run("scikit-learn", n, alpha), run("skkeops", n, alpha)
        ratio = theirs["seconds"] / ours["seconds"]
        difference = np.max(np.abs(np.subtract(theirs["result"], ours["result"]))) / np.max(np.abs(theirs["result"]))
        bad = not arguments.quick and (ratio < 1 or ours["bytes"] > 100e6 or difference > 1e-6)
        missed |= bad
        print(
            f"n={n}, D={D}, rbf, alpha={alpha:<9g}"
            + "".join(f"{f['seconds']:11.2f} s{f['bytes'] / 1e6:7.0f} MB" for f in (theirs, ours))
            + f"{ratio:8.1f}   differ by {difference:.0e}; {ours['note']}{'; MISSED' if bad else ''}"
        )
    if arguments.large:
        ours = run("skkeops", 100_000, 1.0)
        print(
            f"n=100000, D={D}, rbf, alpha=1     {'(80 000 MB)':>22}{ours['seconds']:11.2f} s{ours['bytes'] / 1e6:7.0f} MB"
            f"           {ours['note']}"
        )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
