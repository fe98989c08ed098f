"""Densities of features with bounds and periods, beside sums of SciPy's laws and quadrature."""

import copy
import math
from itertools import pairwise

import joblib
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import dblquad
from scipy.special import logsumexp

from skkeops import KernelDensity

from .windows import COMPACT, LOG_PROFILES, NAMES, PROFILES, log_mass

UNBOUNDED = (None, None)
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(24)
#: Bounds of one feature.
ENDS = [(0.0, None), (None, 2.0), (0.0, 2.0)]


def window(name, r):
    """The logarithms of a window of mass 1 in one dimension."""
    with np.errstate(divide="ignore"):
        return (LOG_PROFILES[name](r) if name in LOG_PROFILES else np.log(PROFILES[name](r))) - log_mass(name, 1)


def between(name, low, high):
    """The mass of a window between two points, by SciPy's laws or by Gauss' quadrature."""
    if name in LOG_PROFILES:
        law = stats.norm if name == "gaussian" else stats.laplace
        return law.sf(low) - law.sf(high)
    ends = [max(low, -1.0), *([0.0] if low < 0 < high else []), min(high, 1.0)]
    halves = [(0.5 * (a + b), 0.5 * (b - a)) for a, b in pairwise(ends)]
    pieces = (np.exp(window(name, abs(middle + half * NODES))) @ NODE_WEIGHTS * half for middle, half in halves)
    return sum(pieces) if low < 1 and high > -1 else 0.0


def factor(name, x, y, h, ends=UNBOUNDED, period=None):
    """Log windows on one feature, of shape (n_queries, n_samples): images are summed up, and divided by what they have inside."""
    x, y = x[:, None], y[None]
    low, high = ends
    if period is not None:
        if name == "gaussian":
            unit = period / (2 * np.pi)
            return stats.vonmises.logpdf(((x - y) % period) / unit, np.square(unit / h)) - np.log(unit)
        turns = period * np.arange(-120, 121)
        return logsumexp(window(name, np.abs((x - y)[..., None] + turns) / np.reshape(h, (-1, 1))), axis=-1) - np.log(h)
    images = [y, *([2 * low - y] if low is not None else []), *([2 * high - y] if high is not None else [])]
    total = logsumexp([window(name, np.abs(x - image) / h) for image in images], axis=0) - np.log(h)
    if low is not None and high is not None:
        h = np.broadcast_to(h, y[0].shape)
        inside = [between(name, (2 * low - high - v) / w, (2 * high - low - v) / w) for v, w in zip(y[0], h)]
        total = total - np.log(inside)
    out = (x < (-np.inf if low is None else low)) | (x > (np.inf if high is None else high))
    return np.where(out, -np.inf, total)


