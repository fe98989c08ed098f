"""KernelDensity beside SciPy, scikit-learn, quadrature and exact arithmetic."""

import copy
import decimal
import math
import pickle

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import dblquad, quad
from scipy.linalg import cholesky
from scipy.optimize import minimize_scalar
from scipy.spatial.distance import cdist, pdist
from scipy.special import gammaln, logsumexp
from sklearn import neighbors
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from skkeops import KernelDensity
from skkeops.estimators.bandwidth import LeaveOneOut
from skkeops.estimators.windows import WINDOWS, squared_limit

# What the windows are, for the tests: written down once more, with NumPy.
PROFILES = {
    "gaussian": lambda r: np.exp(-0.5 * r * r),
    "tophat": lambda r: (r < 1) * 1.0,
    "epanechnikov": lambda r: np.maximum(1 - r * r, 0),
    "exponential": lambda r: np.exp(-r),
    "linear": lambda r: np.maximum(1 - r, 0),
    "cosine": lambda r: (r < 1) * np.cos(0.5 * np.pi * r),
}
LOG_PROFILES = {"gaussian": lambda r: -0.5 * r * r, "exponential": lambda r: -r}
NAMES = sorted(PROFILES)
COMPACT = sorted(set(NAMES) - set(LOG_PROFILES))
SPACES = ({}, {"scaling": "std"}, {"scaling": "covariance"}, {"bandwidth": "per feature"})


def log_mass(name, dim):
    """By quadrature over the radius."""
    ends = [0, 1] if name in COMPACT else [0, dim, 4 * dim + 40, 20 * dim + 400]
    radial = sum(
        quad(lambda r: r ** (dim - 1) * PROFILES[name](r), a, b, epsabs=0, epsrel=1e-13, limit=200)[0]
        for a, b in zip(ends[:-1], ends[1:])
    )
    return math.log(radial) + math.log(2) + 0.5 * dim * math.log(math.pi) - gammaln(0.5 * dim)


def truth(name, queries, samples, h, weights=None, left_out=False):
    """Log densities through the matrix of distances; h is a number or one per feature."""
    dim = samples.shape[1]
    weights = np.ones(len(samples)) if weights is None else weights
    scale = np.ones(dim) * h
    r = cdist(queries / scale, samples / scale)
    with np.errstate(divide="ignore"):
        log_k = LOG_PROFILES[name](r) if name in LOG_PROFILES else np.log(PROFILES[name](r))
        log_w = np.log(weights)
    total = np.full(len(queries), weights.sum())
    if left_out:
        np.fill_diagonal(log_k, -np.inf)
        total -= weights
    return logsumexp(log_k + log_w, axis=1) - np.log(total) - log_mass(name, dim) - np.log(scale).sum()


def fitted(name, space, h, X, **fit):
    params = {"kernel": name, "bandwidth": h, **space}
    if params["bandwidth"] == "per feature":
        params["bandwidth"] = h * np.linspace(0.7, 1.4, X.shape[1])
    return KernelDensity(**params).fit(X, **fit)


# Values


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
    assert {name: KernelDensity().get_params()[name] for name in theirs} == theirs


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


# Learned bandwidths


@pytest.mark.parametrize("name", ["gaussian", "exponential"])
@pytest.mark.parametrize("h", [0.7, [0.4, 0.9, 2.0]])
@pytest.mark.parametrize("weighted", [False, True])
def test_leave_one_out(name, h, weighted, rng):
    samples = rng.standard_normal((120, 3)) * [1, 2, 5] + 100
    weights = rng.random(120) if weighted else np.ones(120)
    likelihood = LeaveOneOut(samples, weights if weighted else None, name)
    value, derivative = likelihood(h)
    expected = weights @ truth(name, samples, samples, h, weights, left_out=True)
    assert value == pytest.approx(expected, rel=1e-13)
    h, step = np.asarray(h), 1e-5
    assert derivative.shape == h.shape
    for direction in np.eye(3) if h.ndim else [1.0]:
        numeric = (likelihood(h + step * direction)[0] - likelihood(h - step * direction)[0]) / (2 * step)
        assert np.sum(derivative * direction) == pytest.approx(numeric, rel=1e-6)


