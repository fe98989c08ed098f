"""Kernels beside scikit-learn's: the same names, matrices, gradients and hyperparameters, and in its estimators."""

import math

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process import kernels as gp
from sklearn.metrics.pairwise import PAIRWISE_KERNEL_FUNCTIONS, pairwise_kernels

from skkeops import KernelSum, kernels
from skkeops.kernels import as_kernel

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
WITH_GAMMA = ["chi2", "laplacian", "poly", "polynomial", "rbf", "sigmoid"]

# Fresh objects of every kernel of scikit-learn that has a formula.
GP = {
    "Constant": lambda: gp.ConstantKernel(2.5),
    "White": lambda: gp.WhiteKernel(0.3, (1e-3, 1e2)),
    "RBF": lambda: gp.RBF(0.8),
    "RBF-anisotropic": lambda: gp.RBF([0.5, 1.0, 2.0], (1e-2, 1e3)),
    "RBF-bounds": lambda: gp.RBF([0.5, 1.0, 2.0], [(1e-2, 1e1), (1e-3, 1e2), (1e-4, 1e3)]),
    "RBF-one-of-one": lambda: gp.RBF([0.8]),
    "RBF-fixed": lambda: gp.RBF(0.8, "fixed"),
    **{
        f"Matern-{nu}-{np.size(length)}": lambda nu=nu, length=length: gp.Matern(length, nu=nu)
        for nu in (0.5, 1.5, 2.5, math.inf)
        for length in (0.8, [0.5, 1.0, 2.0])
    },
    "Matern-3.5": lambda: gp.Matern(0.8, nu=3.5),
    "RationalQuadratic": lambda: gp.RationalQuadratic(0.8, 1.7),
    "RationalQuadratic-fixed": lambda: gp.RationalQuadratic(0.8, 1.7, alpha_bounds="fixed"),
    "ExpSineSquared": lambda: gp.ExpSineSquared(1.2, 3.1),
    "DotProduct": lambda: gp.DotProduct(0.7),
    "DotProduct-zero": lambda: gp.DotProduct(0.0, "fixed"),
    "Sum": lambda: gp.RBF(0.8) + gp.WhiteKernel(0.3),
    "Product": lambda: gp.ConstantKernel(2.0, "fixed") * gp.RBF([0.5, 1.0, 2.0]),
    "Exponentiation": lambda: gp.RationalQuadratic() ** 1.5,
    "Exponentiation-integer": lambda: gp.DotProduct() ** 2,
    "nested": lambda: 1.5 * gp.RBF(0.8) + (gp.Matern(1.2, nu=2.5) * gp.DotProduct(0.4)) ** 2 + gp.WhiteKernel(0.1),
}
GP_NAMES = pytest.mark.parametrize("name", GP)


@pytest.fixture
def X(rng):
    return rng.normal(size=(9, 3))


def numerical_gradient(kernel, X, step=1e-5):
    """The matrix' derivative by theta, by central differences."""
    parts = []
    for k in range(kernel.n_dims):
        move = np.eye(kernel.n_dims)[k] * step
        above, below = (kernel.clone_with_theta(kernel.theta + t)(X) for t in (move, -move))
        parts.append((above - below) / (2 * step))
    return np.stack(parts, axis=2) if parts else np.empty((len(X), len(X), 0))


