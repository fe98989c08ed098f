"""KernelRidge against scikit-learn's and against dense linear algebra."""

from __future__ import annotations

import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process import kernels as gp
from sklearn.kernel_ridge import KernelRidge as Dense
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skkeops import Formula, KernelRidge, kernels
from skkeops.solvers.report import advice

RNG = np.random.default_rng(11)
X, Q = RNG.normal(size=(157, 4)), RNG.normal(size=(23, 4))
Y = np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2] + 1], axis=1)
W = RNG.random(157)
W[[3, 50]] = 0.0


def close(found, expected, tol=1e-6):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tol * np.abs(expected).max())


@pytest.mark.parametrize("n_components", ["auto", 0, 7])
@pytest.mark.parametrize("weights", [None, W])
@pytest.mark.parametrize("alpha", [1.0, [0.1, 10.0]])
@pytest.mark.parametrize("name", ["linear", "rbf", "poly", "laplacian", "cosine", "chi2"])
def test_predictions_are_those_of_scikit_learn(name, alpha, weights, n_components):
    x, q = (np.abs(X), np.abs(Q)) if name == "chi2" else (X, Q)
    # scikit-learn's KernelRidge has no default gamma for chi2: it fails.
    expected = Dense(kernel=name, alpha=alpha, gamma=1.0 if name == "chi2" else None)
    expected.fit(x, Y, sample_weight=weights)
    model = KernelRidge(kernel=name, alpha=alpha, n_components=n_components).fit(x, Y, sample_weight=weights)
    close(model.predict(q), expected.predict(q))
    assert model.dual_coef_.shape == expected.dual_coef_.shape
    assert model.residual_ <= 1e-8


@pytest.mark.parametrize(
    "kernel",
    [
        gp.RBF([1.0, 2.0, 3.0, 4.0]),
        2.0 * gp.Matern(2.0, nu=2.5) + gp.WhiteKernel(0.3),
        gp.RationalQuadratic(1.5, 0.7),
    ],
)
def test_kernels_of_gaussian_processes(kernel):
    """The predictions are the mean of the Gaussian process, whose fit has the white noise on its diagonal."""
    expected = GaussianProcessRegressor(kernel, alpha=0.5, optimizer=None).fit(X, Y[:, 0])
    model = KernelRidge(kernel=kernel, alpha=0.5).fit(X, Y[:, 0])
    close(model.predict(Q), expected.predict(Q))
    close(model.dual_coef_, expected.alpha_)
    assert model.dual_coef_.shape == (157,)


@pytest.mark.parametrize("weights", [None, W])
@pytest.mark.parametrize(
    "kernel",
    [
        gp.RBF(2.0) + gp.WhiteKernel(100.0),
        gp.WhiteKernel(0.3),
        gp.DotProduct(0.5) * gp.WhiteKernel(0.2) + gp.RBF(),  # another variance for each sample
        (gp.RBF(2.0) + gp.WhiteKernel(0.1)) ** 2,
    ],
)
def test_noise_is_on_the_diagonal_of_the_fit(kernel, weights):
    """The system is that of the matrix ``k(X)``; queries are other samples, whatever they equal."""
    w = np.ones(157) if weights is None else weights
    root = np.sqrt(w)[:, None]
    expected = root * np.linalg.solve(root * kernel(X) * root.T + 0.1 * np.eye(157), root * Y)
    for n_components in ("auto", 0, 20):
        model = KernelRidge(kernel=kernel, alpha=0.1, n_components=n_components).fit(X, Y, sample_weight=weights)
        close(model.dual_coef_, expected)
        close(model.predict(X), kernel(X, X.copy()) @ expected, 1e-6 if np.any(kernel(X, X.copy())) else 1)
    assert model.residual_ <= 1e-8


