"""Eigenvectors and features of kernels on arrays of CuPy: results and products on the device, eigenvectors found on the host."""

import numpy as np
import pytest

from skkeops import KernelPCA, RPCholesky, SpectralClustering, SpectralEmbedding, kernels

ESTIMATORS = {
    "components": KernelPCA(3, kernel=kernels.Gaussian(1.0), fit_inverse_transform=True),
    "noise": KernelPCA(2, kernel=kernels.Matern(1.0) + kernels.White(0.1)),
    "features": RPCholesky(kernels.Gaussian(1.0), n_components=6, tol=1e-3, random_state=0),
    "embedding": SpectralEmbedding(2, kernel=kernels.Gaussian(1.0)),
}


def of_queries(estimator, queries):
    return estimator.embed(queries) if isinstance(estimator, SpectralEmbedding) else estimator.transform(queries)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_follows_the_samples(name, dtype, double, rng):
    X, queries = rng.normal(size=(40, 3)).astype(dtype), rng.normal(size=(7, 3)).astype(dtype)
    estimator = ESTIMATORS[name]
    expected = estimator.fit_transform(X), of_queries(estimator, queries)
    back = estimator.inverse_transform(expected[1]) if name == "components" else None
    found = estimator.fit_transform(double.asarray(X)), of_queries(estimator, double.asarray(queries))
    for a, b in zip(found, expected, strict=True):
        assert type(a) is double.ndarray and a.dtype == dtype
        np.testing.assert_allclose(a.get(), b, atol=1e-4 if dtype == np.float32 else 1e-8)
    assert type(estimator.normalization_ if name == "features" else estimator.eigenvalues_) is double.ndarray
    if back is not None:
        inverse = estimator.inverse_transform(found[1])
        assert type(inverse) is double.ndarray
        np.testing.assert_allclose(inverse.get(), back, atol=1e-3 if dtype == np.float32 else 1e-6)


def test_clusters(double, rng):
    X = np.concatenate([rng.normal(size=(20, 3)), rng.normal(size=(20, 3)) + 8])
    estimator = SpectralClustering(2, affinity=kernels.Gaussian(2.0), random_state=0)
    expected = estimator.fit_predict(X)
    found = estimator.fit_predict(double.asarray(X))
    assert type(found) is type(estimator.embedding_) is double.ndarray
    np.testing.assert_array_equal(found.get(), expected)
