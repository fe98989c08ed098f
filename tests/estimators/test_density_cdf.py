"""Distribution functions and conditional densities, beside SciPy's laws and quadrature."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.special import logsumexp

from skkeops import KernelDensity

from .test_density_bounds import ENDS, between, truth
from .windows import LOG_PROFILES, NAMES


def below(name, x, y, h, ends=(None, None)):
    """Which part of the windows on y is below x, of shape (n_queries, n_samples): images are summed up."""
    low, high = (-np.inf if ends[0] is None else ends[0]), (np.inf if ends[1] is None else ends[1])
    h = np.broadcast_to(h, y.shape)
    found = np.empty((len(x), len(y)))
    for j, (v, w) in enumerate(zip(y, h)):
        images = [v, *([2 * low - v] if np.isfinite(low) else []), *([2 * high - v] if np.isfinite(high) else [])]

        def mass(a, b, images=images, w=w):
            return sum(between(name, (a - m) / w, (b - m) / w) for m in images) if b > a else 0.0

        whole = mass(low, high)
        found[:, j] = [mass(low, min(max(q, low), high)) / whole for q in x]
    return found


def cdf(name, X, samples, h, bounds=None, weights=None):
    n, dim = samples.shape
    h, weights = np.broadcast_to(h, (n, dim)), np.ones(n) if weights is None else weights
    bounds = bounds or [(None, None)] * dim
    return np.prod([below(name, X[:, k], samples[:, k], h[:, k], bounds[k]) for k in range(dim)], axis=0) @ weights / weights.sum()


@pytest.mark.parametrize("ends", [(None, None), *ENDS], ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_one_feature(name, ends, rng):
    samples, weights = rng.random((9, 1)) * 2, rng.random(9) * (rng.random(9) > 0.2)
    queries = np.append(np.linspace(-1, 3, 15), [0.0, 2.0, samples[0, 0]])[:, None]
    for h in (0.05, 0.7, 9.0, np.linspace(0.3, 1, 9)[:, None]):
        density = KernelDensity(kernel=name, bandwidth=h, bounds=[ends]).fit(samples, sample_weight=weights)
        np.testing.assert_allclose(density.cdf(queries), cdf(name, queries, samples, h, [ends], weights), rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_the_integral_of_the_density(name, rng):
    samples = rng.random((5, 1)) * 2
    for bounds in (None, [(0.0, None)], [(None, 2.0)], [(0.0, 2.0)]):
        density = KernelDensity(kernel=name, bandwidth=0.6, bounds=bounds).fit(samples)
        grid = np.linspace(0.1, 1.9, 4001)
        values = np.exp(density.score_samples(grid[:, None]))
        steps = np.cumsum(0.5 * (values[1:] + values[:-1])) * (grid[1] - grid[0])
        found = density.cdf(grid[:, None])
        np.testing.assert_allclose(found[1:] - found[0], steps, atol=5e-4 if name == "tophat" else 1e-5)


def test_the_left_tail_keeps_its_digits():
    for name, law in (("gaussian", stats.norm), ("exponential", stats.laplace)):
        found = KernelDensity(kernel=name, bandwidth=0.1).fit([[0.0]]).cdf([[-2.0], [-3.5]])
        np.testing.assert_allclose(found, law.cdf([-20, -35]), rtol=1e-12)
        assert 0 < found.max() < 1e-8
    found = KernelDensity(bandwidth=0.1, bounds=[(None, 1)]).fit([[0.9]]).cdf([[-1.0]])
    np.testing.assert_allclose(found, stats.norm.cdf(-19) + stats.norm.cdf(-21), rtol=1e-12)


@pytest.mark.parametrize("scaling", [None, "std"])
@pytest.mark.parametrize("form", ["one", "per feature", "per sample", "all"])
def test_several_features(form, scaling, rng):
    samples, queries, weights = rng.random((9, 3)) * 2, rng.random((7, 3)) * 2.4 - 0.2, rng.random(9)
    h = {
        "one": 0.4, "per feature": np.array([0.1, 0.3, 0.9]), "per sample": np.linspace(0.2, 1, 9)[:, None],
        "all": rng.uniform(0.2, 1, (9, 3)),
    }[form]  # fmt: skip
    for bounds in (None, [(0.0, 2.0), (None, 2.0), (None, None)]):
        density = KernelDensity(bandwidth=h, bounds=bounds, scaling=scaling).fit(samples, sample_weight=weights)
        widths = h * (1 if scaling is None else np.sqrt(np.diag(np.cov(samples.T, aweights=weights))))
        expected = cdf("gaussian", queries, samples, widths, bounds, weights)
        np.testing.assert_allclose(density.cdf(queries), expected, rtol=0, atol=1e-10)
        assert density.cdf(queries + 1e6)[0] == pytest.approx(1, abs=1e-15)


def test_scipy_in_one_dimension(rng):
    samples = rng.standard_normal((60, 1))
    theirs = stats.gaussian_kde(samples[:, 0])
    ours = KernelDensity(bandwidth="scott", scaling="covariance").fit(samples)
    expected = [theirs.integrate_box_1d(-np.inf, q) for q in (-1.0, 0.3, 2.0)]
    np.testing.assert_allclose(ours.cdf([[-1.0], [0.3], [2.0]]), expected, rtol=1e-12)


def test_dtypes_dask_and_backends(backend, rng):
    samples, queries = rng.random((9, 2)), rng.random((7, 2))
    density = KernelDensity(bounds=[(0, 1), (None, None)], bandwidth=0.3, backend=backend).fit(samples)
    expected = cdf("gaussian", queries, samples, 0.3, [(0, 1), (None, None)])
    np.testing.assert_allclose(density.cdf(queries), expected, atol=1e-12)
    single = KernelDensity(bounds=[(0, 1), (None, None)], bandwidth=0.3, backend=backend).fit(samples.astype("f"))
    assert single.cdf(queries.astype("f")).dtype == np.float32
    np.testing.assert_allclose(single.cdf(queries.astype("f")), expected, atol=1e-5)
    array = pytest.importorskip("dask.array")
    lazy = array.from_array(queries, chunks=(4, 2))
    np.testing.assert_array_equal(density.cdf(lazy).compute(scheduler="sync"), density.cdf(queries))
    np.testing.assert_array_equal(
        density.score_samples(lazy, given=0).compute(scheduler="sync"), density.score_samples(queries, given=0)
    )


@pytest.mark.parametrize(
    ("params", "match"),
    [
        ({"kernel": "tophat"}, "products over them: found kernel='tophat'"),
        ({"scaling": "covariance"}, "scaling='covariance'; expected kernel='gaussian' and scaling=None or 'std'"),
        ({"period": [None, 1.0]}, "a periodic feature has no first value"),
        ({"metric": "haversine"}, "no order on the sphere"),
    ],
)
def test_what_has_no_distribution_function(params, match, rng):
    density = KernelDensity(**params).fit(rng.random((9, 2)))
    with pytest.raises(ValueError, match=match):
        density.cdf([[0.5, 0.5]])


# Conditional densities


def test_given(rng):
    samples, queries, weights = rng.standard_normal((40, 3)), rng.standard_normal((12, 3)), rng.random(40)
    forms = (0.5, np.array([0.3, 0.6, 0.9]), np.linspace(0.3, 1, 40)[:, None], rng.uniform(0.3, 1, (40, 3)))
    for h in forms:
        density = KernelDensity(bandwidth=h).fit(samples, sample_weight=weights)
        for given in ([1], [0, 2]):
            part = h if np.ndim(h) == 0 or np.shape(h)[-1] == 1 else h[..., given]
            expected = truth("gaussian", queries, samples, h, weights=weights) - truth(
                "gaussian", queries[:, given], samples[:, given], part, weights=weights
            )
            np.testing.assert_allclose(density.score_samples(queries, given=given), expected, rtol=0, atol=1e-10)


def test_given_is_a_mixture_with_other_weights(rng):
    # What statsmodels' KDEMultivariateConditional computes: the windows on what is given weigh those on the rest.
    samples, queries, h = rng.standard_normal((50, 2)), rng.standard_normal((12, 2)), np.array([0.4, 0.7])
    weights = stats.norm.pdf(queries[:, 1:], samples[:, 1], h[1])
    expected = (weights * stats.norm.pdf(queries[:, :1], samples[:, 0], h[0])).sum(axis=1) / weights.sum(axis=1)
    found = KernelDensity(bandwidth=h).fit(samples).score_samples(queries, given=[1])
    np.testing.assert_allclose(np.exp(found), expected, rtol=1e-10)


@pytest.mark.parametrize(
    "params", [{}, {"bounds": [(0, None), (None, None)]}, {"period": [6.0, None]}, {"scaling": "covariance"}], ids=str
)
def test_the_mass_given_a_feature_is_one(params, rng):
    samples = rng.random((30, 2)) @ [[1.0, 0.5], [0.0, 1.0]] * 5
    density = KernelDensity(bandwidth=0.4, **params).fit(samples)
    x = np.linspace(0 if "bounds" in params else -20, 25, 20_001)
    x = 6.0 * (np.arange(20_000) + 0.5) / 20_000 if "period" in params else x
    for known in (2.0, 9.0, 14.0):
        values = np.exp(density.score_samples(np.column_stack((x, np.full(len(x), known))), given=1))
        mass = values.mean() * 6 if "period" in params else np.trapezoid(values, x)
        assert mass == pytest.approx(1, abs=1e-4)


def test_given_with_a_covariance(rng):
    samples = rng.standard_normal((40, 3)) @ rng.standard_normal((3, 3))
    queries, h = samples[:9] + 0.1, 0.6
    cov = np.cov(samples.T) * h**2
    parts = [
        logsumexp([stats.multivariate_normal(m[f], cov[np.ix_(f, f)]).logpdf(queries[:, f]) for m in samples], axis=0)
        for f in ([0, 1, 2], [0, 2])
    ]
    found = KernelDensity(bandwidth=h, scaling="covariance").fit(samples).score_samples(queries, given=[0, 2])
    np.testing.assert_allclose(found, parts[0] - parts[1], atol=1e-9)


def test_given_in_the_tails_and_outside():
    density = KernelDensity(bandwidth=0.1, bounds=[(0, None), (None, None)]).fit([[0.5, 0.0], [0.7, 100.0]])
    # Given 1e3, the second sample alone counts.
    alone = KernelDensity(bandwidth=0.1, bounds=[(0, None)]).fit([[0.7]]).score_samples([[0.3]])
    np.testing.assert_allclose(density.score_samples([[0.3, 1e3]], given=1), alone, rtol=1e-9)
    assert density.score_samples([[-0.1, 0.0]], given=1)[0] == -np.inf
    assert density.score_samples([[-0.1, 0.0]], given=0)[0] == -np.inf


def test_names_of_features(rng):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rng.random((30, 3)), columns=["a", "b", "c"])
    density = KernelDensity(bandwidth=0.3).fit(frame)
    expected = density.score_samples(frame, given=[0, 2])
    for given in (["a", "c"], ["c", "a"], [-1, 0], np.array([True, False, True]), [True, False, True], np.array([0, 2])):
        np.testing.assert_array_equal(density.score_samples(frame, given=given), expected)
    np.testing.assert_array_equal(density.score_samples(frame, given="b"), density.score_samples(frame, given=1))


@pytest.mark.parametrize("given", [[], [0, 1, 2], [3], ["a"], [0, 0], 1.5, [True, True], [True, True, True], "abc", {}])
def test_given_what_makes_no_sense(given, rng):
    density = KernelDensity().fit(rng.random((9, 3)))
    with pytest.raises(ValueError, match="given must be some of the 3 features, not all of them, each once"):
        density.score_samples(rng.random((2, 3)), given=given)


@pytest.mark.parametrize("params", [{"kernel": "epanechnikov"}, {"metric": "haversine"}], ids=str)
def test_given_takes_gaussian_windows(params, rng):
    density = KernelDensity(**params).fit(rng.random((9, 2)))
    with pytest.raises(ValueError, match="for Gaussian windows only: found (kernel|metric)="):
        density.score_samples([[0.5, 0.5]], given=0)


def test_windows_by_quadrature():
    # The helper that the tests above rely on.
    assert between("cosine", -0.3, 0.8) == pytest.approx(0.5 * (np.sin(0.15 * np.pi) + np.sin(0.4 * np.pi)), rel=1e-12)
    for name in LOG_PROFILES:
        law = stats.norm if name == "gaussian" else stats.laplace
        assert between(name, -0.3, 0.8) == pytest.approx(quad(law.pdf, -0.3, 0)[0] + quad(law.pdf, 0, 0.8)[0], rel=1e-10)
