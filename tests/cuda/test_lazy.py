"""LazyTensor and KernelSolve on arrays of CuPy: the same results as on arrays of NumPy, on the device."""

import pickle

import numpy as np
import pytest

from skkeops import KernelSolve, LazyTensor, Pm, Vi, Vj
from skkeops.solvers import solve


def gaussian(x, y):
    return (-((Vi(x) - Vj(y)) ** 2).sum(-1)).exp()


@pytest.fixture
def points(rng):
    return rng.normal(size=(13, 2)), rng.normal(size=(9, 2)), rng.normal(size=(9, 3))


def assert_same(found, expected, cupy, tolerance=1e-12):
    found, expected = (a if isinstance(a, tuple) else (a,) for a in (found, expected))
    for a, b in zip(found, expected, strict=True):
        assert type(a) is cupy.ndarray and a.shape == b.shape and a.dtype == b.dtype
        np.testing.assert_allclose(a.get(), b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "reduce",
    [
        lambda K, b: K.sum(axis=1),
        lambda K, b: K.sum(axis=0),
        lambda K, b: (K * Vj(b)).sum(axis=1),
        lambda K, b: K @ b,
        lambda K, b: K @ b[:, 0],
        lambda K, b: K.t() @ (K @ b),
        lambda K, b: K.logsumexp(axis=1),
        lambda K, b: K.argmin(axis=1),
        lambda K, b: K.argKmin(3, dim=1),
        lambda K, b: (K * 2.0 + 1).max(axis=1),
        lambda K, b: K[2:5, :].sum(axis=1),
        lambda K, b: K[[1, 4, 7], 3:].sum(axis=1),
        lambda K, b: K.tril().sum(axis=1),
        lambda K, b: K.band(0, 1, fill=2.0).sum(axis=0),
        lambda K, b: np.where(K > 0.1, K, 0.0).sum(axis=1),
        lambda K, b: np.exp(K).sum(axis=1),
        lambda K, b: (K * (2 * b[:, :1]).T).sum(axis=1),
        lambda K, b: K.operator @ b,
        lambda K, b: K.operator @ b[:, 0],
        lambda K, b: (2 * K.operator) @ b,
        lambda K, b: (K @ K.t()) @ (K @ b),
        lambda K, b: K @ (b + 1j * b),
        lambda K, b: (K * Vj(b + 2j)).exp().sum(axis=1),
        lambda K, b: (K * Vj(b + 2j)).dense(),
    ],
)
def test_reductions(reduce, points, double):
    x, y, b = points
    expected = reduce(gaussian(x, y), b)
    assert_same(reduce(gaussian(*map(double.asarray, (x, y))), double.asarray(b)), expected, double)


def test_nothing_passes_the_host(points, double):
    x, y, b = map(double.asarray, points)
    double.stand_in_counts.clear()
    (gaussian(x, y) * Vj(b)).sum(axis=1)
    counts = double.stand_in_counts
    assert counts.to_device == counts.to_host == [] and len(counts.launches) == 1


def test_gradient(points, double):
    x, y, b = points
    expected = (gaussian(x, y) * Vj(b)).gradient(y)
    x, y, b = map(double.asarray, points)
    assert_same((gaussian(x, y) * Vj(b)).gradient(y), expected, double)


def test_parameters_and_batches(rng, double):
    x, y, g = rng.normal(size=(4, 7, 1, 2)), rng.normal(size=(4, 1, 5, 2)), np.array([0.5, 2.0])
    for op in ("sum", "argmin"):
        expected = getattr((((LazyTensor(x) - LazyTensor(y)) * Pm(g)) ** 2).sum(-1), op)(2)
        x_d, y_d, g_d = map(double.asarray, (x, y, g))
        assert_same(getattr((((LazyTensor(x_d) - LazyTensor(y_d)) * Pm(g_d)) ** 2).sum(-1), op)(2), expected, double)


def test_dense(points, double):
    x, y, _ = points
    K, K_d = gaussian(x, y), gaussian(*map(double.asarray, (x, y)))
    assert_same(K_d.dense(), K.dense(), double)
    assert_same(gaussian(*(double.asarray(x),) * 2).diagonal(), gaussian(x, x).diagonal(), double)
    with pytest.raises(TypeError, match=r"call .dense\(\).get\(\)"):
        np.asarray(K_d)
    assert_same(pickle.loads(pickle.dumps(K_d)).sum(axis=1), K.sum(axis=1), double)