class TestNames:
    def test_every_name(self):
        assert set(kernels.convert.PAIRWISE) == set(PAIRWISE_KERNEL_FUNCTIONS)

    @pytest.mark.parametrize("name", PAIRWISE_KERNEL_FUNCTIONS)
    def test_defaults(self, name, X, rng):
        A, B = abs(X), rng.random((4, 3))
        kernel = as_kernel(name, n_features=3)
        np.testing.assert_allclose(kernel(A, B), pairwise_kernels(A, B, metric=name), **CLOSE)
        np.testing.assert_allclose(kernel(A), pairwise_kernels(A, metric=name), **CLOSE)

    @pytest.mark.parametrize("name", WITH_GAMMA)
    @pytest.mark.parametrize("gamma", [0.1, 2])
    def test_gamma(self, name, gamma, X, rng):
        A, B = abs(X), rng.random((4, 3))
        expected = pairwise_kernels(A, B, metric=name, gamma=gamma)
        np.testing.assert_allclose(as_kernel(name, gamma=gamma)(A, B), expected, **CLOSE)

    @pytest.mark.parametrize("name", ["poly", "polynomial", "sigmoid"])
    def test_all_numbers(self, name, X):
        numbers = {"gamma": 0.3, "degree": 4, "coef0": -0.5}
        expected = pairwise_kernels(X, metric=name, filter_params=True, **numbers)
        np.testing.assert_allclose(as_kernel(name, **numbers)(X), expected, **CLOSE)

    @pytest.mark.parametrize("name", [name for name in WITH_GAMMA if name != "chi2"])
    def test_default_gamma_needs_the_features(self, name):
        with pytest.raises(ValueError, match=f"gamma=None means 1 / n_features for {name!r}"):
            as_kernel(name)

    @pytest.mark.parametrize(
        ("name", "numbers", "message"),
        [
            ("rbf", {"gamma": 0.0}, "The 'gamma' parameter of the 'rbf' kernel must be .* Got 0.0 instead."),
            ("laplacian", {"gamma": -1}, "Got -1 instead"),
            ("chi2", {"gamma": math.nan}, "Got nan instead"),
            ("poly", {"gamma": 1.0, "degree": 0}, "The 'degree' parameter of Polynomial .* Got 0 instead"),
            ("sigmoid", {"gamma": 1.0, "coef0": math.inf}, "The 'coef0' parameter of Sigmoid .* Got inf instead"),
        ],
    )
    def test_numbers_without_sense(self, name, numbers, message):
        with pytest.raises(ValueError, match=message):
            as_kernel(name, **numbers)

    @pytest.mark.parametrize("name", ["gaussian", "RBF", "precomputed", ""])
    def test_unknown(self, name):
        with pytest.raises(ValueError, match="kernel|formula"):
            as_kernel(name)(np.ones((2, 1)))

    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("gaussian", r"Did you mean 'rbf' or skkeops.kernels.Gaussian\(\)\?$"),
            ("RBF", r"Did you mean 'rbf'\?$"),
            ("matern", r"Did you mean skkeops.kernels.Matern\(\)\?$"),
            ("ploy", r"Did you mean 'poly'\?$"),
            ("precomputed", "instead.$"),
        ],
    )
    def test_what_was_meant(self, name, meant):
        for call in (lambda: as_kernel(name), lambda: KernelSum(name).fit(np.ones((2, 1)))):
            with pytest.raises(ValueError, match=meant):
                call()

    @pytest.mark.parametrize("theirs", [kernels.Gaussian, kernels.Linear, gp.RBF])
    def test_a_class_without_parentheses(self, theirs):
        message = rf"a kernel object, such as {theirs.__name__}\(\), with the parentheses. Got the class {theirs.__name__} "
        for call in (lambda: as_kernel(theirs), lambda: KernelSum(theirs).fit(np.ones((2, 1)))):
            with pytest.raises(TypeError, match=message):
                call()
        for call in (lambda: kernels.Constant(2.0) * theirs, lambda: theirs + kernels.Linear()):
            with pytest.raises(TypeError, match=rf"^{theirs.__name__} is a class: expected a kernel object, such as "):
                call()

    @pytest.mark.parametrize("gamma", [5e-324, 1e-320, 1e-310, 1e-200, 1e200, 1.7e308])
    @pytest.mark.parametrize("name", WITH_GAMMA)
    def test_gamma_at_the_ends_of_the_range(self, name, gamma):
        X = np.array([[0.0, 0.0], [0.5, 0.25], [0.5, 0.25]])
        with np.errstate(over="ignore"):
            expected = pairwise_kernels(X, metric=name, gamma=gamma)
        np.testing.assert_allclose(as_kernel(name, gamma=gamma)(X), expected, rtol=1e-14)
        assert KernelSum(name, gamma=gamma).fit(X).transform(X[:1])[0, 0] == pytest.approx(expected[0].sum(), rel=1e-14)

    def test_formula(self, X):
        expected = pairwise_kernels(X, metric="rbf", gamma=0.5)
        np.testing.assert_allclose(as_kernel("Exp(-SqDist(x, y) / 2)")(X), expected, **CLOSE)

    def test_ours_is_itself(self):
        kernel = kernels.Gaussian()
        assert as_kernel(kernel) is kernel

    @pytest.mark.parametrize("thing", [pairwise_kernels, np.dot, 3.0, None, int], ids=["a function", "another", "3", "None", "int"])
    def test_neither(self, thing):
        with pytest.raises(TypeError, match="'kernel' parameter must be one of .* functions cannot be compiled"):
            as_kernel(thing)