def truth(name, X, samples, h, bounds=None, period=None, weights=None):
    """Log densities; h is a number, one per feature, or of shape (n_samples, 1) or (n_samples, n_features)."""
    n, dim = samples.shape
    h = np.broadcast_to(h, (n, dim))
    weights = np.ones(n) if weights is None else weights
    bounds, period = bounds or [UNBOUNDED] * dim, period or [None] * dim
    parts = [factor(name, X[:, k], samples[:, k], h[:, k], bounds[k], period[k]) for k in range(dim)]
    with np.errstate(divide="ignore"):
        return logsumexp(np.sum(parts, axis=0) + np.log(weights), axis=1) - np.log(weights.sum())


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("ends", ENDS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_one_feature_with_bounds(name, ends, per_sample, rng):
    samples, weights = rng.random((40, 1)) * 2, rng.random(40) * (rng.random(40) > 0.3)
    queries = np.append(np.linspace(-0.5, 2.5, 31), [0.0, 2.0, samples[0, 0]])[:, None]
    for h in (0.05, 0.7, 9.0):
        widths = h * np.exp(rng.uniform(-0.5, 0.5, (40, 1))) if per_sample else h
        density = KernelDensity(kernel=name, bandwidth=widths, bounds=[ends]).fit(samples, sample_weight=weights)
        expected = truth(name, queries, samples, widths, [ends], weights=weights)
        assert np.isfinite(expected).any()
        np.testing.assert_allclose(density.score_samples(queries), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_one_periodic_feature(name, rng):
    samples, weights = rng.random((40, 1)) * 9, rng.random(40)
    queries = np.append(np.linspace(-5, 12, 41), samples[0, 0] + 3.0)[:, None]
    for h in (0.1, 0.7, 1.5) if name in COMPACT else (0.1, 0.7, 9.0):
        for widths in (h, np.linspace(0.6, 1.0, 40)[:, None] * h):
            density = KernelDensity(kernel=name, bandwidth=widths, period=[3.0]).fit(samples, sample_weight=weights)
            expected = truth(name, queries, samples, widths, period=[3.0], weights=weights)
            np.testing.assert_allclose(density.score_samples(queries), expected, rtol=0, atol=1e-10)


FEATURES = {
    "bounds": ([(0.0, None), (None, 2.0), (0.0, 2.0), (None, None)], None),
    "period": (None, [None, 2.0, None, 3.0]),
    "both": ([(0.0, 2.0), (None, None), (0.0, None), (None, None)], [None, 2.0, None, None]),
}


@pytest.mark.parametrize("form", ["one", "per feature", "per sample", "all"])
@pytest.mark.parametrize("name", FEATURES)
def test_several_features(name, form, rng):
    bounds, period = FEATURES[name]
    samples, queries, weights = rng.random((50, 4)) * 2, rng.random((30, 4)) * 2.4 - 0.2, rng.random(50)
    h = {
        "one": 0.4, "per feature": np.array([0.1, 0.3, 0.9, 2.0]), "per sample": np.linspace(0.2, 1, 50)[:, None],
        "all": rng.uniform(0.2, 1, (50, 4)),
    }[form]  # fmt: skip
    density = KernelDensity(bandwidth=h, bounds=bounds, period=period).fit(samples, sample_weight=weights)
    expected = truth("gaussian", queries, samples, h, bounds, period, weights)
    np.testing.assert_allclose(density.score_samples(queries), expected, rtol=0, atol=1e-10)
    if bounds is not None:
        assert (expected == -np.inf).any()
        assert density.bounds_.shape == (4, 2)


# Mass


@pytest.mark.parametrize("h", [0.05, 0.5, 5.0])
@pytest.mark.parametrize("ends", ENDS, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_the_mass_between_bounds_is_one(name, ends, h, rng):
    samples = np.array([[0.0], [0.03], [1.1], [2.0]])
    density = KernelDensity(kernel=name, bandwidth=h, bounds=[ends]).fit(samples)
    low, high = ends[0] if ends[0] is not None else 2 - 60 * h, ends[1] if ends[1] is not None else 60 * h
    x = low + (high - low) * (np.arange(100_000) + 0.5) / 100_000
    mass = np.exp(density.score_samples(x[:, None])).mean() * (high - low)
    assert mass == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_the_mass_of_a_circle_is_one(name):
    x = 3.0 * (np.arange(100_000) + 0.5) / 100_000
    for h in (0.05, 1.5) if name in COMPACT else (0.05, 1.5, 50.0):
        density = KernelDensity(kernel=name, bandwidth=h, period=[3.0]).fit([[0.0], [2.9], [17.3]])
        assert np.exp(density.score_samples(x[:, None])).mean() * 3 == pytest.approx(1, abs=1e-4)


def test_the_mass_in_the_plane_is_one():
    density = KernelDensity(bandwidth=[0.4, 0.7], bounds=[(0, None), (None, None)], period=[None, 3.0]).fit([[0.1, 0.2], [1, 2.5]])
    mass, _ = dblquad(lambda y, x: math.exp(density.score_samples([[x, y]])[0]), 0, 6, 0, 3, epsabs=1e-4, epsrel=1e-4)
    assert mass == pytest.approx(1, abs=1e-3)


def test_wide_windows_are_flat():
    density = KernelDensity(bandwidth=1e5, bounds=[(0, 2)]).fit([[0.1], [1.9]])
    np.testing.assert_allclose(density.score_samples([[0.0], [1.0], [2.0]]), -math.log(2), atol=1e-9)


def test_bounds_without_bias(rng):
    # The density of an exponential law is largest at its bound, where a window without it loses half of its mass.
    samples = stats.expon.rvs(size=(4000, 1), random_state=rng)
    with_, without = (
        np.exp(KernelDensity(bandwidth=0.1, bounds=b).fit(samples).score_samples([[0.0]])[0]) for b in ([(0, None)], None)
    )
    assert with_ == pytest.approx(1, abs=0.15) and without < 0.6


def test_far_away_in_logarithms():
    density = KernelDensity(bandwidth=0.1, bounds=[(0, None)]).fit([[0.5], [1.0]])
    # The nearest sample alone counts; its image is further away by far.
    expected = -0.5 * 99**2 / 0.01 - math.log(0.1 * math.sqrt(2 * math.pi) * 2)
    assert density.score_samples([[100.0]])[0] == pytest.approx(expected, rel=1e-13)
    period = KernelDensity(bandwidth=1e-3, period=[360.0]).fit([[0.0]]).score_samples([[180.0]])[0]
    assert period == pytest.approx(stats.vonmises.logpdf(np.pi, (180 / np.pi / 1e-3) ** 2) - math.log(180 / np.pi), rel=1e-10)


# Gradients, random samples, and the rest


@pytest.mark.parametrize(
    ("name", "params"),
    [
        *((name, {"bounds": [ends]}) for name in NAMES for ends in ENDS),
        *((name, {"period": [2.0]}) for name in NAMES),
        *(("gaussian", dict(zip(("bounds", "period"), FEATURES[key], strict=True))) for key in FEATURES),
    ],
    ids=str,
)
def test_gradients(name, params, rng):
    dim = len(params.get("period") or params["bounds"])
    samples, queries, w = rng.uniform(0.05, 1.95, (25, dim)), rng.uniform(0.05, 1.95, (12, dim)), rng.random(25) + 0.1
    e = rng.standard_normal(12)
    for h in (0.8, np.linspace(0.5, 0.9, dim), np.linspace(0.5, 0.9, 25)[:, None]):
        density = KernelDensity(kernel=name, bandwidth=h, **params).fit(samples, sample_weight=w)
        names = ("X", "X_fit", "bandwidth", "sample_weight")
        attributes = {"X_fit": "X_fit_", "bandwidth": "bandwidth_", "sample_weight": "sample_weight_fit_"}
        for wrt, gradient in zip(names, density.gradient(queries, e, wrt=names), strict=True):
            value = queries if wrt == "X" else getattr(density, attributes[wrt])
            direction = rng.standard_normal(np.shape(value))

            def moved(step, wrt=wrt, value=value, direction=direction, density=density, attributes=attributes):
                other = copy.copy(density)
                if wrt != "X":
                    setattr(other, attributes[wrt], value + step * direction)
                return e @ other.score_samples(value + step * direction if wrt == "X" else queries)

            numeric = (moved(1e-6) - moved(-1e-6)) / 2e-6
            assert np.shape(gradient) == np.shape(value)
            assert float(np.sum(gradient * direction)) == pytest.approx(numeric, rel=2e-6, abs=5e-6), (wrt, h)


def test_gradients_outside_are_zero():
    density = KernelDensity(bounds=[(0, 1)]).fit([[0.3], [0.8]])
    assert density.gradient([[-0.5], [1e300]]).tolist() == [[0], [0]]
    assert density.gradient([[-0.5]], wrt="bandwidth") == 0


@pytest.mark.parametrize("h", [0.1, 0.6, 30.0])
@pytest.mark.parametrize("params", [*({"bounds": [ends]} for ends in ENDS), {"period": [2.0]}], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_random_samples(name, params, h):
    if "period" in params and name in COMPACT:
        h = min(h, 1.0)
    density = KernelDensity(kernel=name, bandwidth=h, **params).fit([[0.2], [1.5]], sample_weight=[1, 2])
    drawn = density.sample(4000, random_state=0)[:, 0]
    low, high = params.get("bounds", [(0.0, 2.0)])[0]
    low, high = -40 * h if low is None else low, 2 + 40 * h if high is None else high
    assert drawn.min() >= low and drawn.max() <= high
    x = np.linspace(low, high, 20_001)
    mids = 0.5 * (x[1:] + x[:-1])
    cdf = np.append(0, np.cumsum(np.exp(density.score_samples(mids[:, None])))) * (x[1] - x[0])
    assert stats.kstest(drawn, lambda t: np.interp(t, x, cdf)).pvalue > 1e-3


def test_random_samples_of_several_features(rng):
    bounds, period = FEATURES["both"]
    samples = rng.random((30, 4)) * 2
    density = KernelDensity(bandwidth=np.linspace(0.1, 2, 30)[:, None], bounds=bounds, period=period).fit(samples)
    drawn = density.sample(3000, random_state=1)
    assert np.isfinite(density.score_samples(drawn)).all()
    assert (drawn[:, 1] >= 0).all() and (drawn[:, 1] < 2).all()
    # The mean log density is the negative entropy, which a mixture of windows has by simulation from SciPy's laws, too.
    assert density.score(drawn) / 3000 == pytest.approx(density.score(density.sample(3000, random_state=2)) / 3000, abs=0.1)


def test_scaling_and_rules(rng):
    samples = rng.gamma(2, size=(80, 2)) * [1, 10]
    deviations = samples.std(axis=0, ddof=1)
    bounds = [(0, None), (0, 200.0)]
    for rule, h in (("scott", 80 ** (-1 / 6)), (0.3, 0.3)):
        density = KernelDensity(bandwidth=rule, scaling="std", bounds=bounds).fit(samples)
        expected = truth("gaussian", samples[:20], samples, h * deviations, bounds)
        np.testing.assert_allclose(density.score_samples(samples[:20]), expected, atol=1e-10)
    density = KernelDensity(bandwidth="abramson", scaling="std", bounds=bounds).fit(samples)
    pilot = truth("gaussian", samples, samples, 80 ** (-1 / 6) * deviations, bounds)
    h = 80 ** (-1 / 6) * np.exp(0.5 * (pilot.mean() - pilot))[:, None]
    np.testing.assert_allclose(density.bandwidth_, h, rtol=1e-10)
    expected = truth("gaussian", samples[:20], samples, h * deviations, bounds)
    np.testing.assert_allclose(density.score_samples(samples[:20]), expected, atol=1e-10)


def test_float32(rng):
    samples, queries = rng.random((60, 2)).astype("f"), rng.random((9, 2)).astype("f")
    bounds = [(0, 1), (None, 1)]
    density = KernelDensity(bandwidth=0.2, bounds=bounds).fit(samples)
    assert density.score_samples(queries).dtype == density.gradient(queries).dtype == np.float32
    expected = truth("gaussian", queries.astype(float), samples.astype(float), 0.2, bounds)
    np.testing.assert_allclose(density.score_samples(queries), expected, atol=1e-4)
    drawn = density.sample(5000, random_state=0)
    assert drawn.dtype == np.float32 and np.isfinite(density.score_samples(drawn)).all()
    # A bound is one for samples that are rounded as it is.
    at = np.array([[0.1], [0.3]], dtype="f")
    assert np.isfinite(KernelDensity(bounds=[(0.1, 0.3)]).fit(at).score_samples(at)).all()


def test_jobs_and_backends(backend, rng):
    bounds, period = FEATURES["both"]
    samples, queries = rng.random((40, 4)) * 2, rng.random((21, 4)) * 2
    density = KernelDensity(bounds=bounds, period=period, backend=backend).fit(samples)
    found = density.score_samples(queries)
    np.testing.assert_allclose(found, truth("gaussian", queries, samples, 1.0, bounds, period), atol=1e-11)
    with joblib.parallel_config(backend="threading"):
        np.testing.assert_array_equal(density.set_params(n_jobs=2).score_samples(queries), found)


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"bounds": [(0, 2)]}, r"bounds must be a lower and an upper bound for each feature.*of shape \(2, 2\)"),
        ({"bounds": [0, 2]}, r"of shape \(2, 2\): found \[0, 2\]"),
        ({"bounds": [(0, "a"), (0, 1)]}, r"of shape \(2, 2\)"),
        ({"bounds": [(0, math.nan), (0, 2)]}, "bounds must not be NaN"),
        ({"bounds": [(0, 2), (2, 0)]}, "a lower and a larger upper bound"),
        ({"bounds": [(0, 2), (2, 2)]}, "a lower and a larger upper bound"),
        ({"bounds": "box"}, "The 'bounds' parameter"),
        ({"bounds": [(None, None), (0.5, None)]}, r"bounds\[1\] must hold the samples, whose feature 1 is.*found \(0.5, inf\)"),
        ({"period": [1.0]}, r"period must be a period for each feature.*of shape \(2,\)"),
        ({"period": [1.0, 0.0]}, "period must be positive, or None"),
        ({"period": [1.0, math.nan]}, "period must not be NaN"),
        ({"period": 1.0}, "The 'period' parameter"),
        ({"bounds": [(0, 2), (0, 2)], "kernel": "tophat"}, "of several features need a window.*kernel='tophat'"),
        ({"period": [None, 2], "kernel": "exponential"}, "period of several features need a window"),
        ({"bounds": [(0, 2), (0, 2)], "scaling": "covariance"}, "scaling='covariance' mixes the features"),
        ({"period": [None, 2], "scaling": "std"}, "period excludes scaling"),
        ({"period": [None, 2], "bounds": [(0, 2), (0, None)]}, r"found both for the features \[1\]"),
        ({"bounds": [(0, 2), (0, 2)], "bandwidth": "cv"}, "learned without bounds and periods only: found bounds"),
    ],
)
def test_parameters_that_make_no_sense(params, match, rng):
    with pytest.raises(ValueError, match=match):
        KernelDensity(**params).fit(rng.random((20, 2)))