def test_leave_one_out_has_no_residue():
    # Taking the sample itself off the sum of all would leave its rounding: 1e-16, above the true exp(-5000).
    value, _ = LeaveOneOut(np.array([[0.0], [100.0]]))(1.0)
    assert value == pytest.approx(2 * (-5000 - 0.5 * math.log(2 * math.pi)), rel=1e-14)


@pytest.mark.parametrize("name", ["gaussian", "exponential"])
def test_cv_beats_a_grid(name, rng):
    clusters = np.concatenate([rng.standard_normal((80, 2)) * 0.1 + c for c in ([0, 0], [5, 0], [3, 9])])
    for samples in (clusters, rng.standard_normal((150, 2)) * [1, 1], rng.standard_t(4, (150, 2))):
        density = KernelDensity(kernel=name, bandwidth="cv").fit(samples)
        likelihood = LeaveOneOut(samples, kernel=name)
        best = max(likelihood(h)[0] for h in np.geomspace(0.01, 10, 200))
        assert density.leave_one_out_score_ >= best - 1e-9 * abs(best)
        assert density.leave_one_out_score_ == pytest.approx(likelihood(density.bandwidth_)[0], rel=1e-12)
        assert isinstance(density.bandwidth_, float)
        assert 1 <= density.n_iter_ <= density.n_evaluations_ <= 20


def test_cv_finds_the_higher_of_two_maxima():
    # Close groups, far from each other: one maximum at the width of the groups, a lower one at that of all.
    samples = np.array([0.0, 1.0, 30.0, 31.0, 32.0, 70.0, 71.0])[:, None]
    likelihood = LeaveOneOut(samples)
    assert likelihood(25.0)[0] > max(likelihood(h)[0] for h in (18.0, 50.0))
    assert KernelDensity(bandwidth="cv").fit(samples).bandwidth_ == pytest.approx(1.09, abs=0.01)


def test_cv_ard(rng):
    samples = rng.standard_normal((200, 2)) * [1, 20]
    one, each = (KernelDensity(bandwidth=b).fit(samples) for b in ("cv", "cv_ard"))
    likelihood = LeaveOneOut(samples)
    factors = np.geomspace(0.5, 2, 9)
    best = max(likelihood(each.bandwidth_ * [a, b])[0] for a in factors for b in factors)
    assert each.bandwidth_.shape == (2,)
    assert each.leave_one_out_score_ >= best - 1e-9 * abs(best)
    assert each.leave_one_out_score_ > one.leave_one_out_score_ + 10
    np.testing.assert_allclose(likelihood(each.bandwidth_)[1] * each.bandwidth_, 0, atol=1e-3)


@pytest.mark.parametrize("scaling", ["std", "covariance"])
def test_cv_in_the_scaled_space(scaling, rng):
    samples = rng.standard_normal((100, 2)) * [1, 50]
    a = KernelDensity(bandwidth="cv", scaling=scaling).fit(samples)
    b = KernelDensity(bandwidth="cv", scaling=scaling).fit(samples * [1000, 0.1])
    assert a.bandwidth_ == pytest.approx(b.bandwidth_, rel=1e-6)
    root = np.diag(a.scale_) if scaling == "std" else np.linalg.cholesky(a.covariance_)
    likelihood = LeaveOneOut(np.linalg.solve(root, samples.T).T)
    assert likelihood(a.bandwidth_)[0] > max(likelihood(a.bandwidth_ * f)[0] for f in (0.95, 1.05))
    assert a.bandwidth_ < 1


def test_repeated_samples(rng):
    samples = rng.standard_normal((80, 2))
    once, twice = (KernelDensity(bandwidth="cv").fit(x) for x in (samples, np.concatenate([samples, samples])))
    assert once.bandwidth_ == pytest.approx(twice.bandwidth_, rel=1e-5)


def test_a_likelihood_without_a_maximum(rng):
    # A feature of two values explains each sample by others at its own: the narrower, the better.
    samples = np.column_stack((rng.standard_normal(60), rng.integers(0, 2, 60)))
    with pytest.warns(ConvergenceWarning, match="bandwidth of feature 1 ends"):
        KernelDensity(bandwidth="cv_ard").fit(samples)


@pytest.mark.parametrize("name", COMPACT)
@pytest.mark.parametrize("bandwidth", ["cv", "cv_ard"])
def test_cv_takes_a_tail(name, bandwidth):
    with pytest.raises(ValueError, match="GridSearchCV"):
        KernelDensity(kernel=name, bandwidth=bandwidth).fit(np.eye(3))


