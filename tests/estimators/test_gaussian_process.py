"""GaussianProcessRegressor by the Cholesky factor: scikit-learn's numbers, kriging's, and derivatives by differences."""

import pickle
import warnings

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor as Theirs
from sklearn.gaussian_process import kernels as gp

from skkeops import Formula, GaussianProcessRegressor, kernels

N, D = 120, 3
KERNELS = {
    "default": (None, None),
    "ard": (2.0 * gp.RBF([1.0, 2.0, 0.7]) + gp.WhiteKernel(0.1), 2.0 * kernels.Gaussian([1.0, 2.0, 0.7]) + kernels.White(0.1)),
    "matern": (gp.Matern(1.3, nu=2.5) + gp.WhiteKernel(0.2), kernels.Matern(1.3, nu=2.5) + kernels.White(0.2)),
    "quadratic": (
        gp.RationalQuadratic(0.9, 1.5) * gp.DotProduct(0.5),
        kernels.RationalQuadratic(0.9, 1.5) * kernels.DotProduct(0.5),
    ),
    "power": ((gp.RBF(1.0) + gp.ConstantKernel(0.3)) ** 2, (kernels.Gaussian(1.0) + kernels.Constant(0.3)) ** 2),
    "fixed": (gp.RBF(1.5, "fixed") + gp.WhiteKernel(0.3), kernels.Gaussian(1.5, "fixed") + kernels.White(0.3)),
}


@pytest.fixture
def data(rng):
    X = rng.normal(size=(N, D))
    y = np.sin(X[:, 0]) + 0.3 * X[:, 1] + 0.1 * rng.normal(size=N)
    return X, np.stack([y, X[:, 2] ** 2 + 0.1 * rng.normal(size=N)], axis=1), rng.normal(size=(9, D))


def close(found, expected, size=1.0):
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8 * size)


@pytest.mark.parametrize("of_scikit_learn", [True, False])
@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("targets", [1, 2])
def test_scikit_learns_numbers(name, targets, of_scikit_learn, data):
    X, Y, Z = data
    y = Y[:, 0] if targets == 1 else Y
    theirs, ours = KERNELS[name]
    options = {"alpha": np.linspace(0.01, 0.05, N), "normalize_y": targets == 2, "optimizer": None}
    # scikit-learn's default kernel has fixed parameters before version 1.9
    expected = Theirs(gp.ConstantKernel(1.0) * gp.RBF(1.0) if theirs is None else theirs, **options).fit(X, y)
    model = GaussianProcessRegressor(theirs if of_scikit_learn else ours, **options).fit(X, y)
    theta = expected.kernel_.theta
    close(model.kernel_.theta, theta)
    close(model.log_marginal_likelihood_value_, expected.log_marginal_likelihood_value_)
    for other in (theta, theta + 0.3):
        for found, truth in zip(
            model.log_marginal_likelihood(other, True), expected.log_marginal_likelihood(other, True), strict=True
        ):
            close(found, truth, 100.0)
    assert model.log_marginal_likelihood(theta) == pytest.approx(expected.log_marginal_likelihood(theta), rel=1e-10)
    for found, truth in zip(model.predict(Z, return_std=True), expected.predict(Z, return_std=True), strict=True):
        close(found, truth)
    close(model.predict(Z, return_cov=True)[1], expected.predict(Z, return_cov=True)[1])
    close(model.predict(Z), expected.predict(Z))
    close(model.sample_y(Z, 3, random_state=7), expected.sample_y(Z, 3, random_state=7), 100.0)
    close(model.L_, expected.L_)
    close(model.alpha_, expected.alpha_, 100.0)
    close(model.y_train_, expected.y_train_)


