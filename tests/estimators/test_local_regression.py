"""KernelSmoother's local polynomials against weighted least squares in NumPy and mpmath, statsmodels, and differences."""

from __future__ import annotations

import warnings
from itertools import combinations_with_replacement

import joblib
import mpmath
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from skkeops import Formula, KernelSmoother, kernels
from skkeops.kernels import Gaussian, Matern

RNG = np.random.default_rng(5)
X, Q = RNG.normal(size=(90, 2)), RNG.normal(size=(12, 2))
W = RNG.random(90)
W[3] = 0.0
Y = np.stack([np.sin(X[:, 0]) + X[:, 1], X[:, 0] * X[:, 1] + 7], axis=1) + 0.1 * RNG.normal(size=(90, 2))


def design(u, degree):
    terms = [t for d in range(degree + 1) for t in combinations_with_replacement(range(u.shape[1]), d)]
    return np.stack([np.prod(u[:, list(t)], axis=1) for t in terms], axis=1)


def smoother_matrix(kernel, queries, samples, weights, degree):
    """The rows l with ``prediction = l @ y``, by weighted least squares about each query."""
    rows = []
    for x in queries:
        root = np.sqrt(kernel(x[None], samples)[0] * weights)
        rows.append((np.linalg.pinv(root[:, None] * design(samples - x, degree)) * root)[0])
    return np.array(rows)


@pytest.mark.parametrize("degree", [0, 1, 2])
@pytest.mark.parametrize("kernel", [Gaussian(0.7), Matern(1.0, nu=1.5), Formula("IfElse(4-SqDist(x,y),Square(4-SqDist(x,y)),0)")])
def test_least_squares(kernel, degree):
    for weights in (None, W):
        expected = smoother_matrix(kernel, Q, X, 1 if weights is None else weights, degree) @ Y
        model = KernelSmoother(kernel, degree=degree).fit(X, Y, weights)
        np.testing.assert_allclose(model.predict(Q), expected, rtol=1e-8)
        np.testing.assert_allclose(model.fit(X, Y[:, 0], weights).predict(Q), expected[:, 0], rtol=1e-8)


@pytest.mark.parametrize(("n_features", "degree"), [(1, 1), (1, 2), (4, 1), (4, 2)])
def test_dimensions(n_features, degree):
    samples, queries = RNG.normal(size=(200, n_features)), 0.5 * RNG.normal(size=(5, n_features))
    y = RNG.normal(size=200)
    expected = smoother_matrix(Gaussian(1.5), queries, samples, 1, degree) @ y
    model = KernelSmoother(Gaussian(1.5), degree=degree).fit(samples, y)
    np.testing.assert_allclose(model.predict(queries), expected, rtol=1e-8, atol=1e-10)
    scale = 10.0 ** np.arange(n_features)  # another unit for each feature
    wide = KernelSmoother(Gaussian(1.5 * scale), degree=degree).fit(samples * scale, y)
    np.testing.assert_allclose(wide.predict(queries * scale), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("reg_type", "degree"), [("lc", 0), ("ll", 1)])
def test_statsmodels(reg_type, degree):
    regression = pytest.importorskip("statsmodels.nonparametric.kernel_regression")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = regression.KernelReg(Y[:, 0], X, "cc", reg_type=reg_type, bw=[0.4, 0.7]).fit(Q)[0]
    ours = KernelSmoother(Gaussian([0.4, 0.7]), degree=degree).fit(X, Y[:, 0]).predict(Q)
    np.testing.assert_allclose(ours, theirs, rtol=1e-8)


