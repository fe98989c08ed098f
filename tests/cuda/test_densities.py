"""Densities of all shapes with arrays of CuPy: results are there, and equal to those of NumPy's arrays."""

import numpy as np
import pytest

from skkeops import KernelDensity, KernelDensityClassifier

H = np.linspace(0.5, 2, 60)
DENSITIES = {
    "per sample": {"bandwidth": H, "scaling": "std"},
    "per sample, compact": {"bandwidth": 2 * H, "kernel": "epanechnikov"},
    "per sample and feature": {"bandwidth": H[:, None] * [1, 2], "kernel": "exponential"},
    "bounds": {"bounds": [(0, 1), (0, None)], "bandwidth": [0.3, 0.2], "scaling": "std"},
    "bounds, per sample": {"bounds": [(None, 1), (0, 1)], "bandwidth": H[:, None]},
    "period": {"period": [None, 1.0], "bandwidth": [0.3, 0.1]},
    "sphere": {"metric": "haversine", "bandwidth": "abramson"},
    "sphere, compact": {"metric": "haversine", "bandwidth": H[:, None], "kernel": "cosine"},
    "abramson": {"bandwidth": "abramson", "scaling": "covariance"},
}


@pytest.mark.parametrize("name", DENSITIES)
def test_densities(name, double, rng):
    X, w, queries = rng.random((60, 2)), rng.random(60), rng.random((9, 2))
    d, params = double.asarray, DENSITIES[name]
    expected = KernelDensity(**params).fit(X, sample_weight=w)
    model = KernelDensity(**params).fit(d(X), sample_weight=d(w))
    found = model.score_samples(d(queries))
    assert type(found) is type(model.bandwidth_) is double.ndarray
    np.testing.assert_allclose(found.get(), expected.score_samples(queries), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(model.sample(5, random_state=0).get(), expected.sample(5, random_state=0), rtol=1e-9)
    names = ("X", "X_fit", "bandwidth", "sample_weight")
    for a, b in zip(model.gradient(d(queries), wrt=names), expected.gradient(queries, wrt=names), strict=True):
        np.testing.assert_allclose(a.get(), b, rtol=1e-8, atol=1e-10)


def test_cdf_and_conditional_densities(double, rng):
    X, w, queries = rng.random((60, 2)), rng.random(60), rng.random((9, 2))
    d = double.asarray
    for bounds in (None, [(0, 1), (None, 1)]):
        expected = KernelDensity(bandwidth=0.3, bounds=bounds).fit(X, sample_weight=w)
        model = KernelDensity(bandwidth=0.3, bounds=bounds).fit(d(X), sample_weight=d(w))
        np.testing.assert_allclose(model.cdf(d(queries)).get(), expected.cdf(queries), rtol=1e-9)
        found = model.score_samples(d(queries), given=[1])
        np.testing.assert_allclose(found.get(), expected.score_samples(queries, given=[1]), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("params", [{}, {"kernel": "tophat", "bandwidth": "scott"}, {"bandwidth": H}], ids=str)
def test_the_classifier(params, double, rng):
    X, y, w, queries = rng.normal(size=(60, 2)), rng.integers(0, 3, 60), rng.random(60), rng.normal(size=(9, 2))
    expected = KernelDensityClassifier(**params).fit(X, y, sample_weight=w)
    d = double.asarray
    for labels, weights in ((y, w), (d(y), d(w))):
        model = KernelDensityClassifier(**params).fit(d(X), labels, sample_weight=weights)
        for method in ("predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba"):
            found = getattr(model, method)(d(queries))
            assert type(found) is double.ndarray
            np.testing.assert_allclose(found.get(), getattr(expected, method)(queries), rtol=1e-9, atol=1e-12)
        assert type(model.class_prior_) is double.ndarray
        assert model.score(d(X), labels, sample_weight=weights) == pytest.approx(expected.score(X, y, sample_weight=w))
    names = np.array(["a", "b", "c"])
    words = KernelDensityClassifier(**params).fit(d(X), names[y])
    np.testing.assert_array_equal(words.predict(d(queries)), names[words.predict_proba(d(queries)).get().argmax(axis=1)])


@pytest.mark.parametrize("name", ["bounds, per sample", "period", "sphere, compact"])
def test_kernels_give_the_same(name, cupy, rng):
    """With the kernels themselves, where the tests above compute with the reference backend."""
    X, queries = rng.random((60, 2)), rng.random((9, 2))
    expected, model = (KernelDensity(**DENSITIES[name]).fit(make(X)) for make in (np.asarray, cupy.asarray))
    found = model.score_samples(cupy.asarray(queries))
    np.testing.assert_allclose(found.get(), expected.score_samples(queries), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(model.gradient(cupy.asarray(queries)).get(), expected.gradient(queries), rtol=1e-7, atol=1e-8)
