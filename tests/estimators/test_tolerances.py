"""Estimators that leave out samples which do not matter: within their tolerances, beside dense sums."""

import numpy as np
import pytest
from sklearn import neighbors
from sklearn.utils._param_validation import InvalidParameterError

from skkeops import KernelDensity, KernelLogSumExp, KernelRidge, KernelSmoother, KernelSum, kernels
from skkeops.estimators.bandwidth import LeaveOneOut
from skkeops.execution import choose
from skkeops.execution.methods import tiles, truncation
from skkeops.genred import shared

M, N, H = 300, 900, 0.1


@pytest.fixture
def shares(monkeypatch):
    """Small calls are asked, too; the shares of the pairs that sums with a tolerance compute."""
    monkeypatch.setattr(tiles.TileMethod, "least_pairs", 1)
    monkeypatch.setattr(tiles, "WORTH", 1.0)
    monkeypatch.setattr(truncation, "_PAIRS_PER_ROW", 0)
    monkeypatch.setattr(truncation, "_WORTH_IN_SAMPLE", 1.0)
    seen = []

    def noting(name):
        real = getattr(choose.Choice, name)

        def call(self, *args):
            found = real(self, *args)
            if self.report.method == "truncation":
                seen.append(self.report.share)
            return found

        monkeypatch.setattr(choose.Choice, name, call)

    noting("state")
    noting("run")
    shared.cache_clear()  # what is kept of before was prepared with other sizes
    yield seen
    shared.cache_clear()


def data(seed=0):
    rng = np.random.default_rng(seed)
    centers = np.array([[0.0, 0.0], [2.0, 1.0], [-1.0, 2.0], [3.0, -2.0]])
    x, y = (centers[rng.integers(4, size=n)] + 0.15 * rng.normal(size=(n, 2)) for n in (M, N))
    return x, y, rng.normal(size=N), rng.random(N)


def gaussian(x, y):
    return np.exp(-((x[:, None] - y) ** 2).sum(axis=2) / (2 * H**2))


def check_share(shares):
    assert shares and max(shares) < 0.6
    shares.clear()


@pytest.mark.parametrize("weighted", [False, True])
def test_densities(weighted, shares):
    x, y, _, w = data()
    w = w if weighted else None
    density = gaussian(x, y) @ (np.full(N, 1 / N) if w is None else w / w.sum()) / (2 * np.pi * H**2)
    for rtol in (1e-3, 1e-12):
        model = KernelDensity(bandwidth=H, rtol=rtol).fit(y, sample_weight=w)
        found = np.exp(model.score_samples(x))
        check_share(shares)
        assert (abs(found - density) <= (rtol + 1e-12) * density).all()
    exact = KernelDensity(bandwidth=H, rtol=0).fit(y, sample_weight=w)
    np.testing.assert_allclose(np.exp(exact.score_samples(x)), density, rtol=1e-12)
    assert not shares
    assert KernelDensity().rtol == 1e-12  # which is asked for without being asked for
    rough = KernelDensity(bandwidth=H, rtol=0, atol=1e-3).fit(y, sample_weight=w)
    assert (abs(np.exp(rough.score_samples(x)) - density) <= 1e-3).all()
    check_share(shares)
    KernelDensity(bandwidth=H, rtol=2).fit(y).score_samples(x)  # as scikit-learn's may


@pytest.mark.parametrize("kernel", ["tophat", "epanechnikov", "linear", "cosine", "exponential"])
def test_densities_of_other_windows(kernel, shares):
    x, y, *_ = data(1)
    found = KernelDensity(kernel=kernel, bandwidth=H, rtol=1e-6).fit(y).score_samples(x)
    check_share(shares)
    expected = neighbors.KernelDensity(kernel=kernel, bandwidth=H, rtol=0).fit(y).score_samples(x)
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))
    difference = (found - expected)[np.isfinite(expected)]
    assert np.ptp(difference) < 3e-6  # up to the mass of the window, which is another for scikit-learn's cosine
    assert abs(difference).max() < 3e-6 or kernel == "cosine"


def test_gradients_of_densities(shares):
    x, y, *_ = data(2)
    names = ("X", "X_fit", "bandwidth", "sample_weight")
    w = np.ones(N)
    found = KernelDensity(bandwidth=H, rtol=1e-9).fit(y, sample_weight=w).gradient(x, wrt=names)
    check_share(shares)
    expected = KernelDensity(bandwidth=H, rtol=0).fit(y, sample_weight=w).gradient(x, wrt=names)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-7 * np.abs(b).max())


def test_a_bandwidth_is_learned_with_few_pairs(shares):
    _, y, *_ = data(3)
    likelihood, exact = LeaveOneOut(y), LeaveOneOut(y, rtol=0)
    value, slope = likelihood(0.02)
    check_share(shares[:1])  # samples that are far from all others are computed again, from all pairs
    np.testing.assert_allclose(value, exact(0.02)[0], rtol=1e-11)
    np.testing.assert_allclose(slope, exact(0.02)[1], rtol=1e-10)
    learned = KernelDensity(bandwidth="cv").fit(y).bandwidth_
    np.testing.assert_allclose(learned, KernelDensity(bandwidth="cv", rtol=0).fit(y).bandwidth_, rtol=1e-6)


def test_sums_and_averages(shares):
    x, y, b, w = data(4)
    k, kernel, rtol = gaussian(x, y), kernels.Gaussian(H), 1e-3
    found = KernelSum(kernel, rtol=rtol).fit(y, b).transform(x)[:, 0]
    check_share(shares)
    assert (abs(found - k @ b) <= rtol * (k @ abs(b)) + 1e-13).all()
    found = KernelLogSumExp(kernel, rtol=rtol).fit(y, sample_weight=w).transform(x)[:, 0]
    check_share(shares)
    assert (abs(np.exp(found) - k @ w) <= rtol * (k @ w)).all()
    found = KernelSmoother(kernel, rtol=rtol).fit(y, b).predict(x)
    check_share(shares)
    assert (abs(found - k @ b / k.sum(axis=1)) <= rtol * (k @ abs(b)) / k.sum(axis=1) + 1e-13).all()
    model = KernelRidge(1.0, kernel=kernel, rtol=rtol).fit(y, b)
    shares.clear()
    found = model.predict(x)
    check_share(shares)
    assert (abs(found - k @ model.dual_coef_) <= rtol * (k @ abs(model.dual_coef_)) + 1e-13).all()


@pytest.mark.parametrize("estimator", [KernelSum, KernelLogSumExp, KernelSmoother, KernelRidge])
def test_tolerances_that_mean_nothing(estimator):
    x = np.zeros((4, 2))
    for rtol in (-0.1, 1.0, "small"):
        with pytest.raises(InvalidParameterError, match="'rtol' parameter"):
            estimator(rtol=rtol).fit(x, np.ones(4))
    assert estimator().rtol == 0


def test_polynomials_have_no_tolerance():
    with pytest.raises(ValueError, match="rtol is a bound for means, which are of degree 0, .*: found rtol=0.1 with degree=1"):
        KernelSmoother(degree=1, rtol=0.1).fit(np.zeros((4, 2)), np.ones(4))
