"""``python -m benchmarks.pruning``: calls that skip pairs which cannot matter, beside all pairs, SciPy's tree and scikit-learn's.

They take turns, the shortest time of each counts. All pairs are timed on some of the rows, and their time is that share of it; so
are scikit-learn's trees. A ratio above 1 says how many times faster skkeops is. `sure` rows have nothing to skip, and show what it
costs to find that out: there all pairs are timed on all rows. Sums have the tolerance ``rtol=1e-6``, and the largest error of some
rows is shown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from sklearn.neighbors import BallTree, KernelDensity

from skkeops import Genred

from .timing import take_turns

K = 10


class Case(NamedTuple):
    """A row of the table: points, a formula and what it is compared with."""

    name: str
    points: Callable[[np.random.Generator, int], np.ndarray]
    formula: str = "SqDist(x, y)"
    op: str = "KMin_ArgKMin"
    peer: str = "cKDTree"
    dtype: str = "float64"
    p: float = 2.0


class SumCase(NamedTuple):
    """A row of the table of sums: points, a formula of ``p``, and what it is compared with."""

    name: str
    points: Callable[[np.random.Generator, int], np.ndarray]
    h: float = 1.0  # the bandwidth for 100 000 points: p is 1 / (2 h^2)
    formula: str = "-p * SqDist(x, y)"
    op: str = "LogSumExp"
    peer: bool = True  # scikit-learn's KernelDensity
    dtype: str = "float64"


def uniform(dim):
    return lambda rng, n: rng.random((n, dim))


def normal(dim):
    return lambda rng, n: rng.normal(size=(n, dim))


def blobs(dim):
    def points(rng, n):
        centers = np.random.default_rng(7).uniform(-10, 10, (20, dim))
        return centers[rng.integers(20, size=n)] + rng.normal(size=(n, dim))

    return points


def manifold(dim):
    """Three latent variables, and a little noise in all columns."""

    def points(rng, n):
        mixing = np.random.default_rng(7).normal(size=(3, dim))
        return np.tanh(rng.normal(size=(n, 3)) @ mixing) + 0.01 * rng.normal(size=(n, dim))

    return points


L1, METRIC = "Sum(Abs(x - y))", "Sum(Powf(Abs(x - y), 1.5))"
CASES = [
    Case("10 nearest, uniform D=2", uniform(2)),
    Case("10 nearest, uniform D=3", uniform(3)),
    Case("10 nearest, uniform D=3", uniform(3), dtype="float32"),
    Case("10 nearest, uniform D=5", uniform(5)),
    Case("10 nearest, 20 blobs D=8", blobs(8)),
    Case("10 nearest, manifold D=10", manifold(10)),
    Case("10 nearest in L1, D=3", uniform(3), L1, peer="BallTree", p=1),
    Case("10 nearest in L1, manifold D=10", manifold(10), L1, peer="BallTree", p=1),
    Case("10 nearest, exponent 1.5, D=3", uniform(3), METRIC, peer="BallTree", p=1.5),
    Case("largest kernel, D=3", uniform(3), "Exp(-10 * SqDist(x, y))", "Max_ArgMax", peer=""),
    Case("sure: 10 nearest, uniform D=10", uniform(10), peer=""),
    Case("sure: 10 nearest, normal D=10", normal(10), peer=""),
    Case("sure: dot products, normal D=10", normal(10), "-Scalprod(x, y)", peer=""),
]


def standardised(points):
    def found(rng, n):
        x = points(rng, n)
        return (x - x.mean(axis=0)) / x.std(axis=0)

    return found


SUMS = [
    SumCase("density, uniform D=2, h=.047", standardised(uniform(2)), 0.047),
    SumCase("density, uniform D=2, h=.047", standardised(uniform(2)), 0.047, dtype="float32"),
    SumCase("density, uniform D=3, h=.187", standardised(uniform(3)), 0.187),
    SumCase("density, 20 blobs D=5, h=.079", standardised(blobs(5)), 0.079),
    SumCase("sum of signs, uniform D=2, h=.047", standardised(uniform(2)), 0.047, "Exp(-p * SqDist(x, y)) * b", "Sum", False),
    SumCase("sure: density, uniform D=10, h=.4", standardised(uniform(10)), 0.4, peer=False),
    SumCase("sure: Cauchy, D=3", normal(3), 1.0, "Inv(1 + p * SqDist(x, y))", "Sum", False),
    SumCase("sure: exp of dot products, D=10", normal(10), 1.0, "p * Scalprod(x, y)", peer=False),
]


def _rows_of_all_pairs(name: str, n: int) -> int:
    """Return how many rows all pairs are timed on: all of them where a few percent matter, as fewer take more time each."""
    return n if name.startswith("sure") else max(2000, n // 20)


def measure_sum(case: SumCase, n: int, seconds: float) -> str:
    """Time a sum on n points on each side; return its row."""
    rng = np.random.default_rng(0)
    x, y = (case.points(rng, n).astype(case.dtype) for _ in range(2))
    h = case.h * (n / 100_000) ** (-1 / (x.shape[1] + 4))  # as a tuned one becomes smaller
    p, b = (np.asarray(a, case.dtype) for a in (0.5 / h**2, rng.choice([-1.0, 1.0], (n, 1))))
    names = [f"x = Vi({x.shape[1]})", f"y = Vj({x.shape[1]})", "p = Pm(1)", "b = Vj(1)"]
    names, rest = (names, (y, p, b)) if "b" in case.formula else (names[:3], (y, p))
    function, exact = (Genred(case.formula, names, case.op, axis=1) for _ in range(2))
    few, small = slice(0, _rows_of_all_pairs(case.name, n)), slice(0, max(50, n // 1000))
    calls = [lambda: function(x, *rest, rtol=1e-6), lambda: exact(x[few], *rest)]
    if case.peer:
        model = KernelDensity(bandwidth=h, rtol=1e-6).fit(y)
        calls.append(lambda: model.score_samples(x[small]))
    times = take_turns(calls, seconds, 3)
    found, expected = function(x, *rest, rtol=1e-6)[few].astype(float), exact(x[few], *rest).astype(float)
    sizes = 1.0 if case.op == "LogSumExp" else Genred(f"Abs({case.formula})", names, axis=1)(x[few], *rest)
    error = np.abs(np.expm1(found - expected) if case.op == "LogSumExp" else (found - expected) / sizes).max()
    ratio = times[1] * n / (few.stop - few.start) / times[0]
    row = f"{case.name:34}{case.dtype:>8}{times[0] * 1e3:9.0f} ms{function.last_call.share:9.2%}{ratio:12.2f}"
    if case.peer:
        row += f"{times[2] * n / (small.stop - small.start) / times[0]:10.0f} KernelDensity"
    return row + f"   error {error:.0e}"


def measure(case: Case, n: int, seconds: float) -> str:
    """Time a case on n points on each side; return its row."""
    rng = np.random.default_rng(0)
    x, y = (case.points(rng, n).astype(case.dtype) for _ in range(2))
    names = [f"x = Vi({x.shape[1]})", f"y = Vj({x.shape[1]})"]
    options = {"opt_arg": K} if "K" in case.op else {}
    ours = Genred(case.formula, names, case.op, axis=1, **options)
    plain = Genred(case.formula, names, case.op, axis=1, **options)
    everything = ours._program("auto", np).own
    few = slice(0, _rows_of_all_pairs(case.name, n))
    calls = [lambda: plain(x, y), lambda: everything.run((x[few], y))]
    if case.peer:
        small = slice(0, n if case.peer == "cKDTree" else max(1000, n // 50))

        def peer():
            if case.peer == "cKDTree":
                cKDTree(y).query(x, K, workers=-1)
            else:
                BallTree(y, metric="minkowski", p=case.p).query(x[small], K)

        calls.append(peer)
    times = take_turns(calls, seconds, 3)
    scale = n / (few.stop - few.start)
    found, expected = ours(x[few], y), everything.run((x[few], y))
    same = all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    report = plain.last_call
    row = f"{case.name:34}{case.dtype:>8}{times[0] * 1e3:9.0f} ms{report.share:9.2%}{times[1] * scale / times[0]:12.2f}"
    if case.peer:
        row += f"{times[2] * n / (small.stop - small.start) / times[0]:10.2f} {case.peer}"
    return row + ("" if same else "   DIFFERS from all pairs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer points, for a shorter time")
    parser.add_argument("--n", type=int, help="points on each side")
    parser.add_argument("--rows", nargs="*", default=[], help="only rows whose names contain one of these")
    arguments = parser.parse_args()
    n = arguments.n or (50_000 if arguments.quick else 100_000)
    print(f"{n} x {n} points{'':28}skkeops   share   all pairs   beside")
    for case in (*CASES, *SUMS):
        if not arguments.rows or any(part in case.name for part in arguments.rows):
            timed = measure if isinstance(case, Case) else measure_sum
            print(timed(case, n, 0.5 if arguments.quick else 5.0), flush=True)


if __name__ == "__main__":
    main()
