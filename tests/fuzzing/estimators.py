"""Estimators on data as it comes: far from the origin, of odd scales, with duplicates, constant columns and weights of 0.

The truth is a direct sum in long doubles over the same numbers; of `KernelRidge`, the residual of what it returns.
"""

import warnings
from dataclasses import dataclass, replace

import numpy as np

from skkeops import KernelDensity, KernelLogSumExp, KernelRidge, KernelSmoother, KernelSum, kernels

from .data import literal

LONG = np.longdouble
#: Windows of the density: the logarithm of k(r), and the logarithm of its mass in d dimensions.
WINDOWS = ("gaussian", "exponential")
ESTIMATORS = ("density", "sum", "log-sum-exp", "smoother", "ridge")


def _distances(a, b):
    return np.sqrt(((a.astype(LONG)[:, None] - b.astype(LONG)) ** 2).sum(-1))


def _log_mass(window, d):
    from math import lgamma, log, pi

    if window == "gaussian":
        return d / 2 * log(2 * pi)
    return log(2) + d / 2 * log(pi) - lgamma(d / 2) + lgamma(d)  # of exp(-r): the surface of a sphere, times (d - 1)!


def _log_sum_exp(exponents, weights):
    with np.errstate(divide="ignore"):
        exponents = exponents + np.log(weights)
    top = exponents.max(1, keepdims=True)
    safe = np.where(np.isfinite(top), top, 0)
    with np.errstate(divide="ignore"):
        return (safe + np.log(np.exp(exponents - safe).sum(1, keepdims=True)))[:, 0]


