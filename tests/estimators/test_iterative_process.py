"""GaussianProcessRegressor by conjugate gradients: beside the Cholesky factor, within the standard errors that it states."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor as Theirs
from sklearn.gaussian_process import kernels as gp

from skkeops import GaussianProcessRegressor, kernels
from skkeops.estimators.covariance import covariance_of
from skkeops.estimators.exact_process import ExactProcess
from skkeops.estimators.iterative_process import IterativeProcess, Settings
from skkeops.estimators.trend import Trend

N, D = 200, 2
KERNEL = 1.3 * kernels.Matern([0.4, 0.7], nu=1.5) + kernels.White(0.05)


@pytest.fixture
def data(rng):
    X = rng.uniform(size=(N, D))
    y = np.sin(6 * X[:, 0]) + X[:, 1] + 0.2 * rng.normal(size=N)
    return X, np.stack([y, y**2 + 0.2 * rng.normal(size=N)], axis=1), rng.uniform(size=(40, D))


def processes(data, alpha=0.01, mean="zero", control=True, seed=0, probes=16, kernel=KERNEL, targets=1, rank=20):
    X, Y, _ = data
    covariance, trend, y = covariance_of(kernel, X, "auto"), Trend(mean, X), Y[:, :targets]
    settings = Settings(probes, rank, 1e-8, 500, seed)
    return ExactProcess(covariance, alpha, y, trend), IterativeProcess(covariance, alpha, y, trend, settings, not control)


@pytest.mark.parametrize("mean", ["zero", "linear"])
@pytest.mark.parametrize("each", [False, True])
def test_predictions_are_those_of_the_factor(each, mean, data, rng):
    alpha = rng.uniform(0.01, 0.1, size=N) if each else 0.01
    exact, found = processes(data, alpha, mean, targets=2)
    Z = data[2]
    np.testing.assert_allclose(found.mean(Z), exact.mean(Z), atol=1e-6)
    np.testing.assert_allclose(found.variance(Z), exact.variance(Z), atol=1e-6)
    np.testing.assert_allclose(found.joint(Z), exact.joint(Z), atol=5e-5)
    np.testing.assert_allclose(found.fit.beta, exact.fit.beta, atol=1e-6)
    e = rng.normal(size=(40, 2))
    np.testing.assert_allclose(found.mean_gradient(Z, e), exact.mean_gradient(Z, e), atol=1e-5)
    np.testing.assert_allclose(found.variance_gradient(Z, e[:, 0]), exact.variance_gradient(Z, e[:, 0]), atol=1e-3)
    assert found.residual <= 1e-8 and found.is_definite


@pytest.mark.parametrize("each", [False, True])
def test_errors_are_honest(each, data, rng):
    """Three standard errors cover the likelihood and the components of its derivative: with a control and without."""
    alpha = rng.uniform(0.01, 0.1, size=N) if each else 0.0
    for control in (True, False):
        scores = []
        for seed in range(6):
            exact, found = processes(data, alpha, control=control, seed=seed, probes=32, targets=2)
            slope = found.slope()
            scores.append((found.log_likelihood - exact.log_likelihood) / found.log_likelihood_error)
            scores.extend((slope - exact.slope()) / found.slope_error)
        scores = np.array(scores)
        # Of 150 seeds 99.4 % are within three; here those of one seed are alike.
        assert (np.abs(scores) <= 3).mean() >= 0.96 and np.abs(scores).max() < 4
        assert 0.4 < scores.std() < 1.3  # they are no wider than they have to be
    assert found.log_likelihood_error < 0.02 * abs(exact.log_likelihood)


def test_a_control_makes_the_errors_smaller(data):
    exact, found = processes(data, control=True)
    _, plain = processes(data, control=False)
    assert found.log_likelihood_error < 0.7 * plain.log_likelihood_error
    found.slope(), plain.slope()
    assert (found.slope_error < 1.1 * plain.slope_error).all() and found.slope_error.sum() < 0.85 * plain.slope_error.sum()
    assert abs(found.log_likelihood / exact.log_likelihood - 1) < 0.01


def test_the_bound_of_many_variances(data, rng):
    exact, found = processes(data)
    Z = rng.uniform(size=(600, D))
    bound, truth = found.variance(Z), exact.variance(Z)
    assert (bound >= truth - 1e-9).all()
    np.testing.assert_allclose(np.sqrt(bound), np.sqrt(truth), rtol=0.02)
    mean, largest = found.deviation_error
    true = np.sqrt(bound / truth) - 1
    assert mean <= largest <= true.max() + 1e-5
    assert mean == pytest.approx(true.mean(), abs=2e-3)


def test_draws_have_the_mean_and_the_covariance(data):
    X, Y, _ = data
    Z = np.array([[0.1, 0.2], [0.5, 0.5], [0.52, 0.5], [1.5, 1.5]])
    for kernel, alpha, mean in ((KERNEL, 0.01, "zero"), (1.3 * kernels.Matern(0.5), 0.05, "linear")):
        model = GaussianProcessRegressor(kernel, alpha=alpha, mean=mean, method="iterative", optimizer=None).fit(X, Y[:, 0])
        exact = GaussianProcessRegressor(kernel, alpha=alpha, mean=mean, optimizer=None).fit(X, Y[:, 0])
        draws = model.sample_y(Z, 2000, random_state=0)
        mean_z, covariance = exact.predict(Z, return_cov=True)
        deviation = np.sqrt(np.diag(covariance))
        assert (np.abs(draws.mean(axis=1) - mean_z) < 4 * deviation / np.sqrt(2000)).all()
        scale = np.outer(deviation, deviation)
        np.testing.assert_allclose(np.cov(draws) / scale, covariance / scale, atol=0.12)
    model.fit(X, Y)
    assert model.sample_y(Z, 3).shape == (4, 2, 3)


def test_the_fit_is_that_of_the_factor(data):
    X, Y, Z = data
    kernel = 1.0 * gp.RBF([1.0, 1.0], (0.05, 20)) + gp.WhiteKernel(0.5, (1e-3, 10))
    expected = Theirs(kernel).fit(X, Y[:, 0])
    model = GaussianProcessRegressor(kernel, method="iterative", n_components=15, random_state=0).fit(X, Y[:, 0])
    assert model.method_ == "iterative" and not hasattr(model, "L_")
    error = model.log_marginal_likelihood_error_
    assert abs(model.log_marginal_likelihood_value_ - expected.log_marginal_likelihood(model.kernel_.theta)) < 4 * error + 1e-6
    # Not to know the traces costs a small part of a unit of log-likelihood.
    assert expected.log_marginal_likelihood_value_ - expected.log_marginal_likelihood(model.kernel_.theta) < 0.3
    deviation = expected.predict(Z, return_std=True)[1]
    assert (np.abs(model.predict(Z) - expected.predict(Z)) < 0.2 * deviation).all()
    assert model.gradient_.shape == model.gradient_error_.shape == kernel.theta.shape
    assert model.residual_ <= model.tol and model.n_probes_ >= 32 and model.n_iter_ > 0
    again = GaussianProcessRegressor(kernel, method="iterative", n_components=15, random_state=0).fit(X, Y[:, 0])
    np.testing.assert_array_equal(again.kernel_.theta, model.kernel_.theta)
    value, slope = model.log_marginal_likelihood(kernel.theta, eval_gradient=True)
    truth = expected.log_marginal_likelihood(kernel.theta, eval_gradient=True)
    assert value == pytest.approx(truth[0], rel=5e-3)
    np.testing.assert_allclose(slope, truth[1], atol=0.02 * np.abs(truth[1]).max())


def test_gradients_by_every_parameter(data):
    X, Y, _ = data
    # Far from the largest likelihood, where derivatives are large beside their errors.
    kernel = 0.1 * kernels.Matern([0.1, 0.2], "fixed", nu=1.5) + kernels.White(0.4)
    options = {"alpha": 0.02, "optimizer": None, "random_state": 0}
    expected = GaussianProcessRegressor(kernel, **options).fit(X, Y).likelihood_gradient()
    found = GaussianProcessRegressor(kernel, method="iterative", n_probes=64, **options).fit(X, Y).likelihood_gradient()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.abs(value).max() > 10
        np.testing.assert_allclose(found[name], value, atol=0.05 * np.abs(value).max())


def test_a_search_of_the_callers(data):
    X, Y, _ = data
    seen = []

    def optimizer(objective, start, bounds):
        seen.append(objective(start, eval_gradient=False))
        return start, seen[-1]

    model = GaussianProcessRegressor(KERNEL, method="iterative", optimizer=optimizer, random_state=0).fit(X, Y[:, 0])
    assert model.log_marginal_likelihood_value_ == pytest.approx(-seen[0], abs=5 * model.log_marginal_likelihood_error_)


def test_float32_is_used_where_the_noise_allows_it(data):
    assert processes(data)[1].uses_float32
    assert not processes(data, alpha=1e-7, kernel=kernels.Gaussian(0.3))[1].uses_float32


# What goes wrong


def test_systems_that_do_not_converge_are_told(data):
    X, Y, _ = data
    options = {"alpha": 1e-10, "method": "iterative", "optimizer": None, "max_iter": 2, "n_components": 3}
    model = GaussianProcessRegressor(kernels.Gaussian(0.5), **options)
    with pytest.warns(ConvergenceWarning, match=r"did not converge: the relative residual is .* Increase max_iter"):
        model.fit(X, Y[:, 0])
    assert model.residual_ > model.tol


def test_a_kernel_that_is_not_positive_definite_is_told(data):
    X, Y, _ = data
    with pytest.warns(ConvergenceWarning, match="not returning a positive definite matrix: conjugate gradients met"):
        GaussianProcessRegressor(kernels.Sigmoid(2.0, -1.0), alpha=1e-2, method="iterative", optimizer=None).fit(X, Y[:, 0])


def test_no_noise_is_refused(data):
    X, Y, _ = data
    X = X.copy()
    X[9] = X[4]
    with pytest.raises(np.linalg.LinAlgError, match="needs noise .* samples 4 and 9 are equal"):
        GaussianProcessRegressor(kernels.Gaussian(0.5), alpha=0, method="iterative", optimizer=None).fit(X, Y[:, 0])
    with pytest.raises(ValueError, match="method='iterative' takes kernels that have a formula"):
        GaussianProcessRegressor(gp.PairwiseKernel(metric="rbf"), method="iterative").fit(X, Y[:, 0])


def test_bounds_that_are_wide_are_told(rng):
    X, y = rng.normal(size=(300, 10)), rng.normal(size=300)
    model = GaussianProcessRegressor(
        kernels.Gaussian(3.0) + kernels.Constant(1e-3), alpha=1e-4, method="iterative", optimizer=None, n_components=1
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, y)
    with pytest.warns(ConvergenceWarning, match="upper bounds: those of 32 of them are larger than solved ones by"):
        model.predict(rng.normal(size=(520, 10)), return_std=True)
    assert model.deviation_error[0] > 0.03


def test_bad_data(data):
    X, Y, Z = data
    model = GaussianProcessRegressor(KERNEL, method="iterative", optimizer=None)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        model.fit(X, np.where(Y > 1, np.nan, Y))
    with pytest.raises(ValueError, match="Input X contains NaN"):
        model.fit(X, Y).predict(np.full_like(Z, np.nan), return_std=True)


# Numbers that are small, large, or in the way of one another


def test_draws_have_no_noise_of_their_own(rng):
    """The variance of a draw is that of the process, however small it is beside the noise of the samples."""
    X = rng.uniform(size=(1500, 1))
    y = np.sin(3 * X[:, 0]) + 0.3 * rng.normal(size=1500)
    model = GaussianProcessRegressor(
        1.0 * kernels.Gaussian(0.5), alpha=0.09, optimizer=None, method="iterative", random_state=0
    ).fit(X, y)
    Z = np.array([[0.3], [0.5], [0.5001]])
    exact = Theirs(1.0 * gp.RBF(0.5), alpha=0.09, optimizer=None).fit(X, y)
    draws = model.sample_y(Z, 1000, random_state=0)
    np.testing.assert_allclose(draws.var(axis=1), exact.predict(Z, return_std=True)[1] ** 2, rtol=0.25)
    assert (draws[1] - draws[2]).var() < 0.05 * draws[1].var()  # neighbours are drawn together


@pytest.mark.parametrize("variance", [1e3, 1e4])
def test_little_noise_beside_the_variance(variance, rng):
    X = rng.uniform(size=(300, 2))
    y = np.sin(3 * X[:, 0])
    kernel = kernels.Constant(variance) * kernels.Gaussian(0.5)
    exact = Theirs(gp.ConstantKernel(variance) * gp.RBF(0.5), optimizer=None).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = GaussianProcessRegressor(kernel, optimizer=None, method="iterative", random_state=0).fit(X, y)
    np.testing.assert_allclose(model.predict(X + 0.01), exact.predict(X + 0.01), atol=1e-4)
    assert abs(model.log_marginal_likelihood_value_ / exact.log_marginal_likelihood_value_ - 1) < 0.02


def test_noise_below_rounding_is_told_and_not_a_crash(rng):
    X = rng.uniform(size=(200, 2))
    model = GaussianProcessRegressor(kernels.Gaussian(0.5), alpha=0.01, optimizer=None, method="iterative", random_state=0)
    model.fit(X, X[:, 0])
    far = kernels.Constant(1e12) * kernels.Gaussian(0.5)
    with pytest.warns(ConvergenceWarning):
        model.set_params(kernel=far, alpha=1e-10).fit(X, X[:, 0])
    value = model.log_marginal_likelihood(far.theta)
    assert value == -np.inf or np.isfinite(value)


def test_the_derivatives_by_parameters_and_by_theta_are_the_same(data):
    X, Y, _ = data
    options = {"alpha": 0.02, "optimizer": None, "random_state": 0}
    kernel = 1.0 * kernels.Gaussian(0.5)
    exact = GaussianProcessRegressor(kernel, **options).fit(X, Y[:, 0]).likelihood_gradient()
    model = GaussianProcessRegressor(kernel, method="iterative", **options).fit(X, Y[:, 0])
    found = model.likelihood_gradient()
    by_theta = model.gradient_ / np.exp(model.kernel_.theta)
    np.testing.assert_allclose([found["kernel__k1__constant_value"], found["kernel__k2__length_scale"]], by_theta, rtol=1e-12)
    for name, value in exact.items():
        assert found[name] == pytest.approx(value, rel=0.01, abs=0.01), name


def test_derivatives_of_a_large_fit_keep_their_digits(rng):
    """Products in float32 would miss more than the stated error."""
    X = rng.uniform(size=(500, 2))
    y = 100 * (np.sin(5 * X[:, 0]) + X[:, 1] ** 2 + 0.1 * rng.normal(size=500))
    kernel = 1.0 * gp.DotProduct(1.0) + gp.ConstantKernel(1.0)
    exact = Theirs(kernel, alpha=0.01, optimizer=None).fit(X, y).log_marginal_likelihood(kernel.theta, eval_gradient=True)[1]
    model = GaussianProcessRegressor(kernel, alpha=0.01, optimizer=None, method="iterative", random_state=0).fit(X, y)
    np.testing.assert_allclose(model.gradient_, exact, rtol=1e-6, atol=1e-4)


def test_a_kernel_of_noise_alone_has_a_bound(rng):
    X, Z = rng.uniform(size=(300, 2)), rng.uniform(size=(700, 2))
    model = GaussianProcessRegressor(kernels.White(0.5), alpha=0.01, optimizer=None, method="iterative").fit(X, X[:, 0])
    mean, deviation = model.predict(Z, return_std=True)
    np.testing.assert_allclose(mean, 0)
    np.testing.assert_allclose(deviation, np.sqrt(0.5))


@pytest.mark.parametrize("scale", [1e-170, 1e-150, 1e150])
def test_targets_whose_squares_are_no_numbers(scale, data):
    X, Y, Z = data
    kernel = 1.0 * gp.RBF(0.5)
    exact = Theirs(kernel, alpha=0.01, optimizer=None).fit(X, Y[:, 0]).predict(Z)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = GaussianProcessRegressor(kernel, alpha=0.01, optimizer=None, method="iterative").fit(X, Y[:, 0] * scale)
    np.testing.assert_allclose(model.predict(Z) / scale, exact, atol=1e-5)
