"""Estimators on arrays of CuPy: the results of arrays of NumPy, everything on the device, through both of scikit-learn's doors."""

import os
import pathlib
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import has_fit_parameter

from skkeops import KernelDensity, KernelLogSumExp, KernelRidge, KernelSmoother, KernelSum, kernels

RIDGE = {"kernel": kernels.Gaussian(1.0), "alpha": 1e-2}
ESTIMATORS = {
    "sum": KernelSum(kernels.Gaussian(1.0)),
    "sum of a formula": KernelSum("Exp(-SqDist(x, y)) * (x + y)"),
    "log-sum-exp": KernelLogSumExp("laplacian", gamma=0.7),
    "smoother": KernelSmoother(kernels.Matern(1.0, nu=1.5)),
    "ridge": KernelRidge(**RIDGE),
    "ridge without preconditioner": KernelRidge(**RIDGE, n_components=0),
    "linear ridge": KernelRidge(alpha=0.5),
    "local lines": KernelSmoother(kernels.Gaussian(1.0), degree=1),
    "robust parabolas": KernelSmoother(kernels.Gaussian(2.0), degree=2, robust_iterations=2),
    "density": KernelDensity(bandwidth=0.8),
    "density, compact": KernelDensity(bandwidth=1.3, kernel="epanechnikov"),
    "density, scaled": KernelDensity(bandwidth="scott", scaling="std"),
    "density, covariance": KernelDensity(bandwidth="silverman", scaling="covariance", kernel="exponential"),
    "density, learned": KernelDensity(bandwidth="cv"),
    "density, learned per feature": KernelDensity(bandwidth="cv_ard"),
    "density, adaptive": KernelDensity(bandwidth="abramson"),
    "density, each": KernelDensity(bandwidth=[0.5, 0.9, 1.4], kernel="linear"),
}
METHODS = ("transform", "predict", "score_samples")


@pytest.fixture(params=ESTIMATORS)
def name(request):
    return request.param


@pytest.fixture
def data(rng):
    X = rng.normal(size=(40, 3))
    return X, np.stack([np.sin(X[:, 0]), X[:, 1]], axis=1), rng.uniform(0.5, 2.0, size=40), rng.normal(size=(17, 3))


