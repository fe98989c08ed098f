"""KernelDensity beside SciPy, scikit-learn, quadrature and exact arithmetic."""

import decimal
import math
import pickle

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import dblquad
from scipy.linalg import cholesky
from scipy.spatial.distance import cdist
from scipy.special import gammaln, logsumexp
from sklearn import neighbors
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skkeops import KernelDensity
from skkeops.estimators.windows import WINDOWS, squared_limit

from .windows import COMPACT, LOG_PROFILES, NAMES, PROFILES, log_mass, truth


@pytest.mark.parametrize("dim", [1, 2, 3, 6, 10, 50])
@pytest.mark.parametrize("name", NAMES)
def test_log_densities(name, dim, rng):
    samples, queries = rng.standard_normal((300, dim)), rng.standard_normal((40, dim))
    weights = rng.random(300) * (rng.random(300) > 0.3)
    h = 1.1 * math.sqrt(dim)
    for w in (None, weights):
        found = KernelDensity(kernel=name, bandwidth=h).fit(samples, sample_weight=w).score_samples(queries)
        expected = truth(name, queries, samples, h, w)
        assert np.isfinite(expected).any()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_bandwidth_per_feature(name, rng):
    samples, queries, h = rng.standard_normal((200, 3)), rng.standard_normal((30, 3)), np.array([0.9, 1.5, 3.0])
    weights = rng.random(200)
    for form in (h, h.tolist(), tuple(h)):
        density = KernelDensity(kernel=name, bandwidth=form).fit(samples, sample_weight=weights)
        np.testing.assert_allclose(
            density.score_samples(queries), truth(name, queries, samples, h, weights), atol=1e-10
        )
    np.testing.assert_array_equal(density.bandwidth_, h)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dim", [1, 2, 4, 7, 13, 19, 40])
def test_log_mass(name, dim):
    assert WINDOWS[name].log_mass(dim) == pytest.approx(log_mass(name, dim), rel=0, abs=2e-11)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dim", [1, 2])
def test_the_mass_is_one(name, dim):
    # Independent of the radial normalisers: over intervals and squares. In two dimensions scikit-learn's cosine fails.
    density = KernelDensity(kernel=name, bandwidth=0.5).fit(np.zeros((1, dim)))
    if dim == 1:
        x = np.linspace(-20, 20, 400_001)[:, None]
        mass = np.exp(density.score_samples(x)).sum() * (x[1, 0] - x[0, 0])
        tolerance = 2e-4 if name == "tophat" else 1e-6  # one point of the grid
    else:
        axis = (np.arange(1200) + 0.5) / 100 - 6
        x = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
        mass = np.exp(density.score_samples(x)).sum() * 1e-4
        tolerance = 2e-3 if name == "tophat" else 2e-4
    assert mass == pytest.approx(1, abs=tolerance)


@pytest.mark.parametrize("dim", [2, 4, 6])
def test_cosine_in_even_dimensions(dim):
    # By hand: the integral of r cos(pi r / 2) over [0, 1] is 2/pi - (2/pi)^2 and so on; two integrations by parts.
    a, moments = 2 / math.pi, {0: 2 / math.pi, 1: 2 / math.pi - (2 / math.pi) ** 2}
    for n in range(2, dim):
        moments[n] = a - n * (n - 1) * a * a * moments[n - 2]
    surface = 2 * math.pi ** (dim / 2) / math.gamma(dim / 2)
    at_center = KernelDensity(kernel="cosine", bandwidth=2.0).fit(np.zeros((1, dim))).score_samples(np.zeros((1, dim)))
    assert math.exp(at_center[0]) == pytest.approx(1 / (surface * moments[dim - 1] * 2**dim), rel=1e-11)


