"""RPCholesky against the matrix of the kernel, scikit-learn's Nystroem, and the bound of its authors."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import eigh
from sklearn.kernel_approximation import Nystroem
from sklearn.metrics.pairwise import pairwise_kernels

from skkeops import Formula, RPCholesky, kernels
from skkeops.solvers.cholesky import cholesky_and_pivots

RNG = np.random.default_rng(3)
X, Q = RNG.normal(size=(300, 3)), RNG.normal(size=(20, 3))


@pytest.mark.parametrize(("name", "options"), [("rbf", {"gamma": 0.3}), ("laplacian", {"gamma": 0.2}), ("poly", {"degree": 2})])
def test_features(name, options):
    matrix = pairwise_kernels(X, metric=name, **options)
    model = RPCholesky(name, **options, n_components=30, random_state=0)
    Z = model.fit_transform(X)
    s = model.component_indices_
    assert len(set(s)) == len(s) == Z.shape[1] <= 30
    np.testing.assert_array_equal(model.components_, X[s])
    # Nyström's formula, exact where one of the two is a pivot.
    to_queries = pairwise_kernels(Q, X[s], metric=name, **options)
    np.testing.assert_allclose(Z @ Z.T, matrix[:, s] @ np.linalg.solve(matrix[np.ix_(s, s)], matrix[s]), atol=1e-9 * matrix.max())
    np.testing.assert_allclose((Z @ Z.T)[s], matrix[s], atol=1e-9 * matrix.max())
    np.testing.assert_allclose(model.transform(Q) @ Z[s].T, to_queries, atol=1e-9 * matrix.max())
    np.testing.assert_allclose(model.transform(X), Z, atol=1e-8 * np.sqrt(matrix.max()))
    np.testing.assert_allclose(model.normalization_ @ matrix[np.ix_(s, s)] @ model.normalization_.T, np.eye(len(s)), atol=1e-8)
    # The trace norm: the sum of the absolute eigenvalues.
    missed = abs(eigh(matrix - Z @ Z.T, eigvals_only=True)).sum()
    assert model.trace_error_ == pytest.approx(missed / np.trace(matrix), rel=1e-8, abs=1e-13)


def test_tolerance():
    """As few features as are enough, of those in the order in which they were drawn."""
    matrix = pairwise_kernels(X, metric="rbf", gamma=0.1)
    for tol in (0.3, 1e-2, 1e-4):
        model = RPCholesky("rbf", gamma=0.1, n_components=None, tol=tol, random_state=1)
        Z = model.fit_transform(X)
        assert model.trace_error_ <= tol
        one_less = Z[:, :-1]
        assert np.trace(matrix - one_less @ one_less.T) > tol * np.trace(matrix)
    few = RPCholesky("rbf", gamma=0.1, n_components=5, tol=1e-4, random_state=1).fit(X)
    assert few.transform(Q).shape == (20, 5) and few.trace_error_ > 1e-4
    flat = RPCholesky("linear", n_components=100, random_state=0)  # of rank 3
    assert flat.fit_transform(X).shape == (300, 3) and flat.trace_error_ < 1e-12


def test_expected_error():
    """Theorem 5.1 of Chen et al.: on average, r / e + r log(1 / (e q)) columns miss at most (1 + e) times what the best r miss."""
    matrix = pairwise_kernels(X, metric="rbf", gamma=0.05)
    values = eigh(matrix, eigvals_only=True)[::-1]
    for r, e in ((3, 1.0), (8, 0.5)):
        best = values[r:].sum() / values.sum()
        k = int(np.ceil(r / e + r * np.log(1 / (e * best))))
        errors = [RPCholesky("rbf", gamma=0.05, n_components=k, random_state=seed).fit(X).trace_error_ for seed in range(12)]
        assert np.mean(errors) <= (1 + e) * best


def test_blocks_are_draws_one_by_one():
    """The second pivot is drawn where the first misses most: as often as the algorithm without blocks says."""
    few = np.array([[0.0], [0.1], [0.2], [0.3], [2.0], [2.2], [9.0]])
    matrix = pairwise_kernels(few, metric="rbf", gamma=1.0)
    expected = np.zeros(7)
    for first in range(7):
        left = np.diag(matrix) - matrix[first] ** 2
        expected += left / left.sum() / 7
    counts = np.zeros(7)
    random = np.random.RandomState(0)
    for _ in range(700):
        _, pair, _ = cholesky_and_pivots(lambda which: matrix[:, which], np.diag(matrix), 2, random, one_by_one=True)
        counts[pair] += 1
    np.testing.assert_allclose(counts / 700 - 1 / 7, expected, atol=0.07)


def test_better_than_uniform_samples():
    """Where a small part of the samples lies elsewhere, uniform draws miss it."""
    far = np.concatenate([0.1 * RNG.normal(size=(950, 2)), RNG.uniform(5, 15, size=(50, 2))])
    matrix = pairwise_kernels(far, metric="rbf", gamma=0.5)
    ours, theirs = [], []
    for seed in range(10):
        ours.append(RPCholesky("rbf", gamma=0.5, n_components=40, random_state=seed).fit(far).trace_error_)
        Z = Nystroem(kernel="rbf", gamma=0.5, n_components=40, random_state=seed).fit_transform(far)
        theirs.append(np.trace(matrix - Z @ Z.T) / np.trace(matrix))
    assert np.mean(ours) < np.mean(theirs) / 2


def test_dtypes_backends_and_kernels():
    kernel = 2.0 * kernels.Matern(1.5) + kernels.White(0.5)  # whose noise has no part
    double = RPCholesky(kernel, n_components=20, random_state=0).fit(X)
    expected = double.transform(Q)
    s = double.component_indices_
    np.testing.assert_allclose(expected @ double.transform(X[s]).T, kernel(Q, X[s]), atol=1e-10)
    single = RPCholesky(kernel, n_components=20, random_state=0).fit(X.astype(np.float32))
    assert single.transform(Q.astype(np.float32)).dtype == single.normalization_.dtype == np.float32
    np.testing.assert_allclose(single.transform(Q.astype(np.float32)), expected, atol=1e-4)
    reference = RPCholesky(kernel, n_components=20, random_state=0, backend="reference").fit(X)
    np.testing.assert_allclose(reference.transform(Q), expected, rtol=1e-9, atol=1e-11)


def test_mistakes():
    with pytest.raises(ValueError, match="the kernel must be positive semi-definite"):
        RPCholesky("-Exp(-SqDist(x, y))").fit(X)
    with pytest.raises(ValueError, match="the kernel must be positive semi-definite"):
        RPCholesky("SqDist(x, y) + 1").fit(X)
    with pytest.raises(ValueError, match="the kernel must not be zero"):
        RPCholesky("linear").fit(np.zeros((5, 2)))
    with pytest.raises(ValueError, match="the kernel must be a number"):
        RPCholesky("x - y").fit(X)
    with pytest.raises(ValueError, match=r"y = Vj\(2\) of the formula take 2 columns of the reference samples"):
        RPCholesky(Formula("(x | y)", ["x = Vi(2)", "y = Vj(2)"])).fit(X)
    with pytest.raises(ValueError, match="The 'tol' parameter of RPCholesky must be"):
        RPCholesky(tol=1.0).fit(X)