def fit(name, X, y, w=None, **parameters):
    estimator = clone(ESTIMATORS[name]).set_params(**parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weights = {"sample_weight": w} if has_fit_parameter(estimator, "sample_weight") else {}
        return estimator.fit(X, y if hasattr(estimator, "predict") else None, **weights)


def methods(estimator):
    return [getattr(estimator, m) for m in METHODS if hasattr(estimator, m)]


def small(name):
    """Bytes that may pass between host and device: parameters of kernels, tables of the terms of a polynomial."""
    return 4 * 10 * 10 if name in ("local lines", "robust parabolas") else 8 * 3 * 3


def assert_close(found, expected, tolerance):
    np.testing.assert_allclose(found.get(), expected, rtol=tolerance, atol=tolerance)


def fitted(estimator):
    """The arrays that a fit has left, by name."""
    return {k: v for k, v in vars(estimator).items() if k.endswith("_") and hasattr(v, "shape") and v.shape != ()}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_follows_the_samples(name, weighted, dtype, double, data):
    X, y, w, queries = (a.astype(dtype) for a in data)
    w = w if weighted else None
    expected = fit(name, X, y, w)
    d = double.asarray
    X_d, y_d, w_d, queries_d = d(X), d(y), None if w is None else d(w), d(queries)
    double.stand_in_counts.clear()
    estimator = fit(name, X_d, y_d, w_d)
    counts = double.stand_in_counts
    # Numbers, the parameters of kernels and the small blocks of a preconditioner's pivots pass, samples never.
    limit = 8 * 40 * 40 if "ridge" in name else small(name)
    assert max(counts.to_host + counts.to_device, default=0) <= limit
    arrays, expected_arrays = fitted(estimator), fitted(expected)
    assert arrays.keys() == expected_arrays.keys() and len(arrays) >= 1
    tolerance = 2e-4 if dtype == np.float32 else 1e-6
    for key, array in arrays.items():
        assert type(array) is double.ndarray, key
        assert array.dtype == expected_arrays[key].dtype and array.shape == expected_arrays[key].shape, key
        if key != "dual_coef_":
            assert_close(array, expected_arrays[key], tolerance)
    for method, expected_method in zip(methods(estimator), methods(expected), strict=True):
        counts.clear()
        found = method(queries_d)
        assert max(counts.to_host + counts.to_device, default=0) <= small(name)
        assert found.dtype == dtype
        assert_close(found, expected_method(queries), tolerance)


def test_gradient(name, double, data):
    X, y, w, queries = data
    expected, estimator = fit(name, X, y, w), fit(name, *map(double.asarray, (X, y, w)))
    names = expected._gradient_names()
    e = np.linspace(0.5, 1.5, 17 * expected._n_outputs).reshape(17, -1)
    for given in (None, e):
        wanted = expected.gradient(queries, given, wrt=tuple(names))
        queries_d, e_d = double.asarray(queries), None if given is None else double.asarray(given)
        double.stand_in_counts.clear()
        found = estimator.gradient(queries_d, e_d, wrt=tuple(names))
        counts = double.stand_in_counts
        assert max(counts.to_host + counts.to_device, default=0) <= small(name)
        for key, a, b in zip(names, found, wanted, strict=True):
            if isinstance(b, float):
                assert isinstance(a, float) and a == pytest.approx(b, rel=1e-5), key
            elif key != "dual_coef":
                assert_close(a, b, 1e-5)


def test_kernels_give_the_same(name, cupy, data):
    """With the kernels themselves, where the tests above compute with the reference backend. That both engines agree is what this
    asks; that they are right, tests/estimators asks of the compiled engine, with NumPy."""
    X, y, w, queries = data
    expected, estimator = fit(name, X, y, w), fit(name, *map(cupy.asarray, (X, y, w)))
    for found, wanted in zip(methods(estimator), methods(expected), strict=True):
        assert_close(found(cupy.asarray(queries)), wanted(queries), 1e-6)
    assert_close(estimator.gradient(cupy.asarray(queries)), expected.gradient(queries), 1e-5)


def test_score(name, double, data):
    X, y, w, queries = data
    expected, estimator = fit(name, X, y), fit(name, *map(double.asarray, (X, y)))
    if hasattr(expected, "score"):
        target = () if not hasattr(expected, "predict") else (y,)
        found = estimator.score(*map(double.asarray, (X, *target)))
        assert isinstance(found, float) and found == pytest.approx(expected.score(X, *target), rel=1e-6)
    if hasattr(expected, "predict"):
        found = estimator.score(*map(double.asarray, (X, y)), sample_weight=double.asarray(w))
        assert found == pytest.approx(expected.score(X, y, sample_weight=w), rel=1e-6)


def test_pickle(name, double, data):
    X, y, _, queries = data
    estimator = fit(name, *map(double.asarray, (X, y)))
    again = pickle.loads(pickle.dumps(estimator))
    for key, array in fitted(again).items():
        assert type(array) is double.ndarray, key
    for method, of_again in zip(methods(estimator), methods(again), strict=True):
        np.testing.assert_array_equal(method(double.asarray(queries)).get(), of_again(double.asarray(queries)).get())


def test_samples_of_another_namespace(name, double, data):
    X, y, _, queries = data
    there, here = fit(name, *map(double.asarray, (X, y))), fit(name, X, y)
    for method in methods(there):
        with pytest.raises(ValueError, match="must use the same namespace and the same device .* found NumPy on the host"):
            method(queries)
    for method in methods(here):
        with pytest.raises(ValueError, match="must use the same namespace and the same device .* found CuPy on device 0"):
            method(double.asarray(queries))
    with double.cuda.Device(1):
        elsewhere = double.asarray(queries)
    for method in methods(there):
        with pytest.raises(ValueError, match="found CuPy on device 1, and in fit CuPy on device 0"):
            method(elsewhere)


def test_another_device(name, double, data):
    X, y, w, queries = data
    with double.cuda.Device(1):
        X, y, w, queries = map(double.asarray, data)
    estimator = fit(name, X, y, w)
    for array in fitted(estimator).values():
        assert array.data.device_id == 1
    for method in methods(estimator):
        assert method(queries).data.device_id == 1
    assert estimator.gradient(queries, wrt="X").data.device_id == 1


def test_numpy_samples_on_the_gpu(name, double, data):
    X, y, w, queries = data
    expected = fit(name, X, y, w)
    estimator = fit(name, X, y, w, backend="GPU")
    for method, expected_method in zip(methods(estimator), methods(expected), strict=True):
        double.stand_in_counts.clear()
        found = method(queries)
        assert double.stand_in_counts.launches and type(found) is np.ndarray
        np.testing.assert_allclose(found, expected_method(queries), rtol=1e-6, atol=1e-6)


def test_everything_follows_X(double, data):
    """Targets and weights of NumPy are moved to the device of the samples, as scikit-learn's rule is."""
    X, y, w, queries = data
    expected = KernelRidge(**RIDGE).fit(X, y, sample_weight=w)
    estimator = KernelRidge(**RIDGE).fit(double.asarray(X), y, sample_weight=w)
    assert_close(estimator.predict(double.asarray(queries)), expected.predict(queries), 1e-6)
    smoother = KernelSum(kernels.Gaussian(1.0)).fit(double.asarray(X), y.tolist(), sample_weight=2.0)
    expected = 2 * KernelSum(kernels.Gaussian(1.0)).fit(X, y).transform(queries)
    assert_close(smoother.transform(double.asarray(queries)), expected, 1e-9)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d(np.ones(3)), "Expected 2D array, got 1D array instead"),
        (lambda d: d(np.ones((0, 3))), r"Found array with 0 sample\(s\)"),
        (lambda d: d(np.ones((3, 0))), r"Found array with 0 feature\(s\)"),
        (lambda d: d(np.array([[1.0], [np.nan]])), "Input X contains NaN"),
        (lambda d: d(np.array([[1.0], [np.inf]])), "Input X contains infinity"),
        (lambda d: d(np.ones((3, 2), dtype=complex)), "Complex data not supported"),
    ],
)
def test_bad_samples(make, message, double):
    for estimator in (KernelSum(), KernelDensity(), KernelRidge()):
        with pytest.raises(ValueError, match=message):
            estimator.fit(make(double.asarray), double.ones(3) if isinstance(estimator, KernelRidge) else None)