def test_cosine_in_the_plane_by_a_double_integral():
    density = KernelDensity(kernel="cosine").fit(np.zeros((1, 2)))
    mass, _ = dblquad(
        lambda y, x: math.exp(density.score_samples([[x, y]])[0]),
        0, 1, 0, lambda x: math.sqrt(1 - x * x), epsabs=1e-5, epsrel=1e-5,
    )  # fmt: skip
    assert 4 * mass == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_scikit_learn(name, dim, rng):
    if name == "cosine" and dim % 2 == 0:
        pytest.skip("scikit-learn's window has another mass")
    samples, queries, weights = rng.random((400, dim)), rng.random((50, dim)), rng.random(400)
    for bandwidth in (0.4, "scott", "silverman"):
        theirs = neighbors.KernelDensity(kernel=name, bandwidth=bandwidth, leaf_size=1000)
        ours = KernelDensity(kernel=name, bandwidth=bandwidth, leaf_size=1000)
        for w in (None, weights):
            expected = theirs.fit(samples, sample_weight=w).score_samples(queries)
            assert np.isfinite(expected).mean() > 0.8
            np.testing.assert_allclose(ours.fit(samples, sample_weight=w).score_samples(queries), expected, atol=1e-11)
            assert ours.bandwidth_ == pytest.approx(theirs.bandwidth_, rel=1e-15)
            assert isinstance(ours.score(queries), float)
            assert ours.score(queries) == pytest.approx(theirs.score(queries), rel=1e-11)  # perhaps -inf


def test_every_parameter_of_scikit_learn():
    theirs = neighbors.KernelDensity().get_params()
    assert {name: KernelDensity(rtol=0).get_params()[name] for name in theirs} == theirs


