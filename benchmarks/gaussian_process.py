"""``python -m benchmarks.gaussian_process [--quick] [--rows ...] [--n N]``: GaussianProcessRegressor beside scikit-learn's.

``small``: 2000 samples, the same numbers and the time of a fit. ``accuracy``: likelihood and derivative of the iterative method
beside the Cholesky factor, 10 000 samples of 8 features. ``restarts``: a fit with 3 restarts, 10 000 samples. ``large``: a fit with
5 parameters and means and deviations at 10 000 places, ``--n`` samples of 3 features (100 000), which scikit-learn cannot hold;
GPBoost's Vecchia approximation beside it, if it is installed. Each fit runs in a process of its own, so that its memory is its own.
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

TRUTH = {"variance": 1.5, "lengths": [0.3, 0.5, 0.8], "noise": 0.05}
QUERIES = 10_000


def draw(n: int, seed: int = 0):
    """Samples of a Matérn process of the smoothness 3/2 with `TRUTH`, by 4000 random waves, with noise; queries behind them."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n + QUERIES, 3))
    normal, chi = rng.standard_normal((3, 4000)), rng.chisquare(3, 4000)
    waves = normal / np.sqrt(chi / 3) / np.array(TRUTH["lengths"])[:, None]
    phases, y = rng.uniform(0, 2 * np.pi, 4000), np.empty(len(X))
    amplitudes = rng.standard_normal(4000) * np.sqrt(2 * TRUTH["variance"] / 4000)
    for start in range(0, len(X), 2000):
        y[start : start + 2000] = np.cos(X[start : start + 2000] @ waves + phases) @ amplitudes
    y += np.sqrt(TRUTH["noise"]) * rng.standard_normal(len(X))
    return X, y


def eight(n: int):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 8))
    return X, np.sin(X[:, 0] + X[:, 1]) + 0.5 * X[:, 2] * X[:, 3] + 0.3 * rng.standard_normal(n)