def test_bad_company(double, data):
    X, y, w, _ = map(double.asarray, data)
    fitted = KernelSum().fit(X)
    with pytest.raises(ValueError, match="X has 2 features, but KernelSum is expecting 3 features"):
        fitted.transform(X[:, :2])
    with pytest.raises(ValueError, match="Found input variables with inconsistent numbers of samples"):
        KernelRidge().fit(X, y[:5])
    with pytest.raises(ValueError, match="requires y to be passed"):
        KernelRidge().fit(X, None)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        KernelRidge().fit(X, y * np.nan)
    for weights, message in (
        (w[:5], r"sample_weight.shape == \(5,\), expected \(40,\)"),
        (y, "Sample weights must be 1D array or scalar, got 2D"),
        (-w, "Negative values in data passed to `sample_weight`"),
        (w * 0, "at least one non-zero number"),
    ):
        with pytest.raises(ValueError, match=message):
            KernelLogSumExp().fit(X, sample_weight=weights)
    with pytest.raises(ValueError, match="Negative values in data passed to KernelSum"):
        KernelSum("chi2").fit(X)
    with pytest.raises(TypeError, match="backend='CPU' computes with NumPy arrays: found CuPy arrays"):
        KernelSum(backend="CPU").fit(X)
    with pytest.raises(ValueError, match="grad_output must have the shape of the output"):
        fitted.gradient(X, double.ones((3, 1)))


def test_integers_and_halves(double):
    for dtype in (np.int64, np.float16, bool):
        X = np.arange(6).reshape(3, 2).astype(dtype)
        assert KernelSum().fit(double.asarray(X)).transform(double.asarray(X)).dtype == np.float64


