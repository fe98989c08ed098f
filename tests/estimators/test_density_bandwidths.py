"""Bandwidths that KernelDensity learns, by the leave-one-out likelihood."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.exceptions import ConvergenceWarning

from skkeops import KernelDensity
from skkeops.estimators.bandwidth import LeaveOneOut

from .windows import COMPACT, truth


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
def test_leave_one_out_of_samples_that_are_alone(name, rng):
    # Beside the sample itself, what all others add to the sum is 1e-5, 1e-40 or nothing in float64.
    samples = np.concatenate((rng.standard_normal((40, 2)), [[8.0, 0.0], [0.0, 17.0], [-90.0, 0.0]]))
    expected = truth(name, samples, samples, 1.0, np.ones(43), left_out=True)
    value, derivative = LeaveOneOut(samples, kernel=name)(1.0)
    assert value == pytest.approx(expected.sum(), rel=1e-12)
    likelihood = LeaveOneOut(samples, kernel=name)
    numeric = (likelihood(1 + 1e-5)[0] - likelihood(1 - 1e-5)[0]) / 2e-5
    assert derivative == pytest.approx(numeric, rel=1e-7)


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


@pytest.mark.parametrize("name", ["cv", "cv_ard"])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_search_that_begins_with_some_samples(name, weighted, rng, monkeypatch):
    # Sorted samples, so that the first of them would not stand for all. The maximum is that of the likelihood of all samples.
    samples = np.sort(np.concatenate((rng.standard_normal((500, 2)) * [1, 3], 0.3 * rng.standard_normal((400, 2)) + 4)), axis=0)
    weights = rng.random(900) if weighted else None
    monkeypatch.setattr("skkeops.estimators.bandwidth._MANY", 800)
    monkeypatch.setattr("skkeops.estimators.bandwidth._PART", 100)
    density = KernelDensity(bandwidth=name).fit(samples, sample_weight=weights)
    w = np.ones(900) if weights is None else weights
    h, step = np.asarray(density.bandwidth_), 1e-3

    def expected(h):
        return w @ truth("gaussian", samples, samples, h, w, left_out=True)

    assert density.leave_one_out_score_ == pytest.approx(expected(h), rel=1e-12)
    for axis in np.eye(2) if h.ndim else [1.0]:
        low, high = (expected(h * np.exp(sign * step * axis)) for sign in (-1, 1))
        # the place of the maximum of a parabola through three points
        assert abs(step * (high - low) / (2 * (2 * expected(h) - low - high))) < 1e-5
    assert density.n_evaluations_ <= 12


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


def test_the_smallest_distance_bounds_the_bandwidth(rng):
    # Of two samples the best is known: h^2 = d^2 / dim.
    samples = rng.standard_normal((2, 3))
    density = KernelDensity(bandwidth="cv").fit(samples)
    assert density.bandwidth_ == pytest.approx(pdist(samples)[0] / math.sqrt(3), rel=1e-5)