def peak() -> float:
    """Megabytes of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def model(way: str, **options):
    if way == "skkeops":
        from skkeops import GaussianProcessRegressor

        return GaussianProcessRegressor(**options)
    from sklearn.gaussian_process import GaussianProcessRegressor

    return GaussianProcessRegressor(**options)


def isotropic():
    from sklearn.gaussian_process import kernels as gp

    return gp.ConstantKernel(1.0) * gp.RBF(1.0, (1e-2, 1e2)) + gp.WhiteKernel(0.1)


def fit_eight(way: str, n: int, restarts: int) -> dict:
    X, y = eight(n)
    gpr = model(way, kernel=isotropic(), n_restarts_optimizer=restarts, random_state=0)
    before, start = peak(), time.perf_counter()
    gpr.fit(X, y)
    seconds = time.perf_counter() - start
    theta, lml = gpr.kernel_.theta.tolist(), gpr.log_marginal_likelihood()
    return {"seconds": seconds, "megabytes": peak() - before, "theta": theta, "lml": lml}


def large(way: str, n: int) -> dict:
    X, y = draw(n)
    before, start = peak(), time.perf_counter()
    if way == "gpboost":
        import gpboost

        process = gpboost.GPModel(
            gp_coords=X[:n], cov_function="matern_ard", cov_fct_shape=1.5, gp_approx="vecchia", likelihood="gaussian"
        )
        process.fit(y=y[:n])
        fitted = time.perf_counter() - start
        found = process.predict(gp_coords_pred=X[n:], predict_var=True, predict_response=True)
        mean, deviation = found["mu"], np.sqrt(found["var"])
        parameters = np.ravel(process.get_cov_pars()).tolist()
    else:
        from skkeops import kernels

        kernel = 1.0 * kernels.Matern([1.0, 1.0, 1.0], nu=1.5) + kernels.White(0.5)
        gpr = model(way, kernel=kernel, random_state=0, verbose=1).fit(X[:n], y[:n])
        fitted = time.perf_counter() - start
        mean, deviation = gpr.predict(X[n:], return_std=True)
        parameters = np.exp(gpr.kernel_.theta).tolist()
    predicted = time.perf_counter() - start - fitted
    inside = float((np.abs(mean - y[n:]) < 1.96 * deviation).mean())
    found = {"fit": fitted, "predict": predicted, "megabytes": peak() - before, "parameters": parameters, "coverage": inside}
    if way == "skkeops":
        found["larger"], found["lml"] = gpr.deviation_error, [gpr.log_marginal_likelihood(), gpr.log_marginal_likelihood_error_]
    return found


def accuracy(way: str, n: int) -> dict:
    X, y = eight(n)
    gpr = model("skkeops", kernel=isotropic(), optimizer=None, method=way, random_state=0).fit(X, y)
    theta = gpr.kernel_.theta
    start = time.perf_counter()
    value, slope = gpr.log_marginal_likelihood(theta, eval_gradient=True)
    error = [gpr.log_marginal_likelihood_error_, *getattr(gpr, "gradient_error_", [])]
    return {"seconds": time.perf_counter() - start, "value": value, "slope": slope.tolist(), "errors": np.array(error).tolist()}


WORK = {"fit_eight": fit_eight, "large": large, "accuracy": accuracy}


def run(work: str, *arguments) -> dict:
    """Do work in a process of its own; what it prints before its result goes to the standard error."""
    command = [sys.executable, "-m", "benchmarks.gaussian_process", "--work", json.dumps([work, *arguments])]
    *progress, result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip().splitlines()
    print(*progress, sep="\n", file=sys.stderr)
    return json.loads(result)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="ten times fewer samples")
    parser.add_argument("--rows", nargs="*", default=["small", "accuracy", "restarts", "large"], help="of the table")
    parser.add_argument("--n", type=int, default=100_000, help="samples of the row 'large'")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        name, *rest = json.loads(arguments.work)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            print(json.dumps(WORK[name](*rest)))
        return 0
    part = 10 if arguments.quick else 1
    if "small" in arguments.rows:
        theirs, ours = (run("fit_eight", way, 2000 // part, 0) for way in ("scikit-learn", "skkeops"))
        far = np.max(np.abs(np.subtract(theirs["theta"], ours["theta"])))
        seconds = f"scikit-learn {theirs['seconds']:.2f} s, skkeops {ours['seconds']:.2f} s"
        print(f"fit, n={2000 // part}: {seconds}; theta differs by {far:.0e}")
    if "accuracy" in arguments.rows:
        exact, found = (run("accuracy", way, 10_000 // part) for way in ("cholesky", "iterative"))
        relative = abs(found["value"] / exact["value"] - 1)
        slope = np.abs(np.subtract(found["slope"], exact["slope"])) / np.abs(exact["slope"]).max()
        print(
            f"likelihood and derivative, n={10_000 // part}, D=8: Cholesky {exact['seconds']:.1f} s, "
            f"iterative {found['seconds']:.1f} s; they differ by {relative:.1e} and {slope.max():.1e}, "
            f"standard errors {np.round(found['errors'], 2).tolist()}"
        )
    if "restarts" in arguments.rows:
        theirs, ours = (run("fit_eight", way, 10_000 // part, 3) for way in ("scikit-learn", "skkeops"))
        print(
            f"fit with 3 restarts, n={10_000 // part}: scikit-learn {theirs['seconds']:.1f} s {theirs['megabytes']:.0f} MB, "
            f"skkeops {ours['seconds']:.1f} s {ours['megabytes']:.0f} MB; likelihoods {theirs['lml']:.2f}, {ours['lml']:.2f}"
        )
    if "large" in arguments.rows:
        n = arguments.n // part
        for way in ("skkeops", "gpboost"):
            try:
                found = run("large", way, n)
            except subprocess.CalledProcessError:
                print(f"large, n={n}: {way} is not installed, or failed")
                continue
            print(f"large, n={n}, {way}: {json.dumps(found)}; the truth is {json.dumps(TRUTH)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
