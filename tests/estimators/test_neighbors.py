"""The estimators of neighbours against scikit-learn's and SciPy: indices, distances, graphs, votes and means."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import sklearn.neighbors
from scipy.sparse import issparse
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.cluster import DBSCAN
from sklearn.datasets import load_digits, make_moons
from sklearn.impute import KNNImputer
from sklearn.manifold import Isomap
from sklearn.metrics.pairwise import nan_euclidean_distances
from sklearn.pipeline import make_pipeline

from skkeops import (
    Formula,
    KNeighborsClassifier,
    KNeighborsRegressor,
    KNeighborsTransformer,
    NearestNeighbors,
    RadiusNeighborsTransformer,
    kernels,
)
from skkeops.estimators.metrics import NAMES

RNG = np.random.default_rng(5)
X, Y = RNG.normal(size=(60, 3)), RNG.normal(size=(23, 3))
LABELS, TARGETS = RNG.integers(0, 3, 60), RNG.normal(size=(60, 2))
A = RNG.normal(size=(3, 3))
PARAMS = {
    "minkowski": {"p": 3},
    "p": {"p": 1.5},
    "seuclidean": {"V": np.array([0.5, 1.0, 2.0])},
    "mahalanobis": {"VI": A @ A.T + np.eye(3)},
}
# Names that only one of scikit-learn's algorithms knows by this name.
THEIRS = {"p": "minkowski", "infinity": "chebyshev"}


def both(name):
    params = PARAMS.get(name)
    theirs = sklearn.neighbors.NearestNeighbors(metric=THEIRS.get(name, name), metric_params=params, algorithm="brute")
    return NearestNeighbors(metric=name, metric_params=params), theirs


def data_of(name):
    if name == "haversine":
        return np.radians(X[:, :2] * [40, 80]), np.radians(Y[:, :2] * [40, 80])
    if name == "hamming":  # whose distances are seldom different
        return RNG.permuted(np.tile(np.arange(60.0), (60, 1)), axis=1), RNG.permuted(np.tile(np.arange(60.0), (23, 1)), axis=1)
    if name == "nan_euclidean":
        return np.where(RNG.random(X.shape) < 0.2, np.nan, X), Y
    return X, Y


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_names(name):
    x, y = data_of(name)
    ours, theirs = (estimator.fit(x) for estimator in both(name))
    (d, i), (d_theirs, i_theirs) = (estimator.kneighbors(y, 7) for estimator in (ours, theirs))
    np.testing.assert_allclose(d, d_theirs, rtol=1e-9 if name == "nan_euclidean" else 1e-12, atol=1e-14)
    if name != "hamming":
        np.testing.assert_array_equal(i, i_theirs)
    radius = float(np.quantile(d_theirs[np.isfinite(d_theirs)], 0.9)) * 1.001
    graph, graph_theirs = (e.radius_neighbors_graph(y, radius, mode="distance") for e in (ours, theirs))
    np.testing.assert_allclose(graph.toarray(), graph_theirs.toarray(), rtol=1e-9, atol=1e-14)
    assert graph.nnz == graph_theirs.nnz > 20


def test_weights_of_minkowski():
    w = np.array([0.5, 2.0, 0.0])
    for p in (1, 2, 3, 1.5):
        d, i = NearestNeighbors(p=p, metric_params={"w": w}).fit(X).kneighbors(Y)
        every = cdist(Y, X, "minkowski", p=p, w=w)
        np.testing.assert_array_equal(i, every.argsort(axis=1)[:, :5])
        np.testing.assert_allclose(d, np.sort(every, axis=1)[:, :5], rtol=1e-12)


@pytest.mark.parametrize("algorithm", ["brute", "kd_tree"])
@pytest.mark.parametrize("p", [1, 2, 3, np.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_ties_go_to_the_first(p, dtype, algorithm):
    """On a grid nearly all neighbours are as near as others: both ways give those of a stable sort."""
    grid = np.stack(np.meshgrid(*[np.arange(7.0)] * 2), axis=-1).reshape(-1, 2)
    grid = np.concatenate([grid, grid[:10]]).astype(dtype)
    queries = np.concatenate([grid, grid + dtype(0.5)])
    every = cdist(queries, grid, "chebyshev") if p == np.inf else cdist(queries, grid, "minkowski", p=p)
    every = every.round(9)  # what rounds differently is as near
    estimator = NearestNeighbors(n_neighbors=6, p=p, algorithm=algorithm).fit(grid)
    d, i = estimator.kneighbors(queries)
    np.testing.assert_array_equal(i, every.argsort(axis=1, kind="stable")[:, :6])
    np.testing.assert_allclose(d, np.sort(every, axis=1)[:, :6], rtol=1e-6 if dtype == np.float32 else 1e-9)
    assert d.dtype == dtype
    if dtype == np.float64 and p != 3:
        for radius in (1, np.sqrt(2), 2):  # exactly as far as many are
            found = estimator.radius_neighbors_graph(queries, radius).toarray()
            np.testing.assert_array_equal(found, every <= np.round(radius, 9))


def test_the_tree_finds_the_same(monkeypatch):
    large = RNG.normal(size=(3000, 2))
    queries = RNG.normal(size=(200, 2))
    pairs = NearestNeighbors(algorithm="brute").fit(large)
    with monkeypatch.context() as patch:
        patch.setattr("skkeops.estimators.neighbor_search.over_rows", None)  # all pairs would need it
        tree = NearestNeighbors().fit(large[:, :1])  # chosen by itself
        assert tree.kneighbors(queries[:, :1], 2)[1].shape == (200, 2)
    tree = NearestNeighbors(algorithm="kd_tree").fit(large)
    for a, b in zip(tree.kneighbors(queries), pairs.kneighbors(queries), strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(tree.kneighbors(), pairs.kneighbors(), strict=True):
        np.testing.assert_array_equal(a, b)
    for radius in (0.0, 0.05, 0.9, 3.0):  # rows with none, few and many of them
        expected = cdist(queries, large) <= radius
        for e in (tree, pairs):
            np.testing.assert_array_equal(e.radius_neighbors_graph(queries, radius).toarray(), expected)
    a, b = (e.radius_neighbors_graph(queries, 0.2, mode="distance", sort_results=True) for e in (tree, pairs))
    assert a.nnz > 1000
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(a, part), getattr(b, part))


def test_reference_samples_are_not_their_own_neighbours():
    ours = NearestNeighbors(n_neighbors=4, radius=0.8).fit(X)
    theirs = sklearn.neighbors.NearestNeighbors(n_neighbors=4, radius=0.8).fit(X)
    for a, b in zip(ours.kneighbors(), theirs.kneighbors(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)
    np.testing.assert_array_equal(ours.radius_neighbors_graph().toarray(), theirs.radius_neighbors_graph().toarray())
    copies = np.zeros((10, 2))
    d, i = NearestNeighbors(n_neighbors=3).fit(copies).kneighbors()
    assert not d.any() and (i != np.arange(10)[:, None]).all()
    # A product is largest with long samples, not with the sample itself.
    largest = NearestNeighbors(n_neighbors=3, metric="-(x | y)").fit(X).kneighbors(return_distance=False)
    products = X @ X.T
    np.fill_diagonal(products, -np.inf)
    np.testing.assert_array_equal(largest, (-products).argsort(axis=1)[:, :3])


KERNELS = [
    kernels.Gaussian(0.7),
    kernels.Gaussian([0.5, 1.0, 2.0]),
    2.0 * kernels.Matern(1.3, nu=1.5) + kernels.Constant(0.5),
    kernels.Laplacian(1.0),
    kernels.Linear(),
    kernels.Polynomial(2, 0.5, 1.0),
    kernels.Energy(),
    kernels.Sigmoid(0.3, 0.1) + kernels.Gaussian(1.0),
]


@pytest.mark.parametrize("kernel", KERNELS, ids=repr)
def test_kernels_are_distances(kernel, backend):
    squared = kernel(Y, Y).diagonal()[:, None] - 2 * kernel(Y, X) + kernel(X, X).diagonal()
    every = np.sqrt(np.maximum(squared, 0))
    model = NearestNeighbors(metric=kernel, backend=backend).fit(X)
    d, i = model.kneighbors(Y)
    np.testing.assert_array_equal(i, every.argsort(axis=1)[:, :5])
    np.testing.assert_allclose(d, np.sort(every, axis=1)[:, :5], rtol=1e-9)
    radius = float(np.median(d)) * 1.0001
    np.testing.assert_array_equal(model.radius_neighbors_graph(Y, radius).toarray(), every <= radius)


def test_kernels_far_away_and_near():
    """The kernel underflows, and so does 1 minus the kernel; their logarithms tell the neighbours apart."""
    far = NearestNeighbors(n_neighbors=3, metric=kernels.Gaussian(1e-3)).fit(X).kneighbors(Y)[1]
    near = NearestNeighbors(n_neighbors=3, metric=kernels.Gaussian(1e8)).fit(X).kneighbors(Y)
    expected = cdist(Y, X).argsort(axis=1)[:, :3]
    np.testing.assert_array_equal(far, expected)
    np.testing.assert_array_equal(near[1], expected)
    np.testing.assert_allclose(near[0], np.sort(cdist(Y, X), axis=1)[:, :3] / 1e8, rtol=1e-12)


def test_formulas_are_distances_themselves(backend):
    every = np.log1p(cdist(Y, X, "cityblock")) * 0.5
    for metric in ("0.5*Log1p(Sum(Abs(x-y)))", Formula("g*Log1p(Sum(Abs(x-y)))", g=0.5)):
        d, i = NearestNeighbors(metric=metric, backend=backend).fit(X).kneighbors(Y)
        np.testing.assert_array_equal(i, every.argsort(axis=1)[:, :5])
        np.testing.assert_allclose(d, np.sort(every, axis=1)[:, :5], rtol=1e-12)


@pytest.mark.parametrize("weights", ["uniform", "distance", lambda d: np.exp(-d)])
def test_votes_and_means(weights):
    options = {"n_neighbors": 4, "weights": weights, "metric": "manhattan"}
    for ours, theirs, target, methods in (
        (KNeighborsClassifier, sklearn.neighbors.KNeighborsClassifier, LABELS, ("predict", "predict_proba")),
        (KNeighborsClassifier, sklearn.neighbors.KNeighborsClassifier, np.array(list("abc"))[LABELS], ("predict",)),
        (KNeighborsClassifier, sklearn.neighbors.KNeighborsClassifier, np.stack([LABELS, LABELS % 2], 1), ("predict",)),
        (KNeighborsRegressor, sklearn.neighbors.KNeighborsRegressor, TARGETS, ("predict",)),
        (KNeighborsRegressor, sklearn.neighbors.KNeighborsRegressor, TARGETS[:, 0], ("predict",)),
    ):
        a, b = ours(**options).fit(X, target), theirs(**options).fit(X, target)
        assert isinstance(a, theirs)
        for method in methods:
            expected = getattr(b, method)(Y)
            found = getattr(a, method)(Y)
            assert found.dtype == expected.dtype
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(found, expected, rtol=1e-12)
            else:
                np.testing.assert_array_equal(found, expected)
        if target.ndim == 1 or theirs is sklearn.neighbors.KNeighborsRegressor:  # it has no score for several outputs
            assert a.score(None, target) == pytest.approx(b.score(None, target), rel=1e-12)


@pytest.mark.parametrize("mode", ["distance", "connectivity"])
def test_graphs(mode):
    for ours, theirs in (
        (KNeighborsTransformer(mode=mode, n_neighbors=4), sklearn.neighbors.KNeighborsTransformer(mode=mode, n_neighbors=4)),
        (RadiusNeighborsTransformer(mode=mode), sklearn.neighbors.RadiusNeighborsTransformer(mode=mode)),
    ):
        found, expected = ours.fit_transform(X), theirs.fit_transform(X)
        assert type(found) is type(expected) and issparse(found) and found.shape == expected.shape
        np.testing.assert_allclose(found.toarray(), expected.toarray(), rtol=1e-12)
        assert found.nnz == expected.nnz
        assert list(ours.get_feature_names_out()) == list(theirs.get_feature_names_out())


def test_feeds_others():
    moons, truth = make_moons(300, noise=0.04, random_state=0)
    labels = make_pipeline(RadiusNeighborsTransformer(radius=0.3), DBSCAN(eps=0.25, metric="precomputed")).fit_predict(moons)
    np.testing.assert_array_equal(labels, DBSCAN(eps=0.25).fit_predict(moons))
    graph = KNeighborsTransformer(n_neighbors=15)
    found = make_pipeline(graph, Isomap(n_neighbors=15, metric="precomputed", eigen_solver="dense")).fit_transform(X)
    expected = Isomap(n_neighbors=15, eigen_solver="dense").fit_transform(X)
    np.testing.assert_allclose(abs(found), abs(expected), rtol=1e-6, atol=1e-8)


def test_missing_values():
    missing = np.where(RNG.random((50, 4)) < 0.3, np.nan, RNG.normal(size=(50, 4)))
    missing[7] = [np.nan, np.nan, np.nan, 0.5]
    every = nan_euclidean_distances(missing, missing)
    model = NearestNeighbors(n_neighbors=50, metric="nan_euclidean").fit(missing)
    d, i = model.kneighbors(missing)
    np.testing.assert_allclose(d, np.take_along_axis(every, i, axis=1), rtol=1e-12, atol=1e-12)
    assert (np.diff(d[:, :10], axis=1) >= 0).all() and np.isnan(d[7]).any()
    with pytest.raises(ValueError, match="Input X contains NaN"):
        NearestNeighbors().fit(missing)
    assert not np.isnan(KNNImputer().fit_transform(missing)).any()


@pytest.mark.parametrize("far", [0.0, 1e5])
def test_missing_values_by_definition(far):
    """What has no feature in common comes last. Far from the origin, scikit-learn's own distances cancel."""
    samples, queries = (np.where(RNG.random((n, 3)) < 0.45, np.nan, far + RNG.normal(size=(n, 3))) for n in (40, 30))
    squares = (queries[:, None] - samples) ** 2
    common = (~np.isnan(squares)).sum(axis=2)
    every = np.sqrt(3 * np.nansum(squares, axis=2) / np.where(common, common, np.nan))
    model = NearestNeighbors(n_neighbors=40, metric="nan_euclidean").fit(samples)
    d, i = model.kneighbors(queries)
    np.testing.assert_allclose(d, np.sort(every, axis=1), rtol=1e-12)  # NumPy, too, sorts what is not a number last
    np.testing.assert_allclose(np.take_along_axis(every, i, axis=1), d, rtol=1e-12)
    for row, found in zip(every, model.radius_neighbors(queries, 1.0, return_distance=False), strict=True):
        np.testing.assert_array_equal(found, np.flatnonzero(row <= 1.0))
    if far == 0:
        theirs = sklearn.neighbors.NearestNeighbors(n_neighbors=40, metric="nan_euclidean").fit(samples).kneighbors(queries)
        np.testing.assert_allclose(d, theirs[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(i[~np.isnan(d)], theirs[1][~np.isnan(d)])


def test_digits():
    images, digits = load_digits(return_X_y=True)
    ours = KNeighborsClassifier(3).fit(images[:900], digits[:900])
    theirs = sklearn.neighbors.KNeighborsClassifier(3).fit(images[:900], digits[:900])
    np.testing.assert_allclose(ours.kneighbors(images[900:])[0], theirs.kneighbors(images[900:])[0], rtol=1e-12)
    assert ours.score(images[900:], digits[900:]) == pytest.approx(theirs.score(images[900:], digits[900:]), abs=3e-3)


def test_jobs_and_types():
    model = NearestNeighbors(algorithm="brute").fit(X)
    expected = model.kneighbors(Y)
    for a, b in zip(clone(model).set_params(n_jobs=2).fit(X).kneighbors(Y), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    d, i = model.fit(X.astype(np.float32)).kneighbors(Y.astype(np.float32))
    assert d.dtype == np.float32 and i.dtype == np.int64
    np.testing.assert_allclose(d, expected[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: NearestNeighbors(metric="euclidian").fit(X), ValueError, "Did you mean 'euclidean'"),
        (lambda: NearestNeighbors(metric="precomputed").fit(X @ X.T), ValueError, "a stored matrix of .* in sklearn.neighbors"),
        (lambda: NearestNeighbors(metric=lambda a, b: 0.0).fit(X), TypeError, "Python functions cannot be compiled"),
        (lambda: NearestNeighbors(metric="x - y").fit(X), ValueError, "a metric must be a number"),
        (lambda: NearestNeighbors(metric="Log(x - 100)", p=2).fit(X[:, :1]).kneighbors(), ValueError, "not a number: 60 of 60"),
        (lambda: NearestNeighbors(p=0.0).fit(X), ValueError, "'p' parameter"),
        (lambda: NearestNeighbors(metric="seuclidean").fit(X), ValueError, r"takes metric_params={'V': array of shape \(3,\)}"),
        (lambda: NearestNeighbors(metric="haversine").fit(X), ValueError, "takes 2 features"),
        (lambda: NearestNeighbors(metric_params={"q": 1}).fit(X), ValueError, r"has no parameters \['q'\]"),
        (lambda: NearestNeighbors(metric="cosine", algorithm="kd_tree").fit(X), ValueError, "takes a Minkowski metric"),
        (lambda: NearestNeighbors(metric=kernels.Chi2(1.0)).fit(X), ValueError, "Negative values in data passed"),
        (lambda: NearestNeighbors().fit(X).kneighbors(Y, 61), ValueError, "Expected n_neighbors <= n_samples_fit"),
        (lambda: NearestNeighbors().fit(X).kneighbors(n_neighbors=60), ValueError, "Expected n_neighbors < n_samples_fit"),
        (lambda: NearestNeighbors().fit(X).kneighbors(Y, 0), ValueError, "n_neighbors == 0, must be >= 1"),
        (lambda: NearestNeighbors().fit(X).radius_neighbors_graph(Y, mode="both"), ValueError, "Unsupported mode"),
        (lambda: NearestNeighbors().fit(X).radius_neighbors(Y, return_distance=False, sort_results=True), ValueError, "if sort"),
    ],
)
def test_mistakes(call, error, message):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(error, match=message):
            call()


def test_inverse_distances_are_of_distances_that_are_not_negative(rng):
    X, y = rng.normal(size=(60, 3)), rng.integers(2, size=60)
    for cls in (KNeighborsClassifier, KNeighborsRegressor):
        model = cls(3, metric="-(x|y)", weights="distance").fit(X, y)
        with pytest.raises(ValueError, match=r"weights='distance' are inverse distances, .* found -.* by metric='-\(x\|y\)'"):
            model.predict(X)
        assert len(cls(3, metric="-(x|y)").fit(X, y).predict(X)) == 60


def test_a_formula_may_declare_its_variables(rng):
    X, y = rng.normal(size=(60, 3)), rng.integers(2, size=60)
    plain = KNeighborsClassifier(metric="SqDist(x,y)").fit(X, y)
    declared = KNeighborsClassifier(metric=Formula("SqDist(x,y)", ["x=Vi(3)", "y=Vj(3)"])).fit(X, y)
    np.testing.assert_array_equal(declared.predict(X), plain.predict(X))
    too_few = KNeighborsClassifier(metric=Formula("SqDist(x,y)", ["x=Vi(2)", "y=Vj(2)"]))
    with pytest.raises(ValueError, match=r"of the formula take 2 columns of the queries .*: found 3"):
        too_few.fit(X, y)
