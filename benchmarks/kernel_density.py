"""``python -m benchmarks.kernel_density``: KernelDensity beside scikit-learn's, in one run.

Log densities, a grid search, and the learned bandwidth beside that grid search. scikit-learn's tree takes about the same
time for every query: it is timed on some of them, and its time multiplied. Both libraries take turns, so that both meet the
same machine; the shortest times count. Returns 1 if the results disagree.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
from sklearn import neighbors
from sklearn.model_selection import GridSearchCV

from skkeops import KernelDensity
from skkeops.estimators.bandwidth import LeaveOneOut

AIMS = {"log densities": 40.0, "grid search": 20.0, "evaluations": 5.0}


def timed(function: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def take_turns(first: Callable[[], object], second: Callable[[], object], rounds: int) -> tuple[float, float, list]:
    """Shortest times of two functions and their last results; the first, which is the shorter, runs thrice a turn."""
    best, results = [np.inf, np.inf], [None, None]
    for _ in range(rounds):
        for k, function in enumerate((first, first, second, first)):
            which = int(k == 2)
            seconds, results[which] = timed(function)
            best[which] = min(best[which], seconds)
    return best[0], best[1], results


def row(title: str, ours: float, theirs: float, aim: float, note: str) -> None:
    ratio = theirs / ours
    print(f"{title:44} {ours:9.3f} s {theirs:10.2f} s {ratio:8.1f}x {aim:6.0f}x  {note}", flush=True)


def log_densities(n: int, subset: int, rounds: int) -> bool:
    agree = True
    for dim in (3, 10):
        rng = np.random.default_rng(dim)
        samples, queries = rng.standard_normal((n, dim)), rng.standard_normal((n, dim))
        for bandwidth in (1.0, "silverman"):
            ours = KernelDensity(bandwidth=bandwidth).fit(samples)
            theirs = neighbors.KernelDensity(bandwidth=bandwidth, rtol=0).fit(samples)
            ours_time, theirs_time, (found, some) = take_turns(
                lambda ours=ours, queries=queries: ours.score_samples(queries),
                lambda theirs=theirs, queries=queries: theirs.score_samples(queries[:subset]),
                rounds,
            )
            difference = np.abs(found[:subset] - some).max()
            title = f"log densities, D={dim}, bandwidth={bandwidth}"
            note = f"theirs: {subset} queries x {n // subset}; largest difference {difference:.0e}"
            row(title, ours_time, theirs_time * n / subset, AIMS["log densities"], note)
            # Far queries are where the tree is wrong; the median says whether both compute the same.
            agree &= bool(np.median(np.abs(found[:subset] - some)) < 1e-9)
    return agree


def searches(n: int, rounds: int) -> bool:
    samples = np.random.default_rng(2).standard_normal((n, 2))
    grid = {"bandwidth": np.geomspace(0.05, 1.0, 20)}

    def search(estimator):
        return GridSearchCV(estimator, grid, cv=5).fit(samples)

    ours_time, theirs_time, (ours, theirs) = take_turns(
        lambda: search(KernelDensity()), lambda: search(neighbors.KernelDensity()), rounds
    )
    title = f"grid search, {n} points, D=2, 20 x 5 fits"
    row(title, ours_time, theirs_time, AIMS["grid search"], f"best bandwidth {ours.best_params_['bandwidth']:.4f}")
    agree = ours.best_params_ == theirs.best_params_

    seconds, learned = timed(lambda: KernelDensity(bandwidth="cv").fit(samples))
    seconds = min(seconds, *(timed(lambda: KernelDensity(bandwidth="cv").fit(samples))[0] for _ in range(2)))
    row("bandwidth='cv' beside our grid search", seconds, ours_time, 1, f"bandwidth {learned.bandwidth_:.4f}")
    row("bandwidth='cv' beside their grid search", seconds, theirs_time, AIMS["grid search"], "")
    fits = 20 * 5
    of_grid = LeaveOneOut(samples)(ours.best_params_["bandwidth"])[0]
    print(
        f"evaluations of the likelihood: {learned.n_evaluations_} instead of {fits} fits, "
        f"{fits / learned.n_evaluations_:.0f} times fewer (aim {AIMS['evaluations']:.0f}); leave-one-out "
        f"log-likelihood {learned.leave_one_out_score_:.4f}, that of the grid's bandwidth {of_grid:.4f}"
    )
    return agree and learned.leave_one_out_score_ >= of_grid


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernel_density", description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer points, one round")
    parser.add_argument("--rounds", type=int, default=2, help="turns of both libraries (default: 2)")
    arguments = parser.parse_args(argv)
    points, subset, few = (2000, 100, 500) if arguments.quick else (20_000, 200, 5000)
    rounds = 1 if arguments.quick else arguments.rounds

    print(f"{points} reference samples, {points} queries, float64, Gaussian window; scikit-learn with rtol=0")
    print(f"{'':44} {'skkeops':>11} {'scikit-learn':>12} {'ratio':>9} {'aim':>7}")
    agree = log_densities(points, subset, rounds)
    agree &= searches(few, rounds)
    print("results agree" if agree else "RESULTS DIFFER")
    return 0 if agree else 1


if __name__ == "__main__":
    sys.exit(main())
