"""Fitted estimators, written and read again, by pickle and by skops, whose files run no code when they are read."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import BaseEstimator

import skkeops
from skkeops import kernels

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def by_pickle(estimator):
    return pickle.loads(pickle.dumps(estimator))


def by_skops(estimator):
    io = pytest.importorskip("skops.io")
    data = io.dumps(estimator)
    unknown = io.get_untrusted_types(data=data)
    assert all(name.startswith("skkeops.") for name in unknown)  # everything else is NumPy's and scikit-learn's
    return io.loads(data, trusted=unknown)


def estimators():
    """Every estimator as it is, and with what else it may keep."""
    kernel = 2.0 * kernels.Gaussian(length_scale=[1.0, 2.0, 3.0]) + kernels.Matern(nu=1.5)
    for name in skkeops.__all__:
        cls = getattr(skkeops, name)
        if isinstance(cls, type) and issubclass(cls, BaseEstimator):
            yield pytest.param(cls(), id=name)
    yield pytest.param(skkeops.KernelRidge(kernel=kernel, alpha=0.1), id="KernelRidge of a sum")
    yield pytest.param(skkeops.KernelRidge(kernel=kernels.Formula("Exp(-Norm2(x - y))")), id="KernelRidge of a formula")
    noisy = kernel + kernels.White(0.1)
    yield pytest.param(skkeops.GaussianProcessRegressor(noisy, normalize_y=True), id="GaussianProcessRegressor of a sum")
    iterative = skkeops.GaussianProcessRegressor(noisy, method="iterative", mean="linear", n_components=5, optimizer=None)
    yield pytest.param(iterative, id="GaussianProcessRegressor, iterative")


def answers(estimator, queries):
    for method in ("predict", "score_samples", "transform", "kneighbors"):
        if hasattr(estimator, method):
            found = getattr(estimator, method)(queries)
            return found.toarray() if hasattr(found, "toarray") else np.asarray(found)
    return estimator.embedding_


@pytest.mark.parametrize("written_and_read", [by_pickle, by_skops])
@pytest.mark.parametrize("estimator", list(estimators()))
def test_the_same_answers(estimator, written_and_read, rng):
    X, queries = rng.normal(size=(60, 3)), rng.normal(size=(20, 3))
    y = X[:, 0] * X[:, 1]
    estimator.fit(X, (y > 0).astype(int) if "Classifier" in type(estimator).__name__ else y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = written_and_read(estimator)
    assert type(again) is type(estimator)
    np.testing.assert_array_equal(answers(again, queries), answers(estimator, queries))


@pytest.mark.parametrize("written_and_read", [by_pickle, by_skops])
def test_the_uncertainty_of_a_process(written_and_read, rng):
    X, queries = rng.normal(size=(40, 2)), rng.normal(size=(10, 2))
    process = skkeops.GaussianProcessRegressor(kernels.Gaussian() + kernels.White(0.1)).fit(X, X[:, 0])
    again = written_and_read(process)
    for found, expected in zip(again.predict(queries, return_std=True), process.predict(queries, return_std=True), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert again.log_marginal_likelihood(process.kernel_.theta) == process.log_marginal_likelihood(process.kernel_.theta)