@pytest.mark.parametrize("optimizer", ["fmin_l_bfgs_b", "callable"])
def test_the_same_search(optimizer, data):
    X, Y, _ = data

    def nelder_mead(objective, start, bounds):
        found = minimize(lambda t: objective(t, eval_gradient=False), start, method="Nelder-Mead", options={"maxiter": 30})
        return found.x, found.fun

    options = {"optimizer": nelder_mead if optimizer == "callable" else optimizer, "n_restarts_optimizer": 2, "random_state": 3}
    kernel = gp.ConstantKernel(1.0) * gp.RBF(1.0, (0.1, 10)) + gp.WhiteKernel(0.1, (1e-3, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        expected = Theirs(kernel, **options).fit(X, Y[:, 0])
        model = GaussianProcessRegressor(kernel, **options).fit(X, Y[:, 0])
    np.testing.assert_allclose(model.kernel_.theta, expected.kernel_.theta, atol=1e-5)
    assert model.log_marginal_likelihood() == pytest.approx(expected.log_marginal_likelihood(), abs=1e-7)
    assert str(model.kernel_) == str(expected.kernel_)
    # The parameters of a kernel of ours are found as well, and it stays as it was.
    kernel = kernels.Constant(1.0) * kernels.Gaussian(1.0, (0.1, 10)) + kernels.White(0.1, (1e-3, 1))
    again = GaussianProcessRegressor(kernel, **options).fit(X, Y[:, 0])
    np.testing.assert_allclose(again.kernel_.theta, expected.kernel_.theta, atol=1e-5)
    assert kernel.k2.noise_level == 0.1


def test_before_a_fit(data):
    _, _, Z = data
    for kernel in (None, gp.Matern(2.0)):
        for n_targets in (None, 2):
            ours, theirs = (cls(kernel, n_targets=n_targets) for cls in (GaussianProcessRegressor, Theirs))
            for options in ({"return_std": True}, {"return_cov": True}):
                for found, expected in zip(ours.predict(Z, **options), theirs.predict(Z, **options), strict=True):
                    close(found, expected)
            close(ours.sample_y(Z), theirs.sample_y(Z))


class Own(gp.StationaryKernelMixin, gp.NormalizedKernelMixin, gp.Kernel):
    """A kernel that no formula stands for."""

    def __init__(self, length_scale=1.0):
        self.length_scale = length_scale

    @property
    def hyperparameter_length_scale(self):
        return gp.Hyperparameter("length_scale", "numeric", (1e-2, 1e2))

    def __call__(self, X, Y=None, eval_gradient=False):
        return gp.RBF(self.length_scale)(X, Y, eval_gradient)


@pytest.mark.parametrize("kernel", [Own() + gp.WhiteKernel(0.1), gp.PairwiseKernel(metric="laplacian") + gp.WhiteKernel(0.1)])
def test_kernels_without_a_formula_compute_themselves(kernel, data):
    X, Y, Z = data
    theirs, ours = (cls(kernel, optimizer=None).fit(X, Y[:, 0]) for cls in (Theirs, GaussianProcessRegressor))
    for found, expected in zip(ours.predict(Z, return_std=True), theirs.predict(Z, return_std=True), strict=True):
        close(found, expected)
    close(ours.log_marginal_likelihood(kernel.theta, True)[1], theirs.log_marginal_likelihood(kernel.theta, True)[1], 10.0)
    with pytest.raises(TypeError, match="gradient differentiates the formula of the kernel"):
        ours.gradient(Z)


def test_samples_that_are_no_numbers():
    class Letters(gp.GenericKernelMixin, gp.StationaryKernelMixin, gp.NormalizedKernelMixin, gp.Kernel):
        def __init__(self):
            pass

        def __call__(self, X, Y=None, eval_gradient=False):
            return np.array([[float(len(set(a) & set(b))) / max(len(a), len(b)) for b in (X if Y is None else Y)] for a in X])

        def diag(self, X):
            return np.ones(len(X))

    X, y = ["abc", "abd", "xyz", "xy"], [0.0, 0.1, 1.0, 0.9]
    theirs, ours = (cls(Letters(), alpha=0.1, optimizer=None).fit(X, y) for cls in (Theirs, GaussianProcessRegressor))
    close(ours.predict(["ab", "z"]), theirs.predict(["ab", "z"]))


# The mean, by generalised least squares


@pytest.mark.parametrize("mean", ["constant", "linear"])
@pytest.mark.parametrize("normalize_y", [False, True])
def test_kriging_with_a_trend(mean, normalize_y, data):
    X, Y, Z = data
    Y = Y + 5 + 2 * X[:, :1]
    kernel, alpha = gp.Matern(1.5, nu=1.5) + gp.WhiteKernel(0.1), 0.05
    model = GaussianProcessRegressor(kernel, alpha=alpha, mean=mean, normalize_y=normalize_y, optimizer=None).fit(X, Y)
    scale = Y.std(axis=0) if normalize_y else np.ones(2)
    y = (Y - Y.mean(axis=0)) / scale if normalize_y else Y
    H = np.ones((N, 1)) if mean == "constant" else np.column_stack([np.ones(N), X])
    H_z = H[:9] if mean == "constant" else np.column_stack([np.ones(9), Z])
    A, K_z = kernel(X) + alpha * np.eye(N), kernel(Z, X)
    gram = H.T @ np.linalg.solve(A, H)
    beta = np.linalg.solve(gram, H.T @ np.linalg.solve(A, y))
    rest = y - H @ beta
    R = H_z - K_z @ np.linalg.solve(A, H)
    cov = kernel(Z) - K_z @ np.linalg.solve(A, K_z.T) + R @ np.linalg.solve(gram, R.T)
    mean_z, std_z = model.predict(Z, return_std=True)
    centre = Y.mean(axis=0) if normalize_y else 0.0
    close(mean_z, (H_z @ beta + K_z @ np.linalg.solve(A, rest)) * scale + centre)
    close(std_z, np.sqrt(np.diag(cov))[:, None] * scale)
    close(model.predict(Z, return_cov=True)[1], cov[..., None] * scale**2)
    expected = sum(multivariate_normal(H @ b, A).logpdf(t) for b, t in zip(beta.T, y.T, strict=True))
    assert model.log_marginal_likelihood_value_ == pytest.approx(expected, rel=1e-9)
    coefficients = beta * scale
    coefficients[0] += centre
    close(model.mean_coef_, coefficients, 10.0)


def test_a_trend_has_the_derivative_of_its_likelihood(data):
    X, Y, _ = data
    kernel = kernels.Constant(1.3) * kernels.Gaussian([1.0, 2.0, 1.5]) + kernels.White(0.2)
    model = GaussianProcessRegressor(kernel, mean="linear", optimizer=None).fit(X, Y)
    theta = kernel.theta
    _, slope = model.log_marginal_likelihood(theta, True)
    for k, step in enumerate(np.eye(len(theta)) * 1e-5):
        difference = (model.log_marginal_likelihood(theta + step) - model.log_marginal_likelihood(theta - step)) / 2e-5
        assert slope[k] == pytest.approx(difference, rel=1e-6, abs=1e-6)


def test_a_plane_of_features_that_do_not_vary(data):
    X, Y, Z = data
    X, Z = (np.column_stack([A, np.full(len(A), 3.0), A[:, 0]]) for A in (X, Z))
    flat = GaussianProcessRegressor(kernels.Gaussian(2.0), alpha=0.1, mean="linear", optimizer=None)
    narrow = GaussianProcessRegressor(kernels.Gaussian(2.0, active_dims=[0, 1, 2]), alpha=0.1, mean="linear", optimizer=None)
    flat.set_params(kernel=kernels.Gaussian(2.0, active_dims=[0, 1, 2]))
    np.testing.assert_allclose(flat.fit(X, Y).predict(Z), narrow.fit(X[:, :3], Y).predict(Z[:, :3]), atol=1e-9)


# Derivatives


@pytest.mark.parametrize("mean", ["zero", "constant", "linear"])
@pytest.mark.parametrize("of", ["mean", "variance"])
@pytest.mark.parametrize("targets", [1, 2])
def test_gradients_by_the_queries(of, mean, targets, data, rng):
    X, Y, Z = data
    y = Y[:, 0] if targets == 1 else Y
    kernel = kernels.Matern([1.0, 2.0, 1.5], nu=2.5) * kernels.DotProduct(1.0) + kernels.White(0.1)
    model = GaussianProcessRegressor(kernel, alpha=0.1, mean=mean, normalize_y=True, optimizer=None).fit(X, y)
    e = rng.normal(size=(9, targets)).reshape(9, *y.shape[1:])

    def value(Z):
        mean, deviation = model.predict(Z, return_std=True)
        return ((mean if of == "mean" else deviation**2) * e).sum()

    found = model.gradient(Z, e, of=of)
    assert found.shape == Z.shape
    for i, j in ((0, 0), (3, 1), (8, 2)):
        step = np.zeros_like(Z)
        step[i, j] = 1e-5
        assert found[i, j] == pytest.approx((value(Z + step) - value(Z - step)) / 2e-5, rel=1e-5, abs=1e-6)


def test_gradients_of_the_likelihood_by_every_parameter(data):
    X, Y, _ = data

    def model(g=0.4, c=-0.2, s=0.3, alpha=0.1):
        kernel = Formula("Exp(-g * SqDist(x, y)) * Square(1 + c * (x | y))", g=g, c=c) + kernels.White(s, "fixed")
        return GaussianProcessRegressor(kernel, alpha=alpha, optimizer=None).fit(X, Y)

    found = model().likelihood_gradient()
    names = {"kernel__k1__g": "g", "kernel__k1__c": "c", "kernel__k2__noise_level": "s", "alpha": "alpha"}
    assert found.keys() == names.keys()
    values = {"g": 0.4, "c": -0.2, "s": 0.3, "alpha": 0.1}
    for name, short in names.items():
        up, down = (model(**{short: values[short] + h}).log_marginal_likelihood() for h in (1e-5, -1e-5))
        assert found[name] == pytest.approx((up - down) / 2e-5, rel=1e-5), name
        assert model().likelihood_gradient(name) == found[name]
    each = model(alpha=np.full(N, 0.1)).likelihood_gradient(["alpha"])[0]
    assert each.shape == (N,) and each.sum() == pytest.approx(found["alpha"])
    with pytest.raises(ValueError, match="wrt must be one of 'kernel__k1__g'"):
        model().likelihood_gradient("length_scale")


# Data


def test_float32_data_and_float64_answers(data):
    X, Y, Z = (a.astype(np.float32) for a in data)
    kernel = kernels.Gaussian(1.0) + kernels.White(0.1)
    found = GaussianProcessRegressor(kernel).fit(X, Y).predict(Z, return_std=True)
    wide = [a.astype(np.float64) for a in (X, Y, Z)]
    expected = GaussianProcessRegressor(kernel).fit(*wide[:2]).predict(wide[2], return_std=True)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == np.float64
        np.testing.assert_array_equal(a, b)


def test_training_data_are_copied(data):
    X, Y, Z = data
    X = X.copy()
    model = GaussianProcessRegressor(kernels.Gaussian(1.0), alpha=0.1, optimizer=None).fit(X, Y)
    before = model.predict(Z)
    X[:] = 0
    np.testing.assert_array_equal(model.predict(Z), before)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(Z, return_std=True)[1], model.predict(Z, return_std=True)[1])


def test_verbose(data, capsys):
    X, Y, _ = data
    GaussianProcessRegressor(kernels.Gaussian(1.0) + kernels.White(0.1), verbose=1).fit(X, Y)
    assert "[GaussianProcessRegressor] 1: log-likelihood" in capsys.readouterr().out


# What goes wrong


def test_equal_samples_without_noise(data):
    X, Y, _ = data
    X = X.copy()
    X[7] = X[3]
    model = GaussianProcessRegressor(kernels.Gaussian(1.0), alpha=0, optimizer=None)
    with pytest.raises(np.linalg.LinAlgError, match="not returning a positive definite .* samples 3 and 7 are equal .* merge"):
        model.fit(X, Y)
    assert not hasattr(model, "kernel_")
    assert GaussianProcessRegressor(kernels.Gaussian(1.0), alpha=1e-6, optimizer=None).fit(X, Y).predict(X).shape == Y.shape


def test_a_kernel_that_is_none(data):
    X, Y, _ = data
    with pytest.raises(np.linalg.LinAlgError, match="not returning a positive definite matrix. Try gradually increasing"):
        GaussianProcessRegressor(kernels.Energy(), optimizer=None).fit(X, Y)
    model = GaussianProcessRegressor(kernels.Gaussian(), alpha=0, optimizer=None).fit(X, Y)
    assert model.log_marginal_likelihood([300.0]) == -np.inf
    value, slope = model.log_marginal_likelihood([300.0], eval_gradient=True)
    assert value == -np.inf and slope == [0.0]


@pytest.mark.parametrize("method", ["cholesky", "iterative"])
@pytest.mark.parametrize(
    ("formula", "value"), [("Inv(Norm2(x-y))", "inf"), ("Log(Norm2(x-y))", "-inf"), ("Sqrt(-1-SqDist(x,y))", "nan")]
)
def test_a_kernel_without_a_diagonal(method, formula, value, data):
    X, Y, _ = data
    model = GaussianProcessRegressor(kernels.Formula(formula), alpha=0.1, method=method)
    with pytest.raises(ValueError, match=f"must be a finite number for a sample with itself.* found {value} for sample 0"):
        model.fit(X, Y)
    assert not hasattr(model, "kernel_")


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"alpha": -1.0}, ValueError, r"The 'alpha' parameter of GaussianProcessRegressor must be"),
        ({"alpha": -np.ones(N)}, ValueError, r"The 'alpha' parameter of GaussianProcessRegressor must be in the range"),
        ({"alpha": np.ones(5)}, ValueError, r"alpha must be a scalar or an array with same number of entries as y. \(5 != 120\)"),
        ({"alpha": np.ones((N, 2))}, ValueError, r"of shape \(n_samples,\): found the shape \(120, 2\)"),
        ({"alpha": np.full(N, np.nan)}, ValueError, r"Input alpha contains NaN"),
        ({"n_targets": 1}, ValueError, "The number of targets seen in `y` is different from the parameter"),
        ({"mean": "quadratic"}, ValueError, "The 'mean' parameter of GaussianProcessRegressor must be"),
        ({"kernel": "rbf"}, ValueError, "The 'kernel' parameter of GaussianProcessRegressor must be"),
        ({"kernel": kernels.Gaussian(1.0, (1e-5, np.inf)), "n_restarts_optimizer": 1}, ValueError, "bounds are finite"),
    ],
)
def test_bad_parameters(params, error, message, data):
    X, Y, _ = data
    with pytest.raises(error, match=message):
        GaussianProcessRegressor(**params).fit(X, Y)


