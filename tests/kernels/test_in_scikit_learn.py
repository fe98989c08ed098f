"""Kernel objects in the estimators and the searches of scikit-learn."""

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.decomposition import KernelPCA
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process import kernels as gp
from sklearn.kernel_approximation import Nystroem
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.model_selection import GridSearchCV
from sklearn.svm import SVC

from skkeops import kernels


@pytest.fixture
def blobs():
    X, y = make_blobs(60, 3, centers=3, cluster_std=3.0, random_state=0)
    return X / 10, y


PAIRS = pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (kernels.Gaussian(0.8), gp.RBF(0.8)),
        (2.0 * kernels.Matern(0.8, nu=2.5) + kernels.White(0.1), 2.0 * gp.Matern(0.8, nu=2.5) + gp.WhiteKernel(0.1)),
    ],
    ids=["Gaussian", "sum"],
)


@PAIRS
class TestEstimators:
    def test_svc(self, ours, theirs, blobs):
        X, y = blobs
        found, expected = SVC(kernel=ours).fit(X, y), SVC(kernel=theirs).fit(X, y)
        np.testing.assert_array_equal(found.support_, expected.support_)
        np.testing.assert_allclose(found.decision_function(X), expected.decision_function(X), rtol=1e-6, atol=1e-6)

    def test_kernel_ridge(self, ours, theirs, blobs):
        X, y = blobs
        found = KernelRidge(alpha=0.1, kernel=ours).fit(X, y).predict(X)
        np.testing.assert_allclose(found, KernelRidge(alpha=0.1, kernel=theirs).fit(X, y).predict(X), rtol=1e-9)

    def test_kernel_pca(self, ours, theirs, blobs):
        X, _ = blobs
        found, expected = (KernelPCA(2, kernel=kernel).fit_transform(X) for kernel in (ours, theirs))
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)

    def test_nystroem(self, ours, theirs, blobs):
        X, _ = blobs
        found, expected = (
            Nystroem(kernel, n_components=8, random_state=0).fit_transform(X) for kernel in (ours, theirs)
        )
        np.testing.assert_allclose(found @ found.T, expected @ expected.T, rtol=1e-8, atol=1e-8)

    def test_gaussian_process(self, ours, theirs, blobs):
        X, _ = blobs
        y = np.sin(3 * X).sum(axis=1) + np.random.default_rng(0).normal(size=60) / 5
        found, expected = (
            GaussianProcessRegressor(kernel, alpha=1e-2, random_state=0).fit(X[:40], y[:40])
            for kernel in (ours, theirs)
        )
        assert isinstance(found.kernel_, kernels.Kernel)
        assert found.log_marginal_likelihood_value_ > found.log_marginal_likelihood(ours.theta)
        np.testing.assert_allclose(
            found.log_marginal_likelihood_value_, expected.log_marginal_likelihood_value_, rtol=1e-6
        )
        np.testing.assert_allclose(found.kernel_.theta, expected.kernel_.theta, atol=1e-2)
        for a, b in zip(found.predict(X, return_std=True), expected.predict(X, return_std=True), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-2, atol=1e-3)
        np.testing.assert_allclose(
            found.log_marginal_likelihood(ours.theta + 0.1, eval_gradient=True)[1],
            expected.log_marginal_likelihood(theirs.theta + 0.1, eval_gradient=True)[1],
            rtol=1e-7,
        )

    def test_gaussian_process_as_it_is(self, ours, theirs, blobs):
        X, y = blobs
        found, expected = (
            GaussianProcessRegressor(kernel, alpha=1e-2, optimizer=None).fit(X[:40], y[:40]).predict(X, return_cov=True)
            for kernel in (ours, theirs)
        )
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)

    def test_gaussian_process_classifier(self, ours, theirs, blobs):
        X, y = blobs
        found, expected = (
            GaussianProcessClassifier(kernel, optimizer=None).fit(X[:40], y[:40] > 0).predict_proba(X)
            for kernel in (ours, theirs)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-7)


class TestSearch:
    def test_grid(self, blobs):
        X, y = blobs
        grid = {"length_scale": [0.01, 0.3, 30.0]}
        found, expected = (
            GridSearchCV(KernelRidge(alpha=0.1, kernel=k), {f"kernel__{n}": v for n, v in grid.items()}, cv=3).fit(X, y)
            for k in (kernels.Gaussian(), gp.RBF())
        )
        np.testing.assert_allclose(found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])
        assert len(set(found.cv_results_["mean_test_score"].round(6))) == 3
        assert found.best_estimator_.kernel.length_scale == found.best_params_["kernel__length_scale"]

    def test_grid_inside_a_sum_and_in_threads(self, blobs):
        X, y = blobs
        kernel = 2.0 * kernels.Gaussian() + kernels.Formula("g * (x | y)", g=0.1)
        grid = {"kernel__k1__k2__length_scale": [0.1, 1.0], "kernel__k2__g": [0.0, 1.0]}
        with joblib.parallel_config("threading", n_jobs=2):
            search = GridSearchCV(SVC(kernel=kernel), grid, cv=2, n_jobs=2).fit(X, y)
        assert search.score(X, y) > 0.6
        assert len(search.cv_results_["params"]) == 4
        assert kernel.k1.k2.length_scale == 1.0

    def test_histograms(self, rng):
        X, y = rng.random((20, 4)), np.arange(20) % 2
        model = SVC(kernel=kernels.Chi2(2.0)).fit(X, y)
        expected = SVC(kernel="precomputed").fit(pairwise_kernels(X, metric="chi2", gamma=2.0), y)
        np.testing.assert_allclose(model.dual_coef_, expected.dual_coef_, rtol=1e-6)
        with pytest.raises(ValueError, match="negative values"):
            model.predict(X - 0.5)
        with pytest.raises(ValueError, match="negative values"):
            clone(model).fit(X - 0.5, y)
