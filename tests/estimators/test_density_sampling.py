"""Samples that are drawn from a KernelDensity."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import neighbors

from skkeops import KernelDensity

from .windows import COMPACT, NAMES, PROFILES


@pytest.mark.parametrize("dim", [1, 2, 3, 8])
@pytest.mark.parametrize("name", NAMES)
def test_sample(name, dim):
    # The law of the radius, and the first two moments of a direction.
    center, h, n = np.arange(dim) * 10.0, 0.7, 20_000
    density = KernelDensity(kernel=name, bandwidth=h).fit(center[None])
    drawn = density.sample(n, random_state=3) - center
    assert drawn.shape == (n, dim)
    r = np.linalg.norm(drawn, axis=1) / h
    grid = np.linspace(0, 1 if name in COMPACT else 6 * dim + 20, 20_001)
    mids = 0.5 * (grid[1:] + grid[:-1])
    mass = mids ** (dim - 1) * PROFILES[name](mids)
    cdf = np.concatenate(([0], np.cumsum(mass) / mass.sum()))
    assert stats.kstest(r, lambda x: np.interp(x, grid, cdf)).pvalue > 1e-3
    second = (mids**2 @ mass) / mass.sum() / dim * h * h
    spread = math.sqrt(second / n)
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=5 * spread)
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(dim) * second, atol=0.06 * second)


def test_sample_chooses_by_weight(rng):
    samples, weights = np.arange(4.0)[:, None] * 100, np.array([0.0, 1.0, 3.0, 0.0])
    for name in NAMES:
        drawn = KernelDensity(kernel=name).fit(samples, sample_weight=weights).sample(4000, random_state=0)
        counts = np.bincount(np.rint(drawn[:, 0] / 100).astype(int), minlength=4)
        assert counts[[0, 3]].sum() == 0
        assert stats.binomtest(int(counts[2]), 4000, 0.75).pvalue > 1e-3


def test_sample_at_the_ends_of_the_random_numbers():
    class Ends(np.random.RandomState):
        def uniform(self, size):
            return np.linspace(0, np.nextafter(1, 0), size)

    # The sum of the first weights rounds to that of all.
    for weights in ([0.0, 1.0, 1e-17, 0.0], [0.0, 0.1, 0.2, 0.0]):
        density = KernelDensity(bandwidth=1e-9).fit(np.arange(4.0)[:, None], sample_weight=weights)
        drawn = np.rint(density.sample(101, random_state=Ends(0))[:, 0])
        assert set(drawn) <= {1, 2} and drawn[0] == 1


@pytest.mark.parametrize("scaling", ["std", "covariance"])
def test_sample_has_the_spread_of_the_scaling(scaling, rng):
    samples = rng.standard_normal((300, 2)) @ [[3.0, 1.0], [0.0, 0.2]] + 50
    density = KernelDensity(bandwidth=0.5, scaling=scaling).fit(samples)
    kernel = density.covariance_ if scaling == "covariance" else np.diag(density.scale_**2)
    expected = np.cov(samples.T, bias=True) + 0.25 * kernel
    drawn = density.sample(100_000, random_state=0)
    np.testing.assert_allclose(drawn.mean(axis=0), samples.mean(axis=0), atol=0.05)
    np.testing.assert_allclose(np.cov(drawn.T), expected, rtol=0.03)
    per_feature = KernelDensity(bandwidth=[0.1, 10.0]).fit(np.zeros((1, 2))).sample(20_000, random_state=0)
    np.testing.assert_allclose(per_feature.std(axis=0), [0.1, 10.0], rtol=0.03)


@pytest.mark.parametrize("name", ["gaussian", "tophat"])
def test_sample_as_scikit_learn(name, rng):
    samples, weights = rng.standard_normal((50, 3)), rng.random(50)
    for w in (None, weights):
        ours, theirs = (
            e(kernel=name, bandwidth=0.3).fit(samples, sample_weight=w).sample(20, random_state=7)
            for e in (KernelDensity, neighbors.KernelDensity)
        )
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_number_of_samples():
    density = KernelDensity().fit(np.zeros((2, 3)))
    assert density.sample().shape == (1, 3)
    assert all(KernelDensity(kernel=name).fit(np.zeros((2, 3))).sample(0).shape == (0, 3) for name in NAMES)
    with pytest.raises(TypeError, match="n_samples"):
        density.sample(2.5)
    with pytest.raises(ValueError, match="n_samples"):
        density.sample(-1)
