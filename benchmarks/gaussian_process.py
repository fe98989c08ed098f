"""``python -m benchmarks.gaussian_process [--quick] [--rows ...] [--n N]``: GaussianProcessRegressor beside scikit-learn's.

``small``: 2000 samples, the same numbers and the time of a fit. ``switch``: a likelihood with its derivative by both methods, over
the number of samples. ``accuracy``: likelihood and derivative of the iterative method beside the Cholesky factor, 10 000 samples of
8 features. ``errors``: how often three standard errors hold the exact value, in 200 runs. ``restarts``: a fit with 3 restarts,
10 000 samples; scikit-learn's is one likelihood and the number that its search asks for on 2000 samples, with ``--full`` all of it.
``open``: what the data of the last row leave open: the standard deviations of the logarithms of its parameters by the Fisher
information of 5000 samples, where the exact likelihood of 6000 is the largest, and fits to 12 000 by four seeds, beside the truth.
``large``, only if it is asked for: a fit with 5 parameters and means and deviations at 10 000 places, ``--n`` samples of 3 features
(100 000), which scikit-learn cannot hold; GPBoost's Vecchia approximation beside it, if it is installed.

Each fit runs in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings

import numpy as np

# Some hundred correlation volumes: a variance and length scales that a few volumes are drawn from cannot be told from one another,
# however many the samples are (H. Zhang, Journal of the American Statistical Association 99, 2004).
TRUTH = {"variance": 1.5, "lengths": [0.12, 0.2, 0.3], "noise": 0.5}
QUERIES = 10_000
ROWS = ("small", "switch", "accuracy", "errors", "restarts", "open")


# The data


def draw(n: int, seed: int = 0):
    """Samples of a Matérn process of the smoothness 3/2 with `TRUTH`, by 4000 random waves, with noise; queries behind them."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n + QUERIES, 3))
    normal, chi = rng.standard_normal((3, 4000)), rng.chisquare(3, 4000)
    waves = normal / np.sqrt(chi / 3) / np.array(TRUTH["lengths"])[:, None]
    phases, y = rng.uniform(0, 2 * np.pi, 4000), np.empty(len(X))
    amplitudes = rng.standard_normal(4000) * np.sqrt(2 * TRUTH["variance"] / 4000)
    for start in range(0, len(X), 200):
        y[start : start + 200] = np.cos(X[start : start + 200] @ waves + phases) @ amplitudes
    y += np.sqrt(TRUTH["noise"]) * rng.standard_normal(len(X))
    return X, y


def eight(n: int):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 8))
    return X, np.sin(X[:, 0] + X[:, 1]) + 0.5 * X[:, 2] * X[:, 3] + 0.3 * rng.standard_normal(n)


def three(n: int):
    X, y = draw(n)
    return X[:n], y[:n]


# What is measured, in a process of its own


