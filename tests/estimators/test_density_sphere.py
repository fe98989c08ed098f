"""Densities on the sphere, beside SciPy's law of von Mises and Fisher, and quadrature."""

import copy
import math

import joblib
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.special import logsumexp
from sklearn.metrics.pairwise import haversine_distances

from skkeops import KernelDensity

from .windows import COMPACT, LOG_PROFILES, NAMES, PROFILES


def places(n, rng):
    """Uniform latitudes and longitudes."""
    return np.stack([np.arcsin(rng.uniform(-1, 1, n)), rng.uniform(-np.pi, np.pi, n)], axis=1)


def points(x):
    latitude, longitude = x.T
    return np.stack([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=1)


def log_window(name, distance, h):
    """The logarithm of a window of mass 1 on the sphere."""
    if name == "gaussian":
        kappa = 1 / h**2
        return kappa * (np.cos(distance) - 1) + math.log(kappa / (2 * math.pi)) - math.log(-math.expm1(-2 * kappa))
    ends = [0, *(e * h for e in (1, 5, 25) if e * h < math.pi), math.pi]
    mass = 2 * math.pi * sum(
        quad(lambda d: math.sin(d) * PROFILES[name](d / h), a, b, epsabs=0, epsrel=1e-13)[0] for a, b in zip(ends[:-1], ends[1:])
        if name not in COMPACT or a < h
    )  # fmt: skip
    with np.errstate(divide="ignore"):
        log_k = LOG_PROFILES[name](distance / h) if name in LOG_PROFILES else np.log(PROFILES[name](distance / h))
    return log_k - math.log(mass)


def truth(name, X, samples, h, weights=None):
    """Log densities; h is a number or one per sample."""
    weights = np.ones(len(samples)) if weights is None else weights
    distances = haversine_distances(X, samples)
    columns = [log_window(name, d, w) for d, w in zip(distances.T, np.broadcast_to(h, len(samples)))]
    with np.errstate(divide="ignore"):
        return logsumexp(np.stack(columns, axis=1) + np.log(weights), axis=1) - np.log(weights.sum())


@pytest.mark.parametrize("h", [0.03, 0.4, 1.5, 4.0, 20.0])
@pytest.mark.parametrize("name", NAMES)
def test_log_densities(name, h, rng):
    samples, weights = places(50, rng), rng.random(50) * (rng.random(50) > 0.3)
    queries = np.concatenate([places(30, rng), samples[:5] + 0.01, [[math.pi / 2, 0.3], [0.0, math.pi], [0.0, -math.pi]]])
    queries[:, 0] = np.clip(queries[:, 0], -math.pi / 2, math.pi / 2)
    for widths in (h, h * np.exp(rng.uniform(-0.3, 0.3, 50))):
        density = KernelDensity(kernel=name, bandwidth=widths, metric="haversine").fit(samples, sample_weight=weights)
        expected = truth(name, queries, samples, widths, weights)
        assert np.isfinite(expected).any()
        np.testing.assert_allclose(density.score_samples(queries), expected, rtol=0, atol=1e-10)


def test_scipy(rng):
    samples, queries = places(40, rng), places(20, rng)
    for h in (0.1, 0.5, 2.0):
        found = KernelDensity(bandwidth=h, metric="haversine").fit(samples).score_samples(queries)
        laws = [stats.vonmises_fisher(mean, 1 / h**2) for mean in points(samples)]
        expected = logsumexp([law.logpdf(points(queries)) for law in laws], axis=0) - math.log(40)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_the_mass_is_one(name, rng):
    # Over equal areas: the sine of the latitude, and the longitude.
    sine, longitude = (np.arange(600) + 0.5) / 300 - 1, (np.arange(600) + 0.5) * (2 * math.pi / 600)
    grid = np.stack(np.meshgrid(np.arcsin(sine), longitude, indexing="ij"), axis=-1).reshape(-1, 2)
    for h in (0.3, 2.0, 5.0):
        density = KernelDensity(kernel=name, bandwidth=h, metric="haversine").fit([[1.5, 0.2], [0.1, 3.1]])
        assert np.exp(density.score_samples(grid)).mean() * 4 * math.pi == pytest.approx(1, abs=1e-3)


def test_near_and_far_places():
    # Metres on the earth; and on the opposite side of it.
    h, step = 1e-6, 3e-7
    place = np.array([[0.7, 1.1]])
    for name in ("gaussian", "linear"):
        found = KernelDensity(kernel=name, bandwidth=h, metric="haversine").fit(place).score_samples(place + [[step, 0]])[0]
        plane = KernelDensity(kernel=name, bandwidth=h).fit([[0.0, 0.0]]).score_samples([[step, 0.0]])[0]
        assert found == pytest.approx(plane, abs=1e-8)
    opposite = np.array([[-0.7 + 1e-5, 1.1 - math.pi]])
    found = KernelDensity(kernel="exponential", bandwidth=0.01, metric="haversine").fit(place).score_samples(opposite)[0]
    assert found == pytest.approx(-(math.pi - 1e-5) / 0.01 - math.log(2 * math.pi * 1e-4 / (1 + 1e-4)), abs=1e-8)


def test_no_seam(rng):
    samples, queries = places(30, rng), places(10, rng)
    density = KernelDensity(bandwidth=0.5, metric="haversine").fit(samples)
    turned = KernelDensity(bandwidth=0.5, metric="haversine").fit(samples + [[0.0, 2.5]])
    found = turned.score_samples(queries + [[0.0, 2.5 - 4 * math.pi]])
    np.testing.assert_allclose(found, density.score_samples(queries), atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name, rng):
    samples, queries, w, e = places(25, rng), places(12, rng), rng.random(25) + 0.1, rng.standard_normal(12)
    for h in (1.3, 4.0, np.linspace(0.9, 1.7, 25)[:, None]):
        density = KernelDensity(kernel=name, bandwidth=h, metric="haversine").fit(samples, sample_weight=w)
        names = ("X", "X_fit", "bandwidth", "sample_weight")
        attributes = {"X_fit": "X_fit_", "bandwidth": "bandwidth_", "sample_weight": "sample_weight_fit_"}
        for wrt, gradient in zip(names, density.gradient(queries, e, wrt=names), strict=True):
            value = queries if wrt == "X" else getattr(density, attributes[wrt])
            direction = 0.3 * rng.standard_normal(np.shape(value))

            def moved(step, wrt=wrt, value=value, direction=direction, density=density, attributes=attributes):
                other = copy.copy(density)
                if wrt != "X":
                    setattr(other, attributes[wrt], value + step * direction)
                return e @ other.score_samples(value + step * direction if wrt == "X" else queries)

            numeric = (moved(1e-6) - moved(-1e-6)) / 2e-6
            assert float(np.sum(gradient * direction)) == pytest.approx(numeric, rel=5e-6, abs=5e-6), (wrt, h)
        assert np.isfinite(density.gradient(samples)).all()


@pytest.mark.parametrize("h", [0.05, 0.8, 6.0])
@pytest.mark.parametrize("name", NAMES)
def test_random_samples(name, h):
    place = np.array([[1.2, -2.0]])
    density = KernelDensity(kernel=name, bandwidth=h, metric="haversine").fit(place)
    drawn = density.sample(4000, random_state=0)
    assert (abs(drawn[:, 0]) <= math.pi / 2).all() and (abs(drawn[:, 1]) <= math.pi).all()
    distances = haversine_distances(place, drawn)[0]
    grid = np.linspace(0, math.pi if name not in COMPACT else min(h, math.pi), 20_001)
    mids = 0.5 * (grid[1:] + grid[:-1])
    cdf = np.append(0, np.cumsum(np.exp(log_window(name, mids, h)) * np.sin(mids)))
    assert stats.kstest(distances, lambda t: np.interp(t, grid, cdf / cdf[-1])).pvalue > 1e-3
    # Every direction is as likely: seen from the place, the mean point lies on its axis.
    mean = points(drawn).mean(axis=0)
    across = mean - (mean @ points(place)[0]) * points(place)[0]
    assert np.linalg.norm(across) < 4 * min(h, 1) / math.sqrt(4000)


def test_random_samples_of_each_bandwidth():
    density = KernelDensity(bandwidth=[[0.01], [0.1]], metric="haversine").fit([[1.0, 0.0], [-1.0, 0.0]])
    drawn = density.sample(4000, random_state=0)
    for place, h, at in (([1.0, 0.0], 0.01, drawn[:, 0] > 0), ([-1.0, 0.0], 0.1, drawn[:, 0] < 0)):
        distances = haversine_distances([place], drawn[at])[0]
        assert np.mean(distances**2) == pytest.approx(2 * h**2, rel=0.1)


def test_abramson(rng):
    samples = np.concatenate([places(60, rng), [[0.7, 1.0]] + 0.05 * rng.standard_normal((60, 2))])
    density = KernelDensity(bandwidth="abramson", metric="haversine").fit(samples)
    h0 = 120 ** (-1 / 6)
    pilot = truth("gaussian", samples, samples, h0)
    h = h0 * np.exp(0.5 * (pilot.mean() - pilot))
    np.testing.assert_allclose(density.bandwidth_[:, 0], h, rtol=1e-10)
    np.testing.assert_allclose(density.score_samples(samples[:9]), truth("gaussian", samples[:9], samples, h), atol=1e-10)


def test_float32_backends_and_jobs(backend, rng):
    samples, queries = places(40, rng), places(15, rng)
    for name in ("gaussian", "epanechnikov", "exponential"):
        density = KernelDensity(kernel=name, bandwidth=1.5, metric="haversine", backend=backend).fit(samples)
        found, expected = density.score_samples(queries), truth(name, queries, samples, 1.5)
        np.testing.assert_allclose(found, expected, atol=1e-11)
        with joblib.parallel_config(backend="threading"):
            np.testing.assert_array_equal(density.set_params(n_jobs=2).score_samples(queries), found)
        single = KernelDensity(kernel=name, bandwidth=1.5, metric="haversine", backend=backend).fit(samples.astype("f"))
        found = single.score_samples(queries.astype("f"))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("params", "X", "match"),
    [
        ({}, [[0.1, 0.2, 0.3]], "takes 2 features, latitude and longitude in radians: found 3"),
        ({}, [[48.1, 11.6]], r"between -pi/2 and pi/2 radians: found one of 48.1; numpy.radians converts degrees"),
        ({"scaling": "std"}, [[0.1, 0.2], [0.3, 0.4]], "excludes scaling"),
        ({"bounds": [(0, 1), (0, 1)]}, [[0.1, 0.2]], "excludes bounds"),
        ({"period": [None, 6.28]}, [[0.1, 0.2]], "excludes period"),
        ({"bandwidth": [0.1, 0.2]}, [[0.1, 0.2]], "round windows: found a bandwidth for each feature"),
        ({"bandwidth": [[0.1, 0.2]]}, [[0.1, 0.2]], "round windows: found a bandwidth for each feature"),
        ({"bandwidth": "cv"}, [[0.1, 0.2], [0.3, 0.4]], "for the Euclidean distance only: found metric='haversine'"),
        ({"metric_params": {"p": 2}}, [[0.1, 0.2]], "has no such parameters"),
    ],
)
def test_parameters_that_make_no_sense(params, X, match):
    with pytest.raises(ValueError, match=match):
        KernelDensity(metric="haversine", **params).fit(X)


def test_queries_in_degrees():
    density = KernelDensity(metric="haversine").fit([[0.1, 0.2]])
    with pytest.raises(ValueError, match="numpy.radians converts degrees"):
        density.score_samples([[48.0, 0.2]])