class TestConversion:
    @GP_NAMES
    def test_matrices(self, name, X, rng):
        theirs, Y = GP[name](), rng.normal(size=(4, 3))
        ours = as_kernel(theirs)
        np.testing.assert_allclose(ours(X), theirs(X), **CLOSE)
        np.testing.assert_allclose(ours(X, Y), theirs(X, Y), **CLOSE)
        np.testing.assert_allclose(ours.diag(X), theirs.diag(X), **CLOSE)
        assert ours.requires_vector_input == theirs.requires_vector_input
        assert ours.is_stationary() == theirs.is_stationary()

    @GP_NAMES
    def test_hyperparameters(self, name):
        theirs = GP[name]()
        ours = as_kernel(theirs)
        if name == "DotProduct-zero":  # a scalar product, without parameters
            assert not ours.hyperparameters
            return
        assert ours.hyperparameters == theirs.hyperparameters
        assert ours.n_dims == theirs.n_dims
        np.testing.assert_array_equal(ours.theta, theirs.theta)
        np.testing.assert_array_equal(ours.bounds, theirs.bounds)
        theta = theirs.theta + np.linspace(-0.3, 0.4, theirs.n_dims)
        moved = ours.clone_with_theta(theta)
        np.testing.assert_array_equal(moved.theta, theirs.clone_with_theta(theta).theta)
        np.testing.assert_array_equal(ours.theta, theirs.theta)
        assert moved.hyperparameters == ours.hyperparameters
        if ours.n_dims:
            assert moved != ours
        with pytest.raises(ValueError, match="theta has not the correct number of entries"):
            ours.theta = np.zeros(ours.n_dims + 1)

    @GP_NAMES
    def test_gradient(self, name, X):
        X = np.vstack([X, X[:2]])  # two samples occur twice
        theirs = GP[name]()
        ours = as_kernel(theirs)
        K, gradient = ours(X, eval_gradient=True)
        np.testing.assert_array_equal(K, ours(X))
        assert gradient.shape == (11, 11, ours.n_dims)
        np.testing.assert_allclose(gradient, numerical_gradient(ours, X), rtol=1e-7, atol=1e-8)
        # Theirs is by finite differences where there is no closed form.
        tolerance = {"rtol": 1e-5, "atol": 1e-5} if name == "Matern-3.5" else {"rtol": 1e-11, "atol": 1e-11}
        np.testing.assert_allclose(gradient, theirs(X, eval_gradient=True)[1], **tolerance)

    @pytest.mark.parametrize("metric", PAIRWISE_KERNEL_FUNCTIONS)
    @pytest.mark.parametrize("options", [None, {"coef0": 0.3}, {"coef0": 0.3, "degree": 2}])
    def test_pairwise(self, metric, options, X):
        X = abs(X)
        options = options if metric in ("poly", "polynomial", "sigmoid") else None
        if metric == "sigmoid" and options:
            options = {"coef0": options["coef0"]}
        theirs = gp.PairwiseKernel(0.4, (1e-3, 1e2), metric, options)
        ours = as_kernel(theirs)
        np.testing.assert_allclose(ours(X), theirs(X), **CLOSE)
        np.testing.assert_allclose(as_kernel(2.0 * theirs)(X), 2 * theirs(X), **CLOSE)

    @pytest.mark.parametrize("metric", WITH_GAMMA)
    def test_bounds_of_pairwise(self, metric, X):
        """The matrices at the ends of the bounds are theirs, whichever way round."""
        X = abs(X)
        theirs = gp.PairwiseKernel(0.4, (0.1, 3.0), metric)
        ours = as_kernel(theirs)
        assert (ours.bounds[:, 0] <= ours.theta).all() and (ours.theta <= ours.bounds[:, 1]).all()
        ends = [0, 1] if metric not in ("rbf", "laplacian") else [1, 0]
        for end, gamma in zip(ends, (0.1, 3.0), strict=True):
            expected = pairwise_kernels(X, metric=metric, gamma=gamma)
            np.testing.assert_allclose(ours.clone_with_theta(ours.bounds[:, end])(X), expected, rtol=1e-11)
        assert as_kernel(gp.PairwiseKernel(0.4, "fixed", metric)).n_dims == 0

    def test_pairwise_of_a_function(self):
        with pytest.raises(TypeError, match="functions cannot be compiled"):
            as_kernel(gp.PairwiseKernel(metric=np.dot))

    @pytest.mark.parametrize("n", [1, 2])
    def test_compound(self, n):
        with pytest.raises(TypeError, match="CompoundKernel of scikit-learn that has no formula here"):
            as_kernel(gp.CompoundKernel([gp.RBF()] * n))

    def test_subclass(self):
        class Mine(gp.RBF):
            pass

        with pytest.raises(TypeError, match="a Mine of scikit-learn that has no formula here"):
            as_kernel(Mine() + gp.RBF())

    def test_matern_of_any_smoothness(self):
        with pytest.raises(ValueError, match="'nu' parameter of Matern .* Got 0.7 instead"):
            as_kernel(gp.Matern(nu=0.7))(np.ones((2, 1)))


