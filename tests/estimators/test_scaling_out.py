"""Blocks of rows over joblib's backends and over Dask: the same bits, the fitted state sent once, memory bounded."""

from __future__ import annotations

import tracemalloc

import joblib
import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from skkeops import (
    KernelDensity,
    KernelLogSumExp,
    KernelPCA,
    KernelRidge,
    KernelSmoother,
    KernelSum,
    RPCholesky,
    SpectralClustering,
    SpectralEmbedding,
)
from skkeops.backends.cpu.threads import at_most, n_threads
from skkeops.estimators.reduction import reduce_rows

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(1009, 4)), RNG.normal(size=(301, 4))
B = RNG.normal(size=(301, 2))

METHODS = [
    (KernelSum, "transform"),
    (KernelLogSumExp, "transform"),
    (KernelLogSumExp, "score_samples"),
    (KernelSmoother, "predict"),
    (KernelRidge, "predict"),
    (KernelDensity, "score_samples"),
]


def fitted(cls, **params):
    if cls is KernelRidge:
        params = {"kernel": "rbf", **params}
    return cls(**params).fit(Y, None if cls in (KernelLogSumExp, KernelDensity) else B)


@pytest.mark.parametrize("backend", ["loky", "threading"])
@pytest.mark.parametrize(("cls", "method"), METHODS)
def test_jobs_give_the_same_bits(cls, method, backend):
    expected = getattr(fitted(cls), method)(X)
    estimator = fitted(cls).set_params(n_jobs=2)
    with joblib.parallel_config(backend=backend):
        np.testing.assert_array_equal(getattr(estimator, method)(X), expected)
        np.testing.assert_array_equal(getattr(estimator, method)(X[:1]), expected[:1])


def test_jobs_that_are_threads_share_the_cores(monkeypatch):
    seen = []

    def spy(definition, backend, threads, *arrays):
        seen.append(threads)
        return reduce_rows(definition, backend, threads, *arrays)

    monkeypatch.setattr("skkeops.estimators.rows.reduce_rows", spy)
    with joblib.parallel_config(backend="threading"):
        fitted(KernelSum, n_jobs=2).transform(X)
    assert seen == [max(1, joblib.cpu_count() // 2)] * 2


def test_a_limit_of_threads_ends_with_its_context():
    before = n_threads()
    with at_most(1):
        assert n_threads() == 1
        with at_most(None):
            assert n_threads() == before
    assert n_threads() == before


def test_memory_mapped_queries(tmp_path):
    path = tmp_path / "x.npy"
    n = 200_000
    np.save(path, RNG.normal(size=(n, 4)).astype(np.float32))
    queries = np.load(path, mmap_mode="r")
    estimator = KernelSum().fit(Y[:5].astype(np.float32))
    estimator.transform(queries[:10])
    tracemalloc.start()
    result = estimator.transform(queries)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The result has n numbers of 4 bytes, the matrix would have 5 n; states are blocks of float64.
    assert peak < 12 * n + 10_000_000
    some = slice(77_000, 77_010)
    np.testing.assert_array_equal(result[some], estimator.transform(np.array(queries[some])))


@pytest.mark.parametrize("cls", [KernelSum, KernelLogSumExp, KernelDensity, KernelSmoother])
def test_memory_is_not_that_of_the_matrix(cls):
    n = 6000
    samples = RNG.normal(size=(n, 3))
    estimator = cls().fit(samples, None if cls in (KernelLogSumExp, KernelDensity) else samples[:, 0])
    method = next(m for c, m in METHODS if c is cls)
    getattr(estimator, method)(samples[:10])
    tracemalloc.start()
    getattr(estimator, method)(samples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < n * n * 8 / 50


# Dask


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.parametrize(("cls", "method"), METHODS)
def test_dask_arrays_stay_lazy(cls, method):
    da = pytest.importorskip("dask.array")
    estimator = fitted(cls)
    expected = getattr(estimator, method)(X)
    lazy = getattr(estimator, method)(da.from_array(X, chunks=(250, 2)))
    assert isinstance(lazy, da.Array)
    assert lazy.shape == expected.shape
    assert lazy.dtype == expected.dtype
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), expected)
    unknown = da.from_array(X, chunks=(250, 4))
    unknown = unknown[unknown[:, 0] > 0]  # rows that nobody has counted yet
    np.testing.assert_array_equal(
        getattr(estimator, method)(unknown).compute(scheduler="sync"), expected[X[:, 0] > 0]
    )


def test_dask_arrays_are_not_fitted():
    da = pytest.importorskip("dask.array")
    with pytest.raises(TypeError, match="found a Dask array, expected an array such as X.compute"):
        KernelSum().fit(da.from_array(Y))


def test_a_cluster_runs_the_blocks(cluster):
    expected = fitted(KernelSum).transform(X)
    estimator = fitted(KernelSum, n_jobs=-1)
    with joblib.parallel_config(backend="dask"):
        np.testing.assert_array_equal(estimator.transform(X), expected)


def test_a_cluster_runs_lazy_arrays(cluster):
    da = pytest.importorskip("dask.array")
    estimator = fitted(KernelLogSumExp)
    lazy = estimator.transform(da.from_array(X, chunks=(300, 4)))
    np.testing.assert_array_equal(lazy.compute(), estimator.transform(X))


def test_a_cluster_runs_a_grid_search(cluster):
    grid = {"bandwidth": [0.3, 0.6, 1.2]}
    local = GridSearchCV(KernelDensity(), grid, cv=3).fit(Y)
    with joblib.parallel_config(backend="dask"):
        remote = GridSearchCV(KernelDensity(), grid, cv=3, n_jobs=-1).fit(Y)
    np.testing.assert_array_equal(remote.cv_results_["mean_test_score"], local.cv_results_["mean_test_score"])


# Progress


@pytest.fixture
def bars(monkeypatch):
    """The progress bars that have been shown, however short the work was."""
    tqdm = pytest.importorskip("tqdm.auto")
    shown = []

    class Bar(tqdm.tqdm):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **{**kwargs, "disable": False, "delay": 0})
            shown.append(self)

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    return shown


def test_verbose_counts_pairs(bars):
    expected = fitted(KernelSum).transform(X)
    assert not bars
    np.testing.assert_array_equal(fitted(KernelSum, verbose=1).transform(X), expected)
    (bar,) = bars
    assert bar.total == bar.n == len(X) * len(Y)


@pytest.mark.parametrize(
    ("model", "unit", "count"),
    [
        (KernelRidge(kernel="rbf", n_components=0, verbose=1), "iteration", "n_iter_"),
        (KernelPCA(2, kernel="rbf", eigen_solver="arpack", verbose=1), "product", "n_iter_"),
        (SpectralEmbedding(1, eigen_solver="arpack", verbose=1), "product", "n_iter_"),
        (SpectralClustering(2, eigen_solver="arpack", verbose=1), "product", "n_iter_"),
        (KernelDensity(bandwidth="cv", verbose=1), "evaluation", "n_evaluations_"),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else str(value),
)
def test_verbose_counts_the_steps_of_a_fit(model, unit, count, bars):
    model.fit(Y, Y[:, 0])
    (bar,) = bars
    assert bar.unit == unit
    assert bar.desc == f"{type(model).__name__}.fit"
    assert bar.n == getattr(model, count) > 1
    assert bar.total is None


def test_verbose_counts_the_columns_of_rp_cholesky(bars):
    model = RPCholesky(kernel="rbf", n_components=12, tol=0, verbose=1).fit(Y)
    (bar,) = bars
    assert bar.n == bar.total == len(model.component_indices_) == 12