def test_mixtures(points, double):
    x, y, b = points
    with pytest.raises(TypeError, match="found a NumPy array, and for .* a CuPy array"):
        gaussian(double.asarray(x), y).sum(axis=1)
    with pytest.raises(TypeError, match="backend='CPU' computes with NumPy arrays: found CuPy arrays"):
        gaussian(double.asarray(x), double.asarray(y)).sum(axis=1, backend="CPU")


def test_solve(rng, double):
    x, b = rng.normal(size=(30, 2)), rng.normal(size=(30, 2))
    truth = np.linalg.solve(np.exp(-((x[:, None] - x[None]) ** 2).sum(-1)) + 0.1 * np.eye(30), b)
    x_d, b_d = map(double.asarray, (x, b))
    assert_same(gaussian(x_d, x_d).solve(b_d + 1j * b_d, alpha=0.1, eps=1e-10), truth + 1j * truth, double, 1e-7)
    for kind, components in ((None, 0), (None, 12), ("cholesky", 12), ("nystrom", 12)):
        options = {"preconditioner": kind, "n_components": components}
        found = gaussian(x_d, x_d).solve(b_d, alpha=0.1, eps=1e-10, **options)
        assert_same(found, truth, double, 1e-7)
    invert = KernelSolve("Exp(-SqDist(x, y)) * a", ["x = Vi(2)", "y = Vj(2)", "a = Vj(2)"], "a", axis=1)
    assert_same(invert(x_d, x_d, b_d, alpha=0.1, eps=1e-10), truth, double, 1e-7)
    np.testing.assert_allclose(invert(x, x, b, alpha=0.1, eps=1e-10, backend="GPU"), truth, atol=1e-7)
    one = KernelSolve("Exp(-SqDist(x, y)) * a", ["x = Vi(2)", "y = Vj(2)", "a = Vj(1)"], "a", axis=1)
    for kind in ("cholesky", "nystrom"):
        found = one(x_d, x_d, b_d[:, :1], alpha=0.1, eps=1e-10, preconditioner=kind)
        assert_same(found, truth[:, :1], double, 1e-7)
        found = one(x, x, b[:, :1], alpha=0.1, eps=1e-10, preconditioner=kind, backend="GPU")
        np.testing.assert_allclose(found, truth[:, :1], atol=1e-7)
    expected = invert.gradient(x, x, b, wrt=("x", "a"), alpha=0.1, eps=1e-12)
    found = invert.gradient(x_d, x_d, b_d, wrt=("x", "a"), alpha=0.1, eps=1e-12)
    assert_same(found, expected, double, 1e-6)


def test_solve_elsewhere(rng, double):
    with double.cuda.Device(1):
        x, b = double.asarray(rng.normal(size=(20, 2))), double.asarray(rng.normal(size=(20, 1)))
    invert = KernelSolve("Exp(-SqDist(x, y)) * a", ["x = Vi(2)", "y = Vj(2)", "a = Vj(1)"], "a", axis=1)
    assert invert(x, x, b, alpha=0.1).data.device_id == 1
    assert invert.gradient(x, x, b, wrt="x", alpha=0.1).data.device_id == 1


@pytest.mark.parametrize("definite", [True, False])
def test_systems(definite, rng, double):
    """Conjugate gradients, and MINRES for a matrix that is not definite, against a dense solution."""
    q, _ = np.linalg.qr(rng.normal(size=(25, 25)))
    values = np.linspace(1, 5, 25) * (1 if definite else np.where(np.arange(25) % 3, 1, -1))
    K, b = (q * values) @ q.T, rng.normal(size=(25, 3))
    truth = np.linalg.solve(K + 0.1 * np.eye(25), b)
    for move in (np.asarray, double.asarray):
        matrix = move(K)
        found = solve(lambda v, m=matrix: m @ v, np.full(3, 0.1), move(b), tol=1e-12)
        assert found.is_definite == definite and found.residual <= 1e-12
        np.testing.assert_allclose(found.x if move is np.asarray else found.x.get(), truth, atol=1e-10)


def test_lazy_on_the_gpu_from_numpy(points, double):
    x, y, b = points
    expected = gaussian(x, y) @ b
    found = (gaussian(x, y) * Vj(b)).sum(axis=1, backend="GPU")
    assert double.stand_in_counts.launches and type(found) is np.ndarray
    np.testing.assert_allclose(found, expected, rtol=1e-12)
