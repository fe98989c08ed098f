"""ComplexLazyTensor as a matrix: SciPy's operators, eigenvalues, systems."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import aslinearoperator, eigsh, gmres, svds

from skkeops import Vi, Vj

from .waves import B, C, M, N, X, Y, Z, gauss, random, wave


def hermitian():
    """A modulated Gaussian kernel: Hermitian and positive definite."""
    x = np.random.default_rng(0).uniform(-1, 1, (60, 2))
    xi, yj = Vi(x), Vj(x)
    K = (-4 * xi.sqdist(yj)).exp() * (3 * (xi - yj)[0]).exp1j()
    difference = x[:, None] - x[None]
    return K, np.exp(-4 * (difference**2).sum(-1) + 3j * difference[..., 0])


def test_operator():
    K, dense = wave()
    operator = aslinearoperator(K)
    assert operator.dtype == complex and operator.shape == (M, N)
    np.testing.assert_allclose(operator.matvec(B), dense @ B, rtol=1e-12)
    np.testing.assert_allclose(operator.rmatvec(Z[:, 0]), dense.conj().T @ Z[:, 0], rtol=1e-12)
    np.testing.assert_allclose(operator.H @ Z[:, 0], dense.conj().T @ Z[:, 0], rtol=1e-12)
    np.testing.assert_allclose(operator @ C, dense @ C, rtol=1e-12)
    found = svds(operator, k=3, random_state=0)[1]
    np.testing.assert_allclose(np.sort(found), np.linalg.svd(dense)[1][:3][::-1], rtol=1e-10)


def test_eigenvalues_of_a_hermitian_kernel():
    K, dense = hermitian()
    values, vectors = eigsh(aslinearoperator(K), k=4, v0=np.ones(60))
    np.testing.assert_allclose(np.sort(values), np.linalg.eigvalsh(dense)[-4:], rtol=1e-10)
    np.testing.assert_allclose(K @ vectors, vectors * values, atol=1e-10)


def test_linear_system_by_gmres():
    K, dense = hermitian()
    b = np.exp(1j * np.arange(60))
    shifted = aslinearoperator(K) + aslinearoperator(0.5 * np.eye(60))
    solution, info = gmres(shifted, b, rtol=1e-10, restart=60)
    assert info == 0
    np.testing.assert_allclose(solution, np.linalg.solve(dense + 0.5 * np.eye(60), b), atol=1e-8)


def test_complex_right_hand_sides_of_a_real_system():
    x = np.random.default_rng(1).normal(size=(30, 2))
    K, dense = gauss(x, x)
    for b in (random(30), random(30, 2), random(30, 1)):
        found = K.solve(b, alpha=0.5, eps=1e-10)
        assert found.dtype == complex
        np.testing.assert_allclose(found, np.linalg.solve(dense + 0.5 * np.eye(30), b), atol=1e-8)
    np.testing.assert_allclose(K.solve(Vj(b), alpha=0.5, eps=1e-10), found, atol=1e-12)


def test_lazy_operators():
    K, dense = wave()
    G, real = gauss(X, Y)
    for found, expected in (
        (K.operator, dense),
        (K.operator.H, dense.conj().T),
        (K.operator.T, dense.T),
        (K.operator.H.T, dense.conj()),
        (K @ K.H, dense @ dense.conj().T),
        (K @ G.T, dense @ real.T),
        ((2j * G.operator + K.operator) / 3, (2j * real + dense) / 3),
        ((G.operator * 1j).H, -1j * real.T),
        (K.operator @ csr_array(C), dense @ C),
        ((K.operator @ csr_array(C)).H, (dense @ C).conj().T),
        ((K @ K.H) ** 2, np.linalg.matrix_power(dense @ dense.conj().T, 2)),
    ):  # fmt: skip
        assert found.shape == expected.shape and found.dtype == expected.dtype
        v, u = random(expected.shape[1]), random(expected.shape[0], 2)
        scale = np.abs(expected).sum()
        np.testing.assert_allclose(found @ v, expected @ v, atol=1e-12 * scale)
        np.testing.assert_allclose(found @ v.real, expected @ v.real, atol=1e-12 * scale)
        np.testing.assert_allclose(found.rmatmat(u), expected.conj().T @ u, atol=1e-12 * scale)
        np.testing.assert_allclose(u.T @ found, u.T @ expected, atol=1e-12 * scale)
    np.testing.assert_allclose(K @ csr_array(C), dense @ C, rtol=1e-12)
    np.testing.assert_allclose(G.operator @ B, real @ B, rtol=1e-12)
    np.testing.assert_allclose(G.operator.rmatvec(Z[:, 0]), real.T @ Z[:, 0], rtol=1e-12)
