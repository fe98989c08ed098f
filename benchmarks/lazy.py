"""``python -m benchmarks.lazy [--quick] [--no-keops]``: lazy tensors beside KeOps, NumPy and Genred; time and memory.

Small calls take turns in one process. Eigenvalues and linear systems run in a process each, so that the memory beyond the
data is their own. KeOps compiles each of its formulas for some seconds before it is timed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .timing import take_turns

D = 3
ROUNDS = 5


class Row(NamedTuple):
    """A line of the table: ours beside others', and what the ratio should reach."""

    name: str
    theirs: str
    other: Callable[[], Any] | None
    ours: Callable[[], Any]
    at_least: float | None


def keops_numpy() -> Any:
    """``pykeops.numpy``, without its messages."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        import pykeops

        pykeops.set_verbose(False)
        import pykeops.numpy

        return pykeops.numpy


def gaussian(module: Any, x: np.ndarray, y: np.ndarray) -> Any:
    """The Gaussian kernel of points (..., n, D), as either module's LazyTensor."""
    x_i, y_j = module.LazyTensor(x[..., :, None, :]), module.LazyTensor(y[..., None, :, :])
    return (-((x_i - y_j) ** 2).sum(-1)).exp()


def small_rows(keops: Any, quick: bool) -> list[Row]:
    import skkeops

    rng = np.random.default_rng(0)
    rows = []
    for dtype in ("float32", "float64"):

        def points(*shape: int, dtype: str = dtype) -> np.ndarray:
            return rng.random((*shape, D)).astype(dtype)

        def both(name: str, axis: int, x: np.ndarray, y: np.ndarray, at_least: float, dtype: str = dtype) -> Row:
            theirs = None if keops is None else lambda: gaussian(keops, x, y).sum(axis=axis)
            return Row(f"{name}, {dtype}", "KeOps", theirs, lambda: gaussian(skkeops, x, y).sum(axis=axis), at_least)

        rows.append(both("built and reduced, 10 x 10", 1, points(10), points(10), 2.0))
        n = 50 if quick else 1000
        rows.append(both(f"{n} problems of 50 x 50", 2, points(n, 50), points(n, 50), 5.0))
        n = 2000 if quick else 20_000
        x, y = points(n), points(n)
        genred = skkeops.Genred("Exp(-SqDist(x, y))", [f"x = Vi({D})", f"y = Vj({D})"], axis=1)
        rows.append(
            Row(
                f"{n} x {n}, {dtype}", "Genred", lambda g=genred, x=x, y=y: g(x, y),
                lambda x=x, y=y: gaussian(skkeops, x, y).sum(axis=1), 1 / 1.03,
            )
        )  # fmt: skip
    return rows + pair_rows(quick)