def megabytes() -> float:
    """Return the largest memory of this process so far, in units of 10^6 bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


class Stopwatch:
    """Seconds, and those of all processors, since it was made: the second is what a machine with other work has to say."""

    def __init__(self):
        self._start = time.perf_counter(), time.process_time()

    def __call__(self) -> dict:
        return {"seconds": time.perf_counter() - self._start[0], "processor": time.process_time() - self._start[1]}


def told(found: dict) -> str:
    """Return the times of something as text."""
    return f"{found['seconds']:.2f} s ({found['processor']:.2f} s of processors)"


def model(way: str, **options):
    if way == "skkeops":
        from skkeops import GaussianProcessRegressor
    else:
        from sklearn.gaussian_process import GaussianProcessRegressor

    return GaussianProcessRegressor(**options)


def isotropic():
    from sklearn.gaussian_process import kernels as gp

    return gp.ConstantKernel(1.0) * gp.RBF(1.0, (1e-2, 1e2)) + gp.WhiteKernel(0.1)


def same(way: str, n: int) -> dict:
    """Likelihood, derivative, mean and deviation of given parameters; the time of a fit."""
    X, y = eight(n)
    queries = np.random.default_rng(1).standard_normal((500, 8))
    gpr = model(way, kernel=1.3 * isotropic(), optimizer=None).fit(X, y)
    lml, slope = gpr.log_marginal_likelihood(gpr.kernel_.theta, eval_gradient=True)
    mean, deviation = gpr.predict(queries, return_std=True)
    times = []
    for _ in range(3):
        gpr, stopwatch = model(way, kernel=isotropic()), Stopwatch()
        gpr.fit(X, y)
        times.append(stopwatch())
    numbers = {"lml": [lml], "slope": slope.tolist(), "mean": mean.tolist(), "deviation": deviation.tolist()}
    return {key: min(one[key] for one in times) for key in times[0]} | {"theta": gpr.kernel_.theta.tolist(), "numbers": numbers}


def fit_eight(way: str, n: int, restarts: int) -> dict:
    X, y = eight(n)
    gpr = model(way, kernel=isotropic(), n_restarts_optimizer=restarts, random_state=0)
    before, stopwatch = megabytes(), Stopwatch()
    gpr.fit(X, y)
    times = stopwatch()
    theta = gpr.kernel_.theta.tolist()
    return times | {"megabytes": megabytes() - before, "theta": theta, "lml": gpr.log_marginal_likelihood()}


def one_of_theirs(n: int, few: int, restarts: int) -> dict:
    """The time of one likelihood with its derivative, and how many a fit to a few samples takes."""
    from scipy.optimize import minimize

    count = 0

    def counted(objective, start, bounds):
        nonlocal count
        found = minimize(objective, start, method="L-BFGS-B", jac=True, bounds=bounds)
        count += found.nfev
        return found.x, found.fun

    model("scikit-learn", kernel=isotropic(), optimizer=counted, n_restarts_optimizer=restarts, random_state=0).fit(*eight(few))
    X, y = eight(n)
    gpr = model("scikit-learn", kernel=isotropic(), optimizer=None)
    before = megabytes()
    gpr.fit(X, y)
    stopwatch = Stopwatch()
    gpr.log_marginal_likelihood(gpr.kernel_.theta, eval_gradient=True)
    return stopwatch() | {"count": count, "megabytes": megabytes() - before}


def likelihood(way: str, data: str, n: int) -> dict:
    X, y = {"eight": eight, "three": three}[data](n)
    kernel = isotropic()
    if data == "three":
        from skkeops import kernels

        kernel = TRUTH["variance"] * kernels.Matern(TRUTH["lengths"], nu=1.5) + kernels.White(TRUTH["noise"])
    gpr = model("skkeops", kernel=kernel, optimizer=None, method=way, random_state=0).fit(X, y)
    stopwatch = Stopwatch()
    value, slope = gpr.log_marginal_likelihood(gpr.kernel_.theta, eval_gradient=True)
    times = stopwatch()
    errors = [gpr.log_marginal_likelihood_error_, *getattr(gpr, "gradient_error_", [])]
    return times | {"value": value, "slope": slope.tolist(), "errors": np.array(errors).tolist()}


def errors(n: int, runs: int) -> dict:
    """How many standard errors the estimates are off, over seeds of the probes."""
    X, y = eight(n)
    exact = model("skkeops", kernel=isotropic(), optimizer=None, method="cholesky").fit(X, y)
    value, slope = exact.log_marginal_likelihood(exact.kernel_.theta, eval_gradient=True)
    scores = []
    for seed in range(runs):
        gpr = model("skkeops", kernel=isotropic(), optimizer=None, method="iterative", random_state=seed).fit(X, y)
        scores.append((gpr.log_marginal_likelihood_value_ - value) / gpr.log_marginal_likelihood_error_)
        scores.extend((gpr.gradient_ - slope) / gpr.gradient_error_)
    return {"scores": [float(score) for score in scores]}


def true_kernel():
    from sklearn.gaussian_process import kernels as gp

    return gp.ConstantKernel(TRUTH["variance"]) * gp.Matern(TRUTH["lengths"], nu=1.5) + gp.WhiteKernel(TRUTH["noise"])


def information(n: int) -> dict:
    """The standard deviations that n samples leave in the logarithms of the parameters, by their Fisher information."""
    from scipy.linalg import cho_factor, cho_solve

    covariance, slopes = true_kernel()(three(n)[0], eval_gradient=True)
    factor = cho_factor(covariance)
    parts = [cho_solve(factor, slopes[:, :, k]) for k in range(slopes.shape[2])]
    fisher = np.array([[0.5 * np.einsum("ij,ji->", a, b) for b in parts] for a in parts])
    return {"deviations": np.sqrt(np.diag(np.linalg.inv(fisher))).round(3).tolist()}


def beside_truth(method: str, n: int, seed: int) -> dict:
    """By how much the logarithms of the parameters of a fit are off."""
    X, y = three(100_000)
    gpr = model("skkeops", kernel=true_kernel(), method=method, random_state=seed).fit(X[:n], y[:n])
    return {"off": (gpr.kernel_.theta - true_kernel().theta).round(3).tolist()}


def large(way: str, n: int) -> dict:
    X, y = draw(n)
    stopwatch = Stopwatch()
    if way == "gpboost":
        import gpboost

        process = gpboost.GPModel(
            gp_coords=X[:n], cov_function="matern_ard", cov_fct_shape=1.5, gp_approx="vecchia", likelihood="gaussian"
        )
        process.fit(y=y[:n])
        fitted = stopwatch()
        found = process.predict(gp_coords_pred=X[n:], predict_var=True, predict_response=True)
        mean, deviation = found["mu"], np.sqrt(found["var"])
        parameters = np.ravel(process.get_cov_pars()).tolist()
    else:
        from skkeops import kernels

        kernel = 1.0 * kernels.Matern([1.0, 1.0, 1.0], nu=1.5) + kernels.White(0.1)
        gpr = model(way, kernel=kernel, random_state=0, verbose=1).fit(X[:n], y[:n])
        fitted = stopwatch()
        mean, deviation = gpr.predict(X[n:], return_std=True)
        parameters = np.exp(gpr.kernel_.theta).tolist()
    found = {"fit": fitted, "fit and predictions": stopwatch(), "megabytes": megabytes()}
    found |= {"parameters": parameters, "coverage": float((np.abs(mean - y[n:]) < 1.96 * deviation).mean())}
    if way == "skkeops":
        found["larger"], found["lml"] = gpr.deviation_error, [gpr.log_marginal_likelihood(), gpr.log_marginal_likelihood_error_]
    return found


WORK = {work.__name__: work for work in (same, fit_eight, one_of_theirs, likelihood, errors, information, beside_truth, large)}


def run(work: str, *arguments) -> dict:
    """Do work in a process of its own; what it prints before its result goes to the standard error."""
    command = [sys.executable, "-m", "benchmarks.gaussian_process", "--work", json.dumps([work, *arguments])]
    *progress, result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip().splitlines()
    if progress:
        print(*progress, sep="\n", file=sys.stderr)
    return json.loads(result)


# The rows


def row_small(part: int, full: bool) -> None:
    n = 2000 // part
    theirs, ours = (run("same", way, n) for way in ("scikit-learn", "skkeops"))
    far = {}
    for name, value in theirs["numbers"].items():
        scale = np.abs(value).max()
        far[name] = float(np.abs(np.subtract(ours["numbers"][name], value)).max() / scale)
    print(
        f"fit, n={n}, D=8: scikit-learn {told(theirs)}, skkeops {told(ours)}; "
        + ", ".join(f"{name} differs by {value:.0e}" for name, value in far.items())
        + f"; theta by {np.abs(np.subtract(theirs['theta'], ours['theta'])).max():.0e}"
    )


def row_switch(part: int, full: bool) -> None:
    for data, title in (("three", "Matern, D=3"), ("eight", "Gaussian, D=8")):
        for n in (2500, 5000, 7500, 10_000):
            exact, found = (run("likelihood", way, data, n // part) for way in ("cholesky", "iterative"))
            print(f"likelihood and derivative, n={n // part}, {title}: Cholesky {told(exact)}, iterative {told(found)}")


def row_accuracy(part: int, full: bool) -> None:
    n = 10_000 // part
    exact, found = (run("likelihood", way, "eight", n) for way in ("cholesky", "iterative"))
    relative = abs(found["value"] / exact["value"] - 1)
    slope = np.abs(np.subtract(found["slope"], exact["slope"])) / np.abs(exact["slope"]).max()
    print(
        f"likelihood and derivative, n={n}, D=8: Cholesky {told(exact)}, iterative {told(found)}; "
        f"they differ by {relative:.1e} and {slope.max():.1e}, standard errors {np.round(found['errors'], 2).tolist()}"
    )


def row_errors(part: int, full: bool) -> None:
    runs = 200 // part
    scores = np.array(run("errors", 1000, runs)["scores"])
    print(
        f"{runs} runs, n=1000, D=8: {(np.abs(scores) <= 3).mean():.2%} of the likelihoods and derivatives within 3 standard "
        f"errors, the largest is off by {np.abs(scores).max():.1f}"
    )


def row_restarts(part: int, full: bool) -> None:
    n = 10_000 // part
    ours = run("fit_eight", "skkeops", n, 3)
    if full:
        theirs = run("fit_eight", "scikit-learn", n, 3)
        text = f"{told(theirs)} {theirs['megabytes']:.0f} MB, likelihood {theirs['lml']:.2f}"
    else:
        theirs = run("one_of_theirs", n, 2000 // part, 3)
        text = f"{theirs['count']} likelihoods of {told(theirs)}, {theirs['megabytes']:.0f} MB"
    print(
        f"fit with 3 restarts, n={n}: scikit-learn {text}; skkeops {told(ours)} {ours['megabytes']:.0f} MB, "
        f"likelihood {ours['lml']:.2f}"
    )


def row_open(part: int, full: bool) -> None:
    print(f"deviations by the information of {5000 // part} samples: {run('information', 5000 // part)['deviations']}")
    print(f"off, exact likelihood of {6000 // part}: {run('beside_truth', 'cholesky', 6000 // part, 0)['off']}")
    for seed in range(4):
        print(f"off, {12_000 // part} samples, seed {seed}: {run('beside_truth', 'iterative', 12_000 // part, seed)['off']}")


def row_large(n: int) -> None:
    for way in ("skkeops", "gpboost"):
        try:
            found = run("large", way, n)
        except subprocess.CalledProcessError:
            print(f"large, n={n}: {way} is not installed, or failed")
            continue
        print(f"large, n={n}, {way}: {json.dumps(found)}; the truth is {json.dumps(TRUTH)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="ten times fewer samples and runs")
    parser.add_argument("--rows", nargs="*", default=ROWS, choices=(*ROWS, "large"), help="of the table")
    parser.add_argument("--n", type=int, default=100_000, help="samples of the row 'large'")
    parser.add_argument("--full", action="store_true", help="for the row 'restarts': all of scikit-learn's fit, an hour")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        name, *rest = json.loads(arguments.work)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            print(json.dumps(WORK[name](*rest)))
        return 0
    part = 10 if arguments.quick else 1
    for row in arguments.rows:
        if row == "large":
            row_large(arguments.n // part)
        else:
            globals()[f"row_{row}"](part, arguments.full)
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