def exactly(samples, y, x, degree, length):
    """The prediction by the normal equations, with 200 digits."""
    with mpmath.workdps(200):
        u = [mpmath.mpf(float(s)) - mpmath.mpf(float(x)) for s in samples]
        k = [mpmath.exp(-((a / mpmath.mpf(length)) ** 2) / 2) for a in u]
        gram = mpmath.matrix(degree + 1)
        right = mpmath.matrix(degree + 1, 1)
        for a, w, t in zip(u, k, y, strict=True):
            for r in range(degree + 1):
                right[r] += w * a**r * mpmath.mpf(float(t))
                for c in range(degree + 1):
                    gram[r, c] += w * a ** (r + c)
        return float(mpmath.lu_solve(gram, right)[0])


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize(("place", "rtol"), [(1.3, 1e-9), (3.0, 1e-8), (-6.0, 1e-6)])
def test_outside_of_the_samples(degree, place, rtol):
    """Where all kernels are tiny and nothing but the last samples counts."""
    t = np.linspace(0, 1, 40) + 0.01 * RNG.normal(size=40)
    y = np.cos(5 * t)
    found = KernelSmoother(Gaussian(0.25), degree=degree).fit(t[:, None], y).predict([[place]])
    np.testing.assert_allclose(found, exactly(t, y, place, degree, 0.25), rtol=rtol)


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_polynomials_are_reproduced(degree):
    """Also far from the origin, where squares of coordinates have no digits left."""
    far = np.array([1e7, -3e6])
    q = Q / 4
    model = KernelSmoother(Gaussian(0.5), degree=degree).fit(X + far, (1 + X[:, 0] - X[:, 1]) ** degree)
    np.testing.assert_allclose(model.predict(q + far), (1 + q[:, 0] - q[:, 1]) ** degree, rtol=1e-8, atol=1e-7)


def test_a_sample_far_away_costs_no_digits():
    """It makes the spread of the samples large, beside which the neighbours are one point."""
    samples, y = np.concatenate([X, [[1e9, -1e9]]]), np.concatenate([Y, [[1e3, 1e3]]])
    for degree in (1, 2):
        expected = smoother_matrix(Gaussian(0.7), Q, X, 1, degree) @ Y
        found = KernelSmoother(Gaussian(0.7), degree=degree).fit(samples, y).predict(Q)
        np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_too_few_samples():
    for degree in (0, 1, 2):
        model = KernelSmoother("SqDist(x, y) < 1", degree=degree)
        alone = model.fit([[0.0, 0.0], [5.0, 5.0]], [3.0, 4.0])
        np.testing.assert_allclose(alone.predict([[0.1, 0.2], [5.0, 5.0], [5.3, 5.3]]), [3.0, 4.0, 4.0], rtol=1e-12)
        twice = model.fit([[0.0], [0.0]], [3.0, 5.0])
        np.testing.assert_allclose(twice.predict([[0.0], [0.4]]), 4.0, rtol=1e-12)
        with pytest.warns(RuntimeWarning, match="1 of 2 queries have no mean"):
            np.testing.assert_allclose(twice.predict([[0.0], [9.0]]), [4.0, np.nan])
    # Two samples make a line and no parabola; samples in a line have no slope across it.
    pair = KernelSmoother(Gaussian(1.0), degree=2).fit([[0.0], [1.0]], [1.0, 3.0])
    np.testing.assert_allclose(pair.predict([[0.5], [0.25], [2.0]]), [2.0, 1.5, 5.0], rtol=1e-10)
    line = np.linspace(0, 1, 9)[:, None] * [[1.0, 1.0]]
    inline = KernelSmoother(Gaussian(1.0), degree=1).fit(line, line[:, 0])
    np.testing.assert_allclose(inline.predict([[0.3, 0.3], [0.6, 0.0]]), [0.3, 0.3], rtol=1e-10)


# Robust iterations


def bisquare(residuals):
    ratio = abs(residuals) / (6 * np.median(abs(residuals)))
    return np.where(ratio < 1, (1 - ratio**2) ** 2, 0)


def test_robust_iterations():
    outliers = Y.copy()
    outliers[::9, 0] += 30
    kernel, expected, factors = Gaussian(0.7), [], []
    for y in outliers.T:
        weights = np.ones(90)
        for _ in range(3):
            weights = bisquare(y - smoother_matrix(kernel, X, X, weights, 1) @ y)
        factors.append(weights)
        expected.append(smoother_matrix(kernel, Q, X, weights, 1) @ y)
    model = KernelSmoother(kernel, degree=1, robust_iterations=3).fit(X, outliers)
    np.testing.assert_allclose(model.robustness_weight_, np.transpose(factors), atol=1e-9)
    np.testing.assert_allclose(model.predict(Q), np.transpose(expected), rtol=1e-8)
    assert model.robustness_weight_[::9, 0].max() == 0 < model.robustness_weight_[::9, 1].min()
    alone = KernelSmoother(kernel, degree=1, robust_iterations=3).fit(X, outliers[:, 0])
    np.testing.assert_allclose(alone.predict(Q), expected[0], rtol=1e-8)