@pytest.mark.parametrize("n_components", ["auto", 0, 7])
@pytest.mark.parametrize("weights", [None, W])
def test_alpha_of_each_sample(weights, n_components):
    """A column is one number for each sample, a matrix one for each sample and target, one axis that of the targets."""
    K = pairwise_kernels(X, metric="rbf")
    root = np.sqrt(np.ones(157) if weights is None else weights)[:, None]
    noise = 10 ** RNG.uniform(-3, 1, size=(157, 2))
    noise[7] = 0  # a sample without any
    for alpha in (noise[:, :1], noise, noise[:1], noise[0]):
        columns = np.broadcast_to(alpha, (157, 2)).T
        systems = [np.linalg.solve(root * K * root.T + np.diag(a), root[:, 0] * y) for a, y in zip(columns, Y.T, strict=True)]
        model = KernelRidge(kernel="rbf", alpha=alpha, n_components=n_components).fit(X, Y, sample_weight=weights)
        close(model.dual_coef_, root * np.stack(systems, axis=1), 1e-5)
    gaussian = GaussianProcessRegressor(gp.RBF(1.5), alpha=noise[:, 0] + 1e-3, optimizer=None).fit(X, Y[:, 0])
    model = KernelRidge(kernel=kernels.Gaussian(1.5), alpha=noise[:, :1] + 1e-3, n_components=n_components).fit(X, Y[:, 0])
    close(model.predict(Q), gaussian.predict(Q))


def test_a_formula():
    k = np.exp(-0.3 * cdist(X, X, "sqeuclidean"))
    model = KernelRidge(kernel=Formula("Exp(-g*SqDist(x,y))", g=0.3)).fit(X, Y)
    close(model.dual_coef_, np.linalg.solve(k + np.eye(157), Y))


def test_precomputed():
    k, q = pairwise_kernels(X, metric="rbf"), pairwise_kernels(Q, X, metric="rbf")
    model = KernelRidge(kernel="precomputed", alpha=0.2).fit(k, Y)
    close(model.predict(q), Dense(kernel="precomputed", alpha=0.2).fit(k, Y).predict(q))
    with pytest.raises(ValueError, match="should be a square|must be a square matrix"):
        KernelRidge(kernel="precomputed").fit(k[:, :5], Y)
    with pytest.raises(ValueError, match="a precomputed kernel has no gradient"):
        model.gradient(q)


@pytest.mark.parametrize("kernel", ["sigmoid", kernels.Energy()])
def test_kernels_that_are_not_positive_are_reported(kernel):
    model = KernelRidge(kernel=kernel, alpha=0.1)
    with pytest.warns(RuntimeWarning, match="is not positive definite"):
        model.fit(X, Y)
    K = kernels.as_kernel(kernel, n_features=4)(X, X)
    close(model.dual_coef_, np.linalg.solve(K + 0.1 * np.eye(157), Y))