PAIRS = [
    (kernels.Gaussian(2.0), gp.RBF(2.0)),
    (kernels.Gaussian([2.0, 1.0, 3.0]), gp.RBF([2.0, 1.0, 3.0])),
    (kernels.Matern(2.0, nu=2.5), gp.Matern(2.0, nu=2.5)),
    (kernels.RationalQuadratic(2.0, 3.0), gp.RationalQuadratic(2.0, 3.0)),
    (kernels.ExpSineSquared(2.0, 3.0), gp.ExpSineSquared(2.0, 3.0)),
    (kernels.DotProduct(2.0), gp.DotProduct(2.0)),
    (kernels.Constant(2.0), gp.ConstantKernel(2.0)),
    (kernels.White(2.0), gp.WhiteKernel(2.0)),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda kernel: type(kernel).__name__)
class TestAttributes:
    def test_hyperparameters_by_name(self, ours, theirs):
        names = [name for name in dir(theirs) if name.startswith("hyperparameter_")]
        assert names
        for name in names:
            assert getattr(ours, name) == getattr(theirs, name)
        with pytest.raises(AttributeError, match="no attribute 'hyperparameter_other'"):
            _ = ours.hyperparameter_other

    def test_others(self, ours, theirs):
        if hasattr(theirs, "anisotropic"):
            assert ours.anisotropic == theirs.anisotropic
        assert ours.requires_vector_input == theirs.requires_vector_input
        for combine in (lambda k: k + k, lambda k: k * 2.0, lambda k: k**2):
            assert combine(ours).requires_vector_input == combine(theirs).requires_vector_input

    def test_bounds_of_zero_and_infinity(self, ours, theirs):
        name = ours.hyperparameters[0].name
        for bounds in ((0, 10), (0, np.inf), (1e-5, np.inf)):
            for kernel in (ours, theirs):
                kernel = clone(kernel).set_params(**{f"{name}_bounds": bounds})
                with np.errstate(divide="ignore"):
                    np.testing.assert_array_equal(kernel.bounds[0], np.log(bounds))
                X = np.linspace(0, 1, 9)[:, None] * np.ones(3)
                model = GaussianProcessRegressor(kernel, alpha=0.1, n_restarts_optimizer=1)
                with pytest.raises(ValueError, match="Multiple optimizer restarts .* requires that all bounds are finite"):
                    model.fit(X, X[:, 0])


