"""MMD, HSIC and the energy distance against dense NumPy and SciPy; their tests against enumerations and known distributions."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from scipy.spatial.distance import cdist, pdist
from scipy.stats import energy_distance as scipy_energy_distance
from sklearn.metrics.pairwise import pairwise_kernels

from skkeops import Formula, energy_distance, hsic, hsic_test, kernels, median_length_scale, mmd, mmd_test

RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(40, 3)), 1.3 * RNG.normal(size=(31, 3)) + 0.2
V = X[:, :2] ** 2 + 0.3 * RNG.normal(size=(40, 2))


def dense_mmd(kxx, kyy, kxy, unbiased):
    m, n = kxy.shape
    if not unbiased:
        return kxx.mean() + kyy.mean() - 2 * kxy.mean()
    first, second = ((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in (kxx, kyy))
    return first + second - 2 * kxy.mean()


def dense_hsic(K, L, unbiased):  # noqa: N803
    n = len(K)
    if not unbiased:
        H = np.eye(n) - 1 / n
        return np.trace(K @ H @ L @ H) / n**2
    K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
    one = np.ones(n)
    middle = (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
    return (np.trace(K @ L) + middle - 2 / (n - 2) * (one @ K @ L @ one)) / (n * (n - 3))


def gaussian(a, b, length):
    return np.exp(-cdist(a, b, "sqeuclidean") / (2 * length**2))


DENSE = [
    (kernels.Gaussian(0.8), lambda a, b: gaussian(a, b, 0.8)),
    (kernels.Energy(), lambda a, b: -cdist(a, b)),
    ("laplacian", lambda a, b: pairwise_kernels(a, b, metric="laplacian")),
    ("Square((x | y) + 1)", lambda a, b: (a @ b.T + 1) ** 2),
    (2.0 * kernels.Matern(1.0, nu=0.5) + kernels.Constant(3.0), lambda a, b: 2 * np.exp(-cdist(a, b)) + 3),
]


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize(("kernel", "dense"), DENSE, ids=lambda p: "" if callable(p) and not hasattr(p, "theta") else str(p)[:30])
def test_mmd(kernel, dense, unbiased, backend):
    expected = dense_mmd(dense(X, X), dense(Y, Y), dense(X, Y), unbiased)
    assert mmd(X, Y, kernel, unbiased=unbiased, backend=backend) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("unbiased", [True, False])
def test_noise_counts_on_the_diagonal(unbiased):
    """White is what `k(X)` adds to the diagonal: a part of the biased estimate alone."""
    k = kernels.Gaussian(1.0) + kernels.White(0.3)
    expected = dense_mmd(k(X), k(Y), k(X, Y), unbiased)
    assert mmd(X, Y, k, unbiased=unbiased) == pytest.approx(expected, rel=1e-12)
    assert hsic(X, V, k, k, unbiased=unbiased) == pytest.approx(dense_hsic(k(X), k(V), unbiased), rel=1e-12)


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize(("kernel", "dense"), DENSE, ids=lambda p: "" if callable(p) and not hasattr(p, "theta") else str(p)[:30])
def test_hsic(kernel, dense, unbiased, backend):
    expected = dense_hsic(dense(X, X), gaussian(V, V, 0.7), unbiased)
    found = hsic(X, V, kernel, kernels.Gaussian(0.7), unbiased=unbiased, backend=backend)
    assert found == pytest.approx(expected, rel=1e-10)
    assert hsic(V, X, kernels.Gaussian(0.7), kernel, unbiased=unbiased) == pytest.approx(expected, rel=1e-10)


def test_length_scale_by_the_median():
    pooled = np.concatenate([X, Y])
    length = np.median(pdist(pooled))
    assert median_length_scale(X, Y) == median_length_scale(pooled) == length
    expected = dense_mmd(gaussian(X, X, length), gaussian(Y, Y, length), gaussian(X, Y, length), True)
    assert mmd(X, Y) == pytest.approx(expected, rel=1e-10)
    lengths = np.median(pdist(X)), np.median(pdist(V))
    assert hsic(X, V) == pytest.approx(dense_hsic(gaussian(X, X, lengths[0]), gaussian(V, V, lengths[1]), True), rel=1e-10)
    # More than half of the distances are zero.
    assert median_length_scale([[0.0], [0.0], [0.0], [0.0], [2.0]]) == 2.0
    with pytest.raises(ValueError, match="all samples are equal"):
        median_length_scale(np.ones((3, 2)))
    large = RNG.normal(size=(5000, 2))
    assert median_length_scale(large) == median_length_scale(large)
    assert median_length_scale(large) == pytest.approx(np.sqrt(4 * np.log(2)), rel=0.03)  # of a Rayleigh distribution


def test_energy_distance():
    x, y = RNG.normal(size=50), RNG.exponential(size=33)
    assert energy_distance(x[:, None], y[:, None]) == pytest.approx(scipy_energy_distance(x, y), rel=1e-12)
    squared = 2 * cdist(X, Y).mean() - cdist(X, X).mean() - cdist(Y, Y).mean()
    assert energy_distance(X, Y) == pytest.approx(np.sqrt(squared), rel=1e-11)
    assert energy_distance(X, X) == 0


@pytest.mark.parametrize("unbiased", [True, False])
def test_splits_are_those_of_the_pooled_samples(unbiased):
    """Of seven points every split is met; discrepancies are those of the parts, and the p-value their rank, ties included."""
    x, y = RNG.normal(size=(4, 2)), RNG.normal(size=(3, 2))
    pooled = np.concatenate([x, y])
    every = []
    for chosen in combinations(range(7), 4):
        a, b = pooled[list(chosen)], np.delete(pooled, chosen, axis=0)
        every.append(dense_mmd(gaussian(a, a, 1.0), gaussian(b, b, 1.0), gaussian(a, b, 1.0), unbiased))
    found = mmd_test(x, y, kernels.Gaussian(1.0), unbiased=unbiased, n_permutations=1500, random_state=0)
    assert found.statistic == pytest.approx(every[0], rel=1e-12)
    near = abs(found.null_distribution[:, None] - np.array(every))
    assert near.min(axis=1).max() < 1e-14  # each of them is one of the 35
    assert len(np.unique(near.argmin(axis=1))) == 35
    exact = np.mean(np.array(every) >= every[0] - 1e-14)
    assert found.pvalue == pytest.approx(exact, abs=0.06)
    assert found.pvalue == (1 + np.sum(found.null_distribution >= found.statistic - 1e-14)) / 1501


@pytest.mark.parametrize("unbiased", [True, False])
def test_permutations_are_those_of_the_rows(unbiased):
    x, y = RNG.normal(size=(5, 2)), RNG.normal(size=(5, 1))
    K, L = gaussian(x, x, 1.0), gaussian(y, y, 1.0)  # noqa: N806
    orders = [list(order) for order in permutations(range(5))]
    every = np.array([dense_hsic(K, L[np.ix_(order, order)], unbiased) for order in orders])
    k = kernels.Gaussian(1.0)
    found = hsic_test(x, y, k, k, unbiased=unbiased, n_permutations=400, random_state=0)
    assert found.statistic == pytest.approx(every[0], rel=1e-10)
    near = abs(found.null_distribution[:, None] - every)
    assert near.min(axis=1).max() < 1e-14
    assert found.pvalue == pytest.approx(np.mean(every >= every[0] - 1e-14), abs=0.08)


def test_p_values_are_uniform_for_equal_distributions_and_small_for_others():
    same, other, independent, dependent = [], [], [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        a, b = rng.normal(size=(30, 2)), rng.normal(size=(25, 2))
        options = {"n_permutations": 99, "random_state": seed}
        same.append(mmd_test(a, b, **options).pvalue)
        other.append(mmd_test(a, 2.5 * b, **options).pvalue)
        independent.append(hsic_test(a[:25], b, **options).pvalue)
        dependent.append(hsic_test(a, abs(a) + 0.1 * rng.normal(size=a.shape), **options).pvalue)
    for p in (same, independent):
        assert 0.3 < np.mean(p) < 0.7 and np.mean(np.array(p) <= 0.1) < 0.3
    for p in (other, dependent):
        assert np.mean(np.array(p) <= 0.05) > 0.9


def test_blocks_of_permutations(monkeypatch):
    """However many share a pass, they are the same."""
    expected = mmd_test(X, Y, n_permutations=50, random_state=1)
    monkeypatch.setattr("skkeops.statistics.discrepancy._BYTES", 1)
    found = mmd_test(X, Y, n_permutations=50, random_state=1)
    np.testing.assert_allclose(found.null_distribution, expected.null_distribution, atol=1e-15)
    assert found.statistic == expected.statistic and len(found.null_distribution) == 50
    assert "pvalue=" in repr(found) and found.kernels == (kernels.Gaussian(median_length_scale(X, Y)),)


def test_float32_and_other_namespaces():
    expected = mmd(X, Y, kernels.Gaussian(1.0))
    assert mmd(X.astype(np.float32), Y.astype(np.float32), kernels.Gaussian(1.0)) == pytest.approx(expected, rel=1e-4)
    assert mmd(X.tolist(), Y, kernels.Gaussian(1.0)) == expected
    assert mmd(X.astype(np.float32), Y, kernels.Gaussian(1.0)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mmd(X, Y[:, :2]), "X and Y must have the same features: found 3 and 2"),
        (lambda: mmd(X[:1], Y), "X must have at least 2 samples: found 1"),
        (lambda: mmd(X, Y * np.nan), "Input Y contains NaN"),
        (lambda: mmd(X, Y, "gauss"), "Did you mean 'rbf'"),
        (lambda: mmd(X, Y, "x - y"), "kernel must be a number: found a formula with 3 components"),
        (lambda: mmd(X, Y, "chi2"), "kernel is defined for samples without negative values"),
        (lambda: mmd(X, Y, Formula("(x|y)", ["x = Vi(2)", "y = Vj(2)"])), "take 2 columns of the queries .*: found 3"),
        (lambda: mmd_test(X, Y, n_permutations=0), "n_permutations == 0, must be >= 1"),
        (lambda: hsic(X, Y), "inconsistent numbers of samples"),
        (lambda: hsic(X[:3], V[:3]), "X must have at least 4 samples: found 3"),
        (lambda: hsic(X, V, kernel_y="x - y"), "kernel_y must be a number"),
        (lambda: energy_distance(X[0], Y), "Expected 2D array, got 1D array"),
        (lambda: mmd(X, Y, backend="cpu"), "backend='cpu' is not known"),
    ],
)
def test_mistakes(call, message):
    with pytest.raises(ValueError, match=message):
        call()
