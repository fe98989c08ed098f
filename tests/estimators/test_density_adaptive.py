"""Bandwidths per sample, and Abramson's rule, beside sums over the matrix of distances."""

import math

import joblib
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp

from skkeops import KernelDensity

from .windows import COMPACT, LOG_PROFILES, NAMES, PROFILES, log_mass, truth


def adaptive(name, queries, samples, h, weights=None):
    """Log densities with a bandwidth for each sample, h of shape (n_samples, 1) or (n_samples, n_features)."""
    dim = samples.shape[1]
    weights = np.ones(len(samples)) if weights is None else weights
    h = np.broadcast_to(h, samples.shape)
    r = np.sqrt((((queries[:, None] - samples) / h) ** 2).sum(-1))
    with np.errstate(divide="ignore"):
        log_k = LOG_PROFILES[name](r) if name in LOG_PROFILES else np.log(PROFILES[name](r))
        log_k = log_k - np.log(h).sum(axis=1) + np.log(weights)
    return logsumexp(log_k, axis=1) - np.log(weights.sum()) - log_mass(name, dim)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dim", [1, 2, 5])
@pytest.mark.parametrize("name", NAMES)
def test_a_bandwidth_per_sample(name, dim, weighted, rng):
    samples, queries = rng.standard_normal((150, dim)), rng.standard_normal((40, dim))
    weights = rng.random(150) * (rng.random(150) > 0.3) if weighted else None
    h = np.exp(rng.uniform(-1, 1, 150)) * math.sqrt(dim)
    expected = adaptive(name, queries, samples, h[:, None], weights)
    assert np.isfinite(expected).any()
    for form in (h, h.tolist(), h[:, None]):
        density = KernelDensity(kernel=name, bandwidth=form).fit(samples, sample_weight=weights)
        np.testing.assert_allclose(density.score_samples(queries), expected, rtol=0, atol=1e-10)
    np.testing.assert_array_equal(density.bandwidth_, h[:, None])
    both = h[:, None] * np.linspace(0.7, 1.4, dim)
    density = KernelDensity(kernel=name, bandwidth=both).fit(samples, sample_weight=weights)
    expected = adaptive(name, queries, samples, both, weights)
    np.testing.assert_allclose(density.score_samples(queries), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("scaling", ["std", "covariance"])
@pytest.mark.parametrize("name", ["gaussian", "exponential", "epanechnikov"])
def test_a_bandwidth_per_sample_in_the_scaled_space(name, scaling, rng):
    samples, h = rng.standard_normal((80, 2)) @ [[3.0, 1.0], [0.0, 0.2]] + 30, np.exp(rng.uniform(-1, 1, 80))
    density = KernelDensity(kernel=name, bandwidth=h, scaling=scaling).fit(samples)
    root = np.diag(density.scale_) if scaling == "std" else np.linalg.cholesky(np.cov(samples.T))
    inside = np.linalg.solve(root, (samples - 30).T).T
    expected = adaptive(name, inside[:20], inside, h[:, None]) - np.log(np.linalg.det(root))
    np.testing.assert_allclose(density.score_samples(samples[:20]), expected, atol=1e-10)


def test_the_tails_are_right(rng):
    # The widest windows alone count there; a sum of densities would be zero.
    samples, h = rng.standard_normal((50, 2)), np.geomspace(0.01, 3, 50)
    queries = np.array([[300.0, 0.0], [0.0, -1e4], [1e6, 1e6]])
    found = KernelDensity(bandwidth=h).fit(samples).score_samples(queries)
    assert found.max() < -4000
    np.testing.assert_allclose(found, adaptive("gaussian", queries, samples, h[:, None]), rtol=1e-13)


@pytest.mark.parametrize("name", COMPACT)
def test_nothing_at_the_bandwidth_of_each_sample(name):
    samples, h = np.array([[0.0, 0.0], [20.0, 0.0]]), [5.0, 10.0]
    found = KernelDensity(kernel=name, bandwidth=[[5.0], [10.0]]).fit(samples).score_samples([[3.0, 4.0], [26.0, 8.0]])
    np.testing.assert_array_equal(found, -np.inf)
    near = [[3.0 - 1e-9, 4.0], [26.0 - 1e-9, 8.0]]
    assert np.isfinite(KernelDensity(kernel=name, bandwidth=np.reshape(h, (2, 1))).fit(samples).score_samples(near)).all()


def test_as_many_samples_as_features(rng):
    samples, h = rng.standard_normal((3, 3)), np.array([0.5, 1.0, 2.0])
    queries = rng.standard_normal((7, 3))
    per_feature, per_sample = (KernelDensity(bandwidth=b).fit(samples).score_samples(queries) for b in (h, h[:, None]))
    np.testing.assert_allclose(per_feature, truth("gaussian", queries, samples, h), atol=1e-12)
    np.testing.assert_allclose(per_sample, adaptive("gaussian", queries, samples, h[:, None]), atol=1e-12)


@pytest.mark.parametrize("unit", [2.0**-660, 2.0**-50, 2.0**50, 2.0**660])
@pytest.mark.parametrize("name", NAMES)
def test_lengths_of_any_size(name, unit, rng):
    samples, queries, h = rng.standard_normal((30, 3)), rng.standard_normal((9, 3)), np.exp(rng.uniform(0, 1, 30))
    density = KernelDensity(kernel=name, bandwidth=h * unit).fit(samples * unit)
    found = density.score_samples(queries * unit) + 3 * math.log(unit)
    np.testing.assert_allclose(found, adaptive(name, queries, samples, h[:, None]), rtol=1e-11, atol=1e-10)


def test_float32(rng):
    samples, queries, h = (a.astype("f") for a in (rng.normal(size=(90, 3)), rng.normal(size=(9, 3)), rng.uniform(1, 3, 90)))
    for name in NAMES:
        density = KernelDensity(kernel=name, bandwidth=h).fit(samples)
        found = density.score_samples(queries)
        assert found.dtype == density.gradient(queries).dtype == np.float32
        expected = adaptive(name, queries.astype(float), samples.astype(float), h.astype(float)[:, None])
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_jobs_and_backends(backend, rng):
    samples, queries, h = rng.normal(size=(60, 2)), rng.normal(size=(31, 2)), rng.uniform(1, 3, 60)
    for name in ("gaussian", "linear"):
        density = KernelDensity(kernel=name, bandwidth=h, backend=backend).fit(samples)
        found = density.score_samples(queries)
        np.testing.assert_allclose(found, adaptive(name, queries, samples, h[:, None]), atol=1e-12)
        with joblib.parallel_config(backend="threading"):
            np.testing.assert_array_equal(density.set_params(n_jobs=2).score_samples(queries), found)


@pytest.mark.parametrize("name", NAMES)
def test_sample(name):
    samples, h = np.array([[0.0, 0.0], [1000.0, 0.0]]), np.array([1.0, 9.0])
    drawn = KernelDensity(kernel=name, bandwidth=h[:, None]).fit(samples).sample(20_000, random_state=0)
    right = drawn[:, 0] > 500
    alone = KernelDensity(kernel=name).fit(np.zeros((1, 2))).sample(20_000, random_state=1)
    assert stats.binomtest(int(right.sum()), 20_000, 0.5).pvalue > 1e-3
    for at, place, width in ((~right, samples[0], 1.0), (right, samples[1], 9.0)):
        np.testing.assert_allclose(drawn[at].mean(axis=0), place, atol=0.05 * width)
        np.testing.assert_allclose((drawn[at] - place).std(axis=0), width * alone.std(axis=0), rtol=0.05)


# Abramson's rule


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("scaling", [None, "std", "covariance"])
@pytest.mark.parametrize("name", ["gaussian", "epanechnikov"])
def test_abramson(name, scaling, weighted, rng):
    samples = rng.standard_t(3, (120, 2)) * [1, 3]
    weights = rng.integers(0, 3, 120).astype(float) if weighted else None
    density = KernelDensity(kernel=name, bandwidth="abramson", scaling=scaling).fit(samples, sample_weight=weights)
    w = np.ones(120) if weights is None else weights
    cov = np.cov(samples.T, aweights=w)
    root = {None: np.eye(2), "std": np.diag(np.sqrt(np.diag(cov))), "covariance": np.linalg.cholesky(cov)}[scaling]
    inside = np.linalg.solve(root, samples.T).T
    n = 120 if scaling is None else w.sum() ** 2 / (w**2).sum()
    h0 = n ** (-1 / 6)  # Silverman's rule in two dimensions
    pilot = truth(name, inside, inside, h0, w)
    h = h0 * np.exp(0.5 * (w[w > 0] @ pilot[w > 0] / w.sum() - pilot))
    np.testing.assert_allclose(density.bandwidth_[w > 0, 0], h[w > 0], rtol=1e-11)
    expected = adaptive(name, inside[:30], inside, np.where(w > 0, h, 1)[:, None], w) - np.log(np.linalg.det(root))
    np.testing.assert_allclose(density.score_samples(samples[:30]), expected, atol=1e-10)


def test_abramson_beats_one_bandwidth(rng):
    # A law with a sharp peak and long tails.
    law = stats.t(2)
    samples, others = (law.rvs(n, random_state=rng)[:, None] for n in (400, 4000))
    adaptive_, fixed = (KernelDensity(bandwidth=b).fit(samples).score(others) for b in ("abramson", "silverman"))
    assert adaptive_ > fixed + 50


def test_samples_without_weight_do_not_matter(rng):
    samples = np.concatenate([rng.standard_normal((60, 1)), [[50.0]]])
    weights = np.append(np.ones(60), 0)
    with_, without = (
        KernelDensity(bandwidth="abramson", kernel="linear", scaling="std").fit(x, sample_weight=w)
        for x, w in ((samples, weights), (samples[:60], None))
    )
    np.testing.assert_allclose(with_.bandwidth_[:60], without.bandwidth_, rtol=1e-11)
    np.testing.assert_allclose(with_.score_samples(samples[:9]), without.score_samples(samples[:9]), atol=1e-12)


# Mistakes


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"bandwidth": np.ones(7)}, "array of 2 of them, one per feature, or of 20, one per sample"),
        ({"bandwidth": np.ones((20, 3))}, "of 20, one per sample"),
        ({"bandwidth": np.append(np.ones(19), 0)}, "of 20, one per sample"),
        ({"bandwidth": np.append(np.ones(19), np.nan)[:, None]}, "of 20, one per sample"),
        ({"bandwidth": np.ones((20, 2)), "scaling": "covariance"}, "mixes the features"),
    ],
)
def test_parameters_that_make_no_sense(params, match, rng):
    with pytest.raises(ValueError, match=match):
        KernelDensity(**params).fit(rng.standard_normal((20, 2)))


def test_memory_is_that_of_the_samples(rng):
    import tracemalloc

    samples = rng.standard_normal((4000, 2))
    tracemalloc.start()
    KernelDensity(bandwidth="abramson").fit(samples).score(samples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 * samples.nbytes