def test_samples_that_are_texts():
    texts = ["a", "b", "c"]
    for ours, theirs in (
        (kernels.Constant(2.0), gp.ConstantKernel(2.0)),
        (kernels.White(2.0) + 1.0, gp.WhiteKernel(2.0) + 1.0),
    ):
        np.testing.assert_array_equal(ours(texts), theirs(texts))
        np.testing.assert_array_equal(ours(texts, texts[:2]), theirs(texts, texts[:2]))
        np.testing.assert_array_equal(ours.diag(texts), theirs.diag(texts))
        y = [0.0, 1.0, 3.0]
        found, expected = (GaussianProcessRegressor(k, alpha=0.1).fit(texts, y).predict(texts) for k in (ours, theirs))
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_search_that_leaves_the_range_of_floats():
    kernel = kernels.Gaussian(1.0, (0, np.inf)).clone_with_theta(np.array([-1e4]))
    assert kernel.length_scale > 0 and kernel(np.ones((1, 1)))[0, 0] == 1
    assert np.isfinite(kernel.clone_with_theta(np.array([1e4])).length_scale)


class TestOtherGradients:
    @pytest.mark.parametrize(
        "kernel",
        [
            kernels.Laplacian(0.8),
            kernels.Laplacian([0.5, 1.0, 2.0]),
            kernels.Exponential([0.5, 1.0, 2.0]),
            kernels.Cauchy([0.5, 1.0, 2.0]),
            kernels.InverseMultiquadric(0.8),
            kernels.Matern([0.5, 1.0, 2.0], nu=4.5),
            kernels.RationalQuadratic([0.5, 1.0, 2.0], 300.0),
            kernels.Polynomial(3, 0.4, -0.2),
            kernels.Sigmoid(0.4, 0.3),
            kernels.Chi2(0.7) + kernels.AdditiveChi2() * kernels.Cosine(),
            kernels.Linear() ** 2 * kernels.Gaussian() + kernels.Energy(),
            kernels.Formula("Exp(-SqDist(a * x, a * y)) * b", bounds={"a": (0.1, 10), "b": "fixed"}, a=[1, 2, 3], b=2),
            kernels.Formula("b * Exp(-c * SqDist(x, y))", bounds={"c": (0.1, 10), "b": (0.1, 10)}, c=0.3, b=2.0),
        ],
        ids=repr,
    )
    def test_finite_differences(self, kernel, X):
        X = abs(np.vstack([X, X[:2]]))
        K, gradient = kernel(X, eval_gradient=True)
        np.testing.assert_array_equal(K, kernel(X))
        np.testing.assert_allclose(gradient, numerical_gradient(kernel, X), rtol=1e-7, atol=1e-8)

    @pytest.mark.parametrize("kernel", [kernels.Linear(), kernels.Gaussian(1.0, "fixed"), kernels.Cosine()], ids=repr)
    def test_nothing_to_tune(self, kernel, X):
        assert kernel(X, eval_gradient=True)[1].shape == (9, 9, 0)
        assert kernel.theta.shape == (0,)

    def test_single_precision(self, X):
        kernel = kernels.Matern([0.5, 1.0, 2.0]) + kernels.White()
        single = kernel(X.astype(np.float32), eval_gradient=True)
        for a, b in zip(single, kernel(X, eval_gradient=True), strict=True):
            assert a.dtype == np.float32
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


