"""ComplexLazyTensor with values of pairs, choices, ranges."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from skkeops import Vi, Vij, where
from skkeops.cluster import band_ranges

from .waves import B, M, N, X, Y, random, wave


def test_values_of_pairs():
    table = random(M, N)
    K, dense = wave()
    np.testing.assert_allclose((K * Vij(table)).sum(axis=1)[:, 0], (dense * table).sum(1), rtol=1e-12)
    np.testing.assert_allclose(K * table @ B, (dense * table) @ B, rtol=1e-12)
    np.testing.assert_allclose((table + K).dense(), table + dense, rtol=1e-14)
    np.testing.assert_allclose((abs(K) * Vij(table).conj()).H.dense(), table.T, rtol=1e-14)
    many = random(M, N, 2)
    np.testing.assert_allclose((Vij(many) * K).sum(axis=0), (many * dense[..., None]).sum(0), rtol=1e-12)
    found = (K * Vij(table)).gradient(table)
    assert found.shape == table.shape
    np.testing.assert_allclose(found, dense.conj(), rtol=1e-12)
    np.testing.assert_allclose((Vij(many) * K).gradient(many), np.broadcast_to(dense.conj()[..., None], many.shape), rtol=1e-12)


def test_sparse_values_of_pairs(rng):
    table = np.where(rng.uniform(size=(M, N)) < 0.3, random(M, N), 0)
    K, dense = wave()
    np.testing.assert_allclose((K * Vij(csr_array(table))).sum(axis=1)[:, 0], (dense * table).sum(1), rtol=1e-12, atol=1e-14)


def test_choices_of_pairs():
    K, dense = wave()
    mask = X[:, :1] > Y[:, 0]
    np.testing.assert_allclose(where(mask, K, 2j).dense(), np.where(mask, dense, 2j), rtol=1e-14)
    np.testing.assert_allclose(np.where(K.real > 0, K, 1.0).dense(), np.where(dense.real > 0, dense, 1), rtol=1e-14)
    np.testing.assert_allclose(K.tril(1).dense(), np.tril(dense, 1), rtol=1e-14)
    np.testing.assert_allclose(K.band(1, 2, fill=1j).dense(), np.where(np.tri(M, N, 2) * np.tri(N, M, 1).T, dense, 1j), rtol=1e-14)
    np.testing.assert_allclose(where(mask, Vi(X).sum(-1), 1j).dense(), np.where(mask, X.sum(1)[:, None], 1j), rtol=1e-14)


def test_functions_of_numpy_that_are_no_ufuncs():
    K, dense = wave()
    assert np.iscomplexobj(K) and not np.isrealobj(K) and np.isrealobj(abs(K))
    np.testing.assert_allclose(np.angle(K, deg=True).dense(), np.angle(dense, deg=True), rtol=1e-12)
    np.testing.assert_allclose(np.sum(K, axis=1), dense.sum(1), rtol=1e-12)
    np.testing.assert_allclose(np.mean(K, axis=0), dense.mean(0), rtol=1e-12)
    np.testing.assert_allclose(np.sum(K), dense.sum(), rtol=1e-12)


def test_constants_that_are_not_finite():
    found = (Vi(X) + complex(0, np.inf)).dense()
    assert (found.imag == np.inf).all() and (found.real == X[:, None]).all()


def test_ranges_and_backend_go_along():
    K, dense = wave()
    K.ranges, K.backend = band_ranges(M, N, 0, None, block=1), "reference"
    for tensor in (K.conj(), K.H.H, K.real, 2j * K, K.exp()):
        assert tensor.backend == "reference" and tensor.ranges is not None
    np.testing.assert_allclose(K.conj().sum(axis=1)[:, 0], np.triu(dense).conj().sum(axis=1), rtol=1e-12)