def test_bad_data(data):
    X, Y, Z = data
    model = GaussianProcessRegressor(kernels.Gaussian(), alpha=0.1, optimizer=None)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        model.fit(X, np.where(Y > 1, np.nan, Y))
    model.fit(X, Y)
    with pytest.raises(RuntimeError, match="At most one of return_std or return_cov can be requested"):
        model.predict(Z, return_std=True, return_cov=True)
    with pytest.raises(ValueError, match="Gradient can only be evaluated for theta!=None"):
        model.log_marginal_likelihood(eval_gradient=True)
    with pytest.raises(ValueError, match="of must be 'mean' or 'variance': found 'std'"):
        model.gradient(Z, of="std")
    with pytest.raises(ValueError, match=r"grad_output must have the shape of the mean, \(9, 2\)"):
        model.gradient(Z, np.ones(9))


def test_a_kernel_of_scikit_learn_without_a_formula_here(rng):
    X = rng.uniform(size=(60, 2))
    y = np.sin(3 * X[:, 0])
    kernel = gp.Matern(1.0, nu=1.7)
    model, theirs = (cls(kernel, alpha=0.01, optimizer=None).fit(X, y) for cls in (GaussianProcessRegressor, Theirs))
    np.testing.assert_allclose(model.predict(X), theirs.predict(X), rtol=1e-10)
    with pytest.raises(ValueError, match="nu"):
        GaussianProcessRegressor(kernels.Matern(1.0, nu=1.7)).fit(X, y)


