"""KernelSum, KernelLogSumExp and KernelSmoother against NumPy, SciPy and scikit-learn; gradients against differences."""

from __future__ import annotations

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy.optimize import approx_fprime
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skkeops import Formula, FormulaError, KernelLogSumExp, KernelSmoother, KernelSum, kernels

RNG = np.random.default_rng(7)
X, Y = RNG.normal(size=(11, 3)), RNG.normal(size=(7, 3))
B, W = RNG.normal(size=(7, 2)), RNG.random(7)
W[2] = 0.0
ALL = [KernelSum, KernelLogSumExp, KernelSmoother]


def evaluate(estimator, queries):
    return (estimator.predict if hasattr(estimator, "predict") else estimator.transform)(queries)


def fit(estimator, samples=Y, y=None, weights=None):
    if isinstance(estimator, KernelLogSumExp):
        return estimator.fit(samples, sample_weight=weights)
    return estimator.fit(samples, B if y is None else y, sample_weight=weights)


# Values


@pytest.mark.parametrize("name", ["rbf", "laplacian", "poly", "sigmoid", "linear", "cosine"])
def test_sum_by_name(name):
    expected = pairwise_kernels(X, Y, metric=name) @ (W[:, None] * B)
    np.testing.assert_allclose(KernelSum(name).fit(Y, B, W).transform(X), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["chi2", "additive_chi2"])
def test_sum_of_histograms(name):
    expected = pairwise_kernels(abs(X), abs(Y), metric=name).sum(axis=1, keepdims=True)
    estimator = KernelSum(name).fit(abs(Y))
    np.testing.assert_allclose(estimator.transform(abs(X)), expected, rtol=1e-12)
    with pytest.raises(ValueError, match="Negative values in data passed to KernelSum"):
        estimator.transform(X)
    with pytest.raises(ValueError, match="Negative values"):
        KernelSum(name).fit(Y)


@pytest.mark.parametrize(("weights", "y"), [(None, None), (W, None), (None, B), (W, B), (-W, B[:, 0])])
def test_sum_of_values_and_weights(weights, y):
    b = np.ones((7, 1)) if y is None else y.reshape(7, -1)
    w = 1 if weights is None else weights[:, None]
    expected = np.exp(-cdist(X, Y, "sqeuclidean") / 3) @ (w * b)
    result = KernelSum().fit(Y, y, weights).transform(X)
    assert result.shape == (11, b.shape[1])
    np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_sum_of_a_vector_formula():
    f = Formula("x * y")
    np.testing.assert_allclose(KernelSum(f).fit(Y).transform(X), X * Y.sum(axis=0), rtol=1e-12)
    with pytest.raises(ValueError, match="3 components and y has 2 columns"):
        KernelSum(f).fit(Y, B)


@pytest.mark.parametrize("weights", [None, W])
def test_log_sum_exp_of_a_kernel_takes_its_logarithm(weights):
    far = X + 100  # the kernel itself underflows
    expected = logsumexp(-cdist(far, Y, "sqeuclidean") / 3, axis=1, b=weights)
    estimator = KernelLogSumExp().fit(Y, sample_weight=weights)
    np.testing.assert_allclose(estimator.transform(far)[:, 0], expected, rtol=1e-13)
    np.testing.assert_array_equal(estimator.score_samples(far), estimator.transform(far)[:, 0])
    assert isinstance(estimator.score(far), float)
    assert estimator.score(far) == pytest.approx(expected.sum(), rel=1e-13)


@pytest.mark.parametrize("p", [0.37, -1.5])
def test_log_sum_exp_of_a_formula_takes_it_as_it_is(p):
    x, y, a = RNG.random((13, 1)), RNG.random((8, 1)), RNG.random((8, 1))
    f = Formula("Square(p-a)*Exp(x+y)", ["x = Vi(1)", "y = Vj(1)", "a = Vj(1)", "p = Pm(1)"], p=p)
    expected = logsumexp((p - a.T) ** 2 * np.exp(x + y.T), axis=1, keepdims=True)
    np.testing.assert_allclose(KernelLogSumExp(f).fit(np.hstack([y, a])).transform(x), expected, rtol=1e-13)


