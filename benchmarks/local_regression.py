"""``python -m benchmarks.local_regression``: KernelSmoother beside statsmodels' KernelReg, in turns.

KernelReg takes a millisecond and more for a query: it predicts a sample of the queries, and its time is multiplied up to all of
them. The table says so.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings

import numpy as np

# By the number of features. With one, KernelReg computes little but the exponentials.
AT_LEAST = {1: 10.0, 2: 50.0, 3: 50.0}
NEEDED = "these tables compare with statsmodels: pip install statsmodels"


def seconds_of(function) -> tuple[float, np.ndarray]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def compare(n: int, n_features: int, degree: int, n_queries: int, rounds: int = 3) -> bool:
    """Print a row; return whether it missed what it should reach."""
    from statsmodels.nonparametric.kernel_regression import KernelReg

    from skkeops import KernelSmoother, kernels

    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, n_features))
    y = np.sin(X.sum(axis=1)) + 0.3 * rng.standard_normal(n)
    some = X[:n_queries]
    theirs = KernelReg(y, X, "c" * n_features, reg_type=("lc", "ll")[degree], bw=np.full(n_features, 0.3))
    ours = KernelSmoother(kernels.Gaussian(0.3), degree=degree).fit(X, y)
    ours.predict(some)
    of_theirs, of_ours = [], []
    for _ in range(rounds):
        seconds, expected = seconds_of(lambda: theirs.fit(some)[0])
        of_theirs.append(seconds * n / n_queries)
        seconds, found = seconds_of(lambda: ours.predict(X))
        of_ours.append(seconds)
    ratio = min(of_theirs) / min(of_ours)
    difference = float(np.max(abs(found[:n_queries] - expected)) / np.max(abs(expected)))
    missed = n >= 20_000 and (ratio < AT_LEAST[n_features] or difference > 1e-8)
    name = f"n={n}, D={n_features}, local {('constant', 'linear')[degree]}"
    print(
        f"{name:34}{min(of_theirs):12.1f} s{min(of_ours):10.2f} s{ratio:8.0f}   differ by {difference:.0e}"
        f"{'; MISSED' if missed else ''}",
        flush=True,
    )
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2000 points")
    arguments, _ = parser.parse_known_args()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import statsmodels.nonparametric.kernel_regression  # noqa: F401
    except ImportError:
        print(NEEDED)
        return 0
    n, n_queries = (2000, 20) if arguments.quick else (20_000, 100)
    print(f"predict for all samples; KernelReg for {n_queries} of them, times {n // n_queries}")
    print(f"{'':34}{'KernelReg':>14}{'skkeops':>12}   ratio")
    rows = [compare(n, n_features, degree, n_queries) for n_features in (1, 2, 3) for degree in (0, 1)]
    return int(any(rows))


if __name__ == "__main__":
    sys.exit(main())