# Samples


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


# Gradients


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_gradient(name, space, weighted, rng):
    samples, queries = rng.standard_normal((40, 2)) + 7, rng.standard_normal((15, 2)) + 7
    weights = rng.random(40) + 0.1 if weighted else None
    density = fitted(name, space, 1.3, samples, sample_weight=weights)
    names = ("X", "X_fit", "sample_weight", "bandwidth")
    e = rng.standard_normal(15)
    finite = np.isfinite(density.score_samples(queries))
    assert finite.sum() > 10
    shapes = (queries.shape, samples.shape, (40,), np.shape(density.bandwidth_))
    directions = dict(zip(names, (rng.standard_normal(s) for s in shapes), strict=True))

    def moved(name, step):
        other, q = copy.copy(density), queries
        if name == "X":
            q = queries + step * directions[name]
        elif name == "sample_weight":
            other.sample_weight_fit_ = (np.ones(40) if weights is None else weights) + step * directions[name]
        elif name == "bandwidth":
            other.bandwidth_ = density.bandwidth_ + step * directions[name]
        else:
            other.X_fit_ = samples + step * directions[name]
        return (e * other.score_samples(q))[finite].sum()

    gradients = density.gradient(queries, e, wrt=names)
    for wrt, gradient, shape in zip(names, gradients, shapes, strict=True):
        assert np.shape(gradient) == shape
        step = 1e-6
        numeric = (moved(wrt, step) - moved(wrt, -step)) / (2 * step)
        exact = float(np.sum(gradient * directions[wrt]))
        assert exact == pytest.approx(numeric, rel=1e-6, abs=2e-6)
        np.testing.assert_array_equal(density.gradient(queries, e, wrt=wrt), gradient)


def test_gradient_by_weights_that_are_zero(rng):
    samples, queries = rng.standard_normal((20, 2)), rng.standard_normal((5, 2))
    weights = np.repeat([0.0, 1.0], 10)
    for name in ("gaussian", "linear"):
        density = KernelDensity(kernel=name, bandwidth=5.0).fit(samples, sample_weight=weights)
        before = density.score(queries)
        gradient = density.gradient(queries, wrt="sample_weight")
        weights_after = weights.copy()
        weights_after[3] = 1e-6
        after = KernelDensity(kernel=name, bandwidth=5.0).fit(samples, sample_weight=weights_after).score(queries)
        assert gradient[3] == pytest.approx((after - before) / 1e-6, rel=1e-4)
        assert gradient[3] != 0


@pytest.mark.parametrize("name", COMPACT)
def test_gradient_without_support(name):
    density = KernelDensity(kernel=name).fit(np.zeros((3, 2)))
    for wrt in ("X", "X_fit", "sample_weight", "bandwidth"):
        assert np.all(np.asarray(density.gradient([[9.0, 9.0]], wrt=wrt)) == 0)


def test_gradient_names():
    density = KernelDensity().fit(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="'bandwidth': found 'h'"):
        density.gradient(np.zeros((1, 2)), wrt="h")


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
        ({"metric": "manhattan"}, "Euclidean distance only: found metric='manhattan'"),
        ({"metric": "minkowski", "metric_params": {"p": 3}}, "Euclidean distance only: found metric='minkowski'"),
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


def test_the_smallest_distance_bounds_the_bandwidth(rng):
    # Of two samples the best is known: h^2 = d^2 / dim.
    samples = rng.standard_normal((2, 3))
    density = KernelDensity(bandwidth="cv").fit(samples)
    assert density.bandwidth_ == pytest.approx(pdist(samples)[0] / math.sqrt(3), rel=1e-5)


def test_euclidean_by_other_names(rng):
    samples = rng.standard_normal((20, 2))
    expected = KernelDensity().fit(samples).score_samples(samples)
    for params in ({"metric": "l2"}, {"metric": "minkowski"}, {"metric": "p", "metric_params": {"p": 2}}):
        np.testing.assert_array_equal(KernelDensity(**params).fit(samples).score_samples(samples), expected)