def test_columns_by_name():
    """Data frames give the columns that are called like the variables, in whatever order, others beside them."""
    f = Formula("Square(p-a)*Exp(x+y)", ["x = Vi(1)", "y = Vj(1)", "a = Vj(1)", "p = Pm(1)"], p=0.37)
    x, y, a = RNG.random((5, 1)), RNG.random((8, 1)), RNG.random((8, 1))
    expected = KernelLogSumExp(f).fit(np.hstack([y, a])).transform(x)
    samples = pd.DataFrame({"a": a[:, 0], "other": 1.0, "y": y[:, 0]})
    queries = pd.DataFrame({"unused": 5.0, "x": x[:, 0]})
    estimator = KernelLogSumExp(f).fit(samples)
    np.testing.assert_array_equal(estimator.transform(queries), expected)
    assert list(estimator.feature_names_in_) == ["y", "a"]


def test_kernels_made_of_formulas_with_columns_of_their_own():
    f = Formula("Exp(x*y)*a", ["x = Vi(1)", "y = Vj(1)", "a = Vj(1)"])
    x, y, a = RNG.random((5, 1)), RNG.random((8, 1)), RNG.random((8, 1))
    result = KernelSum(2.0 * f).fit(np.hstack([y, a])).transform(x)
    np.testing.assert_allclose(result, 2 * np.exp(x * y.T) @ a, rtol=1e-13)
    frame = pd.DataFrame({"a": a[:, 0], "y": y[:, 0]})
    np.testing.assert_array_equal(KernelSum(2.0 * f).fit(frame).transform(pd.DataFrame({"x": x[:, 0]})), result)


def test_smoother_is_the_weighted_mean():
    k = np.exp(-cdist(X, Y, "cityblock") / 2)
    expected = (k * W) @ B / (k @ W)[:, None]
    smoother = KernelSmoother(kernels.Laplacian(2.0)).fit(Y, B, W)
    np.testing.assert_allclose(smoother.predict(X), expected, rtol=1e-12)
    np.testing.assert_allclose(smoother.fit(Y, B[:, 0], W).predict(X), expected[:, 0], rtol=1e-12)
    # The same kernel as text, and with a factor: the exponential leaves the logarithm.
    for text in ("Exp(-Sum(Abs(x-y))/2)", "3*Exp(-Sum(Abs(x-y))/4)*Exp(-Sum(Abs(x-y))/4)"):
        np.testing.assert_allclose(KernelSmoother(text).fit(Y, B, W).predict(X), expected, rtol=1e-12)
        assert np.isfinite(KernelSmoother(text).fit(Y, B, W).predict(X + 1e4)).all()
    # Far away the nearest sample decides, though every kernel value underflows.
    far = np.array([[1e4, 0.0, 0.0]])
    nearest = np.argmin(np.where(W > 0, cdist(far, Y, "sqeuclidean")[0], np.inf))
    np.testing.assert_allclose(KernelSmoother().fit(Y, B, W).predict(far)[0], B[nearest], rtol=1e-9)


@pytest.mark.parametrize("cls", ALL)
def test_float32_stays_float32(cls):
    single = fit(cls(), Y.astype(np.float32))
    result = evaluate(single, X.astype(np.float32))
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, evaluate(fit(cls()), X), rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("cls", ALL)
def test_layouts(cls):
    estimator = fit(cls())
    expected = evaluate(estimator, X)
    readonly = X.copy()
    readonly.flags.writeable = False
    for queries in (np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], readonly, X.tolist()):
        np.testing.assert_array_equal(evaluate(estimator, queries), expected)
    np.testing.assert_array_equal(evaluate(fit(cls(), np.asfortranarray(Y)), X), expected)


# Gradients

KERNEL = 2.0 * kernels.Matern([1.0, 2.0, 3.0], nu=2.5)
NAMES = ("X", "X_fit", "sample_weight", "kernel__k1__constant_value", "kernel__k2__length_scale", "y")