class TestOperators:
    """Whatever stands on the left, the matrix is right."""

    @pytest.mark.parametrize("number", [2, 2.0, np.float64(2.0), np.int64(2), np.float32(2.0)], ids=repr)
    def test_numbers(self, number, X):
        K = kernels.Gaussian()(X)
        for kernel, expected in (
            (kernels.Gaussian() + number, K + 2),
            (number + kernels.Gaussian(), K + 2),
            (kernels.Gaussian() * number, K * 2),
            (number * kernels.Gaussian(), K * 2),
            (kernels.Gaussian() ** number, K**2),
        ):
            assert isinstance(kernel, kernels.Kernel)
            np.testing.assert_allclose(kernel(X), expected, rtol=1e-14)

    @pytest.mark.parametrize("other", [None, "rbf", [1.0], 1j, np.complex64(1), np.ones(2)], ids=str)
    def test_no_numbers(self, other):
        k = kernels.Gaussian()
        for operation in (lambda: k + other, lambda: k * other, lambda: k**other):
            with pytest.raises((TypeError, ValueError)):
                operation()(np.ones((1, 1)))

    def test_on_the_left_of_theirs(self, X):
        theirs = gp.RationalQuadratic()
        total, product = kernels.Gaussian() + theirs, kernels.Gaussian() * theirs
        assert isinstance(total, kernels.Sum) and isinstance(product, kernels.Product)
        np.testing.assert_allclose(total(X), gp.RBF()(X) + theirs(X), **CLOSE)
        np.testing.assert_allclose(product(X), gp.RBF()(X) * theirs(X), **CLOSE)

    def test_on_the_right_of_theirs(self, X):
        """It is scikit-learn's operator: its result holds ours, works as it is, and is converted."""
        theirs = (gp.RBF(0.8) + kernels.Matern(1.3)) * kernels.Cauchy() ** 2 + 0.5
        K = (gp.RBF(0.8)(X) + gp.Matern(1.3)(X)) * kernels.Cauchy()(X) ** 2 + 0.5
        assert not isinstance(theirs, kernels.Kernel)
        ours = as_kernel(theirs)
        assert isinstance(ours, kernels.Kernel)
        for kernel in (theirs, ours):
            np.testing.assert_allclose(kernel(X), K, **CLOSE)
        np.testing.assert_allclose(
            ours(X, eval_gradient=True)[1], theirs(X, eval_gradient=True)[1], rtol=1e-11, atol=1e-11
        )

    def test_beside_a_kernel_of_somebody_else(self, X):
        """It has no formula: the operators are scikit-learn's, which take any kernel."""

        class Own(gp.StationaryKernelMixin, gp.NormalizedKernelMixin, gp.Kernel):
            def __init__(self, a=1.0):
                self.a = a

            def __call__(self, X, Y=None, eval_gradient=False):  # noqa: N803
                K = np.exp(-self.a * abs(X[:, None] - (X if Y is None else Y)).sum(-1))
                return (K, np.empty((*K.shape, 0))) if eval_gradient else K

        own = Own(0.5)
        for kernel, expected in (
            (kernels.Constant(2.0) * own, 2 * own(X)),
            (own * kernels.Constant(2.0), 2 * own(X)),
            (kernels.Gaussian() + own, gp.RBF()(X) + own(X)),
            (kernels.Gaussian() * (gp.RBF() + own), gp.RBF()(X) * (gp.RBF()(X) + own(X))),
        ):
            np.testing.assert_allclose(kernel(X), expected, **CLOSE)
            np.testing.assert_allclose(kernel.diag(X), np.diagonal(expected), **CLOSE)
            assert kernel.n_dims == kernel(X, eval_gradient=True)[1].shape[2]
        model = GaussianProcessRegressor(kernels.Constant(2.0) * own, alpha=1e-3).fit(X, X[:, 0])
        plain = GaussianProcessRegressor(gp.ConstantKernel(2.0) * own, alpha=1e-3).fit(X, X[:, 0])
        np.testing.assert_allclose(model.predict(X), plain.predict(X), atol=1e-6)

    def test_precedence(self, X):
        g, c = kernels.Gaussian(), kernels.Cauchy()
        np.testing.assert_allclose((g + c * 2)(X), g(X) + 2 * c(X), **CLOSE)
        np.testing.assert_allclose(((g + c) ** 2 * g)(X), (g(X) + c(X)) ** 2 * g(X), **CLOSE)