def test_one_outlier_of_a_line():
    """Without noise the median residual is a rounding error, which does not decide."""
    t = np.linspace(0, 1, 30)[:, None]
    y = 2 * t[:, 0] + 1
    y[12] = 50.0
    model = KernelSmoother(Gaussian(0.05), degree=1, robust_iterations=4).fit(t, y)
    np.testing.assert_allclose(model.predict([[0.4], [0.9]]), [1.8, 2.8], rtol=1e-6)


# Standard errors


@pytest.mark.parametrize("degree", [0, 1, 2])
def test_standard_errors(degree):
    kernel = Gaussian(0.6)
    for weights in (np.ones(90), W):
        at_samples, at_queries = (smoother_matrix(kernel, x, X, weights, degree) for x in (X, Q))
        counts = weights > 0
        inverse = np.where(counts, 1 / np.where(counts, weights, 1), 0)
        free = counts.sum() - 2 * np.trace(at_samples) + (weights[:, None] * at_samples**2 * inverse).sum()
        noise = (weights[:, None] * (Y - at_samples @ Y) ** 2).sum(axis=0) / free
        expected = np.sqrt((at_queries**2 @ inverse)[:, None] * noise)
        model = KernelSmoother(kernel, degree=degree).fit(X, Y, None if weights.all() else weights)
        found, errors = model.predict(Q, return_std=True)
        np.testing.assert_array_equal(found, model.predict(Q))
        np.testing.assert_allclose(errors, expected, rtol=1e-8)
        model.fit(X, 2 * Y[:, 1])  # what was found for other targets is forgotten
        if weights.all():
            np.testing.assert_allclose(model.predict(Q, return_std=True)[1], 2 * expected[:, 1], rtol=1e-8)


def test_standard_errors_of_robust_iterations():
    kernel, y = Gaussian(0.7), Y[:, 0]
    model = KernelSmoother(kernel, degree=1, robust_iterations=2).fit(X, y)
    at_samples, at_queries = (smoother_matrix(kernel, x, X, model.robustness_weight_, 1) for x in (X, Q))
    noise = 1.4826 * np.median(abs(y - at_samples @ y))
    expected = noise * np.sqrt((at_queries**2).sum(axis=1))
    np.testing.assert_allclose(model.predict(Q, return_std=True)[1], expected, rtol=1e-8)


def test_errors_cover_the_truth():
    """Of many samples of the same line, about 95 % lie within two standard errors."""
    rng = np.random.default_rng(0)
    t, at = np.linspace(0, 1, 60)[:, None], np.array([[0.0], [0.37], [1.0]])
    targets = 3 * t + rng.normal(size=(60, 2000))
    found, errors = KernelSmoother(Gaussian(0.1), degree=1).fit(t, targets).predict(at, return_std=True)
    inside = (abs(found - 3 * at) < 1.96 * errors).mean(axis=1)
    np.testing.assert_allclose(inside, 0.95, atol=0.03)


def test_no_residuals_no_errors():
    model = KernelSmoother(Gaussian(1e-3)).fit(X, Y)
    with pytest.warns(RuntimeWarning, match="leave no residuals"):
        found, errors = model.predict(X, return_std=True)
    np.testing.assert_allclose(found, Y)
    assert np.isnan(errors).all()


# Derivatives

