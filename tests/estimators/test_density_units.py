"""Lengths of any size, and places far from the origin: the density is that of scikit-learn near 1, but for the volume."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp
from sklearn import neighbors

from skkeops import KernelDensity
from skkeops.estimators.windows import WINDOWS


@pytest.mark.parametrize(
    ("dtype", "powers", "tolerance"),
    [(np.float64, (-1015, -990, -660, -100, 100, 530, 990, 1019), 1e-10), (np.float32, (-122, -110, -50, 50, 110, 125), 1e-4)],
)
@pytest.mark.parametrize("kernel", list(WINDOWS))
def test_bandwidths_of_any_size(kernel, dtype, powers, tolerance, rng):
    X, Q = (rng.normal(size=(n, 3)).astype(dtype) for n in (30, 7))
    expected = neighbors.KernelDensity(bandwidth=1.5, kernel=kernel).fit(X).score_samples(Q)
    for power in powers:
        unit = 2.0**power
        scaled = KernelDensity(bandwidth=1.5 * unit, kernel=kernel).fit(X * dtype(unit))
        found = scaled.score_samples(Q * dtype(unit)) + 3 * math.log(unit)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("h", [1e-300, 1e-200, 1e-100, 1e-30, 1e30, 1e160, 1e300])
@pytest.mark.parametrize("kernel", list(WINDOWS))
def test_bandwidths_of_another_size_than_the_data(kernel, h, dtype, rng):
    """A sample is alone, or all are at one place."""
    X = rng.normal(size=(8, 1)).astype(dtype)
    mass = neighbors.KernelDensity(bandwidth=1.0, kernel=kernel).fit([[0.0]]).score_samples([[0.0]])[0]
    expected = mass - math.log(h) - (math.log(8) if h < 1 else 0)
    for bandwidth in (h, [h]):
        found = KernelDensity(bandwidth=bandwidth, kernel=kernel).fit(X).score_samples(X)
        np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("kernel", ["gaussian", "exponential"])
@pytest.mark.parametrize("each", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_from_the_origin(kernel, each, dtype, rng):
    place, unit = (5_819_000, 10.0) if dtype == np.float32 else (1.7e9, 1e-3)
    X, Q = ((place + unit * rng.normal(size=(n, 2))).astype(dtype) for n in (30, 7))
    x, q = (a.astype(float) - X[0].astype(float) for a in (X, Q))
    found = KernelDensity(bandwidth=[unit, unit] if each else unit, kernel=kernel).fit(X).score_samples(Q)
    expected = neighbors.KernelDensity(bandwidth=unit, kernel=kernel).fit(x).score_samples(q)
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == np.float32 else 1e-11)


@pytest.mark.parametrize("weight", [1.0, 1e-300, 1e308])
@pytest.mark.parametrize("unit", [1.0, 2.0**-1000, 2.0**-660, 2.0**500, 2.0**665, 2.0**1021])
def test_learned_bandwidths(unit, weight, rng):
    X = rng.normal(size=(25, 2))
    d2 = ((X[:, None] - X) ** 2).sum(-1)
    np.fill_diagonal(d2, np.inf)

    def loss(h):
        return -logsumexp(-d2 / (2 * h * h), axis=1).mean() + 2 * math.log(h)

    best = minimize_scalar(loss, bounds=(0.1, 3), method="bounded", options={"xatol": 1e-9}).x
    weights = np.full(25, weight)
    for given, expected in (("cv", best), ("scott", 25 ** (-1 / 6) / unit)):
        model = KernelDensity(bandwidth=given).fit(X * unit, sample_weight=weights)
        np.testing.assert_allclose(model.bandwidth_ / unit, expected, rtol=1e-6)
    model = KernelDensity(bandwidth="cv_ard", scaling="std").fit(X * unit, sample_weight=weights)
    plain = KernelDensity(bandwidth="cv_ard", scaling="std").fit(X)
    np.testing.assert_allclose(model.scale_ / unit, X.std(axis=0, ddof=1), rtol=1e-12)
    np.testing.assert_allclose(model.bandwidth_, plain.bandwidth_, rtol=1e-5)
    assert np.isfinite(model.sample(5, random_state=0)).all()


def test_a_covariance_that_is_no_float(rng):
    with pytest.raises(ValueError, match="needs the squares of the deviations of the features, which are too large or too"):
        KernelDensity(scaling="covariance").fit(1e200 * rng.normal(size=(9, 2)))