def numbers(name, values):
    """Return a function of one argument of the estimator, the others standing still."""

    def evaluated(estimator, value, weights):
        given = {**values, name: value}
        kernel = kernels.Constant(float(given["kernel__k1__constant_value"])) * kernels.Matern(
            given["kernel__k2__length_scale"], nu=2.5
        )
        fitted = fit(clone(estimator).set_params(kernel=kernel), given["X_fit"], given["y"], given["sample_weight"])
        return (evaluate(fitted, given["X"]) * weights).sum()

    return evaluated


@pytest.mark.parametrize(
    ("cls", "name"), [(cls, name) for cls in ALL for name in NAMES if (cls, name) != (KernelLogSumExp, "y")]
)
def test_gradients_against_differences(cls, name):
    values = {
        "X": X,
        "X_fit": Y,
        "sample_weight": W + 0.1,
        "y": B,
        "kernel__k1__constant_value": np.array(2.0),
        "kernel__k2__length_scale": np.array([1.0, 2.0, 3.0]),
    }
    estimator = fit(cls(KERNEL), weights=values["sample_weight"])
    e = RNG.normal(size=evaluate(estimator, X).shape)
    gradient = np.asarray(estimator.gradient(X, e, wrt=name))
    assert gradient.shape == values[name].shape
    function = numbers(name, values)
    base = values[name]
    for index in np.ndindex(base.shape):
        step = np.zeros_like(base)
        step[index] = 1e-5
        difference = (function(cls(KERNEL), base + step, e) - function(cls(KERNEL), base - step, e)) / 2e-5
        assert gradient[index] == pytest.approx(difference, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("cls", ALL)
def test_gradient_by_a_weight_of_zero(cls):
    """A log weight of -inf has no derivative, the weight itself has."""
    gradient = fit(cls(), weights=W).gradient(X, wrt="sample_weight")

    def total(w2):
        w = W.copy()
        w[2] = w2[0]
        return evaluate(fit(cls(), weights=w), X).sum()

    # One-sided: weights are not negative. Second-order in the step by extrapolation.
    h = 1e-6
    slope = (4 * total([h / 2]) - 3 * total([0.0]) - total([h])) / h
    assert gradient[2] == pytest.approx(slope, rel=1e-5)
    assert np.isfinite(gradient).all()


def test_gradients_in_one_call_are_those_of_several():
    estimator = fit(KernelSum(KERNEL), weights=W)
    together = estimator.gradient(X, wrt=NAMES)
    assert isinstance(together, tuple)
    for name, gradient in zip(NAMES, together, strict=True):
        np.testing.assert_allclose(gradient, estimator.gradient(X, wrt=name), rtol=1e-12)
    assert isinstance(estimator.gradient(X, wrt="kernel__k1__constant_value"), float)


def test_gradient_without_values_or_weights():
    estimator = KernelSum().fit(Y)
    k = np.exp(-cdist(X, Y, "sqeuclidean") / 3)
    for name in ("y", "sample_weight"):
        np.testing.assert_allclose(estimator.gradient(X, wrt=name), k.sum(axis=0), rtol=1e-12)


def test_gradient_tunes_a_kernel():
    """The derivative by a length scale is that of scipy's numerical optimisers."""

    def loss(parameter):
        kernel = kernels.Gaussian(float(parameter[0]))
        return float(KernelSum(kernel).fit(Y, B[:, 0]).transform(X).sum())

    exact = KernelSum(kernels.Gaussian(1.3)).fit(Y, B[:, 0]).gradient(X, wrt="kernel__length_scale")
    assert exact == pytest.approx(approx_fprime([1.3], loss, 1e-7)[0], rel=1e-5)


# In scikit-learn


def test_pipeline_and_grid_search():
    y = np.sin(3 * X[:, 0])
    pipeline = make_pipeline(StandardScaler(), KernelSum(kernels.Matern(1.0)), Ridge())
    search = GridSearchCV(pipeline, {"kernelsum__kernel__length_scale": [0.5, 1.0], "ridge__alpha": [0.1]}, cv=2)
    search.fit(X, y)
    assert search.best_params_["kernelsum__kernel__length_scale"] in (0.5, 1.0)
    assert pipeline.named_steps["kernelsum"].kernel.length_scale == 1.0  # a clone was tuned
    jobs = GridSearchCV(pipeline, search.param_grid, cv=2, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(jobs.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"])


def test_weights_are_routed_through_a_pipeline():
    expected = KernelSum().fit(Y, sample_weight=W).transform(X)
    pipeline = make_pipeline(KernelSum()).fit(Y, None, kernelsum__sample_weight=W)
    np.testing.assert_array_equal(pipeline.transform(X), expected)
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(KernelSum().set_fit_request(sample_weight=True)).fit(Y, None, sample_weight=W)
        np.testing.assert_array_equal(pipeline.transform(X), expected)
        with pytest.raises(TypeError, match="sample_weight"):  # nobody asked for it
            make_pipeline(KernelSum().set_fit_request(sample_weight=False)).fit(Y, None, sample_weight=W)


def test_assume_finite():
    bad = X.copy()
    bad[3, 1] = np.nan
    estimator = KernelSum().fit(Y)
    with pytest.raises(ValueError, match="contains NaN"):
        estimator.transform(bad)
    with config_context(assume_finite=True):
        result = estimator.transform(bad)
    np.testing.assert_array_equal(np.isnan(result[:, 0]), np.isnan(bad).any(axis=1))


def test_properties_cost_nothing():
    """A notebook evaluates every property of a fitted estimator when it shows it."""
    for cls in ALL:
        estimator = fit(cls())
        for name in dir(type(estimator)):
            if isinstance(getattr(type(estimator), name), property):
                assert np.size(getattr(estimator, name)) <= Y.size


@pytest.mark.parametrize("cls", ALL)
def test_pickle_clone_and_hash(cls):
    estimator = cls(Formula("Exp(-g*SqDist(x,y))", g=0.5))
    before = joblib.hash(estimator.kernel)
    fitted = fit(estimator)
    expected = evaluate(fitted, X)
    fitted.gradient(X, wrt="kernel__g")
    assert joblib.hash(estimator.kernel) == before
    np.testing.assert_array_equal(evaluate(pickle.loads(pickle.dumps(fitted)), X), expected)
    np.testing.assert_array_equal(evaluate(fit(clone(estimator)), X), expected)
    # A parameter that is set later does not change what was fitted.
    estimator.set_params(kernel__g=3.0)
    np.testing.assert_array_equal(evaluate(fitted, X), expected)


@pytest.mark.parametrize("cls", ALL)
def test_html_links_to_the_documentation(cls):
    html = fit(cls())._repr_html_()
    assert f"{cls.__name__}.html" in html


# Bad input


@pytest.mark.parametrize("cls", ALL)
@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"kernel": "no_such_kernel"}, ValueError, r"'kernel' parameter must be one of .*Got 'no_such_kernel' instead"),
        ({"kernel": 3}, ValueError, r"The 'kernel' parameter of \w+ must be .* Got 3 instead"),
        ({"gamma": -1.0}, ValueError, r"The 'gamma' parameter of \w+ must be .* Got -1.0 instead"),
        ({"backend": "TPU"}, ValueError, r"The 'backend' parameter of \w+ must be .* Got 'TPU' instead"),
        ({"backend": "GPU"}, RuntimeError, "backend='GPU' cannot be used"),
        ({"n_jobs": "two"}, ValueError, r"The 'n_jobs' parameter of \w+ must be .* Got 'two' instead"),
        ({"kernel": kernels.Gaussian(-1.0)}, ValueError, r"The 'length_scale' parameter of Gaussian .* Got -1.0 instead"),
        ({"kernel": kernels.Gaussian([1.0, 2.0])}, ValueError, "each of the 3 features. Got 2 values"),
        ({"kernel": "Exp(-SqDist(x,z))"}, FormulaError, "z"),
        (
            {"kernel": Formula("x*y*a", ["x = Vi(1)", "y = Vj(1)", "a = Vj(1)"])},
            ValueError,
            "take 2 columns of the reference samples: found 3 columns",
        ),
    ],
)
def test_bad_parameters(cls, params, error, message):
    with pytest.raises(error, match=message):
        fit(cls(**params))