NAMES = ("X", "X_fit", "y", "sample_weight", "kernel__length_scale")


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_against_differences(degree, name):
    e = RNG.normal(size=(12, 2))
    given = {"X": Q, "X_fit": X, "y": Y, "sample_weight": W + 0.1, "kernel__length_scale": np.array([0.7, 0.9])}

    def value(**changed):
        v = {**given, **changed}
        model = KernelSmoother(Gaussian(v["kernel__length_scale"]), degree=degree).fit(v["X_fit"], v["y"], v["sample_weight"])
        return model, float((model.predict(v["X"]) * e).sum())

    gradient = value()[0].gradient(Q, e, wrt=name)
    assert gradient.shape == given[name].shape
    for flat in range(0, given[name].size, max(1, given[name].size // 8)):
        step = np.zeros(given[name].size)
        step[flat] = 1e-5
        step = step.reshape(given[name].shape)
        difference = (value(**{name: given[name] + step})[1] - value(**{name: given[name] - step})[1]) / 2e-5
        assert gradient.ravel()[flat] == pytest.approx(difference, rel=2e-6, abs=1e-7)


def test_gradients_with_robust_iterations_and_weights_of_zero():
    model = KernelSmoother(Gaussian(0.7), degree=1, robust_iterations=2).fit(X, Y, W)
    together = dict(zip(NAMES, model.gradient(Q, wrt=NAMES), strict=True))
    for target in (0, 1):  # the prediction is linear in the targets when the factors stand still
        weights = W * model.robustness_weight_[:, target]
        rows = smoother_matrix(Gaussian(0.7), Q, X, weights, 1)
        np.testing.assert_allclose(together["y"][:, target], rows.sum(axis=0), rtol=1e-7, atol=1e-10)
    h = 1e-6
    change = [smoother_matrix(Gaussian(0.7), Q + [h * s, 0], X, W * f, 1) @ y for s in (1, -1)
              for f, y in zip(model.robustness_weight_.T, Y.T, strict=True)]  # fmt: skip
    slope = (change[0] + change[1] - change[2] - change[3]) / (2 * h)
    np.testing.assert_allclose(together["X"][:, 0], slope, rtol=1e-6, atol=1e-6)
    assert np.isfinite(together["sample_weight"]).all()


# Arrays


def test_float32_and_jobs():
    x, y, q = (a.astype(np.float32) for a in (X, Y, Q))
    for degree in (1, 2):
        model = KernelSmoother(Gaussian(0.7), degree=degree, robust_iterations=1).fit(x, y, W)
        found, errors = model.predict(q, return_std=True)
        assert found.dtype == errors.dtype == model.gradient(q).dtype == np.float32
        double = KernelSmoother(Gaussian(0.7), degree=degree, robust_iterations=1).fit(X, Y, W)
        expected, wider = double.predict(Q, return_std=True)
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)
        np.testing.assert_allclose(errors, wider, rtol=1e-3)
        with joblib.parallel_config("threading"):
            again = double.set_params(n_jobs=2).predict(Q, return_std=True)
        np.testing.assert_array_equal(again, (expected, wider))
        reference = KernelSmoother(Gaussian(0.7), degree=degree, robust_iterations=1, backend="reference").fit(X, Y, W)
        np.testing.assert_allclose(reference.predict(Q), expected, rtol=1e-10)


# Mistakes


def test_mistakes():
    for name in ("poly", "polynomial", "sigmoid", "linear", "cosine", "additive_chi2"):
        with pytest.raises(ValueError, match=rf"must be positive, which '{name}' is not: .*kernels\.Polynomial\(2\)"):
            KernelSmoother(name).fit(X, Y)
    squares = cdist(Q, X, lambda a, b: (1 + a @ b / 2) ** 2)  # its object is welcome
    found = KernelSmoother(kernels.Polynomial(2, 0.5, 1.0)).fit(X, Y).predict(Q)
    np.testing.assert_allclose(found, squares @ Y / squares.sum(axis=1, keepdims=True), rtol=1e-10)
    with pytest.raises(ValueError, match="The 'degree' parameter of KernelSmoother must be"):
        KernelSmoother(degree=3).fit(X, Y)
    with pytest.raises(TypeError, match="coef0"):
        KernelSmoother(coef0=1)
    columns = Formula("Exp(-Square(x-y))*a", ["x = Vi(1)", "y = Vj(1)", "a = Vj(1)"])
    with pytest.raises(ValueError, match="degree=1 takes differences of queries and samples: .* have to have the same features"):
        KernelSmoother(columns, degree=1).fit(abs(X), Y)
    with pytest.raises(ValueError, match="robust_iterations take predictions of the training samples"):
        KernelSmoother(columns, robust_iterations=1).fit(abs(X), Y)
    with pytest.raises(ValueError, match="return_std=True takes predictions of the training samples"):
        KernelSmoother(columns).fit(abs(X), Y).predict(X[:, :1], return_std=True)
    with pytest.raises(ValueError, match=r"degree=2 with 20 features takes 10626 moments of each query: expected at most 5000"):
        KernelSmoother(degree=2).fit(np.zeros((3, 20)), np.zeros(3))


def test_one_dask_array_is_one_result():
    dask = pytest.importorskip("dask.array")
    model = KernelSmoother(Gaussian(0.7), degree=1).fit(X, Y)
    np.testing.assert_allclose(model.predict(dask.from_array(Q, chunks=(5, 2))).compute(), model.predict(Q), rtol=1e-12)
    with pytest.raises(TypeError, match="return_std=True has two results"):
        model.predict(dask.from_array(Q), return_std=True)
