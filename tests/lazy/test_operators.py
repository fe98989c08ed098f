"""Lazy tensors as linear operators: SciPy's solvers, and products, sums and multiples that stay lazy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, identity, random_array
from scipy.sparse.linalg import LinearOperator, aslinearoperator, cg, eigsh, gmres, lobpcg, minres, svds

from skkeops import Genred, Vi, Vij, Vj

RNG = np.random.default_rng(5)
M, N = 40, 33
X, Y = RNG.normal(size=(M, 3)), RNG.normal(size=(N, 3))


def gaussian(x, y):
    return (-((Vi(x) - Vj(y)) ** 2).sum(-1)).exp(), np.exp(-((x[:, None] - y) ** 2).sum(-1))


def test_aslinearoperator():
    K, dense = gaussian(X, Y)
    for A in (aslinearoperator(K), K.operator, aslinearoperator(K.operator)):
        assert A.shape == (M, N)
        assert A.dtype == np.float64
        v, V, u, U = RNG.normal(size=N), RNG.normal(size=(N, 2)), RNG.normal(size=M), RNG.normal(size=(M, 2))
        np.testing.assert_allclose(A.matvec(v), dense @ v, rtol=1e-10)
        np.testing.assert_allclose(A @ v[:, None], dense @ v[:, None], rtol=1e-10)
        np.testing.assert_allclose(A.matmat(V), dense @ V, rtol=1e-10)
        np.testing.assert_allclose(A.rmatvec(u), dense.T @ u, rtol=1e-10)
        np.testing.assert_allclose(A.rmatmat(U), dense.T @ U, rtol=1e-10)
        np.testing.assert_allclose(A.T @ U, dense.T @ U, rtol=1e-10)
        np.testing.assert_allclose(A.H @ u, dense.T @ u, rtol=1e-10)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scipys_solvers(dtype):
    x = X.astype(dtype)
    K, dense = gaussian(x, x)
    dense = dense.astype(np.float64)
    shifted = K.operator + identity(M, dtype=dtype)
    matrix = dense + np.eye(M)
    b = RNG.normal(size=M).astype(dtype)
    expected = np.linalg.solve(matrix, b)
    tolerance = 1e-3 if dtype == np.float32 else 1e-6
    for solver in (cg, minres, gmres):
        found, info = solver(shifted, b, rtol=tolerance / 100)
        assert info == 0
        np.testing.assert_allclose(found, expected, rtol=tolerance * 10, atol=tolerance)
    values = np.linalg.eigvalsh(dense)
    np.testing.assert_allclose(np.sort(eigsh(aslinearoperator(K), k=4)[0]), values[-4:], rtol=tolerance)
    np.testing.assert_allclose(np.sort(eigsh(K.operator, k=4)[0]), values[-4:], rtol=tolerance)
    start = RNG.normal(size=(M, 3)).astype(dtype)
    found = lobpcg(K.operator, start, maxiter=200, tol=1e-6)[0]
    np.testing.assert_allclose(np.sort(found), values[-3:], rtol=max(tolerance, 1e-5))


def test_svds():
    K, dense = gaussian(X, Y)
    expected = np.linalg.svd(dense, compute_uv=False)
    for A in (aslinearoperator(K), K.operator):
        np.testing.assert_allclose(np.sort(svds(A, k=4)[1])[::-1], expected[:4], rtol=1e-8)
        np.testing.assert_allclose(np.sort(svds(A, k=3, solver="lobpcg")[1])[::-1], expected[:3], rtol=1e-5)


def algebra():
    K, k = gaussian(X, Y)
    L, ll = gaussian(X, X)
    S = random_array((M, M), density=0.1, rng=RNG).tocsr()
    s = S.toarray()
    return {
        "K @ K.T": (K @ K.T, k @ k.T),
        "K.T @ K": (K.T @ K, k.T @ k),
        "L @ L": (L @ L, ll @ ll),
        "three": (L @ K @ K.T, ll @ k @ k.T),
        "sum": (K @ K.T + L, k @ k.T + ll),
        "sum, first": (L + K @ K.T, k @ k.T + ll),
        "difference": (L - K @ K.T, ll - k @ k.T),
        "multiple": (-2 * (L @ L) / 4, ll @ ll * -0.5),
        "negative": (-(K @ K.T), -(k @ k.T)),
        "power": ((0.1 * L.operator) ** 3, np.linalg.matrix_power(0.1 * ll, 3)),
        "identity": (L @ L + 0.5 * identity(M), ll @ ll + 0.5 * np.eye(M)),
        "sparse": (L.operator @ S, ll @ s),
        "sparse first": (S @ L.operator, s @ ll),
        "sparse first, tensor": (Vij(S) @ L, s @ ll),
        "transposed": ((L @ K).T, (ll @ k).T),
        "masked": ((L.tril()) @ L, np.tril(ll) @ ll),
        "SciPy's own": (aslinearoperator(s) @ L.operator, s @ ll),
    }


@pytest.mark.parametrize("name", algebra())
def test_algebra(name):
    A, dense = algebra()[name]
    assert isinstance(A, LinearOperator)
    assert A.shape == dense.shape
    v, u = RNG.normal(size=A.shape[1]), RNG.normal(size=(A.shape[0], 2))
    np.testing.assert_allclose(A @ v, dense @ v, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(A.rmatmat(u), dense.T @ u, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(u.T @ A, u.T @ dense, rtol=1e-9, atol=1e-9)
    if hasattr(A, "dense"):
        np.testing.assert_allclose(A.dense(), dense, rtol=1e-9, atol=1e-9)
        assert f"shape={A.shape}" in repr(A)


def test_products_with_arrays():
    K, dense = gaussian(X, Y)
    v = RNG.normal(size=(N, 2))
    np.testing.assert_allclose(K @ (K.T @ (K @ v)), dense @ dense.T @ dense @ v, rtol=1e-9)
    np.testing.assert_allclose((K @ K.T @ K) @ v, dense @ dense.T @ dense @ v, rtol=1e-9)
    np.testing.assert_allclose(K @ csr_array(v), dense @ v, rtol=1e-9)
    out = np.empty((M, 2))
    assert K.__matmul__(v, out=out) is out
    np.testing.assert_allclose(out, dense @ v, rtol=1e-9)


def test_eigenvalues_of_a_product():
    K, dense = gaussian(X, Y)
    found = eigsh(K @ K.T, k=3)[0]
    np.testing.assert_allclose(np.sort(found), np.linalg.eigvalsh(dense @ dense.T)[-3:], rtol=1e-8)


def test_text():
    x, y = X[:, :1], Y[:, :1]
    K = Vi(x) + Vj(y)
    assert repr(2 * (K @ K.T) - K @ K.T) == (
        "LazyOperator(shape=(40, 40), dtype=float64, 2 * (x0+y0) @ (y0+x0) + -1 * (x0+y0) @ (y0+x0))"
    )
    assert repr((K.operator @ K.T) ** 2 + K.operator @ K.operator.T).endswith("((x0+y0) @ (y0+x0))**2 + (x0+y0) @ (x0+y0).T)")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda K: K @ K, ValueError, r"inner sizes of a product must be equal: found shapes \(40, 33\) and \(40, 33\)"),
        (lambda K: K @ K.T + K, ValueError, r"terms of a sum must have one shape: found \(40, 40\) and \(40, 33\)"),
        (lambda K: K.operator + 1, TypeError, "a number is not an operator"),
        (lambda K: K.operator * K.operator, TypeError, "by others with @"),
        (lambda K: K.operator**2, ValueError, "powers are those of square operators"),
        (lambda K: (K @ K.T) ** 0, ValueError, "n = 1, 2, ..."),
        (lambda K: (Vi(X) - Vj(Y)).operator, ValueError, r"of one component, without batch dimensions: found shape \(40, 33, 3\)"),
        (lambda K: Vi(X[:, :1]).operator, ValueError, "a tensor of points i and j"),
        (lambda K: K.operator @ np.ones(5), ValueError, "(?i)dimension mismatch"),  # SciPy's own words
        (lambda K: K.operator + np.eye(40)[:, :33].astype(object), TypeError, "operators are made of numbers: found dtype object"),
        (lambda K: Genred("x", ["x = Vi(33)"], axis=0)(K), TypeError, r"argument 'x' = Vi\(33\): a LazyTensor of shape"),
    ],
)
def test_bad_input(make, error, message):
    with pytest.raises(error, match=message):
        make(gaussian(X, Y)[0])