def test_bad_weights_queries_and_names():
    with pytest.raises(ValueError, match="(?i)weights.*zero"):
        KernelLogSumExp().fit(Y, sample_weight=np.zeros(7))
    with pytest.raises(ValueError, match="(?i)negative.*weight|weight.*negative"):
        KernelLogSumExp().fit(Y, sample_weight=-np.ones(7))
    estimator = KernelSum().fit(Y)
    with pytest.raises(ValueError, match="X has 2 features, but KernelSum is expecting 3 features"):
        estimator.transform(X[:, :2])
    with pytest.raises(ValueError, match="wrt must be one of 'X', 'X_fit', 'y'.*found 'kernel__g'"):
        estimator.gradient(X, wrt="kernel__g")
    with pytest.raises(TypeError, match="wrt must be a name"):
        estimator.gradient(X, wrt=3)
    with pytest.raises(ValueError, match=r"grad_output must have the shape of the output, \(11, 1\): found \(4,\)"):
        estimator.gradient(X, np.ones(4))
    f = Formula("x*y", ["x = Vi(1)", "y = Vj(3)"])
    with pytest.raises(ValueError, match=r"x = Vi\(1\) of the formula take 1 columns of the queries .*found 3"):
        KernelSum(f).fit(Y).transform(X)


def test_queries_without_neighbours_have_no_mean():
    smoother = KernelSmoother("SqDist(x, y) < 1").fit([[0.0], [0.5], [9.0]], [1.0, 2.0, 5.0])
    with pytest.warns(RuntimeWarning, match="1 of 3 queries have no mean"):
        result = smoother.predict([[0.1], [9.5], [100.0]])
    np.testing.assert_array_equal(result, [1.5, 5.0, np.nan])


