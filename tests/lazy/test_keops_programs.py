"""What KeOps' own NumPy tests ask of it, asked of skkeops, against dense NumPy arrays."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from scipy.special import logsumexp, softmax

from skkeops import Genred, LazyTensor, Pm, Vi, Vj, cluster

RNG = np.random.default_rng(21)
DTYPES = [np.float32, np.float64]
M, N, D, E = 173, 241, 3, 2


def arrays(dtype, *shapes):
    return [RNG.random(shape).astype(dtype) for shape in shapes]


def close(found, expected, dtype):
    tolerance = 2e-5 if dtype == np.float32 else 1e-10
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def wide(a):
    return a.astype(np.float64)


def gaussian(x, y, gamma=1.0):
    return np.exp(-gamma * ((wide(x)[..., :, None, :] - wide(y)[..., None, :, :]) ** 2).sum(-1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_generic_sum_with_several_aliases_and_a_literal_variable(dtype):
    x, y, a, b, p = arrays(dtype, (M, D), (N, D), (M, E), (N, 1), 1)
    aliases = ["p=Pm(0,1)", "a=Vi(1,2)", "Vj(2,1)", "Vi(3,3)", "Vj(4,3)"]
    found = Genred("Square(p - Var(2,1,1)) * Exp(Var(3,3,0) + Var(4,3,1)) * Elem(a, 1)", aliases, axis=1)(p, a, b, x, y)
    expected = (wide(p) - wide(b)[None]) ** 2 * np.exp(wide(x)[:, None] + wide(y)) * wide(a)[:, None, 1:]
    close(found, expected.sum(1), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_sum_exp_and_softmax(dtype):
    x, y, b = arrays(dtype, (M, D), (N, D), (N, E))
    aliases = ["x = Vi(3)", "y = Vj(3)"]
    scores = wide(x) @ wide(y).T
    close(Genred("(x | y)", aliases, "LogSumExp", axis=1)(x, y), logsumexp(scores, axis=1)[:, None], dtype)
    weighted = Genred("(x | y)", [*aliases, "b = Vj(2)"], "SumSoftMaxWeight", axis=1, formula2="b")
    close(weighted(x, y, b), softmax(scores, axis=1) @ wide(b), dtype)
    K = Vi(x) | Vj(y)
    close(K.logsumexp(axis=1), logsumexp(scores, axis=1)[:, None], dtype)
    close(K.sumsoftmaxweight(Vj(b), axis=1), softmax(scores, axis=1) @ wide(b), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_that_are_not_contiguous(dtype):
    x, y, b = arrays(dtype, (D, M), (2 * N, 2 * D), (N, E))
    x, y, b = x.T, y[::2, ::2], np.asfortranarray(b)
    close((-((Vi(x) - Vj(y)) ** 2).sum(-1)).exp() @ b, gaussian(x, y) @ wide(b), dtype)
    close(Genred("Exp(-SqDist(x,y))*b", ["x=Vi(3)", "y=Vj(3)", "b=Vj(2)"], axis=1)(x, y, b), gaussian(x, y) @ wide(b), dtype)
    batch = RNG.random((D, M, 4)).astype(dtype).transpose(2, 1, 0)
    others = RNG.random((N, 4, D)).astype(dtype).swapaxes(0, 1)
    K = (-((LazyTensor(batch[:, :, None, :]) - LazyTensor(others[:, None])) ** 2).sum(-1)).exp()
    close(K.sum(axis=2)[..., 0], gaussian(batch, others).sum(-1), dtype)


def test_a_second_derivative_that_is_zero():
    x, y, e, u = arrays(np.float64, (M, D), (N, D), (M, D), (M, D))
    f = Genred("Grad(Grad(x | y, x, Elem(e, 0)), x, u)", ["x=Vi(3)", "y=Vj(3)", "e=Vi(3)", "u=Vi(3)"], axis=1)
    np.testing.assert_array_equal(f(x, y, e, u), np.zeros((M, D)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_nearest_neighbours(dtype):
    x, y = arrays(dtype, (M, D), (N, D))
    distances = ((wide(x)[:, None] - wide(y)) ** 2).sum(-1)
    expected = np.argsort(distances, axis=1)[:, :4]
    np.testing.assert_array_equal(Genred("SqDist(x,y)", ["x=Vi(3)", "y=Vj(3)"], "ArgKMin", axis=1, opt_arg=4)(x, y), expected)
    np.testing.assert_array_equal(((Vi(x) - Vj(y)) ** 2).sum(-1).argKmin(4, dim=1), expected)
    values, found = Vi(x).sqdist(Vj(y)).Kmin_argKmin(4, axis=1)
    np.testing.assert_array_equal(found, expected)
    close(values, np.take_along_axis(distances, expected, 1), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_batches_that_broadcast(dtype):
    x, y, b, s = arrays(dtype, (2, 1, 31, 1, D), (5, 1, 23, D), (2, 5, 1, 23, E), (5, 1, 1, 1))
    K = (-((LazyTensor(x) - LazyTensor(y)) ** 2).sum(-1) / (1 + LazyTensor(s))).exp()
    assert K.shape == (2, 5, 31, 23)
    distances = ((wide(x) - wide(y)) ** 2).sum(-1)
    dense = np.exp(-distances / (1 + wide(s)[..., 0]))
    close((K * LazyTensor(b)).sum(axis=3), np.einsum("abij,abje->abie", dense, wide(b)[:, :, 0]), dtype)
    close(K @ b[:, :, 0], np.einsum("abij,abje->abie", dense, wide(b)[:, :, 0]), dtype)
    close(K.sum(axis=2)[..., 0], dense.sum(2), dtype)
    close(K.logsumexp(axis=3)[..., 0], logsumexp(dense, axis=3), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_matmul_in_place(dtype):
    x, y, b = arrays(dtype, (M, D), (N, D), (N, E))
    out = np.empty((M, E), dtype)
    assert (-((Vi(x) - Vj(y)) ** 2).sum(-1)).exp().__matmul__(b, out=out) is out
    close(out, gaussian(x, y) @ wide(b), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_transposed(dtype):
    x, y, b = arrays(dtype, (M, D), (N, D), (M, E))
    K = (-((Vi(x) - Vj(y)) ** 2).sum(-1)).exp()
    close(K.t() @ b, gaussian(x, y).T @ wide(b), dtype)
    close(K.T.sum(axis=1), gaussian(x, y).sum(0)[:, None], dtype)
    close((Vi(x) - Vj(y)).t().sum(axis=0), (wide(x)[:, None] - wide(y)).sum(1), dtype)


def test_functions_and_their_gradients():
    x, y = arrays(np.float64, (M, 1), (N, 1))
    d = x[:, None] - y
    for lazy, dense, slope in (
        (lambda t: t.sinc(), lambda t: np.sinc(t), lambda t: (np.pi * t * np.cos(np.pi * t) - np.sin(np.pi * t)) / (np.pi * t**2)),
        (lambda t: t.clamp(-0.3, 0.4), lambda t: np.clip(t, -0.3, 0.4), lambda t: ((t >= -0.3) & (t <= 0.4)) * 1.0),
        (lambda t: t.cos(), np.cos, lambda t: -np.sin(t)),
        (lambda t: (1 + t * t).rsqrt(), lambda t: (1 + t * t) ** -0.5, lambda t: -t * (1 + t * t) ** -1.5),
    ):
        K = lazy(Vi(x) - Vj(y))
        np.testing.assert_allclose(K.sum(axis=1), dense(d).sum(1), rtol=1e-11)
        np.testing.assert_allclose(K.gradient(x), slope(d).sum(1), rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(K.grad(Vi(x), 1.0).sum(axis=1), slope(d).sum(1), rtol=1e-6, atol=1e-8)
    twice = (Vi(x) - Vj(y)).cos().grad(Vi(x), 1.0).grad(Vi(x), 1.0)
    np.testing.assert_allclose(twice.sum(axis=1), -np.cos(d).sum(1), rtol=1e-11)


def test_tensor_products():
    x, y = RNG.random((20, 4 * 5 * 3 * 4)), RNG.random((30, 4 * 3 * 4))
    a, b = x.reshape(20, 1, 4, 5, 3, 4), y.reshape(1, 30, 4, 3, 4)
    K = Vi(x).keops_tensordot(Vj(y), (4, 5, 3, 4), (4, 3, 4), (2, 3), (1, 2))
    expected = np.einsum("iabcd,jecd->ijabe", a[:, 0], b[0]).reshape(20, 30, -1)
    np.testing.assert_allclose(K.dense(), expected, rtol=1e-10)
    K = Vi(x).keops_tensordot(Vj(y), (4, 5, 3, 4), (4, 3, 4), (2, 3), (1, 2), (2, 0, 1))
    # kept axes a b e go to the places 2 0 1
    np.testing.assert_allclose(K.dense(), np.einsum("iabcd,jecd->ijbea", a[:, 0], b[0]).reshape(20, 30, -1), rtol=1e-10)
    u, v = RNG.random((7, 6)), RNG.random((5, 4))
    K = Vi(u).keops_kron(Vj(v), (2, 3), (2, 2))
    expected = [[np.kron(p.reshape(2, 3), q.reshape(2, 2)).ravel() for q in v] for p in u]
    np.testing.assert_allclose(K.dense(), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("dim", "columns"), [(300, 1), (3, 300)])
def test_many_components(dim, columns, dtype):
    x, y, b = arrays(dtype, (40, dim), (50, dim), (50, columns))
    x, y = x / dim**0.5, y / dim**0.5
    close((-((Vi(x) - Vj(y)) ** 2).sum(-1)).exp() @ b, gaussian(x, y) @ wide(b), dtype)
    batch = np.stack([x, 2 * x])
    K = (-((Vi(batch) - Vj(np.stack([y, y]))) ** 2).sum(-1)).exp()
    close(K @ np.stack([b, b]), gaussian(batch, y[None]) @ wide(b), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_block_sparse_reduction(dtype):
    x, y, b = arrays(dtype, (900, 2), (700, 2), (700, 1))
    lab_x, lab_y = cluster.grid_cluster(x, 0.15), cluster.grid_cluster(y, 0.15)
    ranges_x, centers_x, _ = cluster.cluster_ranges_centroids(*cluster.sort_clusters(x, lab_x))
    ranges_y, centers_y, _ = cluster.cluster_ranges_centroids(*cluster.sort_clusters(y, lab_y))
    (x,), lab_x = cluster.sort_clusters((x,), lab_x)
    (y, b), lab_y = cluster.sort_clusters((y, b), lab_y)
    keep = ((centers_x[:, None] - centers_y) ** 2).sum(2) < 0.16
    K = (-((Vi(x) - Vj(y)) ** 2).sum(-1) / 0.005).exp()
    full = K @ b
    K.ranges = cluster.from_matrix(ranges_x, ranges_y, keep)
    close(K @ b, (gaussian(x, y, 200) * keep[lab_x][:, lab_y]) @ wide(b), dtype)
    np.testing.assert_allclose(K @ b, full, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_minimum_and_its_place(dtype):
    x, y = arrays(dtype, (M, D), (N, D))
    distances = ((wide(x)[:, None] - wide(y)) ** 2).sum(-1)
    K = Vi(x).sqdist(Vj(y))
    value, place = K.min_argmin(axis=1)
    close(value[:, 0], distances.min(1), dtype)
    np.testing.assert_array_equal(place[:, 0], distances.argmin(1))
    np.testing.assert_array_equal(K.max_argmax(axis=0)[1][:, 0], distances.argmax(0))
    close(K.max_reduction(axis=0)[:, 0], distances.max(0), dtype)
    np.testing.assert_array_equal(K.argmin_reduction(axis=1)[:, 0], distances.argmin(1))


def test_symbolic_variables_and_pickles():
    x, y, b, p = arrays(np.float64, (M, D), (N, D), (N, E), 1)
    f = ((-((Vi(0, D) - Vj(1, D)) ** 2).sum(-1) * Pm(2, 1)).exp() * Vj(3, E)).sum(axis=1)
    expected = gaussian(x, y, p[0]) @ b
    np.testing.assert_allclose(f(x, y, p, b), expected, rtol=1e-10)
    K = (-((Vi(x) - Vj(y)) ** 2).sum(-1) * p[0]).exp()
    np.testing.assert_allclose(pickle.loads(pickle.dumps(K)) @ b, expected, rtol=1e-10)
    g = Genred("Exp(-p*SqDist(x,y))*b", ["x=Vi(3)", "y=Vj(3)", "p=Pm(1)", "b=Vj(2)"], axis=1)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(g))(x, y, p, b), expected, rtol=1e-10)


def test_half_precision():
    x, y, b = arrays(np.float16, (M, D), (N, D), (N, E))
    found = (-((Vi(x) - Vj(y)) ** 2).sum(-1)).exp() @ b
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, gaussian(x, y) @ wide(b), rtol=1e-5)


def test_the_names_of_arguments_are_those_of_keops():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0.2, 0.8, (4, 3)), rng.uniform(0.2, 0.8, (5, 3))
    X, Y = LazyTensor(x[:, None, :]), LazyTensor(y[None, :, :])
    d = x[:, None, :] - y[None, :, :]
    for found, expected in [
        ((X - Y).extract(i=1, d=2), d[..., 1:3]),
        ((X - Y).elem(i=2), d[..., 2:]),
        ((X - Y).elem(i=0).abs().one_hot(D=2), np.stack([np.abs(d[..., 0]) < 0.5, np.abs(d[..., 0]) >= 0.5], axis=-1)),
        ((X - Y).clamp(other1=-0.1, other2=X), np.minimum(np.maximum(d, -0.1), x[:, None, :])),
        ((X - Y).ifelse(other1=Y, other2=0), np.where(d >= 0, y, 0)),
        ((X - Y).weightedsqdist(g=Y, s=2.0), 2 * ((d - y) ** 2).sum(-1, keepdims=True)),
        ((X - Y).weightedsqnorm(other=2.0), 2 * (d**2).sum(-1, keepdims=True)),
        ((X * Y).grad(other=X, gradin=Y), np.broadcast_to(y * y, d.shape)),
        ((X * Y).diff(other=X, diffin=Y), np.broadcast_to(y * y, d.shape)),
        ((X * Y).divergence(var=X), np.broadcast_to(y.sum(-1), (4, 5))[..., None]),
    ]:
        np.testing.assert_allclose(found.sum(axis=1), np.asarray(expected, float).sum(axis=1), atol=1e-12)
    knots = LazyTensor(np.array([0.0, 0.25, 0.5, 1.0])[None, None, :])
    counts = np.stack([np.histogram(x[:, 0], [low, high - 1e-12])[0] for low, high in ((0, 0.25), (0.25, 0.5), (0.5, 1))])
    np.testing.assert_array_equal(knots.bspline(x=X.elem(i=0)).sum(axis=0).ravel(), counts.ravel())
