"""The work of KeOps' NumPy gallery, done by KeOps and by us: the examples of those names compute what KeOps' do."""

import shutil

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator, eigsh

import skkeops
import skkeops.cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("g++") is None, reason="KeOps needs a C++ compiler"),
]
N = 300
GAUSSIAN = "Exp(-g * SqDist(x, y)) * b", ["x = Vi(2)", "y = Vj(2)", "g = Pm(1)", "b = Vj(1)"]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    x, y = rng.random((N, 2)), rng.random((N, 2))
    return x, y, rng.standard_normal((N, 1)), np.array([20.0])


def both(keops, work):
    """Results of the same work with pykeops.numpy and with skkeops."""
    try:
        expected = work(keops)
    except (OSError, RuntimeError, ImportError, AttributeError) as error:
        pytest.skip(f"KeOps does not compile here: {error}")
    return work(skkeops), expected


def gaussian_kernel(library, x, g):
    x_i, x_j = library.LazyTensor(x[:, None, :]), library.LazyTensor(x[None, :, :])
    return (-g[0] * ((x_i - x_j) ** 2).sum(-1)).exp()


def test_grid_clusters(keops, data):
    """plot_grid_cluster_numpy, our plot_block_sparse."""
    x, y, b, g = data

    def work(library):
        cluster, sides = library.cluster, []
        for points, more in ((x, np.arange(N)), (y, b)):  # the cells have other numbers in KeOps: rows are put back
            labels = cluster.grid_cluster(points, 0.2)
            ranges, centres, _ = cluster.cluster_ranges_centroids(points, labels)
            sides.append((*cluster.sort_clusters((points, more), labels)[0], ranges, centres))
        (xs, order, rows, a), (ys, bs, columns, c) = sides
        blocks = cluster.from_matrix(rows, columns, ((a[:, None] - c) ** 2).sum(axis=2) < 0.4**2)
        result = library.Genred(*GAUSSIAN, axis=1)(xs, ys, g, bs, ranges=blocks, backend="CPU")
        return result[np.argsort(order)]

    found, expected = both(keops, work)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_kernel_solve(keops, data):
    """plot_test_invkernel_numpy, our plot_kriging."""
    x, _, b, g = data
    found, expected = both(
        keops, lambda library: library.KernelSolve(*GAUSSIAN, "b", axis=1)(x, x, g, b, alpha=0.1, eps=1e-10)
    )
    np.testing.assert_allclose(found, expected, atol=1e-7 * np.abs(expected).max())


def test_interpolation(keops, data):
    """plot_test_interpolation: LazyTensor.solve."""
    x, _, b, g = data
    if not hasattr(keops.LazyTensor, "solve"):
        pytest.skip("this KeOps has no LazyTensor.solve")

    def work(library):
        return gaussian_kernel(library, x, g).solve(library.Vi(b), alpha=0.1, eps=1e-10)

    found, expected = both(keops, work)
    np.testing.assert_allclose(found, expected, atol=1e-7 * np.abs(expected).max())


def test_spectral_coordinates(keops, data):
    """plot_scipy, our plot_spectral_clustering: eigenvalues of the operator, and the vectors up to their sign."""
    x, _, _, g = data

    def work(library):
        values, vectors = eigsh(aslinearoperator(gaussian_kernel(library, x, g)), k=4, v0=np.ones(N))
        return values, vectors * np.sign(vectors.sum(axis=0))

    (values, vectors), (expected_values, expected_vectors) = both(keops, work)
    np.testing.assert_allclose(values, expected_values, rtol=1e-10)
    np.testing.assert_allclose(vectors, expected_vectors, atol=1e-8)


def test_k_means(keops, data):
    """plot_kmeans_numpy, our plot_colour_quantisation: ten iterations of Lloyd's algorithm."""
    x = data[0]

    def work(library):
        centres = x[:7].copy()
        for _ in range(10):
            x_i, c_j = library.LazyTensor(x[:, None, :]), library.LazyTensor(centres[None, :, :])
            labels = ((x_i - c_j) ** 2).sum(-1).argmin(axis=1).astype(int).ravel()
            counts = np.bincount(labels, minlength=7)
            centres = (
                np.stack([np.bincount(labels, weights=column, minlength=7) for column in x.T], axis=1) / counts[:, None]
            )
        return labels, centres

    (labels, centres), (expected_labels, expected_centres) = both(keops, work)
    np.testing.assert_array_equal(labels, expected_labels)
    np.testing.assert_allclose(centres, expected_centres, rtol=1e-12)


def test_nearest_neighbours_classifier(keops, data):
    """plot_knn_numpy and plot_test_ArgKMin, our plot_nearest_neighbours: in the half-plane, and in the plane."""
    x, y = (points + [0.0, 0.1] for points in data[:2])

    def work(library):
        x_i, y_j = library.LazyTensor(x[:, None, :]), library.LazyTensor(y[None, :, :])
        squares = ((x_i - y_j) ** 2).sum(-1)
        return squares.argKmin(6, dim=1), (squares / (x_i[1] * y_j[1])).argKmin(6, dim=1)

    (plane, half_plane), (expected_plane, expected_half_plane) = both(keops, work)
    np.testing.assert_array_equal(plane, expected_plane)
    np.testing.assert_array_equal(half_plane, expected_half_plane)


def test_softmax(keops, data):
    """plot_test_softmax_numpy, our plot_attention."""
    x, y, b, _ = data

    def work(library):
        x_i, y_j = library.LazyTensor(x[:, None, :]), library.LazyTensor(y[None, :, :])
        return (x_i | y_j).sumsoftmaxweight(library.LazyTensor(b[None, :, :]), axis=1)

    found, expected = both(keops, work)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