def test_model_selection(double, data):
    """Grid search and pipelines of our own steps, without scikit-learn's dispatch."""
    X, y, _, queries = data
    grid = {"alpha": [1e-3, 1e-1], "kernel__length_scale": [0.5, 2.0]}
    expected = GridSearchCV(KernelRidge(kernel=kernels.Gaussian(1.0)), grid, cv=3).fit(X, y)
    found = GridSearchCV(KernelRidge(kernel=kernels.Gaussian(1.0)), grid, cv=3).fit(*map(double.asarray, (X, y)))
    assert found.best_params_ == expected.best_params_
    np.testing.assert_allclose(found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"], rtol=1e-6)
    assert_close(found.predict(double.asarray(queries)), expected.predict(queries), 1e-6)
    expected = GridSearchCV(KernelDensity(), {"bandwidth": [0.3, 1.0]}, cv=3).fit(X)
    found = GridSearchCV(KernelDensity(), {"bandwidth": [0.3, 1.0]}, cv=3).fit(double.asarray(X))
    assert found.best_params_ == expected.best_params_
    line = make_pipeline(KernelSum(kernels.Gaussian(1.0)), KernelRidge(alpha=1e-3))
    expected = clone(line).fit(X, y).predict(queries)
    assert_close(clone(line).fit(*map(double.asarray, (X, y))).predict(double.asarray(queries)), expected, 1e-6)


def test_random_samples(double, data):
    X, _, w, _ = data
    for kernel in ("gaussian", "tophat"):
        expected = KernelDensity(bandwidth=0.5, kernel=kernel, scaling="std").fit(X, sample_weight=w).sample(5, random_state=0)
        found = KernelDensity(bandwidth=0.5, kernel=kernel, scaling="std").fit(*map(double.asarray, (X,)), sample_weight=w)
        assert_close(found.sample(5, random_state=0), expected, 1e-9)


_WITH_DISPATCH = """
import sys
import numpy as np, cupy, sklearn
sys.path.insert(0, {tests!r})
from skkeops import backends, kernels
from skkeops.backends import device
import reference_backend
device.cuda = reference_backend
sklearn.set_config(array_api_dispatch=True)
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skkeops import KernelDensity, KernelLogSumExp, KernelRidge, KernelSmoother, KernelSum
rng = np.random.default_rng(0)
X, queries = rng.normal(size=(40, 3)), rng.normal(size=(9, 3))
y = np.sin(X[:, 0])
there = [cupy.asarray(a) for a in (X, y, queries)]
lines = [
    make_pipeline(StandardScaler(), KernelSum(kernels.Gaussian(1.0)), Ridge(solver="svd")),
    make_pipeline(StandardScaler(), KernelRidge(kernel="rbf", alpha=0.1)),
    make_pipeline(StandardScaler(), KernelSmoother("rbf")),
]
for line in lines:
    expected = line.fit(X, y).predict(queries)
    found = line.fit(*there[:2]).predict(there[2])
    assert type(found) is cupy.ndarray
    np.testing.assert_allclose(found.get(), expected, rtol=1e-6, atol=1e-8)
    assert isinstance(line.score(*there[:2]), float)
grid = GridSearchCV(lines[1], {{"kernelridge__alpha": [0.01, 1.0]}}, cv=3)
expected = grid.fit(X, y).cv_results_["mean_test_score"]
np.testing.assert_allclose(grid.fit(*there[:2]).cv_results_["mean_test_score"], expected, rtol=1e-5)
for estimator, method in ((KernelDensity(bandwidth="cv"), "score_samples"), (KernelLogSumExp(), "transform")):
    expected = getattr(estimator.fit(X), method)(queries)
    found = getattr(estimator.fit(there[0]), method)(there[2])
    np.testing.assert_allclose(found.get(), expected, rtol=1e-5, atol=1e-8)
"""


_SCIKIT_LEARN = """
import sys, warnings
sys.path.insert(0, {tests!r})
import cupy, reference_backend, skkeops
from skkeops.backends import device
from sklearn.utils.estimator_checks import check_estimator
device.cuda = reference_backend
warnings.simplefilter("ignore")
names = "KernelSum", "KernelLogSumExp", "KernelSmoother", "KernelRidge", "KernelDensity"
cases = [(name, {{"kernel": "rbf"}} if name == "KernelRidge" else {{}}) for name in names]
for name, params in cases:
    cupy.stand_in_counts.clear()
    results = check_estimator(getattr(skkeops, name)(**params), on_fail=None, on_skip=None)
    results = [r for r in results if "array_api" in r["check_name"]]
    failed = [r for r in results if r["status"] == "failed"]
    assert not failed and cupy.stand_in_counts.launches, (name, failed)
    assert not any("cupy" in str(r["exception"]).lower() for r in results), (name, results)
"""


@pytest.mark.parametrize("code", [_WITH_DISPATCH, _SCIKIT_LEARN], ids=["pipelines", "scikit-learn's checks"])
def test_with_dispatch(code):
    """The other door: scikit-learn's array API dispatch, in a process of its own, as SCIPY_ARRAY_API has to be set early."""
    tests = pathlib.Path(__file__).parent
    # an empty entry would be the current folder, and its package one without a compiled engine
    path = os.pathsep.join(filter(None, [str(tests / "stand_in"), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "SCIPY_ARRAY_API": "1", "PYTHONPATH": path}
    command = [sys.executable, "-P", "-c", code.format(tests=str(tests))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
