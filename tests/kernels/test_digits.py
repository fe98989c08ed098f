"""The digits of the samples as they are: far from the origin, and with parameters at the ends of a dtype's range.

The rule: a kernel of differences is computed from the differences of the given floats, which are exact or rounded once, and no
parameter that is allowed makes NaN of a number.
"""

import math

import mpmath
import numpy as np
import pytest
from scipy.special import logsumexp

from skkeops import KernelLogSumExp, KernelRidge, KernelSmoother, KernelSum, kernels

from .truth import CASES, SCALED, log_matrix

# Northings in metres; seconds since 1970, in units of a millisecond.
PLACES = {np.float32: (5_819_000.0, 10.0), np.float64: (1.7e9, 1e-3)}
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
INVARIANT = [
    case for case in CASES if not case.nonnegative and case.make(1.0).is_stationary() and case.name != "Power-minus-2"
]
# Expected values have the origin at the first sample: the differences of neighbours are exact.


def far_samples(rng, rows, n_features, dtype):
    place, unit = PLACES[dtype]
    return (place + unit * rng.normal(size=(rows, n_features))).astype(dtype)


def lengths(n_features, anisotropic, dtype):
    return PLACES[dtype][1] * (np.linspace(0.7, 1.9, n_features) if anisotropic else 1.3)


def slopes(f, at, step):
    """The gradient of a function of an array by central differences."""
    gradient = np.empty(np.shape(at))
    for index in np.ndindex(gradient.shape):
        shift = np.zeros_like(gradient)
        shift[index] = step
        gradient[index] = (f(at + shift) - f(at - shift)) / (2 * step)
    return gradient


@DTYPES
@pytest.mark.parametrize(("n_features", "anisotropic"), [(1, False), (2, False), (3, True), (40, False), (40, True)])
@pytest.mark.parametrize("case", INVARIANT, ids=lambda case: case.name)
def test_values_far_from_the_origin(case, n_features, anisotropic, dtype, rng):
    length = lengths(n_features, anisotropic, dtype)
    X, Y = far_samples(rng, 7, n_features, dtype), far_samples(rng, 19, n_features, dtype)
    x, y = (a.astype(float) - X[0].astype(float) for a in (X, Y))
    kernel, expected = case.make(length), case.value(x, y, length)
    tolerance = TOLERANCE[dtype]
    if "Sine" in case.name:  # what rounds is the number of periods
        tolerance *= 3 * (1 + abs(y).max() / 1.3)
    np.testing.assert_allclose(kernel(X, Y), expected, rtol=tolerance, atol=tolerance)
    sums = KernelSum(kernel).fit(Y).transform(X)[:, 0]
    np.testing.assert_allclose(sums, expected.sum(axis=1), rtol=tolerance, atol=len(Y) * tolerance)
    if case.log:
        log = case.log(x, y, length)
        np.testing.assert_allclose(log_matrix(kernel, X, Y), log, rtol=tolerance, atol=tolerance)
        found = KernelLogSumExp(kernel).fit(Y).score_samples(X)
        np.testing.assert_allclose(found, logsumexp(log, axis=1), rtol=tolerance, atol=tolerance)


@DTYPES
@pytest.mark.parametrize("anisotropic", [False, True])
@pytest.mark.parametrize("case", SCALED, ids=lambda case: case.name)
def test_derivatives_far_from_the_origin(case, anisotropic, dtype, rng):
    length = lengths(2, anisotropic, dtype)
    unit = PLACES[dtype][1]
    X, Y = far_samples(rng, 5, 2, dtype), far_samples(rng, 11, 2, dtype)
    x, y = (a.astype(float) - X[0].astype(float) for a in (X, Y))
    model = KernelSum(case.make(length)).fit(Y)
    by_x, by_y, by_length = model.gradient(X, wrt=("X", "X_fit", "kernel__length_scale"))
    tolerance = {"rtol": 1e-4 if dtype == np.float32 else 1e-7, "atol": (1e-4 if dtype == np.float32 else 1e-7) / unit}
    np.testing.assert_allclose(by_x, slopes(lambda x: case.value(x, y, length).sum(), x, 1e-5 * unit), **tolerance)
    np.testing.assert_allclose(by_y, slopes(lambda y: case.value(x, y, length).sum(), y, 1e-5 * unit), **tolerance)
    expected = slopes(lambda s: case.value(x, y, s).sum(), np.asarray(length), 1e-5 * unit)
    np.testing.assert_allclose(by_length, expected, **tolerance)


