"""KernelDensityClassifier beside Bayes' rule, written down with NumPy."""

import pickle

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.model_selection import GridSearchCV

from skkeops import KernelDensity, KernelDensityClassifier

from .windows import NAMES, truth


@pytest.fixture
def data(rng):
    y = rng.integers(0, 3, 90)
    X = rng.standard_normal((90, 2)) + y[:, None] * [1.5, -1.0]
    return X, np.array(["a", "b", "c"])[y], rng.random(90) * (rng.random(90) > 0.2), rng.standard_normal((25, 2)) * 2


def by_hand(name, queries, X, y, h, weights=None, priors=None):
    """Log probabilities times densities; h is a number for each class."""
    weights = np.ones(len(X)) if weights is None else weights
    joint = []
    for k, c in enumerate(np.unique(y)):
        part = weights[y == c].sum() / weights.sum() if priors is None else priors[k]
        with np.errstate(divide="ignore"):
            joint.append(truth(name, queries, X[y == c], h[k], weights[y == c]) + np.log(part))
    return np.stack(joint, axis=1)


@pytest.mark.parametrize("priors", [None, [0.2, 0.5, 0.3], [0.0, 0.5, 0.5]])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_bayes_rule(name, weighted, priors, data):
    X, y, w, queries = data
    w = w if weighted else None
    model = KernelDensityClassifier(kernel=name, bandwidth=1.5, priors=priors).fit(X, y, sample_weight=w)
    joint = by_hand(name, queries, X, y, [1.5] * 3, w, priors)
    known = np.isfinite(joint).any(axis=1)
    assert known.sum() > 10
    expected = joint[known] - logsumexp(joint[known], axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_joint_log_proba(queries), joint, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.predict_log_proba(queries)[known], expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.predict_proba(queries)[known], np.exp(expected), rtol=0, atol=1e-12)
    first, second = np.sort(expected, axis=1)[:, :-3:-1].T
    clear = first > second + 1e-9  # tophats tie
    np.testing.assert_array_equal(model.predict(queries[known])[clear], np.unique(y)[expected.argmax(axis=1)][clear])
    np.testing.assert_array_equal(model.classes_, ["a", "b", "c"])