def test_normalised_targets_of_any_size(rng):
    X = rng.uniform(size=(50, 2))
    y = 1e-150 * np.sin(3 * X[:, 0])
    options = {"kernel": 1.0 * gp.RBF(0.5), "normalize_y": True, "alpha": 0.01, "optimizer": None}
    model, theirs = (cls(**options).fit(X, y) for cls in (GaussianProcessRegressor, Theirs))
    assert model.log_marginal_likelihood_value_ == pytest.approx(theirs.log_marginal_likelihood_value_)
    np.testing.assert_allclose(model.predict(X, return_std=True)[1], theirs.predict(X, return_std=True)[1], rtol=1e-9)
    constant = GaussianProcessRegressor(**options).fit(X, np.full(50, 0.1))
    np.testing.assert_allclose(constant.predict(X), 0.1)


@pytest.mark.parametrize("method", ["cholesky", "iterative"])
def test_a_constant_feature_has_no_slope(method, rng):
    X = np.column_stack([rng.uniform(size=30), np.full(30, 0.1)])
    model = GaussianProcessRegressor(kernels.Gaussian(1.0), alpha=1e-3, optimizer=None, mean="linear", method=method)
    model.fit(X, 2 * X[:, 0] + 1)
    np.testing.assert_allclose(model.mean_coef_, [1, 2, 0], atol=1e-5)
    np.testing.assert_allclose(model.predict([[0.5, 0.1], [0.5, 0.2]]), 2, atol=1e-5)


def test_other_parameters_of_the_kernel_do_not_change_a_process(rng):
    X = rng.uniform(size=(60, 2))
    model = GaussianProcessRegressor(1.0 * kernels.Gaussian(0.5) + kernels.White(0.1), optimizer=None).fit(X, X[:, 0])
    expected = model.predict(X)
    model.log_marginal_likelihood(model.kernel_.theta + 1, clone_kernel=False)
    np.testing.assert_array_equal(model.predict(X), expected)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), expected)


def test_gradients_of_a_process_that_is_not_fitted():
    for use in (lambda m: m.gradient([[1.0]]), lambda m: m.likelihood_gradient(), lambda m: m.deviation_error):
        with pytest.raises(NotFittedError):
            use(GaussianProcessRegressor())


def test_one_query_of_a_process_that_is_not_fitted():
    model = GaussianProcessRegressor(kernels.Gaussian(1.0))
    assert model.predict([[0.5]]).shape == (1,)
    assert model.sample_y([[0.5]], 3).shape == (1, 3)
    assert GaussianProcessRegressor(kernels.Gaussian(1.0), n_targets=2).predict([[0.5]]).shape == (1, 2)