@DTYPES
@pytest.mark.parametrize("periods", [24.0, [24.0, 7.0]], ids=str)
def test_hours_and_days(periods, dtype, rng):
    """After whole periods, ever so many, it is the same hour."""
    X = (4e5 + rng.integers(0, 10_000, (9, 2))).astype(dtype)
    kernel = kernels.ExpSineSquared(0.5, periods)
    shifted = X + 168 * np.array([[100, 100], [37, -5], [0, 1]], dtype)[:, None]
    if np.ndim(periods):
        d = X[:, None].astype(float) - X
        expected = np.exp(-2 * (np.sin(np.pi * np.fmod(d, periods) / periods) ** 2 / 0.25).sum(-1))
        for Y in shifted:
            np.testing.assert_allclose(kernel(X, Y), expected, atol=4e-3 if dtype == np.float32 else 1e-9)
            np.testing.assert_array_equal(np.diagonal(kernel(X, Y)), 1)
    else:
        np.testing.assert_array_equal(kernel(shifted[2][:1] * [1, 0], X[:1] * [1, 0]), 1)


@DTYPES
def test_estimators_far_from_the_origin(dtype, rng):
    """On the ground that the issue was found on: metres, with a length of ten."""
    X, Y = (np.round(5_819_000 + 30 * rng.random((k, 2))).astype(dtype) for k in (9, 40))
    Y = np.unique(Y, axis=0)
    b = rng.normal(size=len(Y)).astype(dtype)
    d2 = ((X[:, None].astype(float) - Y) ** 2).sum(-1)
    K, inner = np.exp(-d2 / 200), np.exp(-((Y[:, None].astype(float) - Y) ** 2).sum(-1) / 200)
    tolerance = {"rtol": 1e-5, "atol": 1e-5}
    kernel = kernels.Gaussian(10.0)
    smooth = KernelSmoother(kernel).fit(Y, b).predict(X)
    np.testing.assert_allclose(smooth, (K @ b) / K.sum(1), **tolerance)
    ridge = KernelRidge(alpha=0.1, kernel=kernel).fit(Y, b).predict(X)
    expected = K @ np.linalg.solve(inner + 0.1 * np.eye(len(Y)), b.astype(float))
    np.testing.assert_allclose(ridge, expected, **tolerance)


# What kernels are, in the arithmetic of mpmath: of two samples and their parameters.


def _d2(x, y, scale=1):
    return mpmath.fsum(((a - b) / scale) ** 2 for a, b in zip(x, y, strict=True))


def _distance(x, y, scale=1):
    return mpmath.sqrt(_d2(x, y, scale))


def _dot(x, y):
    return mpmath.fsum(a * b for a, b in zip(x, y, strict=True))


def _chi2(x, y):
    return mpmath.fsum((a - b) ** 2 / (a + b) for a, b in zip(x, y, strict=True) if a + b)


def _matern_3(x, y, length_scale):
    s = mpmath.sqrt(3) * _distance(x, y, length_scale)
    return (1 + s) * mpmath.exp(-s)