def test_an_indefinite_kernel_with_enough_ridge_is_solved_without_a_word():
    K = kernels.Sigmoid(0.25)(X, X)
    alpha = 0.1 - min(0, np.linalg.eigvalsh(K)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = KernelRidge(kernel="sigmoid", alpha=alpha).fit(X, Y)
    close(model.dual_coef_, np.linalg.solve(K + alpha * np.eye(157), Y))


def test_float32_is_solved_in_float64():
    model = KernelRidge(kernel="rbf", alpha=0.01).fit(X.astype(np.float32), Y.astype(np.float32))
    assert model.dual_coef_.dtype == model.predict(Q.astype(np.float32)).dtype == np.float32
    expected = Dense(kernel="rbf", alpha=0.01).fit(X.astype(np.float32).astype(float), Y.astype(np.float32))
    close(model.dual_coef_, expected.dual_coef_, 1e-6)


def test_duplicates_and_constant_targets():
    """Rank-deficient kernels, and a right-hand side that is zero."""
    x = np.repeat(X[:20], 5, axis=0)
    y = np.stack([np.repeat(Y[:20, 0], 5), np.zeros(100)], axis=1)
    model = KernelRidge(kernel="rbf", alpha=1e-3).fit(x, y)
    close(model.predict(Q), Dense(kernel="rbf", alpha=1e-3).fit(x, y).predict(Q))
    assert (model.dual_coef_[:, 1] == 0).all()


def test_no_regularisation():
    x = np.linspace(0, 1, 12)[:, None]
    y = np.sin(3 * x[:, 0])
    model = KernelRidge(kernel=kernels.Matern(0.5), alpha=0).fit(x, y)
    close(model.predict(x), y)


LINE = np.linspace(-1, 1, 40)[:, None]
HARD_SAMPLES = {
    "one sample": X[:1],
    "one feature": X[:40, :1],
    "constant": np.full((40, 3), 2.5),
    "duplicates": np.repeat(X[:10], 4, axis=0),
    "collinear": LINE * [1.0, 2.0, -3.0],
    "collinear up to rounding": LINE * [1.0, 1 / 3, 0.1] + 1e-15 * RNG.normal(size=(40, 3)),
    "integers": RNG.integers(-3, 4, size=(40, 3)).astype(float),
    "tiny": 1e-120 * X[:40],
    "huge": 1e50 * X[:40],
    "zero": np.zeros((40, 2)),
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("alpha", [0.0, 1e-300, 1e-12, 1e-3, 1e10, 1e300])
@pytest.mark.parametrize("name", HARD_SAMPLES)
def test_hard_systems_are_never_silently_wrong(name, alpha, dtype):
    """Whatever the samples, alpha and the targets: the residual that is told is that of a dense float64 product, no solution is
    worse than zero, and one without a warning is a solution; predictions of a singular system are those of least squares."""
    limit = 1e18 if dtype == np.float32 else np.inf
    x = np.clip(HARD_SAMPLES[name], -limit, limit).astype(dtype)
    y = np.stack([np.sin(3 * x[:, 0]) + 0.1 * np.cos(np.arange(len(x))), np.ones(len(x))], axis=1).astype(float)
    for kernel in (kernels.Linear(), kernels.Gaussian(), kernels.Constant(3.0), kernels.Laplacian(0.7)):
        K = kernel(x.astype(float))
        values, vectors = np.linalg.eigh(K)
        is_range = values > 1e-13 * len(K) * values.max()
        fit = vectors[:, is_range] @ (vectors[:, is_range].T @ y)
        is_clear = values[is_range].min(initial=np.inf) > 1e-8 * values.max()
        for scale in (1.0, 1e-200, 1e50):
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                model = KernelRidge(kernel=kernel, alpha=alpha).fit(x, scale * y)
                found = model.predict(x).astype(float) / scale
            told = " ".join(str(warning.message) for warning in told)
            if "coefficients are too large for float64" in told:
                assert scale / max(alpha, values.max()) > 1e300
                continue
            coefficients = model.dual_coef_.astype(float) / scale
            rounding = 1e-12 * values.max() * np.abs(coefficients).max() + 1e-5 * (model.dual_coef_.dtype == np.float32)
            rest = y - K @ coefficients - alpha * coefficients
            residual = (np.linalg.norm(rest, axis=0) / np.linalg.norm(y, axis=0)).max()
            assert residual <= 1 + rounding, (kernel, scale, told)
            assert model.residual_ == pytest.approx(residual, abs=1e-8 + rounding), (kernel, scale, told)
            assert told or residual <= 2e-5 * (dtype == np.float32) + 1e-8 + rounding, (kernel, scale)
            if is_clear and alpha <= 1e-300:
                np.testing.assert_allclose(found, fit, rtol=0, atol=1e-5 + rounding, err_msg=f"{kernel} {scale} {told}")


def test_predictions_of_a_singular_system_are_those_of_scikit_learn():
    """Ordinary least squares through the origin, the mean of the targets, and the mean of repeated ones, at new samples, too."""
    repeated, targets = np.repeat(X, 2, axis=0), RNG.normal(size=(314, 2))
    for n_components in ("auto", 0, 50):
        for alpha in (0, 1e-300):
            model = KernelRidge(alpha=alpha, n_components=n_components)
            with pytest.warns(RuntimeWarning, match="singular in float64, and y is not in its range: .* least squares"):
                model.set_params(kernel="linear").fit(X, Y)
            close(model.predict(Q), Q @ np.linalg.lstsq(X, Y)[0])
            with pytest.warns(RuntimeWarning, match="singular in float64"):
                model.set_params(kernel=kernels.Constant(2.0)).fit(X, Y)
            close(model.predict(Q), np.broadcast_to(Y.mean(axis=0), (23, 2)))
    with pytest.warns(RuntimeWarning, match="singular in float64"):
        model = KernelRidge(alpha=0, kernel="laplacian").fit(repeated, targets)
    close(model.predict(Q), Dense(alpha=1e-9, kernel="laplacian").fit(repeated, targets).predict(Q), 1e-5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # y is in the range
        model = KernelRidge(alpha=0, kernel="linear").fit(X, X @ [1.0, -2.0, 0.5, 3.0])
    close(model.predict(Q), Q @ [1.0, -2.0, 0.5, 3.0])
    mixed = KernelRidge(alpha=[0, 1.0], kernel="linear")
    with pytest.warns(RuntimeWarning, match="singular in float64"):
        mixed.fit(X, Y)
    close(mixed.predict(Q)[:, 0], Q @ np.linalg.lstsq(X, Y[:, 0])[0])
    close(mixed.predict(Q)[:, 1], Dense().fit(X, Y[:, 1]).predict(Q))


@pytest.mark.parametrize("alpha", [1e-12, 1e-9, 1e-6])
def test_indefinite_systems_of_a_large_condition(alpha):
    """MINRES's residual drifts away from its estimate; nothing of what it had found is thrown away."""
    x = np.random.default_rng(0).uniform(size=(150, 2))
    y = np.sin(5 * x[:, 0])
    K = pairwise_kernels(x, metric="sigmoid")
    dense = np.linalg.lstsq(K + alpha * np.eye(150), y, rcond=1e-14)[0]
    assert np.linalg.norm(K @ dense - y) < 0.1 * np.linalg.norm(y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = KernelRidge(kernel="sigmoid", alpha=alpha).fit(x, y)
    rest = np.linalg.norm(y - K @ model.dual_coef_ - alpha * model.dual_coef_) / np.linalg.norm(y)
    np.testing.assert_allclose(model.residual_, rest, rtol=1e-3, atol=1e-8)
    assert rest < 0.02


@pytest.mark.parametrize("weights", [None, W])
@pytest.mark.parametrize("alpha", [1e-7, 1e-4, 0.1, 1.0])
def test_coefficients_are_in_float32_only_where_that_holds_them(alpha, weights):
    x, y = X[:, :2].astype(np.float32), Y.astype(np.float32)
    w = np.ones(157) if weights is None else weights
    model = KernelRidge(kernel=kernels.Gaussian(2.0), alpha=alpha).fit(x, y, sample_weight=weights)
    found = model.predict(x)
    assert model.dual_coef_.dtype == found.dtype == (np.float32 if alpha >= 0.1 else np.float64)
    K, c = kernels.Gaussian(2.0)(x.astype(float)), model.dual_coef_.astype(float)
    root = np.sqrt(w)[:, None]
    a = np.where(root > 0, c / np.where(root > 0, root, 1), 0)
    residual = np.linalg.norm(root * (y - K @ c) - alpha * a, axis=0) / np.linalg.norm(root * y, axis=0)
    assert model.residual_ == pytest.approx(residual.max(), abs=1e-5 if alpha >= 0.1 else 2e-8)
    assert residual.max() < 1e-5
    np.testing.assert_allclose(found, K @ c, rtol=0, atol=2e-5)
    dx = model.gradient(x[:5], np.ones((5, 2)))
    difference = x[:5, None].astype(float) - x
    expected = -(difference * kernels.Gaussian(2.0)(x[:5].astype(float), x.astype(float))[..., None] / 4).swapaxes(1, 2) @ c
    np.testing.assert_allclose(dx, expected.sum(axis=2), rtol=0, atol=1e-4 * np.abs(expected).max())


def test_targets_beyond_float32():
    x, y = X.astype(np.float32), Y * 1e50
    model = KernelRidge(kernel="rbf").fit(x, y)
    close(model.predict(Q.astype(np.float32)), Dense(kernel="rbf").fit(x.astype(float), y).predict(Q.astype(np.float32)))


@pytest.mark.parametrize("size", [1e-308, 1e-100, 1e100, 1e308])
def test_weights_of_any_size(size):
    """Weights divide alpha: those that are large leave none."""
    x, y = LINE, np.sin(3 * LINE[:, 0])
    model = KernelRidge(kernel="laplacian", alpha=size / 2).fit(x, y, sample_weight=np.full(40, size))
    close(model.predict(x), Dense(kernel="laplacian", alpha=0.5).fit(x, y).predict(x))
    fit = KernelRidge(kernel="laplacian").fit(x, y, sample_weight=np.full(40, size)).predict(x)
    close(fit, y if size > 1 else 0 * y, 1e-6) if size > 1 else np.testing.assert_allclose(fit, 0, atol=1e-12)


def test_not_converged():
    with pytest.warns(ConvergenceWarning, match=r"the relative residual is .* after 2 iterations, tol=1e-08"):
        model = KernelRidge(kernel="rbf", alpha=1e-6, n_components=0, max_iter=2).fit(X, Y)
    assert model.n_iter_ == 2
    K = pairwise_kernels(X, metric="rbf") + 1e-6 * np.eye(157)
    residual = np.linalg.norm(Y - K @ model.dual_coef_, axis=0) / np.linalg.norm(Y, axis=0)
    assert model.residual_ == pytest.approx(residual.max(), rel=1e-6)


def test_a_preconditioner_saves_iterations():
    plain = KernelRidge(kernel="rbf", alpha=1e-3, n_components=0).fit(X, Y)
    better = KernelRidge(kernel="rbf", alpha=1e-3, n_components=60).fit(X, Y)
    assert better.n_iter_ < plain.n_iter_ / 2
    again = KernelRidge(kernel="rbf", alpha=1e-3, n_components=60).fit(X, Y)
    np.testing.assert_array_equal(again.dual_coef_, better.dual_coef_)


@pytest.mark.parametrize("name", ["X", "X_fit", "dual_coef", "kernel__length_scale"])
def test_gradient(name):
    model = KernelRidge(kernel=kernels.Gaussian(1.5)).fit(X[:9], Y[:9])
    e = RNG.normal(size=(23, 2))
    base = {"X": Q, "X_fit": X[:9], "dual_coef": model.dual_coef_, "kernel__length_scale": np.array(1.5)}

    def total(value):
        given = {**base, name: value}
        k = np.exp(-cdist(given["X"], given["X_fit"], "sqeuclidean") / (2 * given["kernel__length_scale"] ** 2))
        return (k @ given["dual_coef"] * e).sum()

    gradient = np.asarray(model.gradient(Q, e, wrt=name))
    assert gradient.shape == base[name].shape
    direction = RNG.normal(size=gradient.shape)
    difference = (total(base[name] + 1e-6 * direction) - total(base[name] - 1e-6 * direction)) / 2e-6
    assert (gradient * direction).sum() == pytest.approx(difference, rel=1e-6)


def test_pipeline_grid_search_and_pickle():
    pipeline = make_pipeline(StandardScaler(), KernelRidge(kernel=kernels.Gaussian()))
    grid = {"kernelridge__alpha": [0.01, 1.0], "kernelridge__kernel__length_scale": [1.0, 3.0]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, Y)
    dense = GridSearchCV(
        make_pipeline(StandardScaler(), Dense(kernel=gp.RBF())), grid, cv=3
    ).fit(X, Y)
    np.testing.assert_allclose(
        search.cv_results_["mean_test_score"], dense.cv_results_["mean_test_score"], rtol=1e-6, atol=1e-6
    )
    copy = pickle.loads(pickle.dumps(search.best_estimator_))
    np.testing.assert_array_equal(copy.predict(Q), search.predict(Q))


def test_callbacks():
    """Where scikit-learn has them they see every iteration, and may end the fit."""
    callback = pytest.importorskip("sklearn.callback")
    seen = []

    class Recorder:
        def setup(self, estimator, context):
            seen.append("setup")

        def on_fit_task_begin(self, estimator, context, **kwargs):
            seen.append(("begin", context.task_name))

        def on_fit_task_end(self, estimator, context, **kwargs):
            seen.append(("end", context.task_name))
            return context.task_name == "iteration" and seen.count(("end", "iteration")) == 3

        def teardown(self, estimator, context):
            seen.append("teardown")

    assert isinstance(Recorder(), callback.FitCallback)
    model = KernelRidge(kernel="rbf", alpha=1e-6, n_components=0).set_callbacks(Recorder())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a fit that was asked to stop has nothing to warn of
        model.fit(X, Y)
    assert model.n_iter_ == 3
    assert model.predict(Q).shape == (23, 2)
    assert (seen[0], seen[-1]) == ("setup", "teardown")
    assert seen.count(("begin", "iteration")) == seen.count(("end", "iteration")) == 3
    assert seen.count(("begin", "fit")) == seen.count(("end", "fit")) == 1


def test_memory_is_not_that_of_the_matrix():
    n = 4000
    x = RNG.normal(size=(n, 3))
    model = KernelRidge(kernel="rbf", n_components=50)
    model.fit(x[:100], x[:100, 0])
    tracemalloc.start()
    model.fit(x, np.sin(x[:, 0])).predict(x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * n * 8 / 10


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"alpha": -1.0}, ValueError, r"The 'alpha' parameter of KernelRidge must be .* Got -1.0 instead"),
        ({"alpha": [1.0, -1.0]}, ValueError, r"The 'alpha' parameter of KernelRidge must be in the range \[0.0, inf\)"),
        ({"alpha": [1.0, 1.0, 1.0]}, ValueError, r"one for each target, or .* shape \(3,\) for 157 samples and 2 targets"),
        ({"alpha": np.ones((3, 1))}, ValueError, r"Got an array of shape \(3, 1\) for 157 samples and 2 targets"),
        ({"tol": 0.0}, ValueError, r"The 'tol' parameter of KernelRidge must be .* Got 0.0 instead"),
        ({"max_iter": 0}, ValueError, r"The 'max_iter' parameter of KernelRidge must be .* Got 0 instead"),
        ({"n_components": -3}, ValueError, r"The 'n_components' parameter of KernelRidge must be .* Got -3 instead"),
        ({"kernel_params": {"a": 1}}, ValueError, r"The 'kernel_params' parameter of KernelRidge must be None"),
        ({"kernel": "x * y"}, ValueError, "the kernel must be a number .* found one with 4 components"),
        ({"kernel": Formula("x*y*a", ["x = Vi(1)", "y = Vj(3)", "a = Vj(1)"])}, ValueError, "the same columns"),
    ],
)
def test_bad_parameters(params, error, message):
    with pytest.raises(error, match=message):
        KernelRidge(**params).fit(X, Y)


def test_a_kernel_that_is_not_finite_is_told_at_once():
    with pytest.warns(RuntimeWarning, match="entries that are infinite or NaN"):
        model = KernelRidge(kernel=Formula("Exp(-SqDist(x,y)/s)", s=0.0)).fit(X, Y)
    assert model.n_iter_ < 5
    assert np.isnan(model.residual_)


def test_the_default_tolerance_follows_the_noise(monkeypatch):
    """Above so many samples, what is left out is small beside the noise; below, nothing is."""
    rng = np.random.default_rng(0)
    x = rng.random((400, 2))
    y = np.sin(6 * x[:, 0]) + 0.3 * rng.standard_normal(400)
    parts = {"kernel": kernels.Gaussian(0.3), "alpha": 0.1, "n_components": 0}
    exact = Dense(alpha=0.1, kernel=kernels.Gaussian(0.3)).fit(x, y).predict(x)
    tight = KernelRidge(**parts).fit(x, y)
    assert tight.tol_ == 1e-8
    monkeypatch.setattr("skkeops.estimators.training_matrix.FEW_SAMPLES", 100)
    loose = KernelRidge(**parts).fit(x, y)
    assert loose.tol_ == pytest.approx(1e-3 * np.sqrt(0.1 / 1.1))
    assert loose.n_iter_ < tight.n_iter_
    difference = np.sqrt(np.mean((loose.predict(x) - exact) ** 2))
    assert 1e-9 < difference < 1e-3 * np.sqrt(0.1 / 1.1) * np.sqrt(np.mean(y**2))
    noisy = KernelRidge(kernel=kernels.Gaussian(0.3) + kernels.White(0.1), alpha=0, n_components=0).fit(x, y)
    assert noisy.tol_ == pytest.approx(loose.tol_)
    with pytest.warns(ConvergenceWarning, match="tol=1e-08"):
        KernelRidge(kernel=kernels.Gaussian(0.3), alpha=0, n_components=0, max_iter=1).fit(x, y)
    assert KernelRidge(**parts, tol=1e-4).fit(x, y).tol_ == 1e-4


def test_the_advice_is_of_use(rng):
    """More iterations are recommended where they were used up, a larger alpha where rounding is the end."""
    X = rng.uniform(size=(200, 2))
    with pytest.warns(ConvergenceWarning, match="Increase max_iter, n_components or alpha, or accept a larger tol"):
        KernelRidge(alpha=1e-3, kernel="rbf", gamma=0.1, tol=1e-14, max_iter=1, n_components=2).fit(X, X[:, 0])
    assert advice(9, 1000) == "Rounding allows no less: increase alpha, or accept a larger tol."


def test_a_formula_may_declare_its_variables(rng):
    X = rng.normal(size=(60, 3))
    declared, plain = (
        KernelRidge(alpha=0.1, kernel=Formula("Exp(-SqDist(x,y))", *variables)).fit(X, X[:, 0])
        for variables in ((["x = Vi(3)", "y = Vj(3)"],), ())
    )
    np.testing.assert_array_equal(declared.predict(X), plain.predict(X))