@pytest.mark.parametrize("rule", ["scott", "silverman"])
@pytest.mark.parametrize("weighted", [False, True])
def test_scipy(rule, weighted, rng):
    samples = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 3)) + 5
    queries, weights = samples[:40] + 0.1, rng.random(200) if weighted else None
    expected = stats.gaussian_kde(samples.T, rule, weights=weights).logpdf(queries.T)
    density = KernelDensity(bandwidth=rule, scaling="covariance").fit(samples, sample_weight=weights)
    np.testing.assert_allclose(density.score_samples(queries), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(density.covariance_, np.cov(samples.T, aweights=weights), rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_scaling_is_a_change_of_variables(name, rng):
    samples = rng.standard_normal((150, 2)) @ [[3.0, 1.0], [0.0, 0.2]]
    queries = samples[:30] * 1.01
    deviations = samples.std(axis=0, ddof=1)
    lower = cholesky(np.cov(samples.T), lower=True)
    for scaling, root in (("std", np.diag(deviations)), ("covariance", lower)):
        inverse = np.linalg.inv(root).T
        expected = truth(name, queries @ inverse, samples @ inverse, 0.8) - np.log(np.linalg.det(root))
        found = KernelDensity(kernel=name, bandwidth=0.8, scaling=scaling).fit(samples).score_samples(queries)
        np.testing.assert_allclose(found, expected, atol=1e-10)
    both = KernelDensity(kernel=name, bandwidth=[0.8, 0.5], scaling="std").fit(samples)
    np.testing.assert_allclose(
        both.score_samples(queries), truth(name, queries, samples, deviations * [0.8, 0.5]), atol=1e-10
    )


def test_low_density(rng):
    # Exact arithmetic on the worst query; scikit-learn's tree says about -32 where the density is below exp(-100).
    samples, queries = rng.standard_normal((1000, 20)), rng.standard_normal((500, 20))
    found = KernelDensity(bandwidth=0.3).fit(samples).score_samples(queries)
    np.testing.assert_allclose(found, truth("gaussian", queries, samples, 0.3), rtol=0, atol=1e-10)
    trees = neighbors.KernelDensity(bandwidth=0.3).fit(samples).score_samples(queries)
    worst = np.abs(found - trees).argmax()
    assert trees[worst] - found[worst] > 50
    with decimal.localcontext() as context:
        context.prec = 40
        h, exact = decimal.Decimal(0.3), [decimal.Decimal(float(v)) for v in queries[worst]]
        total = sum(
            (-sum((a - decimal.Decimal(float(b))) ** 2 for a, b in zip(exact, row)) / (2 * h * h)).exp()
            for row in samples
        )
        pi = decimal.Decimal("3.141592653589793238462643383279502884197")
        expected = (total / 1000).ln() - 10 * (2 * pi * h * h).ln()
    assert found[worst] == pytest.approx(float(expected), rel=0, abs=1e-10)


def test_far_from_the_origin(rng):
    # Coordinates are centered before they are scaled: 1e6 / 0.01 would leave 8 digits of the distances.
    samples = rng.standard_normal((300, 2)) + 1e6
    for bandwidth in (0.01, np.array([0.01, 0.02])):
        found = KernelDensity(bandwidth=bandwidth).fit(samples).score_samples(samples[:20] + 0.01)
        queries = samples[:20] + 0.01 - 1e6  # exact
        np.testing.assert_allclose(found, truth("gaussian", queries, samples - 1e6, bandwidth), rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_a_thousand_dimensions(name, rng):
    samples = rng.standard_normal((30, 1000))
    density = KernelDensity(kernel=name, bandwidth=50.0).fit(samples)
    found = density.score_samples(samples[:3])
    # The same window around one sample, whose own mass is known in logarithms: by ratios of its values.
    alone = KernelDensity(kernel=name, bandwidth=50.0).fit(samples[:1]).score_samples(samples[:1])[0]
    r = cdist(samples[:3], samples) / 50
    log_k = LOG_PROFILES[name](r) if name in LOG_PROFILES else np.log(PROFILES[name](r))
    np.testing.assert_allclose(found - alone, logsumexp(log_k, axis=1) - np.log(30), rtol=0, atol=1e-9)
    # And the mass, through the mean of 1 / (density of the window) over the unit ball for what is compact.
    volume = 500 * math.log(math.pi) - gammaln(501) + 1000 * math.log(50)
    if name == "tophat":
        assert alone == pytest.approx(-volume, rel=1e-14)
    elif name in COMPACT:
        radius = np.random.default_rng(1).random(200_000) ** (1 / 1000)  # of uniform points of the ball
        assert alone == pytest.approx(-volume - np.log(PROFILES[name](radius).mean()), abs=0.02)


def test_float32(rng):
    samples, queries = rng.standard_normal((200, 3)).astype("f"), rng.standard_normal((50, 3)).astype("f")
    for name in NAMES:
        density = KernelDensity(kernel=name, bandwidth=2.0).fit(samples)
        found = density.score_samples(queries)
        assert found.dtype == np.float32
        assert density.sample(3, random_state=0).dtype == np.float32
        np.testing.assert_allclose(found, truth(name, queries.astype(float), samples.astype(float), 2.0), atol=1e-3)
        assert density.score_samples(queries.astype(float)).dtype == np.float64
    learned = [KernelDensity(bandwidth="cv_ard").fit(x).bandwidth_ for x in (samples, samples.astype(float))]
    np.testing.assert_allclose(*learned, rtol=1e-7)


@pytest.mark.parametrize("name", COMPACT)
def test_nothing_at_the_bandwidth(name):
    at = np.array([[3.0, 4.0]])
    for h, inside in ((5.0, False), (np.nextafter(5.0, 6.0), True), (np.nextafter(5.0, 0.0), False)):
        for bandwidth in (h, np.array([h, h])):
            found = KernelDensity(kernel=name, bandwidth=bandwidth).fit(np.zeros((1, 2))).score_samples(at)
            if np.ndim(bandwidth) and inside:
                continue  # rounds
            assert np.isfinite(found[0]) == inside
            assert np.isfinite(found[0]) or found[0] == -np.inf
    # The squares of the diagonals of this lattice round, to both sides of the square of the bandwidth.
    axis = np.arange(10) * 0.1
    lattice = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    for h in (0.1, 0.2, 0.3, math.sqrt(0.02), math.sqrt(0.5)):
        for sample in lattice[::7]:
            theirs = neighbors.KernelDensity(kernel=name, bandwidth=h).fit(sample[None])
            with np.errstate(divide="ignore"):
                expected = np.isfinite(theirs.score_samples(lattice))
            found = KernelDensity(kernel=name, bandwidth=h).fit(sample[None]).score_samples(lattice)
            np.testing.assert_array_equal(np.isfinite(found), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_squared_limit(dtype, rng):
    extremes = (1e-30, 1e30) if dtype == np.float32 else (1e-200, 1e-155, 1e200)
    for h in [*np.exp(rng.uniform(-60, 60, 200)), 5.0, 0.1, *extremes]:
        h = dtype(h)
        limit = squared_limit(h)
        assert not np.sqrt(limit) < h
        assert np.sqrt(np.nextafter(limit, dtype(0))) < h
    assert squared_limit(dtype(0)) == 0  # a bandwidth that float32 cannot hold: nothing is nearer
    assert squared_limit(dtype(np.inf)) == np.inf
    assert np.isnan(squared_limit(dtype(np.nan)))


def test_weights_are_repetitions(rng):
    samples, queries, weights = rng.standard_normal((50, 2)), rng.standard_normal((10, 2)), rng.integers(0, 4, 50)
    repeated = np.repeat(samples, weights, axis=0)
    for params in ({"kernel": "cosine"}, {}, {"bandwidth": "cv"}, {"bandwidth": "cv_ard", "kernel": "exponential"}):
        a = KernelDensity(**params).fit(samples, sample_weight=weights)
        b = KernelDensity(**params).fit(repeated)
        np.testing.assert_allclose(a.score_samples(queries), b.score_samples(queries), rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(a.bandwidth_, b.bandwidth_, rtol=1e-5)
    huge, tiny = (KernelDensity().fit(samples, sample_weight=weights * f) for f in (1e300, 1e-300))
    np.testing.assert_allclose(huge.score_samples(queries), tiny.score_samples(queries), rtol=1e-12)


# As an estimator


def test_grid_search(rng):
    samples = rng.standard_normal((200, 2))
    grid = {"bandwidth": np.geomspace(0.05, 2, 8), "kernel": ["gaussian", "exponential"]}
    ours, theirs = (
        GridSearchCV(e, grid, cv=3).fit(samples) for e in (KernelDensity(), neighbors.KernelDensity(leaf_size=1000))
    )
    assert ours.best_params_ == theirs.best_params_
    np.testing.assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], rtol=1e-11)


@pytest.mark.parametrize(
    "params", [{}, {"bandwidth": "cv", "scaling": "std"}, {"kernel": "cosine", "bandwidth": [1, 2]}]
)
def test_pickle_and_clone(params, rng):
    samples = rng.standard_normal((50, 2))
    density = KernelDensity(**params).fit(samples, sample_weight=rng.random(50))
    again = pickle.loads(pickle.dumps(density))
    np.testing.assert_array_equal(again.score_samples(samples), density.score_samples(samples))
    assert repr(clone(density)) == repr(density)


def test_a_second_fit_forgets_the_first(rng):
    samples = rng.standard_normal((50, 2))
    density = KernelDensity(bandwidth="cv", scaling="std").fit(samples)
    density.set_params(bandwidth=1.0, scaling=None).fit(samples)
    expected = KernelDensity().fit(samples)
    assert vars(density).keys() == vars(expected).keys()
    np.testing.assert_array_equal(density.score_samples(samples), expected.score_samples(samples))


@pytest.mark.parametrize("name", ["gaussian", "cosine"])
def test_jobs(name, rng):
    samples, queries = rng.standard_normal((300, 3)), rng.standard_normal((101, 3))
    one, two = (KernelDensity(kernel=name, n_jobs=n).fit(samples).score_samples(queries) for n in (None, 2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("name", NAMES)
def test_backends(name, backend, rng):
    samples, queries = rng.standard_normal((30, 3)), rng.standard_normal((10, 3))
    found = KernelDensity(kernel=name, bandwidth=1.7, backend=backend).fit(samples).score_samples(queries)
    np.testing.assert_allclose(found, truth(name, queries, samples, 1.7), atol=1e-12)


@pytest.mark.parametrize("name", ["gaussian", "tophat"])
def test_dask(name, rng):
    array = pytest.importorskip("dask.array")
    samples, queries = rng.standard_normal((60, 3)), rng.standard_normal((50, 3))
    density = KernelDensity(kernel=name).fit(samples)
    for dtype in ("float32", "float64"):
        lazy = density.score_samples(array.from_array(queries.astype(dtype), chunks=(20, 2)))
        assert lazy.dtype == dtype and lazy.shape == (50,)
        np.testing.assert_array_equal(lazy.compute(), density.score_samples(queries.astype(dtype)))
        assert lazy.compute().dtype == dtype


def test_memory_is_that_of_the_samples():
    import tracemalloc

    samples = np.random.default_rng(0).standard_normal((4000, 2))
    tracemalloc.start()
    KernelDensity(bandwidth="cv").fit(samples).score(samples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50 * samples.nbytes  # a matrix of pairs takes 2000 times the samples


def test_euclidean_by_other_names(rng):
    samples = rng.standard_normal((20, 2))
    expected = KernelDensity().fit(samples).score_samples(samples)
    for params in ({"metric": "l2"}, {"metric": "minkowski"}, {"metric": "p", "metric_params": {"p": 2}}):
        np.testing.assert_array_equal(KernelDensity(**params).fit(samples).score_samples(samples), expected)


# Mistakes


@pytest.mark.parametrize(
    ("params", "match"),
    [
        (
            {"bandwidth": 0},
            r"The 'bandwidth' parameter of KernelDensity must be a float in the range \(0.0, inf\).*Got 0",
        ),
        ({"bandwidth": -1.0}, r"must be a float in the range \(0.0, inf\).* Got -1.0 instead"),
        ({"bandwidth": math.nan}, r"must be a float in the range \(0.0, inf\).* Got nan instead"),
        ({"bandwidth": math.inf}, r"must be a float in the range \(0.0, inf\).* Got inf instead"),
        ({"bandwidth": np.array(-1.0)}, r"must be a float in the range \(0.0, inf\).* Got -1.0 instead"),
        ({"bandwidth": "best"}, "The 'bandwidth' parameter of KernelDensity must be .*Got 'best'"),
        ({"bandwidth": [1.0, 0.0]}, "array of 2 of them, one per feature"),
        ({"bandwidth": [1.0, math.nan]}, "array of 2 of them"),
        ({"bandwidth": [1.0]}, "array of 2 of them"),
        ({"bandwidth": [1.0, "a"]}, "array of 2 of them"),
        ({"kernel": "cauchy"}, "The 'kernel' parameter of KernelDensity must be a str among"),
        ({"metric": "manhattan"}, "on the sphere only: found metric='manhattan'"),
        ({"metric": "minkowski", "metric_params": {"p": 3}}, "on the sphere only: found metric='minkowski'"),
        ({"metric_params": {"p": 2}}, "has no such parameters"),
        ({"algorithm": "brute"}, "The 'algorithm' parameter"),
        ({"atol": -1}, "The 'atol' parameter"),
        ({"rtol": -1}, "The 'rtol' parameter"),
        ({"leaf_size": 0}, "The 'leaf_size' parameter"),
        ({"breadth_first": "yes"}, "The 'breadth_first' parameter"),
        ({"scaling": "range"}, "The 'scaling' parameter"),
        ({"scaling": "covariance", "bandwidth": [1.0, 1.0]}, "mixes the features"),
        ({"scaling": "covariance", "bandwidth": "cv_ard"}, "mixes the features"),
    ],
)
def test_parameters_that_make_no_sense(params, match, rng):
    with pytest.raises(ValueError, match=match):
        KernelDensity(**params).fit(rng.standard_normal((20, 2)))


@pytest.mark.parametrize(
    ("params", "samples", "match"),
    [
        ({"bandwidth": "cv"}, [[1.0, 2.0]], "n_samples=1"),
        ({"bandwidth": "cv"}, [[1.0, 2.0]] * 3, "all 3 are at one place"),
        ({"scaling": "std"}, [[1.0, 2.0]], "n_samples=1"),
        ({"scaling": "std"}, [[0.1, 2.0], [0.1, 3.0], [0.1, 4.0]], r"is zero for the features \[0\]"),
        ({"scaling": "covariance"}, [[0.1, 2.0], [0.1, 3.0], [0.1, 4.0]], r"is zero for the features \[0\]"),
        (
            {"scaling": "covariance"},
            [[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]],
            "covariance of the features, which is singular",
        ),
        ({"scaling": "covariance"}, [[1.0, 2.0, 1.0], [2.0, 5.0, 2.0], [3.0, 6.0, 7.0]], "too few samples"),
        ({"bandwidth": "cv_ard"}, [[0.1, 2.0], [0.1, 3.0], [0.1, 4.0]], r"constant feature .* \[0\]"),
    ],
)
def test_samples_that_make_no_sense(params, samples, match):
    with pytest.raises(ValueError, match=match):
        KernelDensity(**params).fit(samples)


def test_weights_that_make_no_sense(rng):
    samples = rng.standard_normal((4, 2))
    for weights, match in (([1, 1, 1, -1], "Negative"), ([0, 0, 0, 0], "zero"), ([1, 1], "shape")):
        with pytest.raises(ValueError, match=match):
            KernelDensity().fit(samples, sample_weight=weights)
    with pytest.raises(ValueError, match="at one place"):
        KernelDensity(bandwidth="cv").fit(samples, sample_weight=[0, 1, 0, 0])
    with pytest.raises(ValueError, match="zero for the features"):
        KernelDensity(scaling="std").fit(samples, sample_weight=[0, 1, 0, 0])
