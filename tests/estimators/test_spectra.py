"""KernelPCA, SpectralEmbedding and SpectralClustering against scikit-learn's, which store the matrix, and against definitions."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import sklearn.cluster
import sklearn.decomposition
import sklearn.manifold
from scipy.sparse.linalg import ArpackNoConvergence
from sklearn.datasets import make_blobs, make_circles, make_moons
from sklearn.gaussian_process import kernels as gp
from sklearn.metrics import adjusted_rand_score

from skkeops import Formula, KernelPCA, SpectralClustering, SpectralEmbedding, kernels

RNG = np.random.default_rng(11)
X, Q = RNG.normal(size=(120, 4)), RNG.normal(size=(9, 4))


@pytest.mark.parametrize("solver", ["dense", "arpack"])
@pytest.mark.parametrize(("kernel", "gamma"), [("rbf", 0.3), ("poly", 0.1), ("linear", None), ("sigmoid", 0.01), ("cosine", None)])
def test_components(kernel, gamma, solver):
    parameters = {"n_components": 3, "kernel": kernel, "gamma": gamma, "fit_inverse_transform": kernel == "rbf"}
    theirs = sklearn.decomposition.KernelPCA(**parameters, eigen_solver="dense").fit(X)
    ours = KernelPCA(**parameters, eigen_solver=solver, random_state=0).fit(X)
    np.testing.assert_allclose(ours.eigenvalues_, theirs.eigenvalues_, rtol=1e-11)
    np.testing.assert_allclose(ours.eigenvectors_, theirs.eigenvectors_, atol=1e-9)
    np.testing.assert_allclose(ours.transform(Q), theirs.transform(Q), atol=1e-9)
    expected = theirs.fit_transform(X)
    np.testing.assert_allclose(ours.fit_transform(X), expected, atol=1e-9)
    np.testing.assert_allclose(ours.transform(X), expected, atol=1e-8)
    if kernel == "rbf":
        np.testing.assert_allclose(ours.inverse_transform(expected[:9]), theirs.inverse_transform(expected[:9]), atol=1e-8)
        assert ours.dual_coef_.shape == (120, 4) and ours.X_transformed_fit_.shape == (120, 3)


def test_many_samples():
    """The numbers of the promise, at 5000 samples, on matrices whose eigenvalues are known otherwise."""
    n = 5000
    t = 2 * np.pi * np.arange(n) / n
    circle = np.stack([np.cos(t), np.sin(t)], axis=1)
    # On a regular circle the kernel is a circulant matrix: its eigenvalues are the Fourier transform of a row.
    row = np.exp(-((circle - circle[0]) ** 2).sum(axis=1) / 2)
    expected = np.sort(np.fft.fft(row).real[1:])[::-1][:4]  # centring removes the first
    tracemalloc.start()
    model = KernelPCA(4, kernel=kernels.Gaussian(1.0), random_state=0).fit(circle)
    found = model.transform(circle)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(model.eigenvalues_, expected, rtol=1e-8)
    np.testing.assert_allclose(np.hypot(found[:, 0], found[:, 1]), np.sqrt(2 * expected[0] / n), rtol=1e-6)
    assert peak < 8 * n * n / 20


@pytest.mark.parametrize("kernel", [kernels.Matern(2.0) + kernels.White(0.3), gp.RBF(1.5) + gp.WhiteKernel(0.3)], ids=repr)
def test_kernels_as_objects(kernel):
    """Noise is on the diagonal of the matrix, and has no part in queries."""
    theirs = sklearn.decomposition.KernelPCA(3, kernel="precomputed", eigen_solver="dense").fit(kernel(X))
    ours = KernelPCA(3, kernel=kernel).fit(X)
    np.testing.assert_allclose(ours.eigenvalues_, theirs.eigenvalues_, rtol=1e-11)
    np.testing.assert_allclose(ours.transform(Q), theirs.transform(kernel(Q, X)), atol=1e-9)


def test_all_components():
    small = X[:30]
    for options in ({}, {"n_components": 30, "remove_zero_eig": True}):
        ours, theirs = KernelPCA(**options).fit(small), sklearn.decomposition.KernelPCA(**options).fit(small)
        assert ours.transform(Q).shape == (9, len(ours.eigenvalues_))
        np.testing.assert_allclose(ours.eigenvalues_[:4], theirs.eigenvalues_[:4], rtol=1e-12)
        assert ours.eigenvalues_[4:].max(initial=0) < 1e-10
    flat = KernelPCA(6, kernel="linear").fit(X[:60, :2])  # of rank 2
    assert np.isfinite(flat.transform(Q[:, :2])).all() and (flat.eigenvalues_[2:] < 1e-8).all()


def test_reference_backend():
    for estimator, method in ((KernelPCA(2, kernel="rbf"), "transform"), (SpectralEmbedding(2), "embed")):
        expected = getattr(estimator.fit(X[:40]), method)(Q)
        np.testing.assert_allclose(getattr(estimator.set_params(backend="reference").fit(X[:40]), method)(Q), expected, atol=1e-12)
    assert KernelPCA(2, eigen_solver="arpack").fit(X).n_iter_ > 5


def test_float32():
    ours = KernelPCA(3, kernel="rbf", fit_inverse_transform=True).fit(X.astype(np.float32))
    theirs = sklearn.decomposition.KernelPCA(3, kernel="rbf", eigen_solver="dense").fit(X)
    assert ours.transform(Q.astype(np.float32)).dtype == ours.eigenvalues_.dtype == np.float32
    np.testing.assert_allclose(ours.transform(Q.astype(np.float32)), theirs.transform(Q), atol=2e-5)


@pytest.mark.parametrize("solver", ["dense", "arpack"])
def test_embedding(solver):
    moons, _ = make_moons(120, noise=0.05, random_state=0)
    theirs = sklearn.manifold.SpectralEmbedding(3, affinity="rbf", gamma=10.0, random_state=0).fit(moons)
    ours = SpectralEmbedding(3, gamma=10.0, eigen_solver=solver, random_state=0).fit(moons)
    np.testing.assert_allclose(ours.embedding_, theirs.embedding_, atol=1e-7)
    np.testing.assert_array_equal(ours.fit_transform(moons), ours.embedding_)


def test_embedding_of_queries():
    """By the definition; near a sample it is about that of the sample."""
    k = kernels.Gaussian(0.8)
    model = SpectralEmbedding(2, kernel=k, random_state=0).fit(X)
    z, values = model.embedding_, model.eigenvalues_
    K = k(X, X) - np.diag(np.diag(k(X)))  # noqa: N806
    np.testing.assert_allclose(K @ z / K.sum(axis=1, keepdims=True), z * values, atol=1e-10)
    sums = k(Q, X)
    np.testing.assert_allclose(model.embed(Q), sums @ z / sums.sum(axis=1, keepdims=True) / values, rtol=1e-9, atol=1e-12)
    assert np.isnan(model.embed(Q + 1e3)).all()


@pytest.mark.parametrize("assign_labels", ["kmeans", "cluster_qr", "discretize"])
@pytest.mark.parametrize("shape", ["moons", "blobs", "rings"])
def test_clusters(shape, assign_labels):
    """The partition of scikit-learn's, and of those who made the samples."""
    made = {
        "moons": (make_moons(300, noise=0.05, random_state=0), 2, 30.0),
        "blobs": (make_blobs(300, centers=4, cluster_std=0.4, center_box=(-6, 6), random_state=2), 4, 1.0),
        "rings": (make_circles(300, factor=0.4, noise=0.03, random_state=0), 2, 30.0),
    }
    (samples, truth), n_clusters, gamma = made[shape]
    options = {"n_clusters": n_clusters, "gamma": gamma, "assign_labels": assign_labels, "random_state": 0}
    theirs = sklearn.cluster.SpectralClustering(**options).fit_predict(samples)
    for solver in ("dense", "arpack"):
        ours = SpectralClustering(**options, eigen_solver=solver).fit(samples)
        assert adjusted_rand_score(ours.labels_, theirs) == adjusted_rand_score(ours.labels_, truth) == 1
        np.testing.assert_allclose(ours.eigenvalues_[0], 1, rtol=1e-12)
    by_object = SpectralClustering(**options, affinity=Formula("Exp(-g*SqDist(x,y))", g=gamma)).fit_predict(samples)
    assert adjusted_rand_score(by_object, theirs) == 1