@pytest.mark.parametrize("name", COMPACT)
def test_a_window_wider_than_the_circle(name):
    for h in (1.1, [[0.5], [1.1]]):
        with pytest.raises(ValueError, match="found the bandwidth 1.1 of kernel=.*expected at most half of period=2"):
            KernelDensity(kernel=name, bandwidth=h, period=[2.0]).fit([[0.0], [1.0]])


def test_many_features(rng):
    samples, queries = rng.random((20, 40)), rng.random((5, 40))
    for bounds in ([(0, None)] * 40, [(0, 1)] * 40):
        density = KernelDensity(bandwidth=0.9, bounds=bounds).fit(samples)
        np.testing.assert_allclose(density.score_samples(queries), truth("gaussian", queries, samples, 0.9, bounds), atol=1e-10)
    assert np.isfinite(density.gradient(queries)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_not_a_number(name, dtype):
    far, narrow = (1e30, 1e-15) if dtype == np.float32 else (1e300, 1e-30)
    for ends in ENDS[:2]:
        at = ends[0] if ends[0] is not None else ends[1]
        away = 1 if ends[0] is not None else -1
        density = KernelDensity(kernel=name, bandwidth=narrow, bounds=[ends]).fit(np.array([[at]], dtype=dtype))
        found = density.score_samples(np.array([[at], [at + away * far]], dtype=dtype))
        assert found[0] == pytest.approx(-math.log(narrow) + math.log(2) - log_mass(name, 1), rel=1e-5)
        assert found[1] < -1e37 or found[1] == -np.inf
        assert np.isfinite(density.gradient(np.array([[at]], dtype=dtype))).all()


def test_tiny_units_in_float32(rng):
    samples, unit = rng.random((30, 1)).astype("f"), np.float32(2.0**-45)
    densities = ((KernelDensity(bandwidth=0.2 * u, bounds=[(0, None)]).fit(samples * u), u) for u in (unit, 1))
    with_, without = (density.score_samples(samples * u) for density, u in densities)
    np.testing.assert_allclose(with_, without + 45 * math.log(2), rtol=1e-5)


def test_none_stands_for_a_feature_without_bounds(rng):
    X = rng.exponential(size=(100, 2))
    pairs, none = (KernelDensity(bandwidth=0.3, bounds=[(0, None), b]).fit(X) for b in ((None, None), None))
    np.testing.assert_array_equal(none.score_samples(X), pairs.score_samples(X))
