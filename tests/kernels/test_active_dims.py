"""Kernels of some columns, and kernels with numbers for each."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process import kernels as theirs
from sklearn.metrics.pairwise import rbf_kernel

from skkeops import Formula, KernelRidge, KernelSum, kernels

from .truth import samples

COLUMNS = [[1], [0, 1], [2, 0], (3, 1, 2), range(1, 4), np.array([0, 2, 3])]
OF_FEATURES = [
    name
    for name in kernels.__all__
    if isinstance(getattr(kernels, name), type)
    and name not in ("Kernel", "Constant", "White", "Sum", "Product", "Exponentiation", "Formula", "RBF")
]


@pytest.fixture
def X(rng):
    return samples(rng, 9, 4, nonnegative=True)


@pytest.mark.parametrize("columns", COLUMNS, ids=str)
@pytest.mark.parametrize("name", OF_FEATURES)
class TestSomeColumns:
    def test_are_all_there_is(self, name, columns, X):
        chosen = list(columns)
        kernel, plain = getattr(kernels, name)(active_dims=columns), getattr(kernels, name)()
        np.testing.assert_allclose(kernel(X), plain(X[:, chosen]), rtol=1e-14)
        np.testing.assert_allclose(kernel(X[:3], X), plain(X[:3, chosen], X[:, chosen]), rtol=1e-14)
        np.testing.assert_allclose(kernel.diag(X), plain.diag(X[:, chosen]), rtol=1e-14)
        K, K_gradient = kernel(X, eval_gradient=True)
        expected = plain(X[:, chosen], eval_gradient=True)
        np.testing.assert_allclose(K, expected[0], rtol=1e-14)
        np.testing.assert_allclose(K_gradient, expected[1], rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(kernel.theta, plain.theta)

    def test_gradients_of_the_others_are_zero(self, name, columns, X):
        chosen = list(columns)
        model = KernelSum(getattr(kernels, name)(active_dims=columns)).fit(X)
        plain = KernelSum(getattr(kernels, name)()).fit(X[:, chosen])
        expected = np.zeros((3, 4))
        expected[:, chosen] = plain.gradient(X[:3, chosen])
        np.testing.assert_allclose(model.gradient(X[:3]), expected, rtol=1e-11, atol=1e-13)

    def test_is_a_parameter(self, name, columns, X):
        kernel = getattr(kernels, name)(active_dims=columns)
        assert clone(kernel) == kernel != getattr(kernels, name)()
        assert kernel.get_params()["active_dims"] is columns
        assert "active_dims" in repr(kernel) and "active_dims" not in repr(getattr(kernels, name)())


class TestTogether:
    def test_parts_of_a_composite(self, X):
        kernel = kernels.Gaussian(0.7, active_dims=[0, 3]) * kernels.Linear(active_dims=[1]) + 2.0
        expected = rbf_kernel(X[:, [0, 3]], gamma=0.5 / 0.49) * np.outer(X[:, 1], X[:, 1]) + 2
        np.testing.assert_allclose(kernel(X), expected, rtol=1e-13)
        kernel.set_params(k1__k1__active_dims=[2])
        expected = rbf_kernel(X[:, [2]], gamma=0.5 / 0.49) * np.outer(X[:, 1], X[:, 1]) + 2
        np.testing.assert_allclose(kernel(X), expected, rtol=1e-13)

    def test_lengths_are_those_of_the_columns(self, X):
        kernel = kernels.Gaussian([0.5, 2.0], active_dims=[3, 1])
        assert kernel.anisotropic and not kernels.Gaussian().anisotropic
        np.testing.assert_allclose(kernel(X), theirs.RBF([0.5, 2.0])(X[:, [3, 1]]), rtol=1e-13)
        with pytest.raises(ValueError, match="one for each of the 2 features. Got 3 values"):
            kernels.Gaussian([1.0, 2.0, 3.0], active_dims=[0, 1])(X)

    def test_negative_values_in_other_columns(self, X):
        X[:, 0] = -1
        with pytest.raises(ValueError, match="negative values"):
            kernels.Chi2()(X)
        kernel = kernels.Chi2(active_dims=[1, 2])
        np.testing.assert_allclose(kernel(X), kernels.Chi2()(X[:, 1:3]))
        assert KernelSum(kernel).fit(X).transform(X).shape == (9, 1)

    def test_formula(self, X):
        kernel = Formula("Exp(-g*SqDist(x,y))", active_dims=[2, 0], g=0.3)
        np.testing.assert_allclose(kernel(X), rbf_kernel(X[:, [2, 0]], gamma=0.3), rtol=1e-13)
        assert clone(kernel) == kernel and "active_dims=[2, 0]" in repr(kernel)
        with pytest.raises(ValueError, match="'active_dims' parameter of Formula is for formulas of x and y"):
            Formula("a*b", ["a = Vi(1)", "b = Vj(1)"], active_dims=[0])(X[:, :1])

    def test_in_a_gaussian_process_and_in_our_estimators(self, X):
        y = np.sin(3 * X[:, 1])
        ours = GaussianProcessRegressor(kernels.Gaussian(active_dims=[1]), alpha=1e-3).fit(X, y)
        plain = GaussianProcessRegressor(theirs.RBF(), alpha=1e-3).fit(X[:, [1]], y)
        np.testing.assert_allclose(ours.predict(X), plain.predict(X[:, [1]]), atol=1e-4)
        ridge = KernelRidge(alpha=1e-3, kernel=kernels.Gaussian(active_dims=[1])).fit(X, y)
        K = rbf_kernel(X[:, [1]], gamma=0.5)
        np.testing.assert_allclose(ridge.predict(X), K @ np.linalg.solve(K + 1e-3 * np.eye(9), y), atol=1e-8)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        ([4], ValueError, "'active_dims' parameter of Gaussian names column 4: found samples with 4 features"),
        ([-1], ValueError, "different columns of the samples, as integers >= 0. Got .-1. instead."),
        ([], ValueError, "Got .. instead."),
        ([0, 0], ValueError, "Got .0, 0. instead."),
        ([0.0], TypeError, "Got .0.0. instead."),
        ([True], TypeError, "Got .True. instead."),
        ("0", TypeError, "Got '0' instead."),
        (1, TypeError, "Got 1 instead."),
    ],
)
def test_columns_that_make_no_sense(bad, error, message, X):
    for kernel in (kernels.Gaussian(active_dims=bad), 2.0 * kernels.Gaussian(active_dims=bad)):
        for call in (kernel, kernel.diag, KernelSum(kernel).fit):
            with pytest.raises(error, match=message):
                call(X)


class TestPeriods:
    def test_of_each_feature_are_a_product(self, X):
        lengths, periods = np.array([0.5, 1.0, 2.0, 0.9]), np.array([0.3, 0.5, 1.1, 0.7])
        kernel = kernels.ExpSineSquared(lengths, periods)
        parts = [
            theirs.ExpSineSquared(length, period)(X[:, [k]])
            for k, (length, period) in enumerate(zip(lengths, periods, strict=True))
        ]
        np.testing.assert_allclose(kernel(X), np.prod(parts, axis=0), rtol=1e-12)
        together = kernels.ExpSineSquared(0.5, periods)
        parts = [theirs.ExpSineSquared(0.5, period)(X[:, [k]]) for k, period in enumerate(periods)]
        np.testing.assert_allclose(together(X), np.prod(parts, axis=0), rtol=1e-12)
        for call in (kernels.ExpSineSquared(0.5, [0.4]), kernels.ExpSineSquared([0.5], 0.4)):
            parts = [theirs.ExpSineSquared(0.5, 0.4)(X[:, [k]]) for k in range(4)]
            np.testing.assert_allclose(call(X), np.prod(parts, axis=0), rtol=1e-12)
        assert kernel.theta.shape == (8,) and kernel.anisotropic

    def test_derivatives(self, X):
        kernel = kernels.ExpSineSquared([0.5, 1.0, 2.0, 0.9], [0.3, 0.5, 1.1, 0.7])
        _, found = kernel(X, eval_gradient=True)
        for k in range(8):
            step = np.zeros(8)
            step[k] = 1e-6
            ends = [kernel.clone_with_theta(kernel.theta + sign * step)(X) for sign in (1, -1)]
            np.testing.assert_allclose(found[:, :, k], (ends[0] - ends[1]) / 2e-6, atol=1e-7)

    def test_only_the_product_is_positive(self, rng):
        """What its documentation says: in two dimensions the sine of the distance is indefinite."""
        X = rng.random((40, 2))
        assert np.linalg.eigvalsh(kernels.ExpSineSquared(1.0, 0.5)(X))[0] < -0.1
        assert np.linalg.eigvalsh(kernels.ExpSineSquared(1.0, [0.5, 0.5])(X))[0] > -1e-10