TRUTH = {
    "Gaussian": lambda x, y, length_scale: mpmath.exp(-_d2(x, y, length_scale) / 2),
    "Laplacian": lambda x, y, length_scale: mpmath.exp(
        -mpmath.fsum(abs(a - b) for a, b in zip(x, y, strict=True)) / length_scale
    ),
    "Exponential": lambda x, y, length_scale: mpmath.exp(-_distance(x, y, length_scale)),
    "Cauchy": lambda x, y, length_scale: 1 / (1 + _d2(x, y, length_scale)),
    "InverseMultiquadric": lambda x, y, length_scale: 1 / mpmath.sqrt(1 + _d2(x, y, length_scale)),
    "Matern": _matern_3,
    "RationalQuadratic": lambda x, y, length_scale, alpha: mpmath.exp(
        -alpha * mpmath.log1p(_d2(x, y, length_scale) / (2 * alpha))
    ),
    "ExpSineSquared": lambda x, y, length_scale, periodicity: mpmath.exp(
        -2 * (mpmath.sin(mpmath.pi * _distance(x, y) / periodicity) / length_scale) ** 2
    ),
    "DotProduct": lambda x, y, sigma_0: sigma_0**2 + _dot(x, y),
    "Polynomial": lambda x, y, gamma, coef0: (gamma * _dot(x, y) + coef0) ** 3,
    "Sigmoid": lambda x, y, gamma, coef0: mpmath.tanh(gamma * _dot(x, y) + coef0),
    "Chi2": lambda x, y, gamma: mpmath.exp(-gamma * _chi2(x, y)),
    "Constant": lambda x, y, constant_value: constant_value,
}
SIZES = [5e-324, 1e-310, 1e-200, 1e-100, 1e-42, 1e-38, 1e-30, 1e-19, 1e-12, 1e-5, 1e5, 1e12, 1e19, 1e30, 1e38, 1e100, 1e300]
EXTREMES = [
    (name, parameter.name)
    for name in TRUTH
    for parameter in getattr(kernels, name)._parameters
    if parameter.sign == "positive"
]


def test_every_kernel_with_parameters_has_a_truth():
    with_parameters = {name for name in kernels.__all__ if getattr(getattr(kernels, name), "_parameters", ())}
    assert with_parameters - {"RBF", "White"} == set(TRUTH)


@DTYPES
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("owner", "name"), EXTREMES)
def test_numbers_at_the_ends_of_the_range(owner, name, size, dtype):
    kernel = getattr(kernels, owner)(**{name: size})
    X = np.array([[0.0, 0.0], [0.0, 0.0], [0.5, 0.0], [1.5, 2.0], [1.5, 2.0], [1.5, 2.25]], dtype)
    with mpmath.workprec(150):
        points = [[mpmath.mpf(float(v)) for v in x] for x in X]
        numbers = {p.name: mpmath.mpf(float(getattr(kernel, p.name))) for p in kernel._parameters}
        exact = [[TRUTH[owner](x, y, **numbers) for y in points] for x in points]
        largest = mpmath.mpf(float(np.finfo(dtype).max))
        expected = np.array([[float(v) if abs(v) <= largest else math.inf for v in row] for row in exact])
    if name == "periodicity" and size < 1e-4:  # the phase is beyond all digits
        expected[(X[:, None] != X).any(-1)] = np.nan
        known = ~np.isnan(expected)
    else:
        known = np.full(expected.shape, True)
    # A kernel that is 1 at its largest may be 0 where it is the inverse of a square that overflows.
    tolerance = {"rtol": 100 * np.finfo(dtype).eps, "atol": np.finfo(dtype).max ** -0.5}
    for Y in (None, X.copy()):
        np.testing.assert_allclose(kernel(X, Y)[known], expected[known], **tolerance)
    np.testing.assert_allclose(kernel.diag(X), np.diagonal(expected), **tolerance)


@DTYPES
@pytest.mark.parametrize("size", [1e-33, 1e-25, 1e-15, 1e15, 1e25, 1e36])
@pytest.mark.parametrize("case", SCALED, ids=lambda case: case.name)
def test_samples_and_lengths_in_small_and_large_units(case, size, dtype, rng):
    """Energies in joules, masses of planets: the square of a distance is no number of the dtype, the quotient is."""
    for length in (1.3, np.linspace(0.7, 1.9, 3)):
        X, Y = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
        expected = case.value((size * X).astype(dtype) / size, (size * Y).astype(dtype) / size, length)
        K = case.make(size * length)((size * X).astype(dtype), (size * Y).astype(dtype))
        np.testing.assert_allclose(K, expected, rtol=1e-5 if dtype == np.float32 else 1e-12, atol=TOLERANCE[dtype])