def test_a_negative_kernel_has_no_logarithm():
    with pytest.raises(ValueError, match="takes the logarithm of the kernel, which is negative"):
        KernelLogSumExp("linear").fit(Y).transform(X)
    with pytest.raises(ValueError, match="takes the logarithm of the kernel, which is negative"):
        KernelSmoother(kernels.Linear()).fit(Y, B).predict(X)


@pytest.mark.parametrize("estimator", ["KernelSum", "KernelLogSumExp", "KernelSmoother", "KernelRidge"])
def test_a_python_function_as_a_kernel_is_shown_what_to_write(estimator):
    import skkeops

    model = getattr(skkeops, estimator)(kernel=lambda a, b: 1.0)
    with pytest.raises(TypeError, match=r"Python functions cannot be compiled: write one as a formula, such as skkeops\.Formula"):
        model.fit(np.zeros((3, 2)), np.zeros(3))


@pytest.mark.parametrize("estimator", ["KernelSum", "KernelLogSumExp", "KernelSmoother", "KernelRidge", "KernelDensity"])
def test_samples_at_any_address(estimator):
    import skkeops

    rng = np.random.default_rng(0)
    X, y, w = rng.random((30, 3)), rng.random(30), rng.random(30)

    def misaligned(a):
        found = np.zeros(a.nbytes + 1, dtype=np.uint8)[1:].view(a.dtype).reshape(a.shape)
        found[...] = a
        assert not found.flags.aligned
        return found

    def result(X, y, w, Q):
        model = getattr(skkeops, estimator)()
        model.fit(X, y, sample_weight=w)
        return next(getattr(model, name)(Q) for name in ("predict", "transform", "score_samples") if hasattr(model, name))

    expected = result(X, y, w, X[:7])
    np.testing.assert_array_equal(result(*map(misaligned, (X, y, w, X[:7]))), expected)
