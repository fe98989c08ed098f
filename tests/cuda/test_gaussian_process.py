"""GaussianProcessRegressor on arrays of CuPy: the results of arrays of NumPy, as arrays of CuPy."""

import numpy as np
import pytest

from skkeops import GaussianProcessRegressor, kernels


@pytest.fixture
def data(rng):
    X = rng.normal(size=(40, 3))
    return X, np.stack([np.sin(X[:, 0]), X[:, 1]], axis=1), rng.normal(size=(17, 3))


@pytest.mark.parametrize("alpha", ["one", "each"])
@pytest.mark.parametrize("method", ["cholesky", "iterative"])
def test_follows_the_samples(method, alpha, double, data, rng):
    X, Y, Z = data
    options = {
        "kernel": kernels.Matern([1.0, 2.0, 1.5]) + kernels.White(0.1),
        "alpha": 0.01 if alpha == "one" else rng.uniform(0.01, 0.1, size=40),
        "mean": "linear",
        "normalize_y": True,
        "optimizer": None if method == "iterative" else "fmin_l_bfgs_b",
        "method": method,
        "random_state": 0,
    }
    expected = GaussianProcessRegressor(**options).fit(X, Y)
    d = double.asarray
    model = GaussianProcessRegressor(**options).fit(d(X), d(Y))
    pairs = [
        (model.predict(d(Z), return_std=True), expected.predict(Z, return_std=True)),
        (model.predict(d(Z), return_cov=True), expected.predict(Z, return_cov=True)),
        ((model.gradient(d(Z)), model.gradient(d(Z), of="variance")), (expected.gradient(Z), expected.gradient(Z, of="variance"))),
        ((model.alpha_, model.mean_coef_, model.X_train_), (expected.alpha_, expected.mean_coef_, expected.X_train_)),
    ]
    for found, truth in pairs:
        for a, b in zip(found, truth, strict=True):
            assert isinstance(a, double.ndarray)
            np.testing.assert_allclose(a.get(), b, rtol=1e-4, atol=1e-4)
    assert model.log_marginal_likelihood_value_ == pytest.approx(expected.log_marginal_likelihood_value_, abs=1e-2)
    draws = model.sample_y(d(Z), 5)
    assert isinstance(draws, double.ndarray) and draws.shape == (17, 2, 5)
    assert model.score(d(X), d(Y)) == pytest.approx(expected.score(X, Y), abs=1e-4)