def test_clusters_of_parts_that_do_not_touch():
    """The eigenvalue 1 belongs to as many vectors as there are parts, none of which may be left out."""
    parts = np.concatenate([RNG.normal(size=(40, 2)) + centre for centre in ([0, 0], [1e3, 0], [0, 1e3])])
    model = SpectralClustering(3, affinity=kernels.Gaussian(1.0), random_state=0).fit(parts)
    np.testing.assert_allclose(model.eigenvalues_, 1, rtol=1e-10)
    assert adjusted_rand_score(model.labels_, np.repeat([0, 1, 2], 40)) == 1


def test_clusters_of_many_samples_take_no_matrix():
    samples, truth = make_moons(4000, noise=0.05, random_state=0)
    tracemalloc.start()
    model = SpectralClustering(2, gamma=50.0, eigen_tol=1e-6, random_state=0).fit(samples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert adjusted_rand_score(model.labels_, truth) > 0.99
    assert peak < 8 * 4000**2 / 10


def test_mistakes():
    for name in ("nearest_neighbors", "precomputed", "precomputed_nearest_neighbors"):
        with pytest.raises(ValueError, match=rf"affinity='{name}' is a stored matrix: expected a kernel.*KNeighborsTransformer"):
            SpectralClustering(2, affinity=name).fit(X)
    with pytest.raises(ValueError, match="must not be more than the samples"):
        SpectralClustering(10).fit(Q)
    with pytest.raises(ValueError, match="the kernel must not be negative"):
        SpectralClustering(2, affinity="-Exp(-SqDist(x, y))").fit(X)
    with pytest.raises(AttributeError, match="no attribute 'inverse_transform'"):
        KernelPCA(2).fit(X).inverse_transform(Q[:, :2])
    with pytest.raises(ValueError, match="the kernel must be a number"):
        KernelPCA(2, kernel="x - y").fit(X)
    with pytest.raises(ValueError, match=r"y = Vj\(1\) of the formula take 1 columns of the reference samples"):
        KernelPCA(2, kernel=Formula("(x | y)", ["x = Vi(1)", "y = Vj(1)"])).fit(X)
    with pytest.raises(ValueError, match="significant negative eigenvalues"):
        KernelPCA(kernel="-Exp(-SqDist(x, y))").fit(X[:50])
    with pytest.raises(ArpackNoConvergence):
        KernelPCA(3, kernel=kernels.Gaussian(3.0), max_iter=1, random_state=0).fit(np.arange(400.0)[:, None])
    with pytest.raises(ValueError, match="n_components must be less than the number of samples"):
        SpectralEmbedding(9).fit(Q)
    with pytest.raises(ValueError, match="the kernel must not be negative"):
        SpectralEmbedding(1, kernel="-Exp(-SqDist(x, y))").fit(X)
    with pytest.raises(ValueError, match="the kernel must be a number"):
        SpectralEmbedding(1, kernel="x - y").fit(X)