def test_far_away_probabilities_are_right(data):
    # All densities are zero in float64 there, their quotients are not.
    X, y, _, _ = data
    queries = np.array([[1e3, 0.0], [-1e4, 1e4]])
    model = KernelDensityClassifier(bandwidth=0.5).fit(X, y)
    joint = by_hand("gaussian", queries, X, y, [0.5] * 3)
    assert joint.max() < -1e5
    log_proba = model.predict_log_proba(queries)
    np.testing.assert_allclose(log_proba, joint - logsumexp(joint, axis=1, keepdims=True), rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(np.exp(log_proba).sum(axis=1), 1, rtol=1e-12)


def test_where_no_class_has_a_density(data):
    X, y, w, _ = data
    for priors in (None, [0.2, 0.8, 0.0]):
        model = KernelDensityClassifier(kernel="tophat", priors=priors).fit(X, y, sample_weight=w)
        expected = np.array([w[y == c].sum() for c in "abc"]) / w.sum() if priors is None else priors
        np.testing.assert_allclose(model.predict_proba([[1e6, 0.0]])[0], expected, rtol=1e-12)
        np.testing.assert_allclose(model.class_prior_, expected, rtol=1e-12)
        assert model.predict([[1e6, 0.0]])[0] == "abc"[np.argmax(expected)]


def test_names_find_the_bandwidth_of_each_class(data):
    X, y, _, queries = data
    model = KernelDensityClassifier(bandwidth="silverman").fit(X, y)
    h = [(y == c).sum() ** (-1 / 6) for c in "abc"]  # of two features
    np.testing.assert_allclose(model.predict_joint_log_proba(queries), by_hand("gaussian", queries, X, y, h), atol=1e-10)
    for bandwidth in ("cv", "cv_ard", "abramson"):
        for scaling in (None, "std", "covariance")[: 2 if bandwidth == "cv_ard" else 3]:
            model = KernelDensityClassifier(bandwidth=bandwidth, scaling=scaling).fit(X, y)
            assert model.score(X, y) > 0.6
    assert [e.bandwidth_.shape for e in model.estimators_] == [((y == c).sum(), 1) for c in "abc"]


def test_bandwidths_of_samples_go_with_their_classes(data):
    X, y, w, queries = data
    h = np.where(y == "a", 0.5, np.where(y == "b", 1.0, 2.0))
    model = KernelDensityClassifier(bandwidth=h).fit(X, y, sample_weight=w)
    expected = by_hand("gaussian", queries, X, y, [0.5, 1.0, 2.0], w)
    np.testing.assert_allclose(model.predict_joint_log_proba(queries), expected, atol=1e-10)


def test_a_class_without_weight(data):
    X, y, _, queries = data
    w = (y != "b") * 1.0
    model = KernelDensityClassifier().fit(X, y, sample_weight=w)
    assert model.estimators_[1] is None
    assert (model.predict_proba(queries)[:, 1] == 0).all() and set(model.predict(queries)) <= {"a", "c"}
    without = KernelDensityClassifier().fit(X[y != "b"], y[y != "b"])
    np.testing.assert_allclose(model.predict_proba(queries)[:, [0, 2]], without.predict_proba(queries), atol=1e-12)
    with pytest.raises(ValueError, match=r"weigh nothing have no density: found positive priors of the classes \[1\]"):
        KernelDensityClassifier(priors=[0.2, 0.4, 0.4]).fit(X, y, sample_weight=w)


def test_labels_and_dtypes(data, rng):
    X, y, _, queries = data
    numbers = np.unique(y, return_inverse=True)[1].reshape(-1)
    for labels in (numbers, numbers.astype(float), numbers > 0, numbers.tolist()):
        found = KernelDensityClassifier().fit(X, labels).predict(queries)
        assert found.dtype == np.asarray(labels).dtype
    model = KernelDensityClassifier().fit(X.astype("f"), y)
    assert model.predict_proba(queries.astype("f")).dtype == np.float32
    np.testing.assert_allclose(
        model.predict_proba(queries.astype("f")), KernelDensityClassifier().fit(X, y).predict_proba(queries), atol=1e-5
    )


def test_dask(data):
    array = pytest.importorskip("dask.array")
    X, y, _, queries = data
    model = KernelDensityClassifier().fit(X, y)
    lazy = array.from_array(queries, chunks=(10, 2))
    for method in ("predict", "predict_proba", "predict_log_proba", "predict_joint_log_proba"):
        expected = getattr(model, method)(queries)
        np.testing.assert_array_equal(getattr(model, method)(lazy).compute(scheduler="sync"), expected)


def test_backends_pickles_and_searches(backend, data):
    X, y, _, queries = data
    model = KernelDensityClassifier(backend=backend).fit(X, y)
    expected = by_hand("gaussian", queries, X, y, [1.0] * 3)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(again.predict_joint_log_proba(queries), expected, atol=1e-10)
    search = GridSearchCV(model, {"bandwidth": [0.01, 1.0], "kernel": ["gaussian", "linear"]}, cv=3).fit(X, y)
    assert search.best_params_["bandwidth"] == 1.0


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"priors": [0.5, 0.5]}, "Number of priors must match number of classes"),
        ({"priors": [0.5, 0.6, -0.1]}, "Priors must be non-negative"),
        ({"priors": [0.5, 0.5, 0.5]}, "The sum of the priors should be 1"),
        ({"priors": "uniform"}, "The 'priors' parameter of KernelDensityClassifier"),
        ({"bandwidth": 0.0}, "The 'bandwidth' parameter of KernelDensityClassifier"),
        ({"bandwidth": np.ones(5)}, "of 90, one per sample"),
        ({"metric": "manhattan"}, "metric='manhattan'"),
    ],
)
def test_parameters_that_make_no_sense(params, match, data):
    X, y, _, _ = data
    with pytest.raises(ValueError, match=match):
        KernelDensityClassifier(**params).fit(X, y)


SHAPES = [{"bounds": [(0, 1), (0, None)]}, {"period": [1.0, None]}, {"metric": "haversine"}, {"scaling": "covariance"}]


@pytest.mark.parametrize("params", SHAPES, ids=str)
def test_densities_of_every_shape(params, rng):
    X, y, queries = rng.random((60, 2)), rng.integers(0, 2, 60), rng.random((9, 2))
    model = KernelDensityClassifier(bandwidth=0.3, **params).fit(X, y)
    densities = [KernelDensity(bandwidth=0.3, **params).fit(X[y == c]).score_samples(queries) for c in (0, 1)]
    joint = np.stack(densities, axis=1) + np.log(np.bincount(y) / 60)
    np.testing.assert_allclose(model.predict_joint_log_proba(queries), joint, rtol=0, atol=1e-12)
    if "bounds" in params:
        np.testing.assert_allclose(model.predict_proba([[2.0, 0.5]])[0], np.bincount(y) / 60, rtol=1e-12)