class TestUnits:
    """Lengths of any size, and places far from the origin: the density is that of scikit-learn near 1, but for the volume."""

    @pytest.mark.parametrize(
        ("dtype", "powers", "tolerance"),
        [(np.float64, (-1015, -990, -660, -100, 100, 530, 990, 1019), 1e-10), (np.float32, (-122, -110, -50, 50, 110, 125), 1e-4)],
    )
    @pytest.mark.parametrize("kernel", list(WINDOWS))
    def test_bandwidths_of_any_size(self, kernel, dtype, powers, tolerance, rng):
        X, Q = (rng.normal(size=(n, 3)).astype(dtype) for n in (30, 7))
        expected = neighbors.KernelDensity(bandwidth=1.5, kernel=kernel).fit(X).score_samples(Q)
        for power in powers:
            unit = 2.0**power
            scaled = KernelDensity(bandwidth=1.5 * unit, kernel=kernel).fit(X * dtype(unit))
            found = scaled.score_samples(Q * dtype(unit)) + 3 * math.log(unit)
            np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("h", [1e-300, 1e-200, 1e-100, 1e-30, 1e30, 1e160, 1e300])
    @pytest.mark.parametrize("kernel", list(WINDOWS))
    def test_bandwidths_of_another_size_than_the_data(self, kernel, h, dtype, rng):
        """A sample is alone, or all are at one place."""
        X = rng.normal(size=(8, 1)).astype(dtype)
        mass = neighbors.KernelDensity(bandwidth=1.0, kernel=kernel).fit([[0.0]]).score_samples([[0.0]])[0]
        expected = mass - math.log(h) - (math.log(8) if h < 1 else 0)
        for bandwidth in (h, [h]):
            found = KernelDensity(bandwidth=bandwidth, kernel=kernel).fit(X).score_samples(X)
            np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == np.float32 else 1e-12)

    @pytest.mark.parametrize("kernel", ["gaussian", "exponential"])
    @pytest.mark.parametrize("each", [False, True])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_far_from_the_origin(self, kernel, each, dtype, rng):
        place, unit = (5_819_000, 10.0) if dtype == np.float32 else (1.7e9, 1e-3)
        X, Q = ((place + unit * rng.normal(size=(n, 2))).astype(dtype) for n in (30, 7))
        x, q = (a.astype(float) - X[0].astype(float) for a in (X, Q))
        found = KernelDensity(bandwidth=[unit, unit] if each else unit, kernel=kernel).fit(X).score_samples(Q)
        expected = neighbors.KernelDensity(bandwidth=unit, kernel=kernel).fit(x).score_samples(q)
        np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == np.float32 else 1e-11)

    @pytest.mark.parametrize("weight", [1.0, 1e-300, 1e308])
    @pytest.mark.parametrize("unit", [1.0, 2.0**-1000, 2.0**-660, 2.0**500, 2.0**665, 2.0**1021])
    def test_learned_bandwidths(self, unit, weight, rng):
        X = rng.normal(size=(25, 2))
        d2 = ((X[:, None] - X) ** 2).sum(-1)
        np.fill_diagonal(d2, np.inf)

        def loss(h):
            return -logsumexp(-d2 / (2 * h * h), axis=1).mean() + 2 * math.log(h)

        best = minimize_scalar(loss, bounds=(0.1, 3), method="bounded", options={"xatol": 1e-9}).x
        weights = np.full(25, weight)
        for given, expected in (("cv", best), ("scott", 25 ** (-1 / 6) / unit)):
            model = KernelDensity(bandwidth=given).fit(X * unit, sample_weight=weights)
            np.testing.assert_allclose(model.bandwidth_ / unit, expected, rtol=1e-6)
        model = KernelDensity(bandwidth="cv_ard", scaling="std").fit(X * unit, sample_weight=weights)
        plain = KernelDensity(bandwidth="cv_ard", scaling="std").fit(X)
        np.testing.assert_allclose(model.scale_ / unit, X.std(axis=0, ddof=1), rtol=1e-12)
        np.testing.assert_allclose(model.bandwidth_, plain.bandwidth_, rtol=1e-5)
        assert np.isfinite(model.sample(5, random_state=0)).all()

    def test_a_covariance_that_is_no_float(self, rng):
        with pytest.raises(ValueError, match="needs the squares of the deviations of the features, which are too large or too"):
            KernelDensity(scaling="covariance").fit(1e200 * rng.normal(size=(9, 2)))