def pair_rows(quick: bool) -> list[Row]:
    """Masks, sparse operands, dense matrices and ranges, beside NumPy and beside all pairs."""
    from scipy.sparse import csr_array
    from scipy.spatial.distance import cdist

    import skkeops
    from skkeops import cluster

    rng = np.random.default_rng(1)
    n = 1000 if quick else 5000
    x, y, mask = rng.random((n, D)), rng.random((n, D)), rng.random((n, n)) < 0.5
    K = gaussian(skkeops, x, y)  # noqa: N806
    rows = [
        Row(
            f"masked sums, {n} x {n}", "NumPy", lambda: np.where(mask, np.exp(-cdist(x, y, "sqeuclidean")), 0).sum(axis=1),
            lambda: skkeops.where(mask, K, 0).sum(axis=1), 1.0,
        ),
        Row(f"dense matrix, {n} x {n}", "NumPy", lambda: np.exp(-cdist(x, y, "sqeuclidean")), K.dense, 1.0),
    ]  # fmt: skip
    n = 2000 if quick else 100_000
    z = rng.random((n, D))
    where = rng.integers(0, n, (2, 10 * n))
    S = csr_array((np.ones(10 * n), tuple(where)), shape=(n, n))  # noqa: N806
    i, j = np.repeat(np.arange(n), np.diff(S.indptr)), S.indices

    def by_entries() -> np.ndarray:
        values = np.exp(-((z[i] - z[j]) ** 2).sum(axis=1)) * S.data
        return np.bincount(i, values, minlength=n)

    sparse = gaussian(skkeops, z, z) * S
    rows.append(Row(f"sparse operand, {S.nnz} entries", "NumPy", by_entries, lambda: sparse.sum(axis=1), 1.0))
    m = 5000 if quick else 50_000
    ordered, labels = cluster.sort_clusters(z[:m], cluster.grid_cluster(z[:m], 0.07))
    scaled = ordered / 0.02
    ranges = cluster.ranges_from_tolerance(lambda r: np.exp(-(r**2)), 1e-6, scaled, labels)
    near = gaussian(skkeops, scaled, scaled)
    rows.append(
        Row(
            f"ranges of tolerance 1e-6, {m} points", "all pairs", lambda: near.sum(axis=1),
            lambda: near.sum(axis=1, ranges=ranges), 1.0,
        )
    )  # fmt: skip
    return rows


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def work(task: str, way: str, n: int) -> dict:
    """Seconds and bytes of one task, after a small one, and some of the result."""
    rng = np.random.default_rng(0)
    x, b = rng.random((n, D)), rng.standard_normal((n, 1))
    if way == "KeOps":
        module = keops_numpy()
    else:
        import skkeops as module
    if task == "eigsh":
        from scipy.sparse.linalg import aslinearoperator, eigsh

        def function(x: np.ndarray, b: np.ndarray) -> np.ndarray:
            start = np.ones(len(x))
            return eigsh(aslinearoperator(gaussian(module, 5 * x, 5 * x)), k=10, tol=1e-6, v0=start)[0]
    else:
        aliases = [f"x = Vi({D})", f"y = Vj({D})", "a = Vj(1)"]
        invert = module.KernelSolve("Exp(-SqDist(x, y)) * a", aliases, "a", axis=1)
        options = {"preconditioner": "cholesky"} if way == "skkeops, preconditioned" else {}

        def function(x: np.ndarray, b: np.ndarray) -> np.ndarray:
            return invert(10 * x, 10 * x, b, alpha=5.0, eps=1e-6, **options)[:: max(1, len(x) // 100), 0]

    function(x[:300], b[:300])
    before = peak_bytes()
    start = time.perf_counter()
    result = function(x, b)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "bytes": peak_bytes() - before, "result": result.tolist()}


def run(task: str, way: str, n: int) -> dict:
    command = [sys.executable, "-m", "benchmarks.lazy", "--way", way, "--task", json.dumps([task, n])]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def large_rows(keops: bool, quick: bool) -> bool:
    """Print the rows of eigenvalues and systems; return whether one missed what it should reach."""
    n = 2000 if quick else 50_000
    missed = False
    print(f"\n{'':46}{'KeOps':>20}{'skkeops':>20}   ratio")
    for task, ways in (("eigsh", ("skkeops",)), ("KernelSolve", ("skkeops", "skkeops, preconditioned"))):
        theirs = run(task, "KeOps", n) if keops else None
        for way in ways:
            ours = run(task, way, n)
            memory_missed = not quick and ours["bytes"] > 8e-3 * 8 * n * n
            text, ratio, differ = "-", "", ""
            if theirs:
                text = f"{theirs['seconds']:.2f} s{theirs['bytes'] / 1e6:7.0f} MB"
                ratio = f"{theirs['seconds'] / ours['seconds']:8.1f}"
                difference = np.max(np.abs(np.subtract(theirs["result"], ours["result"])))
                differ = f"   differ by {difference / np.max(np.abs(theirs['result'])):.0e}"
            missed |= memory_missed
            name = f"{task}, {n} points, D={D}, float64{', preconditioned' if ',' in way else ''}"
            print(
                f"{name:46}{text:>20}{ours['seconds']:10.2f} s{ours['bytes'] / 1e6:6.0f} MB{ratio}{differ}"
                f"{'; MISSED: memory' if memory_missed else ''}",
                flush=True,
            )
    return missed


def main() -> int:
    """Print the tables; return whether something was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, nothing is asserted")
    parser.add_argument("--no-keops", action="store_true", help="without KeOps, which has to compile")
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.way:
        task, n = json.loads(arguments.task)
        print(json.dumps(work(task, arguments.way, n)))
        return 0
    keops = None if arguments.no_keops else keops_numpy()
    missed = False
    print(f"{'':46}{'':10}{'others':>12}{'skkeops':>12}   ratio")
    for row in small_rows(keops, arguments.quick):
        functions = [row.ours] if row.other is None else [row.other, row.ours]
        times = take_turns(functions, 0.2 if arguments.quick else 4.0, ROUNDS)
        other = f"{times[0] * 1e3:9.3f} ms" if row.other else "-"
        ratio = f"{times[0] / times[1]:8.2f}" if row.other else ""
        bad = bool(not arguments.quick and row.other and row.at_least and times[0] / times[1] < row.at_least)
        missed |= bad
        wanted = f"   (at least {row.at_least:.2f}){'; MISSED' if bad else ''}" if row.at_least else ""
        print(f"{row.name:46}{row.theirs:10}{other:>12}{times[-1] * 1e3:9.3f} ms{ratio}{wanted}", flush=True)
    missed |= large_rows(not arguments.no_keops, arguments.quick)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