@dataclass(frozen=True)
class Case:
    """An estimator, a window or kernel of a length, samples with weights and targets, and queries."""

    name: str
    window: str
    length: float
    samples: np.ndarray
    weights: np.ndarray | None
    targets: np.ndarray
    queries: np.ndarray
    alpha: float = 0.1

    def _kernel(self):
        return kernels.Gaussian(self.length) if self.window == "gaussian" else kernels.Matern(self.length, nu=0.5)

    def _fitted(self):
        if self.name == "density":
            return KernelDensity(bandwidth=self.length, kernel=self.window).fit(self.samples, sample_weight=self.weights)
        if self.name == "ridge":
            return KernelRidge(alpha=self.alpha, kernel=self._kernel()).fit(self.samples, self.targets)
        if self.name == "smoother":
            return KernelSmoother(self._kernel()).fit(self.samples, self.targets)
        return {"sum": KernelSum, "log-sum-exp": KernelLogSumExp}[self.name](self._kernel()).fit(self.samples)

    def check(self):
        """Return what is wrong, None if nothing is."""
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            fitted = self._fitted()
            if self.name == "ridge":
                return self._check_ridge(fitted, [str(w.message) for w in warned])
            method = {"density": "score_samples", "smoother": "predict"}.get(self.name, "transform")
            found = np.asarray(getattr(fitted, method)(self.queries)).astype(LONG).reshape(len(self.queries))
        truth, tol = self._truth()
        with np.errstate(invalid="ignore"):
            bad = ~((abs(found - truth) <= tol) | (found == truth) | (np.isnan(truth) & np.isnan(found)))
        if not bad.any():
            return None
        at = int(np.argmax(bad))
        return f"{method} of query {at}: {found[at]}, expected {truth[at]} within {tol[at]:.1e}"

    def _exponents(self):
        r = _distances(self.queries, self.samples) / LONG(self.length)
        return -(r**2) / 2 if self.window == "gaussian" else -r

    def _truth(self):
        eps = LONG(np.finfo(self.samples.dtype).eps)
        F = self._exponents()
        weights = np.ones(len(self.samples)) if self.weights is None else self.weights
        used = np.where(weights > 0, F, -np.inf).astype(LONG)
        # The differences of coordinates, or coordinates from a centre, are rounded once: an error of eps times how far they are.
        spread = np.ptp(np.concatenate([self.queries, self.samples]).astype(LONG), axis=0).max() / LONG(self.length)
        slope = np.sqrt(-2 * F) if self.window == "gaussian" else 1
        error = 8 * eps * (1 + np.abs(F) + slope * spread) + 1e-13
        near = np.where(used >= used.max(1, keepdims=True) - 40, error, 0).max(1)
        if self.name == "density":
            d = self.samples.shape[1]
            total = _log_sum_exp(used, weights.astype(LONG)) - np.log(weights.astype(LONG).sum())
            truth = total - LONG(_log_mass(self.window, d)) - d * np.log(LONG(self.length))
            return truth, near + 8 * eps * (np.abs(truth) + d * abs(np.log(self.length)) + 4)
        values = np.exp(F)
        tiny = np.finfo(self.samples.dtype).tiny
        if self.name == "sum":
            return values.sum(1), (values * np.minimum(error, 1)).sum(1) * 2 + tiny * len(self.samples)
        if self.name == "log-sum-exp":
            truth = _log_sum_exp(F, np.ones(len(self.samples), LONG))
            return truth, near + 8 * eps * (1 + np.abs(truth))
        share = np.exp(F - F.max(1, keepdims=True))
        share = share / share.sum(1, keepdims=True)
        y = self.targets.astype(LONG)
        return share @ y, (share * np.abs(y)).sum(1) * (4 * near + 8 * eps) + tiny

    def _check_ridge(self, fitted, warned):
        r = _distances(self.samples, self.samples).astype(float) / self.length
        K = np.exp(-(r**2) / 2) if self.window == "gaussian" else np.exp(-r)
        a, y = np.asarray(fitted.dual_coef_, float), self.targets.astype(float)
        residual = np.linalg.norm(K @ a + self.alpha * a - y) / max(np.linalg.norm(y), 1e-300)
        eps = np.finfo(self.samples.dtype).eps
        rounding = 16 * eps * (np.linalg.norm(K @ abs(a)) + np.linalg.norm(a)) / max(np.linalg.norm(y), 1e-300)
        # Kernels of samples far apart are known as well as the differences of their coordinates.
        spread = np.ptp(self.samples.astype(LONG), axis=0).max() / self.length
        if residual > 2 * fitted.tol_ + rounding * (1 + min(float(spread), 1e3)) and not warned:
            return f"the residual of dual_coef_ is {residual:.1e}, tol is {fitted.tol_:.1e}, and nobody was warned"
        said = float(np.max(fitted.residual_))
        if said < residual / 4 - fitted.tol_ - rounding * (1 + min(float(spread), 1e3)):
            return f"residual_ is {said:.1e}, that of dual_coef_ {residual:.1e}"
        return None

    def program(self):
        names = ["import numpy as np", "import skkeops", "from skkeops import kernels", ""]
        for name in ("samples", "weights", "targets", "queries"):
            value = getattr(self, name)
            names.append(f"{name} = {None if value is None else literal(value)}")
        kernel = f"kernels.Gaussian({self.length!r})" if self.window == "gaussian" else f"kernels.Matern({self.length!r}, nu=0.5)"
        ends = {
            "density": f"skkeops.KernelDensity(bandwidth={self.length!r}, kernel={self.window!r})"
            ".fit(samples, sample_weight=weights).score_samples(queries)",
            "sum": f"skkeops.KernelSum({kernel}).fit(samples).transform(queries)",
            "log-sum-exp": f"skkeops.KernelLogSumExp({kernel}).fit(samples).transform(queries)",
            "smoother": f"skkeops.KernelSmoother({kernel}).fit(samples, targets).predict(queries)",
            "ridge": f"skkeops.KernelRidge(alpha={self.alpha!r}, kernel={kernel}).fit(samples, targets).dual_coef_",
        }
        return "\n".join([*names, f"print({ends[self.name]})"])

    def smaller(self):
        n, q = len(self.samples), len(self.queries)
        for some in (slice(0, n // 2), slice(n // 2, n), slice(0, n - 1), slice(1, n)):
            if 1 <= len(range(n)[some]) < n:
                weights = None if self.weights is None else self.weights[some]
                if weights is None or weights.any():
                    yield replace(self, samples=self.samples[some], weights=weights, targets=self.targets[some])
        for some in (slice(0, q // 2), slice(q // 2, q), slice(0, q - 1)):
            if 1 <= len(range(q)[some]) < q:
                yield replace(self, queries=self.queries[some])
        if self.samples.shape[1] > 1:
            yield replace(self, samples=self.samples[:, 1:], queries=self.queries[:, 1:])
        if self.weights is not None:
            yield replace(self, weights=None)
        if self.samples.dtype == np.float32:
            yield replace(self, samples=self.samples.astype(float), queries=self.queries.astype(float))


def generate(rng):
    """Return a random case."""
    n, q, d = int(rng.integers(1, 40)), int(rng.integers(1, 12)), int(rng.integers(1, 5))
    dtype = rng.choice([np.float32, np.float64])
    X, Q = rng.normal(size=(n, d)), rng.normal(size=(q, d)) * rng.choice([1.0, 1.0, 5.0])
    kind = rng.integers(6)
    length = float(rng.choice([0.1, 0.5, 1.0, 3.0]))
    if kind == 1:  # duplicates, and queries at samples
        X = X[rng.integers(n, size=n)]
        Q[: q // 2] = X[rng.integers(n, size=q // 2)]
    elif kind == 2:  # a constant column
        X[:, 0] = Q[:, 0] = 3.0
    elif kind == 3:  # clusters apart
        X[::2] += 50
    scale = float(rng.choice([1.0, 1.0, 1e-4, 1e5]))
    offset = float(rng.choice([0.0, 0.0, 1e3, 5.8e6])) * scale
    X, Q = (X * scale + offset).astype(dtype), (Q * scale + offset).astype(dtype)
    weights = None
    if rng.random() < 0.5:
        weights = rng.uniform(size=n) * 10.0 ** rng.integers(-6, 6, size=n)
        weights[rng.random(n) < 0.3] = 0
        weights[0] = 1.0
        weights = weights.astype(dtype)
    targets = (rng.normal(size=n) * rng.choice([1.0, 1e6])).astype(dtype)
    name = ESTIMATORS[rng.integers(len(ESTIMATORS))]
    weights = weights if name == "density" else None
    return Case(name, WINDOWS[rng.integers(2)], length * scale, X, weights, targets, Q, float(rng.choice([1e-2, 0.1, 1.0])))
