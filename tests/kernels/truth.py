"""Kernels as NumPy and SciPy compute them: the truth that the formulas are held against."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist

from skkeops import Genred, kernels

__all__ = ["CASES", "SCALED", "Case", "histograms", "log_matrix", "samples"]


@dataclass(frozen=True)
class Case:
    """A kernel and what it is: ``value`` and ``log`` of two samples and of a length scale."""

    name: str
    make: Callable
    value: Callable
    log: Callable | None = None
    nonnegative: bool = False


def _euclidean(x, y, scale):
    return cdist(x / scale, y / scale)


def _squared(x, y, scale):
    return cdist(x / scale, y / scale, "sqeuclidean")


def _manhattan(x, y, scale):
    return cdist(x / scale, y / scale, "cityblock")


def _chi2(x, y):
    difference, total = x[:, None] - y, x[:, None] + y
    return (difference**2 / np.where(total == 0, 1, total)).sum(axis=2)


def _matern(nu, *coefficients):
    """The explicit polynomials of s in front of exp(-s), in order."""

    def scaled(x, y, scale):
        return math.sqrt(2 * nu) * _euclidean(x, y, scale)

    def polynomial(s):
        return sum(c * s**k for k, c in enumerate(coefficients))

    return Case(
        f"Matern-{nu}",
        lambda scale: kernels.Matern(scale, nu=nu),
        lambda x, y, scale: polynomial(scaled(x, y, scale)) * np.exp(-scaled(x, y, scale)),
        lambda x, y, scale: np.log(polynomial(scaled(x, y, scale))) - scaled(x, y, scale),
    )


def _from_log(name, make, log):
    return Case(name, make, lambda *args: np.exp(log(*args)), log)


#: Kernels with a length scale, for all features or for each.
SCALED = [
    _from_log("Gaussian", kernels.Gaussian, lambda *args: -_squared(*args) / 2),
    _from_log("Laplacian", kernels.Laplacian, lambda *args: -_manhattan(*args)),
    _from_log("Exponential", kernels.Exponential, lambda *args: -_euclidean(*args)),
    Case("Cauchy", kernels.Cauchy, lambda *args: 1 / (1 + _squared(*args)), lambda *args: -np.log1p(_squared(*args))),
    Case(
        "InverseMultiquadric",
        kernels.InverseMultiquadric,
        lambda *args: 1 / np.sqrt(1 + _squared(*args)),
        lambda *args: -np.log1p(_squared(*args)) / 2,
    ),
    _matern(0.5, 1.0),
    _matern(1.5, 1.0, 1.0),
    _matern(2.5, 1.0, 1.0, 1 / 3),
    _matern(3.5, 1.0, 1.0, 2 / 5, 1 / 15),
    _from_log("Matern-inf", lambda scale: kernels.Matern(scale, nu=math.inf), lambda *args: -_squared(*args) / 2),
    *(
        _from_log(
            f"RationalQuadratic-{alpha}",
            lambda scale, alpha=alpha: kernels.RationalQuadratic(scale, alpha),
            lambda *args, alpha=alpha: -alpha * np.log1p(_squared(*args) / (2 * alpha)),
        )
        for alpha in (0.3, 1.0, 7.5, 1e5)
    ),
]

#: All the others.
_PLAIN = [
    _from_log(
        "ExpSineSquared",
        lambda scale: kernels.ExpSineSquared(0.7, 1.3),
        lambda x, y, scale: -2 * (np.sin(np.pi * cdist(x, y) / 1.3) / 0.7) ** 2,
    ),
    Case("Energy", lambda scale: kernels.Energy(), lambda x, y, scale: -cdist(x, y)),
    Case("Linear", lambda scale: kernels.Linear(), lambda x, y, scale: x @ y.T),
    Case("DotProduct", lambda scale: kernels.DotProduct(0.8), lambda x, y, scale: 0.64 + x @ y.T),
    Case(
        "Polynomial-3", lambda scale: kernels.Polynomial(3, 0.6, -0.2), lambda x, y, scale: (0.6 * x @ y.T - 0.2) ** 3
    ),
    Case("Polynomial-1", lambda scale: kernels.Polynomial(1), lambda x, y, scale: x @ y.T + 1),
    Case(
        "Polynomial-2.5",  # of samples whose products are positive
        lambda scale: kernels.Polynomial(2.5, 0.4, 0.3),
        lambda x, y, scale: (0.4 * x @ y.T + 0.3) ** 2.5,
        nonnegative=True,
    ),
    Case("Sigmoid", lambda scale: kernels.Sigmoid(0.3, -0.4), lambda x, y, scale: np.tanh(0.3 * x @ y.T - 0.4)),
    Case(
        "Cosine",
        lambda scale: kernels.Cosine(),
        lambda x, y, scale: x @ y.T / np.outer(np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1)),
    ),
    Case("Constant", lambda scale: kernels.Constant(2.5), lambda x, y, scale: np.full((len(x), len(y)), 2.5)),
    Case("AdditiveChi2", lambda scale: kernels.AdditiveChi2(), lambda x, y, scale: -_chi2(x, y), nonnegative=True),
    Case(
        "Chi2",
        lambda scale: kernels.Chi2(0.9),
        lambda x, y, scale: np.exp(-0.9 * _chi2(x, y)),
        lambda x, y, scale: -0.9 * _chi2(x, y),
        nonnegative=True,
    ),
]

_G, _L = (lambda *args: np.exp(-_squared(*args) / 2)), (lambda x, y, scale: x @ y.T)

#: Sums, products and powers, of kernels that are positive and of some that are not.
_COMPOSITE = [
    Case(
        "Sum",
        lambda scale: 3.0 * kernels.Gaussian(scale) + kernels.Laplacian(scale),
        lambda *args: 3 * _G(*args) + np.exp(-_manhattan(*args)),
        lambda *args: np.logaddexp(math.log(3) - _squared(*args) / 2, -_manhattan(*args)),
    ),
    Case(
        "Sum-equal",
        lambda scale: kernels.Gaussian(scale) + kernels.Gaussian(scale),
        lambda *args: 2 * _G(*args),
        lambda *args: math.log(2) - _squared(*args) / 2,
    ),
    Case(
        "Sum-White",
        lambda scale: kernels.White(0.5) + kernels.Gaussian(scale) + kernels.White(0.3),
        _G,
        lambda *args: -_squared(*args) / 2,
    ),
    Case("Sum-signed", lambda scale: kernels.Gaussian(scale) + kernels.Linear(), lambda *a: _G(*a) + _L(*a)),
    Case("Product-signed", lambda scale: kernels.Gaussian(scale) * kernels.Linear(), lambda *a: _G(*a) * _L(*a)),
    Case(
        "Product-twice-signed", lambda scale: kernels.Linear() * kernels.DotProduct(), lambda *a: _L(*a) * (1 + _L(*a))
    ),
    Case("Power-2", lambda scale: kernels.Linear() ** 2, lambda *args: _L(*args) ** 2),
    Case("Power-3", lambda scale: kernels.Linear() ** 3, lambda *args: _L(*args) ** 3),
    Case("Power-0", lambda scale: kernels.Linear() ** 0, lambda x, y, scale: np.ones((len(x), len(y)))),
    Case(
        "Power-0.5",
        lambda scale: kernels.Gaussian(scale) ** 0.5,
        lambda *args: np.exp(-_squared(*args) / 4),
        lambda *args: -_squared(*args) / 4,
    ),
    Case(
        "Power-minus-2",
        lambda scale: (kernels.Cauchy(scale) + kernels.Constant(1.0)) ** -2,
        lambda *args: (1 + 1 / (1 + _squared(*args))) ** -2.0,
    ),
    Case(
        "Nested",
        lambda scale: (kernels.Gaussian(scale) + 0.5) * (kernels.Matern(scale) + kernels.White()) ** 2,
        lambda *args: (
            (_G(*args) + 0.5) * ((1 + 3**0.5 * _euclidean(*args)) * np.exp(-(3**0.5) * _euclidean(*args))) ** 2
        ),
    ),
]

CASES = [*SCALED, *_PLAIN, *_COMPOSITE]


def samples(rng, rows, n_features, dtype=np.float64, nonnegative=False):
    """Samples at distances of about one, whatever the number of features."""
    x = (rng.normal(size=(rows, n_features)) / math.sqrt(n_features)).astype(dtype)
    return abs(x) if nonnegative else x


def histograms(rng, rows, n_features):
    """Samples without negative values, some zeros among them."""
    x = rng.random((rows, n_features))
    return np.where(x < 0.3, 0.0, x)


def log_matrix(kernel, X, Y):  # noqa: N803
    """The logarithm of a kernel for all pairs, from its text: a log-sum-exp with one term each."""
    values = kernel.bind(X.shape[1], Y.shape[1]).values
    aliases = [f"x = Vi({X.shape[1]})", f"y = Vj({Y.shape[1]})", *(f"{k} = Pm({len(v)})" for k, v in values.items())]
    f = Genred(kernel.log_formula(Y.shape[1]), aliases, "LogSumExp", axis=1)
    parameters = [v.astype(X.dtype) for v in values.values()]
    return np.hstack([f(X, y[None], *parameters) for y in Y])
